//! Tests of all pages in `catalogue/`.
//!
//! A file has cases: a line with the format (`text`, `openmetrics` or `both`) and a title, then pages, each followed by
//! its expected result. `#` begins a comment.
//!
//! * `| line` is a line of the page. `⟨0d0a⟩` stands for these bytes, `⟨x*70⟩` for 70 times a character, and `⟨end⟩`
//!   for the end of a page without a line feed. A blank at the end of a line is written as `⟨20⟩`, so that it is
//!   visible.
//! * `= name{label="text"} value` is a sample. A value with a decimal point or an exponent is a double, any other value
//!   an exact integer. `=` alone means no samples.
//! * `+ 2 dropped` is the number of dropped duplicates.
//! * `! line 1, column 3: reason` is the error of the page. With a filter that drops everything, the error must be the
//!   same, unless there is another expectation: `~ line 1, column 5: another reason`, or `~ read` if no line has an
//!   error then.

use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path};

use super::{OPEN_METRICS, TEXT, show, show_all};
use crate::{
    sample::Samples,
    source::{
        NameFilter,
        exposition::{Format, ParseError, Parser, Reason, fuzz},
    },
};

/// A page and its expected result.
#[derive(Debug, Default)]
struct Page {
    /// File, line and title.
    location: String,
    formats: &'static [Format],
    bytes: Vec<u8>,
    expected: Vec<String>,
}

/// Returns the pages of all files.
fn pages() -> Vec<Page> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/source/exposition/catalogue");
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().flat_map(|file| pages_of(file)).collect()
}

fn pages_of(file: &Path) -> Vec<Page> {
    let mut pages: Vec<Page> = Vec::new();
    let (mut title, mut formats): (_, &[Format]) = ("", &[]);
    let text = fs::read_to_string(file).unwrap();
    // Whether the next line of a page or an expectation belongs to a new page.
    let mut is_new = true;
    for (number, line) in (1..).zip(text.lines()) {
        let at = format!("{}:{number}", file.file_name().unwrap().display());
        let (mark, rest) = line.split_at_checked(1).unwrap_or_default();
        let is_page = mark == "|";
        if is_new && matches!(mark, "|" | "=" | "!") || is_page && !pages.last().unwrap().expected.is_empty() {
            pages.push(Page { location: format!("{at}: {title}"), formats, ..Page::default() });
            is_new = false;
        }
        match mark {
            "" | "#" => {}
            "|" => write_line(rest.strip_prefix(' ').unwrap_or(rest), &mut pages.last_mut().unwrap().bytes),
            "=" | "!" | "~" | "+" => pages.last_mut().unwrap().expected.push(line.to_owned()),
            _ => {
                let (format, rest) = line.split_once(": ").unwrap_or_else(|| panic!("{at}: {line}"));
                title = rest;
                formats = match format {
                    "text" => &[TEXT],
                    "openmetrics" => &[OPEN_METRICS],
                    "both" => &[TEXT, OPEN_METRICS],
                    _ => panic!("{at}: unknown format {format}"),
                };
                is_new = true;
            }
        }
    }
    pages
}

/// Appends a line of a page, and expands the notation in `⟨⟩`.
fn write_line(line: &str, page: &mut Vec<u8>) {
    let mut rest = line;
    while let Some((before, (inside, after))) =
        rest.split_once('⟨').map(|(before, after)| (before, after.split_once('⟩').unwrap()))
    {
        page.extend_from_slice(before.as_bytes());
        rest = after;
        if inside == "end" {
            assert_eq!(rest, "", "content after ⟨end⟩");
            return;
        } else if let Some((character, count)) = inside.split_once('*') {
            page.extend_from_slice(character.repeat(count.parse().unwrap()).as_bytes());
        } else {
            page.extend_from_slice(&data_encoding::HEXLOWER.decode(inside.as_bytes()).unwrap());
        }
    }
    page.extend_from_slice(rest.as_bytes());
    page.push(b'\n');
}

