//! Object identifiers: owned as [`Oid`], borrowed as `&[SubId]`.

use std::{fmt, ops::Deref, str::FromStr};

/// One sub-identifier (arc) of an object identifier, from 0 to 2³² − 1 (RFC 2578 section 3.5).
pub type SubId = u32;

/// An object identifier of at most [`Oid::MAX_LEN`] sub-identifiers (RFC 2578 section 3.5).
///
/// The order is lexicographic, arc by arc, like the order of an SNMP walk. The empty OID is the null OID of AgentX (RFC 2741
/// section 5.1).
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oid(Vec<SubId>);

impl Oid {
    /// Maximum number of sub-identifiers (RFC 2578 section 3.5).
    pub const MAX_LEN: usize = 128;

    /// Returns an OID with these arcs.
    ///
    /// # Errors
    /// Returns [`OidError::TooLong`] if there are more than [`Oid::MAX_LEN`] arcs.
    pub fn new(arcs: Vec<SubId>) -> Result<Self, OidError> {
        if arcs.len() > Self::MAX_LEN {
            return Err(OidError::TooLong { len: arcs.len() });
        }
        Ok(Self(arcs))
    }

    /// Returns this OID with `arcs` appended.
    ///
    /// # Errors
    /// Returns [`OidError::TooLong`] if the result has more than [`Oid::MAX_LEN`] arcs.
    pub fn join(&self, arcs: &[SubId]) -> Result<Self, OidError> {
        Self::new([self.as_slice(), arcs].concat())
    }

    /// Replaces the arcs and reuses their memory.
    ///
    /// # Errors
    /// Returns [`OidError::TooLong`] if there are more than [`Oid::MAX_LEN`] arcs. The OID is unchanged then.
    pub fn assign(&mut self, arcs: &[SubId]) -> Result<(), OidError> {
        if arcs.len() > Self::MAX_LEN {
            return Err(OidError::TooLong { len: arcs.len() });
        }
        self.0.clear();
        self.0.extend_from_slice(arcs);
        Ok(())
    }

    /// Removes all arcs, which makes this the null OID. The memory is kept.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Returns the null OID, with capacity for `len` arcs.
    pub(crate) fn with_capacity(len: usize) -> Self {
        Self(Vec::with_capacity(len))
    }

    /// Appends arcs. The caller ensures that the result has at most [`Oid::MAX_LEN`] arcs.
    pub(crate) fn extend(&mut self, arcs: impl Iterator<Item = SubId>) {
        self.0.extend(arcs);
    }

    /// Returns the arcs.
    #[must_use]
    pub fn as_slice(&self) -> &[SubId] {
        &self.0
    }
}

impl Deref for Oid {
    type Target = [SubId];

    fn deref(&self) -> &[SubId] {
        &self.0
    }
}

impl TryFrom<&[SubId]> for Oid {
    type Error = OidError;

    fn try_from(arcs: &[SubId]) -> Result<Self, OidError> {
        Self::new(arcs.to_vec())
    }
}

impl FromStr for Oid {
    type Err = OidError;

    /// Parses dotted decimal arcs, with or without a leading dot. The empty string is an error.
    fn from_str(text: &str) -> Result<Self, OidError> {
        let arcs = text.strip_prefix('.').unwrap_or(text);
        let arcs = arcs.split('.').enumerate().map(|(position, arc)| {
            let canonical = arc.bytes().all(|b| b.is_ascii_digit()) && (arc == "0" || !arc.starts_with('0'));
            arc.parse()
                .ok()
                .filter(|_| canonical)
                .ok_or_else(|| OidError::Arc { position: position + 1, arc: arc.to_owned() })
        });
        Self::new(arcs.collect::<Result<_, _>>()?)
    }
}

/// Arcs that are displayed in dotted decimal notation.
#[derive(Clone, Copy)]
pub struct DisplayArcs<'a>(
    /// The arcs.
    pub &'a [SubId],
);

impl fmt::Display for DisplayArcs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, arc) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(".")?;
            }
            write!(f, "{arc}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        DisplayArcs(self).fmt(f)
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Oid({self})")
    }
}

/// An error in an object identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OidError {
    /// An arc is not a canonical decimal number from 0 to 2³² − 1.
    #[error("arc {position} is {arc:?}, not a number from 0 to 4294967295")]
    Arc {
        /// Position of the arc, from 1.
        position: usize,
        /// Text of the arc.
        arc: String,
    },
    /// The OID has too many arcs.
    #[error("{len} arcs, but an object identifier has at most 128")]
    TooLong {
        /// Number of arcs.
        len: usize,
    },
}

#[cfg(feature = "serde")]
mod serde_impls {
    use super::Oid;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    impl Serialize for Oid {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(self)
        }
    }

    impl<'de> Deserialize<'de> for Oid {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
            text.parse().map_err(D::Error::custom)
        }
    }
}
