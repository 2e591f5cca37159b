//! Pages of both formats, good and bad.

use std::fmt::Write as _;

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::sample::Number;

const OPEN_METRICS: Format = Format::OpenMetrics;
const TEXT: Format = Format::Text;

fn parse_with(format: Format, filter: &NameFilter, page: &[u8]) -> Result<Samples, ParseError> {
    let mut parser = Parser::new(format, filter, 1_000_000);
    parser.feed(page)?;
    parser.finish()
}

fn parse(format: Format, page: &[u8]) -> Result<Samples, ParseError> {
    parse_with(format, &NameFilter::all(), page)
}

/// Samples as `name{label=text,…} number`, one a line.
fn show(samples: &Samples) -> Vec<String> {
    let show_sample = |sample: crate::sample::Sample<'_>| {
        let labels: Vec<_> = sample.labels.iter().map(|(name, text)| format!("{name}={text}")).collect();
        let value = match sample.value {
            Number::Signed(v) => v.to_string(),
            Number::Unsigned(v) => format!("{v}u"),
            Number::Float(v) => format!("{v:?}"),
        };
        format!("{}{{{}}} {value}", sample.name, labels.join(","))
    };
    samples.iter().map(show_sample).collect()
}

#[rstest]
#[case::nothing("", &[])]
#[case::blank_lines("\n \t\n\n", &[])]
#[case::comments("#\n# anything\n#HELP no metadata\n# HELPER\n# TYPEWRITER 7\n# TYPE\n", &[])]
#[case::plain("m 1\n", &["m{} 1"])]
#[case::no_line_feed_at_the_end("m 1\nn 2", &["m{} 1", "n{} 2"])]
#[case::empty_braces("m{} 1\n", &["m{} 1"])]
#[case::no_space_behind_braces("m{}1\n", &["m{} 1"])]
#[case::blanks_everywhere(" \tm\t{ a = \"b\" , c\t=\"d\" , }\t 1 \t 2 \n", &["m{a=b,c=d} 1"])]
#[case::recording_rule("job:http_errors:rate5m{job=\"a\"} 0.5\n", &["job:http_errors:rate5m{job=a} 0.5"])]
#[case::underscore_first("_m{_l=\"x\"} 1\n", &["_m{_l=x} 1"])]
#[case::labels_are_sorted("m{b=\"2\",a=\"1\"} 1\n", &["m{a=1,b=2} 1"])]
#[case::empty_labels_are_none("m{b=\"\",a=\"1\"} 1\n", &["m{a=1} 1"])]
#[case::escapes(r#"m{a="\"\\\n"} 1"#, &["m{a=\"\\\n} 1"])]
#[case::other_escapes_stand_for_themselves(r#"m{a="C:\dir\é"} 1"#, &[r"m{a=C:\dir\é} 1"])]
#[case::escaped_backslash_before_the_quote(r#"m{a="\\",b="\\\""} 1"#, &[r#"m{a=\,b=\"} 1"#])]
#[case::nul_and_controls("m{a=\"\0\u{7}\t\"} 1\n", &["m{a=\0\u{7}\t} 1"])]
#[case::timestamp("m 1 1520879607789\nn 1 -5\n", &["m{} 1", "n{} 1"])]
#[case::quoted_name("{\"my.metric\", label=\"x\"} 1\n", &["my.metric{label=x} 1"])]
#[case::quoted_name_last("{label=\"x\",\"my.metric\"} 1\n", &["my.metric{label=x} 1"])]
#[case::quoted_name_alone("{ \"my.metric\" } 1\n", &["my.metric{} 1"])]
#[case::quoted_label("m{\"my.label\"=\"x\"} 1\n", &["m{my.label=x} 1"])]
#[case::quoted_and_escaped(r#"{"a\"b\\c\nd€","l\"€"="x"} 1"#, &["a\"b\\c\nd€{l\"€=x} 1"])]
#[case::quoted_metadata("# TYPE \"my.metric\" gauge\n# HELP \"my.metric\" x\n", &[])]
#[case::blanks_in_metadata("# \tTYPE\t m \t gauge \n# HELP m\n# HELP m \n", &[])]
#[case::windows_help("# HELP m some help\r\nm 1\n", &["m{} 1"])]
#[case::numbers("a 18446744073709551615\nb -9223372036854775808\nc 1e3\nd +Inf\ne -Inf\nf NaN\n",
    &["a{} 18446744073709551615u", "b{} -9223372036854775808", "c{} 1000.0", "d{} inf", "e{} -inf", "f{} NaN"])]
