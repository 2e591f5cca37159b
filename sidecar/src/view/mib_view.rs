//! The view: an immutable, sorted snapshot of a subtree's instances.
//!
//! All instances lie below the subtree's base OID, so only the arcs after it are stored, in a few flat lists that are searched by
//! bisection.

use agentx::{Oid, SubId, ValueRef};

use super::store::{Position, PushError, Store};

/// The instances and values of a subtree, sorted by OID.
#[derive(Debug, Clone, Default)]
pub(crate) struct MibView {
    base: Oid,
    /// The declared objects (scalars and columns) as OIDs below the base, sorted. None lies within another.
    objects: Vec<Oid>,
    store: Store,
}

/// The size of a view. The next view of the same subtree is likely to need as much memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Size {
    /// The arcs of instances, below the base, and of values.
    pub(crate) arcs: usize,
    /// The octets of values.
    pub(crate) octets: usize,
    /// The instances.
    pub(crate) instances: usize,
}

/// An instance. Its OID consists of the view's base, the object's arcs and the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Instance<'a> {
    /// The view's base OID.
    pub(crate) base: &'a [SubId],
    /// The arcs of the object (a scalar or column) below the base.
    pub(crate) object: &'a [SubId],
    /// The arcs below the object: 0 for a scalar, the row's index for a column.
    pub(crate) index: &'a [SubId],
    /// The value; never an exception.
    pub(crate) value: ValueRef<'a>,
}

impl Instance<'_> {
    /// Writes the whole OID to a buffer, which is cleared first.
    pub(crate) fn write_oid(&self, oid: &mut Vec<SubId>) {
        oid.clear();
        oid.extend_from_slice(self.base);
        oid.extend_from_slice(self.object);
        oid.extend_from_slice(self.index);
    }

    /// Returns whether the instance lies before the `end` of a search range. An empty `end` means no end.
    pub(crate) fn is_before(&self, end: &[SubId]) -> bool {
        match end.strip_prefix(self.base) {
            _ if end.is_empty() => true,
            Some(end) => self.object.iter().chain(self.index).lt(end),
            None => self.base < end,
        }
    }
}

impl MibView {
    /// Creates an empty view of the subtree at `base` with these declared objects: OIDs below the base, none within another.
    #[cfg(test)]
    pub(crate) fn new(base: Oid, objects: Vec<Oid>) -> Self {
        Self::with_capacity(base, objects, Size::default())
    }

    /// Creates an empty view with memory for `size`. The declared objects are OIDs below the base, none within another.
    pub(crate) fn with_capacity(base: Oid, mut objects: Vec<Oid>, size: Size) -> Self {
        objects.sort();
        objects.dedup();
        Self { base, objects, store: Store::with_capacity(size.arcs, size.octets, size.instances) }
    }

    /// Returns its size.
    pub(crate) fn size(&self) -> Size {
        let (arcs, octets, instances) = self.store.size();
        Size { arcs, octets, instances }
    }

    /// Appends the instance base.`object`.`index`. Instances must be appended in ascending order.
    ///
    /// # Errors
    /// Returns an error if the instance cannot be appended. The view is unchanged then.
    pub(crate) fn push(&mut self, object: &[SubId], index: &[SubId], value: ValueRef<'_>) -> Result<(), PushError> {
        let len = self.base.len() + object.len() + index.len();
        if len > Oid::MAX_LEN {
            return Err(PushError::TooLong(len));
        }
        self.store.push(object, index, value)
    }

