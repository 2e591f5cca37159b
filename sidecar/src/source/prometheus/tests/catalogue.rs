//! Every page of `catalogue/` is read as it says there.
//!
//! A file holds cases: a line with the format (`text`, `openmetrics` or `both`) and a title, then pages, each with what
//! comes of it. `#` begins a comment.
//!
//! * `| line` is a line of the page. `⟨0d0a⟩` stands for these bytes, `⟨x*70⟩` for so many of a character, and `⟨end⟩`
//!   for the page's end where no line feed is. A blank at the end of a line is written `⟨20⟩`, so that it is seen.
//! * `= name{label="text"} value`: a sample. A value with a point or an exponent is a double, and one without an exact
//!   integer. `=` alone: no samples.
//! * `+ 2 dropped`: so many samples were dropped, as their like came before them.
//! * `! line 1, column 3: reason`: the page is refused. A page that is refused is refused in the same way where the
//!   filter drops everything, or else it says how: `~ line 1, column 5: another reason`; or `~ read`, as no line of it
//!   is refused.

use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path};

use super::{OPEN_METRICS, TEXT, show, show_all};
use crate::{
    sample::Samples,
    source::{
        NameFilter,
        prometheus::{Format, ParseError, Parser, Reason, fuzz},
    },
};

/// A page, and the lines that say what comes of it.
#[derive(Debug, Default)]
struct Page {
    /// File, line and title.
    place: String,
    formats: &'static [Format],
    bytes: Vec<u8>,
    expected: Vec<String>,
}

/// The pages of all files.
fn pages() -> Vec<Page> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/source/prometheus/catalogue");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().flat_map(|file| pages_of(file)).collect()
}

fn pages_of(file: &Path) -> Vec<Page> {
    let mut pages: Vec<Page> = Vec::new();
    let (mut title, mut formats): (_, &[Format]) = ("", &[]);
    let text = fs::read_to_string(file).unwrap();
    // Whether the next line of a page or an expectation is of a new page.
    let mut is_new = true;
    for (number, line) in (1..).zip(text.lines()) {
        let at = format!("{}:{number}", file.file_name().unwrap().display());
        let (mark, rest) = line.split_at_checked(1).unwrap_or_default();
        let is_page = mark == "|";
        if is_new && matches!(mark, "|" | "=" | "!") || is_page && !pages.last().unwrap().expected.is_empty() {
            pages.push(Page { place: format!("{at}: {title}"), formats, ..Page::default() });
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
                    _ => panic!("{at}: {format} is no format"),
                };
                is_new = true;
            }
        }
    }
    pages
}

/// Appends a line of a page, with what stands in `⟨⟩` resolved.
fn write_line(line: &str, page: &mut Vec<u8>) {
    let mut rest = line;
    while let Some((before, (inside, behind))) =
        rest.split_once('⟨').map(|(before, behind)| (before, behind.split_once('⟩').unwrap()))
    {
        page.extend_from_slice(before.as_bytes());
        rest = behind;
        if inside == "end" {
            assert_eq!(rest, "", "more behind the end");
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

/// Reads a page in pieces of so many bytes, and counts the duplicates.
fn read(format: Format, filter: &NameFilter, page: &[u8], piece: usize) -> Result<(Samples, u64), ParseError> {
    let mut parser = Parser::new(format, filter, 1_000_000);
    page.chunks(piece).try_for_each(|piece| parser.feed(piece))?;
    let duplicates = parser.duplicates();
    Ok((parser.finish()?, duplicates))
}

/// What comes of a page, in the catalogue's lines.
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
            let passed_over = read(format, &nothing, page, piece).err();
            let other = match &passed_over {
                Some(same) if *same == error => None,
                // Its lines were read, and only then the end was missed.
                None | Some(ParseError { reason: Reason::NoEof, .. }) => Some("~ read".to_owned()),
                Some(other) => Some(format!("~ {other}")),
            };
            [format!("! {error}")].into_iter().chain(other).collect()
        }
    }
}

/// The name at the beginning of a page's line, counted from 1, if it is unquoted.
fn name_in_line(page: &[u8], line: u64) -> Option<String> {
    let line = page.split(|byte| *byte == b'\n').nth(usize::try_from(line - 1).unwrap())?;
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_:".contains(byte);
    let name: Vec<u8> = line.iter().copied().take_while(is_name).collect();
    String::from_utf8(name).ok().filter(|name| !name.is_empty())
}

/// Panics if a filter changes more than which samples are kept.
fn check_filters(page: &Page, format: Format) {
    let read = |filter: &NameFilter| read(format, filter, &page.bytes, usize::MAX).map(|(samples, _)| samples);
    match read(&NameFilter::all()) {
        Ok(all) => {
            assert!(read(&NameFilter::new([])).unwrap().is_empty(), "{}", page.place);
            let names: BTreeSet<_> = all.iter().map(|sample| sample.name.to_owned()).collect();
            for name in names {
                let kept = read(&NameFilter::new([name.clone()])).unwrap();
                let expected = all.iter().filter(|sample| sample.name == name).map(|sample| show(&sample));
                assert_eq!(show_all(&kept), expected.collect::<Vec<_>>(), "{}", page.place);
            }
        }
        Err(error) => {
            let later = |filtered: ParseError| filtered.line >= error.line;
            assert!(read(&NameFilter::new([])).err().is_none_or(later), "{}", page.place);
            if let Some(name) = name_in_line(&page.bytes, error.line) {
                assert_eq!(read(&NameFilter::new([name])).err(), Some(error), "{}", page.place);
            }
        }
    }
}

#[test]
fn every_page_is_read_as_the_catalogue_says() {
    let pages = pages();
    assert!(pages.len() > 300, "only {} pages", pages.len());
    let mut wrong = String::new();
    for page in &pages {
        for format in page.formats {
            for piece in [usize::MAX, 1, 7] {
                let outcome = outcome(*format, &page.bytes, piece);
                if outcome != page.expected {
                    let (expected, outcome) = (page.expected.join("\n"), outcome.join("\n"));
                    let place = format!("{} ({format:?}, {piece} bytes at a time)", page.place);
                    writeln!(wrong, "{place}\nexpected\n{expected}\nfound\n{outcome}\n").unwrap();
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_filter_changes_only_which_samples_are_kept() {
    for page in pages() {
        page.formats.iter().for_each(|format| check_filters(&page, *format));
    }
}

#[test]
fn what_must_hold_of_any_page_holds_of_every_page() {
    for page in pages() {
        fuzz(&page.bytes);
    }
}
