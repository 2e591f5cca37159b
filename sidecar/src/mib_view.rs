//! An immutable, sorted snapshot of one subtree's objects: what requests are answered from.
//!
//! All instances lie below the subtree's base OID, so only what follows it is stored: one arena of
//! sub-identifiers, one of octets, and a fixed-size entry per instance, found by binary search.

use agentx::{Oid, SubId, ValueRef};

/// A subtree's instances and values, sorted by OID.
#[derive(Debug, Clone, Default)]
pub struct MibView {
    base: Oid,
    /// Declared objects, as OIDs below the base (a scalar's or a column's), sorted.
    objects: Vec<Oid>,
    arcs: Vec<SubId>,
    octets: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    arcs_start: u32,
    arcs_len: u8,
    value: Stored,
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
    Counter64(u64),
}

/// One instance: its OID is the view's base followed by `suffix`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instance<'a> {
    /// The view's base OID.
    pub base: &'a [SubId],
    /// The arcs below it.
    pub suffix: &'a [SubId],
    /// Its value; never an exception.
    pub value: ValueRef<'a>,
}

impl Instance<'_> {
    /// The whole OID, in a buffer that is cleared first.
    pub fn write_oid(&self, oid: &mut Vec<SubId>) {
        oid.clear();
        oid.extend_from_slice(self.base);
        oid.extend_from_slice(self.suffix);
    }
}

/// Why an instance was not added to a view.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// Not behind the instance pushed before it.
    #[error("the instance does not follow the one before it")]
    Order,
    /// The OID would have more than 128 sub-identifiers.
    #[error("the object identifier would have {0} sub-identifiers, more than 128")]
    TooLong(usize),
    /// An exception or null, which no instance can hold.
    #[error("no instance has this type of value")]
    Type,
    /// The view has grown beyond 2³² arcs or octets.
    #[error("the view is full")]
    Full,
}

impl MibView {
    /// An empty view of the subtree at `base` with these declared objects (OIDs below the base).
    #[must_use]
    pub fn new(base: Oid, mut objects: Vec<Oid>) -> Self {
        objects.sort();
        objects.dedup();
        Self { base, objects, ..Self::default() }
    }

    /// As [`new`](Self::new), with room for so many arcs below the base and so many instances.
    #[must_use]
    pub fn with_capacity(base: Oid, objects: Vec<Oid>, arcs: usize, instances: usize) -> Self {
        let view = Self::new(base, objects);
        Self { arcs: Vec::with_capacity(arcs), entries: Vec::with_capacity(instances), ..view }
    }

