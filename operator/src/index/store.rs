//! Objects of one kind, kept up to date from watches.

use std::collections::{BTreeMap, BTreeSet};

/// An object's namespace, empty for a kind without, and name.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl Key {
    /// The key of `namespace`/`name`.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

/// Which life of an object, and which state in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Version {
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`.
    pub resource: String,
}

impl Version {
    /// Whether this is an earlier state of the same life. Versions of one kind can be compared as numbers (KEP-5504).
    fn is_before(&self, other: &Self) -> bool {
        let number = |version: &Self| version.resource.parse::<u64>().ok();
        self.uid == other.uid && matches!((number(self), number(other)), (Some(a), Some(b)) if a < b)
    }
}

/// What is known of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry<T> {
    version: Version,
    kept: T,
}

/// Objects of one kind. What a write answered is applied as what a watch tells: a watch that lags behind takes nothing
/// back.
#[derive(Debug, Clone)]
pub struct Store<T> {
    objects: BTreeMap<Key, Entry<T>>,
    /// Lists that are being told, by their scope: a namespace, or all.
    listing: BTreeMap<Option<String>, BTreeSet<Key>>,
}

impl<T> Default for Store<T> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), listing: BTreeMap::new() }
    }
}

impl<T: PartialEq> Store<T> {
    /// Takes an object's state. The answer is whether something changed that is kept of it.
    pub fn apply(&mut self, key: Key, version: Version, kept: T) -> bool {
        match self.objects.get_mut(&key) {
            Some(entry) if version.is_before(&entry.version) => false,
            Some(entry) => {
                let changed = entry.kept != kept || entry.version.uid != version.uid;
                *entry = Entry { version, kept };
                changed
            }
            None => {
                self.objects.insert(key, Entry { version, kept });
                true
            }
        }
    }

    /// Takes an object away. One that has begun another life meanwhile stays. The answer is whether it was there.
    pub fn delete(&mut self, key: &Key, uid: &str) -> bool {
        let there = self.objects.get(key).is_some_and(|entry| entry.version.uid == uid);
        there && self.objects.remove(key).is_some()
    }

    /// A list of all objects of `scope` begins.
    pub fn list_begins(&mut self, scope: Option<&str>) {
        self.listing.insert(scope.map(str::to_owned), BTreeSet::new());
    }

    /// An object of the list of `scope`; as [`Self::apply`].
    pub fn listed(&mut self, scope: Option<&str>, key: Key, version: Version, kept: T) -> bool {
        if let Some(listed) = self.listing.get_mut(&scope.map(str::to_owned)) {
            listed.insert(key.clone());
        }
        self.apply(key, version, kept)
    }

    /// The list of `scope` ends: what it did not have is gone. The answer is whether something was.
    pub fn list_ends(&mut self, scope: Option<&str>) -> bool {
        let Some(listed) = self.listing.remove(&scope.map(str::to_owned)) else { return false };
        let before = self.objects.len();
        self.objects.retain(|key, _| scope.is_some_and(|scope| key.namespace != scope) || listed.contains(key));
        self.objects.len() != before
    }

    /// What is kept of an object.
    pub fn get(&self, key: &Key) -> Option<&T> {
        self.objects.get(key).map(|entry| &entry.kept)
    }

    /// An object's version.
    pub fn version(&self, key: &Key) -> Option<&Version> {
        self.objects.get(key).map(|entry| &entry.version)
    }

    /// All objects, sorted by namespace and name.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &T)> {
        self.objects.iter().map(|(key, entry)| (key, &entry.kept))
    }

    /// The objects of a namespace, sorted by name.
    pub fn of(&self, namespace: &str) -> impl Iterator<Item = (&Key, &T)> {
        let from = Key::new(namespace, "");
        let namespace = namespace.to_owned();
        let those = self.objects.range(from..).take_while(move |(key, _)| key.namespace == namespace);
        those.map(|(key, entry)| (key, &entry.kept))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::new("acme", name)
    }

    fn version(uid: &str, resource: &str) -> Version {
        Version { uid: uid.to_owned(), resource: resource.to_owned() }
    }

    #[test]
    fn a_watch_that_lags_behind_takes_nothing_back() {
        let mut store = Store::default();
        assert!(store.apply(key("a"), version("1", "10"), "ten"));
        assert!(!store.apply(key("a"), version("1", "9"), "nine"), "older");
        assert_eq!(store.get(&key("a")), Some(&"ten"));
        assert!(store.apply(key("a"), version("1", "100"), "hundred"), "compared as numbers");
        assert!(store.apply(key("a"), version("2", "50"), "fifty"), "another life");
    }

    #[test]
    fn what_is_not_kept_of_an_object_changes_nothing() {
        let mut store = Store::default();
        store.apply(key("a"), version("1", "10"), "same");
        assert!(!store.apply(key("a"), version("1", "11"), "same"));
        assert_eq!(store.version(&key("a")), Some(&version("1", "11")));
    }

    #[test]
    fn a_late_word_of_an_earlier_lifes_end_takes_nothing_away() {
        let mut store = Store::default();
        store.apply(key("a"), version("2", "10"), "again");
        assert!(!store.delete(&key("a"), "1"));
        assert!(store.delete(&key("a"), "2"));
        assert!(!store.delete(&key("a"), "2"));
    }

    #[test]
    fn what_a_new_list_does_not_have_is_gone() {
        let mut store = Store::default();
        for name in ["a", "b"] {
            store.apply(key(name), version(name, "1"), name);
        }
        store.list_begins(None);
        assert!(!store.listed(None, key("b"), version("b", "1"), "b"));
        assert_eq!(store.len(), 2, "all stay until the list ends");
        assert!(store.list_ends(None));
        assert_eq!(store.iter().map(|(key, _)| key.name.as_str()).collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn lists_of_namespaces_are_apart() {
        let mut store = Store::default();
        store.apply(Key::new("a", "x"), version("1", "1"), "x");
        store.apply(Key::new("b", "y"), version("2", "1"), "y");
        store.list_begins(Some("a"));
        store.list_begins(Some("b"));
        store.listed(Some("b"), Key::new("b", "y"), version("2", "1"), "y");
        assert!(store.list_ends(Some("a")));
        assert!(!store.list_ends(Some("b")));
        assert_eq!(store.of("b").count(), 1);
        assert_eq!(store.of("a").count(), 0);
    }

    #[test]
    fn what_changes_while_a_list_is_told_stays() {
        let mut store = Store::default();
        store.list_begins(None);
        store.listed(None, key("a"), version("1", "5"), "listed");
        store.apply(key("a"), version("1", "7"), "changed");
        store.list_ends(None);
        assert_eq!(store.get(&key("a")), Some(&"changed"));
    }
}
