//! From HTTP to AgentX: `GET /agentx` with `Upgrade: agentx`, and the master's answer.

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

/// The longest head of an answer, in octets. The client takes no smaller bound.
const HEAD: usize = 8 << 10;
/// So much of a body is read to find its first line, in octets,
const BODY: usize = 1 << 10;
/// for this long,
const BODY_TIME: Duration = Duration::from_secs(1);
/// and so much of that is shown, in characters.
const LINE: usize = 200;

/// The protocol that is asked for.
const AGENTX: &str = "agentx";

/// Why there is no AgentX.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpgradeError {
    /// The master does not want this client, or not now.
    #[error("the master answered {status}{separator}{line}", separator = if line.is_empty() { "" } else { ": " })]
    Refused {
        /// What it answered.
        status: StatusCode,
        /// The first line of the answer's body, fit to be shown.
        line: String,
    },
    /// Something else was agreed to.
    #[error("the master answered 101 without \"Upgrade: agentx\"")]
    OtherProtocol,
    /// No answer, or none that is HTTP.
    #[error("no HTTP answer: {0}")]
    Http(String),
}

/// Asks for AgentX on a new connection. The answer is the connection, and the octets of AgentX that came with the head.
pub(super) async fn upgrade<S>(stream: S, authority: &str, token: HeaderValue) -> Result<(S, Bytes), UpgradeError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        Builder::new().max_buf_size(HEAD).handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    let mut connection = pin!(connection.with_upgrades());
    let mut upgraded = pin!(ask(&mut sender, authority, token));
    let mut is_driven = true;
    let upgraded = loop {
        tokio::select! {
            biased;
            upgraded = &mut upgraded => break upgraded?,
            // What went wrong there is told to who waits for the answer.
            _ = &mut connection, if is_driven => is_driven = false,
        }
    };
    let parts = upgraded.downcast::<TokioIo<S>>().map_err(|_| UpgradeError::OtherProtocol)?;
    Ok((parts.io.into_inner(), parts.read_buf))
}

async fn ask(
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
    let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(UpgradeError::Refused { status: response.status(), line: first_line(response).await });
    }
    let agreed =
        response.headers().get(UPGRADE).is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(AGENTX.as_bytes()));
    if !agreed {
        return Err(UpgradeError::OtherProtocol);
    }
    upgrade::on(response).await.map_err(|error| broken(&error))
}

/// What the body of an answer begins with, as far as it comes soon.
async fn first_line(response: Response<Incoming>) -> String {
    let (mut body, mut octets) = (response.into_body(), Vec::new());
    let read = async {
        while octets.len() < BODY && !octets.contains(&b'\n') {
            let Some(Ok(frame)) = body.frame().await else { return };
            octets.extend(frame.data_ref().into_iter().flatten().take(BODY));
        }
    };
    _ = timeout(BODY_TIME, read).await;
    let line = octets.split(|octet| *octet == b'\n').next().unwrap_or_default();
    printable(String::from_utf8_lossy(line).trim())
}

/// A text of someone else's, fit to be shown: not long, and nothing in it that moves a cursor.
pub(super) fn printable(text: &str) -> String {
    let mut shown: String = text.chars().take(LINE).flat_map(escaped).collect();
    if text.chars().nth(LINE).is_some() {
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

fn broken(error: &hyper::Error) -> UpgradeError {
    UpgradeError::Http(printable(&crate::source::in_full(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_master_says_is_cut_and_escaped() {
        assert_eq!(printable("no token"), "no token");
        assert_eq!(printable("a\u{1b}[2J\tb\u{202e}c"), "a\\u{1b}[2J\\tb\\u{202e}c");
        let long = printable(&"é".repeat(1000));
        assert_eq!((long.chars().count(), long.ends_with("é…")), (201, true));
    }
}
