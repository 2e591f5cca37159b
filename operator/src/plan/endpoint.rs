//! Translation of HTTP endpoints.

use crds::{Authorization as ApiAuthorization, BasicAuth, HttpEndpoint, TlsConfig};
use sidecar_config::{Authorization, Endpoint, Port, Scheme, Tls};
use url::Url;

use super::{
    credential::{either, file},
    refusal::{FieldRefusal, Reason},
    translation::Translation,
};

/// The location and the credentials of an HTTP endpoint, from any part of the API.
pub(super) struct HttpLocation<'a> {
    pub(super) port: Option<&'a crds::Port>,
    pub(super) scheme: crds::Scheme,
    pub(super) path: &'a str,
    pub(super) url: Option<&'a str>,
    pub(super) authorization: Option<&'a ApiAuthorization>,
    pub(super) basic_auth: Option<&'a BasicAuth>,
    pub(super) tls_config: Option<&'a TlsConfig>,
}

impl<'a> HttpLocation<'a> {
    /// Returns the location of a source's endpoint. `path` is the default path.
    pub(super) fn of(source: &'a HttpEndpoint, path: &'a str) -> Self {
        Self {
            port: source.port.as_ref(),
            scheme: source.scheme.unwrap_or_default(),
            path: source.path.as_deref().unwrap_or(path),
            url: source.url.as_deref(),
            authorization: source.authorization.as_ref(),
            basic_auth: source.basic_auth.as_ref(),
            tls_config: source.tls_config.as_ref(),
        }
    }
}

impl Translation {
    /// Translates the endpoint, which the API has at `path`. An invalid one is refused, and a port of the pod is returned
    /// instead.
    pub(super) fn endpoint(&mut self, path: &str, location: &HttpLocation<'_>) -> Endpoint {
        let authorization = self.authorization(location);
        let tls = self.tls(location.tls_config);
        let local = |port: &crds::Port| Endpoint {
            scheme: match location.scheme {
                crds::Scheme::Http => Scheme::Http,
                crds::Scheme::Https => Scheme::Https,
            },
            host: "127.0.0.1".to_owned(),
            port: match port {
                crds::Port::Number(number) => Port::Number(*number),
                crds::Port::Name(name) => Port::Name(name.clone()),
            },
            path: location.path.to_owned(),
            authorization: None,
            tls: None,
        };
        let endpoint = match (location.port, location.url) {
            (_, Some(url)) => remote(url).unwrap_or_else(|message| {
                self.refusals.push(FieldRefusal::new(Reason::Invalid, format!("{path}.url"), message));
                local(&crds::Port::Number(1))
            }),
            (Some(port), None) => local(port),
            (None, None) => {
                self.refusals.push(FieldRefusal::new(Reason::Invalid, path, "exactly one of port and url must be set"));
                local(&crds::Port::Number(1))
            }
        };
        Endpoint { authorization, tls, ..endpoint }
    }

    fn authorization(&mut self, location: &HttpLocation<'_>) -> Option<Authorization> {
        let credentials = &mut self.credentials;
        if let Some(ApiAuthorization { credentials: key }) = location.authorization {
            return Some(Authorization::Bearer { credentials_file: file(credentials, key) });
        }
        location.basic_auth.map(|BasicAuth { username, password }| Authorization::Basic {
            username_file: file(credentials, username),
            password_file: file(credentials, password),
        })
    }

    pub(super) fn tls(&mut self, settings: Option<&TlsConfig>) -> Option<Tls> {
        let TlsConfig { ca, cert, key_secret, server_name, insecure_skip_verify } = settings?;
        let credentials = &mut self.credentials;
        Some(Tls {
            ca_file: ca.as_ref().and_then(either).map(|origin| file(credentials, origin)),
            cert_file: cert.as_ref().and_then(either).map(|origin| file(credentials, origin)),
            key_file: key_secret.as_ref().map(|key| file(credentials, key)),
            server_name: server_name.as_ref().map(|name| name.0.clone()),
            insecure_skip_verify: *insecure_skip_verify,
        })
    }
}

/// Returns the endpoint at `url`.
fn remote(url: &str) -> Result<Endpoint, String> {
    let url = Url::parse(url).map_err(|error| format!("is not a URL: {error}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("contains credentials: put them into a Secret, and refer to it in basicAuth".to_owned());
    }
    if url.fragment().is_some() {
        return Err("contains a fragment, which is never sent to a server: remove it".to_owned());
    }
    let scheme = match url.scheme() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        scheme => return Err(format!("has the scheme {scheme}: use http or https")),
    };
    let host = url.host_str().ok_or("has no host")?.to_owned();
    let port = url.port_or_known_default().ok_or("has no port")?;
    let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    Ok(Endpoint { scheme, host, port: Port::Number(port), path, authorization: None, tls: None })
}
