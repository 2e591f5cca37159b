//! From octets to a [`Valid`] document.

use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::error::Category;
use serde_path_to_error::Segment;

use crate::{Document, VERSION, Valid, Violation};

/// The longest document, in octets: twice what eight Secrets hold.
pub const MAX_OCTETS: usize = 16 << 20;

/// Why a document cannot be used. No message holds a value of the document, which may be a passphrase, but for its
/// version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Longer than [`MAX_OCTETS`].
    #[error("{octets} octets, more than {MAX_OCTETS}")]
    TooLong {
        /// How long it is.
        octets: usize,
    },
    /// Not JSON, or a field of the wrong type, or a required one missing.
    #[error("line {line}, column {column}: {}{message}", if .path.is_empty() { String::new() } else { format!("{path}: ") })]
    Shape {
        /// Line, from 1.
        line: usize,
        /// Column, from 1; where the reader noticed it, which can lie behind the field.
        column: usize,
        /// The innermost field known to hold the fault; empty for the document itself, and where it is no JSON.
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

fn lines(violations: &[Violation]) -> String {
    let mut text = String::new();
    for (i, violation) in violations.iter().enumerate() {
        let _ = write!(text, "{}{violation}", if i == 0 { "" } else { "\n" });
    }
    text
}

/// Reads and checks a document. Fields that this version does not know are ignored.
///
/// # Errors
/// [`ParseError`]; with [`ParseError::Invalid`] every violation is listed, as far as there is room.
pub fn parse(document: &[u8]) -> Result<Valid, ParseError> {
    read(document)?.validate().map_err(ParseError::Invalid)
}

/// Reads and checks a document as [`parse`] does, and refuses fields that this version does not know.
///
/// # Errors
/// [`ParseError`]; with [`ParseError::Invalid`] the unknown fields and then the violations are listed, each as far as
/// there is room.
pub fn parse_strict(document: &[u8]) -> Result<Valid, ParseError> {
    let mut unknown = Vec::new();
    let document = read_noting(document, |path| {
        if unknown.len() < crate::MAX_VIOLATIONS {
            unknown.push(Violation { path, message: "unknown field".to_owned() });
        }
    })?;
    match document.validate() {
        Ok(valid) if unknown.is_empty() => return Ok(valid),
        Ok(_) => {}
        Err(violations) => unknown.extend(violations),
    }
    Err(ParseError::Invalid(unknown))
}

/// Reads one of several documents, which are checked when all are joined.
///
/// # Errors
/// [`ParseError`], but never [`ParseError::Invalid`].
pub fn read(document: &[u8]) -> Result<Document, ParseError> {
    read_noting(document, |_| {})
}

/// Reads a document and gives the paths of the fields that this version does not know to `unknown`.
fn read_noting(document: &[u8], mut unknown: impl FnMut(String)) -> Result<Document, ParseError> {
    /// The one field that every version has.
    #[derive(Deserialize)]
    struct Version {
        version: u64,
    }
    if document.len() > MAX_OCTETS {
        return Err(ParseError::TooLong { octets: document.len() });
    }
    // The version comes first: a newer document may have any shape.
    let Version { version } = deserialize(document, |_| {})?;
    if version == 0 || version > u64::from(VERSION) {
        return Err(ParseError::Version { found: version });
    }
    deserialize(document, |path| unknown(ignored(&path)))
}

fn deserialize<'de, T: Deserialize<'de>>(
    document: &'de [u8],
    mut ignored: impl FnMut(serde_ignored::Path<'_>),
) -> Result<T, ParseError> {
    let mut json = serde_json::Deserializer::from_slice(document);
    let noting = serde_ignored::Deserializer::new(&mut json, &mut ignored);
    let value = serde_path_to_error::deserialize(noting).map_err(|error| shape(error.inner(), Some(error.path())))?;
    json.end().map_err(|error| shape(&error, None))?;
    Ok(value)
}

/// The path of a field that was ignored.
fn ignored(path: &serde_ignored::Path<'_>) -> String {
    use serde_ignored::Path;
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => format!("{}[{index}]", ignored(parent)),
        Path::Map { parent, key } => match ignored(parent) {
            parent if parent.is_empty() => key.escape_debug().to_string(),
            parent => format!("{parent}.{}", key.escape_debug()),
        },
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => ignored(parent),
    }
}

fn shape(error: &serde_json::Error, path: Option<&serde_path_to_error::Path>) -> ParseError {
    let (line, column) = (error.line(), error.column());
    let message = error.to_string();
    let position = format!(" at line {line} column {column}");
    let message = message.strip_suffix(&position).unwrap_or(&message);
    let (path, message) = match (error.classify(), path) {
        (Category::Data, Some(path)) => (known(path), without_values(message)),
        // Words of serde_json's own. The path could lead through names that are no fields, and hold anything.
        _ => (String::new(), message.to_owned()),
    };
    ParseError::Shape { line, column, path, message }
}

/// The path of what has the wrong type. All names in it are fields of ours: in others anything may stand.
fn known(path: &serde_path_to_error::Path) -> String {
    path.iter().fold(String::new(), |mut text, segment| {
        let _ = match segment {
            Segment::Seq { index } => write!(text, "[{index}]"),
            Segment::Map { key } => write!(text, "{}{key}", if text.is_empty() { "" } else { "." }),
            Segment::Enum { .. } | Segment::Unknown => Ok(()),
        };
        text
    })
}

/// A message of serde's without what it quotes of the document.
fn without_values(message: &str) -> String {
    let of_serde = ["invalid type: ", "invalid value: ", "invalid length ", "unknown variant "];
    // What was found comes first and may hold anything; what was expected is told in words of types.
    match message.rsplit_once(", expected ") {
        Some((_, expected)) if of_serde.iter().any(|start| message.starts_with(start)) => {
            format!("expected {expected}")
        }
        _ if message.starts_with("missing field ") || message.starts_with("duplicate field ") => message.to_owned(),
        _ => "is not of the form that this field has".to_owned(),
    }
}
