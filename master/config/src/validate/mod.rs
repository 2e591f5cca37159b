//! What must hold of a document beyond its shape. Messages name fields, and quote none: some are secret.

mod access;
mod context;
mod listeners;

use std::{fmt, ops::Deref};

use serde::Serialize;

use crate::{Document, Oid, VERSION};

pub use access::MAX_COMMUNITIES;
pub use context::MAX_CONTEXT_OCTETS;
pub use listeners::MAX_SOCKET_PATH;

/// Most networks in one list: it is gone through for each message.
pub const MAX_NETWORKS: usize = 64;
/// Most violations that are told of one document.
pub const MAX_VIOLATIONS: usize = 100;
/// The longest text of a name or an address, in octets.
const MAX_TEXT: usize = 512;

/// A document of which everything the master relies on holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Valid(Document);

impl Valid {
    /// The document itself.
    #[must_use]
    pub fn into_inner(self) -> Document {
        self.0
    }
}

impl Deref for Valid {
    type Target = Document;

    fn deref(&self) -> &Document {
        &self.0
    }
}

/// One thing that is wrong with a document, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Violation {
    /// The field, as `contexts[0].communities[2].community`.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

impl Document {
    /// Checks the whole document.
    ///
    /// # Errors
    /// What is wrong with it, at most [`MAX_VIOLATIONS`].
    pub fn validate(self) -> Result<Valid, Vec<Violation>> {
        let mut checks = Checks::default();
        let holds = (1..=VERSION).contains(&self.version);
        checks.refuse_unless(holds, "version", format!("is none of 1 to {VERSION}"));
        checks.listeners(&self.listeners);
        checks.limits(&self.limits);
        checks.contexts(&self);
        checks.access(&self);
        checks.targets(&self);
        if checks.violations.is_empty() { Ok(Valid(self)) } else { Err(checks.violations) }
    }
}

/// The violations found so far.
#[derive(Default)]
struct Checks {
    violations: Vec<Violation>,
}

impl Checks {
    fn refuse(&mut self, path: impl Into<String>, message: impl Into<String>) {
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(Violation { path: path.into(), message: message.into() });
        }
    }

    fn refuse_unless(&mut self, holds: bool, path: impl Into<String>, message: impl Into<String>) {
        if !holds {
            self.refuse(path, message);
        }
    }

    /// A list of `min` to `max` things.
    fn count(&mut self, path: impl Into<String>, len: usize, min: usize, max: usize) {
        if len < min {
            self.refuse(path, format!("at least {min} must be there"));
        } else if len > max {
            self.refuse(path, format!("{len} of them, more than {max}"));
        }
    }

    /// A text of `min` to `max` octets without control characters.
    fn text(&mut self, path: &str, text: &str, min: usize, max: usize) {
        if text.len() < min {
            let message = if text.is_empty() { "is empty".to_owned() } else { format!("has fewer than {min} octets") };
            self.refuse(path, message);
        } else if text.len() > max {
            self.refuse(path, format!("has more than {max} octets"));
        }
        let holds = !text.chars().any(char::is_control);
        self.refuse_unless(holds, path, "has a control character in it, as a line break at its end");
    }
}

/// Whether a BER encoder can write it (X.690 section 8.19): 0.0 to 0.39, 1.0 to 1.39, or 2 and anything.
fn is_identifier(oid: &Oid) -> bool {
    matches!(oid.as_slice(), [0 | 1, 0..=39, ..] | [2, _, ..])
}
