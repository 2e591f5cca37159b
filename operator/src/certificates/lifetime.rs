//! Lengths of time on the command line, as Go writes them: `8760h`, `1h30m`, `90s`.

use std::time::Duration;

use jiff::SignedDuration;

/// A text that is no length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LifetimeError {
    /// It cannot be read.
    #[error("{0:?} is no length of time as 8760h or 90s")]
    Unreadable(String),
    /// It is none that a certificate can have.
    #[error("{0:?} is not from a second to a hundred years")]
    OutOfRange(String),
}

const LONGEST: SignedDuration = SignedDuration::from_hours(100 * 366 * 24);

/// Reads a length of time.
///
/// # Errors
/// [`LifetimeError`].
pub fn parse_lifetime(text: &str) -> Result<Duration, LifetimeError> {
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
    fn lengths_are_read_as_go_writes_them() {
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