// What the regular expressions of prometheus-parse get wrong.
#[case::a_value_inside_a_label("m{p=\"a} 42 \"} 1\n", &["m{p=a} 42 } 1"])]
#[case::a_label_inside_a_label("m{tenant=\"good\",user=\"x,tenant=evil\"} 1\n", &["m{tenant=good,user=x,tenant=evil} 1"])]
#[case::braces_in_a_label("m{route=\"/v1/{id}\"} 1\n", &["m{route=/v1/{id}} 1"])]
#[case::a_comment_in_a_label("m{a=\"# TYPE m gauge\"} 1\n", &["m{a=# TYPE m gauge} 1"])]
#[case::histograms_stay_apart(
    "# TYPE h histogram\nh_bucket{le=\"1\",a=\"x\"} 1\nh_bucket{le=\"+Inf\",a=\"x\"} 2\nh_sum{a=\"x\"} 3\nh_count{a=\"x\"} 2\nh_bucket{le=\"1\",a=\"y\"} 4\n",
    &["h_bucket{a=x,le=1} 1", "h_bucket{a=x,le=+Inf} 2", "h_sum{a=x} 3", "h_count{a=x} 2", "h_bucket{a=y,le=1} 4"])]
fn text_is_read(#[case] page: &str, #[case] expected: &[&str]) {
    assert_eq!(show(&parse(TEXT, page.as_bytes()).unwrap()), expected);
}

#[rstest]
#[case::nothing("", &[])]
#[case::every_type("# TYPE a counter\n# TYPE b gauge\n# TYPE c histogram\n# TYPE d gaugehistogram\n# TYPE e summary\n# TYPE f info\n# TYPE g stateset\n# TYPE h unknown\n", &[])]
#[case::metadata("# TYPE a_seconds counter\n# UNIT a_seconds seconds\n# HELP a_seconds \n# UNIT a \n", &[])]
#[case::timestamps("m 1 1.5\nn 1 -1e3\n", &["m{} 1", "n{} 1"])]
#[case::exemplars("a_total 5 # {} 1\nb_bucket{le=\"1\"} 5 1.5 # {id=\"x # {y\",\"q.r\"=\"z\"} 0.5 1.5\nc_total 5 # {a=\"b\"} NaN\n",
    &["a_total{} 5", "b_bucket{le=1} 5", "c_total{} 5"])]
#[case::a_comma_behind_the_last_label("m{a=\"b\",} 1\n", &["m{a=b} 1"])]
#[case::quoted_name("{\"my.metric\",label=\"x\"} 1\n", &["my.metric{label=x} 1"])]
#[case::gauge_histogram("# TYPE g gaugehistogram\ng_bucket{le=\"+Inf\"} 2\ng_gcount 2\ng_gsum 5.0\n", &["g_bucket{le=+Inf} 2", "g_gcount{} 2", "g_gsum{} 5.0"])]
#[case::state_set("# TYPE s stateset\ns{s=\"a\"} 1\ns{s=\"b\"} 0\n", &["s{s=a} 1", "s{s=b} 0"])]
#[case::info("# TYPE i info\ni_info{version=\"1\"} 1\n", &["i_info{version=1} 1"])]
#[case::created("c_total 1\nc_created 1520872607.123\n", &["c_total{} 1", "c_created{} 1520872607.123"])]
fn open_metrics_is_read(#[case] page: &str, #[case] expected: &[&str]) {
    for end in ["# EOF\n", "# EOF"] {
        assert_eq!(show(&parse(OPEN_METRICS, format!("{page}{end}").as_bytes()).unwrap()), expected);
    }
}

