//! The delays between attempts to connect.

use std::time::{Duration, Instant};

use super::jitter::Jitter;

/// The longest delay before the first attempt. It doubles with every further attempt.
const FIRST: Duration = Duration::from_millis(100);
/// The limit of the delay while the master has been unreachable for a short time only.
const BRIEF: Duration = Duration::from_millis(800);
/// Later the limit is the time since the master became unreachable, divided by this.
const DIVISOR: u32 = 32;
/// The limit of any delay. A thousand sidecars then make about 130 attempts per second.
const MAX: Duration = Duration::from_secs(15);
/// The limit of any delay for a Unix socket, where attempts are cheap.
const UNIX_MAX: Duration = Duration::from_millis(500);
/// A session that was open for this long resets the backoff.
const STABLE: Duration = Duration::from_secs(5);

/// Exponential backoff for one master, with full jitter: each delay is random between zero and a maximum.
#[derive(Debug)]
pub(crate) struct Backoff {
    jitter: Jitter,
    max: Duration,
    attempts: u32,
    away_since: Option<Instant>,
}

impl Backoff {
    /// Creates the backoff for a master on a Unix socket.
    #[must_use]
    pub(crate) fn unix(jitter: Jitter) -> Self {
        Self { jitter, max: UNIX_MAX, attempts: 0, away_since: None }
    }

    /// Creates the backoff for a master on the network.
    #[must_use]
    pub(crate) fn network(jitter: Jitter) -> Self {
        Self { jitter, max: MAX, attempts: 0, away_since: None }
    }

    /// Records that a session ended which was open for this long. Short sessions do not reset the backoff, because a master may
    /// open sessions only to close them.
    pub(crate) fn session_ended(&mut self, open_for: Duration) {
        if open_for >= STABLE {
            self.attempts = 0;
            self.away_since = None;
        }
    }

    /// Returns the delay before the next attempt.
    pub(crate) fn delay(&mut self, now: Instant) -> Duration {
        let away = now.saturating_duration_since(*self.away_since.get_or_insert(now));
        let max = FIRST.saturating_mul(1 << self.attempts.min(16)).min((away / DIVISOR).max(BRIEF)).min(self.max);
        self.attempts = self.attempts.saturating_add(1);
        self.jitter.up_to(max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the delays until the master has been unreachable for `time`.
    fn delays(backoff: &mut Backoff, time: Duration) -> Vec<Duration> {
        let start = Instant::now();
        let mut now = start;
        let mut delays = Vec::new();
        while now < start + time {
            let delay = backoff.delay(now);
            delays.push(delay);
            now += delay;
        }
        delays
    }

    #[test]
    fn delays_are_short_at_first() {
        for seed in 0..50 {
            let delays = delays(&mut Backoff::network(Jitter::new(seed)), Duration::from_secs(25));
            assert!(delays[0] <= FIRST && delays[1] <= 2 * FIRST, "{delays:?}");
            assert!(delays.iter().all(|delay| *delay <= BRIEF), "{delays:?}");
        }
    }

    #[test]
    fn delays_grow_up_to_the_maximum() {
        let delays = delays(&mut Backoff::network(Jitter::new(1)), Duration::from_hours(24));
        assert!(delays.len() < 24 * 3600 / 6, "{} attempts in a day", delays.len());
        assert!(delays.iter().all(|delay| *delay <= MAX));
        assert!(delays.iter().any(|delay| *delay > MAX * 9 / 10));
    }

    #[test]
    fn delays_of_a_unix_socket_stay_short() {
        let delays = delays(&mut Backoff::unix(Jitter::new(1)), Duration::from_hours(1));
        assert!(delays.iter().all(|delay| *delay <= UNIX_MAX));
    }

    #[test]
    fn only_a_stable_session_resets_the_backoff() {
        let mut backoff = Backoff::network(Jitter::new(1));
        let away = Duration::from_hours(1);
        delays(&mut backoff, away);
        let later = Instant::now() + away;
        backoff.session_ended(Duration::from_secs(1));
        assert!((0..20).any(|_| backoff.delay(later) > BRIEF));
        backoff.session_ended(STABLE);
        assert!(backoff.delay(later) <= FIRST);
    }
}
