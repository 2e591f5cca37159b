//! Parsing of the lines that net-snmp's tools and `snmp-sidecar walk` print.

use agentx::{Oid, Value};
use anyhow::{Context, Result, bail};

/// A varbind as a tool prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The OID of its instance.
    pub oid: Oid,
    /// Its value or exception.
    pub value: Value,
}

impl Row {
    /// Parses `OID = TYPE: value`, as net-snmp prints it with `-On -Oe` and without MIB modules.
    fn parse(text: &str) -> Result<Self> {
        let (oid, value) =
            text.split_once(" = ").with_context(|| format!("this is not OID = TYPE: value: {text:?}"))?;
        let oid = oid.parse()?;
        let value = parse_value(value.trim_end()).with_context(|| text.to_owned())?;
        Ok(Self { oid, value })
    }

    /// Returns the value as text. Returns an error unless it is an octet string of UTF-8.
    pub fn text(&self) -> Result<&str> {
        match &self.value {
            Value::OctetString(octets) => Ok(std::str::from_utf8(octets)?),
            other => bail!("{} is {other:?}, not an octet string", self.oid),
        }
    }

    /// Returns the value as a number. Returns an error if it has another syntax.
    pub fn number(&self) -> Result<i128> {
        Ok(match self.value {
            Value::Integer(v) => v.into(),
            Value::Counter32(v) | Value::Gauge32(v) | Value::TimeTicks(v) => v.into(),
            Value::Counter64(v) => v.into(),
            ref other => bail!("{} is {other:?}, not a number", self.oid),
        })
    }
}

/// Parses the whole output of a tool. Long octet strings continue on further lines.
pub fn parse_rows(output: &str) -> Result<Vec<Row>> {
    let begins = |line: &str| line.split_once(" = ").is_some_and(|(oid, _)| oid.parse::<Oid>().is_ok());
    let mut rows = Vec::new();
    let mut text = String::new();
    for line in output.lines() {
        if begins(line) && !text.is_empty() {
            rows.push(Row::parse(&text)?);
            text.clear();
        } else if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(line);
    }
    if !text.is_empty() {
        rows.push(Row::parse(&text)?);
    }
    Ok(rows)
}

/// Returns the rows without their values, to compare walks while values change.
pub fn oids_and_types(rows: &[Row]) -> Vec<(&Oid, u16)> {
    rows.iter().map(|row| (&row.oid, row.value.as_ref().type_code())).collect()
}

fn parse_value(text: &str) -> Result<Value> {
    if let Some(exception) = parse_exception(text) {
        return Ok(exception);
    }
    if text == "\"\"" {
        return Ok(Value::OctetString(Vec::new()));
    }
    let (kind, value) = text.split_once(':').context("the value has no type")?;
    let value = value.trim();
    Ok(match kind {
        "INTEGER" => Value::Integer(value.parse()?),
        "Gauge32" => Value::Gauge32(value.parse()?),
        "Counter32" => Value::Counter32(value.parse()?),
        "Counter64" => Value::Counter64(value.parse()?),
        "Timeticks" | "TimeTicks" => {
            let ticks = value.split(['(', ')']).find(|part| !part.is_empty()).context("Timeticks without a number")?;
            Value::TimeTicks(ticks.trim().parse()?)
        }
        "OID" => Value::ObjectIdentifier(value.parse()?),
        "IpAddress" => Value::IpAddress(value.parse::<std::net::Ipv4Addr>()?.octets()),
        "Hex-STRING" => Value::OctetString(parse_hex(value)?),
        "STRING" => Value::OctetString(parse_quoted(value)?),
        other => bail!("unknown type {other}"),
    })
}

fn parse_exception(text: &str) -> Option<Value> {
    [
        ("No Such Object", Value::NoSuchObject),
        ("No Such Instance", Value::NoSuchInstance),
        ("No more variables left", Value::EndOfMibView),
        ("NULL", Value::Null),
    ]
    .into_iter()
    .find_map(|(words, value)| text.starts_with(words).then_some(value))
}

fn parse_hex(text: &str) -> Result<Vec<u8>> {
    text.split_whitespace().map(|octet| Ok(u8::from_str_radix(octet, 16)?)).collect()
}

fn parse_quoted(text: &str) -> Result<Vec<u8>> {
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).context("a string without quotes")?;
    let mut octets = Vec::new();
    let mut escaped = false;
    for octet in inner.bytes() {
        if octet == b'\\' && !escaped {
            escaped = true;
        } else {
            octets.push(octet);
            escaped = false;
        }
    }
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_every_syntax_are_parsed() {
        let output = concat!(
            ".1.3.1 = INTEGER: -5\n",
            ".1.3.2 = Hex-STRING: 4C 69 \n6E 75 \n",
            ".1.3.3 = \"\"\n",
            ".1.3.4 = Timeticks: (149) 0:00:01.49\n",
            ".1.3.5 = STRING: \"a \\\"b\\\" = c\"\n",
            ".1.3.6 = No Such Instance currently exists at this OID\n",
            ".1.3.7 = Counter64: 18446744073709551615\n",
            ".1.3.8 = IpAddress: 10.0.0.1\n",
            ".1.3.9 = No more variables left in this MIB View (It is past the end of the MIB tree)\n",
        );
        let values: Vec<Value> = parse_rows(output).unwrap().into_iter().map(|row| row.value).collect();
        let expected = [
            Value::Integer(-5),
            Value::OctetString(b"Linu".to_vec()),
            Value::OctetString(Vec::new()),
            Value::TimeTicks(149),
            Value::OctetString(b"a \"b\" = c".to_vec()),
            Value::NoSuchInstance,
            Value::Counter64(u64::MAX),
            Value::IpAddress([10, 0, 0, 1]),
            Value::EndOfMibView,
        ];
        assert_eq!(values, expected);
    }
}