#[rstest]
#[case::html("<!DOCTYPE html>\n<html>\n", 1, 1, "expected a metric name, found '<'")]
#[case::json("{\"error\": \"down\"}", 1, 9, "expected =, found ':'")]
#[case::prose("Internal Server Error\n", 1, 10, "\"Server\" is not a number")]
#[case::no_value("m\n", 1, 2, "expected a value, found the end of the line")]
#[case::no_value_behind_a_blank("a 1\nm \n", 2, 3, "expected a value, found the end of the line")]
#[case::no_value_behind_braces("m{a=\"b\"}\n", 1, 9, "expected a value, found the end of the line")]
#[case::carriage_return("a 1\r\n", 1, 3, "\"1\\r\" is not a number")]
#[case::carriage_return_in_metadata("# TYPE m gauge\r\n", 1, 10, "\"gauge\\r\" is not a metric type")]
#[case::digit_first("1m 1\n", 1, 1, "expected a metric name, found '1'")]
#[case::not_ascii("mé 1\n", 1, 2, "expected { or a blank, found 'é'")]
#[case::unquoted_label("m{a=b} 1\n", 1, 5, "expected a quoted label value, found 'b'")]
#[case::single_quotes("m{a='b'} 1\n", 1, 5, "expected a quoted label value, found '\\''")]
#[case::colon_in_a_label_name("m{a:b=\"c\"} 1\n", 1, 4, "expected =, found ':'")]
#[case::no_label_name("m{=\"\"} 1\n", 1, 3, "expected a label name, found '='")]
#[case::only_a_comma("m{,} 1\n", 1, 3, "expected a label name, found ','")]
#[case::two_commas("m{a=\"b\",,} 1\n", 1, 9, "expected a label name, found ','")]
#[case::no_comma("m{a=\"b\" c=\"d\"} 1\n", 1, 9, "expected , or }, found 'c'")]
#[case::no_closing_brace("m{a=\"b\" 1\n", 1, 9, "expected , or }, found '1'")]
#[case::no_closing_quote("a 1\nb 1\nm{a=\"b} 1\nc{a=\"\"} 1\n", 3, 5, "the quoted text does not end on its line")]
#[case::line_feed_behind_a_backslash("m{a=\"b\\\n\"} 1\n", 1, 5, "the quoted text does not end on its line")]
#[case::label_twice("m{a=\"1\",b=\"2\",a=\"1\"} 1\n", 1, 15, "the label \"a\" is there twice")]
#[case::empty_label_twice("m{a=\"\",a=\"1\"} 1\n", 1, 8, "the label \"a\" is there twice")]
#[case::label_twice_by_an_escape(
    "m{ab=\"1\",\"a\\\"\"=\"2\",\"a\\\"\"=\"2\"} 1\n",
    1,
    20,
    "the label \"a\\\"\" is there twice"
)]
#[case::name_as_a_label("m{__name__=\"x\"} 1\n", 1, 3, "the label \"__name__\" is there twice")]
#[case::no_name("{a=\"b\"} 1\n", 1, 1, "the sample has no metric name")]
#[case::no_name_at_all("{} 1\n", 1, 1, "the sample has no metric name")]
#[case::two_names("m{\"n\"} 1\n", 1, 3, "one metric name too many")]
#[case::two_quoted_names("{\"m\",\"n\"} 1\n", 1, 6, "one metric name too many")]
#[case::empty_name("{\"\"} 1\n", 1, 2, "the name is empty")]
#[case::empty_label_name("m{\"\"=\"x\"} 1\n", 1, 3, "the name is empty")]
#[case::hexadecimal("m 0x1f\n", 1, 3, "\"0x1f\" is not a number")]
#[case::underscore("m 1_000\n", 1, 3, "\"1_000\" is not a number")]
#[case::decimal_comma("m 1,5\n", 1, 3, "\"1,5\" is not a number")]
#[case::beyond_a_double("m 1e999\n", 1, 3, "\"1e999\" is beyond the range of a double")]
#[case::long_number(&format!("m {}x\n", "1".repeat(50)), 1, 3, "\"1111111111111111111111111111111111111111…\" is not a number")]
#[case::fractional_timestamp("m 1 1.5\n", 1, 5, "\"1.5\" is not a timestamp")]
#[case::more_behind_the_timestamp("m 1 2 3\n", 1, 7, "expected the end of the line, found '3'")]
#[case::exemplar("m 1 # {} 1\n", 1, 5, "\"#\" is not a timestamp")]
#[case::unknown_type("# TYPE m meter\n", 1, 10, "\"meter\" is not a metric type")]
#[case::no_type("# TYPE m\n", 1, 9, "\"\" is not a metric type")]
#[case::type_without_a_name("# TYPE #\n", 1, 8, "expected a metric name, found '#'")]
#[case::help_without_a_name("m 1\n# HELP \n", 2, 8, "expected a metric name, found the end of the line")]
#[case::a_bad_line_behind_good_ones("a 1\n\n# c\nb 2\nc x\nd 3\n", 5, 3, "\"x\" is not a number")]
#[case::the_last_line("a 1\nb", 2, 2, "expected a value, found the end of the line")]
fn bad_text_is_refused_with_its_place(
    #[case] page: &str,
    #[case] line: u64,
    #[case] column: usize,
    #[case] reason: &str,
) {
    let error = parse(TEXT, page.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), format!("line {line}, column {column}: {reason}"));
}

