//! Walks as text, with one line per instance, in the format of net-snmp's `snmpwalk -On -Oe`.
//!
//! Unlike net-snmp, a long Hex-STRING stays on one line.

use std::{
    fmt::{self, Write},
    sync::Arc,
};

use agentx::{DisplayArcs, ValueRef};
use bytes::Bytes;

use super::mib_view::{Instance, MibView};

/// The number of instances per chunk.
const CHUNK: usize = 1000;

/// An instance that is displayed as `.1.3.6.1.4.1.1.0 = Gauge32: 5`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a>(pub(crate) Instance<'a>);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Instance { base, object, index, value } = self.0;
        for arcs in [base, object, index].into_iter().filter(|arcs| !arcs.is_empty()) {
            write!(f, ".{}", DisplayArcs(arcs))?;
        }
        write!(f, " = {}", Typed(value))
    }
}

/// A value that is displayed with its type, as `Gauge32: 5`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Typed<'a>(pub(crate) ValueRef<'a>);

impl fmt::Display for Typed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ValueRef::Integer(v) => write!(f, "INTEGER: {v}"),
            ValueRef::OctetString(v) => octets(f, v),
            ValueRef::Null => f.write_str("NULL"),
            ValueRef::ObjectIdentifier(v) => write!(f, "OID: .{}", DisplayArcs(v)),
            ValueRef::IpAddress(v) => write!(f, "IpAddress: {}", std::net::Ipv4Addr::from(v)),
            ValueRef::Counter32(v) => write!(f, "Counter32: {v}"),
            ValueRef::Gauge32(v) => write!(f, "Gauge32: {v}"),
            ValueRef::TimeTicks(v) => time_ticks(f, v),
            ValueRef::Opaque(v) => hex(f, "OPAQUE: ", v),
            ValueRef::Counter64(v) => write!(f, "Counter64: {v}"),
            ValueRef::NoSuchObject => f.write_str("No Such Object available on this agent at this OID"),
            ValueRef::NoSuchInstance => f.write_str("No Such Instance currently exists at this OID"),
            ValueRef::EndOfMibView => {
                f.write_str("No more variables left in this MIB View (It is past the end of the MIB tree)")
            }
        }
    }
}

/// Writes the value as text in quotes if all octets are printable, and as hexadecimal octets otherwise.
fn octets(f: &mut fmt::Formatter<'_>, value: &[u8]) -> fmt::Result {
    // The octets for which isprint or isspace hold in the C locale.
    let shown = |b: &u8| matches!(b, b' '..=b'~' | b'\t'..=b'\r');
    if value.is_empty() {
        return f.write_str("\"\"");
    }
    if !value.iter().all(shown) {
        return hex(f, "Hex-STRING: ", value);
    }
    f.write_str("STRING: \"")?;
    for &octet in value {
        if matches!(octet, b'"' | b'\\') {
            f.write_char('\\')?;
        }
        f.write_char(octet.into())?;
    }
    f.write_char('"')
}

fn hex(f: &mut fmt::Formatter<'_>, of: &str, value: &[u8]) -> fmt::Result {
    f.write_str(of)?;
    value.iter().try_for_each(|octet| write!(f, "{octet:02X} "))
}

/// Writes a duration as `(8640123) 1 day, 0:00:01.23`.
fn time_ticks(f: &mut fmt::Formatter<'_>, ticks: u32) -> fmt::Result {
    let (seconds, hundredths) = (ticks / 100, ticks % 100);
    let (minutes, hours, days) = (seconds / 60 % 60, seconds / 3600 % 24, seconds / 86_400);
    write!(f, "Timeticks: ({ticks}) ")?;
    match days {
        0 => {}
        1 => f.write_str("1 day, ")?,
        _ => write!(f, "{days} days, ")?,
    }
    write!(f, "{hours}:{minutes:02}:{:02}.{hundredths:02}", seconds % 60)
}

