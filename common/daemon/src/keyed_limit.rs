//! Limits for each key: connections of one address, requests of one namespace.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Counts the permits that are held for each key. Clones share the counts.
#[derive(Debug)]
pub struct KeyedLimit<K: Eq + Hash>(Arc<Mutex<HashMap<K, u32>>>);

/// A permit for a key, released when it is dropped.
#[derive(Debug)]
pub struct Permit<K: Eq + Hash> {
    limit: KeyedLimit<K>,
    key: K,
}

impl<K: Eq + Hash + Clone> KeyedLimit<K> {
    /// Acquires a permit for `key`. Returns `None` if `limit` permits are already held for it.
    pub fn acquire(&self, key: &K, limit: u32) -> Option<Permit<K>> {
        let mut counts = self.lock();
        let count = counts.entry(key.clone()).or_insert(0);
        if *count >= limit {
            return None;
        }
        *count += 1;
        Some(Permit { limit: self.clone(), key: key.clone() })
    }
}

impl<K: Eq + Hash> KeyedLimit<K> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Clone for KeyedLimit<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Eq + Hash> Default for KeyedLimit<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Eq + Hash> Drop for Permit<K> {
    fn drop(&mut self) {
        let mut counts = self.limit.lock();
        if let Some(count) = counts.get_mut(&self.key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_at_its_limit_gets_a_permit_again_when_one_is_dropped_and_other_keys_are_not_affected() {
        let limit = KeyedLimit::default();
        let held: Vec<_> = (0..2).map(|_| limit.acquire(&"a", 2).unwrap()).collect();
        assert!(limit.acquire(&"a", 2).is_none());
        let other = limit.acquire(&"b", 2).unwrap();
        drop(held);
        assert!(limit.acquire(&"a", 2).is_some());
        drop(other);
        assert!(limit.lock().is_empty(), "a key without permits is forgotten");
    }
}
