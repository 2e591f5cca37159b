//! Bearer tokens and checks of their claims. The checks can refuse a token, but never accept it.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use data_encoding::BASE64URL_NOPAD;
use http::{HeaderMap, header::AUTHORIZATION};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::TokenError;

/// The audience that a token must be for.
pub const AUDIENCE: &str = "snmp-operator.dev";
/// The longest token, in octets. Tokens of Kubernetes have between 1000 and 2000 octets.
const MAX_OCTETS: usize = 7 << 10;
/// The maximum time by which the clock of the token's issuer may be ahead of the local clock.
const MAX_CLOCK_SKEW: Duration = Duration::from_mins(1);

/// A bearer token. Its `Debug` output does not contain it.
pub struct Token(Box<str>);

/// The claims that are checked (RFC 7519 section 4.1).
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
    /// Reads the token from the headers of a request.
    ///
    /// # Errors
    /// Returns [`TokenError::Missing`] unless there is exactly one bearer token, and [`TokenError::Malformed`] if it is
    /// too long or not text.
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, TokenError> {
        let mut values = headers.get_all(AUTHORIZATION).into_iter();
        let (Some(value), None) = (values.next(), values.next()) else { return Err(TokenError::Missing) };
        Self::from_header(value.as_bytes())
    }

    /// Reads the token from the value of an `Authorization` header (RFC 6750 section 2.1).
    ///
    /// # Errors
    /// Returns [`TokenError::Missing`] if it is not a bearer token, and [`TokenError::Malformed`] if it is too long or
    /// not text.
    pub fn from_header(value: &[u8]) -> Result<Self, TokenError> {
        let (scheme, token) = value.split_at_checked(b"Bearer ".len()).ok_or(TokenError::Missing)?;
        if !scheme.eq_ignore_ascii_case(b"Bearer ") {
            return Err(TokenError::Missing);
        }
        if token.len() > MAX_OCTETS {
            return Err(TokenError::Malformed("it is too long"));
        }
        let token = std::str::from_utf8(token).map_err(|_| TokenError::Malformed("it is not text"))?;
        Ok(Self(token.trim_ascii().into()))
    }

    /// Returns the token itself, for a review.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Checks the form and the claims of the token, and returns when it expires.
    ///
    /// # Errors
    /// Returns an error if a review would not accept the token.
    pub fn check_claims(&self, now: SystemTime) -> Result<SystemTime, TokenError> {
        let mut parts = self.0.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError::Malformed("it does not have three parts"));
        };
        if octets(header)?.first() != Some(&b'{') || octets(signature)?.is_empty() {
            return Err(TokenError::Malformed("its header is not JSON or its signature is empty"));
        }
        let claims: Claims = serde_json::from_slice(&octets(payload)?)
            .map_err(|_| TokenError::Malformed("its claims are not JSON with aud and exp"))?;
        let is_for_us = match &claims.aud {
            Audiences::One(audience) => audience == AUDIENCE,
            Audiences::Several(audiences) => audiences.iter().any(|audience| audience == AUDIENCE),
        };
        if !is_for_us {
            return Err(TokenError::Audience);
        }
        let at = |seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        let expires = at(claims.exp).ok_or(TokenError::Malformed("it never expires"))?;
        if expires <= now {
            return Err(TokenError::Expired);
        }
        if at(claims.nbf).is_none_or(|from| from > now + MAX_CLOCK_SKEW) {
            return Err(TokenError::TooEarly);
        }
        Ok(expires)
    }

    /// Returns the key under which an accepted token is cached.
    pub(super) fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

