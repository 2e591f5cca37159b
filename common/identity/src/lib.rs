//! Authentication of pods by their ServiceAccount tokens. The master and the operator authenticate sidecars with it.
//!
//! The claims of a token are checked here first, so that a token that is obviously invalid costs the API server
//! nothing. Then the API server checks it with a TokenReview. No part of a token is logged or stored, except for a
//! digest of each token that was accepted.

mod review;
mod token;
mod token_reviews;

use std::{fmt, sync::Arc, time::SystemTime};

use http::StatusCode;
use k8s_openapi::api::authentication::v1::TokenReviewStatus;

pub use daemon::acceptor::source_of;
pub use review::{KubeReviewer, ReviewError, Reviewer};
pub use token::{AUDIENCE, Token};
pub use token_reviews::{ReviewCounts, TokenReviews};

/// The prefix of a ServiceAccount's user name. It is followed by the namespace, a colon and the name.
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";
/// The extra fields of a TokenReview that name the pod of a token.
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
/// The longest name of an object in Kubernetes.
const MAX_NAME: usize = 253;
/// The longest name of a namespace (RFC 1123 label).
const MAX_NAMESPACE: usize = 63;

/// A pod's ServiceAccount.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The namespace: the tenant.
    pub namespace: Arc<str>,
    /// The ServiceAccount's name.
    pub service_account: Arc<str>,
    /// The pod's name; empty if the token does not belong to a pod.
    pub pod: Arc<str>,
    /// The pod's UID; empty if the token does not belong to a pod.
    pub pod_uid: Arc<str>,
}

/// An accepted token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedToken {
    /// The owner of the token.
    pub identity: Arc<Identity>,
    /// When it expires.
    pub expires: SystemTime,
}

/// Why a token was not accepted. No message contains any part of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There is no `Authorization: Bearer` header, or more than one.
    #[error("a ServiceAccount token is required: Authorization: Bearer")]
    Missing,
    /// It does not have the form of a ServiceAccount token.
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    /// It is for another audience.
    #[error("the token is not for the audience {AUDIENCE}")]
    Audience,
    /// It has expired.
    #[error("the token has expired")]
    Expired,
    /// It is not valid yet.
    #[error("the token is not valid yet")]
    TooEarly,
    /// The API server does not accept it.
    #[error("the token is not accepted")]
    Refused,
    /// It belongs to a user that is not a ServiceAccount.
    #[error("the token does not belong to a ServiceAccount")]
    NoServiceAccount,
    /// Too many tokens of the same source wait for a review.
    #[error("too many tokens from this address are being reviewed; try again later")]
    TooMany,
    /// The API server does not respond, or too many tokens wait for a review.
    #[error("tokens cannot be reviewed at the moment; try again later")]
    Unavailable,
}

impl TokenError {
    /// Returns the HTTP status for this error.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Missing | Self::Malformed(_) | Self::Audience | Self::Expired | Self::TooEarly | Self::Refused => {
                StatusCode::UNAUTHORIZED
            }
            Self::NoServiceAccount => StatusCode::FORBIDDEN,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl Identity {
    /// Reads the identity from the status of a TokenReview.
    ///
    /// # Errors
    /// Returns [`TokenError::Refused`] if the token is not accepted for our audience, and
    /// [`TokenError::NoServiceAccount`] if the user is not a ServiceAccount.
    pub fn of(status: &TokenReviewStatus) -> Result<Self, TokenError> {
        if status.authenticated != Some(true) || status.error.as_ref().is_some_and(|error| !error.is_empty()) {
            return Err(TokenError::Refused);
        }
        // An API server that does not support audiences returns none. The token may then be for any audience.
        if !status.audiences.iter().flatten().any(|audience| audience == AUDIENCE) {
            return Err(TokenError::Refused);
        }
        let user = status.user.as_ref().ok_or(TokenError::NoServiceAccount)?;
        let account = user.username.as_deref().and_then(|name| name.strip_prefix(SERVICE_ACCOUNT));
        let (namespace, name) =
            account.and_then(|account| account.split_once(':')).ok_or(TokenError::NoServiceAccount)?;
        if !is_name(namespace, MAX_NAMESPACE) || !is_name(name, MAX_NAME) {
            return Err(TokenError::NoServiceAccount);
        }
        let extra = |key: &str| -> Arc<str> {
            let values = user.extra.as_ref().and_then(|extra| extra.get(key));
            let value = values.and_then(|values| values.first()).filter(|value| is_name(value, MAX_NAME));
            value.map_or_else(Arc::default, |value| value.as_str().into())
        };
        Ok(Self {
            namespace: namespace.into(),
            service_account: name.into(),
            pod: extra(POD_NAME),
            pod_uid: extra(POD_UID),
        })
    }
}

