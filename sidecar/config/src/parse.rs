//! From the contents of a file to a [`Valid`] document.

pub use contract::ParseError;

use crate::Valid;

const PREFIX: &str = "subtree.";
const SUFFIX: &str = ".json";

/// Returns the file, which is a key of the ConfigMap, of the SnmpSubtree `subtree_name`.
#[must_use]
pub fn file_name(subtree_name: &str) -> String {
    format!("{PREFIX}{subtree_name}{SUFFIX}")
}

/// Returns the SnmpSubtree whose document the file `file_name` contains; `None` if the file is not a document.
#[must_use]
pub fn subtree_name(file_name: &str) -> Option<&str> {
    file_name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX).filter(|name| !name.is_empty())
}

/// Reads and checks a document. Unknown fields are ignored, because sidecars live longer than operators.
///
/// # Errors
/// Returns an error if the document cannot be read or breaks rules. All violations are listed.
pub fn parse(document: &[u8]) -> Result<Valid, ParseError> {
    contract::parse(document)
}

/// Reads and checks a document as [`parse`] does, and refuses unknown fields.
///
/// # Errors
/// Returns an error if the document cannot be read, has unknown fields or breaks rules. All unknown fields are listed,
/// and then all violations.
pub fn parse_strict(document: &[u8]) -> Result<Valid, ParseError> {
    contract::parse_strict(document)
}
