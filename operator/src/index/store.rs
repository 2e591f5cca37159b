//! A store for the objects of one kind, which a watch keeps up to date.

use std::collections::{BTreeMap, BTreeSet};

/// The namespace and name of an object. The namespace is empty for cluster-scoped kinds.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    /// The namespace.
    pub(crate) namespace: String,
    /// The name.
    pub(crate) name: String,
}

impl Key {
    /// Returns the key of `namespace`/`name`.
    pub(crate) fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

/// The version of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Version {
    /// `metadata.uid`.
    pub(crate) uid: String,
    /// `metadata.resourceVersion`.
    pub(crate) resource: String,
}

impl Version {
    /// Returns whether this is an older version of the same object. Resource versions of one kind can be compared as
    /// numbers (KEP-5504).
    fn is_before(&self, other: &Self) -> bool {
        let number = |version: &Self| version.resource.parse::<u64>().ok();
        self.uid == other.uid && matches!((number(self), number(other)), (Some(a), Some(b)) if a < b)
    }
}

/// A stored object and its version.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry<T> {
    version: Version,
    object: T,
}

/// The objects of one kind. Responses to writes are applied to it as well as watch events. A watch that lags behind does
/// not undo them.
#[derive(Debug, Clone)]
pub(crate) struct Store<T> {
    objects: BTreeMap<Key, Entry<T>>,
    /// The keys of lists that have not ended yet, by scope: a namespace, or `None` for all.
    listing: BTreeMap<Option<String>, BTreeSet<Key>>,
}

impl<T> Default for Store<T> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), listing: BTreeMap::new() }
    }
}

impl<T: PartialEq> Store<T> {
    /// Stores an object, unless the store has a newer version. Returns whether the stored object changed.
    pub(crate) fn apply(&mut self, key: Key, version: Version, object: T) -> bool {
        match self.objects.get_mut(&key) {
            Some(entry) if version.is_before(&entry.version) => false,
            Some(entry) => {
                let changed = entry.object != object || entry.version.uid != version.uid;
                *entry = Entry { version, object };
                changed
            }
            None => {
                self.objects.insert(key, Entry { version, object });
                true
            }
        }
    }

    /// Deletes the object with this uid. An object that was created again meanwhile is kept. Returns whether one was deleted.
    pub(crate) fn delete(&mut self, key: &Key, uid: &str) -> bool {
        let exists = self.objects.get(key).is_some_and(|entry| entry.version.uid == uid);
        exists && self.objects.remove(key).is_some()
    }

    /// Begins a list of all objects of `scope`.
    pub(crate) fn begin_list(&mut self, scope: Option<&str>) {
        self.listing.insert(scope.map(str::to_owned), BTreeSet::new());
    }

    /// Stores an object of the list of `scope`, as [`Self::apply`] does.
    pub(crate) fn apply_listed(&mut self, scope: Option<&str>, key: Key, version: Version, object: T) -> bool {
        if let Some(listed) = self.listing.get_mut(&scope.map(str::to_owned)) {
            listed.insert(key.clone());
        }
        self.apply(key, version, object)
    }

    /// Ends the list of `scope`, and deletes the objects that are not in it. Returns whether one was deleted.
    pub(crate) fn end_list(&mut self, scope: Option<&str>) -> bool {
        let Some(listed) = self.listing.remove(&scope.map(str::to_owned)) else { return false };
        let before = self.objects.len();
        self.objects.retain(|key, _| scope.is_some_and(|scope| key.namespace != scope) || listed.contains(key));
        self.objects.len() != before
    }

    /// Returns an object.
    pub(crate) fn get(&self, key: &Key) -> Option<&T> {
        self.objects.get(key).map(|entry| &entry.object)
    }

    /// Returns the version of an object.
    pub(crate) fn version(&self, key: &Key) -> Option<&Version> {
        self.objects.get(key).map(|entry| &entry.version)
    }

    /// Returns all objects, sorted by namespace and name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Key, &T)> {
        self.objects.iter().map(|(key, entry)| (key, &entry.object))
    }

    /// Returns the objects of a namespace, sorted by name.
    pub(crate) fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = (&Key, &T)> {
        let from = Key::new(namespace, "");
        let namespace = namespace.to_owned();
        let objects = self.objects.range(from..).take_while(move |(key, _)| key.namespace == namespace);
        objects.map(|(key, entry)| (key, &entry.object))
    }

    /// Returns the number of objects.
    pub(crate) fn len(&self) -> usize {
        self.objects.len()
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
    fn an_older_version_does_not_replace_a_newer_one() {
        let mut store = Store::default();
        assert!(store.apply(key("a"), version("1", "10"), "ten"));
        assert!(!store.apply(key("a"), version("1", "9"), "nine"), "an older version");
        assert_eq!(store.get(&key("a")), Some(&"ten"));
        assert!(store.apply(key("a"), version("1", "100"), "hundred"), "versions are compared as numbers");
        assert!(store.apply(key("a"), version("2", "50"), "fifty"), "another object of the same name");
    }

    #[test]
    fn a_new_version_without_changes_is_not_a_change() {
        let mut store = Store::default();
        store.apply(key("a"), version("1", "10"), "same");
        assert!(!store.apply(key("a"), version("1", "11"), "same"));
        assert_eq!(store.version(&key("a")), Some(&version("1", "11")));
    }

    #[test]
    fn a_late_deletion_of_an_earlier_object_deletes_nothing() {
        let mut store = Store::default();
        store.apply(key("a"), version("2", "10"), "again");
        assert!(!store.delete(&key("a"), "1"));
        assert!(store.delete(&key("a"), "2"));
        assert!(!store.delete(&key("a"), "2"));
    }

    #[test]
    fn objects_missing_from_a_new_list_are_deleted() {
        let mut store = Store::default();
        for name in ["a", "b"] {
            store.apply(key(name), version(name, "1"), name);
        }
        store.begin_list(None);
        assert!(!store.apply_listed(None, key("b"), version("b", "1"), "b"));
        assert_eq!(store.len(), 2, "nothing is deleted before the list ends");
        assert!(store.end_list(None));
        assert_eq!(store.iter().map(|(key, _)| key.name.as_str()).collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn lists_of_namespaces_are_independent() {
        let mut store = Store::default();
        store.apply(Key::new("a", "x"), version("1", "1"), "x");
        store.apply(Key::new("b", "y"), version("2", "1"), "y");
        store.begin_list(Some("a"));
        store.begin_list(Some("b"));
        store.apply_listed(Some("b"), Key::new("b", "y"), version("2", "1"), "y");
        assert!(store.end_list(Some("a")));
        assert!(!store.end_list(Some("b")));
        assert_eq!(store.in_namespace("b").count(), 1);
        assert_eq!(store.in_namespace("a").count(), 0);
    }

    #[test]
    fn a_change_during_a_list_is_kept() {
        let mut store = Store::default();
        store.begin_list(None);
        store.apply_listed(None, key("a"), version("1", "5"), "listed");
        store.apply(key("a"), version("1", "7"), "changed");
        store.end_list(None);
        assert_eq!(store.get(&key("a")), Some(&"changed"));
    }
}
