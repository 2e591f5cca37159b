//! Where SETs go: the application's HTTP endpoint, and ConfigMaps by way of the operator.

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
use sidecar_config::{Authorization, Endpoint, HttpWrite, Port, Scheme, Tls, WriteMethod};

use super::Text;
use crate::source::{
    Cause, NamedPorts, Phase, Place,
    http::{Ask, Client, Reply, credential},
};

/// The longest answer to a write that is read, in octets. No one needs what it says.
const ANSWER: u64 = 64 << 10;
/// The longest answer with a ConfigMap: it holds 1 MiB, and JSON may escape each octet.
const CONFIG_MAP: u64 = 8 << 20;
/// The longest that is shown of what the operator says, in characters.
const MESSAGE: usize = 300;

/// The operator's endpoint for ConfigMaps, and how to be let in.
#[derive(Debug, Clone)]
pub struct Operator {
    /// Its URL, `https://HOST:PORT`.
    pub url: OperatorUrl,
    /// Certificates that its own is to be signed by one of.
    pub ca: PathBuf,
    /// The pod's token.
    pub token: PathBuf,
}

/// `https://HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorUrl {
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

/// A write that was not done, or of which nobody knows.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// What is the matter, without values.
    message: String,
    extent: Extent,
}

/// How much of a write was done that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// Nothing: it can be tried again.
    Nothing,
    /// Nothing, and it never will be.
    Refused,
    /// Nobody knows.
    Unknown,
}

/// A ConfigMap as it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMap {
    /// Its version.
    pub resource_version: String,
    /// Its keys that subtrees of the namespace write.
    pub data: BTreeMap<String, String>,
}

/// What the operator says when it refuses.
#[derive(Deserialize)]
struct Said {
    message: String,
}

/// Everything outside that is written.
pub struct Outside {
    folder: PathBuf,
    ports: NamedPorts,
    operator: Option<Operator>,
}

impl Fault {
    /// Before anything was sent.
    pub(super) fn before(message: impl Into<String>) -> Self {
        Self { message: message.into(), extent: Extent::Nothing }
    }

    /// Nobody waits for it any longer.
    pub(super) fn late() -> Self {
        Self { message: "the time for it is over".to_owned(), extent: Extent::Unknown }
    }

    /// Without an answer, in this phase.
    fn at(phase: Phase, cause: &Cause) -> Self {
        let extent = if phase == Phase::Connecting { Extent::Nothing } else { Extent::Unknown };
        Self { message: cause.to_string(), extent }
    }

    /// By an answer with this status.
    fn answered(status: StatusCode, message: String) -> Self {
        let extent = match status.as_u16() {
            // Other credentials, another moment.
            401 | 403 | 408 | 409 | 425 | 429 => Extent::Nothing,
            300..=499 => Extent::Refused,
            _ => Extent::Unknown,
        };
        Self { message, extent }
    }

    /// Whether it is certain that nothing was written.
    #[must_use]
    pub fn nothing_written(&self) -> bool {
        self.extent != Extent::Unknown
    }

    /// Whether to try again is of no use.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.extent == Extent::Refused
    }
}

impl Outside {
    /// With credentials in the folder of `place`; without an operator there are no ConfigMaps.
    #[must_use]
    pub fn new(place: &Place, operator: Option<Operator>) -> Self {
        Self { folder: place.folder.clone(), ports: place.ports.clone(), operator }
    }

    fn client(&self, endpoint: &Endpoint) -> Client {
        Client::new(endpoint.clone(), self.folder.clone(), self.ports.clone())
    }

    /// Whether the endpoint takes connections.
    ///
    /// # Errors
    /// It does not, or there is no knowing how to reach it.
    pub async fn knock(&self, http: &HttpWrite) -> Result<(), Fault> {
        self.client(&http.endpoint).knock().await.map_err(|cause| Fault::before(cause.to_string()))
    }

