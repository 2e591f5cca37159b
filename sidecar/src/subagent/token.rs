//! The token that a master is shown, and how long it lives.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::BASE64URL_NOPAD;
use http::HeaderValue;
use serde::Deserialize;

/// A token, as its file has it. No `Debug`: it is a secret.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Token {
    text: Vec<u8>,
    life: Option<Life>,
}

/// From when until when a token counts, by the clock on the wall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) from: SystemTime,
    pub(super) until: SystemTime,
}

/// What a token says of itself (RFC 7519 section 4.1); anything may stand there.
#[derive(Deserialize)]
struct Claims {
    exp: serde_json::Value,
    #[serde(default)]
    iat: serde_json::Value,
}

impl Token {
    /// The token in a file that was read at this moment. None where it holds nothing.
    pub(super) fn of(file: &[u8], read: SystemTime) -> Option<Self> {
        let text = file.trim_ascii().to_vec();
        let life = Life::of(&text, read);
        (!text.is_empty()).then_some(Self { text, life })
    }

    /// How long it counts, if it says so.
    pub(super) fn life(&self) -> Option<Life> {
        self.life
    }

    /// The value of the `Authorization` header, which shows nothing of itself when it is printed; none where there is
    /// a character in it that a header cannot have.
    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_bytes(&[b"Bearer ", self.text.as_slice()].concat()).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl Life {
    /// Of a token that was read at this moment: none where it is no JWT, or does not say when it ends. That it is signed
    /// by whom it should is the master's to check.
    fn of(token: &[u8], read: SystemTime) -> Option<Self> {
        let mut parts = token.split(|octet| *octet == b'.');
        let (Some(_), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return None;
        };
        let Claims { exp, iat } = serde_json::from_slice(&BASE64URL_NOPAD.decode(payload).ok()?).ok()?;
        let until = date(&exp)?;
        let from = date(&iat).unwrap_or(read).min(until);
        Some(Self { from, until })
    }

    /// When this many hundredths of it are over.
    pub(super) fn part(&self, hundredths: u32) -> SystemTime {
        let whole = self.until.duration_since(self.from).unwrap_or_default();
        self.from + whole / 100 * hundredths.min(100)
    }
}

/// A NumericDate: seconds since 1970, maybe with a fraction.
fn date(value: &serde_json::Value) -> Option<SystemTime> {
    /// Some thirty thousand years: within what any clock can say.
    const MOST: Duration = Duration::from_secs(1_000_000_000_000);
    let since = Duration::try_from_secs_f64(value.as_f64()?).ok()?;
    (since <= MOST).then(|| UNIX_EPOCH + since)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn life(payload: &str) -> Option<Life> {
        let token = format!("e30.{}.c2ln\n", BASE64URL_NOPAD.encode(payload.as_bytes()));
        Token::of(token.as_bytes(), at(500)).unwrap().life()
    }

    #[rstest]
    #[case(r#"{"iat": 1000, "exp": 4600, "aud": ["snmp-operator.dev"]}"#, 1000, 4600)]
    #[case::no_beginning(r#"{"exp": 4600}"#, 500, 4600)]
    #[case::a_beginning_of_another_type(r#"{"exp": 4600, "iat": "now"}"#, 500, 4600)]
    #[case::over_before_it_began(r#"{"exp": 100, "iat": 200}"#, 100, 100)]
    fn a_token_says_how_long_it_lives(#[case] payload: &str, #[case] from: u64, #[case] until: u64) {
        assert_eq!(life(payload), Some(Life { from: at(from), until: at(until) }));
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
    fn a_payload_without_an_end_is_a_token_without_one(#[case] payload: &str) {
        assert_eq!(life(payload), None);
    }

    #[rstest]
    #[case("opaque")]
    #[case("a.b")]
    #[case("..")]
    #[case("a.e30.c.d")]
    #[case("a.!!.c")]
    fn what_is_no_jwt_is_a_token_all_the_same(#[case] text: &str) {
        let token = Token::of(text.as_bytes(), at(0)).unwrap();
        assert_eq!(token.life(), None);
        assert_eq!(token.authorization().unwrap().as_bytes(), format!("Bearer {text}").as_bytes());
    }

    #[test]
    fn deep_nesting_is_no_token_that_ends() {
        assert_eq!(life(&format!(r#"{{"exp": {}"#, "[".repeat(100_000))), None);
    }

    #[test]
    fn white_space_around_it_is_none_of_it_and_an_empty_file_holds_none() {
        assert!(Token::of(b" \n", at(0)).is_none());
        assert_eq!(Token::of(b" abc\n", at(0)).unwrap().authorization().unwrap().as_bytes(), b"Bearer abc");
    }

    #[test]
    fn a_token_is_never_shown_and_one_that_no_header_can_have_is_not_sent() {
        let value = Token::of(b"s3cret", at(0)).unwrap().authorization().unwrap();
        assert!(!format!("{value:?}").contains("s3"));
        assert!(Token::of(b"s3\ncret", at(0)).unwrap().authorization().is_none());
    }

    #[test]
    fn four_fifths_of_a_life_are_four_fifths_of_it() {
        let life = Life { from: at(1000), until: at(4600) };
        assert_eq!((life.part(0), life.part(80), life.part(100)), (at(1000), at(3880), at(4600)));
    }
}
