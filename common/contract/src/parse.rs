//! Parses documents.

use std::fmt::Write as _;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::error::Category;
use serde_path_to_error::Segment;

use crate::{Contract, Valid, Violation, Violations};

/// Why a document cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The document is longer than [`Contract::MAX_OCTETS`].
    #[error("has {octets} octets; at most {max} are allowed")]
    TooLong {
        /// Its length, in octets.
        octets: usize,
        /// The maximum length, in octets.
        max: usize,
    },
    /// The document is not JSON, a field has the wrong type, or a required field is missing.
    #[error("line {line}, column {column}: {}{message}", if .path.is_empty() { String::new() } else { format!("{path}: ") })]
    Shape {
        /// The line, from 1.
        line: usize,
        /// The column, from 1, where the reader noticed the error. It can lie behind the field.
        column: usize,
        /// The innermost field that is known to contain the error; empty for the document itself.
        path: String,
        /// What is wrong.
        message: String,
    },
    /// The document's version is not supported, for example because it is newer than this program.
    #[error("version {found} is not supported; the newest supported version is {newest}")]
    Version {
        /// The document's version.
        found: u64,
        /// The newest version that can be read.
        newest: u32,
    },
    /// The document breaks rules. There is at least one violation.
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

/// Reads and checks a document. Unknown fields are ignored, because a newer operator may write them.
///
/// # Errors
/// Returns an error if the document cannot be read or breaks a rule.
pub fn parse<T: Contract>(document: &[u8]) -> Result<Valid<T>, ParseError> {
    Valid::new(read(document)?).map_err(ParseError::Invalid)
}

/// Reads and checks a document as [`parse`] does, and refuses unknown fields.
///
/// # Errors
/// Returns an error if the document cannot be read, has unknown fields or breaks a rule. Unknown fields come first.
pub fn parse_strict<T: Contract>(document: &[u8]) -> Result<Valid<T>, ParseError> {
    let mut unknown = Violations::new(T::MAX_VIOLATIONS);
    let document = read_with::<T>(document, &mut |path| unknown.add(path, "unknown field"))?;
    let mut violations = unknown.into_inner();
    match Valid::new(document) {
        Ok(valid) if violations.is_empty() => return Ok(valid),
        Ok(_) => {}
        Err(broken) => violations.extend(broken),
    }
    Err(ParseError::Invalid(violations))
}

/// Reads a document without checking it. Unknown fields are ignored.
///
/// # Errors
/// Returns an error if the document cannot be read, but never [`ParseError::Invalid`].
pub fn read<T: Contract>(document: &[u8]) -> Result<T, ParseError> {
    read_with(document, &mut |_| {})
}

/// Reads a document, and passes the paths of unknown fields to `unknown`.
fn read_with<T: Contract>(document: &[u8], unknown: &mut dyn FnMut(String)) -> Result<T, ParseError> {
    /// The only field that all versions have.
    #[derive(Deserialize)]
    struct Version {
        version: u64,
    }
    if document.len() > T::MAX_OCTETS {
        return Err(ParseError::TooLong { octets: document.len(), max: T::MAX_OCTETS });
    }
    // The version is checked first, because a newer document may have fields of other types.
    let Version { version } = deserialize(document, T::IS_SECRET, &mut |_| {})?;
    if version == 0 || version > u64::from(T::VERSION) {
        return Err(ParseError::Version { found: version, newest: T::VERSION });
    }
    deserialize(document, T::IS_SECRET, &mut |path| unknown(unknown_path(&path)))
}

/// Deserializes a document. Strict and lenient parsing share this function, so its code exists once for each type.
fn deserialize<T: DeserializeOwned>(
    document: &[u8],
    is_secret: bool,
    mut ignored: &mut dyn FnMut(serde_ignored::Path<'_>),
) -> Result<T, ParseError> {
    let mut json = serde_json::Deserializer::from_slice(document);
    let deserializer = serde_ignored::Deserializer::new(&mut json, &mut ignored);
    let value = serde_path_to_error::deserialize(deserializer)
        .map_err(|error| shape_error(error.inner(), Some(error.path()), is_secret))?;
    json.end().map_err(|error| shape_error(&error, None, is_secret))?;
    Ok(value)
}

/// Returns the path of an unknown field.
fn unknown_path(path: &serde_ignored::Path<'_>) -> String {
    use serde_ignored::Path;
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => format!("{}[{index}]", unknown_path(parent)),
        Path::Map { parent, key } => match unknown_path(parent) {
            parent if parent.is_empty() => key.escape_debug().to_string(),
            parent => format!("{parent}.{}", key.escape_debug()),
        },
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => {
            unknown_path(parent)
        }
    }
}

fn shape_error(error: &serde_json::Error, path: Option<&serde_path_to_error::Path>, is_secret: bool) -> ParseError {
    let (line, column) = (error.line(), error.column());
    let message = error.to_string();
    let position = format!(" at line {line} column {column}");
    let message = message.strip_suffix(&position).unwrap_or(&message);
    let (path, message) = match (error.classify(), path) {
        (Category::Data, Some(path)) if is_secret => (known_path(path), without_values(message)),
        // The message is a fixed text of serde_json. The path is left out, because it may contain names from the
        // document.
        _ if is_secret => (String::new(), message.to_owned()),
        (_, path) => (path.map(ToString::to_string).filter(|path| path != ".").unwrap_or_default(), message.to_owned()),
    };
    ParseError::Shape { line, column, path, message }
}

/// Returns the path of a field with the wrong type. It consists of known fields only.
fn known_path(path: &serde_path_to_error::Path) -> String {
    path.iter().fold(String::new(), |mut text, segment| {
        let _ = match segment {
            Segment::Seq { index } => write!(text, "[{index}]"),
            Segment::Map { key } => write!(text, "{}{key}", if text.is_empty() { "" } else { "." }),
            Segment::Enum { .. } | Segment::Unknown => Ok(()),
        };
        text
    })
}

/// Returns a message of serde without what it quotes from the document.
fn without_values(message: &str) -> String {
    let of_serde = ["invalid type: ", "invalid value: ", "invalid length ", "unknown variant "];
    // serde names first what it found, which can be anything, and then the expected type.
    match message.rsplit_once(", expected ") {
        Some((_, expected)) if of_serde.iter().any(|start| message.starts_with(start)) => {
            format!("expected {expected}")
        }
        _ if message.starts_with("missing field ") || message.starts_with("duplicate field ") => message.to_owned(),
        _ => "does not have the form that this field requires".to_owned(),
    }
}
