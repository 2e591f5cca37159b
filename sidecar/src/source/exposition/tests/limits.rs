//! Filters, duplicates and limits.

use std::fmt::Write as _;

use super::*;
use crate::source::exposition::format::MAX_LINE;

#[test]
fn duplicates_are_counted_and_do_not_count_for_the_sample_limit() {
    let filter = NameFilter::all();
    let mut parser = Parser::new(TEXT, &filter, 3);
    parser.feed(b"m{a=\"1\",b=\"2\"} 1\nm{b=\"2\",a=\"1\"} 2\nm{a=\"1\",b=\"2\",c=\"\"} 3\nm{a=\"2\",b=\"1\"} 4\nm 5\nm{} 6\n").unwrap();
    assert_eq!((parser.duplicates(), parser.samples()), (3, 3));
    assert_eq!(show_all(&parser.finish().unwrap()), [r#"m{a="1",b="2"} 1"#, r#"m{a="2",b="1"} 4"#, "m 5"]);
}

#[test]
fn only_samples_with_names_of_the_filter_are_kept() {
    let page = "# TYPE ab gauge\nab 1\na 2\nabc{x=\"y\"} 3\nab{x=\"} 7\"} 4 \n{\"ab\"} 5\n{\"a.b\"} 6\n{\"b.c\"} 7\nc{ +Inf\na 8 9\nab{n=\"1\"} 9\n";
    let filter = NameFilter::new(["ab", "a.b"].map(str::to_owned));
    assert_eq!(
        show_all(&parse_with(TEXT, &filter, page.as_bytes()).unwrap()),
        ["ab 1", r#"ab{x="} 7"} 4"#, r#""a.b" 6"#, r#"ab{n="1"} 9"#]
    );
}

#[test]
fn the_sample_limit_counts_only_kept_samples() {
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
fn the_length_of_a_line_is_limited() {
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
    assert!(endless.feed(b"\nm 1\n").is_err(), "the error is permanent");
    assert!(endless.finish().is_err());
}

#[test]
fn a_duplicate_among_many_labels_is_found() {
    let mut page = String::from("m{");
    (0..20_000).for_each(|i| write!(page, "l{}=\"\",", 50_000 - i).unwrap());
    assert!(parse(TEXT, format!("{page}}} 1").as_bytes()).is_ok());
    assert!(parse(TEXT, format!("{page}l40000=\"\"}} 1").as_bytes()).is_err());
}
