//! The parser of a page. It accepts pieces of any size, and parses line by line.

use super::{
    cursor::{Cursor, LineError, continues_name},
    distinct::DistinctSamples,
    error::{ParseError, Reason},
    format::{Format, MAX_LINE},
    metadata::{self, HashLine},
    sample_line::SampleLine,
};
use crate::{sample::Samples, source::name_filter::NameFilter};

/// The number of bytes parsed at a time. They fit into the processor's cache, because they are processed several times.
const WINDOW: usize = 64 << 10;

/// A parser of one page.
#[derive(Debug)]
pub struct Parser<'f> {
    format: Format,
    filter: &'f NameFilter,
    sample_limit: u64,
    samples: DistinctSamples,
    duplicates: u64,
    /// The number of parsed lines.
    lines: u64,
    /// The beginning of a line whose end has not been received.
    incomplete: Vec<u8>,
    /// Whether `# EOF` was parsed.
    ended: bool,
    failed: Option<ParseError>,
    line: SampleLine,
    /// The name of the last line, and whether its samples are kept. Neighbouring lines mostly have the same name.
    last_name: String,
    last_kept: bool,
    /// The last unquoted name in metadata.
    family: String,
}

impl<'f> Parser<'f> {
    /// Creates a parser. `sample_limit` is the maximum number of samples that the filter keeps.
    pub fn new(format: Format, filter: &'f NameFilter, sample_limit: u64) -> Self {
        Self {
            format,
            filter,
            sample_limit,
            samples: DistinctSamples::default(),
            duplicates: 0,
            lines: 0,
            incomplete: Vec::new(),
            ended: false,
            failed: None,
            line: SampleLine::default(),
            last_name: String::new(),
            last_kept: false,
            family: String::new(),
        }
    }

