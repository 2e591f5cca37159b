//! One sample's line: `name{label="value",…} value [timestamp]`, in OpenMetrics also with an exemplar behind it.

use super::{
    Format,
    cursor::{Cursor, Fault, Token, continues_name},
    error::{Excerpt, Reason},
    number,
};
use crate::sample::Number;

/// The label that the data model keeps for the metric's name.
const METRIC_NAME_LABEL: &str = "__name__";

/// The parts of one line; used again for each line, so that a line costs no allocation.
#[derive(Debug, Default)]
pub(super) struct SampleLine {
    name: Option<Token>,
    labels: Vec<Label>,
    unescaped: String,
    names: LabelNames,
    /// Where the last line begins, if its parts are places in the text and its name is unquoted.
    last: Option<usize>,
}

/// The label names of a line: neighbours mostly have the same, and then they need be neither searched nor sorted.
#[derive(Debug, Default)]
struct LabelNames {
    /// In the order of the line, each as `name="`; empty where the line does not have the name plainly.
    openings: Vec<String>,
    /// The places of the labels in the line, in the order of their names.
    sorted: Vec<usize>,
    /// How often the names changed: the same number means the same names.
    changes: u64,
}

#[derive(Debug, Clone, Copy)]
struct Label {
    name: Token,
    value: Token,
    /// Where the line has it.
    at: usize,
}

impl SampleLine {
    /// Reads the line at the cursor, and goes behind it.
    ///
    /// `name_length` is that of its unquoted name, if it is known.
    pub(super) fn read(
        &mut self,
        cursor: &mut Cursor<'_>,
        format: Format,
        name_length: Option<usize>,
    ) -> Result<Number, Fault> {
        let start = *cursor;
        self.keep_common_labels(cursor);
        self.name = None;
        self.unescaped.clear();
        if self.labels.is_empty() {
            self.read_name_and_labels(cursor, format, name_length)?;
        } else {
            self.name = name_length.map(|length| start.clone().known_name(length));
            self.read_labels(cursor, format)?;
        }
        if self.name.is_none() {
            return Err(start.fault(Reason::NoName));
        }
        self.last = Some(start.at).filter(|_| self.unescaped.is_empty() && start.peek() != b'{');
        match format {
            Format::Text => read_text_numbers(cursor),
            Format::OpenMetrics => Self::read_open_metrics_numbers(cursor),
        }
    }

    /// Forgets the last line, as the next is in another text.
    pub(super) fn forget_last(&mut self) {
        self.last = None;
    }

    /// Keeps the labels that the line at the cursor has in common with the last one, up to the first that differs, and
    /// goes behind them. Neighbours are often alike, as a histogram's buckets are.
    fn keep_common_labels(&mut self, cursor: &mut Cursor<'_>) {
        let Some(last) = self.last.take() else { return self.labels.clear() };
        let end = last + common_length(Cursor { at: last, ..*cursor }.rest(), cursor.rest());
        let behind = |label: &Label| label.value.end() + 2;
        let is_common =
            |label: &&Label| behind(label) <= end && cursor.between(behind(label) - 1, behind(label)) == ",";
        let kept = self.labels.iter().take_while(is_common).count();
        self.labels.truncate(kept);
        let distance = cursor.at - last;
        cursor.at = self.labels.last().map_or(cursor.at, |label| behind(label) + distance);
        for label in &mut self.labels {
            label.name = label.name.moved_by(distance);
            label.value = label.value.moved_by(distance);
            label.at += distance;
        }
    }

