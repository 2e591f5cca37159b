//! Releasing the memory of maps that were large once.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash},
};

/// The capacity, in entries, below which a map is not shrunk.
const MIN_CAPACITY: usize = 1_024;

/// Halves the capacity of a map that uses less than an eighth of it. The amortized cost of removing an entry stays
/// constant.
pub(super) fn shrink_sparse<K: Eq + Hash, V, S: BuildHasher>(map: &mut HashMap<K, V, S>) {
    let capacity = map.capacity();
    if capacity > MIN_CAPACITY && map.len() < capacity / 8 {
        map.shrink_to((capacity / 2).max(MIN_CAPACITY / 2));
    }
}
