//! The Prometheus text format 0.0.4 and OpenMetrics 1.0, read as Prometheus reads them.
//!
//! A body is parsed as it arrives: [`Parser::feed`] takes any split of it, and holds back only a line that is not
//! whole yet. The first line that is malformed fails the page whole.
//!
//! Only the samples that a [`NameFilter`] names are kept. Of a line that is passed over only this is checked: it is
//! UTF-8 and not too long; its name is one, and is followed by `{` or a blank; where there are no labels, what
//! follows begins as a number does; and it ends as a number does. A line feed cannot stand inside a quoted text (it is
//! written `\n` there), so a line passed over cannot hide the beginning of another. Metadata is checked on every line:
//! names and types, not whether families lie together.
//!
//! Timestamps and exemplars are checked, and not kept.
//!
//! # Families
//!
//! As in Prometheus, each line is read by itself: what a page says of a family is not held against its samples. So
//! these pass, though OpenMetrics forbids them: families that are interleaved; metadata that is there twice, or behind
//! its samples; counters without `_total`, and names that do not fit their type in other ways; counters that are
//! negative or NaN, info and state sets of any value; histograms without `+Inf`, `_count` or `_sum`, with `le` missing,
//! out of order or no number; exemplars on any sample, of any length; timestamps that run backwards. Metadata itself is
//! held to its format: a type must be one of the format's, and a unit must end the metric's name.
//!
//! # Differences from Prometheus
//!
//! * Stricter: labels without a comma between them, a line feed inside a quoted text, NUL outside of quoted texts, help
//!   and comments, a line longer than [`MAX_LINE`], and whatever is not UTF-8 are refused.
//! * Laxer: in the text format a timestamp may have a sign, and blanks may stand around a type.
//! * Of samples with the same name and labels the first is kept, also where their timestamps differ.
//! * The texts of `le` and `quantile` stay as they are written: `1` does not become `1.0`.
//! * Integers are exact to 64 bits; a `-0` without a point is the integer 0.
//!
//! `catalogue/` holds a page for each of these, and for every rule of both formats, with what comes of it.

mod cursor;
mod distinct;
mod error;
mod fuzz;
mod metadata;
mod number;
mod sample_line;
mod scraper;

#[cfg(test)]
mod tests;

pub use error::{Excerpt, Found, ParseError, Reason};
#[doc(hidden)]
pub use fuzz::fuzz;
pub(super) use scraper::Scraper;

use crate::{sample::Samples, source::NameFilter};
use cursor::{Cursor, Fault, continues_name};
use distinct::DistinctSamples;
use metadata::Hash;
use sample_line::SampleLine;

/// The longest line that is read, in bytes, without its line feed.
pub const MAX_LINE: usize = 1 << 20;

/// How much is read at a time: what fits into a processor's cache, as it is gone over more than once.
const WINDOW: usize = 64 << 10;

/// The format of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The Prometheus text format 0.0.4, with the quoted names of 1.0.0.
    Text,
    /// OpenMetrics 1.0, with quoted names.
    OpenMetrics,
}

/// Reads a page, in pieces.
#[derive(Debug)]
pub struct Parser<'f> {
    format: Format,
    filter: &'f NameFilter,
    sample_limit: u64,
    samples: DistinctSamples,
    duplicates: u64,
    /// Lines read so far.
    lines: u64,
    /// The beginning of a line whose end has not come yet.
    held: Vec<u8>,
    /// `# EOF` was read.
    ended: bool,
    failed: Option<ParseError>,
    line: SampleLine,
    /// The name of the last line, since neighbours mostly have the same, and whether it is kept.
    last_name: String,
    last_kept: bool,
    /// The last unquoted name of metadata.
    family: String,
}

impl<'f> Parser<'f> {
    /// A parser of one page. `sample_limit` counts the samples that the filter keeps.
    pub fn new(format: Format, filter: &'f NameFilter, sample_limit: u64) -> Self {
        Self {
            format,
            filter,
            sample_limit,
            samples: DistinctSamples::default(),
            duplicates: 0,
            lines: 0,
            held: Vec::new(),
            ended: false,
            failed: None,
            line: SampleLine::default(),
            last_name: String::new(),
            last_kept: false,
            family: String::new(),
        }
    }

