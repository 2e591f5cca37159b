//! A JSON parser (RFC 8259) with a memory limit.

use std::{cell::Cell, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::source::error::SourceError;

/// The maximum memory of a document, in octets.
pub(super) const MEMORY: u64 = 16 << 20;
/// The memory of a value without its text or parts.
const VALUE: u64 = 40;
/// The memory of an object's entry without its name and value.
const ENTRY: u64 = 56;

/// The reason why a text cannot be parsed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DocumentError {
    /// The text is not JSON. The message has the position.
    Malformed(String),
    /// The document would take more than [`MEMORY`].
    TooLarge,
}

impl DocumentError {
    /// Converts the error to that of a source whose response has this content type.
    pub(super) fn into_source_error(self, content_type: &str) -> SourceError {
        match self {
            Self::TooLarge => SourceError::JsonTooLarge,
            Self::Malformed(error) => SourceError::NotJson { error, content_type: content_type.to_owned() },
        }
    }
}

/// Parses a document. Integers of up to 64 bits are exact. At most 127 levels are allowed. If entries have the same
/// name, the last is used.
pub(super) fn parse(text: &[u8]) -> Result<Value, DocumentError> {
    let left = Cell::new(MEMORY);
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let parsed = LimitedValue { left: &left }
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value));
    match parsed {
        Ok(value) => Ok(value),
        Err(_) if left.get() == 0 => Err(DocumentError::TooLarge),
        Err(error) => Err(DocumentError::Malformed(error.to_string())),
    }
}

/// A deserializer of a value that counts its memory.
#[derive(Clone, Copy)]
struct LimitedValue<'a> {
    /// The memory that is left, in octets.
    left: &'a Cell<u64>,
}

impl LimitedValue<'_> {
    fn spend<E: Error>(self, fixed: u64, text: usize) -> Result<(), E> {
        let left = self.left.get().saturating_sub(fixed.saturating_add(u64::try_from(text).unwrap_or(u64::MAX)));
        self.left.set(left);
        if left == 0 { Err(E::custom("too large")) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for LimitedValue<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for LimitedValue<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.spend(0, value.len())?;
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            self.spend(VALUE, 0)?;
            list.push(item);
        }
        // A growing vector has up to twice the capacity that it needs.
        list.shrink_to_fit();
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            self.spend(VALUE + ENTRY, name.len())?;
            object.insert(name, entries.next_value_seed(self)?);
        }
        Ok(Value::Object(object))
    }
}
