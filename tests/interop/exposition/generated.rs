//! Random pages with families of every type, which follow the rules of their format.
//!
//! They also follow the rules of OpenMetrics that only `prometheus_client` enforces (see `differences`): metadata comes once
//! and before the samples, names and values match the type, and the samples of a family are not interleaved with others.

use std::{collections::BTreeMap, fmt::Write as _};

use proptest::{prelude::*, sample::select};
use sidecar::source::exposition::Format;

type Labels = BTreeMap<String, String>;

/// The random parts of a family. Each type uses those that it needs.
#[derive(Debug, Clone)]
struct Family {
    kind: &'static str,
    name: String,
    help: Option<String>,
    unit: Option<&'static str>,
    rows: Vec<Row>,
    /// The timestamp of all samples, because samples with and without a timestamp must not be mixed.
    timestamp: Option<u32>,
}

/// The samples of a family that have the same labels.
#[derive(Debug, Clone)]
struct Row {
    labels: Labels,
    any: String,
    positive: String,
    other_positive: String,
    counts: Vec<u32>,
    /// Whether label names are quoted without need and a comma follows the last label.
    quoted: bool,
    exemplar: Option<(Labels, String, Option<u32>)>,
    /// White space where the text format permits it, and where it requires it.
    optional_blank: &'static str,
    blank: &'static str,
}

const KINDS: [&str; 8] = ["counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset", "unknown"];
const BUCKETS: [&str; 5] = ["0.005", "0.5", "1.0", "10.0", "+Inf"];
const QUANTILES: [&str; 3] = ["0.0", "0.5", "0.99"];

/// Generates pages of this format.
pub(super) fn page(format: Format) -> impl Strategy<Value = String> {
    prop::collection::vec(family(), 0..8).prop_map(move |families| {
        let mut page = String::new();
        for (number, mut family) in families.into_iter().enumerate() {
            // No two families have the same name.
            write!(family.name, "_x{number}").expect("a string");
            if let Some(unit) = family.unit {
                write!(family.name, "_{unit}").expect("a string");
            }
            write_family(&family, format, &mut page);
        }
        if format == Format::OpenMetrics {
            page.push_str("# EOF\n");
        }
        page
    })
}

fn family() -> impl Strategy<Value = Family> {
    let help = proptest::option::of("[a-z][a-z\\\\\"# é{}]{0,9}[a-z]");
    let unit = proptest::option::of(select(vec!["seconds", "bytes"]));
    let rows = prop::collection::vec(row(), 1..4);
    (select(KINDS.as_slice()), metric_name(), help, unit, rows, proptest::option::of(any::<u32>())).prop_map(
        |(kind, name, help, unit, mut rows, timestamp)| {
            // No two rows have the same labels. Only one row may have no labels.
            for (number, row) in rows.iter_mut().enumerate().skip(1) {
                row.labels.insert("row".to_owned(), number.to_string());
            }
            let unit = unit.filter(|_| !matches!(kind, "info" | "stateset"));
            Family { kind, name, help, unit, rows, timestamp }
        },
    )
}

fn row() -> impl Strategy<Value = Row> {
    let labels = prop::collection::btree_map(label_name(), label_text(), 0..4);
    // Without quotes and escapes: prometheus_client ends the text of an exemplar at an escaped quote.
    let exemplar_labels = prop::collection::btree_map("[a-z]{1,3}", "[a-z0-9 #{},=é]{1,6}", 0..3);
    let exemplar = proptest::option::of((exemplar_labels, any_number(), proptest::option::of(any::<u32>())));
    let counts = prop::collection::vec(any::<u32>(), BUCKETS.len());
    let blanks = (select(vec!["", " ", "\t", " \t "]), select(vec![" ", "\t", "  "]));
    (labels, any_number(), (positive_number(), positive_number()), counts, any::<bool>(), exemplar, blanks).prop_map(
        |(labels, any, (positive, other_positive), mut counts, quoted, exemplar, (optional_blank, blank))| {
            counts.sort_unstable();
            Row { labels, any, positive, other_positive, counts, quoted, exemplar, optional_blank, blank }
        },
    )
}

/// Generates metric names. The name of a state set is also a label name.
fn metric_name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zA-Z:][a-zA-Z0-9_:]{0,8}", "[a-z.é {},=#\"\\\\\n]{1,6}"]
}

/// Generates label names, except those with a meaning in a type, and those that begin with `__`, which `prometheus_client`
/// refuses.
fn label_name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zA-Z][a-zA-Z0-9_]{0,6}", "[a-z.é {},=#\"\\\\\n]{1,6}"]
        .prop_filter("a name with a meaning", |name| !matches!(name.as_str(), "le" | "quantile" | "row"))
}

fn label_text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9]{1,4}", "\\PC{1,9}", "[\"\\\\\n\r\t{}=, #é0]{1,9}"]
}

fn positive_number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<u64>().prop_map(|v| v.to_string()),
        any::<u32>().prop_map(|v| format!("+{v:015}")),
        any::<u128>().prop_map(|v| v.to_string()),
        (0.0..f64::MAX).prop_map(|v| format!("{v:e}")),
        (0.0..1e9).prop_map(|v| format!("{v}")),
        (0..1000_u32, 0..1000_u32).prop_map(|(whole, part)| format!("{whole}.{part}")),
        (0..1000_u32).prop_map(|v| format!("{v}.")),
        (0..1000_u32, -30..30).prop_map(|(v, exponent)| format!(".{v}E{exponent:+}")),
        // So many digits that the number is close to the middle of two doubles.
        "[1-9][0-9]{0,30}\\.[0-9]{1,30}(e[+-]?[0-9]{1,2})?",
        any::<u64>().prop_filter_map("no number", |bits| {
            let value = f64::from_bits(bits >> 1);
            value.is_finite().then(|| format!("{value:e}"))
        }),
        select(vec!["0", "0.0", "5e-324", "1.7976931348623157e308", "+Inf", "inf", "Infinity"]).prop_map(str::to_owned),
    ]
}

