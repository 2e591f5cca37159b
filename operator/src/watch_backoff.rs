//! Pauses between the tries of a watch that fails.

use std::time::Duration;

use backon::ExponentialBuilder;
use kube::runtime::watcher::ExponentialBackoff;

/// The first; each is twice as long as the one before, and up to as much again by chance.
const SHORTEST: Duration = Duration::from_millis(800);
/// The longest, without chance. kube's own, and client-go's, is 30 s: after an API server was away that is up to a minute in which
/// nothing that people apply is seen.
const LONGEST: Duration = Duration::from_secs(5);

/// From the shortest on; again after each success.
pub(crate) fn watch_backoff() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(SHORTEST)
        .with_max_delay(LONGEST)
        .with_factor(2.0)
        .with_jitter()
        .without_max_times()
        .into()
}

#[cfg(test)]
mod tests {
    use kube::runtime::utils::Backoff as _;

    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_never_end() {
        let mut backoff = watch_backoff();
        for (i, pause) in backoff.by_ref().take(1000).enumerate() {
            let least = SHORTEST.saturating_mul(1 << i.min(10)).min(LONGEST);
            assert!((least..=least * 2).contains(&pause), "{i}: {pause:?}");
        }
        backoff.reset();
        assert!(backoff.next().is_some_and(|pause| pause <= SHORTEST * 2));
    }
}
