//! The names of the samples that are kept.

use hashbrown::HashSet;

/// The sample names that are kept. Samples with other names are skipped.
#[derive(Debug, Clone)]
pub struct NameFilter(Option<HashSet<Box<str>>>);

impl NameFilter {
    /// Keeps the samples with these names.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(Some(names.into_iter().map(String::into_boxed_str).collect()))
    }

    /// Keeps every sample.
    #[must_use]
    pub fn all() -> Self {
        Self(None)
    }

    /// Returns whether samples with this name are kept.
    #[must_use]
    pub fn keeps(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|names| names.contains(name))
    }

    /// Returns whether samples with any name that has this prefix are kept.
    pub(crate) fn keeps_prefix(&self, prefix: &str) -> bool {
        self.0.as_ref().is_none_or(|names| names.iter().any(|name| name.starts_with(prefix)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_keeps_exact_names() {
        let filter = NameFilter::new(["up".to_owned(), "a:b".to_owned()]);
        assert!(filter.keeps("up") && filter.keeps("a:b"));
        assert!(!filter.keeps("u") && !filter.keeps("upp") && !filter.keeps(""));
        assert!(NameFilter::all().keeps("anything"));
        assert!(!NameFilter::new([]).keeps("anything"));
        assert!(filter.keeps_prefix("a:") && filter.keeps_prefix("up") && !filter.keeps_prefix("b"));
        assert!(NameFilter::all().keeps_prefix("anything"));
    }
}
