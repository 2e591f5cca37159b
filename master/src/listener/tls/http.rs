//! What is asked by HTTP, and how that is answered (RFC 9110).

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, UPGRADE, WWW_AUTHENTICATE},
};
use http_body_util::Full;
use hyper::body::Body;

use crate::identity::Rejected;

/// What it is upgraded to.
const PROTOCOL: &str = "agentx";

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// AgentX from here on.
    Agentx,
    /// What is published.
    Registrations,
}

/// An error, as it is answered: in one line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    text: String,
}

pub(super) type Answer = Response<Full<Bytes>>;

impl Refusal {
    pub(super) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    pub(super) fn into_answer(self) -> Answer {
        let mut answer = Response::new(Full::from(format!("{}\n", self.text)));
        *answer.status_mut() = self.status;
        let mut set = |name: HeaderName, value| _ = answer.headers_mut().insert(name, HeaderValue::from_static(value));
        set(CONTENT_TYPE, "text/plain; charset=utf-8");
        match self.status {
            StatusCode::UNAUTHORIZED => set(WWW_AUTHENTICATE, "Bearer"),
            StatusCode::METHOD_NOT_ALLOWED => set(ALLOW, "GET"),
            StatusCode::UPGRADE_REQUIRED => set(UPGRADE, PROTOCOL),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => set(RETRY_AFTER, "1"),
            _ => {}
        }
        let connection = if self.status == StatusCode::UPGRADE_REQUIRED { "upgrade, close" } else { "close" };
        set(CONNECTION, connection);
        answer
    }
}

impl From<Rejected> for Refusal {
    fn from(rejected: Rejected) -> Self {
        Self::new(rejected.status(), rejected.to_string())
    }
}

/// That it is AgentX from here on.
pub(super) fn switching() -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.headers_mut().insert(UPGRADE, HeaderValue::from_static(PROTOCOL));
    answer
}

/// What a request asks for, whoever asks.
///
/// # Errors
/// Why it asks for nothing that there is.
pub(super) fn asked<B: Body>(request: &Request<B>) -> Result<Asked, Refusal> {
    let asked = match request.uri().path() {
        "/agentx" => Asked::Agentx,
        "/registrations" => Asked::Registrations,
        _ => return Err(Refusal::new(StatusCode::NOT_FOUND, "there is nothing here")),
    };
    if request.method() != Method::GET {
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered here"));
    }
    if !request.body().is_end_stream() {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "the request must have no body"));
    }
    if asked == Asked::Agentx && !is_upgrade(request) {
        let text = "this is for AgentX: Connection: Upgrade, Upgrade: agentx";
        return Err(Refusal::new(StatusCode::UPGRADE_REQUIRED, text));
    }
    Ok(asked)
}

fn is_upgrade<B>(request: &Request<B>) -> bool {
    let has = |name: HeaderName, wanted: &str| {
        let values = request.headers().get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        let mut words = values.flat_map(|value| value.split(','));
        words.any(|word| word.trim().eq_ignore_ascii_case(wanted))
    };
    request.version() == Version::HTTP_11 && has(CONNECTION, "upgrade") && has(UPGRADE, PROTOCOL)
}

#[cfg(test)]
mod tests {
    use http_body_util::Empty;
    use rstest::rstest;

    use super::*;
    use crate::identity::Token;

    /// A request as `GET /path`, with headers as `Name: value`.
    fn request(line: &str, headers: &[&str]) -> Request<Empty<Bytes>> {
        let (method, path) = line.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(path);
        for header in headers {
            let (name, value) = header.split_once(": ").unwrap();
            request = request.header(name, value);
        }
        request.body(Empty::new()).unwrap()
    }

    const UPGRADES: [&str; 2] = ["Connection: Upgrade", "Upgrade: agentx"];

    #[rstest]
    #[case("GET /agentx", &UPGRADES, Ok(Asked::Agentx))]
    #[case("GET /agentx?x=1", &["connection: keep-alive, upgrade", "upgrade: h2c, AgentX"], Ok(Asked::Agentx))]
    #[case("GET /registrations", &[], Ok(Asked::Registrations))]
    #[case("GET /agentx", &[], Err(426))]
    #[case("GET /agentx", &["Upgrade: agentx"], Err(426))]
    #[case("GET /agentx", &["Connection: Upgrade", "Upgrade: websocket"], Err(426))]
    #[case("POST /agentx", &UPGRADES, Err(405))]
    #[case("HEAD /registrations", &[], Err(405))]
    #[case("GET /", &[], Err(404))]
    #[case("GET /agentx/", &UPGRADES, Err(404))]
    #[case("GET /metrics", &[], Err(404))]
    fn a_request_is_for_one_of_two_things(
        #[case] line: &str,
        #[case] headers: &[&str],
        #[case] expected: Result<Asked, u16>,
    ) {
        let asked = asked(&request(line, headers)).map_err(|refusal| refusal.status.as_u16());
        assert_eq!(asked, expected);
    }

    #[test]
    fn a_body_or_an_old_version_is_refused() {
        let with_body = request("GET /agentx", &UPGRADES).map(|_| Full::<Bytes>::from("x"));
        assert_eq!(asked(&with_body).unwrap_err().status, StatusCode::BAD_REQUEST);
        let mut old = request("GET /agentx", &UPGRADES);
        *old.version_mut() = Version::HTTP_10;
        assert_eq!(asked(&old).unwrap_err().status, StatusCode::UPGRADE_REQUIRED);
    }

    #[rstest]
    #[case(&["Authorization: Bearer abc"], true)]
    #[case(&["Authorization: bearer abc"], true)]
    #[case(&[], false)]
    #[case(&["Authorization: Basic abc"], false)]
    #[case(&["Authorization: Bearer abc", "Authorization: Bearer def"], false)]
    fn one_token_comes_with_a_request(#[case] headers: &[&str], #[case] is_there: bool) {
        let found = Token::from_headers(request("GET /agentx", headers).headers());
        assert_eq!(found.is_ok(), is_there);
        if let Err(rejected) = found {
            assert_eq!(rejected, Rejected::Missing);
        }
    }

    #[test]
    fn a_refusal_is_one_line_and_says_what_would_help() {
        let answer = Refusal::from(Rejected::Expired).into_answer();
        assert_eq!(
            (answer.status(), &answer.headers()[WWW_AUTHENTICATE]),
            (StatusCode::UNAUTHORIZED, &HeaderValue::from_static("Bearer"))
        );
        let answer = Refusal::from(Rejected::Unavailable).into_answer();
        assert_eq!((answer.status().as_u16(), &answer.headers()[RETRY_AFTER]), (503, &HeaderValue::from_static("1")));
    }
}
