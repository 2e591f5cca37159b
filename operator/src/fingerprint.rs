//! Short names of contents, the same in every release and on every machine.

/// FNV-1a in 64 bits: fast, and no secret-keeper.
#[derive(Debug, Clone, Copy)]
pub struct Fingerprint(u64);

impl Default for Fingerprint {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fingerprint {
    /// Goes on with these octets.
    #[must_use]
    pub fn octets(self, octets: &[u8]) -> Self {
        Self(octets.iter().fold(self.0, |hash, octet| (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3)))
    }

    /// Goes on with this text, and where it ends.
    #[must_use]
    pub fn text(self, text: &[u8]) -> Self {
        self.octets(&text.len().to_le_bytes()).octets(text)
    }

    /// The number.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_those_of_the_algorithm() {
        // From the published test vectors of FNV-1a.
        let of = |text: &str| Fingerprint::default().octets(text.as_bytes()).to_string();
        assert_eq!(of("a"), "af63dc4c8601ec8c");
        assert_eq!(of("foobar"), "85944171f73967e8");
    }

    #[test]
    fn where_texts_end_counts() {
        let of = |texts: [&str; 2]| texts.iter().fold(Fingerprint::default(), |f, text| f.text(text.as_bytes())).0;
        assert_ne!(of(["ab", "c"]), of(["a", "bc"]));
    }
}
