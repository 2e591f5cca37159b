//! The line of a sample: `name{label="value",…} value [timestamp]`, in OpenMetrics optionally followed by an exemplar.

use super::{
    cursor::{Cursor, LineError, Token, continues_name},
    error::{Excerpt, Reason},
    format::Format,
    number,
};
use crate::sample::Number;

/// The label that the data model reserves for the metric name.
const METRIC_NAME_LABEL: &str = "__name__";

/// The parts of one line. The value is reused for each line, so that a line needs no allocation.
#[derive(Debug, Default)]
pub(super) struct SampleLine {
    name: Option<Token>,
    labels: Vec<Label>,
    unescaped: String,
    names: LabelNames,
    /// The start of the last line, if all its parts are ranges of the text and its name is unquoted.
    last: Option<usize>,
}

/// The label names of a line. Neighbouring lines mostly have the same names, which are then neither compared nor
/// sorted.
#[derive(Debug, Default)]
struct LabelNames {
    /// `name="` for each label in the order of the line, or empty if the name is quoted.
    openings: Vec<String>,
    /// The positions of the labels in the line, sorted by name.
    sorted: Vec<usize>,
    /// Increases whenever the names change, so equal numbers mean equal names.
    changes: u64,
}

#[derive(Debug, Clone, Copy)]
struct Label {
    name: Token,
    value: Token,
    /// The position in the line.
    at: usize,
}

impl SampleLine {
    /// Parses the line at the cursor, and moves the cursor after it.
    ///
    /// `name_length` is the length of the unquoted name, if the caller has already checked it.
    pub(super) fn parse(
        &mut self,
        cursor: &mut Cursor<'_>,
        format: Format,
        name_length: Option<usize>,
    ) -> Result<Number, LineError> {
        let start = *cursor;
        self.keep_common_labels(cursor);
        self.name = None;
        self.unescaped.clear();
        if self.labels.is_empty() {
            self.parse_name_and_labels(cursor, format, name_length)?;
        } else {
            self.name = name_length.map(|length| start.clone().checked_name(length));
            self.parse_labels(cursor, format)?;
        }
        if self.name.is_none() {
            return Err(start.error(Reason::NoName));
        }
        self.last = Some(start.at).filter(|_| self.unescaped.is_empty() && start.peek() != b'{');
        match format {
            Format::Text => parse_text_numbers(cursor),
            Format::OpenMetrics => Self::parse_open_metrics_numbers(cursor),
        }
    }

    /// Forgets the last line, because the next line is in another text.
    pub(super) fn forget_last(&mut self) {
        self.last = None;
    }

    /// Keeps the leading labels that the line at the cursor has in common with the last line, and moves the cursor
    /// after them. Neighbouring lines are often similar, for example the buckets of a histogram.
    fn keep_common_labels(&mut self, cursor: &mut Cursor<'_>) {
        let Some(last) = self.last.take() else { return self.labels.clear() };
        let end = last + common_length(Cursor { at: last, ..*cursor }.rest(), cursor.rest());
        let end_of = |label: &Label| label.value.end() + 2;
        let is_common =
            |label: &&Label| end_of(label) <= end && cursor.between(end_of(label) - 1, end_of(label)) == ",";
        let kept = self.labels.iter().take_while(is_common).count();
        self.labels.truncate(kept);
        let distance = cursor.at - last;
        cursor.at = self.labels.last().map_or(cursor.at, |label| end_of(label) + distance);
        for label in &mut self.labels {
            label.name = label.name.moved_by(distance);
            label.value = label.value.moved_by(distance);
            label.at += distance;
        }
    }

