//! Properties of generated pages.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

/// A sample of a generated page.
#[derive(Debug, Clone)]
struct Written {
    name: String,
    labels: Vec<(String, String)>,
    value: Number,
    timestamp: Option<u32>,
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z_:][a-z0-9_:]{0,8}", "[a-z]\\PC{0,6}", "[\"\\\\\n{}=, é]{1,5}"]
}

fn any_number() -> impl Strategy<Value = Number> {
    prop_oneof![
        any::<i64>().prop_map(Number::Signed),
        (i64::MAX as u64 + 1..).prop_map(Number::Unsigned),
        any::<f64>().prop_filter("round trip of an integer", |v| v.is_finite()).prop_map(Number::Float),
    ]
}

fn any_sample() -> impl Strategy<Value = Written> {
    let label = (any_name(), prop_oneof!["[a-z0-9]{1,4}", "\\PC{1,9}", "[\"\\\\\n{}=, #é0]{1,9}"]);
    let labels = prop::collection::btree_map(label.0, label.1, 0..5);
    (any_name(), labels, any_number(), proptest::option::of(any::<u32>())).prop_map(
        |(name, labels, value, timestamp)| Written { name, labels: labels.into_iter().collect(), value, timestamp },
    )
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n"))
}

fn is_plain(name: &str, also: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || also.contains(c))
}

fn write_page(samples: &[Written], format: Format) -> String {
    let mut page = String::new();
    for sample in samples {
        let mut inside = Vec::new();
        if is_plain(&sample.name, ":") {
            page.push_str(&sample.name);
        } else {
            inside.push(quote(&sample.name));
        }
        for (name, text) in &sample.labels {
            let name = if is_plain(name, "") { name.clone() } else { quote(name) };
            inside.push(format!("{name}={}", quote(text)));
        }
        if !inside.is_empty() {
            write!(page, "{{{}}}", inside.join(",")).unwrap();
        }
        match sample.value {
            Number::Signed(v) => write!(page, " {v}").unwrap(),
            Number::Unsigned(v) => write!(page, " {v}").unwrap(),
            Number::Float(v) => write!(page, " {v:e}").unwrap(),
        }
        if let Some(timestamp) = sample.timestamp {
            write!(page, " {timestamp}").unwrap();
        }
        page.push('\n');
    }
    if format == OPEN_METRICS {
        page.push_str("# EOF\n");
    }
    page
}

fn any_format() -> impl Strategy<Value = Format> {
    prop_oneof![Just(TEXT), Just(OPEN_METRICS)]
}

/// Lines of which many have the same beginning as the line before.
fn similar_lines() -> impl Strategy<Value = Vec<String>> {
    let label = prop::sample::select(vec![
        "a=\"1\"",
        "a=\"12\"",
        "b=\"\"",
        "b=\"2\"",
        "b=\"\\\"\"",
        "c=\"3\"",
        "\"c\"=\"3\"",
        "\"d.e\"=\"4\"",
        "\"n\"",
        "",
    ]);
    let comma = prop::sample::select(vec![",", ",", ",", " , ", "} {"]);
    let labels = prop::collection::vec((label, comma), 0..4);
    let name = prop::sample::select(vec!["m", "m", "mm", "m ", ""]);
    let line = (name, labels).prop_map(|(name, labels)| {
        let labels: String = labels.iter().flat_map(|(label, comma)| [*label, *comma]).collect();
        format!("{name}{{{labels}}} 1\n")
    });
    prop::collection::vec(line, 2..6)
}

/// Bytes that are often nearly a valid page.
fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "a", "bc", "{", "}", "=", ",", "\"", "\\", "\n", " ", "1", "2.5", "# ", "# TYPE ", "# HELP ", "# EOF", "NaN", "é", "\t", "{\"x\"}", "a{b=\"c\"} 1\n", "\n\n"
        ]).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

