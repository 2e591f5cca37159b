//! The ServiceAccount token for a master, and its lifetime.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::BASE64URL_NOPAD;
use http::HeaderValue;
use serde::Deserialize;

/// A token. No `Debug`, because it is a secret.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Token {
    text: Vec<u8>,
    lifetime: Option<Lifetime>,
}

/// The period in which a token is valid, by the system clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lifetime {
    pub(super) from: SystemTime,
    pub(super) until: SystemTime,
}

/// The claims of a JWT (RFC 7519 section 4.1). Their types are not checked here.
#[derive(Deserialize)]
struct Claims {
    exp: serde_json::Value,
    #[serde(default)]
    iat: serde_json::Value,
}

impl Token {
    /// Returns the token in the contents of a file that was read at `read`, or `None` if the file is empty.
    pub(super) fn parse(file: &[u8], read: SystemTime) -> Option<Self> {
        let text = file.trim_ascii().to_vec();
        let lifetime = Lifetime::parse(&text, read);
        (!text.is_empty()).then_some(Self { text, lifetime })
    }

    /// Returns its lifetime if the token contains it.
    pub(super) fn lifetime(&self) -> Option<Lifetime> {
        self.lifetime
    }

    /// Returns the value of the `Authorization` header, marked as sensitive so that it is not printed. Returns `None` if the
    /// token contains a character that a header must not contain.
    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_bytes(&[b"Bearer ", self.text.as_slice()].concat()).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl Lifetime {
    /// Returns the lifetime of a token that was read at `read`, or `None` if it is not a JWT or has no expiry. The master
    /// verifies the signature.
    fn parse(token: &[u8], read: SystemTime) -> Option<Self> {
        let mut parts = token.split(|octet| *octet == b'.');
        let (Some(_), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return None;
        };
        let Claims { exp, iat } = serde_json::from_slice(&BASE64URL_NOPAD.decode(payload).ok()?).ok()?;
        let until = date(&exp)?;
        let from = date(&iat).unwrap_or(read).min(until);
        Some(Self { from, until })
    }

    /// Returns the moment at which this percentage of the lifetime has passed.
    pub(super) fn at_percent(&self, percent: u32) -> SystemTime {
        let whole = self.until.duration_since(self.from).unwrap_or_default();
        self.from + whole / 100 * percent.min(100)
    }
}

/// Parses a NumericDate: seconds since 1970, possibly with a fraction.
fn date(value: &serde_json::Value) -> Option<SystemTime> {
    /// About 30,000 years, which `SystemTime` can represent.
    const MAX: Duration = Duration::from_secs(1_000_000_000_000);
    let since = Duration::try_from_secs_f64(value.as_f64()?).ok()?;
    (since <= MAX).then(|| UNIX_EPOCH + since)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn lifetime(payload: &str) -> Option<Lifetime> {
        let token = format!("e30.{}.c2ln\n", BASE64URL_NOPAD.encode(payload.as_bytes()));
        Token::parse(token.as_bytes(), at(500)).unwrap().lifetime()
    }

    #[rstest]
    #[case(r#"{"iat": 1000, "exp": 4600, "aud": ["snmp-operator.dev"]}"#, 1000, 4600)]
    #[case::no_iat(r#"{"exp": 4600}"#, 500, 4600)]
    #[case::iat_of_another_type(r#"{"exp": 4600, "iat": "now"}"#, 500, 4600)]
    #[case::exp_before_iat(r#"{"exp": 100, "iat": 200}"#, 100, 100)]
    fn lifetime_is_read_from_the_claims(#[case] payload: &str, #[case] from: u64, #[case] until: u64) {
        assert_eq!(lifetime(payload), Some(Lifetime { from: at(from), until: at(until) }));
    }

    #[rstest]
    #[case("")]
    #[case("{}")]
    #[case("[]")]
    #[case(r#"{"exp": null}"#)]
    #[case(r#"{"exp": "4600"}"#)]
    #[case(r#"{"exp": -1}"#)]
    #[case(r#"{"exp": 1e300}"#)]
    #[case(r#"{"exp": 1e400}"#)]
    #[case(r#"{"exp": 4600"#)]
    fn payload_without_exp_has_no_lifetime(#[case] payload: &str) {
        assert_eq!(lifetime(payload), None);
    }

    #[rstest]
    #[case("opaque")]
    #[case("a.b")]
    #[case("..")]
    #[case("a.e30.c.d")]
    #[case("a.!!.c")]
    fn token_that_is_not_a_jwt_is_accepted(#[case] text: &str) {
        let token = Token::parse(text.as_bytes(), at(0)).unwrap();
        assert_eq!(token.lifetime(), None);
        assert_eq!(token.authorization().unwrap().as_bytes(), format!("Bearer {text}").as_bytes());
    }

    #[test]
    fn deeply_nested_payload_has_no_lifetime() {
        assert_eq!(lifetime(&format!(r#"{{"exp": {}"#, "[".repeat(100_000))), None);
    }

    #[test]
    fn surrounding_white_space_is_ignored() {
        assert!(Token::parse(b" \n", at(0)).is_none());
        assert_eq!(Token::parse(b" abc\n", at(0)).unwrap().authorization().unwrap().as_bytes(), b"Bearer abc");
    }

    #[test]
    fn token_is_not_printed_and_must_fit_into_a_header() {
        let value = Token::parse(b"s3cret", at(0)).unwrap().authorization().unwrap();
        assert!(!format!("{value:?}").contains("s3"));
        assert!(Token::parse(b"s3\ncret", at(0)).unwrap().authorization().is_none());
    }

    #[test]
    fn moment_at_a_percentage_of_the_lifetime_is_computed() {
        let lifetime = Lifetime { from: at(1000), until: at(4600) };
        assert_eq!(
            (lifetime.at_percent(0), lifetime.at_percent(80), lifetime.at_percent(100)),
            (at(1000), at(3880), at(4600))
        );
    }
}