    fn read_name_and_labels(
        &mut self,
        cursor: &mut Cursor<'_>,
        format: Format,
        name_length: Option<usize>,
    ) -> Result<(), Fault> {
        if cursor.peek() != b'{' {
            self.name = Some(match name_length {
                Some(length) => cursor.known_name(length),
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
            self.read_labels(cursor, format)?;
        }
        Ok(())
    }

    /// The metric's name.
    pub(super) fn name<'l>(&'l self, text: &'l str) -> &'l str {
        self.name.map_or("", |name| name.of(text, &self.unescaped))
    }

    /// The labels, sorted by name. One with an empty value is the same as none, and is left out.
    pub(super) fn labels<'l>(&'l self, text: &'l str) -> impl Iterator<Item = (&'l str, &'l str)> + Clone {
        let pair = |label: &Label| (label.name.of(text, &self.unescaped), label.value.of(text, &self.unescaped));
        let sorted = self.names.sorted.iter().filter_map(|place| self.labels.get(*place));
        sorted.map(pair).filter(|(_, value)| !value.is_empty())
    }

    /// The labels' values, as [`labels`](Self::labels) has them.
    pub(super) fn values<'l>(&'l self, text: &'l str) -> impl Iterator<Item = &'l str> {
        let sorted = self.names.sorted.iter().filter_map(|place| self.labels.get(*place));
        sorted.map(|label| label.value.of(text, &self.unescaped)).filter(|value| !value.is_empty())
    }

    /// The number of the label names, which is another after they changed; `None` if the line has no labels, or one
    /// with an empty value, whose name does not count.
    pub(super) fn names_number(&self) -> Option<u64> {
        let all_count = !self.labels.is_empty() && !self.labels.iter().any(|label| label.value.is_empty());
        all_count.then_some(self.names.changes)
    }

    /// The labels up to the closing brace, behind those that are read already. A quoted text without a value is the
    /// metric's name.
    fn read_labels(&mut self, cursor: &mut Cursor<'_>, format: Format) -> Result<(), Fault> {
        let skip_blanks = |cursor: &mut Cursor<'_>| {
            if format == Format::Text {
                cursor.skip_blanks();
            }
        };
        let mut same_names = true;
        loop {
            skip_blanks(cursor);
            let start = *cursor;
            let known = self.names.openings.get(self.labels.len()).filter(|opening| !opening.is_empty());
            let name = if let Some(name) = known.and_then(|opening| cursor.known_opening(opening)) {
                name
            } else {
                let name = match cursor.peek() {
                    b'}' => break,
                    b'"' => cursor.quoted("a name", &mut self.unescaped)?,
                    _ => cursor.label_name()?,
                };
                if name.of(cursor.text, &self.unescaped).is_empty() {
                    return Err(start.fault(Reason::EmptyName));
                }
                skip_blanks(cursor);
                if start.peek() == b'"' && matches!(cursor.peek(), b',' | b'}') {
                    if self.name.replace(name).is_some() {
                        return Err(start.fault(Reason::SecondName));
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

    /// Sorts the labels, and finds one that is there twice.
    fn sort_labels(&mut self, text: &str) -> Result<(), Fault> {
        let Self { labels, unescaped, names: LabelNames { openings, sorted, changes }, .. } = self;
        let name = |place: &usize| labels.get(*place).map_or("", |label| label.name.of(text, unescaped));
        *changes += 1;
        sorted.clear();
        sorted.extend(0..labels.len());
        sorted.sort_by(|a, b| name(a).cmp(name(b)));
        let twice =
            sorted.iter().zip(sorted.iter().skip(1)).find(|(a, b)| name(a) == name(b)).map(|(_, second)| second);
        if let Some(place) = twice.or_else(|| sorted.iter().find(|place| name(place) == METRIC_NAME_LABEL)) {
            let at = labels.get(*place).map_or(0, |label| label.at);
            return Err(Cursor { text, at }.fault(Reason::DuplicateLabel(Excerpt::new(name(place)))));
        }
        openings.resize_with(openings.len().max(labels.len()), String::new);
        for (place, opening) in openings.iter_mut().take(labels.len()).enumerate() {
            opening.clear();
            let name = name(&place);
            if name.bytes().all(continues_name) && !name.contains(':') {
                opening.push_str(name);
                opening.push_str("=\"");
            }
        }
        Ok(())
    }

    /// ` value[ seconds][ # {…} value[ seconds]]`, with one space wherever there is one.
    fn read_open_metrics_numbers(cursor: &mut Cursor<'_>) -> Result<Number, Fault> {
        cursor.expect(b' ', "a space")?;
        let value = read_value(cursor)?;
        if !cursor.rest().starts_with(b" #") {
            read_optional_seconds(cursor)?;
        }
        if cursor.peek() == b' ' {
            Self::read_exemplar(cursor)?;
        }
        cursor.end_line()?;
        Ok(value)
    }

    /// An exemplar is checked, and not kept.
    fn read_exemplar(cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        cursor.expect(b' ', "a space")?;
        cursor.expect(b'#', "an exemplar")?;
        cursor.expect(b' ', "a space")?;
        let start = *cursor;
        // Exemplars are few: they may cost an allocation.
        let mut exemplar = Self::default();
        cursor.expect(b'{', "{")?;
        exemplar.read_labels(cursor, Format::OpenMetrics)?;
        if exemplar.name.is_some() {
            return Err(start.fault(Reason::SecondName));
        }
        cursor.expect(b' ', "a space")?;
        cursor.word(number::value)?;
        read_optional_seconds(cursor)
    }
}

fn read_value(cursor: &mut Cursor<'_>) -> Result<Number, Fault> {
    let Some((value, length)) = number::short_integer(cursor.rest()) else { return cursor.word(number::value) };
    cursor.at += length;
    Ok(value)
}

fn read_optional_seconds(cursor: &mut Cursor<'_>) -> Result<(), Fault> {
    if cursor.peek() == b' ' {
        cursor.at += 1;
        cursor.word(number::seconds)?;
    }
    Ok(())
}

/// `value [milliseconds]`, with blanks between and around them.
fn read_text_numbers(cursor: &mut Cursor<'_>) -> Result<Number, Fault> {
    cursor.skip_blanks();
    if cursor.peek() == b'\n' {
        return Err(cursor.expected("a value"));
    }
    let value = read_value(cursor)?;
    cursor.skip_blanks();
    if cursor.peek() != b'\n' {
        cursor.word(number::milliseconds)?;
        cursor.skip_blanks();
    }
    cursor.end_line()?;
    Ok(value)
}

/// How many bytes both begin with, of as many as fill words of eight.
fn common_length(a: &[u8], b: &[u8]) -> usize {
    let ((a, _), (b, _)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for (place, (a, b)) in a.iter().zip(b).enumerate() {
        let different = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if different != 0 {
            return place * 8 + different.trailing_zeros() as usize / 8;
        }
    }
    a.len().min(b.len()) * 8
}
