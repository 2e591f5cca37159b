//! Instances and values in three flat lists.

use agentx::{SubId, ValueRef};

use super::PushError;

/// Sorted suffixes with their values: one arena of arcs, one of octets, and 20 bytes per instance.
#[derive(Debug, Clone, Default)]
pub(super) struct Store {
    arcs: Vec<SubId>,
    octets: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    arcs_start: u32,
    value: Stored,
    arcs_len: u8,
}

/// A value whose octets or arcs, if any, are in an arena: start and length.
#[derive(Debug, Clone, Copy)]
enum Stored {
    Integer(i32),
    OctetString(u32, u32),
    ObjectIdentifier(u32, u8),
    IpAddress([u8; 4]),
    Counter32(u32),
    Gauge32(u32),
    TimeTicks(u32),
    Opaque(u32, u32),
    /// In octets, lest all values be aligned to eight.
    Counter64([u8; 8]),
}

/// Where `more` items begin behind `len`, and where they end, if an arena can address them.
fn room(len: usize, more: usize) -> Result<(u32, u32), PushError> {
    let end = len.checked_add(more).and_then(|end| u32::try_from(end).ok()).ok_or(PushError::Full)?;
    Ok((u32::try_from(len).map_err(|_| PushError::Full)?, end))
}

impl Store {
    pub(super) fn with_capacity(arcs: usize, octets: usize, instances: usize) -> Self {
        Self {
            arcs: Vec::with_capacity(arcs),
            octets: Vec::with_capacity(octets),
            entries: Vec::with_capacity(instances),
        }
    }

    /// How many arcs, octets and instances it holds.
    pub(super) fn size(&self) -> (usize, usize, usize) {
        (self.arcs.len(), self.octets.len(), self.entries.len())
    }

    /// Appends an instance, or nothing at all: whatever can fail is tried before anything is stored.
    pub(super) fn push(&mut self, suffix: &[SubId], value: ValueRef<'_>) -> Result<(), PushError> {
        if self.entries.last().is_some_and(|last| self.suffix(last) >= suffix) {
            return Err(PushError::Order);
        }
        let arcs_len = u8::try_from(suffix.len()).map_err(|_| PushError::TooLong(suffix.len()))?;
        let (value_arcs, value_octets): (&[SubId], &[u8]) = match value {
            ValueRef::ObjectIdentifier(arcs) => (arcs, &[]),
            ValueRef::OctetString(octets) | ValueRef::Opaque(octets) => (&[], octets),
            _ => (&[], &[]),
        };
        let value_arcs_len = u8::try_from(value_arcs.len()).map_err(|_| PushError::TooLong(value_arcs.len()))?;
        let (octets_start, octets_end) = room(self.octets.len(), value_octets.len())?;
        // The value's arcs, if it has any, lie before the suffix.
        let (value_arcs_start, arcs_start) = room(self.arcs.len(), value_arcs.len())?;
        room(self.arcs.len() + value_arcs.len(), suffix.len())?;
        let value = match value {
            ValueRef::Integer(v) => Stored::Integer(v),
            ValueRef::OctetString(_) => Stored::OctetString(octets_start, octets_end - octets_start),
            ValueRef::Opaque(_) => Stored::Opaque(octets_start, octets_end - octets_start),
            ValueRef::ObjectIdentifier(_) => Stored::ObjectIdentifier(value_arcs_start, value_arcs_len),
            ValueRef::IpAddress(v) => Stored::IpAddress(v),
            ValueRef::Counter32(v) => Stored::Counter32(v),
            ValueRef::Gauge32(v) => Stored::Gauge32(v),
            ValueRef::TimeTicks(v) => Stored::TimeTicks(v),
            ValueRef::Counter64(v) => Stored::Counter64(v.to_ne_bytes()),
            ValueRef::Null | ValueRef::NoSuchObject | ValueRef::NoSuchInstance | ValueRef::EndOfMibView => {
                return Err(PushError::Type);
            }
        };
        self.arcs.extend_from_slice(value_arcs);
        self.arcs.extend_from_slice(suffix);
        self.octets.extend_from_slice(value_octets);
        self.entries.push(Entry { arcs_start, value, arcs_len });
        Ok(())
    }

    /// The instances, by suffix.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn suffix(&self, entry: &Entry) -> &[SubId] {
        self.arcs(entry.arcs_start, entry.arcs_len)
    }

    fn arcs(&self, start: u32, len: u8) -> &[SubId] {
        let start = start as usize;
        self.arcs.get(start..start + usize::from(len)).unwrap_or_default()
    }

    fn octets(&self, start: u32, len: u32) -> &[u8] {
        let start = start as usize;
        self.octets.get(start..start + len as usize).unwrap_or_default()
    }

    pub(super) fn value(&self, entry: &Entry) -> ValueRef<'_> {
        match entry.value {
            Stored::Integer(v) => ValueRef::Integer(v),
            Stored::OctetString(start, len) => ValueRef::OctetString(self.octets(start, len)),
            Stored::ObjectIdentifier(start, len) => ValueRef::ObjectIdentifier(self.arcs(start, len)),
            Stored::IpAddress(v) => ValueRef::IpAddress(v),
            Stored::Counter32(v) => ValueRef::Counter32(v),
            Stored::Gauge32(v) => ValueRef::Gauge32(v),
            Stored::TimeTicks(v) => ValueRef::TimeTicks(v),
            Stored::Opaque(start, len) => ValueRef::Opaque(self.octets(start, len)),
            Stored::Counter64(v) => ValueRef::Counter64(u64::from_ne_bytes(v)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_takes_twenty_bytes_beside_its_arcs() {
        assert_eq!(size_of::<Entry>(), 20);
    }

    #[test]
    fn an_arena_ends_where_its_positions_do() {
        let most = u32::MAX as usize;
        assert_eq!(room(most - 3, 3), Ok((u32::MAX - 3, u32::MAX)));
        assert_eq!(room(most - 3, 4), Err(PushError::Full));
        assert_eq!(room(most + 1, 0), Err(PushError::Full));
        assert_eq!(room(usize::MAX, 1), Err(PushError::Full));
    }
}