#[rstest]
#[case::nothing("", 1, 1, "the body ends without # EOF: it was cut off")]
#[case::cut_off("a 1\nb 2\n", 3, 1, "the body ends without # EOF: it was cut off")]
#[case::cut_off_in_a_line("a 1\nb{x", 2, 1, "the body ends without # EOF: it was cut off")]
#[case::cut_off_in_the_end("a 1\n# EO", 2, 1, "the body ends without # EOF: it was cut off")]
#[case::more_behind_the_end("a 1\n# EOF\nb 2\n", 3, 1, "there is more behind # EOF")]
#[case::a_blank_line_behind_the_end("# EOF\n\n", 2, 1, "there is more behind # EOF")]
#[case::text_behind_the_end("# EOFx\n", 1, 6, "expected the end of the line, found 'x'")]
#[case::blank_line("a 1\n\n# EOF\n", 2, 1, "expected a metric name, found the end of the line")]
#[case::comment("# a comment\n# EOF\n", 1, 3, "expected HELP, TYPE, UNIT or EOF, found 'a'")]
#[case::no_space_in_metadata("#TYPE a gauge\n# EOF\n", 1, 2, "expected a space, found 'T'")]
#[case::no_help("# HELP a\n# EOF\n", 1, 9, "expected a space, found the end of the line")]
#[case::unknown_type("# TYPE a meter\n# EOF\n", 1, 10, "\"meter\" is not a metric type")]
#[case::two_spaces("a  1\n# EOF\n", 1, 3, "\"\" is not a number")]
#[case::tab("a\t1\n# EOF\n", 1, 2, "expected a space, found '\\t'")]
#[case::space_first(" a 1\n# EOF\n", 1, 1, "expected a metric name, found ' '")]
#[case::space_last("a 1 \n# EOF\n", 1, 5, "\"\" is not a timestamp")]
#[case::space_before_the_braces("a {b=\"c\"} 1\n# EOF\n", 1, 3, "\"{b=\\\"c\\\"}\" is not a number")]
#[case::no_space_behind_the_braces("a{}1\n# EOF\n", 1, 4, "expected a space, found '1'")]
#[case::space_in_the_braces("a{b=\"c\", d=\"e\"} 1\n# EOF\n", 1, 9, "expected a label name, found ' '")]
#[case::carriage_return("a 1\r\n# EOF\n", 1, 3, "\"1\\r\" is not a number")]
#[case::infinite_timestamp("a 1 +Inf\n# EOF\n", 1, 5, "\"+Inf\" is not a timestamp")]
#[case::exemplar_without_a_value("a 1 # {}\n# EOF\n", 1, 9, "expected a space, found the end of the line")]
#[case::exemplar_with_a_bad_value("a 1 # {} x\n# EOF\n", 1, 10, "\"x\" is not a number")]
#[case::exemplar_with_a_bad_timestamp("a 1 # {} 1 x\n# EOF\n", 1, 12, "\"x\" is not a timestamp")]
#[case::exemplar_without_braces("a 1 # x\n# EOF\n", 1, 7, "expected {, found 'x'")]
#[case::exemplar_with_a_label_twice("a 1 # {b=\"\",b=\"\"} 1\n# EOF\n", 1, 13, "the label \"b\" is there twice")]
#[case::exemplar_with_a_name("a 1 # {\"b\"} 1\n# EOF\n", 1, 7, "one metric name too many")]
#[case::two_exemplars("a 1 # {} 1 # {} 1\n# EOF\n", 1, 12, "\"#\" is not a timestamp")]
fn bad_open_metrics_is_refused_with_its_place(
    #[case] page: &str,
    #[case] line: u64,
    #[case] column: usize,
    #[case] reason: &str,
) {
    let error = parse(OPEN_METRICS, page.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), format!("line {line}, column {column}: {reason}"));
}

