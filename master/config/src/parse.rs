//! Parses and checks documents.

pub use contract::ParseError;

use crate::{Document, Draft, Parsed, Valid};

/// Reads and checks a document. Unknown fields are ignored. Targets that cannot be read or break a rule are left out.
///
/// # Errors
/// Returns an error if the document cannot be read or breaks rules. At most [`crate::MAX_VIOLATIONS`] are listed.
pub fn parse(document: &[u8]) -> Result<Parsed, ParseError> {
    Draft::read(document)?.check().map_err(ParseError::Invalid)
}

/// Reads and checks a document, and refuses unknown fields and targets that break rules.
///
/// # Errors
/// Returns an error if the document cannot be read, has unknown fields or breaks rules. Unknown fields come first, then
/// violations, at most [`crate::MAX_VIOLATIONS`] of each.
pub fn parse_strict(document: &[u8]) -> Result<Valid, ParseError> {
    contract::parse_strict(document)
}

/// Reads one of several documents. They are checked when all are joined. Targets that cannot be read are left out.
///
/// # Errors
/// Returns an error if the document cannot be read, but never [`ParseError::Invalid`].
pub fn read(document: &[u8]) -> Result<Document, ParseError> {
    Draft::read(document).map(Draft::into_document)
}
