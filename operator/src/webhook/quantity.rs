//! Quantities of Kubernetes (`k8s.io/apimachinery/pkg/api/resource`), for comparisons.

/// An amount of CPU or memory. Signs and exponents are not supported, because they are not used for resources in practice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Quantity {
    /// The amount in units of 10⁻⁹, the finest resolution of Kubernetes.
    nanos: i128,
}

const NANOS: i128 = 1_000_000_000;
/// The maximum number of digits before the decimal point.
const DIGITS: usize = 15;

impl Quantity {
    /// Zero.
    pub(crate) const ZERO: Self = Self { nanos: 0 };

    /// Returns `count` times 2²⁰, for example `16Mi`.
    #[must_use]
    pub(crate) const fn mebi(count: u32) -> Self {
        Self { nanos: (count as i128) * (1 << 20) * NANOS }
    }

    /// Parses a quantity. `None` if the text is not a quantity, is too large, or has a sign or an exponent.
    #[must_use]
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at_checked(end)?;
        let unit = match unit {
            "n" => 1,
            "u" => 1000,
            "m" => 1_000_000,
            "" => NANOS,
            "k" => NANOS * 1000,
            "M" => NANOS * 1_000_000,
            "G" => NANOS * 1_000_000_000,
            "T" => NANOS * 1_000_000_000_000,
            "P" => NANOS * 1_000_000_000_000_000,
            "E" => NANOS * 1_000_000_000_000_000_000,
            "Ki" => NANOS << 10,
            "Mi" => NANOS << 20,
            "Gi" => NANOS << 30,
            "Ti" => NANOS << 40,
            "Pi" => NANOS << 50,
            "Ei" => NANOS << 60,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.len() > DIGITS || fraction.len() > 9 || (whole.is_empty() && fraction.is_empty()) {
            return None;
        }
        let number = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<i128>().ok() };
        let divisor = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        let fraction = number(fraction)?.checked_mul(unit)?;
        // A remainder below the finest resolution is rounded up, as in Kubernetes.
        let fraction = fraction / divisor + i128::from(fraction % divisor != 0);
        Some(Self { nanos: number(whole)?.checked_mul(unit)?.checked_add(fraction)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_compared_by_amount() {
        let same = [
            ("1", "1000m"),
            ("0.1", "100m"),
            (".5", "500m"),
            ("5.", "5"),
            ("1Ki", "1024"),
            ("1.5Gi", "1536Mi"),
            ("1k", "1000"),
            ("2G", "2000M"),
            ("1u", "1000n"),
            ("0.1n", "1n"),
            ("1E", "1000P"),
            ("1Ei", "1024Pi"),
        ];
        for (a, b) in same {
            assert_eq!(Quantity::parse(a).unwrap(), Quantity::parse(b).unwrap(), "{a} {b}");
        }
        assert!(Quantity::parse("64M") < Quantity::parse("64Mi"));
        assert_eq!(Quantity::parse("16Mi"), Some(Quantity::mebi(16)));
        assert_eq!(Quantity::parse("0"), Some(Quantity::ZERO));
    }

    #[test]
    fn invalid_quantities_are_refused() {
        for text in [
            "",
            ".",
            "m",
            "-1",
            "+1",
            "1e3",
            "1K",
            "1 Mi",
            "1mi",
            "Mi",
            "1.2.3",
            "1.1234567890",
            "1234567890123456",
            "٣",
        ] {
            assert_eq!(Quantity::parse(text), None, "{text}");
        }
        assert_eq!(Quantity::parse("999999999999999Ei"), None, "too large");
    }
}
