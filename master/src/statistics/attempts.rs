//! Where failed attempts at authentication come from.

use std::{
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::Counter;

/// Failed attempts, in all and by source. There is room for [`Self::SOURCES`]: when it is full, the source with the
/// fewest makes room, and its attempts are the newcomer's error (the Space-Saving algorithm), so that no flood from
/// forged addresses hides who tries most.
#[derive(Debug, Default)]
pub struct FailedAttempts {
    all: Counter,
    sources: Mutex<Vec<FailedSource>>,
}

/// A source of failed attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedSource {
    /// The address.
    pub address: IpAddr,
    /// How many, at most.
    pub attempts: u64,
    /// How many of them may have been another's.
    pub error: u64,
}

impl FailedAttempts {
    /// How many sources are told apart.
    pub const SOURCES: usize = 256;

    /// Counts an attempt.
    pub fn count(&self, address: IpAddr) {
        self.all.increment();
        let mut sources = self.lock();
        if let Some(source) = sources.iter_mut().find(|source| source.address == address) {
            source.attempts += 1;
        } else if sources.len() < Self::SOURCES {
            sources.push(FailedSource { address, attempts: 1, error: 0 });
        } else if let Some(fewest) = sources.iter_mut().min_by_key(|source| source.attempts) {
            *fewest = FailedSource { address, attempts: fewest.attempts + 1, error: fewest.attempts };
        }
    }

    /// How many there were in all.
    pub fn all(&self) -> u64 {
        self.all.get()
    }

    /// The sources, from the one with the most.
    pub fn sources(&self) -> Vec<FailedSource> {
        let mut sources = self.lock().clone();
        sources.sort_by_key(|source| std::cmp::Reverse(source.attempts));
        sources
    }

    fn lock(&self) -> MutexGuard<'_, Vec<FailedSource>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_tries_most_stays_in_sight_of_a_flood() {
        let attempts = FailedAttempts::default();
        let persistent = IpAddr::from([192, 0, 2, 1]);
        for i in 0..10_000_u32 {
            attempts.count(persistent);
            attempts.count(IpAddr::from((0x0A00_0000 + i).to_be_bytes()));
        }
        let sources = attempts.sources();
        assert_eq!((attempts.all(), sources.len()), (20_000, FailedAttempts::SOURCES));
        assert_eq!(sources[0], FailedSource { address: persistent, attempts: 10_000, error: 0 });
        assert!(sources[1..].iter().all(|source| source.error < source.attempts));
    }
}