#[test]
fn the_fuzz_corpus_passes() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/exposition");
    let inputs: Vec<_> =
        std::fs::read_dir(corpus).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(inputs.len() >= 10);
    for input in inputs {
        fuzz(&input);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_written_page_is_parsed(samples in prop::collection::vec(any_sample(), 0..12), format in any_format()) {
        let read = parse(format, write_page(&samples, format).as_bytes()).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        let first: Vec<_> = samples.iter().filter(|s| seen.insert((&s.name, &s.labels))).collect();
        prop_assert_eq!(read.len(), first.len());
        for (read, written) in read.iter().zip(first) {
            prop_assert_eq!(read.name, &written.name);
            let labels: Vec<_> = read.labels.iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
            prop_assert_eq!(&labels, &written.labels);
            // `0e0` and `1e0` are doubles, not integers.
            prop_assert_eq!(read.value, written.value);
        }
    }

    #[test]
    fn the_split_into_pieces_does_not_matter(page in any_bytes(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6), format in any_format(), all: bool) {
        let filter = if all { NameFilter::all() } else { NameFilter::new(["a".to_owned()]) };
        let whole = parse_with(format, &filter, &page);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(page.len() + 1)).collect();
        cuts.extend([0, page.len()]);
        cuts.sort_unstable();
        let mut parser = Parser::new(format, &filter, 1_000_000);
        let fed = cuts.windows(2).try_for_each(|cut| parser.feed(&page[cut[0]..cut[1]]));
        let split = fed.and_then(|()| parser.finish());
        prop_assert_eq!(split.map(|s| show_all(&s)), whole.map(|s| show_all(&s)));
    }

    #[test]
    fn a_line_is_parsed_independently_of_its_neighbours(lines in similar_lines(), format in any_format()) {
        let whole = parse(format, format!("{}# EOF\n", lines.concat()).as_bytes());
        let filter = NameFilter::all();
        let mut parser = Parser::new(format, &filter, 1_000_000);
        let fed = lines.iter().map(String::as_str).chain(["# EOF\n"]).try_for_each(|line| parser.feed(line.as_bytes()));
        let single = fed.and_then(|()| parser.finish());
        prop_assert_eq!(single.map(|s| show_all(&s)), whole.map(|s| show_all(&s)));
    }

    #[test]
    fn the_fuzz_oracle_holds_for_any_bytes(page in any_bytes()) {
        fuzz(&page);
    }

    #[test]
    fn a_filter_keeps_the_same_samples_as_without_it(samples in prop::collection::vec(any_sample(), 1..12)) {
        let page = write_page(&samples, TEXT);
        let name = samples[0].name.clone();
        let filtered = parse_with(TEXT, &NameFilter::new([name.clone()]), page.as_bytes()).unwrap();
        let all = parse(TEXT, page.as_bytes()).unwrap();
        let named: Vec<_> = show_all(&all).into_iter().zip(all.iter()).filter(|(_, s)| s.name == name).map(|(shown, _)| shown).collect();
        prop_assert_eq!(show_all(&filtered), named);
    }

    /// Compares with prometheus-parse, for pages that it parses correctly: plain names and labels, no duplicates.
    #[test]
    fn prometheus_parse_gives_the_same_samples(
        labels in prop::collection::btree_map("[a-z]{1,5}", "[a-z0-9]{1,5}", 0..4),
        values in prop::collection::vec(any::<f64>().prop_filter("finite", |v| v.is_finite()), 1..6),
    ) {
        let mut page = String::new();
        for (row, value) in values.iter().enumerate() {
            let labels: Vec<_> = labels.iter().map(|(name, text)| format!("{name}=\"{text}\"")).collect();
            writeln!(page, "m{{row=\"{row}\",{}}} {value:e}", labels.join(",")).unwrap();
        }
        prop_assume!(!labels.contains_key("row"));
        let theirs = prometheus_parse::Scrape::parse(page.lines().map(|line| Ok(line.to_owned()))).unwrap();
        let ours = parse(TEXT, page.as_bytes()).unwrap();
        prop_assert_eq!(theirs.samples.len(), ours.len());
        for (theirs, ours) in theirs.samples.iter().zip(ours.iter()) {
            prop_assert_eq!(&theirs.metric, ours.name);
            prop_assert_eq!(&theirs.value, &prometheus_parse::Value::Untyped(ours.value.as_f64()));
            let labels: std::collections::BTreeMap<_, _> = theirs.labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            prop_assert!(labels.into_iter().eq(ours.labels.iter()));
        }
    }
}
