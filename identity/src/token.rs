//! A token, judged by what it says of itself: enough to refuse it, never enough to let anyone in.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use data_encoding::BASE64URL_NOPAD;
use http::{HeaderMap, header::AUTHORIZATION};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::Rejected;

/// Whom a token must be for.
pub const AUDIENCE: &str = "snmp-operator.dev";
/// The longest token, in octets: those of Kubernetes have one or two thousand.
const MAX_OCTETS: usize = 7 << 10;
/// How far the clock of whoever made the token may be ahead of ours.
const AHEAD: Duration = Duration::from_mins(1);

/// A bearer's token. It shows itself to nobody.
pub struct Token(Box<str>);

/// What we need of a token's claims (RFC 7519 section 4.1).
#[derive(Deserialize)]
struct Claims {
    aud: Audiences,
    exp: u64,
    #[serde(default)]
    nbf: u64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audiences {
    One(String),
    Several(Vec<String>),
}

impl Token {
    /// Of a request's headers.
    ///
    /// # Errors
    /// [`Rejected::Missing`] where there is none or more than one; why it is none.
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, Rejected> {
        let mut values = headers.get_all(AUTHORIZATION).into_iter();
        let (Some(value), None) = (values.next(), values.next()) else { return Err(Rejected::Missing) };
        Self::from_header(value.as_bytes())
    }

    /// Of the value of a header `Authorization` (RFC 6750 section 2.1).
    ///
    /// # Errors
    /// Why that is no token.
    pub fn from_header(value: &[u8]) -> Result<Self, Rejected> {
        let (scheme, token) = value.split_at_checked(b"Bearer ".len()).ok_or(Rejected::Missing)?;
        if !scheme.eq_ignore_ascii_case(b"Bearer ") {
            return Err(Rejected::Missing);
        }
        if token.len() > MAX_OCTETS {
            return Err(Rejected::Malformed("it is too long"));
        }
        let token = std::str::from_utf8(token).map_err(|_| Rejected::Malformed("it is no text"))?;
        Ok(Self(token.trim_ascii().into()))
    }

    /// The token itself, for whoever reviews it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Judges what it says of itself, and gives when it ends.
    ///
    /// # Errors
    /// Why it is not worth a review.
    pub fn judge(&self, now: SystemTime) -> Result<SystemTime, Rejected> {
        let mut parts = self.0.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Rejected::Malformed("it has not three parts"));
        };
        if octets(header)?.first() != Some(&b'{') || octets(signature)?.is_empty() {
            return Err(Rejected::Malformed("its header or signature is none"));
        }
        let claims: Claims = serde_json::from_slice(&octets(payload)?)
            .map_err(|_| Rejected::Malformed("its claims are no JSON with aud and exp"))?;
        let is_for_us = match &claims.aud {
            Audiences::One(audience) => audience == AUDIENCE,
            Audiences::Several(audiences) => audiences.iter().any(|audience| audience == AUDIENCE),
        };
        if !is_for_us {
            return Err(Rejected::Audience);
        }
        let at = |seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        let expires = at(claims.exp).ok_or(Rejected::Malformed("it never ends"))?;
        if expires <= now {
            return Err(Rejected::Expired);
        }
        if at(claims.nbf).is_none_or(|from| from > now + AHEAD) {
            return Err(Rejected::TooEarly);
        }
        Ok(expires)
    }

    /// What it is remembered by.
    pub(super) fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

