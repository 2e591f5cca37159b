//! The rules for documents. Messages name fields, but do not quote values, because some are secret.

mod access;
mod context;
mod listeners;

use contract::{Contract, Violations};

use crate::{Document, Oid, VERSION};

pub use access::MAX_COMMUNITIES;
pub use context::MAX_CONTEXT_OCTETS;
pub use contract::Violation;
pub use listeners::MAX_SOCKET_PATH;

/// The longest document, in octets: twice the size of eight Secrets.
pub const MAX_OCTETS: usize = 16 << 20;
/// Maximum number of networks in a list. The list is searched for each message.
pub const MAX_NETWORKS: usize = 64;
/// Maximum number of violations that are reported for a document.
pub const MAX_VIOLATIONS: usize = 100;
/// The longest text of a name or an address, in octets.
const MAX_TEXT: usize = 512;

/// A document that the master can use.
pub type Valid = contract::Valid<Document>;

impl Contract for Document {
    const VERSION: u32 = VERSION;
    const MAX_OCTETS: usize = MAX_OCTETS;
    const MAX_VIOLATIONS: usize = MAX_VIOLATIONS;
    const IS_SECRET: bool = true;

    fn check(&self, violations: &mut Violations) {
        let mut checks = Checks { violations };
        let holds = (1..=VERSION).contains(&self.version);
        checks.refuse_unless(holds, "version", format!("is not supported; the newest supported version is {VERSION}"));
        checks.listeners(&self.listeners);
        checks.limits(&self.limits);
        checks.contexts(self);
        checks.access(self);
        checks.targets(self);
    }
}

impl Document {
    /// Checks the document.
    ///
    /// # Errors
    /// Returns the violations, at most [`MAX_VIOLATIONS`], if it breaks a rule.
    pub fn validate(self) -> Result<Valid, Vec<Violation>> {
        Valid::new(self)
    }
}

/// Adds violations of the rules.
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
    fn count(&mut self, path: impl Into<String>, len: usize, min: usize, max: usize) {
        self.violations.require_len(path, len, min, max);
    }

    /// Checks that a text has `min` to `max` octets and no control characters.
    fn text(&mut self, path: &str, text: &str, min: usize, max: usize) {
        if text.len() < min {
            let message = if text.is_empty() { "is empty".to_owned() } else { format!("has fewer than {min} octets") };
            self.refuse(path, message);
        } else if text.len() > max {
            self.refuse(path, format!("has more than {max} octets"));
        }
        let holds = !text.chars().any(char::is_control);
        self.refuse_unless(holds, path, "contains a control character, for example a line break at its end");
    }
}

/// Returns whether BER can encode the OID (X.690 section 8.19): it starts with 0.0 to 0.39, 1.0 to 1.39, or 2.
fn is_identifier(oid: &Oid) -> bool {
    matches!(oid.as_slice(), [0 | 1, 0..=39, ..] | [2, _, ..])
}
