//! Violations of the rules of a contract.

use std::fmt;

/// A violation of a rule by a field of a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct Violation {
    /// The field, for example `tables[0].columns[2].value.metric`.
    pub path: String,
    /// The rule that the field breaks.
    pub message: String,
}

/// The violations found in a document.
#[derive(Debug)]
pub struct Violations {
    found: Vec<Violation>,
    limit: usize,
}

impl Violations {
    /// Returns a list that keeps the first `limit` violations.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { found: Vec::new(), limit }
    }

    /// Adds a violation.
    pub fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        if self.found.len() < self.limit {
            self.found.push(Violation { path: path.into(), message: message.into() });
        }
    }

    /// Adds a violation unless the rule holds.
    pub fn require(&mut self, holds: bool, path: impl Into<String>, message: impl Into<String>) {
        if !holds {
            self.add(path, message);
        }
    }

    /// Checks that a list or map has `min` to `max` entries.
    pub fn require_len(&mut self, path: impl Into<String>, len: usize, min: usize, max: usize) {
        if len < min {
            self.add(path, format!("has {}; at least {min} required", Entries(len)));
        } else if len > max {
            self.add(path, format!("has {}; at most {max} allowed", Entries(len)));
        }
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Returns the violations in the order in which they were found.
    #[must_use]
    pub fn into_inner(self) -> Vec<Violation> {
        self.found
    }
}

struct Entries(usize);

impl fmt::Display for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("1 entry"),
            count => write!(f, "{count} entries"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_keeps_the_first_violations_up_to_its_limit() {
        let mut violations = Violations::new(2);
        violations.require(true, "a", "holds");
        violations.require_len("b", 0, 1, 2);
        violations.require_len("c", 3, 1, 2);
        violations.add("d", "is one too many");
        let found: Vec<_> = violations.into_inner().iter().map(ToString::to_string).collect();
        assert_eq!(found, ["b: has 0 entries; at least 1 required", "c: has 3 entries; at most 2 allowed"]);
    }
}