    /// Returns a copy of the view in which `values`, sorted by their OIDs below the base, replace or supplement its own. Values
    /// that cannot be in a view are left out.
    pub(crate) fn with<'a>(&self, values: impl Iterator<Item = (&'a [SubId], ValueRef<'a>)>) -> Self {
        let mut view = Self::with_capacity(self.base.clone(), self.objects.clone(), self.size());
        let mut values = values.peekable();
        let insert = |view: &mut Self, (at, value): (&[SubId], ValueRef<'_>)| {
            let (object, index) = at.split_at(at.len().saturating_sub(1));
            // The order is kept, and the length was checked when the value was written.
            _ = view.push(object, index, value);
        };
        for instance in self.iter() {
            let own = || instance.object.iter().chain(instance.index);
            while let Some(before) = values.next_if(|(at, _)| at.iter().lt(own())) {
                insert(&mut view, before);
            }
            let value = values.next_if(|(at, _)| at.iter().eq(own())).map_or(instance.value, |(_, value)| value);
            _ = view.push(instance.object, instance.index, value);
        }
        values.for_each(|value| insert(&mut view, value));
        view
    }

    /// Returns the base OID.
    pub(crate) fn base(&self) -> &Oid {
        &self.base
    }

    /// Returns the number of instances.
    pub(crate) fn len(&self) -> usize {
        self.store.len()
    }

    /// Returns the value at exactly `oid`, or the exception for a Get (RFC 2741 section 7.2.3.1).
    pub(crate) fn get(&self, oid: &[SubId]) -> ValueRef<'_> {
        let Some(suffix) = oid.strip_prefix(self.base.as_slice()) else { return ValueRef::NoSuchObject };
        let found = self.take(&mut self.seek(oid, true));
        match found.filter(|found| found.object.iter().chain(found.index).eq(suffix)) {
            Some(instance) => instance.value,
            None if self.declares(suffix) => ValueRef::NoSuchInstance,
            None => ValueRef::NoSuchObject,
        }
    }

    /// Returns whether `suffix` is a declared object or lies below one.
    fn declares(&self, suffix: &[SubId]) -> bool {
        let behind = self.objects.partition_point(|object| object.as_slice() <= suffix);
        behind.checked_sub(1).and_then(|i| self.objects.get(i)).is_some_and(|object| suffix.starts_with(object))
    }

    /// Returns a cursor at the start of an AgentX search range (RFC 2741 section 5.2): at the first instance after `start`, or at
    /// `start` itself if `include` is set.
    pub(crate) fn seek(&self, start: &[SubId], include: bool) -> Cursor {
        Cursor(match start.strip_prefix(self.base.as_slice()) {
            Some(suffix) => self.store.seek(suffix, include),
            None if start < self.base.as_slice() => Position::START,
            None => self.store.end(),
        })
    }

    /// Returns the instance at `cursor`, and advances the cursor. Returns `None` after the last instance. The cursor must be one of
    /// this view.
    pub(crate) fn take(&self, cursor: &mut Cursor) -> Option<Instance<'_>> {
        let (object, index, value) = self.store.take(&mut cursor.0)?;
        Some(Instance { base: &self.base, object, index, value })
    }

    /// Returns all instances in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Instance<'_>> {
        let mut cursor = Cursor(Position::START);
        std::iter::from_fn(move || self.take(&mut cursor))
    }
}

