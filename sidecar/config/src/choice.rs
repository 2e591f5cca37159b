//! Reads the document's either-or values. Derived code would answer a slip in one of them with `did not match any
//! variant`; this names the field.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, Visitor},
};
use serde_json::{Map, Value as Json};

use crate::{IndexEncoding, IndexKind, MetricValue, Port, Value};

/// Reads `fields` as a `T`, naming the field that is at fault.
fn read<T: DeserializeOwned, E: Error>(fields: Map<String, Json>) -> Result<T, E> {
    serde_path_to_error::deserialize(Json::Object(fields)).map_err(|error| {
        let path = error.path().to_string();
        match path.as_str() {
            "." => E::custom(error.inner()),
            path => E::custom(format_args!("{path}: {}", error.inner())),
        }
    })
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Constant {
            constant: String,
        }
        let fields = Map::deserialize(deserializer)?;
        match (fields.contains_key("constant"), fields.contains_key("metric") || fields.contains_key("source")) {
            (true, false) => Ok(Self::Constant(read::<Constant, _>(fields)?.constant)),
            (false, true) => Ok(Self::Metric(read::<MetricValue, _>(fields)?)),
            _ => Err(D::Error::custom("expected either `constant` or `source` and `metric`")),
        }
    }
}

impl<'de> Deserialize<'de> for IndexKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Pod {
            #[serde(rename = "pod")]
            _pod: Map<String, Json>,
        }
        #[derive(Deserialize)]
        struct Label {
            label: String,
            #[serde(rename = "as")]
            encoding: IndexEncoding,
        }
        let fields = Map::deserialize(deserializer)?;
        match (fields.contains_key("pod"), fields.contains_key("label")) {
            (true, false) => read::<Pod, _>(fields).map(|_| Self::Pod {}),
            (false, true) => {
                let Label { label, encoding } = read(fields)?;
                Ok(Self::Label { label, encoding })
            }
            _ => Err(D::Error::custom("expected either `pod` or `label`")),
        }
    }
}

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PortVisitor;

        impl Visitor<'_> for PortVisitor {
            type Value = Port;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port's number, 1 to 65535, or its name")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Port, E> {
                u16::try_from(number)
                    .map(Port::Number)
                    .map_err(|_| E::invalid_value(serde::de::Unexpected::Unsigned(number), &self))
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Port, E> {
                Ok(Port::Name(name.to_owned()))
            }
        }

        deserializer.deserialize_any(PortVisitor)
    }
}
