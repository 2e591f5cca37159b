//! A writable object: the values that it accepts, and the texts that are written for them.

use std::collections::BTreeMap;

use agentx::{Oid, ResponseError, SubId, Value};
use regex_lite::Regex;
use sidecar_config::{Length, MetricValue, Range, Scalar, Syntax, Violation, WriteKind, whole_text};

use super::text::ValueText;
use crate::config::SubtreeName;

/// A writable scalar.
pub(crate) struct Target {
    /// Its subtree.
    pub(super) subtree: SubtreeName,
    /// Its OID below the base. Its only instance is `.0` below that.
    pub(super) object: Oid,
    /// Its descriptor.
    pub(super) name: String,
    /// The backend that it is written to.
    pub(super) kind: WriteKind,
    syntax: Syntax,
    /// The names of its numbers.
    names: BTreeMap<i32, String>,
    range: Option<Range>,
    length: Option<Length>,
    pattern: Option<Regex>,
    scale: f64,
    offset: f64,
}

impl Target {
    /// Returns the target of a scalar, or `None` if the scalar is read-only.
    ///
    /// # Errors
    /// Returns an error if the pattern does not compile. A validated document has no such pattern.
    pub(crate) fn new(subtree: &SubtreeName, scalar: &Scalar) -> Result<Option<Self>, Violation> {
        let (Some(write), sidecar_config::Value::Metric(value)) = (&scalar.write, &scalar.value) else {
            return Ok(None);
        };
        let MetricValue { scale, offset, .. } = value;
        let pattern = write.pattern.as_deref().map(whole_text).transpose().map_err(|error| Violation {
            path: format!("{}.write.pattern", scalar.name),
            message: error.to_string(),
        })?;
        Ok(Some(Self {
            subtree: subtree.clone(),
            object: scalar.oid.clone(),
            name: scalar.name.clone(),
            kind: write.kind.clone(),
            syntax: scalar.syntax,
            names: scalar.enumeration.iter().map(|(name, number)| (*number, name.clone())).collect(),
            range: write.range,
            length: write.length,
            pattern,
            scale: scale.unwrap_or(1.0),
            offset: offset.unwrap_or(0.0),
        }))
    }

    /// Returns the OID of its only instance, below the base.
    pub(super) fn instance(&self) -> Vec<SubId> {
        [self.object.as_slice(), &[0]].concat()
    }

    /// Checks `value` and returns the text to write. Errors are checked in the order of RFC 3416 section 4.2.5: wrongType,
    /// wrongLength, wrongValue.
    pub(super) fn check(&self, value: &Value) -> Result<ValueText, ResponseError> {
        if let Value::OctetString(octets) = value
            && self.syntax.is_string()
            && self.length.is_some_and(|Length { min, max }| !(min as usize..=max as usize).contains(&octets.len()))
        {
            return Err(ResponseError::WrongLength);
        }
        let text = self.text(value)?;
        match value {
            Value::Integer(number) if self.syntax == Syntax::Integer32 => {
                if !self.names.is_empty() && !self.names.contains_key(number) {
                    return Err(ResponseError::WrongValue);
                }
                self.in_range(i64::from(*number))?;
            }
            Value::Gauge32(number) => self.in_range(i64::from(*number))?,
            Value::OctetString(_) if self.pattern.as_ref().is_some_and(|pattern| !pattern.is_match(&text.value)) => {
                return Err(ResponseError::WrongValue);
            }
            _ => {}
        }
        Ok(text)
    }

    fn in_range(&self, number: i64) -> Result<(), ResponseError> {
        let Some(Range { min, max }) = self.range else { return Ok(()) };
        let holds = min.is_none_or(|min| number >= min) && max.is_none_or(|max| number <= max);
        if holds { Ok(()) } else { Err(ResponseError::WrongValue) }
    }

