//! The HTTP client of Prometheus and JSON sources, and of HTTP backends of SETs. It keeps one connection per endpoint.
//!
//! The size of the response head, and of the body before and after decompression, is limited. The caller limits the
//! time. Redirects are not followed.

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

use super::{
    error::{Phase, SourceError, in_full},
    exposition::Format,
    ports::NamedPorts,
};
use connection::Connection;
use resolver::Resolver;

const USER_AGENT_VALUE: &str = concat!("snmp-sidecar/", env!("CARGO_PKG_VERSION"));

/// The maximum length of a redirect location in messages, in characters.
const MAX_LOCATION: usize = 200;

/// A request, without the URL and credentials of the endpoint. It has no `Debug`, because a header may be a secret.
pub(crate) struct HttpRequest {
    /// The method.
    pub(crate) method: Method,
    /// Headers in addition to those of the client.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub(crate) body: Bytes,
}

impl HttpRequest {
    /// Returns whether the method is safe, so that the request may be sent again after a failure (RFC 9110 section
    /// 9.2.1).
    fn is_safe(&self) -> bool {
        self.method.is_safe()
    }
}

/// A complete response.
pub(crate) struct HttpResponse {
    /// The status.
    pub(crate) status: StatusCode,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The body, decompressed.
    pub(crate) body: Vec<u8>,
    /// Whether the body is certainly complete, because its length or end was announced.
    pub(crate) delimited: bool,
}

impl HttpResponse {
    /// Returns an error for every status except 200.
    pub(crate) fn check_status(&self) -> Result<(), SourceError> {
        check_status(self.status, &self.headers)
    }
}

/// An HTTP client for one endpoint.
pub(crate) struct Client {
    endpoint: Endpoint,
    /// The directory of the credential and certificate files.
    directory: PathBuf,
    ports: NamedPorts,
    resolver: Resolver,
    tls: tls::TlsClients,
    connection: Option<Connection>,
}

/// The target of a request.
struct Target {
    uri: Uri,
    /// Host and port for the `Host` header.
    host: String,
}

impl Client {
    pub(crate) fn new(endpoint: Endpoint, directory: PathBuf, ports: NamedPorts) -> Self {
        let tls = tls::TlsClients::new(endpoint.tls.clone().unwrap_or_default());
        Self { endpoint, directory, ports, resolver: Resolver::default(), tls, connection: None }
    }

    /// Returns the URL of the endpoint without its query, which may contain a secret.
    pub(crate) fn display_url(&self) -> String {
        let port = match &self.endpoint.port {
            Port::Number(port) => port.to_string(),
            Port::Name(name) => self.ports.resolve(&self.endpoint.port).map_or(name.clone(), |port| port.to_string()),
        };
        format!("{}://{}:{port}{}", self.scheme(), self.host(), without_query(&self.endpoint.path))
    }

    /// Scrapes the endpoint. `begin` gets the format of the body and returns a sink, which gets the decompressed body.
    ///
    /// Returns whether the body is certainly complete. `phase` has the phase that was reached.
    pub(super) async fn scrape<S: FnMut(&[u8]) -> Result<(), SourceError> + Send>(
        &mut self,
        timeout: Duration,
        body_limit: u64,
        phase: &mut Phase,
        begin: impl FnOnce(Format) -> S,
    ) -> Result<bool, SourceError> {
        let seconds = HeaderValue::from_str(&timeout.as_secs_f64().to_string());
        let headers = vec![
            (ACCEPT, HeaderValue::from_static(media_type::ACCEPT)),
            (
                HeaderName::from_static("x-prometheus-scrape-timeout-seconds"),
                seconds.map_err(|error| SourceError::Url(error.to_string()))?,
            ),
        ];
        let request = HttpRequest { method: Method::GET, headers, body: Bytes::new() };
        let (mut connection, mut response) = self.send(&request, phase).await?;
        check_status(response.status(), response.headers())?;
        let mut sink = begin(media_type::format(response.headers())?);
        let delimited = body::read(&mut response, body_limit, phase, &mut sink).await?;
        if connection.is_reusable().await? {
            self.connection = Some(connection);
        }
        Ok(delimited)
    }

    /// Sends a request and receives the complete response, with any status. The caller limits the time by dropping the
    /// future.
    pub(crate) async fn exchange(
        &mut self,
        request: &HttpRequest,
        body_limit: u64,
        phase: &mut Phase,
    ) -> Result<HttpResponse, SourceError> {
        let (mut connection, mut response) = self.send(request, phase).await?;
        let mut body = Vec::new();
        let mut sink = |data: &[u8]| {
            body.extend_from_slice(data);
            Ok(())
        };
        let delimited = body::read(&mut response, body_limit, phase, &mut sink).await?;
        if connection.is_reusable().await? {
            self.connection = Some(connection);
        }
        let (head, _) = response.into_parts();
        Ok(HttpResponse { status: head.status, headers: head.headers, body, delimited })
    }

    /// Checks that the endpoint accepts a connection. Sends no request.
    pub(crate) async fn check_connection(&mut self) -> Result<(), SourceError> {
        let target = self.target()?;
        let tls = match self.endpoint.scheme {
            Scheme::Http => None,
            Scheme::Https => Some(self.tls.current(&self.directory)?.0),
        };
        self.connect(target.uri, tls).await.map(drop)
    }