/// Parses a page in pieces of `piece` bytes. Returns the samples and the number of duplicates.
fn read(format: Format, filter: &NameFilter, page: &[u8], piece: usize) -> Result<(Samples, u64), ParseError> {
    let mut parser = Parser::new(format, filter, 1_000_000);
    page.chunks(piece).try_for_each(|piece| parser.feed(piece))?;
    let duplicates = parser.duplicates();
    Ok((parser.finish()?, duplicates))
}

/// Returns the result of a page, in the syntax of the catalogue.
fn outcome(format: Format, page: &[u8], piece: usize) -> Vec<String> {
    let nothing = NameFilter::new([]);
    match read(format, &NameFilter::all(), page, piece) {
        Ok((samples, duplicates)) => {
            let mut lines: Vec<_> = show_all(&samples).iter().map(|sample| format!("= {sample}")).collect();
            if lines.is_empty() {
                lines.push("=".to_owned());
            }
            if duplicates > 0 {
                lines.push(format!("+ {duplicates} dropped"));
            }
            lines
        }
        Err(error) => {
            let skipped = read(format, &nothing, page, piece).err();
            let other = match &skipped {
                Some(same) if *same == error => None,
                // All lines were valid; only `# EOF` is missing.
                None | Some(ParseError { reason: Reason::NoEof, .. }) => Some("~ read".to_owned()),
                Some(other) => Some(format!("~ {other}")),
            };
            [format!("! {error}")].into_iter().chain(other).collect()
        }
    }
}

/// Returns the unquoted name at the beginning of a line of a page. Lines are counted from 1.
fn name_in_line(page: &[u8], line: u64) -> Option<String> {
    let line = page.split(|byte| *byte == b'\n').nth(usize::try_from(line - 1).unwrap())?;
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_:".contains(byte);
    let name: Vec<u8> = line.iter().copied().take_while(is_name).collect();
    String::from_utf8(name).ok().filter(|name| !name.is_empty())
}

/// Checks that a filter only changes which samples are kept.
fn check_filters(page: &Page, format: Format) {
    let read = |filter: &NameFilter| read(format, filter, &page.bytes, usize::MAX).map(|(samples, _)| samples);
    match read(&NameFilter::all()) {
        Ok(all) => {
            assert!(read(&NameFilter::new([])).unwrap().is_empty(), "{}", page.location);
            let names: BTreeSet<_> = all.iter().map(|sample| sample.name.to_owned()).collect();
            for name in names {
                let kept = read(&NameFilter::new([name.clone()])).unwrap();
                let expected = all.iter().filter(|sample| sample.name == name).map(|sample| show(&sample));
                assert_eq!(show_all(&kept), expected.collect::<Vec<_>>(), "{}", page.location);
            }
        }
        Err(error) => {
            let later = |filtered: ParseError| filtered.line >= error.line;
            assert!(read(&NameFilter::new([])).err().is_none_or(later), "{}", page.location);
            if let Some(name) = name_in_line(&page.bytes, error.line) {
                assert_eq!(read(&NameFilter::new([name])).err(), Some(error), "{}", page.location);
            }
        }
    }
}

#[test]
fn every_page_has_the_expected_result() {
    let pages = pages();
    assert!(pages.len() > 300, "only {} pages", pages.len());
    let mut wrong = String::new();
    for page in &pages {
        for format in page.formats {
            for piece in [usize::MAX, 1, 7] {
                let outcome = outcome(*format, &page.bytes, piece);
                if outcome != page.expected {
                    let (expected, outcome) = (page.expected.join("\n"), outcome.join("\n"));
                    let location = format!("{} ({format:?}, {piece} bytes at a time)", page.location);
                    writeln!(wrong, "{location}\nexpected\n{expected}\nfound\n{outcome}\n").unwrap();
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_filter_only_changes_which_samples_are_kept() {
    for page in pages() {
        page.formats.iter().for_each(|format| check_filters(&page, *format));
    }
}

#[test]
fn the_fuzz_oracle_holds_for_every_page() {
    for page in pages() {
        fuzz(&page.bytes);
    }
}
