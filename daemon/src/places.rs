//! Places, so that there are never more of something than may be: connections of an address, of a namespace.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Counts who holds how many places. Clones share them.
#[derive(Debug)]
pub struct Places<K: Eq + Hash>(Arc<Mutex<HashMap<K, u32>>>);

/// A place, held until it is dropped.
#[derive(Debug)]
pub struct Place<K: Eq + Hash> {
    places: Places<K>,
    holder: K,
}

impl<K: Eq + Hash + Clone> Places<K> {
    /// One more place for `holder`; none if it holds `limit` already.
    pub fn take(&self, holder: &K, limit: u32) -> Option<Place<K>> {
        let mut held = self.lock();
        let held = held.entry(holder.clone()).or_insert(0);
        if *held >= limit {
            return None;
        }
        *held += 1;
        Some(Place { places: self.clone(), holder: holder.clone() })
    }
}

impl<K: Eq + Hash> Places<K> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Clone for Places<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Eq + Hash> Default for Places<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut held = self.places.lock();
        if let Some(count) = held.get_mut(&self.holder) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                held.remove(&self.holder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_as_many_as_may_be_gets_another_when_one_is_given_back_and_others_are_not_hindered() {
        let places = Places::default();
        let held: Vec<_> = (0..2).map(|_| places.take(&"a", 2).unwrap()).collect();
        assert!(places.take(&"a", 2).is_none());
        let other = places.take(&"b", 2).unwrap();
        drop(held);
        assert!(places.take(&"a", 2).is_some());
        drop(other);
        assert!(places.lock().is_empty(), "nothing is left of who holds none");
    }
}
