//! The storage of a view: instances and values in a few flat lists.

use std::cmp::Ordering;

use agentx::{SubId, ValueRef};

/// Why an instance was not added to a view.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PushError {
    /// It does not sort after the instance before it.
    #[error("the instance does not follow the one before it")]
    Order,
    /// The OID would have more than 128 arcs.
    #[error("the object identifier would have {0} sub-identifiers, more than 128")]
    TooLong(usize),
    /// The value is an exception or null, which an instance cannot have.
    #[error("an instance cannot have a value of this type")]
    Type,
    /// The view would have more than 2³² arcs or octets.
    #[error("the view is full")]
    Full,
}

/// Instances sorted by OID. The arcs of an object are stored once for all its neighbouring instances, and an index that several
/// columns share is stored once for all of them. So each instance of a large table takes 14 bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Store {
    arcs: Vec<SubId>,
    octets: Vec<u8>,
    runs: Vec<Run>,
    entries: Vec<Entry>,
    /// The position in the previous run where the index of the next instance is expected.
    like: usize,
}

/// Neighbouring instances of one object: the entries from `first` up to the next run.
#[derive(Debug, Clone, Copy)]
struct Run {
    object: Arcs,
    first: u32,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    index: Arcs,
    value: Stored,
}

/// A range of the list of arcs.
#[derive(Debug, Clone, Copy)]
struct Arcs {
    /// As bytes, so that entries need no alignment to four bytes.
    start: [u8; 4],
    len: u8,
}

/// A range of the list of octets: start and length.
type Octets = ([u8; 4], [u8; 4]);

/// A value. Its octets or arcs, if any, are in one of the lists.
#[derive(Debug, Clone, Copy)]
enum Stored {
    Integer([u8; 4]),
    OctetString(Octets),
    ObjectIdentifier(Arcs),
    IpAddress([u8; 4]),
    Counter32([u8; 4]),
    Gauge32([u8; 4]),
    TimeTicks([u8; 4]),
    Opaque(Octets),
    Counter64([u8; 8]),
}

/// The position of a search: an entry and its run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position {
    run: usize,
    entry: usize,
}

impl Position {
    /// Before the first instance.
    pub(super) const START: Self = Self { run: 0, entry: 0 };
}

/// Returns the start of `more` items after `len` items, if it can be stored.
fn room(len: usize, more: usize) -> Result<[u8; 4], PushError> {
    len.checked_add(more).and_then(|end| u32::try_from(end).ok()).ok_or(PushError::Full)?;
    u32::try_from(len).map(u32::to_ne_bytes).map_err(|_| PushError::Full)
}

fn len_of(arcs: &[SubId]) -> Result<u8, PushError> {
    u8::try_from(arcs.len()).map_err(|_| PushError::TooLong(arcs.len()))
}

impl Store {
    pub(super) fn with_capacity(arcs: usize, octets: usize, instances: usize) -> Self {
        Self {
            arcs: Vec::with_capacity(arcs),
            octets: Vec::with_capacity(octets),
            entries: Vec::with_capacity(instances),
            ..Self::default()
        }
    }

    /// Returns the number of arcs, octets and instances.
    pub(super) fn size(&self) -> (usize, usize, usize) {
        (self.arcs.len(), self.octets.len(), self.entries.len())
    }

