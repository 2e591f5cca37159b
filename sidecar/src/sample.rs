//! Samples: a name, labels and a number. Everything that a source yields, and all that mapping knows.

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
    /// Lists of label names, each for all neighbours that have the same.
    label_names: Vec<Span>,
    label_values: Vec<Span>,
    records: Vec<Record>,
}

#[derive(Debug, Clone)]
struct Record {
    name: u32,
    label_names: u32,
    label_values: u32,
    label_count: u32,
    value: Number,
}

/// A part of the text. In one word, so that it is copied in one go.
#[derive(Debug, Clone, Copy)]
struct Span(u64);

/// A list of label names that samples have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LabelNames {
    start: u32,
    count: u32,
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
    names: &'a [Span],
    values: &'a [Span],
}

/// The samples no longer fit: more than 4 GiB of text, or more than 2³² labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the samples take more than 4 GiB")]
pub struct TooLarge;

impl Span {
    fn new(start: usize, end: usize) -> Result<Self, TooLarge> {
        if start.max(end) > u32::MAX as usize {
            return Err(TooLarge);
        }
        Ok(Self::within_limits(start, end))
    }

    /// A span of offsets that are known to fit.
    fn within_limits(start: usize, end: usize) -> Self {
        Self((start as u64) << 32 | end as u64)
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
        let (names_start, values_start) = (self.label_names.len(), self.label_values.len());
        // Neighbours on a page mostly have the same label names, and many of the same values: share their text.
        let neighbour = self.records.last().map(|last| (last.label_names as usize, last.label_values as usize));
        let neighbour_count = self.records.last().map_or(0, |last| last.label_count as usize);
        let mut same_names = true;
        for (position, (label_name, label_value)) in labels.into_iter().enumerate() {
            let like = neighbour.filter(|_| position < neighbour_count);
            let name_like = like.and_then(|(names, _)| self.label_names.get(names + position).copied());
            let value_like = like.and_then(|(_, values)| self.label_values.get(values + position).copied());
            let (label_name, shared) = self.share(label_name, name_like)?;
            let (label_value, _) = self.share(label_value, value_like)?;
            same_names &= shared;
            self.label_names.push(label_name);
            self.label_values.push(label_value);
        }
        let count = self.label_values.len() - values_start;
        let names_start = match neighbour {
            Some((names, _)) if same_names && count == neighbour_count => {
                self.label_names.truncate(names_start);
                names
            }
            _ => {
                self.sort(names_start, values_start);
                names_start
            }
        };
        let number = |n: usize| u32::try_from(n).map_err(|_| TooLarge);
        let (label_names, label_values) = (number(names_start)?, number(values_start)?);
        self.records.push(Record { name, label_names, label_values, label_count: number(count)?, value });
        Ok(())
    }

    /// Adds label names, sorted, for [`push_part`](Self::push_part).
    pub(crate) fn add_label_names<'l>(
        &mut self,
        names: impl IntoIterator<Item = &'l str>,
    ) -> Result<LabelNames, TooLarge> {
        let start = self.label_names.len();
        for name in names {
            let name = self.append(name)?;
            self.label_names.push(name);
        }
        let number = |n: usize| u32::try_from(n).map_err(|_| TooLarge);
        Ok(LabelNames { start: number(start)?, count: number(self.label_names.len() - start)? })
    }

    /// Appends a sample whose label values are all in one piece of text, at these places of it, in the order of the
    /// names: faster than [`push`](Self::push), as the text is copied whole.
    pub(crate) fn push_part(
        &mut self,
        name: &str,
        names: LabelNames,
        part: &str,
        values: impl Iterator<Item = (usize, usize)>,
        value: Number,
    ) -> Result<(), TooLarge> {
        let name = self.intern(name)?;
        let number = |n: usize| u32::try_from(n).map_err(|_| TooLarge);
        let label_values = number(self.label_values.len())?;
        let start = self.text.len();
        // No value lies behind the part's end.
        Span::new(start, start + part.len())?;
        self.text.push_str(part);
        self.label_values.extend(values.map(|(from, to)| Span::within_limits(start + from, start + to)));
        let LabelNames { start: label_names, count: label_count } = names;
        self.records.push(Record { name, label_names, label_values, label_count, value });
        Ok(())
    }

    /// Sorts the last labels by name.
    fn sort(&mut self, names_start: usize, values_start: usize) {
        let (Some(names), Some(values)) =
            (self.label_names.get_mut(names_start..), self.label_values.get_mut(values_start..))
        else {
            return;
        };
        if names.is_sorted_by_key(|name| name.of(&self.text)) {
            return;
        }
        let mut sorted: Vec<_> = names.iter().copied().zip(values.iter().copied()).collect();
        sorted.sort_unstable_by(|(a, _), (b, _)| a.of(&self.text).cmp(b.of(&self.text)));
        for ((name, value), sorted) in names.iter_mut().zip(values).zip(sorted) {
            (*name, *value) = sorted;
        }
    }

    /// The number of the name, which is stored once for a run of samples, also where a few names take turns, as
    /// those of a histogram do.
    fn intern(&mut self, name: &str) -> Result<u32, TooLarge> {
        const TURNS: usize = 4;
        if let Some(last) = self.records.last().filter(|last| self.name(last.name) == name) {
            return Ok(last.name);
        }
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

    /// `candidate` if it holds this text, or else a new copy; and whether it does.
    fn share(&mut self, text: &str, candidate: Option<Span>) -> Result<(Span, bool), TooLarge> {
        match candidate {
            Some(span) if span.of(&self.text) == text => Ok((span, true)),
            _ => Ok((self.append(text)?, false)),
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
        let count = record.label_count as usize;
        let labels = Labels {
            text: &self.text,
            names: part(&self.label_names, record.label_names as usize, count),
            values: part(&self.label_values, record.label_values as usize, count),
        };
        Sample { name: self.name(record.name), labels, value: record.value }
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
        let found = self.names.binary_search_by(|label| label.of(self.text).cmp(name)).ok()?;
        self.values.get(found).map(|value| value.of(self.text)).filter(|value| !value.is_empty())
    }

    /// Names and texts, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&'a str, &'a str)> + use<'a> {
        let text = self.text;
        self.names.iter().zip(self.values).map(move |(name, value)| (name.of(text), value.of(text)))
    }
}

fn part(spans: &[Span], start: usize, count: usize) -> &[Span] {
    spans.get(start..start + count).unwrap_or_default()
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
        let last = samples.get(2).unwrap();
        assert!(samples.get(3).is_none());
        assert_eq!(last.labels.get("path"), Some("/x"));
        assert_eq!(last.labels.get("code"), None, "an empty label is an absent one");
        assert_eq!(last.labels.get("nope"), None);
    }
}
