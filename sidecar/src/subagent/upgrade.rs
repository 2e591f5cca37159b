//! The HTTP upgrade to AgentX: `GET /agentx` with `Upgrade: agentx`, and the master's response.

use std::{pin::pin, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{AUTHORIZATION, CONNECTION, HOST, UPGRADE, USER_AGENT},
};
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    body::Incoming,
    client::conn::http1::{Builder, SendRequest},
    upgrade::{self, Upgraded},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

/// The longest head of a response, in octets. hyper accepts no lower limit.
const MAX_HEAD: usize = 8 << 10;
/// How much of a body is read to find its first line, in octets.
const MAX_BODY: usize = 1 << 10;
/// How long the body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(1);
/// How much of a line is shown, in characters.
const MAX_LINE: usize = 200;

/// The name of the protocol.
const AGENTX: &str = "agentx";

/// Why the upgrade failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpgradeError {
    /// The master refused.
    #[error("the master responded with {status}{separator}{line}", separator = if line.is_empty() { "" } else { ": " })]
    Refused {
        /// The status of the response.
        status: StatusCode,
        /// The first line of the body, made printable.
        line: String,
    },
    /// The master switched to another protocol.
    #[error("the master responded with 101 without \"Upgrade: agentx\"")]
    OtherProtocol,
    /// There was no response, or it was not HTTP.
    #[error("no HTTP response: {0}")]
    Http(String),
}

/// Requests AgentX on a new connection. Returns the connection and the octets of AgentX that followed the response's head.
pub(super) async fn upgrade<S>(stream: S, authority: &str, token: HeaderValue) -> Result<(S, Bytes), UpgradeError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = Builder::new()
        .max_buf_size(MAX_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| http_error(&error))?;
    let mut connection = pin!(connection.with_upgrades());
    let mut upgraded = pin!(request(&mut sender, authority, token));
    let mut is_driven = true;
    let upgraded = loop {
        tokio::select! {
            biased;
            upgraded = &mut upgraded => break upgraded?,
            // `send_request` returns the error of the connection as well.
            _ = &mut connection, if is_driven => is_driven = false,
        }
    };
    let parts = upgraded.downcast::<TokioIo<S>>().map_err(|_| UpgradeError::OtherProtocol)?;
    Ok((parts.io.into_inner(), parts.read_buf))
}

async fn request(
    sender: &mut SendRequest<Empty<Bytes>>,
    authority: &str,
    token: HeaderValue,
) -> Result<Upgraded, UpgradeError> {
    let request = Request::builder()
        .method(Method::GET)
        .uri("/agentx")
        .header(HOST, authority)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, AGENTX)
        .header(AUTHORIZATION, token)
        .header(USER_AGENT, concat!("snmp-sidecar/", env!("CARGO_PKG_VERSION")))
        .body(Empty::new())
        .map_err(|error| UpgradeError::Http(error.to_string()))?;
    let response = sender.send_request(request).await.map_err(|error| http_error(&error))?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(UpgradeError::Refused { status: response.status(), line: first_line(response).await });
    }
    let is_agentx =
        response.headers().get(UPGRADE).is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(AGENTX.as_bytes()));
    if !is_agentx {
        return Err(UpgradeError::OtherProtocol);
    }
    upgrade::on(response).await.map_err(|error| http_error(&error))
}

/// Returns the first line of a response's body, as far as it arrives in time.
async fn first_line(response: Response<Incoming>) -> String {
    let (mut body, mut octets) = (response.into_body(), Vec::new());
    let read = async {
        while octets.len() < MAX_BODY && !octets.contains(&b'\n') {
            let Some(Ok(frame)) = body.frame().await else { return };
            octets.extend(frame.data_ref().into_iter().flatten().take(MAX_BODY));
        }
    };
    _ = timeout(BODY_TIMEOUT, read).await;
    let line = octets.split(|octet| *octet == b'\n').next().unwrap_or_default();
    printable(String::from_utf8_lossy(line).trim())
}

/// Makes a text from the peer printable: cuts it and escapes control and direction characters.
pub(super) fn printable(text: &str) -> String {
    let mut shown: String = text.chars().take(MAX_LINE).flat_map(escaped).collect();
    if text.chars().nth(MAX_LINE).is_some() {
        shown.push('…');
    }
    shown
}

fn escaped(c: char) -> impl Iterator<Item = char> {
    let escape = (c.is_control()
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}'))
    .then(|| c.escape_default());
    let itself = escape.is_none().then_some(c);
    escape.into_iter().flatten().chain(itself)
}

fn http_error(error: &hyper::Error) -> UpgradeError {
    UpgradeError::Http(printable(&crate::source::in_full(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_the_master_is_cut_and_escaped() {
        assert_eq!(printable("no token"), "no token");
        assert_eq!(printable("a\u{1b}[2J\tb\u{202e}c"), "a\\u{1b}[2J\\tb\\u{202e}c");
        let long = printable(&"é".repeat(1000));
        assert_eq!((long.chars().count(), long.ends_with("é…")), (201, true));
    }
}
