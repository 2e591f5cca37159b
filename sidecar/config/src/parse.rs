//! From a file's bytes to a [`Valid`] document.

use std::fmt::Write as _;

use serde::Deserialize;

use crate::{Subtree, VERSION, Valid, Violation, fields};

const PREFIX: &str = "subtree.";
const SUFFIX: &str = ".json";

/// The file, or key of the ConfigMap, of the SnmpSubtree `subtree_name`.
#[must_use]
pub fn file_name(subtree_name: &str) -> String {
    format!("{PREFIX}{subtree_name}{SUFFIX}")
}

/// The SnmpSubtree whose document the file `file_name` is; `None` for a file that is no document.
#[must_use]
pub fn subtree_name(file_name: &str) -> Option<&str> {
    file_name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX).filter(|name| !name.is_empty())
}

/// Why a document cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not JSON, or a field of the wrong type, or a required one missing.
    #[error("line {line}, column {column}: {}{message}", at(.path))]
    Shape {
        /// Line, from 1.
        line: usize,
        /// Column, from 1; where the reader noticed it, which can lie behind the field.
        column: usize,
        /// The innermost field known to hold the fault; empty for the document itself.
        path: String,
        /// What is wrong.
        message: String,
    },
    /// The document is of a version that this reader cannot know.
    #[error("version {found} is not served here: this reader knows versions 1 to {VERSION}")]
    Version {
        /// The document's version.
        found: u64,
    },
    /// It reads well, but these things do not hold. At least one.
    #[error("{}", lines(.0))]
    Invalid(Vec<Violation>),
}

fn at(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("{path}: ") }
}

fn lines(violations: &[Violation]) -> String {
    let mut text = String::new();
    for (i, violation) in violations.iter().enumerate() {
        let _ = write!(text, "{}{violation}", if i == 0 { "" } else { "\n" });
    }
    text
}

/// Reads and checks a document. Fields that this version does not know are ignored: sidecars outlive operators.
///
/// # Errors
/// [`ParseError`]; with [`ParseError::Invalid`] every violation is listed.
pub fn parse(document: &[u8]) -> Result<Valid, ParseError> {
    read(document)?.validate().map_err(ParseError::Invalid)
}

/// Reads and checks a document as [`parse`] does, and refuses fields that this version does not know.
///
/// # Errors
/// [`ParseError`]; with [`ParseError::Invalid`] every unknown field and then every violation is listed.
pub fn parse_strict(document: &[u8]) -> Result<Valid, ParseError> {
    let subtree = read(document)?;
    let whole: serde_json::Value = serde_json::from_slice(document).map_err(|error| shape(&error, String::new()))?;
    let mut violations: Vec<_> = fields::unknown(&whole)
        .into_iter()
        .map(|path| Violation { path, message: "unknown field".to_owned() })
        .collect();
    match subtree.validate() {
        Ok(valid) if violations.is_empty() => return Ok(valid),
        Ok(_) => {}
        Err(more) => violations.extend(more),
    }
    Err(ParseError::Invalid(violations))
}

fn read(document: &[u8]) -> Result<Subtree, ParseError> {
    /// The one field that every version has.
    #[derive(Deserialize)]
    struct Version {
        version: u64,
    }
    // The version comes first: a newer document may have any shape.
    let Version { version } = deserialize(document)?;
    if version == 0 || version > u64::from(VERSION) {
        return Err(ParseError::Version { found: version });
    }
    deserialize(document)
}

fn deserialize<'de, T: Deserialize<'de>>(document: &'de [u8]) -> Result<T, ParseError> {
    let mut json = serde_json::Deserializer::from_slice(document);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        shape(error.inner(), if path == "." { String::new() } else { path })
    })?;
    json.end().map_err(|error| shape(&error, String::new()))?;
    Ok(value)
}

fn shape(error: &serde_json::Error, path: String) -> ParseError {
    let (line, column) = (error.line(), error.column());
    let message = error.to_string();
    let position = format!(" at line {line} column {column}");
    let message = message.strip_suffix(&position).unwrap_or(&message).to_owned();
    ParseError::Shape { line, column, path, message }
}
