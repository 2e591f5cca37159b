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
}

/// The label names of a line: neighbours mostly have the same, and then they need be neither searched nor sorted.
#[derive(Debug, Default)]
struct LabelNames {
    /// In the order of the line; empty where the line does not have the name plainly.
    names: Vec<String>,
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
        self.name = None;
        self.labels.clear();
        self.unescaped.clear();
        let start = *cursor;
        if cursor.peek() != b'{' {
            self.name = Some(match name_length {
                Some(length) => cursor.known_name(length),
                None => cursor.metric_name()?,
            });
            if !matches!(cursor.peek(), b'{' | b' ' | b'\t' | b'\n') {
                return Err(cursor.expected("{ or a blank"));
            }
            if format == Format::Text {
                cursor.skip_blanks();
            }
        }
        if cursor.peek() == b'{' {
            self.read_labels(cursor, format)?;
        }
        if self.name.is_none() {
            return Err(start.fault(Reason::NoName));
        }
        match format {
            Format::Text => read_text_numbers(cursor),
            Format::OpenMetrics => Self::read_open_metrics_numbers(cursor),
        }
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

    /// The labels' values, as [`labels`](Self::labels) has them, in bytes.
    pub(super) fn value_bytes<'l>(&'l self, text: &'l str) -> impl Iterator<Item = &'l [u8]> {
        let sorted = self.names.sorted.iter().filter_map(|place| self.labels.get(*place));
        sorted.map(|label| label.value.bytes_of(text, &self.unescaped)).filter(|value| !value.is_empty())
    }

    /// The number of the label names, which is another after they changed.
    pub(super) fn names_number(&self) -> u64 {
        self.names.changes
    }

    /// The part of the text that all label values are in, and their places in it, in the order of the labels' names;
    /// `None` if one is empty or has an escape in it, or if there are no labels.
    pub(super) fn values_in_text<'l>(
        &'l self,
        text: &'l str,
    ) -> Option<(&'l str, impl Iterator<Item = (usize, usize)> + 'l)> {
        let places = || self.labels.iter().map(|label| label.value.place_in_text());
        if !places().all(|place| place.is_some()) {
            return None;
        }
        let (first, _) = places().next()??;
        let (_, last) = places().next_back()??;
        let of_sorted = move |place: &usize| {
            let (start, end) = self.labels.get(*place)?.value.place_in_text()?;
            Some((start - first, end - first))
        };
        Some((text.get(first..last)?, self.names.sorted.iter().filter_map(of_sorted)))
    }

    /// The labels in braces, the opening one of which is here. A quoted text without a value is the metric's name.
    fn read_labels(&mut self, cursor: &mut Cursor<'_>, format: Format) -> Result<(), Fault> {
        let skip_blanks = |cursor: &mut Cursor<'_>| {
            if format == Format::Text {
                cursor.skip_blanks();
            }
        };
        cursor.expect(b'{', "{")?;
        let mut same_names = true;
        loop {
            skip_blanks(cursor);
            let start = *cursor;
            let known = self.names.names.get(self.labels.len()).filter(|name| !name.is_empty());
            let name = if let Some(name) = known.and_then(|name| cursor.known_label_name(name)) {
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
                same_names = false;
                name
            };
            skip_blanks(cursor);
            let value = cursor.quoted("a quoted label value", &mut self.unescaped)?;
            self.labels.push(Label { name, value, at: start.at });
            skip_blanks(cursor);
            if cursor.peek() != b'}' {
                cursor.expect(b',', ", or }")?;
            }
        }
        cursor.at += 1;
        if same_names && self.labels.len() == self.names.sorted.len() { Ok(()) } else { self.sort_labels(cursor.text) }
    }

    /// Sorts the labels, and finds one that is there twice.
    fn sort_labels(&mut self, text: &str) -> Result<(), Fault> {
        let Self { labels, unescaped, names: LabelNames { names, sorted, changes }, .. } = self;
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
        names.resize_with(names.len().max(labels.len()), String::new);
        for (place, known) in names.iter_mut().take(labels.len()).enumerate() {
            known.clear();
            let is_plain = |name: &&str| name.bytes().all(continues_name) && !name.contains(':');
            known.push_str(Some(name(&place)).filter(is_plain).unwrap_or_default());
        }
        Ok(())
    }

    /// ` value[ seconds][ # {…} value[ seconds]]`, with one space wherever there is one.
    fn read_open_metrics_numbers(cursor: &mut Cursor<'_>) -> Result<Number, Fault> {
        cursor.expect(b' ', "a space")?;
        let value = cursor.word(number::value)?;
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
        exemplar.read_labels(cursor, Format::OpenMetrics)?;
        if exemplar.name.is_some() {
            return Err(start.fault(Reason::SecondName));
        }
        cursor.expect(b' ', "a space")?;
        cursor.word(number::value)?;
        read_optional_seconds(cursor)
    }
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
    let value = cursor.word(number::value)?;
    cursor.skip_blanks();
    if cursor.peek() != b'\n' {
        cursor.word(number::milliseconds)?;
        cursor.skip_blanks();
    }
    cursor.end_line()?;
    Ok(value)
}