    /// Sends the request and receives the head of the response.
    ///
    /// The server may have closed the kept connection. A safe request is then sent again over a new connection. Any
    /// other request is always sent over a new connection, so that it is never sent twice.
    async fn send(
        &mut self,
        request: &HttpRequest,
        phase: &mut Phase,
    ) -> Result<(Connection, Response<Incoming>), SourceError> {
        let target = self.target()?;
        let is_safe = request.is_safe();
        let request = self.build_request(&target, request)?;
        if !is_safe {
            self.connection = None;
        }
        let tls = match self.endpoint.scheme {
            Scheme::Http => None,
            Scheme::Https => {
                let (client, changed) = self.tls.current(&self.directory)?;
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

    async fn connect(&self, uri: Uri, tls: Option<Arc<rustls::ClientConfig>>) -> Result<Connection, SourceError> {
        let mut tcp = HttpConnector::new_with_resolver(self.resolver.clone());
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let Some(client) = tls else {
            return Connection::new(tcp.call(uri).await.map_err(|error| SourceError::Connect(in_full(&error)))?).await;
        };
        let mut https = HttpsConnector::new(tcp, client, true, self.server_name()?);
        let stream = https.call(uri).await.map_err(|error| {
            let io = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
            match io {
                Some(tls) => SourceError::Tls(tls.to_string()),
                None => SourceError::Connect(in_full(&*error)),
            }
        })?;
        Connection::new(stream).await
    }

    /// Returns the resolver of the expected name in the certificate of the server.
    fn server_name(&self) -> Result<Arc<dyn ResolveServerName + Send + Sync>, SourceError> {
        match self.endpoint.tls.as_ref().and_then(|tls| tls.server_name.clone()) {
            None => Ok(Arc::new(DefaultServerNameResolver::default())),
            Some(name) => match ServerName::try_from(name) {
                Ok(name) => Ok(Arc::new(FixedServerNameResolver::new(name))),
                Err(_) => Err(SourceError::TlsSettings("serverName is neither a DNS name nor an address".to_owned())),
            },
        }
    }

    fn build_request(&self, target: &Target, parts: &HttpRequest) -> Result<Request<Full<Bytes>>, SourceError> {
        let path = target.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::builder()
            .method(&parts.method)
            .uri(path)
            .header(HOST, &target.host)
            .header(USER_AGENT, USER_AGENT_VALUE)
            .header(ACCEPT_ENCODING, "gzip");
        for (name, value) in &parts.headers {
            request = request.header(name, value);
        }
        if let Some(authorization) = &self.endpoint.authorization {
            request = request.header(AUTHORIZATION, credential::header(authorization, &self.directory)?);
        }
        request.body(Full::new(parts.body.clone())).map_err(|error| SourceError::Url(error.to_string()))
    }

    /// Returns the target of requests.
    fn target(&self) -> Result<Target, SourceError> {
        let path = self.endpoint.path.as_str();
        let port = self.ports.resolve(&self.endpoint.port).ok_or_else(|| match &self.endpoint.port {
            Port::Name(name) => SourceError::UnknownPort(name.clone()),
            Port::Number(port) => SourceError::UnknownPort(port.to_string()),
        })?;
        let host = self.host();
        if host.contains(['/', '@', '?', '#']) || !path.starts_with('/') {
            return Err(SourceError::Url("the host is not a host name, or the path does not begin with /".to_owned()));
        }
        let uri: Uri = format!("{}://{host}:{port}{path}", self.scheme())
            .parse()
            .map_err(|error: hyper::http::uri::InvalidUri| SourceError::Url(error.to_string()))?;
        Ok(Target { uri, host: format!("{host}:{port}") })
    }

    fn scheme(&self) -> &'static str {
        match self.endpoint.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// Returns the host for a URL: an IPv6 address is in brackets.
    fn host(&self) -> String {
        let host = &self.endpoint.host;
        if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.clone() }
    }
}

fn without_query(path: &str) -> &str {
    path.split(['?', '#']).next().unwrap_or_default()
}

fn check_status(status: StatusCode, headers: &HeaderMap) -> Result<(), SourceError> {
    if status == StatusCode::OK {
        return Ok(());
    }
    let location = headers.get(LOCATION).map(|location| String::from_utf8_lossy(location.as_bytes()));
    match location {
        Some(location) if status.is_redirection() => {
            // The query and the user information before an @ are not shown: both may be secrets.
            let location = without_query(&location);
            let location =
                match location.split_once("//").and_then(|(scheme, rest)| Some((scheme, rest.split_once('@')?))) {
                    Some((scheme, (_, host))) => format!("{scheme}//{host}"),
                    None => location.to_owned(),
                };
            let location = location.chars().take(MAX_LOCATION).collect::<String>().escape_debug().to_string();
            Err(SourceError::Redirect { status: status.as_u16(), location })
        }
        _ => Err(SourceError::Status(status.as_u16())),
    }
}

impl From<hyper::Error> for SourceError {
    fn from(error: hyper::Error) -> Self {
        Self::Http(in_full(&error))
    }
}