    /// Returns the text of a value of the object's syntax, without checking range, length, pattern and names.
    pub(super) fn text(&self, value: &Value) -> Result<ValueText, ResponseError> {
        let plain = |value: String| Ok(ValueText { value, name: None });
        match (self.syntax, value) {
            (Syntax::TruthValue, Value::Integer(truth)) => match truth {
                1 => plain("true".to_owned()),
                2 => plain("false".to_owned()),
                _ => Err(ResponseError::WrongValue),
            },
            (Syntax::Integer32, Value::Integer(number)) => {
                Ok(ValueText { value: self.unscaled(*number), name: self.names.get(number).cloned() })
            }
            (Syntax::Unsigned32 | Syntax::Gauge32, Value::Gauge32(number))
            | (Syntax::TimeTicks, Value::TimeTicks(number)) => plain(self.unscaled(*number)),
            (Syntax::OctetString | Syntax::DisplayString, Value::OctetString(octets)) => {
                plain(self.string(octets)?.to_owned())
            }
            (Syntax::IpAddress, Value::IpAddress(address)) => plain(std::net::Ipv4Addr::from(*address).to_string()),
            (Syntax::ObjectIdentifier, Value::ObjectIdentifier(oid)) => plain(oid.to_string()),
            _ => Err(ResponseError::WrongType),
        }
    }