    /// Parses the next piece of the page, which can end anywhere.
    ///
    /// # Errors
    /// Returns the first error of the page. All later calls return the same error.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), ParseError> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        let result = chunk.chunks(WINDOW).try_for_each(|window| self.parse_window(window));
        self.failed = result.clone().err();
        result
    }

    /// Parses the rest after the whole page was fed, and returns the samples. As in Prometheus, the last line of the
    /// text format need not end with a line feed. [`is_at_line_start`](Self::is_at_line_start) returns whether it did.
    ///
    /// # Errors
    /// Returns the first error of the page. OpenMetrics must end with `# EOF`.
    pub fn finish(mut self) -> Result<Samples, ParseError> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        let open_metrics = self.format == Format::OpenMetrics;
        if !self.incomplete.is_empty() && (!open_metrics || self.incomplete == b"# EOF") {
            let mut last = std::mem::take(&mut self.incomplete);
            last.push(b'\n');
            self.parse_lines(&last)?;
        }
        if open_metrics && !self.ended {
            return Err(self.error(0, 0, Reason::NoEof));
        }
        Ok(self.samples.into_samples())
    }

    /// Returns the number of samples that were dropped because an earlier one has the same name and labels.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Returns the number of samples that were kept.
    pub fn samples(&self) -> usize {
        self.samples.len()
    }

    /// Returns whether the input so far is empty or ends with a line feed.
    pub fn is_at_line_start(&self) -> bool {
        self.incomplete.is_empty()
    }

    fn parse_window(&mut self, mut window: &[u8]) -> Result<(), ParseError> {
        if !self.incomplete.is_empty() {
            let Some(end) = memchr::memchr(b'\n', window) else { return self.hold(window) };
            let (end_of_line, rest) = window.split_at(end + 1);
            self.hold(end_of_line)?;
            let line = std::mem::take(&mut self.incomplete);
            self.parse_lines(&line)?;
            self.incomplete = line;
            self.incomplete.clear();
            window = rest;
        }
        let complete = memchr::memrchr(b'\n', window).map_or(0, |last| last + 1);
        let (lines, rest) = window.split_at(complete);
        self.parse_lines(lines)?;
        self.hold(rest)
    }

    /// Keeps a part of an incomplete line.
    fn hold(&mut self, part: &[u8]) -> Result<(), ParseError> {
        let part_of_line = part.strip_suffix(b"\n").unwrap_or(part);
        let length = self.incomplete.len() + part_of_line.len();
        if !part.is_empty() && (self.ended || length > MAX_LINE) {
            return Err(self.error(0, length, Reason::LineTooLong));
        }
        self.incomplete.extend_from_slice(part);
        Ok(())
    }

    /// Parses complete lines.
    fn parse_lines(&mut self, lines: &[u8]) -> Result<(), ParseError> {
        let text = match str::from_utf8(lines) {
            Ok(text) => text,
            Err(error) => return Err(self.error_before_invalid_utf8(lines, error.valid_up_to())),
        };
        self.line.forget_last();
        let mut cursor = Cursor { text, at: 0 };
        while cursor.at < text.len() {
            let start = cursor;
            if let Err(error) = self.parse_line(&mut cursor) {
                let (at, reason) = error.into_parts();
                return Err(self.error(at - start.at, start.line_end() - start.at, reason));
            }
            self.lines += 1;
        }
        Ok(())
    }

    /// Returns the first error in lines that are not UTF-8 from the byte `invalid` on: an error before that byte, or
    /// else at it.
    fn error_before_invalid_utf8(&mut self, lines: &[u8], invalid: usize) -> ParseError {
        let (valid, _) = lines.split_at(invalid);
        let start = memchr::memrchr(b'\n', valid).map_or(0, |last| last + 1);
        let (before, line) = lines.split_at(start);
        if let Err(error) = self.parse_lines(before) {
            return error;
        }
        let length = memchr::memchr(b'\n', line).unwrap_or(line.len());
        self.error(invalid - start, length, Reason::Utf8)
    }

    /// Returns the error at byte `column` (from 0) of the line after the parsed ones. Some reasons have precedence, so
    /// that the error does not depend on how the page was split.
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

    /// Parses the line at the cursor, and moves the cursor after it.
    fn parse_line(&mut self, cursor: &mut Cursor<'_>) -> Result<(), LineError> {
        let start = *cursor;
        if self.ended {
            return Err(start.error(Reason::AfterEof));
        }
        if self.format == Format::Text {
            cursor.skip_blanks();
        }
        match cursor.peek() {
            b'#' => self.ended = metadata::parse(cursor, self.format, &mut self.family)? == HashLine::Eof,
            b'\n' if self.format == Format::Text => cursor.at += 1,
            b'{' => self.parse_sample(cursor, None)?,
            _ if self.keeps(*cursor)? => self.parse_sample(cursor, Some(self.last_name.len()))?,
            _ => self.skip_sample(cursor)?,
        }
        // The cursor is now after the line feed.
        if cursor.at - start.at > MAX_LINE + 1 { Err(start.error(Reason::LineTooLong)) } else { Ok(()) }
    }

    /// Returns whether samples with the unquoted name at the cursor are kept.
    fn keeps(&mut self, mut cursor: Cursor<'_>) -> Result<bool, LineError> {
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

    /// Moves the cursor after a sample whose name, in `last_name`, is not kept.
    fn skip_sample(&self, cursor: &mut Cursor<'_>) -> Result<(), LineError> {
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

    /// Parses the sample at the cursor, and keeps it if the filter keeps its name. `name_length` is the length of an
    /// unquoted name that is known to be kept.
    fn parse_sample(&mut self, cursor: &mut Cursor<'_>, name_length: Option<usize>) -> Result<(), LineError> {
        let start = *cursor;
        let value = self.line.parse(cursor, self.format, name_length)?;
        let name = self.line.name(start.text);
        if name_length.is_none() && !self.filter.keeps(name) {
            return Ok(());
        }
        if !self.samples.push(&self.line, start.text, value).map_err(|error| start.error(error.into()))? {
            self.duplicates += 1;
        }
        if self.samples.len() as u64 > self.sample_limit {
            return Err(start.error(Reason::TooManySamples { limit: self.sample_limit }));
        }
        Ok(())
    }
}
