//! One sample's line: `name{label="value",…} value [timestamp]`, in OpenMetrics also with an exemplar behind it.

use super::{
    Format,
    cursor::{Cursor, Fault, Token},
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
}

#[derive(Debug, Clone, Copy)]
struct Label {
    name: Token,
    value: Token,
    /// Where the line has it.
    at: u32,
}

impl SampleLine {
    /// Reads the line at the cursor, and goes behind it.
    pub(super) fn read(&mut self, cursor: &mut Cursor<'_>, format: Format) -> Result<Number, Fault> {
        self.name = None;
        self.labels.clear();
        self.unescaped.clear();
        let start = *cursor;
        if cursor.peek() != b'{' {
            self.name = Some(cursor.metric_name()?);
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
        self.labels.iter().map(pair).filter(|(_, value)| !value.is_empty())
    }

    /// The labels in braces, the opening one of which is here. A quoted text without a value is the metric's name.
    fn read_labels(&mut self, cursor: &mut Cursor<'_>, format: Format) -> Result<(), Fault> {
        let skip_blanks = |cursor: &mut Cursor<'_>| {
            if format == Format::Text {
                cursor.skip_blanks();
            }
        };
        cursor.expect(b'{', "{")?;
        loop {
            skip_blanks(cursor);
            let start = *cursor;
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
            } else {
                cursor.expect(b'=', "=")?;
                skip_blanks(cursor);
                let value = cursor.quoted("a quoted label value", &mut self.unescaped)?;
                self.labels.push(Label { name, value, at: u32::try_from(start.at).unwrap_or(u32::MAX) });
                skip_blanks(cursor);
            }
            if cursor.peek() != b'}' {
                cursor.expect(b',', ", or }")?;
            }
        }
        cursor.at += 1;
        self.sort_labels(cursor.text)
    }

    /// Sorts the labels, and finds one that is there twice.
    fn sort_labels(&mut self, text: &str) -> Result<(), Fault> {
        let Self { labels, unescaped, .. } = self;
        let name = |label: &Label| label.name.of(text, unescaped);
        if !labels.is_sorted_by(|a, b| name(a) < name(b)) {
            labels.sort_by(|a, b| name(a).cmp(name(b)));
        }
        let twice =
            labels.iter().zip(labels.iter().skip(1)).find(|(a, b)| name(a) == name(b)).map(|(_, second)| second);
        match twice.or_else(|| labels.iter().find(|label| name(label) == METRIC_NAME_LABEL)) {
            Some(label) => {
                let place = Cursor { text, at: label.at as usize };
                Err(place.fault(Reason::DuplicateLabel(Excerpt::new(name(label)))))
            }
            None => Ok(()),
        }
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
