//! Alarm ids.

use std::fmt;

use agentx::SubId;
use sha2::{Digest as _, Sha256};

/// Id of an alarm: the same for each pod, each master and each restart. It is displayed as 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlarmId(pub [u8; 8]);

impl AlarmId {
    /// Returns the id of the alarm that the notification `alarm_type` raises on an instance in a context: the first 64 bits of
    /// SHA-256 over the three, each after its length.
    #[must_use]
    pub fn of(context: &[u8], alarm_type: &[SubId], instance: &[SubId]) -> Self {
        let mut hash = Sha256::new();
        hash.update((context.len() as u64).to_be_bytes());
        hash.update(context);
        for arcs in [alarm_type, instance] {
            hash.update((arcs.len() as u64).to_be_bytes());
            for arc in arcs {
                hash.update(arc.to_be_bytes());
            }
        }
        let mut id = [0; 8];
        id.iter_mut().zip(hash.finalize()).for_each(|(octet, of_hash)| *octet = of_hash);
        Self(id)
    }
}

impl fmt::Display for AlarmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_never_changes_between_versions() {
        let id = AlarmId::of(b"acme", &[1, 3, 6, 1, 4, 1, 9, 0, 1], &[1, 3, 6, 1, 4, 1, 9, 1, 0]);
        assert_eq!(id.to_string(), "54212ff0df7d5414");
    }

    #[test]
    fn each_part_belongs_to_the_id() {
        let ids = [
            AlarmId::of(b"", &[1, 2], &[3]),
            AlarmId::of(b"a", &[1, 2], &[3]),
            AlarmId::of(b"", &[1], &[2, 3]),
            AlarmId::of(b"", &[1, 2], &[3, 0]),
        ];
        for (i, id) in ids.iter().enumerate() {
            assert!(!ids.iter().skip(i + 1).any(|other| other == id));
        }
    }
}