fn octets(part: &str) -> Result<Vec<u8>, Rejected> {
    BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| Rejected::Malformed("a part of it is not base64url"))
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn encoded(claims: &str) -> String {
        let part = |octets: &[u8]| BASE64URL_NOPAD.encode(octets);
        format!("{}.{}.{}", part(br#"{"alg":"RS256"}"#), part(claims.as_bytes()), part(b"signature"))
    }

    fn judged(token: &str) -> Result<SystemTime, Rejected> {
        let token = Token::from_header(format!("Bearer {token}").as_bytes())?;
        token.judge(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW))
    }

    #[rstest]
    #[case::one_audience(json!({"aud": AUDIENCE, "exp": NOW + 1}))]
    #[case::among_others(json!({"aud": ["api", AUDIENCE], "exp": NOW + 1}))]
    #[case::with_more_claims(json!({"aud": [AUDIENCE], "exp": NOW + 1, "nbf": NOW, "iss": "x", "kubernetes.io": {}}))]
    #[case::made_by_a_clock_that_is_ahead(json!({"aud": [AUDIENCE], "exp": NOW + 1, "nbf": NOW + 59}))]
    fn a_token_for_us_is_good_until_it_ends(#[case] claims: Value) {
        assert_eq!(judged(&encoded(&claims.to_string())), Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW + 1)));
    }

    #[rstest]
    #[case::ended(json!({"aud": AUDIENCE, "exp": NOW}), Rejected::Expired)]
    #[case::ended_long_ago(json!({"aud": AUDIENCE, "exp": 0}), Rejected::Expired)]
    #[case::for_others(json!({"aud": "https://kubernetes.default.svc", "exp": NOW + 9}), Rejected::Audience)]
    #[case::for_others_too(json!({"aud": ["a", "b"], "exp": NOW + 9}), Rejected::Audience)]
    #[case::nearly_for_us(json!({"aud": [format!("{AUDIENCE} ")], "exp": NOW + 9}), Rejected::Audience)]
    #[case::for_nobody(json!({"aud": [], "exp": NOW + 9}), Rejected::Audience)]
    #[case::too_early(json!({"aud": AUDIENCE, "exp": NOW + 999, "nbf": NOW + 61}), Rejected::TooEarly)]
    fn a_token_of_another_time_or_for_others_is_refused(#[case] claims: Value, #[case] rejected: Rejected) {
        assert_eq!(judged(&encoded(&claims.to_string())), Err(rejected));
    }

    #[rstest]
    #[case::empty("")]
    #[case::one_part("abc")]
    #[case::two_parts("abc.def")]
    #[case::four_parts("e30.e30.e30.e30")]
    #[case::no_base64("e30.{}.e30")]
    #[case::padded("e30=.e30.e30")]
    #[case::no_claims("e30.e30.e30")]
    #[case::no_json("e30.YWJj.e30")]
    #[case::no_signature("e30.e30.")]
    #[case::no_header("YWJj.e30.e30")]
    fn what_has_not_the_form_is_malformed(#[case] token: &str) {
        assert!(matches!(judged(token), Err(Rejected::Malformed(_))), "{:?}", judged(token));
    }

    #[rstest]
    #[case::no_expiry(json!({"aud": AUDIENCE}))]
    #[case::no_audience(json!({"exp": NOW + 9}))]
    #[case::expiry_is_text(json!({"aud": AUDIENCE, "exp": "never"}))]
    #[case::expiry_is_negative(json!({"aud": AUDIENCE, "exp": -1}))]
    #[case::expiry_is_far(json!({"aud": AUDIENCE, "exp": u64::MAX}))]
    #[case::audience_is_a_number(json!({"aud": 7, "exp": NOW + 9}))]
    #[case::a_list(json!([AUDIENCE]))]
    fn claims_of_other_shapes_are_malformed(#[case] claims: Value) {
        assert!(matches!(judged(&encoded(&claims.to_string())), Err(Rejected::Malformed(_))));
    }

    #[test]
    fn deep_or_long_claims_are_refused_and_harm_nothing() {
        let deep = format!("{{\"aud\":{}{}}}", "[".repeat(2_000), "]".repeat(2_000));
        assert!(matches!(judged(&encoded(&deep)), Err(Rejected::Malformed(_))));
        let long = encoded(&json!({"aud": AUDIENCE, "exp": NOW + 9, "x": "x".repeat(9_000)}).to_string());
        assert!(matches!(judged(&long), Err(Rejected::Malformed(_))));
    }

    #[rstest]
    #[case("Basic YWJj")]
    #[case("Bearer")]
    #[case("bear")]
    fn another_scheme_is_no_token(#[case] header: &str) {
        assert_eq!(Token::from_header(header.as_bytes()).err(), Some(Rejected::Missing));
    }

    #[test]
    fn nothing_shows_a_token() {
        let token = Token::from_header(b"bearer very-secret").unwrap();
        assert_eq!((format!("{token:?}").as_str(), token.expose()), ("Token", "very-secret"));
    }
}
