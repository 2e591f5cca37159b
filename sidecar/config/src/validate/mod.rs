//! What must hold of a document beyond its shape.

mod json;
mod object;
mod source;
mod sql;
mod value;
mod write;

use std::{collections::HashSet, fmt, ops::Deref};

use serde::Serialize;

use crate::{LabelSelector, Operator, Requirement, Subtree, VERSION};

pub use json::json_path;
pub use object::{MAX_COLUMNS, MAX_INDEXES, MAX_SCALARS, MAX_TABLES, RESERVED_ARCS};
pub use source::MAX_SOURCES;
pub use value::whole_text;

/// Most contexts that one subtree is served in.
pub const MAX_CONTEXTS: usize = 16;
/// The longest context name, in octets: an SnmpAdminString of 0 to 32 (RFC 3411 section 5, RFC 3415 vacmContextName).
pub const MAX_CONTEXT_OCTETS: usize = 32;
/// The longest name of an SnmpSubtree: with it the document's file name stays a valid key of a ConfigMap.
const MAX_SUBTREE_NAME: usize = 240;
/// The longest text of any other kind: a metric's name, a label's name or value.
const MAX_TEXT: usize = 1024;
/// Most values and requirements in one list.
const MAX_LIST: usize = 64;

/// A document of which everything the sidecar relies on holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Valid(Subtree);

impl Valid {
    /// The document itself.
    #[must_use]
    pub fn into_inner(self) -> Subtree {
        self.0
    }
}

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
        let mut checks = Checks::default();
        checks.identity(&self);
        checks.contexts(&self.contexts);
        checks.sources(&self.sources);
        checks.objects(&self);
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
        self.violations.push(Violation { path: path.into(), message: message.into() });
    }

    fn refuse_unless(&mut self, holds: bool, path: impl Into<String>, message: impl Into<String>) {
        if !holds {
            self.refuse(path, message);
        }
    }

    /// A list of `min` to `max` things.
    fn count(&mut self, path: &str, len: usize, min: usize, max: usize) {
        if len < min {
            self.refuse(path, format!("{len} of them; at least {min} must be there"));
        } else if len > max {
            self.refuse(path, format!("{len} of them, more than {max}"));
        }
    }

    /// A text that is there, at most `max` octets long and free of control characters.
    fn text(&mut self, path: &str, text: &str, max: usize) {
        if text.is_empty() {
            self.refuse(path, "is empty");
        } else if text.len() > max {
            self.refuse(path, format!("{} octets, more than {max}", text.len()));
        } else if text.chars().any(char::is_control) {
            self.refuse(path, "has a control character in it");
        }
    }

    /// A value that must be the only one of its kind.
    fn unique<T: std::hash::Hash + Eq + fmt::Display>(&mut self, seen: &mut HashSet<T>, path: &str, value: T) {
        if let Some(value) = seen.replace(value) {
            self.refuse(path, format!("{value} is there already"));
        }
    }

    fn identity(&mut self, subtree: &Subtree) {
        if subtree.version == 0 || subtree.version > VERSION {
            self.refuse("version", format!("{} is none of 1 to {VERSION}", subtree.version));
        }
        self.refuse_unless(is_dns_label(&subtree.namespace), "namespace", "is not a name of a Kubernetes namespace");
        if !is_dns_subdomain(&subtree.name) {
            self.refuse("name", "is not a name of a Kubernetes object");
        } else if subtree.name.len() > MAX_SUBTREE_NAME {
            self.refuse("name", format!("{} characters, more than {MAX_SUBTREE_NAME}", subtree.name.len()));
        }
        if let Some(module) = &subtree.module {
            let holds = module.len() <= 64
                && module.starts_with(|c: char| c.is_ascii_uppercase())
                && module.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !module.ends_with('-')
                && !module.contains("--");
            self.refuse_unless(holds, "module", "is not a name of an SMIv2 module, as ACME-CHECKOUT-MIB");
        }
        self.selector("selector", &subtree.selector);
    }

    fn selector(&mut self, path: &str, selector: &LabelSelector) {
        let requirements = format!("{path}.matchExpressions");
        self.requirements(&requirements, &selector.match_expressions);
        for (i, requirement) in selector.match_expressions.iter().enumerate() {
            let holds = requirement.operator != Operator::Matches;
            self.refuse_unless(holds, format!("{requirements}[{i}].operator"), "pods cannot be selected by Matches");
        }
        self.labels(&format!("{path}.matchLabels"), &selector.match_labels);
    }

    fn labels(&mut self, path: &str, labels: &std::collections::BTreeMap<String, String>) {
        self.count(path, labels.len(), 0, MAX_LIST);
        for (name, value) in labels {
            self.text(path, name, MAX_TEXT);
            self.refuse_unless(
                value.len() <= MAX_TEXT,
                format!("{path}.{name}"),
                format!("longer than {MAX_TEXT} octets"),
            );
        }
    }

    /// Requirements on the labels of pods or samples.
    fn requirements(&mut self, path: &str, requirements: &[Requirement]) {
        self.count(path, requirements.len(), 0, MAX_LIST);
        for (i, Requirement { key, operator, values }) in requirements.iter().enumerate() {
            self.text(&format!("{path}[{i}].key"), key, MAX_TEXT);
            let path = format!("{path}[{i}].values");
            match operator {
                Operator::In | Operator::NotIn => self.count(&path, values.len(), 1, MAX_LIST),
                Operator::Exists | Operator::DoesNotExist => {
                    self.refuse_unless(values.is_empty(), &path, "Exists and DoesNotExist take no values");
                }
                Operator::Matches => match values.as_slice() {
                    [pattern] => {
                        if let Err(error) = whole_text(pattern) {
                            self.refuse(format!("{path}[0]"), format!("is not a regular expression: {error}"));
                        }
                    }
                    _ => self.refuse(&path, "Matches takes one value, a regular expression"),
                },
            }
            for (j, value) in values.iter().enumerate() {
                let holds = value.len() <= MAX_TEXT;
                self.refuse_unless(holds, format!("{path}[{j}]"), format!("longer than {MAX_TEXT} octets"));
            }
        }
    }

    fn contexts(&mut self, contexts: &[String]) {
        self.count("contexts", contexts.len(), 1, MAX_CONTEXTS);
        let mut seen = HashSet::new();
        for (i, context) in contexts.iter().enumerate() {
            let path = format!("contexts[{i}]");
            if context.len() > MAX_CONTEXT_OCTETS {
                self.refuse(&path, format!("{} octets, more than {MAX_CONTEXT_OCTETS}", context.len()));
            } else if context.chars().any(char::is_control) {
                self.refuse(&path, "has a control character in it");
            }
            self.unique(&mut seen, &path, format!("the context {context:?}"));
        }
    }
}

/// A name as Kubernetes' namespaces have it (RFC 1123 label).
fn is_dns_label(name: &str) -> bool {
    name.len() <= 63 && is_dns_subdomain(name) && !name.contains('.')
}

/// A name as most Kubernetes objects have it: an RFC 1123 subdomain, but that only its whole length is bounded.
fn is_dns_subdomain(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let is_label =
        |label: &str| !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-');
    name.len() <= 253 && name.split('.').all(is_label)
}

/// A descriptor of SMIv2 (RFC 2578 section 3.1): a lower-case letter, then letters and digits; 64 at most.
fn is_descriptor(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_alphanumeric())
}
