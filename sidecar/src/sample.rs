//! Samples: a name, labels and a number. Everything that a source yields, and all that mapping knows.

/// The label of samples that are texts rather than numbers: it holds the text. Prometheus keeps such names to itself.
pub const TEXT: &str = "__text__";

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
    /// The number that `text` is, as decimal notation has it; 1 and 0 for `true` and `false`.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        match text {
            "true" => return Some(Self::Signed(1)),
            "false" => return Some(Self::Signed(0)),
            // Words as inf, which Rust reads too, are none of ours.
            _ if !text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E')) => {
                return None;
            }
            _ => {}
        }
        let signed = || text.parse().ok().map(Self::Signed);
        let unsigned = || text.parse().ok().map(Self::Unsigned);
        let float = || text.parse().ok().map(Self::Float);
        signed().or_else(unsigned).or_else(float)
    }

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
///
/// A sample costs 16 bytes, its labels' texts and a byte more for each (two from 64 bytes on). Its name, and those of
/// its labels, are stored once for a run of samples that have the same.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    text: String,
    families: Vec<Family>,
    /// Those of the families.
    label_names: Vec<Span>,
    records: Vec<Record>,
}

/// What neighbours have in common.
#[derive(Debug, Clone, Copy)]
struct Family {
    name: Span,
    label_names: LabelNames,
}

#[derive(Debug, Clone, Copy)]
struct Record {
    /// The number of its family, and of which variant the value is.
    family: u32,
    /// Where in the text the labels' texts begin: see [`append_counted`].
    label_texts: u32,
    bits: u64,
}

/// In a list of families, those that take turns on a page, as the samples of a histogram do: so many are looked at.
const TURNS: usize = 4;

/// A part of the text. In one word, so that it is copied in one go.
#[derive(Debug, Clone, Copy)]
struct Span(u64);

/// A list of label names that samples have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LabelNames {
    start: u32,
    count: u32,
}

/// The number of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FamilyNumber(u32);

/// Where the texts of a sample's labels begin, which were appended before the sample.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AppendedTexts(u32);

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
    /// Begins with the labels' texts.
    texts: &'a str,
}

/// The samples no longer fit: more than 4 GiB of text, or more than 2³⁰ names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the samples take more than 4 GiB")]
pub struct TooLarge;

impl Span {
    fn of(self, text: &str) -> &str {
        let range = usize::try_from(self.0 >> 32).ok().zip(usize::try_from(self.0 & u64::from(u32::MAX)).ok());
        range.and_then(|(start, end)| text.get(start..end)).unwrap_or_default()
    }
}

impl Record {
    const SIGNED: u32 = 0;
    const UNSIGNED: u32 = 1;
    const FLOAT: u32 = 2;

    fn new(FamilyNumber(family): FamilyNumber, label_texts: u32, value: Number) -> Self {
        let (variant, bits) = match value {
            Number::Signed(v) => (Self::SIGNED, v.cast_unsigned()),
            Number::Unsigned(v) => (Self::UNSIGNED, v),
            Number::Float(v) => (Self::FLOAT, v.to_bits()),
        };
        Self { family: family << 2 | variant, label_texts, bits }
    }

    fn family(&self) -> FamilyNumber {
        FamilyNumber(self.family >> 2)
    }

    fn value(&self) -> Number {
        match self.family & 3 {
            Self::SIGNED => Number::Signed(self.bits.cast_signed()),
            Self::UNSIGNED => Number::Unsigned(self.bits),
            _ => Number::Float(f64::from_bits(self.bits)),
        }
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
        let mut labels: Vec<_> = labels.into_iter().collect();
        labels.sort_unstable_by_key(|(name, _)| *name);
        let family = self.add_family(name, labels.iter().map(|(name, _)| *name))?;
        let texts = self.append_texts(labels.iter().map(|(_, text)| *text))?;
        self.push_appended(family, texts, value);
        Ok(())
    }

