//! Conversion of durations and sizes to numbers.

use crate::{Duration, Size};

impl Duration {
    /// Returns the duration in milliseconds, or `None` if the text is not a valid duration or the number does not fit
    /// into 64 bits.
    #[must_use]
    pub fn millis(&self) -> Option<u64> {
        let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
        let mut units = units.iter();
        let mut rest: &str = self;
        let mut total = 0_u64;
        if rest.is_empty() {
            return None;
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit())?;
            let (number, behind) = rest.split_at_checked(digits)?;
            let letters = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
            let (unit, behind) = behind.split_at_checked(letters)?;
            // Units are in descending order, each at most once.
            let (_, millis) = units.find(|(name, _)| *name == unit)?;
            total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(*millis)?)?;
            rest = behind;
        }
        Some(total)
    }
}

impl Size {
    /// Returns the size in bytes, or `None` if the text is not a valid size or the number does not fit into 64 bits.
    #[must_use]
    pub fn bytes(&self) -> Option<u64> {
        let digits = self.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.len());
        let (number, unit) = self.split_at_checked(digits)?;
        let factor = match unit {
            "" => 1,
            "k" => 1000,
            "M" => 1_000_000,
            "G" => 1_000_000_000,
            "Ki" => 1 << 10,
            "Mi" => 1 << 20,
            "Gi" => 1 << 30,
            _ => return None,
        };
        number.parse::<u64>().ok()?.checked_mul(factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_parsed_like_those_of_prometheus() {
        let cases = [
            ("15s", Some(15_000)),
            ("1m30s", Some(90_000)),
            ("1d2h3m4s5ms", Some(93_784_005)),
            ("500ms", Some(500)),
            ("0s", Some(0)),
            ("", None),
            ("15", None),
            ("s", None),
            ("1s1m", None),
            ("1s1s", None),
            ("1.5s", None),
            ("1y", None),
            ("99999999999999999999s", None),
            ("18446744073709551615d", None),
        ];
        for (text, millis) in cases {
            assert_eq!(Duration::from(text).millis(), millis, "{text}");
        }
    }

    #[test]
    fn sizes_are_parsed_like_kubernetes_quantities() {
        let cases = [
            ("16Mi", Some(16 << 20)),
            ("1024", Some(1024)),
            ("2k", Some(2000)),
            ("1Gi", Some(1 << 30)),
            ("", None),
            ("Mi", None),
            ("1.5Mi", None),
            ("1Ti", None),
            ("-1", None),
        ];
        for (text, bytes) in cases {
            assert_eq!(Size::from(text).bytes(), bytes, "{text}");
        }
    }
}
