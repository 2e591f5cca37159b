//! The backends of SETs: the application's HTTP endpoints, and ConfigMaps, which are written through the operator.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use hyper::{
    Method, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use serde::Deserialize;
use serde_json::json;
use sidecar_config::{Authorization, Endpoint, HttpWrite, Port, Scheme, Tls, WriteKind, WriteMethod};

use super::{target::Target, text::ValueText};
use crate::source::{
    NamedPorts, Phase, SourceError, SourceSettings,
    http::{Client, HttpRequest, HttpResponse, credential},
};

/// The longest response to a write that is read, in octets. Its content is not used.
const MAX_RESPONSE: u64 = 64 << 10;
/// The longest response with a ConfigMap, in octets: a ConfigMap holds 1 MiB, and JSON may escape each octet.
const MAX_CONFIG_MAP: u64 = 8 << 20;
/// The longest part of the operator's message that is shown, in characters.
const MAX_MESSAGE: usize = 300;

/// The operator's endpoint for ConfigMaps, and the files that authenticate both sides.
#[derive(Debug, Clone)]
pub(crate) struct OperatorEndpoint {
    /// Its URL.
    pub(crate) url: OperatorUrl,
    /// The CA certificates that the operator's certificate is verified against.
    pub(crate) ca: PathBuf,
    /// The pod's ServiceAccount token.
    pub(crate) token: PathBuf,
}

/// A URL of the form `https://HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OperatorUrl {
    host: String,
    port: u16,
}

impl std::str::FromStr for OperatorUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let authority = text.strip_prefix("https://").ok_or("does not begin with https://")?;
        let uri: hyper::http::uri::Authority =
            authority.trim_end_matches('/').parse().map_err(|_| "is not https://HOST:PORT")?;
        if authority.contains('@') {
            return Err("has a user in it".to_owned());
        }
        Ok(Self { host: uri.host().to_owned(), port: uri.port_u16().unwrap_or(443) })
    }
}

/// A failed read or write.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct WriteError {
    /// The reason. It contains no values.
    message: String,
    effect: Effect,
}

/// What a failed write has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// Nothing; another attempt may succeed.
    None,
    /// Nothing, and other attempts will fail as well.
    Refused,
    /// Unknown.
    Unknown,
}

/// A ConfigMap.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConfigMap {
    pub(super) resource_version: String,
    /// The keys that subtrees of the namespace write, and their texts.
    pub(super) data: BTreeMap<String, String>,
}

/// The body of the operator's response when it refuses.
#[derive(Deserialize)]
struct Refusal {
    message: String,
}

/// The backends of SETs: HTTP endpoints of the application, and ConfigMaps.
pub(crate) struct Backends {
    directory: PathBuf,
    ports: NamedPorts,
    operator: Option<OperatorEndpoint>,
}

impl WriteError {
    /// Returns an error that occurred before anything was sent.
    pub(super) fn not_sent(message: impl Into<String>) -> Self {
        Self { message: message.into(), effect: Effect::None }
    }

    /// Returns the error of a passed deadline.
    pub(super) fn timeout() -> Self {
        Self { message: "timed out".to_owned(), effect: Effect::Unknown }
    }

    /// Returns an error that occurred in this phase, without a response.
    fn in_phase(phase: Phase, cause: &SourceError) -> Self {
        let effect = if phase == Phase::Connecting { Effect::None } else { Effect::Unknown };
        Self { message: cause.to_string(), effect }
    }

    /// Returns the error of a response with this status.
    fn response(status: StatusCode, message: String) -> Self {
        let effect = match status.as_u16() {
            // Other credentials or a later attempt may succeed.
            401 | 403 | 408 | 409 | 425 | 429 => Effect::None,
            300..=499 => Effect::Refused,
            _ => Effect::Unknown,
        };
        Self { message, effect }
    }

    /// Returns whether it is certain that nothing was written.
    pub(super) fn nothing_written(&self) -> bool {
        self.effect != Effect::Unknown
    }

    /// Returns whether further attempts are useless.
    pub(super) fn is_final(&self) -> bool {
        self.effect == Effect::Refused
    }
}

impl Backends {
    /// Creates the backends. Credentials are in the directory of `settings`; without an operator ConfigMaps cannot be
    /// written.
    pub(crate) fn new(settings: &SourceSettings, operator: Option<OperatorEndpoint>) -> Self {
        Self { directory: settings.directory.clone(), ports: settings.ports.clone(), operator }
    }

    fn client(&self, endpoint: &Endpoint) -> Client {
        Client::new(endpoint.clone(), self.directory.clone(), self.ports.clone())
    }

    /// Checks that an endpoint accepts connections.
    pub(super) async fn check(&self, http: &HttpWrite) -> Result<(), WriteError> {
        self.client(&http.endpoint).check_connection().await.map_err(|cause| WriteError::not_sent(cause.to_string()))
    }