fn octets(part: &str) -> Result<Vec<u8>, TokenError> {
    BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| TokenError::Malformed("a part of it is not base64url"))
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

    fn checked(token: &str) -> Result<SystemTime, TokenError> {
        let token = Token::from_header(format!("Bearer {token}").as_bytes())?;
        token.check_claims(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW))
    }

    #[rstest]
    #[case::one_audience(json!({"aud": AUDIENCE, "exp": NOW + 1}))]
    #[case::among_others(json!({"aud": ["api", AUDIENCE], "exp": NOW + 1}))]
    #[case::with_more_claims(json!({"aud": [AUDIENCE], "exp": NOW + 1, "nbf": NOW, "iss": "x", "kubernetes.io": {}}))]
    #[case::issuer_clock_ahead(json!({"aud": [AUDIENCE], "exp": NOW + 1, "nbf": NOW + 59}))]
    fn a_token_for_our_audience_is_accepted_until_it_expires(#[case] claims: Value) {
        assert_eq!(checked(&encoded(&claims.to_string())), Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW + 1)));
    }

    #[rstest]
    #[case::ended(json!({"aud": AUDIENCE, "exp": NOW}), TokenError::Expired)]
    #[case::ended_long_ago(json!({"aud": AUDIENCE, "exp": 0}), TokenError::Expired)]
    #[case::for_others(json!({"aud": "https://kubernetes.default.svc", "exp": NOW + 9}), TokenError::Audience)]
    #[case::for_others_too(json!({"aud": ["a", "b"], "exp": NOW + 9}), TokenError::Audience)]
    #[case::nearly_for_us(json!({"aud": [format!("{AUDIENCE} ")], "exp": NOW + 9}), TokenError::Audience)]
    #[case::for_nobody(json!({"aud": [], "exp": NOW + 9}), TokenError::Audience)]
    #[case::too_early(json!({"aud": AUDIENCE, "exp": NOW + 999, "nbf": NOW + 61}), TokenError::TooEarly)]
    fn a_token_for_another_time_or_audience_is_refused(#[case] claims: Value, #[case] expected: TokenError) {
        assert_eq!(checked(&encoded(&claims.to_string())), Err(expected));
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
    fn a_token_without_the_right_form_is_malformed(#[case] token: &str) {
        assert!(matches!(checked(token), Err(TokenError::Malformed(_))), "{:?}", checked(token));
    }

    #[rstest]
    #[case::no_expiry(json!({"aud": AUDIENCE}))]
    #[case::no_audience(json!({"exp": NOW + 9}))]
    #[case::expiry_is_text(json!({"aud": AUDIENCE, "exp": "never"}))]
    #[case::expiry_is_negative(json!({"aud": AUDIENCE, "exp": -1}))]
    #[case::expiry_is_far(json!({"aud": AUDIENCE, "exp": u64::MAX}))]
    #[case::audience_is_a_number(json!({"aud": 7, "exp": NOW + 9}))]
    #[case::a_list(json!([AUDIENCE]))]
    fn claims_of_the_wrong_type_are_malformed(#[case] claims: Value) {
        assert!(matches!(checked(&encoded(&claims.to_string())), Err(TokenError::Malformed(_))));
    }

    #[test]
    fn deep_or_long_claims_are_refused_safely() {
        let deep = format!("{{\"aud\":{}{}}}", "[".repeat(2_000), "]".repeat(2_000));
        assert!(matches!(checked(&encoded(&deep)), Err(TokenError::Malformed(_))));
        let long = encoded(&json!({"aud": AUDIENCE, "exp": NOW + 9, "x": "x".repeat(9_000)}).to_string());
        assert!(matches!(checked(&long), Err(TokenError::Malformed(_))));
    }

    #[rstest]
    #[case("Basic YWJj")]
    #[case("Bearer")]
    #[case("bear")]
    fn another_scheme_counts_as_a_missing_token(#[case] header: &str) {
        assert_eq!(Token::from_header(header.as_bytes()).err(), Some(TokenError::Missing));
    }

    #[test]
    fn debug_output_does_not_contain_the_token() {
        let token = Token::from_header(b"bearer very-secret").unwrap();
        assert_eq!((format!("{token:?}").as_str(), token.expose()), ("Token", "very-secret"));
    }
}
