//! The rate limit of each namespace. Pure: the time is an argument.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::Instant;

/// The number of requests that a namespace can send at once.
const BURST: u32 = 40;
/// The time after which a namespace can send another request: twenty a second.
const PERIOD: Duration = Duration::from_millis(50);
/// The number of tracked namespaces above which idle ones are forgotten.
const TRACKED: usize = 1_024;

/// The rate limits of all namespaces. For each, the time when its burst is fully available again.
#[derive(Debug, Default)]
pub(super) struct RateLimits(HashMap<Arc<str>, Instant>);

impl RateLimits {
    /// Counts a request of the namespace. Returns false if the limit is exceeded.
    pub(super) fn acquire(&mut self, namespace: &Arc<str>, now: Instant) -> bool {
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
    fn each_namespace_has_its_own_limit() {
        let (mut limits, now) = (RateLimits::default(), Instant::now());
        let (acme, globex): (Arc<str>, Arc<str>) = ("acme".into(), "globex".into());
        let accepted = |limits: &mut RateLimits, now| (0..100).filter(|_| limits.acquire(&acme, now)).count();
        assert_eq!(accepted(&mut limits, now), BURST as usize);
        assert!(limits.acquire(&globex, now));
        assert_eq!(accepted(&mut limits, now + PERIOD * 3), 3);
        assert_eq!(accepted(&mut limits, now + Duration::from_hours(1)), BURST as usize);
    }

    #[test]
    fn idle_namespaces_are_forgotten() {
        let (mut limits, now) = (RateLimits::default(), Instant::now());
        for i in 0..TRACKED {
            assert!(limits.acquire(&format!("n{i}").into(), now));
        }
        assert!(limits.acquire(&"later".into(), now + Duration::from_mins(1)));
        assert_eq!(limits.0.len(), 1);
    }
}