    /// Sends the request of a SET.
    ///
    /// # Errors
    /// Any answer but one of 2xx, or none.
    pub async fn send(&self, http: &HttpWrite, text: &Text) -> Result<(), Fault> {
        let body = text.body(http.body.as_deref());
        let content_type =
            if http.body.as_ref().is_some_and(|template| template.trim_start().starts_with(['{', '[', '"'])) {
                "application/json"
            } else {
                "text/plain; charset=utf-8"
            };
        let ask = Ask {
            method: match http.method {
                WriteMethod::Put => Method::PUT,
                WriteMethod::Post => Method::POST,
                WriteMethod::Patch => Method::PATCH,
            },
            headers: vec![(CONTENT_TYPE, HeaderValue::from_static(content_type))],
            body: body.into(),
        };
        let mut phase = Phase::default();
        let reply = self.client(&http.endpoint).exchange(&ask, ANSWER, &mut phase).await;
        let status = reply.map_err(|cause| Fault::at(phase, &cause))?.status;
        if status.is_success() {
            return Ok(());
        }
        Err(Fault::answered(status, format!("the application answers with status {}", status.as_u16())))
    }

    /// Reads a ConfigMap.
    ///
    /// # Errors
    /// The operator's, which says why; or it cannot be reached.
    pub async fn read(&self, name: &str) -> Result<ConfigMap, Fault> {
        let reply = self.ask_operator(name, Method::GET, Bytes::new(), CONFIG_MAP).await?;
        serde_json::from_slice(&reply.body)
            .map_err(|error| Fault::before(format!("the operator's answer is not as it should be: {error}")))
    }

    /// Writes keys of a ConfigMap, or takes those away that have no text; of the one with this version alone, if any is given.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn change(
        &self,
        name: &str,
        version: Option<&str>,
        data: &BTreeMap<String, Option<String>>,
    ) -> Result<(), Fault> {
        let mut body = json!({ "data": data });
        if let (Some(version), Some(body)) = (version, body.as_object_mut()) {
            body.insert("resourceVersion".to_owned(), version.into());
        }
        self.ask_operator(name, Method::PATCH, body.to_string().into(), ANSWER).await.map(drop)
    }

    async fn ask_operator(&self, name: &str, method: Method, body: Bytes, limit: u64) -> Result<Reply, Fault> {
        let Some(Operator { url, ca, token }) = &self.operator else {
            return Err(Fault::before("ConfigMaps are written by way of the operator: --operator is not given"));
        };
        let (Some((ca_folder, ca_file)), Some((token_folder, token_file))) = (parts(ca), parts(token)) else {
            return Err(Fault::before("the files of --master-ca and --master-token have no names"));
        };
        let bearer = Authorization::Bearer { credentials_file: token_file };
        let authorization =
            credential::header(&bearer, token_folder).map_err(|cause| Fault::before(cause.to_string()))?;
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
        let ask = Ask { method, headers, body };
        let mut phase = Phase::default();
        let mut client = Client::new(endpoint, ca_folder.to_owned(), NamedPorts::default());
        let reply = client.exchange(&ask, limit, &mut phase).await.map_err(|cause| Fault::at(phase, &cause))?;
        if reply.status.is_success() {
            return Ok(reply);
        }
        let said = serde_json::from_slice(&reply.body).map_or_else(|_| String::new(), |Said { message }| message);
        let said: String = said.escape_debug().take(MESSAGE).collect();
        Err(Fault::answered(
            reply.status,
            format!("the operator answers with status {}: {said}", reply.status.as_u16()),
        ))
    }
}

/// A file's folder and its name.
fn parts(path: &Path) -> Option<(&Path, String)> {
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
    fn the_operator_has_a_url(#[case] text: &str, #[case] expected: Result<(&str, u16), &str>) {
        let url = text.parse::<OperatorUrl>();
        let url = url.as_ref().map(|url| (url.host.as_str(), url.port)).map_err(String::as_str);
        assert_eq!(url, expected);
    }
}
