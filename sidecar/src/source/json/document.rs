//! JSON texts (RFC 8259) as trees, of which the memory is bounded.

use std::{cell::Cell, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::source::Cause;

/// The most that a tree may take, in octets.
pub(super) const MEMORY: u64 = 16 << 20;
/// What a value takes, beside its text or its parts, and what an entry of an object does, beside its name.
const VALUE: u64 = 40;
const ENTRY: u64 = 56;

/// Why there is no tree.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// It is not JSON: what, and where.
    Malformed(String),
    /// It would take more than [`MEMORY`].
    TooLarge,
}

impl Problem {
    /// The same as a scrape has it, of a body with this content type.
    pub(super) fn cause(self, content_type: &str) -> Cause {
        match self {
            Self::TooLarge => Cause::JsonTooLarge,
            Self::Malformed(error) => Cause::NotJson { error, content_type: content_type.to_owned() },
        }
    }
}

/// The tree of the text. Numbers are exact to 64 bits; 127 levels are the most; of entries with one name the last counts.
pub(super) fn read(text: &[u8]) -> Result<Value, Problem> {
    let left = Cell::new(MEMORY);
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let read = Tree { left: &left }.deserialize(&mut deserializer).and_then(|tree| deserializer.end().map(|()| tree));
    match read {
        Ok(tree) => Ok(tree),
        Err(_) if left.get() == 0 => Err(Problem::TooLarge),
        Err(error) => Err(Problem::Malformed(error.to_string())),
    }
}

/// Reads a value, and counts what it takes.
#[derive(Clone, Copy)]
struct Tree<'a> {
    /// How much is left.
    left: &'a Cell<u64>,
}

impl Tree<'_> {
    fn spend<E: Error>(self, fixed: u64, text: usize) -> Result<(), E> {
        let left = self.left.get().saturating_sub(fixed.saturating_add(u64::try_from(text).unwrap_or(u64::MAX)));
        self.left.set(left);
        if left == 0 { Err(E::custom("too large")) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON")
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
        // A list that grows takes up to twice what it needs.
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
