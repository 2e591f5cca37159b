//! DateAndTime (RFC 2579 section 2).

use std::time::SystemTime;

use time::UtcDateTime;

/// Returns the time as a DateAndTime in UTC: 11 octets, to a tenth of a second. Times after the year 9999 are cut to it.
#[must_use]
pub fn date_and_time(at: SystemTime) -> [u8; 11] {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    let date = UtcDateTime::from_unix_timestamp(seconds).unwrap_or(UtcDateTime::MAX);
    let [high, low] = u16::try_from(date.year()).unwrap_or(0).to_be_bytes();
    let tenths = u8::try_from(since.subsec_millis() / 100).unwrap_or(0);
    [high, low, date.month().into(), date.day(), date.hour(), date.minute(), date.second(), tenths, b'+', 0, 0]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_time_is_written_in_utc() {
        let at = |millis| date_and_time(SystemTime::UNIX_EPOCH + Duration::from_millis(millis));
        assert_eq!(at(0), [0x07, 0xb2, 1, 1, 0, 0, 0, 0, b'+', 0, 0]);
        // 2024-02-29 23:59:59.9
        assert_eq!(at(1_709_251_199_987), [0x07, 0xe8, 2, 29, 23, 59, 59, 9, b'+', 0, 0]);
        assert_eq!(at(u64::MAX).get(..2), Some(&9999_u16.to_be_bytes()[..]));
    }
}
