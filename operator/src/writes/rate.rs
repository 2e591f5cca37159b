//! How often a namespace may ask. Pure but for the time, which is an argument.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::Instant;

/// Requests of a namespace at a stretch.
const BURST: u32 = 40;
/// Time in which a namespace may ask once more: twenty a second.
const PERIOD: Duration = Duration::from_millis(50);
/// How many namespaces are kept track of before those that have asked for nothing lately are forgotten.
const TRACKED: usize = 1_024;

/// For each namespace, when it will have all its requests again.
#[derive(Debug, Default)]
pub(super) struct Rates(HashMap<Arc<str>, Instant>);

impl Rates {
    /// Whether the namespace may ask now; it has asked then.
    pub(super) fn take(&mut self, namespace: &Arc<str>, now: Instant) -> bool {
        if self.0.len() >= TRACKED {
            self.0.retain(|_, full| *full > now);
        }
        let full = self.0.get(namespace).copied().unwrap_or(now).max(now);
        if full.saturating_duration_since(now) > PERIOD * (BURST - 1) {
            return false;
        }
        self.0.insert(Arc::clone(namespace), full + PERIOD);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_asks_as_often_as_it_may_and_no_other_is_hindered() {
        let (mut rates, now) = (Rates::default(), Instant::now());
        let (acme, globex): (Arc<str>, Arc<str>) = ("acme".into(), "globex".into());
        let taken = |rates: &mut Rates, now| (0..100).filter(|_| rates.take(&acme, now)).count();
        assert_eq!(taken(&mut rates, now), BURST as usize);
        assert!(rates.take(&globex, now));
        assert_eq!(taken(&mut rates, now + PERIOD * 3), 3);
        assert_eq!(taken(&mut rates, now + Duration::from_hours(1)), BURST as usize);
    }

    #[test]
    fn who_asks_for_nothing_is_forgotten() {
        let (mut rates, now) = (Rates::default(), Instant::now());
        for i in 0..TRACKED {
            assert!(rates.take(&format!("n{i}").into(), now));
        }
        assert!(rates.take(&"later".into(), now + Duration::from_mins(1)));
        assert_eq!(rates.0.len(), 1);
    }
}
