//! Tokens of pods, as a kubelet mounts them, signed by nobody: [`crate::TokenReviewer`] believes them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

/// Whom the tokens are for.
const AUDIENCE: &str = "snmp-operator.dev";

/// What a token says.
#[derive(Debug, Clone)]
pub struct PodToken {
    namespace: String,
    pod: String,
    life: Duration,
}

impl PodToken {
    /// For a pod of the ServiceAccount `default`, for an hour.
    pub fn new(namespace: &str, pod: &str) -> Self {
        Self { namespace: namespace.to_owned(), pod: pod.to_owned(), life: Duration::from_hours(1) }
    }

    /// The same, for so long.
    #[must_use]
    pub fn living(self, life: Duration) -> Self {
        Self { life, ..self }
    }

    /// A token that counts from now on.
    pub fn issue(&self) -> Result<String> {
        let now = now()?;
        let Self { namespace, pod, life } = self;
        let claims = json!({
            "aud": [AUDIENCE], "iat": now, "nbf": now, "exp": now + life.as_secs(),
            "sub": format!("system:serviceaccount:{namespace}:default"), "pod": pod,
        });
        let part = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
        Ok(format!("{}.{}.{}", part(r#"{"alg":"RS256"}"#), part(&claims.to_string()), part("signature")))
    }
}

/// The status of a TokenReview of this token. What is no [`PodToken`], or was one, is not authenticated.
pub(crate) fn review(token: &str) -> Value {
    authenticate(token).unwrap_or_else(|_| json!({ "authenticated": false, "error": "invalid bearer token" }))
}

fn authenticate(token: &str) -> Result<Value> {
    let claims = token.split('.').nth(1).context("no payload")?;
    let claims: Value = serde_json::from_slice(&BASE64URL_NOPAD.decode(claims.as_bytes())?)?;
    let pod = claims.get("pod").and_then(Value::as_str).context("no pod")?;
    let expires = claims.get("exp").and_then(Value::as_u64).context("no end")?;
    anyhow::ensure!(now()? < expires, "it has expired");
    Ok(json!({
        "authenticated": true,
        "audiences": [AUDIENCE],
        "user": {"username": claims.get("sub"), "extra": {
            "authentication.kubernetes.io/pod-name": [pod],
            "authentication.kubernetes.io/pod-uid": [format!("uid-{pod}")],
        }},
    }))
}

fn now() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}
