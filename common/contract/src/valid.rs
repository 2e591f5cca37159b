//! Types of documents, and documents that have passed their checks.

use std::ops::Deref;

use serde::{Serialize, de::DeserializeOwned};

use crate::{Violation, Violations};

/// A type of document.
pub trait Contract: DeserializeOwned {
    /// The newest version that can be read. Versions start at 1.
    const VERSION: u32;
    /// The longest document, in octets.
    const MAX_OCTETS: usize = usize::MAX;
    /// The maximum number of violations that are reported for a document.
    const MAX_VIOLATIONS: usize = usize::MAX;
    /// Whether documents contain secrets. Errors then never quote a value.
    const IS_SECRET: bool;

    /// Adds a violation for each rule that the document breaks.
    fn check(&self, violations: &mut Violations);
}

/// A document that breaks no rule of its contract.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Valid<T>(T);

impl<T: Contract> Valid<T> {
    /// Checks `document`.
    ///
    /// # Errors
    /// Returns the violations if it breaks a rule, at most [`Contract::MAX_VIOLATIONS`].
    pub fn new(document: T) -> Result<Self, Vec<Violation>> {
        let mut violations = Violations::new(T::MAX_VIOLATIONS);
        document.check(&mut violations);
        if violations.is_empty() { Ok(Self(document)) } else { Err(violations.into_inner()) }
    }
}

impl<T> Valid<T> {
    /// Returns the document itself.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Valid<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