    fn parse_name_and_labels(
        &mut self,
        cursor: &mut Cursor<'_>,
        format: Format,
        name_length: Option<usize>,
    ) -> Result<(), LineError> {
        if cursor.peek() != b'{' {
            self.name = Some(match name_length {
                Some(length) => cursor.checked_name(length),
                None => cursor.metric_name("")?,
            });
            if !matches!(cursor.peek(), b'{' | b' ' | b'\t' | b'\n') {
                return Err(cursor.expected("{ or a blank"));
            }
            if format == Format::Text {
                cursor.skip_blanks();
            }
        }
        if cursor.peek() == b'{' {
            cursor.at += 1;
            self.parse_labels(cursor, format)?;
        }
        Ok(())
    }

    /// Returns the metric name.
    pub(super) fn name<'l>(&'l self, text: &'l str) -> &'l str {
        self.name.map_or("", |name| name.of(text, &self.unescaped))
    }

    /// Returns the labels, sorted by name. Labels with an empty value are omitted, because they count as absent.
    pub(super) fn labels<'l>(&'l self, text: &'l str) -> impl Iterator<Item = (&'l str, &'l str)> + Clone {
        let pair = |label: &Label| (label.name.of(text, &self.unescaped), label.value.of(text, &self.unescaped));
        let sorted = self.names.sorted.iter().filter_map(|position| self.labels.get(*position));
        sorted.map(pair).filter(|(_, value)| !value.is_empty())
    }

    /// Returns the values of [`labels`](Self::labels).
    pub(super) fn values<'l>(&'l self, text: &'l str) -> impl Iterator<Item = &'l str> {
        let sorted = self.names.sorted.iter().filter_map(|position| self.labels.get(*position));
        sorted.map(|label| label.value.of(text, &self.unescaped)).filter(|value| !value.is_empty())
    }

    /// Returns the number of the current label names. `None`: the line has no labels, or has one with an empty value,
    /// whose name is omitted.
    pub(super) fn names_number(&self) -> Option<u64> {
        let all_count = !self.labels.is_empty() && !self.labels.iter().any(|label| label.value.is_empty());
        all_count.then_some(self.names.changes)
    }

    /// Parses the labels up to the closing brace, after those that are kept. A quoted text without a value is the
    /// metric name.
    fn parse_labels(&mut self, cursor: &mut Cursor<'_>, format: Format) -> Result<(), LineError> {
        let skip_blanks = |cursor: &mut Cursor<'_>| {
            if format == Format::Text {
                cursor.skip_blanks();
            }
        };
        let mut same_names = true;
        loop {
            skip_blanks(cursor);
            let start = *cursor;
            let opening = self.names.openings.get(self.labels.len()).filter(|opening| !opening.is_empty());
            let name = if let Some(name) = opening.and_then(|opening| cursor.label_opening(opening)) {
                name
            } else {
                let name = match cursor.peek() {
                    b'}' => break,
                    b'"' => cursor.quoted("a name", &mut self.unescaped)?,
                    _ => cursor.label_name()?,
                };
                if name.of(cursor.text, &self.unescaped).is_empty() {
                    return Err(start.error(Reason::EmptyName));
                }
                skip_blanks(cursor);
                if start.peek() == b'"' && matches!(cursor.peek(), b',' | b'}') {
                    if self.name.replace(name).is_some() {
                        return Err(start.error(Reason::UnexpectedName));
                    }
                    if cursor.peek() == b',' {
                        cursor.at += 1;
                    }
                    continue;
                }
                cursor.expect(b'=', "=")?;
                skip_blanks(cursor);
                same_names = false;
                name
            };
            let value = cursor.quoted("a quoted label value", &mut self.unescaped)?;
            self.labels.push(Label { name, value, at: start.at });
            if cursor.peek() != b',' {
                skip_blanks(cursor);
            }
            if cursor.peek() != b'}' {
                cursor.expect(b',', ", or }")?;
            }
        }
        cursor.at += 1;
        if same_names && self.labels.len() == self.names.sorted.len() { Ok(()) } else { self.sort_labels(cursor.text) }
    }

    /// Sorts the labels. A label that appears twice is an error.
    fn sort_labels(&mut self, text: &str) -> Result<(), LineError> {
        let Self { labels, unescaped, names: LabelNames { openings, sorted, changes }, .. } = self;
        let name = |position: &usize| labels.get(*position).map_or("", |label| label.name.of(text, unescaped));
        *changes += 1;
        sorted.clear();
        sorted.extend(0..labels.len());
        sorted.sort_by(|a, b| name(a).cmp(name(b)));
        let duplicate =
            sorted.iter().zip(sorted.iter().skip(1)).find(|(a, b)| name(a) == name(b)).map(|(_, second)| second);
        if let Some(position) = duplicate.or_else(|| sorted.iter().find(|position| name(position) == METRIC_NAME_LABEL))
        {
            let at = labels.get(*position).map_or(0, |label| label.at);
            return Err(Cursor { text, at }.error(Reason::DuplicateLabel(Excerpt::new(name(position)))));
        }
        openings.resize_with(openings.len().max(labels.len()), String::new);
        for (position, opening) in openings.iter_mut().take(labels.len()).enumerate() {
            opening.clear();
            let name = name(&position);
            if name.bytes().all(continues_name) && !name.contains(':') {
                opening.push_str(name);
                opening.push_str("=\"");
            }
        }
        Ok(())
    }

    /// Parses ` value[ seconds][ # {…} value[ seconds]]`. The spaces are single ones.
    fn parse_open_metrics_numbers(cursor: &mut Cursor<'_>) -> Result<Number, LineError> {
        cursor.expect(b' ', "a space")?;
        let value = parse_value(cursor)?;
        if !cursor.rest().starts_with(b" #") {
            parse_optional_seconds(cursor)?;
        }
        if cursor.peek() == b' ' {
            Self::parse_exemplar(cursor)?;
        }
        cursor.end_line()?;
        Ok(value)
    }

    /// Checks an exemplar. It is not kept.
    fn parse_exemplar(cursor: &mut Cursor<'_>) -> Result<(), LineError> {
        cursor.expect(b' ', "a space")?;
        cursor.expect(b'#', "an exemplar")?;
        cursor.expect(b' ', "a space")?;
        let start = *cursor;
        // Exemplars are rare: they may need an allocation.
        let mut exemplar = Self::default();
        cursor.expect(b'{', "{")?;
        exemplar.parse_labels(cursor, Format::OpenMetrics)?;
        if exemplar.name.is_some() {
            return Err(start.error(Reason::UnexpectedName));
        }
        cursor.expect(b' ', "a space")?;
        cursor.word(number::value)?;
        parse_optional_seconds(cursor)
    }
}

