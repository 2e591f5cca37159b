//! ServiceAccount tokens of pods, as the kubelet mounts them, but without a valid signature. [`crate::TokenReviewer`]
//! authenticates them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

/// The audience of the tokens.
const AUDIENCE: &str = "snmp-operator.dev";

/// The claims of a token.
#[derive(Debug, Clone)]
pub struct PodToken {
    namespace: String,
    pod: String,
    lifetime: Duration,
}

impl PodToken {
    /// Returns the claims of a pod of the ServiceAccount `default`, valid for an hour.
    pub fn new(namespace: &str, pod: &str) -> Self {
        Self { namespace: namespace.to_owned(), pod: pod.to_owned(), lifetime: Duration::from_hours(1) }
    }

    /// Sets how long each token is valid.
    #[must_use]
    pub fn with_lifetime(self, lifetime: Duration) -> Self {
        Self { lifetime, ..self }
    }

    /// Returns a token that is valid from now on.
    pub fn issue(&self) -> Result<String> {
        let now = now()?;
        let Self { namespace, pod, lifetime } = self;
        let claims = json!({
            "aud": [AUDIENCE], "iat": now, "nbf": now, "exp": now + lifetime.as_secs(),
            "sub": format!("system:serviceaccount:{namespace}:default"), "pod": pod,
        });
        let part = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
        Ok(format!("{}.{}.{}", part(r#"{"alg":"RS256"}"#), part(&claims.to_string()), part("signature")))
    }
}

/// Returns the status of a TokenReview of this token. Only a [`PodToken`] that has not expired is authenticated.
pub(crate) fn review(token: &str) -> Value {
    authenticate(token).unwrap_or_else(|_| json!({ "authenticated": false, "error": "invalid bearer token" }))
}

fn authenticate(token: &str) -> Result<Value> {
    let claims = token.split('.').nth(1).context("the token has no payload")?;
    let claims: Value = serde_json::from_slice(&BASE64URL_NOPAD.decode(claims.as_bytes())?)?;
    let pod = claims.get("pod").and_then(Value::as_str).context("the token names no pod")?;
    let expires = claims.get("exp").and_then(Value::as_u64).context("the token has no expiry")?;
    anyhow::ensure!(now()? < expires, "the token has expired");
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
