//! Who is at the other end of a connection over TLS: a pod's ServiceAccount, known by its token. Master and operator let
//! sidecars in by it.
//!
//! A token is judged here first, so that what can be seen to be none costs the API server nothing; then by a TokenReview.
//! Nothing of a token is ever shown or kept but a digest of one that was accepted.

mod desk;
mod review;
mod token;

use std::{fmt, net::IpAddr, sync::Arc, time::SystemTime};

use http::StatusCode;
use k8s_openapi::api::authentication::v1::TokenReviewStatus;

pub use desk::{Desk, Reviews};
pub use review::{KubeReviewer, Reviewer, Unreachable};
pub use token::{AUDIENCE, Token};

/// A user of Kubernetes that is a ServiceAccount: this, its namespace, a colon and its name.
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";
/// Where a TokenReview tells the pod that a token belongs to.
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
/// The longest name of anything in Kubernetes.
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
    /// The pod's name; empty where the token belongs to none.
    pub pod: Arc<str>,
    /// The pod's uid; empty where the token belongs to none.
    pub pod_uid: Arc<str>,
}

/// Who a token says that its bearer is, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouched {
    /// Who.
    pub identity: Arc<Identity>,
    /// When the token ends.
    pub expires: SystemTime,
}

/// Why a bearer is not let in. No message holds anything of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// There is no `Authorization: Bearer`, or more than one.
    #[error("a ServiceAccount's token is needed: Authorization: Bearer")]
    Missing,
    /// It is no token of a ServiceAccount.
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    /// It is for others.
    #[error("the token is not for the audience {AUDIENCE}")]
    Audience,
    /// It was good once.
    #[error("the token has expired")]
    Expired,
    /// It is not good yet.
    #[error("the token is not valid yet")]
    TooEarly,
    /// The API server does not know it.
    #[error("the token is not accepted")]
    Refused,
    /// It is somebody's, but no ServiceAccount's.
    #[error("the token belongs to no ServiceAccount")]
    NoServiceAccount,
    /// Too many of the same source wait to be judged.
    #[error("too many tokens from this address are being judged")]
    TooMany,
    /// The API server cannot be asked, or too many wait for it.
    #[error("tokens cannot be judged at the moment")]
    Unavailable,
}

impl Rejected {
    /// What HTTP says of it.
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
    /// What a TokenReview says.
    ///
    /// # Errors
    /// [`Rejected::Refused`] where it accepts no token for our audience, [`Rejected::NoServiceAccount`] where it says nothing
    /// of a ServiceAccount.
    pub fn of(status: &TokenReviewStatus) -> Result<Self, Rejected> {
        if status.authenticated != Some(true) || status.error.as_ref().is_some_and(|error| !error.is_empty()) {
            return Err(Rejected::Refused);
        }
        // An API server that knows no audiences says none: such a token may be for anyone.
        if !status.audiences.iter().flatten().any(|audience| audience == AUDIENCE) {
            return Err(Rejected::Refused);
        }
        let user = status.user.as_ref().ok_or(Rejected::NoServiceAccount)?;
        let account = user.username.as_deref().and_then(|name| name.strip_prefix(SERVICE_ACCOUNT));
        let (namespace, name) =
            account.and_then(|account| account.split_once(':')).ok_or(Rejected::NoServiceAccount)?;
        if !is_name(namespace, MAX_NAMESPACE) || !is_name(name, MAX_NAME) {
            return Err(Rejected::NoServiceAccount);
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

/// A name as all are in Kubernetes (RFC 1123 subdomain), so that it can be shown as it is.
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

/// An address, or the network that one customer of IPv6 has: of those anyone has as many addresses as he likes.
#[must_use]
pub fn source_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => std::net::Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
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
    fn a_review_tells_namespace_account_and_pod() {
        let identity = Identity::of(&status(|_| {})).unwrap();
        assert_eq!((&*identity.namespace, &*identity.service_account), ("acme", "web"));
        assert_eq!((&*identity.pod, &*identity.pod_uid), ("web-0", "a8d2-77"));
        assert_eq!(identity.to_string(), "acme/web-0");
        let without = Identity::of(&status(|status| status["user"]["extra"] = json!({}))).unwrap();
        assert_eq!((&*without.pod, without.to_string().as_str()), ("", "acme/web"));
    }

    #[rstest]
    #[case::not_authenticated("/authenticated", json!(false), Rejected::Refused)]
    #[case::nothing_said("/authenticated", Value::Null, Rejected::Refused)]
    #[case::an_error("/error", json!("token has expired"), Rejected::Refused)]
    #[case::no_audiences("/audiences", Value::Null, Rejected::Refused)]
    #[case::other_audiences("/audiences", json!(["https://kubernetes.default.svc"]), Rejected::Refused)]
    #[case::no_user("/user", Value::Null, Rejected::NoServiceAccount)]
    #[case::a_person("/user/username", json!("alice"), Rejected::NoServiceAccount)]
    #[case::a_node("/user/username", json!("system:node:one"), Rejected::NoServiceAccount)]
    #[case::no_name("/user/username", json!("system:serviceaccount:acme"), Rejected::NoServiceAccount)]
    #[case::empty_namespace("/user/username", json!("system:serviceaccount::web"), Rejected::NoServiceAccount)]
    #[case::strange_namespace("/user/username", json!("system:serviceaccount:a\nb:web"), Rejected::NoServiceAccount)]
    #[case::long_namespace("/user/username", json!(format!("system:serviceaccount:{}:web", "a".repeat(64))), Rejected::NoServiceAccount)]
    fn a_review_that_does_not_say_all_is_none(#[case] pointer: &str, #[case] value: Value, #[case] rejected: Rejected) {
        let status = status(|status| match pointer.rsplit_once('/') {
            Some((parent, key)) => status.pointer_mut(parent).unwrap()[key] = value,
            None => unreachable!(),
        });
        assert_eq!(Identity::of(&status), Err(rejected));
    }

    #[test]
    fn addresses_of_one_network_of_ipv6_are_one_source() {
        let of = |text: &str| source_of(text.parse().unwrap());
        assert_eq!(of("2001:db8:0:1::5"), of("2001:db8:0:1:ffff::7"));
        assert_ne!(of("2001:db8:0:1::5"), of("2001:db8:0:2::5"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }
}
