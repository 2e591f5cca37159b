//! HTTP towards a source: one request per scrape, over a connection that is kept; and towards whoever takes a SET.
//!
//! Everything that the server sends is bounded: the head of the response, the body before and after decompression,
//! and, by the caller, the time. Redirects are not followed.

mod body;
mod connection;
pub(crate) mod credential;
pub(super) mod media_type;
pub(super) mod resolver;
pub(super) mod tls;

#[cfg(test)]
pub(in crate::source) mod tests;

use std::{path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode, Uri,
    body::Incoming,
    header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, USER_AGENT},
};
use hyper_rustls::{DefaultServerNameResolver, FixedServerNameResolver, HttpsConnector, ResolveServerName};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::pki_types::ServerName;
use sidecar_config::{Endpoint, Port, Scheme};
use tower_service::Service as _;

use super::{Cause, NamedPorts, Phase, error::in_full, prometheus::Format};
use connection::Connection;
use resolver::Resolver;

const AGENT: &str = concat!("snmp-sidecar/", env!("CARGO_PKG_VERSION"));

/// The most that is shown of where a redirect points, in characters.
const MAX_LOCATION: usize = 200;

/// What is asked of an endpoint, apart from where it is and who asks. No `Debug`: a header may be a secret.
pub(crate) struct Ask {
    /// The method.
    pub(crate) method: Method,
    /// Headers besides the client's own.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub(crate) body: Bytes,
}

impl Ask {
    /// Whether it may be sent again where nobody knows what became of it (RFC 9110 section 9.2.1).
    fn is_safe(&self) -> bool {
        self.method.is_safe()
    }
}

/// What an endpoint answers.
pub(crate) struct Reply {
    /// The status, whatever it is.
    pub(crate) status: StatusCode,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The body, decoded.
    pub(crate) body: Vec<u8>,
    /// Whether it is certain that the body came whole.
    pub(crate) delimited: bool,
}

impl Reply {
    /// Refuses any status but 200, redirects included.
    pub(crate) fn check_status(&self) -> Result<(), Cause> {
        check_status(self.status, &self.headers)
    }
}

/// An HTTP client of one endpoint.
pub(crate) struct Client {
    endpoint: Endpoint,
    /// Where credential and certificate files are.
    folder: PathBuf,
    ports: NamedPorts,
    resolver: Resolver,
    tls: tls::Clients,
    connection: Option<Connection>,
}

/// Where an endpoint is.
struct Target {
    uri: Uri,
    /// Host and port, as the header `Host` has them.
    host: String,
}

impl Client {
    pub(crate) fn new(endpoint: Endpoint, folder: PathBuf, ports: NamedPorts) -> Self {
        let tls = tls::Clients::new(endpoint.tls.clone().unwrap_or_default());
        Self { endpoint, folder, ports, resolver: Resolver::default(), tls, connection: None }
    }

    /// The endpoint's URL without its query, which may hold a secret.
    pub(crate) fn display_url(&self) -> String {
        let port = match &self.endpoint.port {
            Port::Number(port) => port.to_string(),
            Port::Name(name) => self.ports.resolve(&self.endpoint.port).map_or(name.clone(), |port| port.to_string()),
        };
        format!("{}://{}:{port}{}", self.scheme(), self.host(), without_query(&self.endpoint.path))
    }

    /// Scrapes the endpoint: `begin` gets the format of the body and makes a sink, which gets the body, decoded.
    /// Returns the sink, and whether it is certain that the body came whole. `phase` says how far it got.
    pub(super) async fn get<S: FnMut(&[u8]) -> Result<(), Cause> + Send>(
        &mut self,
        timeout: Duration,
        body_limit: u64,
        phase: &mut Phase,
        begin: impl FnOnce(Format) -> S,
    ) -> Result<bool, Cause> {
        let seconds = HeaderValue::from_str(&timeout.as_secs_f64().to_string());
        let headers = vec![
            (ACCEPT, HeaderValue::from_static(media_type::ACCEPT)),
            (
                HeaderName::from_static("x-prometheus-scrape-timeout-seconds"),
                seconds.map_err(|error| Cause::Url(error.to_string()))?,
            ),
        ];
        let ask = Ask { method: Method::GET, headers, body: Bytes::new() };
        let (mut connection, mut response) = self.request(&ask, phase).await?;
        check_status(response.status(), response.headers())?;
        let mut sink = begin(media_type::format(response.headers())?);
        let delimited = body::read(&mut response, body_limit, phase, &mut sink).await?;
        if connection.settle().await? {
            self.connection = Some(connection);
        }
        Ok(delimited)
    }

    /// Sends a request, and gets the whole of the answer, whatever its status. A redirect is one answer like another.
    /// Whoever calls gives up when it takes too long.
    pub(crate) async fn exchange(&mut self, ask: &Ask, body_limit: u64, phase: &mut Phase) -> Result<Reply, Cause> {
        let (mut connection, mut response) = self.request(ask, phase).await?;
        let mut body = Vec::new();
        let mut sink = |data: &[u8]| {
            body.extend_from_slice(data);
            Ok(())
        };
        let delimited = body::read(&mut response, body_limit, phase, &mut sink).await?;
        if connection.settle().await? {
            self.connection = Some(connection);
        }
        let (head, _) = response.into_parts();
        Ok(Reply { status: head.status, headers: head.headers, body, delimited })
    }

    /// Whether the endpoint takes a connection; nothing is sent over it.
    pub(crate) async fn knock(&mut self) -> Result<(), Cause> {
        let target = self.target()?;
        let tls = match self.endpoint.scheme {
            Scheme::Http => None,
            Scheme::Https => Some(self.tls.current(&self.folder)?.0),
        };
        self.connect(target.uri, tls).await.map(drop)
    }