/// Returns the text of a walk through `views` in chunks. The views must be sorted by base OID.
pub(crate) fn chunks(views: Vec<Arc<MibView>>) -> impl Iterator<Item = Bytes> + Send {
    views.into_iter().flat_map(|view| {
        let mut cursor = view.seek(view.base(), true);
        std::iter::from_fn(move || {
            let mut text = String::new();
            for _ in 0..CHUNK {
                let Some(instance) = view.take(&mut cursor) else { break };
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{}", Line(instance));
            }
            Some(Bytes::from(text)).filter(|text| !text.is_empty())
        })
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(ValueRef::Integer(-5), "INTEGER: -5")]
    #[case(ValueRef::Gauge32(u32::MAX), "Gauge32: 4294967295")]
    #[case(ValueRef::Counter32(7), "Counter32: 7")]
    #[case(ValueRef::Counter64(u64::MAX), "Counter64: 18446744073709551615")]
    #[case(ValueRef::OctetString(b""), "\"\"")]
    #[case(ValueRef::OctetString(b"eth0"), "STRING: \"eth0\"")]
    #[case(ValueRef::OctetString(b"a \"b\" \\ c"), r#"STRING: "a \"b\" \\ c""#)]
    #[case(ValueRef::OctetString(b"two\nlines"), "STRING: \"two\nlines\"")]
    #[case(ValueRef::OctetString(&[0, 0x1b, 0xff]), "Hex-STRING: 00 1B FF ")]
    #[case(ValueRef::OctetString("é".as_bytes()), "Hex-STRING: C3 A9 ")]
    #[case(ValueRef::IpAddress([10, 0, 0, 255]), "IpAddress: 10.0.0.255")]
    #[case(ValueRef::ObjectIdentifier(&[1, 3, 6]), "OID: .1.3.6")]
    #[case(ValueRef::TimeTicks(0), "Timeticks: (0) 0:00:00.00")]
    #[case(ValueRef::TimeTicks(123), "Timeticks: (123) 0:00:01.23")]
    #[case(ValueRef::TimeTicks(8_640_000), "Timeticks: (8640000) 1 day, 0:00:00.00")]
    #[case(ValueRef::TimeTicks(u32::MAX), "Timeticks: (4294967295) 497 days, 2:27:52.95")]
    #[case(ValueRef::NoSuchInstance, "No Such Instance currently exists at this OID")]
    fn values_are_written_as_net_snmp_writes_them(#[case] value: ValueRef<'_>, #[case] text: &str) {
        assert_eq!(Typed(value).to_string(), text);
    }

    fn view(base: &str, instances: u32) -> Arc<MibView> {
        let mut view = MibView::new(base.parse().unwrap(), vec!["1".parse().unwrap()]);
        for i in 0..instances {
            view.push(&[1], &[i], ValueRef::Gauge32(i)).unwrap();
        }
        Arc::new(view)
    }

    #[rstest]
    #[case(&[0])]
    #[case(&[1])]
    #[case(&[2 * 1000])]
    #[case(&[1001, 0, 3])]
    fn a_walk_in_pieces_has_every_line_in_order(#[case] instances: &[u32]) {
        let bases = ["1.3.6.1.4.1.1", "1.3.6.1.4.1.2", "1.3.6.1.4.1.3"];
        let views: Vec<_> = bases.iter().zip(instances).map(|(base, n)| view(base, *n)).collect();
        let expected: String = views.iter().flat_map(|v| v.iter().map(|i| format!("{}\n", Line(i)))).collect();
        let got: Vec<u8> = chunks(views).flatten().collect();
        assert_eq!(String::from_utf8(got).unwrap(), expected);
        assert_eq!(expected.lines().count(), instances.iter().sum::<u32>() as usize);
    }

    #[test]
    fn a_line_has_a_leading_dot_and_the_whole_oid() {
        let view = view("1.3.6.1.4.1.1", 1);
        assert_eq!(Line(view.iter().next().unwrap()).to_string(), ".1.3.6.1.4.1.1.1.0 = Gauge32: 0");
    }
}
