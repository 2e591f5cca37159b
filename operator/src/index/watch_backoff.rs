//! Backoff of failing watches.

use std::time::Duration;

use backon::ExponentialBuilder;
use kube::runtime::watcher::ExponentialBackoff;

/// The first delay. Each delay is twice the previous one, plus a random jitter of up to its own length.
const SHORTEST: Duration = Duration::from_millis(800);
/// The maximum delay, without jitter. The default of kube and client-go is 30 s: after an outage of the API server, changes
/// could stay unseen for up to a minute.
const LONGEST: Duration = Duration::from_secs(5);

/// Returns a backoff that starts at the shortest delay, also after each success.
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
    fn delays_grow_to_the_maximum_and_never_end() {
        let mut backoff = watch_backoff();
        for (i, delay) in backoff.by_ref().take(1000).enumerate() {
            let least = SHORTEST.saturating_mul(1 << i.min(10)).min(LONGEST);
            assert!((least..=least * 2).contains(&delay), "{i}: {delay:?}");
        }
        backoff.reset();
        assert!(backoff.next().is_some_and(|delay| delay <= SHORTEST * 2));
    }
}
