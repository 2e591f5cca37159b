//! Documents that are not checked yet.

use std::fmt;

use contract::{Contract, ParseError, Valid, Violation, Violations};
use serde::Deserialize;
use serde_json::Value as Json;

use crate::{Context, Document, Limits, Listeners, MAX_OCTETS, MAX_VIOLATIONS, Target, User, VERSION, validate};

/// A document that is read, but not checked. A target that cannot be read does not prevent that the rest is used.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The document, without the targets that cannot be read.
    document: Document,
    left_out: Vec<LeftOut>,
}

/// A valid document, and what is missing in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The document.
    pub document: Valid<Document>,
    /// The targets that are not in the document, or lack a context, because they break rules.
    pub left_out: Vec<LeftOut>,
}

/// A target that is left out of a document, or some of whose contexts are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Namespace and name of the target, separated by a slash. `None` if they cannot be read.
    pub target: Option<String>,
    /// Whether the target is kept with those of its contexts that exist.
    pub is_kept: bool,
    /// The rules that it breaks.
    pub violations: Vec<Violation>,
}

/// The form of a [`Document`] whose targets are not read yet.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Unread {
    version: u32,
    #[serde(default)]
    listeners: Listeners,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    contexts: Vec<Context>,
    #[serde(default)]
    users: Vec<User>,
    #[serde(default)]
    targets: Vec<Json>,
}

impl Contract for Unread {
    const VERSION: u32 = VERSION;
    const MAX_OCTETS: usize = MAX_OCTETS;
    const MAX_VIOLATIONS: usize = MAX_VIOLATIONS;
    const IS_SECRET: bool = true;

    fn check(&self, _: &mut Violations) {}
}

impl Draft {
    /// Reads one of several documents, or the only one.
    ///
    /// # Errors
    /// Returns an error if the document cannot be read, but never [`ParseError::Invalid`].
    pub fn read(document: &[u8]) -> Result<Self, ParseError> {
        let Unread { version, listeners, limits, contexts, users, targets: unread } = contract::read(document)?;
        let mut targets = Vec::with_capacity(unread.len());
        let mut left_out = Vec::new();
        for (i, target) in unread.into_iter().enumerate() {
            if let Ok(target) = Target::deserialize(target) {
                targets.push(target);
            } else {
                // The error of serde could quote a secret.
                let (path, message) = (format!("targets[{i}]"), "cannot be read".to_owned());
                let violations = vec![Violation { path, message }];
                left_out.push(LeftOut { target: None, is_kept: false, violations });
            }
        }
        let document = Document { version, listeners, limits, contexts, users, targets };
        Ok(Self { document, left_out })
    }

    /// Appends the lists of `others`, see [`Document::join`].
    #[must_use]
    pub fn join(mut self, others: impl IntoIterator<Item = Self>) -> Self {
        let left_out = &mut self.left_out;
        let others = others.into_iter().map(|other| {
            left_out.extend(other.left_out);
            other.document
        });
        self.document = self.document.join(others);
        self
    }

    /// Checks the document. Targets that break a rule are left out.
    ///
    /// # Errors
    /// Returns the violations, at most [`MAX_VIOLATIONS`], if the rest of the document breaks a rule.
    pub fn check(self) -> Result<Parsed, Vec<Violation>> {
        let Self { mut document, mut left_out } = self;
        validate::remove_bad_targets(&mut document, &mut left_out);
        Ok(Parsed { document: Valid::new(document)?, left_out })
    }

    /// Returns the document without the targets that cannot be read.
    #[must_use]
    pub fn into_document(self) -> Document {
        self.document
    }
}

impl std::ops::Deref for Parsed {
    type Target = Document;

    fn deref(&self) -> &Document {
        &self.document
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.target.as_deref().unwrap_or("a target without a readable name"))?;
        f.write_str(if self.is_kept { " lacks a context: " } else { " is left out: " })?;
        for (i, violation) in self.violations.iter().enumerate() {
            write!(f, "{}{violation}", if i == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}