    /// How many arcs and instances it holds, as [`with_capacity`](Self::with_capacity) takes them.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.arcs.len(), self.entries.len())
    }

    /// Appends the instance base.`suffix`. Instances come in ascending order.
    ///
    /// # Errors
    /// [`PushError`], and the instance is not added.
    pub fn push(&mut self, suffix: &[SubId], value: ValueRef<'_>) -> Result<(), PushError> {
        let len = self.base.len() + suffix.len();
        if len > Oid::MAX_LEN {
            return Err(PushError::TooLong(len));
        }
        if self.entries.last().is_some_and(|last| self.suffix(last) >= suffix) {
            return Err(PushError::Order);
        }
        let arcs_start = u32::try_from(self.arcs.len()).map_err(|_| PushError::Full)?;
        let arcs_len = u8::try_from(suffix.len()).map_err(|_| PushError::TooLong(len))?;
        let value = self.store(value)?;
        // A value's arcs, if it has any, were stored first: the suffix lies behind them.
        let arcs_start = match value {
            Stored::ObjectIdentifier(_, value_len) => arcs_start + u32::from(value_len),
            _ => arcs_start,
        };
        self.arcs.extend_from_slice(suffix);
        self.entries.push(Entry { arcs_start, arcs_len, value });
        Ok(())
    }

    fn store(&mut self, value: ValueRef<'_>) -> Result<Stored, PushError> {
        Ok(match value {
            ValueRef::Integer(v) => Stored::Integer(v),
            ValueRef::OctetString(v) => {
                let (start, len) = self.store_octets(v)?;
                Stored::OctetString(start, len)
            }
            ValueRef::Opaque(v) => {
                let (start, len) = self.store_octets(v)?;
                Stored::Opaque(start, len)
            }
            ValueRef::ObjectIdentifier(v) => {
                let start = u32::try_from(self.arcs.len()).map_err(|_| PushError::Full)?;
                let len = u8::try_from(v.len()).map_err(|_| PushError::TooLong(v.len()))?;
                self.arcs.extend_from_slice(v);
                Stored::ObjectIdentifier(start, len)
            }
            ValueRef::IpAddress(v) => Stored::IpAddress(v),
            ValueRef::Counter32(v) => Stored::Counter32(v),
            ValueRef::Gauge32(v) => Stored::Gauge32(v),
            ValueRef::TimeTicks(v) => Stored::TimeTicks(v),
            ValueRef::Counter64(v) => Stored::Counter64(v),
            ValueRef::Null | ValueRef::NoSuchObject | ValueRef::NoSuchInstance | ValueRef::EndOfMibView => {
                return Err(PushError::Type);
            }
        })
    }

    fn store_octets(&mut self, octets: &[u8]) -> Result<(u32, u32), PushError> {
        let start = u32::try_from(self.octets.len()).map_err(|_| PushError::Full)?;
        let len = u32::try_from(octets.len()).map_err(|_| PushError::Full)?;
        self.octets.extend_from_slice(octets);
        Ok((start, len))
    }

    /// The subtree's base OID.
    #[must_use]
    pub fn base(&self) -> &Oid {
        &self.base
    }

    /// How many instances there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value at exactly `oid`: the instance's, or the exception that a Get gets (RFC 2741 section 7.2.3.1).
    #[must_use]
    pub fn get(&self, oid: &[SubId]) -> ValueRef<'_> {
        let Some(suffix) = oid.strip_prefix(self.base.as_slice()) else { return ValueRef::NoSuchObject };
        match self.entries.binary_search_by(|entry| self.suffix(entry).cmp(suffix)) {
            Ok(found) => self.entries.get(found).map_or(ValueRef::NoSuchInstance, |entry| self.value(entry)),
            Err(_) if self.declares(suffix) => ValueRef::NoSuchInstance,
            Err(_) => ValueRef::NoSuchObject,
        }
    }

    /// Whether `suffix` is a declared object or an instance of one.
    fn declares(&self, suffix: &[SubId]) -> bool {
        let behind = self.objects.partition_point(|object| object.as_slice() <= suffix);
        behind.checked_sub(1).and_then(|i| self.objects.get(i)).is_some_and(|object| suffix.starts_with(object))
    }

    /// The first instance behind `start`, or at it where `include` says so, and before `end` where that is not
    /// empty: an AgentX search range (RFC 2741 section 5.2).
    #[must_use]
    pub fn next(&self, start: &[SubId], include: bool, end: &[SubId]) -> Option<Instance<'_>> {
        let first = match start.strip_prefix(self.base.as_slice()) {
            Some(suffix) => self.entries.partition_point(|entry| match self.suffix(entry).cmp(suffix) {
                std::cmp::Ordering::Less => true,
                std::cmp::Ordering::Equal => !include,
                std::cmp::Ordering::Greater => false,
            }),
            None if start < self.base.as_slice() => 0,
            None => return None,
        };
        let instance = self.instance(self.entries.get(first)?);
        let before_end = end.is_empty() || instance.base.iter().chain(instance.suffix).lt(end);
        before_end.then_some(instance)
    }

    /// All instances, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Instance<'_>> {
        self.entries.iter().map(|entry| self.instance(entry))
    }

    fn instance(&self, entry: &Entry) -> Instance<'_> {
        Instance { base: &self.base, suffix: self.suffix(entry), value: self.value(entry) }
    }

    fn suffix(&self, entry: &Entry) -> &[SubId] {
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

    fn value(&self, entry: &Entry) -> ValueRef<'_> {
        match entry.value {
            Stored::Integer(v) => ValueRef::Integer(v),
            Stored::OctetString(start, len) => ValueRef::OctetString(self.octets(start, len)),
            Stored::ObjectIdentifier(start, len) => ValueRef::ObjectIdentifier(self.arcs(start, len)),
            Stored::IpAddress(v) => ValueRef::IpAddress(v),
            Stored::Counter32(v) => ValueRef::Counter32(v),
            Stored::Gauge32(v) => ValueRef::Gauge32(v),
            Stored::TimeTicks(v) => ValueRef::TimeTicks(v),
            Stored::Opaque(start, len) => ValueRef::Opaque(self.octets(start, len)),
            Stored::Counter64(v) => ValueRef::Counter64(v),
        }
    }
}
