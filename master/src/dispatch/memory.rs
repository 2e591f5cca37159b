//! Maps that were full once and give back what they took.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash},
};

/// As many entries as a map keeps room for, however few there are.
const KEPT: usize = 1_024;

/// Halves a map of which less than an eighth is used: so rarely that removing costs no more for it.
pub(super) fn give_back<K: Eq + Hash, V, S: BuildHasher>(map: &mut HashMap<K, V, S>) {
    let capacity = map.capacity();
    if capacity > KEPT && map.len() < capacity / 8 {
        map.shrink_to((capacity / 2).max(KEPT / 2));
    }
}