fn any_number() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => positive_number(),
        2 => positive_number().prop_map(|v| format!("-{}", v.trim_start_matches('+'))),
        1 => select(vec!["NaN", "nan", "-0", "-0.0", "-9223372036854775808", "-9223372036854775809"]).prop_map(str::to_owned),
    ]
}

/// Writes the metadata and the samples of a family.
fn write_family(family: &Family, format: Format, page: &mut String) {
    let Family { kind, name, help, unit, .. } = family;
    let text = format == Format::Text;
    // The text format has fewer types, and its counters have the names of their samples.
    let (kind, name) = match *kind {
        "counter" if text => ("counter", format!("{name}_total")),
        "gaugehistogram" if text => ("histogram", name.clone()),
        "info" | "stateset" if text => ("gauge", name.clone()),
        "unknown" if text => ("untyped", name.clone()),
        kind => (kind, name.clone()),
    };
    let name = if is_plain(&name, ":") { name } else { quote(&name) };
    let mut write = |keyword: &str, rest: &str| writeln!(page, "# {keyword} {name} {rest}").expect("a string");
    if let Some(help) = help {
        write("HELP", help);
    }
    write("TYPE", kind);
    if let Some(unit) = unit.filter(|_| !text) {
        write("UNIT", unit);
    }
    if text {
        page.push_str("# a comment\n\n");
    }
    for row in &family.rows {
        write_row(family, row, format, page);
    }
}

/// Writes the samples of a row, which depend on the type of the family.
fn write_row(family: &Family, row: &Row, format: Format, page: &mut String) {
    let mut write = |suffix: &str, more: Option<(&str, &str)>, value: &str| {
        let with_exemplar = (family.kind == "counter" && suffix == "_total") || suffix == "_bucket";
        write_sample(&Line { family, row, suffix, more, value, with_exemplar }, format, page);
    };
    let counts: Vec<_> = row.counts.iter().map(u32::to_string).collect();
    let last = counts.last().map_or("0", String::as_str);
    match family.kind {
        "counter" => write("_total", None, &row.positive),
        "histogram" | "gaugehistogram" => {
            BUCKETS.iter().zip(&counts).for_each(|(le, count)| write("_bucket", Some(("le", le)), count));
            let gauge = if family.kind == "histogram" { "" } else { "g" };
            write(&format!("_{gauge}count"), None, last);
            write(&format!("_{gauge}sum"), None, &row.positive);
        }
        "summary" => {
            let values = [&row.positive, &row.other_positive, &row.positive];
            QUANTILES.iter().zip(values).for_each(|(quantile, value)| write("", Some(("quantile", quantile)), value));
            write("_count", None, last);
            write("_sum", None, &row.other_positive);
        }
        "info" => write("_info", None, "1"),
        "stateset" => {
            write("", Some((&family.name, "on")), "1");
            write("", Some((&family.name, "off")), "0");
        }
        _ => write("", None, &row.any),
    }
    if matches!(family.kind, "counter" | "histogram" | "summary") {
        write("_created", None, "1520872607.123");
    }
}

/// One sample.
#[derive(Debug)]
struct Line<'a> {
    family: &'a Family,
    row: &'a Row,
    suffix: &'a str,
    more: Option<(&'a str, &'a str)>,
    value: &'a str,
    with_exemplar: bool,
}

fn write_sample(line: &Line<'_>, format: Format, page: &mut String) {
    let Line { family, row, suffix, more, value, with_exemplar } = line;
    let (optional, blank) = if format == Format::Text { (row.optional_blank, row.blank) } else { ("", " ") };
    let name = format!("{}{suffix}", family.name);
    let mut inside = Vec::new();
    page.push_str(optional);
    if is_plain(&name, ":") {
        page.push_str(&name);
    } else {
        inside.push(quote(&name));
    }
    let labels = row.labels.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    for (name, text) in labels.chain(*more) {
        let name = if is_plain(name, "") && !row.quoted { name.to_owned() } else { quote(name) };
        inside.push(format!("{name}{optional}={optional}{}", quote(text)));
    }
    // An empty last label makes a trailing comma, or empty braces without labels.
    if row.quoted && format == Format::Text {
        inside.push(String::new());
    }
    if !inside.is_empty() {
        let inside = inside.join(&format!("{optional},{optional}"));
        write!(page, "{optional}{{{optional}{inside}{optional}}}").expect("a string");
    }
    write!(page, "{blank}{value}").expect("a string");
    if let Some(timestamp) = family.timestamp {
        write!(page, "{blank}{timestamp}").expect("a string");
    }
    if format == Format::Text {
        page.push_str(optional);
    } else if let Some((labels, value, timestamp)) = row.exemplar.as_ref().filter(|_| *with_exemplar) {
        let labels: Vec<_> = labels.iter().map(|(name, text)| format!("{name}={}", quote(text))).collect();
        let timestamp = timestamp.map(|timestamp| format!(" {timestamp}.5")).unwrap_or_default();
        write!(page, " # {{{}}} {value}{timestamp}", labels.join(",")).expect("a string");
    }
    page.push('\n');
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n"))
}

fn is_plain(name: &str, also: &str) -> bool {
    name.starts_with(|c: char| !c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || also.contains(c))
}
