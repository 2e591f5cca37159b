//! Durations on the command line, in the format of Go: `8760h`, `1h30m`, `90s`.

use std::time::Duration;

use jiff::SignedDuration;

/// The text is not a valid lifetime.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LifetimeError {
    /// The text is not a duration.
    #[error("{0:?} is not a duration such as 8760h or 90s")]
    Unreadable(String),
    /// The duration is too short or too long for a certificate.
    #[error("{0:?} is not between 1 second and 100 years")]
    OutOfRange(String),
}

const LONGEST: SignedDuration = SignedDuration::from_hours(100 * 366 * 24);

/// Parses a lifetime.
///
/// # Errors
/// Returns an error if the text is not a duration, or if it is out of range.
pub(crate) fn parse_lifetime(text: &str) -> Result<Duration, LifetimeError> {
    let read: SignedDuration = text.parse().map_err(|_| LifetimeError::Unreadable(text.to_owned()))?;
    if read < SignedDuration::from_secs(1) || read > LONGEST {
        return Err(LifetimeError::OutOfRange(text.to_owned()));
    }
    Ok(read.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_go_are_parsed() {
        let cases =
            [("8760h", 8760 * 3600), ("90s", 90), ("1h30m", 5400), ("1h30m0s", 5400), ("10m", 600), ("1.5h", 5400)];
        for (text, seconds) in cases {
            assert_eq!(parse_lifetime(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "h", "10", "ten", "1x", "99999999999999999999h"] {
            assert_eq!(parse_lifetime(text), Err(LifetimeError::Unreadable(text.to_owned())), "{text}");
        }
        for text in ["0s", "10ms", "-1h", "9999999h"] {
            assert_eq!(parse_lifetime(text), Err(LifetimeError::OutOfRange(text.to_owned())), "{text}");
        }
    }
}
