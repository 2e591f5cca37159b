//! Failed authentication attempts by source address.

use std::{
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::Counter;

/// Counts failed attempts in total and by source.
///
/// At most [`Self::SOURCES`] sources are kept. When that limit is reached, a new source replaces the source with the
/// fewest attempts, and inherits its count as an error bound (the Space-Saving algorithm). Therefore a flood from
/// forged addresses does not hide the most frequent sources.
#[derive(Debug, Default)]
pub struct FailedAttempts {
    total: Counter,
    sources: Mutex<Vec<FailedSource>>,
}

/// A source of failed attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedSource {
    /// The address.
    pub address: IpAddr,
    /// The number of attempts. An upper bound.
    pub attempts: u64,
    /// How many of these attempts may be from other sources.
    pub error: u64,
}

impl FailedAttempts {
    /// The maximum number of sources.
    pub const SOURCES: usize = 256;

    /// Records an attempt.
    pub fn count(&self, address: IpAddr) {
        self.total.increment();
        let mut sources = self.lock();
        if let Some(source) = sources.iter_mut().find(|source| source.address == address) {
            source.attempts += 1;
        } else if sources.len() < Self::SOURCES {
            sources.push(FailedSource { address, attempts: 1, error: 0 });
        } else if let Some(fewest) = sources.iter_mut().min_by_key(|source| source.attempts) {
            *fewest = FailedSource { address, attempts: fewest.attempts + 1, error: fewest.attempts };
        }
    }

    /// Returns the total number of attempts.
    pub fn all(&self) -> u64 {
        self.total.get()
    }

    /// Returns the sources, ordered by descending number of attempts.
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
    fn a_flood_does_not_hide_the_most_frequent_source() {
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
