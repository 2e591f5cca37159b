//! How long to wait before connecting again.

use std::time::{Duration, Instant};

use crate::session::Jitter;

/// The longest wait before the first attempt; doubled for every one after it,
const FIRST: Duration = Duration::from_millis(100);
/// but a master that was away briefly is back in this at most,
const BRIEF: Duration = Duration::from_millis(800);
/// and one that is away for longer in this part of the time that it has been away,
const PART: u32 = 32;
/// up to this. With a thousand sidecars that is 130 attempts a second.
const MOST: Duration = Duration::from_secs(15);
/// A Unix socket costs nobody anything: it is tried this often at least, however long its master is away.
const UNIX_MOST: Duration = Duration::from_millis(500);
/// A session that was open for this long was a good one.
const SETTLED: Duration = Duration::from_secs(5);

/// Waits between attempts to reach one master, with full jitter: each is anything from none to the longest.
#[derive(Debug)]
pub struct Backoff {
    jitter: Jitter,
    most: Duration,
    attempts: u32,
    away_since: Option<Instant>,
}

impl Backoff {
    /// For a master on a Unix socket.
    #[must_use]
    pub fn unix(jitter: Jitter) -> Self {
        Self { jitter, most: UNIX_MOST, attempts: 0, away_since: None }
    }

    /// For a master across a network.
    #[must_use]
    pub fn network(jitter: Jitter) -> Self {
        Self { jitter, most: MOST, attempts: 0, away_since: None }
    }

    /// A connection ended; its session was open for this long. One that was not open for long changes nothing: a
    /// master that opens sessions only to close them is not asked ever faster.
    pub fn ended(&mut self, open_for: Duration) {
        if open_for >= SETTLED {
            self.attempts = 0;
            self.away_since = None;
        }
    }

    /// How long to wait before the next attempt.
    pub fn wait(&mut self, now: Instant) -> Duration {
        let away = now.saturating_duration_since(*self.away_since.get_or_insert(now));
        let longest = FIRST.saturating_mul(1 << self.attempts.min(16)).min((away / PART).max(BRIEF)).min(self.most);
        self.attempts = self.attempts.saturating_add(1);
        self.jitter.up_to(longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The waits until the master has been away for `time`.
    fn waits(backoff: &mut Backoff, time: Duration) -> Vec<Duration> {
        let start = Instant::now();
        let mut now = start;
        let mut waits = Vec::new();
        while now < start + time {
            let wait = backoff.wait(now);
            waits.push(wait);
            now += wait;
        }
        waits
    }

    #[test]
    fn a_master_that_was_away_briefly_is_tried_within_a_second() {
        for seed in 0..50 {
            let waits = waits(&mut Backoff::network(Jitter::new(seed)), Duration::from_secs(25));
            assert!(waits[0] <= FIRST && waits[1] <= 2 * FIRST, "{waits:?}");
            assert!(waits.iter().all(|wait| *wait <= BRIEF), "{waits:?}");
        }
    }

    #[test]
    fn a_master_that_is_away_for_long_is_tried_rarely_but_always_again() {
        let waits = waits(&mut Backoff::network(Jitter::new(1)), Duration::from_secs(24 * 3600));
        assert!(waits.len() < 24 * 3600 / 6, "{} attempts in a day", waits.len());
        assert!(waits.iter().all(|wait| *wait <= MOST));
        assert!(waits.iter().any(|wait| *wait > MOST * 9 / 10));
    }

    #[test]
    fn a_unix_socket_is_tried_often_for_ever() {
        let waits = waits(&mut Backoff::unix(Jitter::new(1)), Duration::from_secs(3600));
        assert!(waits.iter().all(|wait| *wait <= UNIX_MOST));
    }

    #[test]
    fn only_a_session_that_lasted_starts_the_waits_anew() {
        let mut backoff = Backoff::network(Jitter::new(1));
        let away = Duration::from_secs(3600);
        waits(&mut backoff, away);
        let later = Instant::now() + away;
        backoff.ended(Duration::from_secs(1));
        assert!((0..20).any(|_| backoff.wait(later) > BRIEF));
        backoff.ended(SETTLED);
        assert!(backoff.wait(later) <= FIRST);
    }
}
