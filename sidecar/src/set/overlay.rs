//! Written values that are shown at once, until the source returns them or a time limit passes.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use agentx::{SubId, Value};

use crate::view::MibView;

/// The written values of one subtree that its samples do not show yet, by their OIDs below the base.
#[derive(Debug, Default)]
pub(crate) struct Overlay(Mutex<BTreeMap<Vec<SubId>, Written>>);

#[derive(Debug)]
struct Written {
    value: Value,
    until: Instant,
}

impl Overlay {
    /// Returns `view` with `value` at `instance`, an OID below the base. [`Self::apply`] also shows it until `until`.
    pub(super) fn put(&self, view: &MibView, instance: Vec<SubId>, value: Value, until: Instant) -> MibView {
        let shown = view.with(std::iter::once((instance.as_slice(), value.as_ref())));
        self.lock().insert(instance, Written { value, until });
        shown
    }

    /// Removes the value at `instance`, so that the samples decide.
    pub(super) fn remove(&self, instance: &[SubId]) {
        self.lock().remove(instance);
    }

    /// Returns `view`, made from samples, with the written values in it. First removes the values that `view` contains
    /// already, and the expired ones.
    pub(crate) fn apply(&self, view: MibView, now: Instant) -> MibView {
        let mut written = self.lock();
        if written.is_empty() {
            return view;
        }
        let base = view.base().clone();
        written.retain(|instance, written| {
            let oid = [base.as_slice(), instance].concat();
            now < written.until && view.get(&oid) != written.value.as_ref()
        });
        if written.is_empty() {
            return view;
        }
        view.with(written.iter().map(|(instance, written)| (instance.as_slice(), written.value.as_ref())))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Vec<SubId>, Written>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use agentx::{Oid, ValueRef};

    use super::*;

    fn view(value: i32) -> MibView {
        let mut view = MibView::new("1.3".parse().unwrap(), vec!["1".parse().unwrap(), "2".parse().unwrap()]);
        view.push(&[1], &[0], ValueRef::Integer(value)).unwrap();
        view
    }

    fn shown(view: &MibView, at: &str) -> Option<i32> {
        match view.get(&at.parse::<Oid>().unwrap()) {
            ValueRef::Integer(value) => Some(value),
            _ => None,
        }
    }

    #[test]
    fn written_value_is_shown_until_the_source_returns_it() {
        let (overlay, now) = (Overlay::default(), Instant::now());
        let (until, later) = (now + Duration::from_secs(9), now + Duration::from_secs(1));
        let over = overlay.put(&view(1), vec![1, 0], Value::Integer(5), until);
        assert_eq!(shown(&over, "1.3.1.0"), Some(5));
        // The view shows the first value, but its source does not return it yet.
        let over = overlay.put(&over, vec![2, 0], Value::Integer(6), until);
        assert_eq!((shown(&over, "1.3.1.0"), shown(&over, "1.3.2.0"), over.len()), (Some(5), Some(6), 2));
        let over = overlay.apply(view(1), now);
        assert_eq!((shown(&over, "1.3.1.0"), shown(&over, "1.3.2.0"), over.len()), (Some(5), Some(6), 2));
        assert_eq!(shown(&overlay.apply(view(1), later), "1.3.1.0"), Some(5));
        // The source returns the value; from then on the source decides.
        assert_eq!(shown(&overlay.apply(view(5), later), "1.3.1.0"), Some(5));
        assert_eq!(shown(&overlay.apply(view(7), later), "1.3.1.0"), Some(7));
        overlay.remove(&[2, 0]);
        assert_eq!(shown(&overlay.apply(view(7), later), "1.3.2.0"), None);
    }

    #[test]
    fn value_that_the_source_never_returns_expires() {
        let (overlay, now) = (Overlay::default(), Instant::now());
        let over = overlay.put(&view(1), vec![1, 0], Value::Integer(5), now + Duration::from_secs(9));
        assert_eq!(shown(&over, "1.3.1.0"), Some(5));
        assert_eq!(shown(&overlay.apply(view(1), now + Duration::from_secs(9)), "1.3.1.0"), Some(1));
    }
}