    /// Sends the request, and gets the head of the response. A kept connection may have been closed by the server in
    /// the meantime: then a request that changes nothing is sent once more over a new one; any other gets a new one from
    /// the first, so that it is never sent twice.
    async fn request(&mut self, ask: &Ask, phase: &mut Phase) -> Result<(Connection, Response<Incoming>), Cause> {
        let target = self.target()?;
        let request = self.make_request(&target, ask)?;
        if !ask.is_safe() {
            self.connection = None;
        }
        let tls = match self.endpoint.scheme {
            Scheme::Http => None,
            Scheme::Https => {
                let (client, changed) = self.tls.current(&self.folder)?;
                if changed {
                    self.connection = None;
                }
                Some(client)
            }
        };
        if let Some(mut connection) = self.connection.take() {
            *phase = Phase::AwaitingResponse;
            if let Ok(response) = connection.send(request.clone()).await {
                return Ok((connection, response));
            }
        }
        *phase = Phase::Connecting;
        let mut connection = self.connect(target.uri, tls).await?;
        *phase = Phase::AwaitingResponse;
        let response = connection.send(request).await?;
        Ok((connection, response))
    }

    async fn connect(&self, uri: Uri, tls: Option<Arc<rustls::ClientConfig>>) -> Result<Connection, Cause> {
        let mut tcp = HttpConnector::new_with_resolver(self.resolver.clone());
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let Some(client) = tls else {
            return Connection::new(tcp.call(uri).await.map_err(|error| Cause::Connect(in_full(&error)))?).await;
        };
        let mut https = HttpsConnector::new(tcp, client, true, self.server_name()?);
        let stream = https.call(uri).await.map_err(|error| {
            let io = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
            match io {
                Some(tls) => Cause::Tls(tls.to_string()),
                None => Cause::Connect(in_full(&*error)),
            }
        })?;
        Connection::new(stream).await
    }

    /// What gives the name to expect in the server's certificate.
    fn server_name(&self) -> Result<Arc<dyn ResolveServerName + Send + Sync>, Cause> {
        match self.endpoint.tls.as_ref().and_then(|tls| tls.server_name.clone()) {
            None => Ok(Arc::new(DefaultServerNameResolver::default())),
            Some(name) => match ServerName::try_from(name) {
                Ok(name) => Ok(Arc::new(FixedServerNameResolver::new(name))),
                Err(_) => Err(Cause::TlsSettings("serverName is neither a DNS name nor an address".to_owned())),
            },
        }
    }

    fn make_request(&self, target: &Target, ask: &Ask) -> Result<Request<Full<Bytes>>, Cause> {
        let path = target.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::builder()
            .method(&ask.method)
            .uri(path)
            .header(HOST, &target.host)
            .header(USER_AGENT, AGENT)
            .header(ACCEPT_ENCODING, "gzip");
        for (name, value) in &ask.headers {
            request = request.header(name, value);
        }
        if let Some(authorization) = &self.endpoint.authorization {
            request = request.header(AUTHORIZATION, credential::header(authorization, &self.folder)?);
        }
        request.body(Full::new(ask.body.clone())).map_err(|error| Cause::Url(error.to_string()))
    }

    /// Where a request goes.
    fn target(&self) -> Result<Target, Cause> {
        let path = self.endpoint.path.as_str();
        let port = self.ports.resolve(&self.endpoint.port).ok_or_else(|| match &self.endpoint.port {
            Port::Name(name) => Cause::UnknownPort(name.clone()),
            Port::Number(port) => Cause::UnknownPort(port.to_string()),
        })?;
        let host = self.host();
        if host.contains(['/', '@', '?', '#']) || !path.starts_with('/') {
            return Err(Cause::Url("the host is not a host name, or the path does not begin with /".to_owned()));
        }
        let uri: Uri = format!("{}://{host}:{port}{path}", self.scheme())
            .parse()
            .map_err(|error: hyper::http::uri::InvalidUri| Cause::Url(error.to_string()))?;
        Ok(Target { uri, host: format!("{host}:{port}") })
    }

    fn scheme(&self) -> &'static str {
        match self.endpoint.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// The host as a URL has it: an IPv6 address in brackets.
    fn host(&self) -> String {
        let host = &self.endpoint.host;
        if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.clone() }
    }
}

fn without_query(path: &str) -> &str {
    path.split(['?', '#']).next().unwrap_or_default()
}

fn check_status(status: StatusCode, headers: &HeaderMap) -> Result<(), Cause> {
    if status == StatusCode::OK {
        return Ok(());
    }
    let location = headers.get(LOCATION).map(|location| String::from_utf8_lossy(location.as_bytes()));
    match location {
        Some(location) if status.is_redirection() => {
            // Neither a query nor what stands before an @ is shown: both may be secrets.
            let location = without_query(&location);
            let location =
                match location.split_once("//").and_then(|(scheme, rest)| Some((scheme, rest.split_once('@')?))) {
                    Some((scheme, (_, host))) => format!("{scheme}//{host}"),
                    None => location.to_owned(),
                };
            let location = location.chars().take(MAX_LOCATION).collect::<String>().escape_debug().to_string();
            Err(Cause::Redirect { status: status.as_u16(), location })
        }
        _ => Err(Cause::Status(status.as_u16())),
    }
}

impl From<hyper::Error> for Cause {
    fn from(error: hyper::Error) -> Self {
        Self::Http(in_full(&error))
    }
}
