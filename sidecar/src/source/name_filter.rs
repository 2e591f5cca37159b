//! Which samples of a source are kept.

use hashbrown::HashSet;

/// The sample names that are kept; samples of other names are passed over.
#[derive(Debug, Clone)]
pub struct NameFilter(Option<HashSet<Box<str>>>);

impl NameFilter {
    /// Keeps the samples of exactly these names.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(Some(names.into_iter().map(String::into_boxed_str).collect()))
    }

    /// Keeps every sample.
    #[must_use]
    pub fn all() -> Self {
        Self(None)
    }

    /// Whether samples of this name are kept.
    #[must_use]
    pub fn keeps(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|names| names.contains(name))
    }

    /// Whether samples of any name that begins so are kept.
    #[must_use]
    pub fn keeps_any_of(&self, beginning: &str) -> bool {
        self.0.as_ref().is_none_or(|names| names.iter().any(|name| name.starts_with(beginning)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_keeps_whole_names_only() {
        let filter = NameFilter::new(["up".to_owned(), "a:b".to_owned()]);
        assert!(filter.keeps("up") && filter.keeps("a:b"));
        assert!(!filter.keeps("u") && !filter.keeps("upp") && !filter.keeps(""));
        assert!(NameFilter::all().keeps("anything"));
        assert!(!NameFilter::new([]).keeps("anything"));
        assert!(filter.keeps_any_of("a:") && filter.keeps_any_of("up") && !filter.keeps_any_of("b"));
        assert!(NameFilter::all().keeps_any_of("anything"));
    }
}