    /// Appends a sample that is a text: its label [`TEXT`] holds it, and its value is the number that it is, or NaN.
    ///
    /// # Errors
    /// [`TooLarge`]; nothing is appended then.
    pub fn push_text<'l>(
        &mut self,
        name: &str,
        labels: impl IntoIterator<Item = (&'l str, &'l str)>,
        text: &'l str,
    ) -> Result<(), TooLarge> {
        let value = Number::read(text).unwrap_or(Number::Float(f64::NAN));
        self.push(name, labels.into_iter().chain([(TEXT, text)]), value)
    }

    /// Adds a family for [`push_appended`](Self::push_appended), with its labels' names in their order, unless it was
    /// added lately.
    pub(crate) fn add_family<'l>(
        &mut self,
        name: &str,
        label_names: impl Iterator<Item = &'l str> + Clone,
    ) -> Result<FamilyNumber, TooLarge> {
        let recent = self.families.len().saturating_sub(TURNS);
        let families = || (recent..).zip(self.families.iter().skip(recent));
        let same_labels = |family: &Family| self.label_names(family).eq(label_names.clone());
        let same = |family: &Family| family.name.of(&self.text) == name && same_labels(family);
        if let Some((index, _)) = families().find(|(_, family)| same(family)) {
            return Ok(FamilyNumber(number(index)?));
        }
        let alike = families().find(|(_, family)| same_labels(family)).map(|(_, family)| family.label_names);
        let label_names = match alike {
            Some(label_names) => label_names,
            None => self.add_label_names(label_names)?,
        };
        let index = number(self.families.len())?;
        let name = self.append(name)?;
        self.families.push(Family { name, label_names });
        // It shares its word with the value's variant.
        if index > u32::MAX >> 2 { Err(TooLarge) } else { Ok(FamilyNumber(index)) }
    }

    fn add_label_names<'l>(&mut self, names: impl Iterator<Item = &'l str>) -> Result<LabelNames, TooLarge> {
        let start = self.label_names.len();
        for name in names {
            let name = self.append(name)?;
            self.label_names.push(name);
        }
        Ok(LabelNames { start: number(start)?, count: number(self.label_names.len() - start)? })
    }

    /// Appends texts for [`push_appended`](Self::push_appended): those of a sample's labels, in the order of their names.
    pub(crate) fn append_texts<'l>(&mut self, texts: impl Iterator<Item = &'l str>) -> Result<AppendedTexts, TooLarge> {
        let start = number(self.text.len())?;
        texts.for_each(|text| append_counted(&mut self.text, text));
        Ok(AppendedTexts(start))
    }

    /// The texts that were appended last, in one piece: the same for the same texts, and for no others.
    pub(crate) fn appended(&self, AppendedTexts(start): AppendedTexts) -> &str {
        self.text.get(start as usize..).unwrap_or_default()
    }

    /// Removes the texts that were appended last.
    pub(crate) fn remove_appended(&mut self, AppendedTexts(start): AppendedTexts) {
        self.text.truncate(start as usize);
    }

    /// Whether the sample at `index` has this family's name and label names, and the texts appended last.
    pub(crate) fn is_like(&self, index: u32, family: FamilyNumber, texts: AppendedTexts) -> bool {
        let Some(record) = self.records.get(index as usize) else { return false };
        let same_names = || match (self.family(record.family()), self.family(family)) {
            (Some(a), Some(b)) => {
                a.name.of(&self.text) == b.name.of(&self.text) && self.label_names(a).eq(self.label_names(b))
            }
            _ => false,
        };
        let theirs = self.text.get(record.label_texts as usize..).unwrap_or_default();
        (record.family() == family || same_names()) && theirs.as_bytes().starts_with(self.appended(texts).as_bytes())
    }

    /// Appends a sample of this family, whose labels' texts were appended last.
    pub(crate) fn push_appended(&mut self, family: FamilyNumber, AppendedTexts(start): AppendedTexts, value: Number) {
        self.records.push(Record::new(family, start, value));
    }

    /// The name of a family.
    pub(crate) fn family_name(&self, number: FamilyNumber) -> &str {
        self.family(number).map_or("", |family| family.name.of(&self.text))
    }

    fn append(&mut self, text: &str) -> Result<Span, TooLarge> {
        let (start, end) = (number(self.text.len())?, number(self.text.len() + text.len())?);
        self.text.push_str(text);
        Ok(Span(u64::from(start) << 32 | u64::from(end)))
    }

    fn family(&self, FamilyNumber(number): FamilyNumber) -> Option<&Family> {
        self.families.get(number as usize)
    }

    fn label_names(&self, family: &Family) -> impl Iterator<Item = &str> {
        self.label_spans(family).iter().map(|name| name.of(&self.text))
    }

    fn label_spans(&self, family: &Family) -> &[Span] {
        let LabelNames { start, count } = family.label_names;
        self.label_names.get(start as usize..start as usize + count as usize).unwrap_or_default()
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
        let family = self.family(record.family());
        let labels = Labels {
            text: &self.text,
            names: family.map_or(&[], |family| self.label_spans(family)),
            texts: self.text.get(record.label_texts as usize..).unwrap_or_default(),
        };
        Sample { name: family.map_or("", |family| family.name.of(&self.text)), labels, value: record.value() }
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

impl<'a> Sample<'a> {
    /// The text of a sample that is one, which may be empty.
    #[must_use]
    pub fn text(&self) -> Option<&'a str> {
        self.labels.find(TEXT)
    }
}