    /// Reads the next piece of the page, which may end anywhere.
    ///
    /// # Errors
    /// The first thing that is wrong with the page; the same one again from then on.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), ParseError> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        let result = chunk.chunks(WINDOW).try_for_each(|window| self.read_window(window));
        self.failed = result.clone().err();
        result
    }

    /// Reads what is left, once the whole page was fed. As in Prometheus, the last line of the text format need not
    /// end with a line feed; [`is_at_line_start`](Self::is_at_line_start) tells whether it did.
    ///
    /// # Errors
    /// The first thing that is wrong with the page. OpenMetrics must end with `# EOF`.
    pub fn finish(mut self) -> Result<Samples, ParseError> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        let open_metrics = self.format == Format::OpenMetrics;
        if !self.held.is_empty() && (!open_metrics || self.held == b"# EOF") {
            let mut last = std::mem::take(&mut self.held);
            last.push(b'\n');
            self.read_lines(&last)?;
        }
        if open_metrics && !self.ended {
            return Err(self.error(0, 0, Reason::NoEof));
        }
        Ok(self.samples.into_samples())
    }

    /// How many samples were dropped because one with the same name and labels came before them.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// How many samples were kept.
    pub fn samples(&self) -> usize {
        self.samples.len()
    }

    /// Whether everything fed so far ends with a line feed, or is nothing.
    pub fn is_at_line_start(&self) -> bool {
        self.held.is_empty()
    }

    fn read_window(&mut self, mut window: &[u8]) -> Result<(), ParseError> {
        if !self.held.is_empty() {
            let Some(end) = memchr::memchr(b'\n', window) else { return self.hold(window) };
            let (end_of_held, rest) = window.split_at(end + 1);
            self.hold(end_of_held)?;
            let held = std::mem::take(&mut self.held);
            self.read_lines(&held)?;
            self.held = held;
            self.held.clear();
            window = rest;
        }
        let whole = memchr::memrchr(b'\n', window).map_or(0, |last| last + 1);
        let (lines, rest) = window.split_at(whole);
        self.read_lines(lines)?;
        self.hold(rest)
    }

    fn hold(&mut self, part: &[u8]) -> Result<(), ParseError> {
        let part_of_line = part.strip_suffix(b"\n").unwrap_or(part);
        let length = self.held.len() + part_of_line.len();
        if !part.is_empty() && (self.ended || length > MAX_LINE) {
            return Err(self.error(0, length, Reason::LineTooLong));
        }
        self.held.extend_from_slice(part);
        Ok(())
    }

    /// Reads whole lines.
    fn read_lines(&mut self, lines: &[u8]) -> Result<(), ParseError> {
        let text = match str::from_utf8(lines) {
            Ok(text) => text,
            Err(error) => return Err(self.read_to_invalid_utf8(lines, error.valid_up_to())),
        };
        self.line.forget_last();
        let mut cursor = Cursor { text, at: 0 };
        while cursor.at < text.len() {
            let start = cursor;
            if let Err(fault) = self.read_line(&mut cursor) {
                let (at, reason) = fault.into_parts();
                return Err(self.error(at - start.at, start.line_end() - start.at, reason));
            }
            self.lines += 1;
        }
        Ok(())
    }

    /// The first error in lines that are not all UTF-8: in one of the lines before that byte, or else there.
    fn read_to_invalid_utf8(&mut self, lines: &[u8], invalid: usize) -> ParseError {
        let (valid, _) = lines.split_at(invalid);
        let start = memchr::memrchr(b'\n', valid).map_or(0, |last| last + 1);
        let (before, line) = lines.split_at(start);
        if let Err(error) = self.read_lines(before) {
            return error;
        }
        let length = memchr::memchr(b'\n', line).unwrap_or(line.len());
        self.error(invalid - start, length, Reason::Utf8)
    }

    /// The error at byte `column`, from 0, of the line behind those read so far. Some reasons go before others, so
    /// that an error does not depend on how the page was split.
    fn error(&self, column: usize, line_length: usize, reason: Reason) -> ParseError {
        let line = self.lines + 1;
        if self.ended {
            return ParseError { line, column: 1, reason: Reason::AfterEof };
        }
        if line_length > MAX_LINE {
            return ParseError { line, column: MAX_LINE + 1, reason: Reason::LineTooLong };
        }
        ParseError { line, column: column + 1, reason }
    }

    /// Reads the line at the cursor, and goes behind it.
    fn read_line(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        let start = *cursor;
        if self.ended {
            return Err(start.fault(Reason::AfterEof));
        }
        if self.format == Format::Text {
            cursor.skip_blanks();
        }
        match cursor.peek() {
            b'#' => self.ended = metadata::read(cursor, self.format, &mut self.family)? == Hash::Eof,
            b'\n' if self.format == Format::Text => cursor.at += 1,
            b'{' => self.read_sample(cursor, None)?,
            _ if self.keeps(*cursor)? => self.read_sample(cursor, Some(self.last_name.len()))?,
            _ => self.pass_over(cursor)?,
        }
        // The cursor is behind the line feed now.
        if cursor.at - start.at > MAX_LINE + 1 { Err(start.fault(Reason::LineTooLong)) } else { Ok(()) }
    }

    /// Whether the samples of the unquoted name at the cursor are kept.
    fn keeps(&mut self, mut cursor: Cursor<'_>) -> Result<bool, Fault> {
        let is_last = match cursor.rest().strip_prefix(self.last_name.as_bytes()) {
            Some([next, ..]) => !self.last_name.is_empty() && !continues_name(*next),
            _ => false,
        };
        if !is_last {
            let name = cursor.metric_name(&self.family)?.of(cursor.text, "");
            self.last_kept = self.filter.keeps(name);
            name.clone_into(&mut self.last_name);
        }
        Ok(self.last_kept)
    }

    /// Goes behind a sample whose name is not kept: that in `last_name`.
    fn pass_over(&self, cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        cursor.at += self.last_name.len();
        let blank = matches!(cursor.peek(), b' ') || (cursor.peek() == b'\t' && self.format == Format::Text);
        if !blank && cursor.peek() != b'{' {
            return Err(cursor.expected("{ or a blank"));
        }
        let end = cursor.line_end();
        if blank {
            cursor.skip_blanks();
            match cursor.peek() {
                b'0'..=b'9' | b'+' | b'-' | b'.' | b'i' | b'I' | b'n' | b'N' => {}
                b'{' if self.format == Format::Text => {}
                _ => return Err(cursor.expected("a value")),
            }
        }
        let mut last = Cursor { at: end - 1, ..*cursor };
        while self.format == Format::Text && matches!(last.peek(), b' ' | b'\t') {
            last.at -= 1;
        }
        // A digit, `1.`, `Inf`, `Infinity`, `NaN`.
        if !matches!(last.peek(), b'0'..=b'9' | b'.' | b'f' | b'F' | b'y' | b'Y' | b'n' | b'N') {
            last.at = last.text.floor_char_boundary(last.at);
            return Err(last.expected("a number at the end of the line"));
        }
        cursor.at = end + 1;
        Ok(())
    }

    /// Reads the sample at the cursor, and keeps it if its name is kept, as an unquoted one of known length is.
    fn read_sample(&mut self, cursor: &mut Cursor<'_>, name_length: Option<usize>) -> Result<(), Fault> {
        let start = *cursor;
        let value = self.line.read(cursor, self.format, name_length)?;
        let name = self.line.name(start.text);
        if name_length.is_none() && !self.filter.keeps(name) {
            return Ok(());
        }
        if !self.samples.push(&self.line, start.text, value).map_err(|error| start.fault(error.into()))? {
            self.duplicates += 1;
        }
        if self.samples.len() as u64 > self.sample_limit {
            return Err(start.fault(Reason::TooManySamples { limit: self.sample_limit }));
        }
        Ok(())
    }
}
