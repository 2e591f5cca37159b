//! What could not be written, and when it is tried again.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use super::{Target, desired::Desired};

/// Time from the first failure to the next try; it doubles.
const FIRST: Duration = Duration::from_millis(500);
/// The longest time between two tries.
const LONGEST: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
struct Failure {
    message: String,
    pause: Duration,
    next: Instant,
}

/// Targets whose last write failed.
#[derive(Debug, Clone, Default)]
pub struct Failures(BTreeMap<Target, Failure>);

impl Failures {
    /// Whether it is time to try. What has not failed may always be tried.
    #[must_use]
    pub fn may_try(&self, target: &Target) -> bool {
        self.0.get(target).is_none_or(|failure| Instant::now() >= failure.next)
    }

    /// When the next is to be tried.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.0.values().map(|failure| failure.next).min()
    }

    /// Why the last try failed.
    #[must_use]
    pub fn of(&self, target: &Target) -> Option<&str> {
        self.0.get(target).map(|failure| failure.message.as_str())
    }

    /// It failed. The answer is whether that is news.
    pub fn failed(&mut self, target: Target, message: String) -> bool {
        let before = self.0.get(&target);
        let news = before.is_none_or(|before| before.message != message);
        let pause = before.map_or(FIRST, |before| (before.pause * 2).min(LONGEST));
        self.0.insert(target, Failure { message, pause, next: Instant::now() + pause });
        news
    }

    /// It succeeded.
    pub fn succeeded(&mut self, target: &Target) {
        self.0.remove(target);
    }

    /// Forgets targets that are not there any more.
    pub fn retain_known(&mut self, desired: &Desired) {
        let now = Instant::now();
        self.0.retain(|target, failure| match target {
            Target::Once | Target::Master => true,
            Target::Namespace(name) => desired.namespaces.contains_key(name) || failure.next > now,
            Target::Status(_, key) => {
                let known = desired.subtrees.contains_key(key) || desired.trap_targets.contains_key(key);
                known || failure.next > now
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn tries_become_rarer_until_one_succeeds() {
        let mut failures = Failures::default();
        assert!(failures.may_try(&Target::Master));
        assert!(failures.failed(Target::Master, "no".to_owned()));
        assert!(!failures.may_try(&Target::Master));
        assert!(failures.may_try(&Target::Once), "others are not held up");
        tokio::time::advance(FIRST).await;
        assert!(failures.may_try(&Target::Master));
        assert!(!failures.failed(Target::Master, "no".to_owned()), "no news");
        tokio::time::advance(FIRST).await;
        assert!(!failures.may_try(&Target::Master));
        for _ in 0..20 {
            failures.failed(Target::Master, "no".to_owned());
        }
        assert_eq!(failures.due(), Some(Instant::now() + LONGEST));
        failures.succeeded(&Target::Master);
        assert_eq!((failures.may_try(&Target::Master), failures.due()), (true, None));
    }
}