#[rstest]
#[case::in_a_label(b"a 1\nm{a=\"\xff\"} 1\n", 2, 6)]
#[case::in_a_comment(b"# \xc3\x28\nb 1\n", 1, 3)]
#[case::cut_in_a_character(b"a 1\nb 1\n# \xe2\x82", 3, 3)]
#[case::cut_by_the_line_feed(b"# \xe2\x82\na 1\n", 1, 3)]
#[case::utf_16(b"\xff\xfea\0", 1, 1)]
fn what_is_not_utf_8_is_refused_with_its_place(#[case] page: &[u8], #[case] line: u64, #[case] column: usize) {
    let nothing = NameFilter::new([]);
    for filter in [NameFilter::all(), nothing] {
        assert_eq!(parse_with(TEXT, &filter, page).unwrap_err(), ParseError { line, column, reason: Reason::Utf8 });
    }
}

#[test]
fn an_error_before_invalid_utf_8_comes_first() {
    assert_eq!(parse(TEXT, b"a x\n\xff\n").unwrap_err().line, 1);
}

#[test]
fn the_first_of_two_samples_with_the_same_labels_is_kept_and_the_others_are_counted() {
    let filter = NameFilter::all();
    let mut parser = Parser::new(TEXT, &filter, 3);
    parser.feed(b"m{a=\"1\",b=\"2\"} 1\nm{b=\"2\",a=\"1\"} 2\nm{a=\"1\",b=\"2\",c=\"\"} 3\nm{a=\"2\",b=\"1\"} 4\nm 5\nm{} 6\n").unwrap();
    assert_eq!((parser.duplicates(), parser.samples()), (3, 3));
    assert_eq!(show(&parser.finish().unwrap()), ["m{a=1,b=2} 1", "m{a=2,b=1} 4", "m{} 5"]);
}

#[test]
fn only_the_samples_that_the_filter_names_are_kept() {
    let page = "# TYPE ab gauge\nab 1\na 2\nabc{x=\"y\"} 3\nab{x=\"} 7\"} 4 \n{\"ab\"} 5\n{\"a.b\"} 6\n{\"b.c\"} 7\nc{ +Inf\na 8 9\nab{n=\"1\"} 9\n";
    let filter = NameFilter::new(["ab", "a.b"].map(str::to_owned));
    assert_eq!(
        show(&parse_with(TEXT, &filter, page.as_bytes()).unwrap()),
        ["ab{} 1", "ab{x=} 7} 4", "a.b{} 6", "ab{n=1} 9"]
    );
}

#[rstest]
#[case::html("<html>", 1)]
#[case::prose("Internal Server Error", 10)]
#[case::more_prose("Not found", 5)]
#[case::no_value("m", 2)]
#[case::no_value_behind_a_blank("m ", 3)]
#[case::bad_name("m-n 1", 2)]
#[case::prose_with_braces("m{a} is wrong é", 15)]
#[case::cut_off("m{a=\"b\"", 7)]
#[case::carriage_return("m{a=\"b\"} 1\r", 11)]
#[case::bad_type("# TYPE m meter", 10)]
#[case::bad_quoted_name("{\"a.b\"} x", 9)]
fn lines_that_are_passed_over_are_still_looked_at(#[case] line: &str, #[case] column: usize) {
    let nothing = NameFilter::new([]);
    let error = parse_with(TEXT, &nothing, format!("a 1\n{line}\n").as_bytes()).unwrap_err();
    assert_eq!((error.line, error.column), (2, column), "{error}");
}

#[test]
fn the_sample_limit_counts_only_what_is_kept() {
    let page = "a 1\nb 1\nb{x=\"1\"} 1\na{x=\"1\"} 1\na{x=\"2\"} 1\n";
    let filter = NameFilter::new(["a".to_owned()]);
    let parse = |limit| {
        let mut parser = Parser::new(TEXT, &filter, limit);
        parser.feed(page.as_bytes()).and_then(|()| parser.finish()).map(|samples| samples.len())
    };
    assert_eq!(parse(3), Ok(3));
    assert_eq!(parse(2), Err(ParseError { line: 5, column: 1, reason: Reason::TooManySamples { limit: 2 } }));
}