/// Returns whether `name` has the characters of a Kubernetes name (RFC 1123 subdomain), so that it is safe to log.
fn is_name(name: &str, longest: usize) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    (1..=longest).contains(&name.len()) && name.bytes().all(inner)
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, service_account, pod, .. } = self;
        if pod.is_empty() { write!(f, "{namespace}/{service_account}") } else { write!(f, "{namespace}/{pod}") }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn status(change: impl FnOnce(&mut Value)) -> TokenReviewStatus {
        let mut status = json!({
            "authenticated": true,
            "audiences": ["other", AUDIENCE],
            "user": {
                "username": "system:serviceaccount:acme:web",
                "extra": {POD_NAME: ["web-0"], POD_UID: ["a8d2-77"]},
            },
        });
        change(&mut status);
        serde_json::from_value(status).unwrap()
    }

    #[test]
    fn a_review_names_the_namespace_the_account_and_the_pod() {
        let identity = Identity::of(&status(|_| {})).unwrap();
        assert_eq!((&*identity.namespace, &*identity.service_account), ("acme", "web"));
        assert_eq!((&*identity.pod, &*identity.pod_uid), ("web-0", "a8d2-77"));
        assert_eq!(identity.to_string(), "acme/web-0");
        let without = Identity::of(&status(|status| status["user"]["extra"] = json!({}))).unwrap();
        assert_eq!((&*without.pod, without.to_string().as_str()), ("", "acme/web"));
    }

    #[rstest]
    #[case::not_authenticated("/authenticated", json!(false), TokenError::Refused)]
    #[case::authenticated_is_missing("/authenticated", Value::Null, TokenError::Refused)]
    #[case::an_error("/error", json!("token has expired"), TokenError::Refused)]
    #[case::no_audiences("/audiences", Value::Null, TokenError::Refused)]
    #[case::other_audiences("/audiences", json!(["https://kubernetes.default.svc"]), TokenError::Refused)]
    #[case::no_user("/user", Value::Null, TokenError::NoServiceAccount)]
    #[case::a_person("/user/username", json!("alice"), TokenError::NoServiceAccount)]
    #[case::a_node("/user/username", json!("system:node:one"), TokenError::NoServiceAccount)]
    #[case::no_name("/user/username", json!("system:serviceaccount:acme"), TokenError::NoServiceAccount)]
    #[case::empty_namespace("/user/username", json!("system:serviceaccount::web"), TokenError::NoServiceAccount)]
    #[case::strange_namespace("/user/username", json!("system:serviceaccount:a\nb:web"), TokenError::NoServiceAccount)]
    #[case::long_namespace("/user/username", json!(format!("system:serviceaccount:{}:web", "a".repeat(64))), TokenError::NoServiceAccount)]
    fn an_incomplete_review_is_refused(#[case] pointer: &str, #[case] value: Value, #[case] expected: TokenError) {
        let status = status(|status| match pointer.rsplit_once('/') {
            Some((parent, key)) => status.pointer_mut(parent).unwrap()[key] = value,
            None => unreachable!(),
        });
        assert_eq!(Identity::of(&status), Err(expected));
    }
}
