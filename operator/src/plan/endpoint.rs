//! HTTP endpoints: from the API's to the sidecar's.

use crds::{Authorization as ApiAuthorization, BasicAuth, HttpEndpoint, TlsConfig};
use sidecar_config::{Authorization, Endpoint, Port, Scheme, Tls};
use url::Url;

use super::{
    FieldRefusal, Reason,
    credential::{either, file},
    source::Translation,
};

/// Where an endpoint is and how to be let in, whichever part of the API says it.
pub(super) struct Place<'a> {
    pub(super) port: Option<&'a crds::Port>,
    pub(super) scheme: crds::Scheme,
    pub(super) path: &'a str,
    pub(super) url: Option<&'a str>,
    pub(super) authorization: Option<&'a ApiAuthorization>,
    pub(super) basic_auth: Option<&'a BasicAuth>,
    pub(super) tls_config: Option<&'a TlsConfig>,
}

impl<'a> Place<'a> {
    /// That of a source, whose path is `path` unless it says another.
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
    /// The endpoint, which the API has at `path`. Of one that is refused a port of the pod takes the place.
    pub(super) fn endpoint(&mut self, path: &str, place: &Place<'_>) -> Endpoint {
        let authorization = self.authorization(place);
        let tls = self.tls(place.tls_config);
        let local = |port: &crds::Port| Endpoint {
            scheme: match place.scheme {
                crds::Scheme::Http => Scheme::Http,
                crds::Scheme::Https => Scheme::Https,
            },
            host: "127.0.0.1".to_owned(),
            port: match port {
                crds::Port::Number(number) => Port::Number(*number),
                crds::Port::Name(name) => Port::Name(name.clone()),
            },
            path: place.path.to_owned(),
            authorization: None,
            tls: None,
        };
        let endpoint = match (place.port, place.url) {
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

    fn authorization(&mut self, place: &Place<'_>) -> Option<Authorization> {
        let credentials = &mut self.credentials;
        if let Some(ApiAuthorization { credentials: key }) = place.authorization {
            return Some(Authorization::Bearer { credentials_file: file(credentials, key) });
        }
        place.basic_auth.map(|BasicAuth { username, password }| Authorization::Basic {
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

/// The endpoint at `url`.
fn remote(url: &str) -> Result<Endpoint, String> {
    let url = Url::parse(url).map_err(|error| format!("is not a URL: {error}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds credentials: put them into a Secret, and name it under basicAuth".to_owned());
    }
    if url.fragment().is_some() {
        return Err("holds a fragment, which no server ever sees".to_owned());
    }
    let scheme = match url.scheme() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        scheme => return Err(format!("is of the scheme {scheme}, neither http nor https")),
    };
    let host = url.host_str().ok_or("names no host")?.to_owned();
    let port = url.port_or_known_default().ok_or("names no port")?;
    let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    Ok(Endpoint { scheme, host, port: Port::Number(port), path, authorization: None, tls: None })
}