impl<'a> Labels<'a> {
    /// The text of the label `name`. An absent label and an empty one are the same, as in Prometheus: `None`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.find(name).filter(|text| !text.is_empty())
    }

    fn find(&self, name: &str) -> Option<&'a str> {
        let found = self.names.binary_search_by(|label| label.of(self.text).cmp(name)).ok()?;
        self.texts().nth(found)
    }

    /// Names and texts, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&'a str, &'a str)> + use<'a> {
        let (text, mut texts) = (self.text, self.texts());
        self.names.iter().map(move |name| (name.of(text), texts.next().unwrap_or_default()))
    }

    /// The labels' texts, and whatever is behind them.
    fn texts(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let mut rest = self.texts;
        std::iter::from_fn(move || {
            let (text, behind) = split_counted(rest)?;
            rest = behind;
            Some(text)
        })
    }
}

fn number(n: usize) -> Result<u32, TooLarge> {
    u32::try_from(n).map_err(|_| TooLarge)
}

/// Appends `part` behind its length, which is written in characters of six bits each, the lowest first; all but the
/// last have a seventh bit set.
fn append_counted(text: &mut String, part: &str) {
    let mut length = part.len();
    while length >= 64 {
        text.push(char::from(64 | six_bits(length)));
        length /= 64;
    }
    text.push(char::from(six_bits(length)));
    text.push_str(part);
}

#[allow(clippy::cast_possible_truncation)] // To these bits it is meant to be cut.
fn six_bits(number: usize) -> u8 {
    number as u8 % 64
}

/// The first part of a text that [`append_counted`] wrote, and what is behind it.
fn split_counted(text: &str) -> Option<(&str, &str)> {
    let mut length = 0;
    for (place, byte) in text.bytes().enumerate().take(6) {
        length |= usize::from(byte % 64) << (6 * place);
        if byte < 64 {
            return text.get(place + 1..)?.split_at_checked(length);
        }
    }
    None
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

    #[test]
    fn texts_are_numbers_where_they_read_as_such() {
        let read = |text| Number::read(text);
        assert_eq!(read("42"), Some(Number::Signed(42)));
        assert_eq!(read("-9223372036854775808"), Some(Number::Signed(i64::MIN)));
        assert_eq!(read("18446744073709551615"), Some(Number::Unsigned(u64::MAX)));
        assert_eq!(read("1.5e3"), Some(Number::Float(1500.0)));
        assert_eq!((read("true"), read("false")), (Some(Number::Signed(1)), Some(Number::Signed(0))));
        for text in ["", "inf", "NaN", "0x10", "1 ", "12a", "e", "--1"] {
            assert_eq!(read(text), None, "{text:?}");
        }
        let mut samples = Samples::new();
        samples.push_text("level", [("zone", "a")], "warn").unwrap();
        samples.push_text("level", [], "").unwrap();
        samples.push("level", [], Number::Signed(1)).unwrap();
        let sample = samples.get(0).unwrap();
        assert!(sample.value.as_f64().is_nan());
        assert_eq!(sample.labels.get("zone"), Some("a"));
        assert_eq!(samples.iter().map(|sample| sample.text()).collect::<Vec<_>>(), [Some("warn"), Some(""), None]);
    }

    #[test]
    fn texts_of_any_length_come_back() {
        let texts: Vec<_> = [0, 1, 63, 64, 4095, 4096, 300_000, 5].map(|length| "é".repeat(length)).into();
        let mut samples = Samples::new();
        let names: Vec<_> = (0..texts.len()).map(|label| format!("l{label}")).collect();
        let labels = || names.iter().map(String::as_str).zip(texts.iter().map(String::as_str));
        samples.push("m", labels(), Number::Signed(-1)).unwrap();
        samples.push("m", labels().rev(), Number::Signed(i64::MIN)).unwrap();
        for sample in samples.iter() {
            assert!(sample.labels.iter().eq(labels()));
            assert_eq!(sample.labels.get("l6"), Some(texts[6].as_str()));
        }
        assert_eq!(samples.get(1).unwrap().value, Number::Signed(i64::MIN));
        assert_eq!(samples.label_names.len(), texts.len(), "names are stored once");
    }
}
