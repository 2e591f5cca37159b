//! The rules for documents.

mod json;
mod object;
mod source;
mod sql;
mod value;
mod write;

use std::{collections::HashSet, fmt};

use contract::{Contract, Violations};

use crate::{LabelSelector, Operator, Requirement, Subtree, VERSION};

pub use contract::Violation;
pub use json::json_path;
pub use object::{MAX_COLUMNS, MAX_INDEXES, MAX_SCALARS, MAX_TABLES, RESERVED_ARCS};
pub use source::MAX_SOURCES;
pub use value::whole_text;

/// Maximum number of contexts of a subtree.
pub const MAX_CONTEXTS: usize = 16;
/// The longest name of a context, in octets (SnmpAdminString of 0 to 32: RFC 3411 section 5, RFC 3415 vacmContextName).
pub const MAX_CONTEXT_OCTETS: usize = 32;
/// The longest name of an SnmpSubtree. With it, the file name of the document is a valid ConfigMap key.
const MAX_SUBTREE_NAME: usize = 240;
/// The longest text of other kinds: names of metrics, names and values of labels.
const MAX_TEXT: usize = 1024;
/// Maximum number of values or requirements in a list.
const MAX_LIST: usize = 64;

/// A document that the sidecar can use.
pub type Valid = contract::Valid<Subtree>;

impl Contract for Subtree {
    const VERSION: u32 = VERSION;
    const IS_SECRET: bool = false;

    fn check(&self, violations: &mut Violations) {
        let mut checks = Checks { violations };
        checks.identity(self);
        checks.contexts(&self.contexts);
        checks.sources(&self.sources);
        checks.objects(self);
    }
}

impl Subtree {
    /// Checks the document.
    ///
    /// # Errors
    /// Returns all violations, in the order of the document, if it breaks a rule.
    pub fn validate(self) -> Result<Valid, Vec<Violation>> {
        Valid::new(self)
    }
}

/// The checks of the rules, which add their violations to a list.
struct Checks<'a> {
    violations: &'a mut Violations,
}

impl Checks<'_> {
    fn refuse(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.violations.add(path, message);
    }

    fn refuse_unless(&mut self, holds: bool, path: impl Into<String>, message: impl Into<String>) {
        self.violations.require(holds, path, message);
    }

    /// Checks that a list or map has `min` to `max` entries.
    fn count(&mut self, path: &str, len: usize, min: usize, max: usize) {
        self.violations.require_len(path, len, min, max);
    }

    /// Checks that a text is not empty, has at most `max` octets and no control characters.
    fn text(&mut self, path: &str, text: &str, max: usize) {
        if text.is_empty() {
            self.refuse(path, "is empty");
        } else if text.len() > max {
            self.refuse(path, format!("has {} octets; at most {max} allowed", text.len()));
        } else if text.chars().any(char::is_control) {
            self.refuse(path, "contains a control character");
        }
    }

    /// Checks that a value is used only once.
    fn unique<T: std::hash::Hash + Eq + fmt::Display>(&mut self, seen: &mut HashSet<T>, path: &str, value: T) {
        if let Some(value) = seen.replace(value) {
            self.refuse(path, format!("{value} is used more than once"));
        }
    }

    fn identity(&mut self, subtree: &Subtree) {
        if subtree.version == 0 || subtree.version > VERSION {
            self.refuse(
                "version",
                format!("{} is not supported; the newest supported version is {VERSION}", subtree.version),
            );
        }
        self.refuse_unless(is_dns_label(&subtree.namespace), "namespace", "is not a valid namespace name");
        if !is_dns_subdomain(&subtree.name) {
            self.refuse("name", "is not a valid Kubernetes object name");
        } else if subtree.name.len() > MAX_SUBTREE_NAME {
            self.refuse("name", format!("has {} characters; at most {MAX_SUBTREE_NAME} allowed", subtree.name.len()));
        }
        if let Some(module) = &subtree.module {
            let holds = module.len() <= 64
                && module.starts_with(|c: char| c.is_ascii_uppercase())
                && module.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !module.ends_with('-')
                && !module.contains("--");
            self.refuse_unless(holds, "module", "is not a valid SMIv2 module name, for example ACME-CHECKOUT-MIB");
        }
        self.selector("selector", &subtree.selector);
    }

    fn selector(&mut self, path: &str, selector: &LabelSelector) {
        let requirements = format!("{path}.matchExpressions");
        self.requirements(&requirements, &selector.match_expressions);
        for (i, requirement) in selector.match_expressions.iter().enumerate() {
            let holds = requirement.operator != Operator::Matches;
            self.refuse_unless(
                holds,
                format!("{requirements}[{i}].operator"),
                "Matches is not supported for selecting pods",
            );
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
                format!("has more than {MAX_TEXT} octets"),
            );
        }
    }

    /// Checks requirements on the labels of pods or samples.
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
                self.refuse_unless(holds, format!("{path}[{j}]"), format!("has more than {MAX_TEXT} octets"));
            }
        }
    }

    fn contexts(&mut self, contexts: &[String]) {
        self.count("contexts", contexts.len(), 1, MAX_CONTEXTS);
        let mut seen = HashSet::new();
        for (i, context) in contexts.iter().enumerate() {
            let path = format!("contexts[{i}]");
            if context.len() > MAX_CONTEXT_OCTETS {
                self.refuse(&path, format!("has {} octets; at most {MAX_CONTEXT_OCTETS} allowed", context.len()));
            } else if context.chars().any(char::is_control) {
                self.refuse(&path, "contains a control character");
            }
            self.unique(&mut seen, &path, format!("the context {context:?}"));
        }
    }
}

/// Returns whether this is a valid name of a Kubernetes namespace (RFC 1123 label).
fn is_dns_label(name: &str) -> bool {
    name.len() <= 63 && is_dns_subdomain(name) && !name.contains('.')
}

/// Returns whether this is a valid name of most Kubernetes objects: an RFC 1123 subdomain, whose labels may have any length.
fn is_dns_subdomain(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let is_label =
        |label: &str| !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-');
    name.len() <= 253 && name.split('.').all(is_label)
}

/// Returns whether this is a descriptor of SMIv2 (RFC 2578 section 3.1): a lower-case letter and then letters and digits,
/// at most 64 characters.
fn is_descriptor(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_alphanumeric())
}
