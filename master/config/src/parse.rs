//! Parses and checks documents.

pub use contract::ParseError;

use crate::{Document, Valid};

/// Reads and checks a document. Unknown fields are ignored.
///
/// # Errors
/// Returns an error if the document cannot be read or breaks rules. At most [`crate::MAX_VIOLATIONS`] are listed.
pub fn parse(document: &[u8]) -> Result<Valid, ParseError> {
    contract::parse(document)
}

/// Reads and checks a document as [`parse`] does, and refuses unknown fields.
///
/// # Errors
/// Returns an error if the document cannot be read, has unknown fields or breaks rules. Unknown fields come first, then
/// violations, at most [`crate::MAX_VIOLATIONS`] of each.
pub fn parse_strict(document: &[u8]) -> Result<Valid, ParseError> {
    contract::parse_strict(document)
}

/// Reads one of several documents. They are checked when all are joined.
///
/// # Errors
/// Returns an error if the document cannot be read, but never [`ParseError::Invalid`].
pub fn read(document: &[u8]) -> Result<Document, ParseError> {
    contract::read(document)
}