    /// Appends the instance `object`.`index`. After an error nothing is stored.
    pub(super) fn push(&mut self, object: &[SubId], index: &[SubId], value: ValueRef<'_>) -> Result<(), PushError> {
        let same_object = self.runs.last().is_some_and(|run| self.arcs(run.object) == object);
        let follows = match (self.entries.last(), self.runs.last()) {
            (Some(last), _) if same_object => self.arcs(last.index) < index,
            (Some(last), Some(run)) => {
                self.arcs(run.object).iter().chain(self.arcs(last.index)).lt(object.iter().chain(index))
            }
            _ => true,
        };
        if !follows {
            return Err(PushError::Order);
        }
        let (value_arcs, value_octets): (&[SubId], &[u8]) = match value {
            ValueRef::ObjectIdentifier(arcs) => (arcs, &[]),
            ValueRef::OctetString(octets) | ValueRef::Opaque(octets) => (&[], octets),
            _ => (&[], &[]),
        };
        let octets = (room(self.octets.len(), value_octets.len())?, room(value_octets.len(), 0)?);
        let value_arcs_at = Arcs { start: room(self.arcs.len(), value_arcs.len())?, len: len_of(value_arcs)? };
        let value = match value {
            ValueRef::Integer(v) => Stored::Integer(v.to_ne_bytes()),
            ValueRef::OctetString(_) => Stored::OctetString(octets),
            ValueRef::Opaque(_) => Stored::Opaque(octets),
            ValueRef::ObjectIdentifier(_) => Stored::ObjectIdentifier(value_arcs_at),
            ValueRef::IpAddress(v) => Stored::IpAddress(v),
            ValueRef::Counter32(v) => Stored::Counter32(v.to_ne_bytes()),
            ValueRef::Gauge32(v) => Stored::Gauge32(v.to_ne_bytes()),
            ValueRef::TimeTicks(v) => Stored::TimeTicks(v.to_ne_bytes()),
            ValueRef::Counter64(v) => Stored::Counter64(v.to_ne_bytes()),
            ValueRef::Null | ValueRef::NoSuchObject | ValueRef::NoSuchInstance | ValueRef::EndOfMibView => {
                return Err(PushError::Type);
            }
        };
        let (object_len, index_len) = (len_of(object)?, len_of(index)?);
        // An upper bound of the number of stored arcs, which is lower if arcs are shared.
        room(self.arcs.len() + value_arcs.len(), object.len() + index.len())?;
        let first = u32::try_from(self.entries.len()).map_err(|_| PushError::Full)?;

        self.arcs.extend_from_slice(value_arcs);
        self.octets.extend_from_slice(value_octets);
        if !same_object {
            self.like = self.runs.last().map_or(0, |run| run.first as usize);
            let object = Arcs { start: self.append(object)?, len: object_len };
            self.runs.push(Run { object, first });
        }
        let index = match self.like(index) {
            Some(like) => like,
            None => Arcs { start: self.append(index)?, len: index_len },
        };
        self.entries.push(Entry { index, value });
        Ok(())
    }

    /// Appends arcs and returns their position.
    fn append(&mut self, arcs: &[SubId]) -> Result<[u8; 4], PushError> {
        let start = room(self.arcs.len(), arcs.len())?;
        self.arcs.extend_from_slice(arcs);
        Ok(start)
    }

    /// Returns the stored arcs of the same index in the previous run, if there are any.
    fn like(&mut self, index: &[SubId]) -> Option<Arcs> {
        let end = self.runs.last()?.first as usize;
        while self.like < end {
            let like = self.entries.get(self.like)?.index;
            match self.arcs(like).cmp(index) {
                Ordering::Less => self.like += 1,
                Ordering::Equal => return Some(like),
                Ordering::Greater => return None,
            }
        }
        None
    }