#[test]
fn a_line_may_be_long_but_not_without_end() {
    let line = |length: usize| format!("m{{a=\"{}\"}} 1", "x".repeat(length - r#"m{a=""} 1"#.len()));
    assert_eq!(parse(TEXT, line(MAX_LINE).as_bytes()).unwrap().len(), 1);
    let too_long = Err(ParseError { line: 2, column: MAX_LINE + 1, reason: Reason::LineTooLong });
    for filter in [NameFilter::all(), NameFilter::new([])] {
        let page = format!("m 1\n{}", line(MAX_LINE + 1));
        assert_eq!(parse_with(TEXT, &filter, page.as_bytes()).map(|s| s.len()), too_long);
        assert_eq!(parse_with(TEXT, &filter, format!("{page}\n").as_bytes()).map(|s| s.len()), too_long);
    }
    let filter = NameFilter::all();
    let mut endless = Parser::new(TEXT, &filter, 1);
    let fed = (0..2 * MAX_LINE / 1000).map(|_| endless.feed(&[b'a'; 1000])).position(|result| result.is_err()).unwrap();
    assert_eq!(fed, MAX_LINE / 1000);
    assert!(endless.feed(b"\nm 1\n").is_err(), "an error stays");
    assert!(endless.finish().is_err());
}

#[test]
fn many_labels_are_checked_for_one_that_is_there_twice() {
    let mut page = String::from("m{");
    (0..20_000).for_each(|i| write!(page, "l{}=\"\",", 50_000 - i).unwrap());
    assert!(parse(TEXT, format!("{page}}} 1").as_bytes()).is_ok());
    assert!(parse(TEXT, format!("{page}l40000=\"\"}} 1").as_bytes()).is_err());
}

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

/// Bytes that are often nearly a page.
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
fn the_fuzz_corpus_holds() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/exposition");
    let inputs: Vec<_> =
        std::fs::read_dir(corpus).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(inputs.len() >= 10);
    for input in inputs {
        super::fuzz(&input);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_was_written_is_read(samples in prop::collection::vec(any_sample(), 0..12), format in any_format()) {
        let read = parse(format, write_page(&samples, format).as_bytes()).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        let first: Vec<_> = samples.iter().filter(|s| seen.insert((&s.name, &s.labels))).collect();
        prop_assert_eq!(read.len(), first.len());
        for (read, written) in read.iter().zip(first) {
            prop_assert_eq!(read.name, &written.name);
            let labels: Vec<_> = read.labels.iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
            prop_assert_eq!(&labels, &written.labels);
            // `0e0` and `1e0` are not integers, and stay doubles.
            prop_assert_eq!(read.value, written.value);
        }
    }

    #[test]
    fn any_split_gives_the_same(page in any_bytes(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6), format in any_format(), all: bool) {
        let filter = if all { NameFilter::all() } else { NameFilter::new(["a".to_owned()]) };
        let whole = parse_with(format, &filter, &page);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(page.len() + 1)).collect();
        cuts.extend([0, page.len()]);
        cuts.sort_unstable();
        let mut parser = Parser::new(format, &filter, 1_000_000);
        let fed = cuts.windows(2).try_for_each(|cut| parser.feed(&page[cut[0]..cut[1]]));
        let split = fed.and_then(|()| parser.finish());
        prop_assert_eq!(split.map(|s| show(&s)), whole.map(|s| show(&s)));
    }

    #[test]
    fn no_bytes_break_it(page in any_bytes()) {
        super::fuzz(&page);
    }

    #[test]
    fn what_the_filter_keeps_is_the_same_as_without_it(samples in prop::collection::vec(any_sample(), 1..12)) {
        let page = write_page(&samples, TEXT);
        let name = samples[0].name.clone();
        let filtered = parse_with(TEXT, &NameFilter::new([name.clone()]), page.as_bytes()).unwrap();
        let all = parse(TEXT, page.as_bytes()).unwrap();
        let named: Vec<_> = show(&all).into_iter().zip(all.iter()).filter(|(_, s)| s.name == name).map(|(shown, _)| shown).collect();
        prop_assert_eq!(show(&filtered), named);
    }

    /// On what prometheus-parse reads rightly (plain names and labels, no duplicates), both agree.
    #[test]
    fn prometheus_parse_reads_the_same(
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
