//! Tokens, and a fake TokenReview.

use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::BASE64URL_NOPAD;
use futures::future::BoxFuture;
use identity::{AUDIENCE, ReviewError, Reviewer, Token};
use k8s_openapi::api::authentication::v1::TokenReviewStatus;
use serde_json::{Value, json};

/// The claims of a token.
#[derive(Clone)]
pub(crate) struct Claims<'a> {
    /// The audience.
    pub(crate) audience: &'a str,
    /// Seconds until the token expires.
    pub(crate) expires_in: i64,
    /// The user name.
    pub(crate) user: String,
    /// The name of the pod.
    pub(crate) pod: String,
}

impl Claims<'_> {
    /// Returns claims of a pod with the ServiceAccount `default`, or `snmp-operator` in the namespace `snmp-system`.
    pub(crate) fn of(namespace: &str, pod: &str) -> Self {
        let account = if namespace == "snmp-system" { "snmp-operator" } else { "default" };
        let user = format!("system:serviceaccount:{namespace}:{account}");
        Self { audience: AUDIENCE, expires_in: 3_600, user, pod: pod.to_owned() }
    }

    /// Returns the token. Its signature selects the result of the fake review.
    pub(crate) fn signed(&self, signature: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed();
        let expires = now + self.expires_in;
        let claims = json!({"aud": [self.audience], "exp": expires, "sub": self.user, "pod": self.pod});
        let part = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
        format!("{}.{}.{}", part(r#"{"alg":"none"}"#), part(&claims.to_string()), part(signature))
    }
}

/// A reviewer whose results are selected by the signatures of tokens.
pub(crate) struct FakeReviewer;

impl Reviewer for FakeReviewer {
    fn review<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, Result<TokenReviewStatus, ReviewError>> {
        let status = review(token.expose());
        Box::pin(async move { status.map(|status| serde_json::from_value(status).unwrap()).ok_or_else(lost) })
    }
}

fn lost() -> ReviewError {
    ReviewError("selected by the test".to_owned())
}

/// Returns the status of a TokenReview, or `None` if the reviewer is to be unreachable.
pub(crate) fn review(token: &str) -> Option<Value> {
    let parts: Vec<_> = token.split('.').map(|part| BASE64URL_NOPAD.decode(part.as_bytes()).unwrap()).collect();
    let claims: Value = serde_json::from_slice(&parts[1]).unwrap();
    let pod = claims["pod"].as_str().unwrap();
    let mut status = json!({
        "authenticated": true,
        "audiences": [AUDIENCE],
        "user": {"username": claims["sub"], "extra": {
            "authentication.kubernetes.io/pod-name": [pod],
            "authentication.kubernetes.io/pod-uid": [format!("uid-{pod}")],
        }},
    });
    match parts[2].as_slice() {
        b"good" => {}
        b"other-audience" => status["audiences"] = json!(["other"]),
        b"a-person" => status["user"]["username"] = json!("alice"),
        b"unreachable" => return None,
        _ => status = json!({"authenticated": false, "error": "invalid bearer token"}),
    }
    Some(status)
}
