//! Short names for contents, the same in every release and on every machine.

use std::{fmt, hash::Hasher as _};

use fnv::FnvHasher;

/// A 64-bit FNV-1a hash. It is fast, and it does not hide the contents.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fingerprint(u64);

impl Default for Fingerprint {
    fn default() -> Self {
        Self(FnvHasher::default().finish())
    }
}

impl Fingerprint {
    /// Adds octets.
    #[must_use]
    pub(crate) fn octets(self, octets: &[u8]) -> Self {
        let mut hasher = FnvHasher::with_key(self.0);
        hasher.write(octets);
        Self(hasher.finish())
    }

    /// Adds a text and its length, so that the end of each text counts.
    #[must_use]
    pub(crate) fn text(self, text: &[u8]) -> Self {
        self.octets(&text.len().to_le_bytes()).octets(text)
    }

    /// Returns the hash.
    #[must_use]
    pub(crate) fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_never_change() {
        // From the published test vectors of FNV-1a.
        let of = |text: &str| Fingerprint::default().octets(text.as_bytes()).to_string();
        assert_eq!(of(""), "cbf29ce484222325");
        assert_eq!(of("a"), "af63dc4c8601ec8c");
        assert_eq!(of("foobar"), "85944171f73967e8");
    }

    #[test]
    fn the_end_of_each_text_counts() {
        let of = |texts: [&str; 2]| texts.iter().fold(Fingerprint::default(), |f, text| f.text(text.as_bytes())).0;
        assert_ne!(of(["ab", "c"]), of(["a", "bc"]));
    }
}