fn parse_value(cursor: &mut Cursor<'_>) -> Result<Number, LineError> {
    let Some((value, length)) = number::short_integer(cursor.rest()) else { return cursor.word(number::value) };
    cursor.at += length;
    Ok(value)
}

fn parse_optional_seconds(cursor: &mut Cursor<'_>) -> Result<(), LineError> {
    if cursor.peek() == b' ' {
        cursor.at += 1;
        cursor.word(number::seconds)?;
    }
    Ok(())
}

/// Parses `value [milliseconds]`, with blanks between and around them.
fn parse_text_numbers(cursor: &mut Cursor<'_>) -> Result<Number, LineError> {
    cursor.skip_blanks();
    if cursor.peek() == b'\n' {
        return Err(cursor.expected("a value"));
    }
    let value = parse_value(cursor)?;
    cursor.skip_blanks();
    if cursor.peek() != b'\n' {
        cursor.word(number::milliseconds)?;
        cursor.skip_blanks();
    }
    cursor.end_line()?;
    Ok(value)
}

/// Returns the length of the common beginning, of complete eight-byte words only.
fn common_length(a: &[u8], b: &[u8]) -> usize {
    let ((a, _), (b, _)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for (position, (a, b)) in a.iter().zip(b).enumerate() {
        let different = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if different != 0 {
            return position * 8 + different.trailing_zeros() as usize / 8;
        }
    }
    a.len().min(b.len()) * 8
}
