//! HTTP towards a source: one GET per scrape, over a connection that is kept.
//!
//! Everything that the server sends is bounded: the head of the response, the body before and after decompression,
//! and, by the caller, the time. Redirects are not followed.

mod body;
mod connection;
mod credential;
mod media_type;
mod resolver;
mod tls;

#[cfg(test)]
mod tests;

use std::{path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::{
    Request, Response, StatusCode, Uri,
    body::Incoming,
    header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, HOST, LOCATION, USER_AGENT},
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

/// An HTTP client of one endpoint.
pub(super) struct Client {
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
    pub(super) fn new(endpoint: Endpoint, folder: PathBuf, ports: NamedPorts) -> Self {
        let tls = tls::Clients::new(endpoint.tls.clone().unwrap_or_default());
        Self { endpoint, folder, ports, resolver: Resolver::default(), tls, connection: None }
    }

    /// The endpoint's URL without its query, which may hold a secret.
    pub(super) fn display_url(&self) -> String {
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
        let (mut connection, mut response) = self.request(timeout, phase).await?;
        check_status(&response)?;
        let mut sink = begin(media_type::format(response.headers())?);
        let delimited = body::read(&mut response, body_limit, phase, &mut sink).await?;
        if connection.settle().await? {
            self.connection = Some(connection);
        }
        Ok(delimited)
    }

    /// Sends the request, and gets the head of the response. A kept connection may have been closed by the server in
    /// the meantime: then the request is sent once more over a new one.
    async fn request(
        &mut self,
        timeout: Duration,
        phase: &mut Phase,
    ) -> Result<(Connection, Response<Incoming>), Cause> {
        let target = self.target()?;
        let request = self.make_request(&target, timeout)?;
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

    fn make_request(&self, target: &Target, timeout: Duration) -> Result<Request<Empty<Bytes>>, Cause> {
        let path = target.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::get(path)
            .header(HOST, &target.host)
            .header(USER_AGENT, AGENT)
            .header(ACCEPT, media_type::ACCEPT)
            .header(ACCEPT_ENCODING, "gzip")
            .header("x-prometheus-scrape-timeout-seconds", timeout.as_secs_f64().to_string());
        if let Some(authorization) = &self.endpoint.authorization {
            request = request.header(AUTHORIZATION, credential::header(authorization, &self.folder)?);
        }
        request.body(Empty::new()).map_err(|error| Cause::Url(error.to_string()))
    }

    fn target(&self) -> Result<Target, Cause> {
        let port = self.ports.resolve(&self.endpoint.port).ok_or_else(|| match &self.endpoint.port {
            Port::Name(name) => Cause::UnknownPort(name.clone()),
            Port::Number(port) => Cause::UnknownPort(port.to_string()),
        })?;
        let host = self.host();
        if host.contains(['/', '@', '?', '#']) || !self.endpoint.path.starts_with('/') {
            return Err(Cause::Url("the host is not a host name, or the path does not begin with /".to_owned()));
        }
        let uri: Uri = format!("{}://{host}:{port}{}", self.scheme(), self.endpoint.path)
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

fn check_status(response: &Response<Incoming>) -> Result<(), Cause> {
    let status = response.status();
    if status == StatusCode::OK {
        return Ok(());
    }
    let location = response.headers().get(LOCATION).map(|location| String::from_utf8_lossy(location.as_bytes()));
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