    /// Returns the number of instances.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn end(&self) -> Position {
        Position { run: self.runs.len(), entry: self.entries.len() }
    }

    /// Returns the position of the first instance after `suffix`, or at it if `include` is set; the end if there is none.
    pub(super) fn seek(&self, suffix: &[SubId], include: bool) -> Position {
        // It is in the last run that begins before `suffix`, or it is the first instance of the next run.
        let run = self.runs.partition_point(|run| match self.entries.get(run.first as usize) {
            Some(first) => {
                let order = self.arcs(run.object).iter().chain(self.arcs(first.index)).cmp(suffix);
                order == Ordering::Less || (order == Ordering::Equal && !include)
            }
            None => false,
        });
        let Some(run) = run.checked_sub(1) else { return Position::START };
        let (first, end) = self.entries_of(run);
        let entries = self.entries.get(first..end).unwrap_or_default();
        let object = self.runs.get(run).map(|run| self.arcs(run.object)).unwrap_or_default();
        let passed = match suffix.strip_prefix(object) {
            Some(index) => entries.partition_point(|entry| match self.arcs(entry.index).cmp(index) {
                Ordering::Less => true,
                Ordering::Equal => !include,
                Ordering::Greater => false,
            }),
            // The first entry lies before `suffix`, and so do all entries of the same object.
            None => entries.len(),
        };
        let entry = first + passed;
        Position { run: if entry < end { run } else { run + 1 }, entry }
    }

    /// Returns the range of a run's entries.
    fn entries_of(&self, run: usize) -> (usize, usize) {
        let first = |run: usize| self.runs.get(run).map_or(self.entries.len(), |run| run.first as usize);
        (first(run), first(run + 1))
    }

    /// Returns the object, index and value of the instance at `position`, and advances the position.
    pub(super) fn take(&self, position: &mut Position) -> Option<(&[SubId], &[SubId], ValueRef<'_>)> {
        let entry = self.entries.get(position.entry)?;
        let object = self.runs.get(position.run)?.object;
        position.entry += 1;
        if self.runs.get(position.run + 1).is_some_and(|next| next.first as usize == position.entry) {
            position.run += 1;
        }
        Some((self.arcs(object), self.arcs(entry.index), self.value(entry)))
    }

    fn arcs(&self, Arcs { start, len }: Arcs) -> &[SubId] {
        let start = u32::from_ne_bytes(start) as usize;
        self.arcs.get(start..start + usize::from(len)).unwrap_or_default()
    }

    fn octets(&self, (start, len): Octets) -> &[u8] {
        let (start, len) = (u32::from_ne_bytes(start) as usize, u32::from_ne_bytes(len) as usize);
        self.octets.get(start..start + len).unwrap_or_default()
    }

    fn value(&self, entry: &Entry) -> ValueRef<'_> {
        match entry.value {
            Stored::Integer(v) => ValueRef::Integer(i32::from_ne_bytes(v)),
            Stored::OctetString(octets) => ValueRef::OctetString(self.octets(octets)),
            Stored::ObjectIdentifier(arcs) => ValueRef::ObjectIdentifier(self.arcs(arcs)),
            Stored::IpAddress(v) => ValueRef::IpAddress(v),
            Stored::Counter32(v) => ValueRef::Counter32(u32::from_ne_bytes(v)),
            Stored::Gauge32(v) => ValueRef::Gauge32(u32::from_ne_bytes(v)),
            Stored::TimeTicks(v) => ValueRef::TimeTicks(u32::from_ne_bytes(v)),
            Stored::Opaque(octets) => ValueRef::Opaque(self.octets(octets)),
            Stored::Counter64(v) => ValueRef::Counter64(u64::from_ne_bytes(v)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_takes_14_bytes_in_addition_to_its_arcs() {
        assert_eq!(size_of::<Entry>(), 14);
    }

    #[test]
    fn columns_share_equal_indexes() {
        let mut store = Store::default();
        for column in 1..=10 {
            for row in (0..100).filter(|row| row % 10 != column) {
                store.push(&[1, column], &[row, 7, 7], ValueRef::Integer(0)).unwrap();
            }
        }
        // Each column except the first has ten rows that the previous column does not have.
        assert_eq!(store.size(), (10 * 2 + 90 * 3 + 9 * 10 * 3, 0, 910));
    }

    #[test]
    fn a_list_is_full_when_a_position_would_exceed_32_bits() {
        let most = u32::MAX as usize;
        assert_eq!(room(most - 3, 3), Ok((u32::MAX - 3).to_ne_bytes()));
        assert_eq!(room(most - 3, 4), Err(PushError::Full));
        assert_eq!(room(most + 1, 0), Err(PushError::Full));
        assert_eq!(room(usize::MAX, 1), Err(PushError::Full));
    }
}
