//! Failed writes, and when they are retried.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use super::desired::Desired;
use crate::{index::Key, plan::Kind};

/// What is written as a whole, and retried as a whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Target {
    /// The objects that are created once.
    Once,
    /// The Secrets of the masters.
    Master,
    /// The ConfigMap and Secret of a namespace.
    Namespace(String),
    /// The status of an object.
    Status(Kind, Key),
}

/// The delay after the first failure. It doubles with each further failure.
const FIRST_DELAY: Duration = Duration::from_millis(500);
/// The maximum delay.
const MAX_DELAY: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
struct Failure {
    message: String,
    delay: Duration,
    next: Instant,
}

/// The targets whose last write failed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Failures(BTreeMap<Target, Failure>);

impl Failures {
    /// Returns whether the target can be written now: it has not failed, or its delay is over.
    #[must_use]
    pub(crate) fn may_try(&self, target: &Target) -> bool {
        self.0.get(target).is_none_or(|failure| Instant::now() >= failure.next)
    }

    /// Returns when the next retry is due.
    #[must_use]
    pub(crate) fn due(&self) -> Option<Instant> {
        self.0.values().map(|failure| failure.next).min()
    }

    /// Returns the error of the last write, if it failed.
    #[must_use]
    pub(crate) fn error_of(&self, target: &Target) -> Option<&str> {
        self.0.get(target).map(|failure| failure.message.as_str())
    }

    /// Records a failure. Returns whether its message is a new one.
    pub(crate) fn failed(&mut self, target: Target, message: String) -> bool {
        let before = self.0.get(&target);
        let is_new = before.is_none_or(|before| before.message != message);
        let delay = before.map_or(FIRST_DELAY, |before| (before.delay * 2).min(MAX_DELAY));
        self.0.insert(target, Failure { message, delay, next: Instant::now() + delay });
        is_new
    }

    /// Records a success.
    pub(crate) fn succeeded(&mut self, target: &Target) {
        self.0.remove(target);
    }

    /// Forgets targets that no longer exist.
    pub(crate) fn forget_deleted(&mut self, desired: &Desired) {
        let now = Instant::now();
        self.0.retain(|target, failure| match target {
            Target::Once | Target::Master => true,
            Target::Namespace(name) => desired.namespaces.contains_key(name) || failure.next > now,
            Target::Status(_, key) => {
                let exists = desired.subtrees.contains_key(key) || desired.trap_targets.contains_key(key);
                exists || failure.next > now
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn delays_grow_until_a_write_succeeds() {
        let mut failures = Failures::default();
        assert!(failures.may_try(&Target::Master));
        assert!(failures.failed(Target::Master, "no".to_owned()));
        assert!(!failures.may_try(&Target::Master));
        assert!(failures.may_try(&Target::Once), "other targets are not delayed");
        tokio::time::advance(FIRST_DELAY).await;
        assert!(failures.may_try(&Target::Master));
        assert!(!failures.failed(Target::Master, "no".to_owned()), "the same message is not new");
        tokio::time::advance(FIRST_DELAY).await;
        assert!(!failures.may_try(&Target::Master));
        for _ in 0..20 {
            failures.failed(Target::Master, "no".to_owned());
        }
        assert_eq!(failures.due(), Some(Instant::now() + MAX_DELAY));
        failures.succeeded(&Target::Master);
        assert_eq!((failures.may_try(&Target::Master), failures.due()), (true, None));
    }
}
