//! Written values, shown at once: until the source has them, or has had its time.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use agentx::{SubId, Value};

use crate::mib_view::MibView;

/// What was written of one subtree and is not seen in its samples yet.
#[derive(Debug, Default)]
pub struct Overlay(Mutex<BTreeMap<Vec<SubId>, Written>>);

#[derive(Debug)]
struct Written {
    value: Value,
    until: Instant,
}

impl Overlay {
    /// The view with `value` at this place below the base; it is laid over the next ones, too, until then.
    #[must_use]
    pub fn put(&self, view: &MibView, instance: Vec<SubId>, value: Value, until: Instant) -> MibView {
        let shown = view.with(std::iter::once((instance.as_slice(), value.as_ref())));
        self.lock().insert(instance, Written { value, until });
        shown
    }

    /// Shows what the samples say of this place.
    pub fn remove(&self, instance: &[SubId]) {
        self.lock().remove(instance);
    }

    /// The view, as the sources have it, with what was written; what it has by itself by now, and what has had its time, is
    /// forgotten.
    #[must_use]
    pub fn lay_over(&self, view: MibView, now: Instant) -> MibView {
        let mut written = self.lock();
        if written.is_empty() {
            return view;
        }
        let base = view.base().clone();
        written.retain(|instance, written| {
            let at = [base.as_slice(), instance].concat();
            now < written.until && view.get(&at) != written.value.as_ref()
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
    fn what_was_written_is_shown_until_the_source_has_it() {
        let (overlay, now) = (Overlay::default(), Instant::now());
        let (until, later) = (now + Duration::from_secs(9), now + Duration::from_secs(1));
        let over = overlay.put(&view(1), vec![1, 0], Value::Integer(5), until);
        assert_eq!(shown(&over, "1.3.1.0"), Some(5));
        // What is shown has the first by now, but not because its source has it.
        let over = overlay.put(&over, vec![2, 0], Value::Integer(6), until);
        assert_eq!((shown(&over, "1.3.1.0"), shown(&over, "1.3.2.0"), over.len()), (Some(5), Some(6), 2));
        let over = overlay.lay_over(view(1), now);
        assert_eq!((shown(&over, "1.3.1.0"), shown(&over, "1.3.2.0"), over.len()), (Some(5), Some(6), 2));
        assert_eq!(shown(&overlay.lay_over(view(1), later), "1.3.1.0"), Some(5));
        // The source has it; what comes from then on is the source's.
        assert_eq!(shown(&overlay.lay_over(view(5), later), "1.3.1.0"), Some(5));
        assert_eq!(shown(&overlay.lay_over(view(7), later), "1.3.1.0"), Some(7));
        overlay.remove(&[2, 0]);
        assert_eq!(shown(&overlay.lay_over(view(7), later), "1.3.2.0"), None);
    }

    #[test]
    fn a_source_that_never_has_it_is_right_in_the_end() {
        let (overlay, now) = (Overlay::default(), Instant::now());
        let over = overlay.put(&view(1), vec![1, 0], Value::Integer(5), now + Duration::from_secs(9));
        assert_eq!(shown(&over, "1.3.1.0"), Some(5));
        assert_eq!(shown(&overlay.lay_over(view(1), now + Duration::from_secs(9)), "1.3.1.0"), Some(1));
    }
}