    fn string<'a>(&self, octets: &'a [u8]) -> Result<&'a str, ResponseError> {
        let most = if self.syntax == Syntax::DisplayString { Syntax::MAX_DISPLAY_OCTETS } else { Syntax::MAX_OCTETS };
        if octets.len() > most {
            return Err(ResponseError::WrongLength);
        }
        let text = str::from_utf8(octets).map_err(|_| ResponseError::WrongValue)?;
        // NVT ASCII (RFC 2579 section 2): a carriage return is followed by a line feed or NUL.
        let is_ascii = text.is_ascii() && !text.replace("\r\n", "").replace("\r\0", "").contains('\r');
        if self.syntax == Syntax::DisplayString && !is_ascii { Err(ResponseError::WrongValue) } else { Ok(text) }
    }

    /// Reverses the scale and the offset: returns the number to write for the number that the object shows.
    fn unscaled(&self, number: impl Into<f64> + ToString) -> String {
        if self.scale.to_bits() == 1.0_f64.to_bits() && self.offset == 0.0 {
            return number.to_string();
        }
        ((number.into() - self.offset) / self.scale).to_string()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value as Json, json};

    use super::*;

    /// Returns a writable scalar 1 of this syntax, with further fields of the scalar and of its `write`.
    fn target(syntax: &str, fields: Json, write: Json) -> Target {
        let mut scalar = json!({
            "name": "x", "oid": "1", "syntax": syntax,
            "value": {"source": "s", "metric": "m"},
            "write": {"configMap": {"name": "settings", "key": "x"}},
        });
        let lay = |into: Option<&mut Json>, further: Json| {
            let (Some(into), Json::Object(further)) = (into.and_then(Json::as_object_mut), further) else { panic!() };
            into.extend(further);
        };
        lay(scalar.get_mut("write"), write);
        if let Some(value) = fields.get("value") {
            lay(scalar.get_mut("value"), value.clone());
        } else {
            lay(Some(&mut scalar), fields);
        }
        let scalar: Scalar = serde_json::from_value(scalar).unwrap();
        let name = SubtreeName { namespace: "acme".to_owned(), name: "shop".to_owned() };
        Target::new(&name, &scalar).unwrap().unwrap()
    }

    fn octets(text: &[u8]) -> Value {
        Value::OctetString(text.to_vec())
    }

    use ResponseError::{WrongLength, WrongType, WrongValue};

    #[rstest]
    #[case::a_number("Integer32", json!({}), Value::Integer(-7), Ok(("-7", None)))]
    #[case::a_gauge("Gauge32", json!({}), Value::Gauge32(u32::MAX), Ok(("4294967295", None)))]
    #[case::ticks("TimeTicks", json!({}), Value::TimeTicks(5), Ok(("5", None)))]
    #[case::truth("TruthValue", json!({}), Value::Integer(1), Ok(("true", None)))]
    #[case::falsehood("TruthValue", json!({}), Value::Integer(2), Ok(("false", None)))]
    #[case::neither_true_nor_false("TruthValue", json!({}), Value::Integer(0), Err(WrongValue))]
    #[case::an_address("IpAddress", json!({}), Value::IpAddress([10, 0, 0, 1]), Ok(("10.0.0.1", None)))]
    #[case::a_text("DisplayString", json!({}), octets(b"web-1"), Ok(("web-1", None)))]
    #[case::a_number_for_a_text("DisplayString", json!({}), Value::Integer(1), Err(WrongType))]
    #[case::a_text_for_a_number("Integer32", json!({}), octets(b"1"), Err(WrongType))]
    #[case::a_gauge_for_a_number("Integer32", json!({}), Value::Gauge32(1), Err(WrongType))]
    #[case::null("Integer32", json!({}), Value::Null, Err(WrongType))]
    #[case::other_characters("DisplayString", json!({}), octets("é".as_bytes()), Err(WrongValue))]
    #[case::a_bare_carriage_return("DisplayString", json!({}), octets(b"a\rb"), Err(WrongValue))]
    #[case::a_line_end("DisplayString", json!({}), octets(b"a\r\nb"), Ok(("a\r\nb", None)))]
    #[case::too_long_for_its_syntax("DisplayString", json!({}), octets(&[b'a'; 256]), Err(WrongLength))]
    #[case::unicode("OctetString", json!({}), octets("é".as_bytes()), Ok(("é", None)))]
    #[case::not_utf_8("OctetString", json!({}), octets(&[0xff]), Err(WrongValue))]
    #[case::a_named_value("Integer32", json!({"enum": {"debug": 4, "info": 2}}), Value::Integer(4), Ok(("4", Some("debug"))))]
    #[case::value_without_a_name("Integer32", json!({"enum": {"debug": 4}}), Value::Integer(3), Err(WrongValue))]
    #[case::scaled("Gauge32", json!({"value": {"scale": 1000.0, "offset": 5.0}}), Value::Gauge32(2505), Ok(("2.5", None)))]
    #[case::scaled_to_a_whole_number("Gauge32", json!({"value": {"scale": 0.5}}), Value::Gauge32(10), Ok(("20", None)))]
    fn value_is_converted_to_its_text(
        #[case] syntax: &str,
        #[case] fields: Json,
        #[case] value: Value,
        #[case] expected: Result<(&str, Option<&str>), ResponseError>,
    ) {
        let text = target(syntax, fields, json!({})).check(&value);
        let text = text.as_ref().map(|text| (text.value.as_str(), text.name.as_deref())).map_err(|error| *error);
        assert_eq!(text, expected);
    }

    #[rstest]
    #[case::within("Integer32", json!({"range": {"min": 1, "max": 9}}), Value::Integer(9), None)]
    #[case::above("Integer32", json!({"range": {"min": 1, "max": 9}}), Value::Integer(10), Some(WrongValue))]
    #[case::below("Integer32", json!({"range": {"min": 1}}), Value::Integer(0), Some(WrongValue))]
    #[case::a_gauge_above("Gauge32", json!({"range": {"max": 4_000_000_000_u32}}), Value::Gauge32(4_000_000_001), Some(WrongValue))]
    #[case::short("OctetString", json!({"length": {"min": 2, "max": 3}}), octets(b"a"), Some(WrongLength))]
    #[case::long("OctetString", json!({"length": {"min": 2, "max": 3}}), octets(b"abcd"), Some(WrongLength))]
    #[case::longest("OctetString", json!({"length": {"min": 2, "max": 3}}), octets(b"abc"), None)]
    #[case::length_comes_before_the_pattern("OctetString", json!({"length": {"min": 2, "max": 3}, "pattern": "z"}), octets(b"a"), Some(WrongLength))]
    #[case::a_pattern("DisplayString", json!({"pattern": "[a-z]+"}), octets(b"web"), None)]
    #[case::of_the_whole_text("DisplayString", json!({"pattern": "[a-z]+"}), octets(b"web1"), Some(WrongValue))]
    #[case::of_every_line("DisplayString", json!({"pattern": "[a-z]+"}), octets(b"web\nx"), Some(WrongValue))]
    fn value_is_checked_against_its_constraints(
        #[case] syntax: &str,
        #[case] write: Json,
        #[case] value: Value,
        #[case] expected: Option<ResponseError>,
    ) {
        assert_eq!(target(syntax, json!({}), write).check(&value).err(), expected);
    }
}