    /// Sends the request that writes a value. Only a response with a status of 2xx is a success.
    pub(super) async fn send(&self, http: &HttpWrite, text: &ValueText) -> Result<(), WriteError> {
        let body = text.body(http.body.as_deref());
        let content_type =
            if http.body.as_ref().is_some_and(|template| template.trim_start().starts_with(['{', '[', '"'])) {
                "application/json"
            } else {
                "text/plain; charset=utf-8"
            };
        let request = HttpRequest {
            method: match http.method {
                WriteMethod::Put => Method::PUT,
                WriteMethod::Post => Method::POST,
                WriteMethod::Patch => Method::PATCH,
            },
            headers: vec![(CONTENT_TYPE, HeaderValue::from_static(content_type))],
            body: body.into(),
        };
        let mut phase = Phase::default();
        let reply = self.client(&http.endpoint).exchange(&request, MAX_RESPONSE, &mut phase).await;
        let status = reply.map_err(|cause| WriteError::in_phase(phase, &cause))?.status;
        if status.is_success() {
            return Ok(());
        }
        Err(WriteError::response(status, format!("the application responded with status {}", status.as_u16())))
    }

    /// Reads a ConfigMap.
    pub(super) async fn read(&self, name: &str) -> Result<ConfigMap, WriteError> {
        let reply = self.call_operator(name, Method::GET, Bytes::new(), MAX_CONFIG_MAP).await?;
        serde_json::from_slice(&reply.body)
            .map_err(|error| WriteError::not_sent(format!("the operator's response is invalid: {error}")))
    }

    /// Writes keys of a ConfigMap and deletes those without a text. With a `version`, fails if the ConfigMap has another.
    pub(super) async fn change(
        &self,
        name: &str,
        version: Option<&str>,
        data: &BTreeMap<String, Option<String>>,
    ) -> Result<(), WriteError> {
        let mut body = json!({ "data": data });
        if let (Some(version), Some(body)) = (version, body.as_object_mut()) {
            body.insert("resourceVersion".to_owned(), version.into());
        }
        self.call_operator(name, Method::PATCH, body.to_string().into(), MAX_RESPONSE).await.map(drop)
    }

    /// Writes the previous value of an object, or deletes the key that did not exist before.
    pub(super) async fn restore(&self, target: &Target, old: Option<&ValueText>) -> Result<(), WriteError> {
        match (&target.kind, old) {
            (WriteKind::Http(http), Some(old)) => self.send(http, old).await,
            (WriteKind::Http(_), None) => Ok(()),
            (WriteKind::ConfigMap(key), old) => {
                let data = BTreeMap::from([(key.key.clone(), old.map(|old| old.value.clone()))]);
                self.change(&key.name, None, &data).await
            }
        }
    }

    async fn call_operator(
        &self,
        name: &str,
        method: Method,
        body: Bytes,
        limit: u64,
    ) -> Result<HttpResponse, WriteError> {
        let Some(OperatorEndpoint { url, ca, token }) = &self.operator else {
            return Err(WriteError::not_sent("ConfigMaps are written through the operator, but --operator is not set"));
        };
        let (Some((ca_directory, ca_file)), Some((token_directory, token_file))) = (split(ca), split(token)) else {
            return Err(WriteError::not_sent("--master-ca or --master-token is not the path of a file"));
        };
        let bearer = Authorization::Bearer { credentials_file: token_file };
        let authorization =
            credential::header(&bearer, token_directory).map_err(|cause| WriteError::not_sent(cause.to_string()))?;
        let endpoint = Endpoint {
            scheme: Scheme::Https,
            host: url.host.clone(),
            port: Port::Number(url.port),
            path: format!("/v1/configmaps/{name}"),
            authorization: None,
            tls: Some(Tls { ca_file: Some(ca_file), ..Tls::default() }),
        };
        let headers =
            vec![(AUTHORIZATION, authorization), (CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        let request = HttpRequest { method, headers, body };
        let mut phase = Phase::default();
        let mut client = Client::new(endpoint, ca_directory.to_owned(), NamedPorts::default());
        let reply = client.exchange(&request, limit, &mut phase).await;
        let reply = reply.map_err(|cause| WriteError::in_phase(phase, &cause))?;
        if reply.status.is_success() {
            return Ok(reply);
        }
        let message = serde_json::from_slice(&reply.body).map_or_else(|_| String::new(), |Refusal { message }| message);
        let message: String = message.escape_debug().take(MAX_MESSAGE).collect();
        Err(WriteError::response(
            reply.status,
            format!("the operator responded with status {}: {message}", reply.status.as_u16()),
        ))
    }
}

/// Splits the path of a file into its directory and its name.
fn split(path: &Path) -> Option<(&Path, String)> {
    Some((path.parent()?, path.file_name()?.to_str()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("https://snmp-operator-writes.snmp-system.svc:9444", Ok(("snmp-operator-writes.snmp-system.svc", 9444)))]
    #[case("https://[::1]:9444/", Ok(("[::1]", 9444)))]
    #[case("https://host", Ok(("host", 443)))]
    #[case("http://host", Err("does not begin with https://"))]
    #[case("https://host/path", Err("is not https://HOST:PORT"))]
    #[case("https://user@host", Err("has a user in it"))]
    #[case("https://", Err("is not https://HOST:PORT"))]
    fn operator_url_is_parsed(#[case] text: &str, #[case] expected: Result<(&str, u16), &str>) {
        let url = text.parse::<OperatorUrl>();
        let url = url.as_ref().map(|url| (url.host.as_str(), url.port)).map_err(String::as_str);
        assert_eq!(url, expected);
    }
}
