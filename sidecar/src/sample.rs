//! Samples: a name, labels and a number. Everything that a source yields, and all that mapping knows.

use std::ops::Range;

/// A sample's number. Integer literals stay exact to 64 bits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// An integer that fits in 64 bits with sign.
    Signed(i64),
    /// An integer beyond `i64::MAX`.
    Unsigned(u64),
    /// Everything else, infinities and NaN included.
    Float(f64),
}

impl Number {
    /// The exact integer, where the number was written as one.
    #[must_use]
    pub fn as_integer(self) -> Option<i128> {
        match self {
            Self::Signed(v) => Some(v.into()),
            Self::Unsigned(v) => Some(v.into()),
            Self::Float(_) => None,
        }
    }

    /// The nearest double.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Signed(v) => v as f64,
            Self::Unsigned(v) => v as f64,
            Self::Float(v) => v,
        }
    }
}

/// The samples of one scrape, in the order of the page, in a few allocations whatever their count.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    text: String,
    names: Vec<Span>,
    labels: Vec<Label>,
    records: Vec<Record>,
}

#[derive(Debug, Clone)]
struct Record {
    name: u32,
    labels: Range<u32>,
    value: Number,
}

/// A part of the text. In one word, so that it is copied in one go.
#[derive(Debug, Clone, Copy)]
struct Span(u64);

#[derive(Debug, Clone, Copy)]
struct Label {
    name: Span,
    value: Span,
}

/// One sample, borrowed from its [`Samples`].
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// Its name, as `http_requests_total`.
    pub name: &'a str,
    /// Its labels, sorted by name.
    pub labels: Labels<'a>,
    /// Its value.
    pub value: Number,
}

/// A sample's labels, sorted by name.
#[derive(Debug, Clone, Copy)]
pub struct Labels<'a> {
    text: &'a str,
    labels: &'a [Label],
}

/// The samples no longer fit: more than 4 GiB of text, or more than 2³² labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the samples take more than 4 GiB")]
pub struct TooLarge;

impl Span {
    fn new(start: usize, end: usize) -> Result<Self, TooLarge> {
        let [start, end] = [u32::try_from(start), u32::try_from(end)].map(|at| at.map_err(|_| TooLarge));
        Ok(Self(u64::from(start?) << 32 | u64::from(end?)))
    }

    fn of(self, text: &str) -> &str {
        let range = usize::try_from(self.0 >> 32).ok().zip(usize::try_from(self.0 & u64::from(u32::MAX)).ok());
        range.and_then(|(start, end)| text.get(start..end)).unwrap_or_default()
    }
}

impl Samples {
    /// No samples.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a sample. The labels need not be sorted; their names must differ.
    ///
    /// # Errors
    /// [`TooLarge`], and the sample is not added.
    pub fn push<'l>(
        &mut self,
        name: &str,
        labels: impl IntoIterator<Item = (&'l str, &'l str)>,
        value: Number,
    ) -> Result<(), TooLarge> {
        let name = self.intern(name)?;
        // Neighbours on a page mostly have the same label names, and many of the same values: share their text.
        let neighbour = self.records.last().map_or(0..0, |s| s.labels.start as usize..s.labels.end as usize);
        let start = self.labels.len();
        for (position, (label, value)) in (neighbour.start..).zip(labels) {
            let shared = self.labels.get(position).filter(|_| position < neighbour.end).copied();
            let name = self.share(label, shared.map(|shared| shared.name))?;
            let value = self.share(value, shared.map(|shared| shared.value))?;
            self.labels.push(Label { name, value });
        }
        let name_of = |label: &Label| label.name.of(&self.text);
        if let Some(added) = self.labels.get_mut(start..).filter(|added| !added.is_sorted_by_key(name_of)) {
            added.sort_unstable_by(|a, b| name_of(a).cmp(name_of(b)));
        }
        let range = |n: usize| u32::try_from(n).map_err(|_| TooLarge);
        let labels = range(start)?..range(self.labels.len())?;
        self.records.push(Record { name, labels, value });
        Ok(())
    }

    /// The number of the name, which is stored once for a run of samples, also where a few names take turns, as
    /// those of a histogram do.
    fn intern(&mut self, name: &str) -> Result<u32, TooLarge> {
        const TURNS: usize = 4;
        let mut recent = self.names.iter().enumerate().rev().take(TURNS);
        let found = recent.find(|(_, span)| span.of(&self.text) == name).map(|(index, _)| index);
        let index = if let Some(index) = found {
            index
        } else {
            let span = self.append(name)?;
            self.names.push(span);
            self.names.len() - 1
        };
        u32::try_from(index).map_err(|_| TooLarge)
    }

    /// `candidate` if it holds this text, or else a new copy.
    fn share(&mut self, text: &str, candidate: Option<Span>) -> Result<Span, TooLarge> {
        match candidate {
            Some(span) if span.of(&self.text) == text => Ok(span),
            _ => self.append(text),
        }
    }

    fn append(&mut self, text: &str) -> Result<Span, TooLarge> {
        let span = Span::new(self.text.len(), self.text.len() + text.len())?;
        self.text.push_str(text);
        Ok(span)
    }

    fn name(&self, index: u32) -> &str {
        self.names.get(index as usize).map_or("", |span| span.of(&self.text))
    }

    /// The samples, in the order in which they came.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Sample<'_>> {
        self.records.iter().map(|record| self.sample(record))
    }

    /// The sample at `index`, counted from 0 in the order in which they came.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Sample<'_>> {
        self.records.get(index).map(|record| self.sample(record))
    }

    fn sample(&self, record: &Record) -> Sample<'_> {
        let labels = self.labels.get(record.labels.start as usize..record.labels.end as usize).unwrap_or_default();
        Sample { name: self.name(record.name), labels: Labels { text: &self.text, labels }, value: record.value }
    }

    /// How many samples there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

impl<'a> Labels<'a> {
    /// The text of the label `name`. An absent label and an empty one are the same, as in Prometheus: `None`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a str> {
        let found = self.labels.binary_search_by(|label| label.name.of(self.text).cmp(name)).ok()?;
        self.labels.get(found).map(|label| label.value.of(self.text)).filter(|value| !value.is_empty())
    }

    /// Names and texts, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&'a str, &'a str)> + use<'a> {
        let text = self.text;
        self.labels.iter().map(move |label| (label.name.of(text), label.value.of(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_come_back_as_they_were_pushed_with_their_labels_sorted() {
        let mut samples = Samples::new();
        samples.push("up", [], Number::Signed(1)).unwrap();
        samples.push("http", [("path", "/"), ("code", "200")], Number::Float(0.5)).unwrap();
        samples.push("http", [("code", ""), ("path", "/x")], Number::Unsigned(u64::MAX)).unwrap();
        let read: Vec<_> = samples.iter().map(|s| (s.name, s.labels.iter().collect::<Vec<_>>(), s.value)).collect();
        assert_eq!(
            read,
            [
                ("up", vec![], Number::Signed(1)),
                ("http", vec![("code", "200"), ("path", "/")], Number::Float(0.5)),
                ("http", vec![("code", ""), ("path", "/x")], Number::Unsigned(u64::MAX)),
            ]
        );
        let last = samples.iter().last().unwrap();
        assert_eq!(last.labels.get("path"), Some("/x"));
        assert_eq!(last.labels.get("code"), None, "an empty label is an absent one");
        assert_eq!(last.labels.get("nope"), None);
    }
}
