//! Translation: from the API's to the sidecar's.

use crds::{
    Authorization as ApiAuthorization, BasicAuth, Duration, HttpEndpoint, PrometheusSource, Source as ApiSource,
    TlsConfig,
};
use sidecar_config::{Authorization, Endpoint, Port, Prometheus, Scheme, Source, SourceKind, Tls};
use url::Url;

use super::{
    Credentials, FieldRefusal, Reason,
    credential::{either, file},
};

const DEFAULT_TIMEOUT_MS: u64 = 5000;
/// How many intervals values stand after the last scrape that succeeded.
const STALE_INTERVALS: u64 = 5;

/// What comes of a translation besides the document.
#[derive(Default)]
pub(super) struct Translation {
    pub(super) credentials: Credentials,
    pub(super) refusals: Vec<FieldRefusal>,
}

impl Translation {
    /// The source at `path`. One that nothing serves is refused, and an endpoint of the same name takes its place, so
    /// that what refers to it can be checked.
    pub(super) fn source(&mut self, path: &str, source: &ApiSource) -> Source {
        let ApiSource { name, stale_after, prometheus, json, sql, system, config_map } = source;
        let not_served = [
            ("json", "JSON sources are", json.is_some()),
            ("sql", "SQL sources are", sql.is_some()),
            ("system", "system sources are", system.is_some()),
            ("configMap", "ConfigMap sources are", config_map.is_some()),
        ];
        for (field, what, _) in not_served.into_iter().filter(|(.., set)| *set) {
            self.refusals.push(FieldRefusal::not_served(format!("{path}.{field}"), what));
        }
        let stand_in = || PrometheusSource {
            endpoint: HttpEndpoint {
                port: Some(crds::Port::Number(1)),
                path: None,
                scheme: None,
                url: None,
                interval: "15s".into(),
                scrape_timeout: None,
                body_size_limit: "16Mi".into(),
                authorization: None,
                basic_auth: None,
                tls_config: None,
            },
            sample_limit: 1,
        };
        let PrometheusSource { endpoint, sample_limit } = prometheus.clone().unwrap_or_else(stand_in);
        let prefix = format!("{path}.prometheus");
        let interval_ms = self.millis(&format!("{prefix}.interval"), &endpoint.interval);
        let timeout_ms = match &endpoint.scrape_timeout {
            Some(timeout) => self.millis(&format!("{prefix}.scrapeTimeout"), timeout),
            None => interval_ms.min(DEFAULT_TIMEOUT_MS),
        };
        let stale_after_ms = match stale_after {
            Some(stale_after) => self.millis(&format!("{path}.staleAfter"), stale_after),
            None => interval_ms.saturating_mul(STALE_INTERVALS),
        };
        let kind = SourceKind::Prometheus(self.prometheus(&prefix, &endpoint, sample_limit));
        Source { name: name.0.clone(), interval_ms, timeout_ms, stale_after_ms, kind }
    }

    /// The length of time; one that cannot be read is refused, and 1 ms takes its place.
    pub(super) fn millis(&mut self, path: &str, duration: &Duration) -> u64 {
        duration.millis().unwrap_or_else(|| {
            let message = format!("{:?} is not a length of time as 15s or 1m30s", duration.0);
            self.refusals.push(FieldRefusal::new(Reason::Invalid, path, message));
            1
        })
    }

    fn prometheus(&mut self, path: &str, source: &HttpEndpoint, sample_limit: i64) -> Prometheus {
        let endpoint =
            Endpoint { authorization: self.authorization(source), tls: self.tls(source), ..self.place(path, source) };
        let body_size_limit = source.body_size_limit.bytes().unwrap_or_else(|| {
            let message = format!("{:?} is not an amount of memory as 16Mi", source.body_size_limit.0);
            self.refusals.push(FieldRefusal::new(Reason::Invalid, format!("{path}.bodySizeLimit"), message));
            1
        });
        // The schema has it at 1 or more.
        let sample_limit = u64::try_from(sample_limit).unwrap_or(0);
        Prometheus { endpoint, body_size_limit, sample_limit }
    }

    /// Where the endpoint is: a port of the pod, or a URL.
    fn place(&mut self, path: &str, source: &HttpEndpoint) -> Endpoint {
        let local = |port: &crds::Port| Endpoint {
            scheme: match source.scheme.unwrap_or_default() {
                crds::Scheme::Http => Scheme::Http,
                crds::Scheme::Https => Scheme::Https,
            },
            host: "127.0.0.1".to_owned(),
            port: match port {
                crds::Port::Number(number) => Port::Number(*number),
                crds::Port::Name(name) => Port::Name(name.clone()),
            },
            path: source.path.as_ref().map_or_else(|| "/metrics".to_owned(), |path| path.0.clone()),
            authorization: None,
            tls: None,
        };
        match (&source.port, &source.url) {
            (_, Some(url)) => remote(url).unwrap_or_else(|message| {
                self.refusals.push(FieldRefusal::new(Reason::Invalid, format!("{path}.url"), message));
                local(&crds::Port::Number(1))
            }),
            (Some(port), None) => local(port),
            (None, None) => {
                self.refusals.push(FieldRefusal::new(Reason::Invalid, path, "exactly one of port and url must be set"));
                local(&crds::Port::Number(1))
            }
        }
    }

    fn authorization(&mut self, source: &HttpEndpoint) -> Option<Authorization> {
        let credentials = &mut self.credentials;
        if let Some(ApiAuthorization { credentials: key }) = &source.authorization {
            return Some(Authorization::Bearer { credentials_file: file(credentials, key) });
        }
        source.basic_auth.as_ref().map(|BasicAuth { username, password }| Authorization::Basic {
            username_file: file(credentials, username),
            password_file: file(credentials, password),
        })
    }

    fn tls(&mut self, source: &HttpEndpoint) -> Option<Tls> {
        let TlsConfig { ca, cert, key_secret, server_name, insecure_skip_verify } = source.tls_config.as_ref()?;
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
