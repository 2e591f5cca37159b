//! HTTP requests for AgentX and for registrations, and the responses to them (RFC 9110).

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, UPGRADE, WWW_AUTHENTICATE},
};
use http_body_util::Full;
use hyper::body::Body;
use identity::TokenError;

/// The protocol in the Upgrade header.
const PROTOCOL: &str = "agentx";

/// The kind of a valid request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestKind {
    /// An upgrade to AgentX.
    Agentx,
    /// The registrations of all subagents.
    Registrations,
}

/// An error response. Its body is one line of text.
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

impl From<TokenError> for Refusal {
    fn from(rejected: TokenError) -> Self {
        Self::new(rejected.status(), rejected.to_string())
    }
}

/// Returns the response 101, after which the connection carries AgentX.
pub(super) fn switching_protocols() -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.headers_mut().insert(UPGRADE, HeaderValue::from_static(PROTOCOL));
    answer
}

/// Parses a request. Does not check the token.
///
/// # Errors
/// Returns the error response to an invalid request.
pub(super) fn parse_request<B: Body>(request: &Request<B>) -> Result<RequestKind, Refusal> {
    let kind = match request.uri().path() {
        "/agentx" => RequestKind::Agentx,
        "/registrations" => RequestKind::Registrations,
        _ => return Err(Refusal::new(StatusCode::NOT_FOUND, "not found; use /agentx or /registrations")),
    };
    if request.method() != Method::GET {
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "only GET is supported"));
    }
    if !request.body().is_end_stream() {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "the request must have no body"));
    }
    if kind == RequestKind::Agentx && !is_upgrade(request) {
        let text = "an upgrade to AgentX is required: Connection: Upgrade, Upgrade: agentx";
        return Err(Refusal::new(StatusCode::UPGRADE_REQUIRED, text));
    }
    Ok(kind)
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
    use identity::Token;

    /// Builds a request from a line like `GET /path` and headers like `Name: value`.
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
    #[case("GET /agentx", &UPGRADES, Ok(RequestKind::Agentx))]
    #[case("GET /agentx?x=1", &["connection: keep-alive, upgrade", "upgrade: h2c, AgentX"], Ok(RequestKind::Agentx))]
    #[case("GET /registrations", &[], Ok(RequestKind::Registrations))]
    #[case("GET /agentx", &[], Err(426))]
    #[case("GET /agentx", &["Upgrade: agentx"], Err(426))]
    #[case("GET /agentx", &["Connection: Upgrade", "Upgrade: websocket"], Err(426))]
    #[case("POST /agentx", &UPGRADES, Err(405))]
    #[case("HEAD /registrations", &[], Err(405))]
    #[case("GET /", &[], Err(404))]
    #[case("GET /agentx/", &UPGRADES, Err(404))]
    #[case("GET /metrics", &[], Err(404))]
    fn requests_are_parsed(#[case] line: &str, #[case] headers: &[&str], #[case] expected: Result<RequestKind, u16>) {
        let kind = parse_request(&request(line, headers)).map_err(|refusal| refusal.status.as_u16());
        assert_eq!(kind, expected);
    }

    #[test]
    fn a_body_or_http_1_0_is_refused() {
        let with_body = request("GET /agentx", &UPGRADES).map(|_| Full::<Bytes>::from("x"));
        assert_eq!(parse_request(&with_body).unwrap_err().status, StatusCode::BAD_REQUEST);
        let mut old = request("GET /agentx", &UPGRADES);
        *old.version_mut() = Version::HTTP_10;
        assert_eq!(parse_request(&old).unwrap_err().status, StatusCode::UPGRADE_REQUIRED);
    }

    #[rstest]
    #[case(&["Authorization: Bearer abc"], true)]
    #[case(&["Authorization: bearer abc"], true)]
    #[case(&[], false)]
    #[case(&["Authorization: Basic abc"], false)]
    #[case(&["Authorization: Bearer abc", "Authorization: Bearer def"], false)]
    fn a_request_must_have_exactly_one_token(#[case] headers: &[&str], #[case] is_valid: bool) {
        let found = Token::from_headers(request("GET /agentx", headers).headers());
        assert_eq!(found.is_ok(), is_valid);
        if let Err(rejected) = found {
            assert_eq!(rejected, TokenError::Missing);
        }
    }

    #[test]
    fn a_refusal_has_the_headers_of_its_status() {
        let answer = Refusal::from(TokenError::Expired).into_answer();
        assert_eq!(
            (answer.status(), &answer.headers()[WWW_AUTHENTICATE]),
            (StatusCode::UNAUTHORIZED, &HeaderValue::from_static("Bearer"))
        );
        let answer = Refusal::from(TokenError::Unavailable).into_answer();
        assert_eq!((answer.status().as_u16(), &answer.headers()[RETRY_AFTER]), (503, &HeaderValue::from_static("1")));
    }
}