/// A position in a [`MibView`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor(Position);

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use agentx::Value;
    use proptest::prelude::*;

    use super::*;

    fn oid(text: &str) -> Oid {
        text.parse().unwrap()
    }

    /// Returns a view with the base 1.3.6, the objects 1 and 2.1.1, and the instances 1.0, 2.1.1.5 and 2.1.1.7.
    fn view() -> MibView {
        let mut view = MibView::new(oid("1.3.6"), vec![oid("2.1.1"), oid("1")]);
        for (suffix, value) in [("1.0", 10), ("2.1.1.5", 15), ("2.1.1.7", 17)] {
            view.push(&[], &oid(suffix), ValueRef::Integer(value)).unwrap();
        }
        view
    }

    #[test]
    fn a_get_returns_the_value_or_the_exception() {
        let view = view();
        for (at, value) in [
            ("1.3.6.1.0", ValueRef::Integer(10)),
            ("1.3.6.2.1.1.7", ValueRef::Integer(17)),
            ("1.3.6.1", ValueRef::NoSuchInstance),
            ("1.3.6.1.0.0", ValueRef::NoSuchInstance),
            ("1.3.6.2.1.1", ValueRef::NoSuchInstance),
            ("1.3.6.2.1.1.6", ValueRef::NoSuchInstance),
            ("1.3.6.2.1.1.8.8", ValueRef::NoSuchInstance),
            ("1.3.6.2.1", ValueRef::NoSuchObject),
            ("1.3.6.2.1.2.5", ValueRef::NoSuchObject),
            ("1.3.6", ValueRef::NoSuchObject),
            ("1.3", ValueRef::NoSuchObject),
            ("1.3.7.1.0", ValueRef::NoSuchObject),
        ] {
            assert_eq!(view.get(&oid(at)), value, "{at}");
        }
        assert_eq!(view.get(&[]), ValueRef::NoSuchObject);
    }

    #[test]
    fn a_search_finds_the_first_instance_in_its_range() {
        let view = view();
        for (start, include, end, found) in [
            ("1.3.6.1.0", false, "", Some(15)),
            ("1.3.6.1.0", true, "", Some(10)),
            ("1.3.6", false, "", Some(10)),
            ("1.3.6", true, "", Some(10)),
            ("1.3", false, "", Some(10)),
            ("0.0", false, "", Some(10)),
            ("1.3.6.2.1.1.6", true, "", Some(17)),
            ("1.3.6.2.1.1.7", false, "", None),
            ("1.3.7", true, "", None),
            ("2.0", true, "", None),
            ("1.3.6.1.0", false, "1.3.6.2.1.1.5", None),
            ("1.3.6.1.0", false, "1.3.6.2.1.1.5.0", Some(15)),
            ("1.3.6.1.0", false, "1.3.6.2", None),
            ("1.3.6.1.0", false, "1.3.7", Some(15)),
            ("1.3.6.1.0", true, "1.3.6.1.0", None),
        ] {
            let end: Oid = if end.is_empty() { Oid::default() } else { oid(end) };
            let next = range(&view, &oid(start), include, &end).next().map(|instance| instance.value);
            assert_eq!(next, found.map(ValueRef::Integer), "from {start} to {end}, include: {include}");
        }
        assert_eq!(range(&view, &[], false, &[]).next().unwrap().value, ValueRef::Integer(10));
    }

    /// Returns all instances in a search range.
    fn range<'a>(
        view: &'a MibView,
        start: &[SubId],
        include: bool,
        end: &'a [SubId],
    ) -> impl Iterator<Item = Instance<'a>> {
        let mut cursor = view.seek(start, include);
        std::iter::from_fn(move || view.take(&mut cursor)).take_while(move |instance| instance.is_before(end))
    }

    #[test]
    fn a_cursor_returns_all_instances_of_a_range_in_order() {
        let view = view();
        let (start, end) = (oid("1.3.6.1.0"), oid("1.3.7"));
        let values: Vec<_> = range(&view, &start, false, &end).map(|instance| instance.value).collect();
        assert_eq!(values, [ValueRef::Integer(15), ValueRef::Integer(17)]);
    }

    #[test]
    fn an_instance_writes_its_whole_oid() {
        let view = view();
        let mut whole = vec![9, 9, 9];
        view.iter().last().unwrap().write_oid(&mut whole);
        assert_eq!(whole, [1, 3, 6, 2, 1, 1, 7]);
    }

    #[test]
    fn a_failed_push_leaves_the_view_unchanged() {
        let mut view = view();
        let before = view.size();
        let long = vec![9; 126];
        let arcs = vec![1; 256];
        for (object, index, value, error) in [
            (&[2, 1, 1][..], &[7][..], ValueRef::Integer(0), PushError::Order),
            (&[2], &[1, 1, 7], ValueRef::Integer(0), PushError::Order),
            (&[1], &[1], ValueRef::ObjectIdentifier(&[1, 3]), PushError::Order),
            (&[], &[], ValueRef::OctetString(b"x"), PushError::Order),
            (&[9], &long, ValueRef::OctetString(b"x"), PushError::TooLong(130)),
            (&[3], &[], ValueRef::ObjectIdentifier(&arcs), PushError::TooLong(256)),
            (&[3], &[], ValueRef::Null, PushError::Type),
            (&[3], &[], ValueRef::NoSuchObject, PushError::Type),
            (&[3], &[], ValueRef::NoSuchInstance, PushError::Type),
            (&[3], &[], ValueRef::EndOfMibView, PushError::Type),
        ] {
            assert_eq!(view.push(object, index, value), Err(error));
            assert_eq!(view.size(), before);
        }
        view.push(&[3], &[], ValueRef::ObjectIdentifier(&[1, 3, 6])).unwrap();
        assert_eq!(view.get(&[1, 3, 6, 3]), ValueRef::ObjectIdentifier(&[1, 3, 6]));
        assert_eq!(view.get(&[1, 3, 6, 2, 1, 1, 7]), ValueRef::Integer(17));
    }

    #[test]
    fn empty_view_has_no_instances() {
        let view = MibView::default();
        assert_eq!(view.len(), 0);
        assert_eq!(view.get(&[1, 3]), ValueRef::NoSuchObject);
        assert_eq!(range(&view, &[], true, &[]).next(), None);
    }

    fn suffix() -> impl Strategy<Value = Vec<SubId>> {
        prop::collection::vec(prop_oneof![0..4_u32, Just(SubId::MAX)], 0..5)
    }

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<i32>().prop_map(Value::Integer),
            prop::collection::vec(any::<u8>(), 0..5).prop_map(Value::OctetString),
            suffix().prop_map(|arcs| Value::ObjectIdentifier(Oid::new(arcs).unwrap())),
            any::<[u8; 4]>().prop_map(Value::IpAddress),
            any::<u32>().prop_map(Value::Counter32),
            any::<u32>().prop_map(Value::Gauge32),
            any::<u32>().prop_map(Value::TimeTicks),
            prop::collection::vec(any::<u8>(), 0..5).prop_map(Value::Opaque),
            any::<u64>().prop_map(Value::Counter64),
        ]
    }

    proptest! {
        #[test]
        fn a_view_behaves_like_a_sorted_map(
            base in suffix(),
            object_len in 0..4_usize,
            model in prop::collection::btree_map(suffix(), value(), 0..40),
            ranges in prop::collection::vec((suffix(), suffix(), any::<bool>(), any::<bool>(), any::<bool>()), 20),
        ) {
            let mut view = MibView::new(Oid::new(base.clone()).unwrap(), vec![]);
            for (suffix, value) in &model {
                let (object, index) = suffix.split_at(object_len.min(suffix.len()));
                view.push(object, index, value.as_ref()).unwrap();
            }
            let whole: BTreeMap<Vec<SubId>, Value> =
                model.into_iter().map(|(suffix, value)| ([base.as_slice(), &suffix].concat(), value)).collect();
            prop_assert_eq!(view.len(), whole.len());
            let mut oid = Vec::new();
            for (instance, (at, value)) in view.iter().zip(&whole) {
                instance.write_oid(&mut oid);
                prop_assert_eq!((&oid, instance.value), (at, value.as_ref()));
            }
            for (start, end, include, start_below, end_below) in ranges {
                let below = |arcs: Vec<SubId>, below| if below { [base.as_slice(), &arcs].concat() } else { arcs };
                let (start, end) = (below(start, start_below), below(end, end_below));
                let expected: Vec<_> = whole
                    .iter()
                    .filter(|(at, _)| **at > start || (include && **at == start))
                    .filter(|(at, _)| end.is_empty() || **at < end)
                    .map(|(_, value)| value.as_ref())
                    .collect();
                let found: Vec<_> = range(&view, &start, include, &end).map(|instance| instance.value).collect();
                prop_assert_eq!(&found, &expected);
                prop_assert_eq!(range(&view, &start, include, &end).next().map(|i| i.value), expected.first().copied());
                let exact = whole.get(&start).map_or(ValueRef::NoSuchObject, Value::as_ref);
                prop_assert_eq!(view.get(&start), exact);
            }
        }
    }
}
