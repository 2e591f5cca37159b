//! Samples: a name, labels and a number.
//!
//! Every source yields samples, and they are the only input of `mapping`.

/// The label that holds the text of a sample whose value is a text. Prometheus reserves label names that begin with
/// `__`.
pub(crate) const TEXT: &str = "__text__";

/// The value of a sample. Integer literals of up to 64 bits are exact.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// An integer that fits in `i64`.
    Signed(i64),
    /// An integer above `i64::MAX`.
    Unsigned(u64),
    /// Any other number, including the infinities and NaN.
    Float(f64),
}

impl Number {
    /// Parses a number in decimal notation. `true` is 1 and `false` is 0.
    #[must_use]
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "true" => return Some(Self::Signed(1)),
            "false" => return Some(Self::Signed(0)),
            // Rust also parses words such as `inf`; these are texts here.
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

    /// Returns the integer, if the number was written as one.
    #[must_use]
    pub fn as_integer(self) -> Option<i128> {
        match self {
            Self::Signed(v) => Some(v.into()),
            Self::Unsigned(v) => Some(v.into()),
            Self::Float(_) => None,
        }
    }

    /// Returns the nearest double.
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

/// The samples of one collection, in the order of their source, in a few allocations.
///
/// A sample takes 16 bytes, and each of its label values takes its length plus one byte (two bytes from 64 bytes on).
/// The name and the label names are stored once for a run of samples that share them.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    text: String,
    families: Vec<Family>,
    /// The label names of all families.
    label_names: Vec<Span>,
    records: Vec<Record>,
}

/// The name and label names that neighbouring samples share.
#[derive(Debug, Clone, Copy)]
struct Family {
    name: Span,
    label_names: LabelNames,
}

#[derive(Debug, Clone, Copy)]
struct Record {
    /// The family ID in the upper 30 bits, and the variant of the value in the lower two.
    family: u32,
    /// Offset of the label values in the text. See [`append_counted`] for their encoding.
    label_texts: u32,
    bits: u64,
}

/// How many of the latest families are searched for an equal one. Families can alternate, for example the `_bucket`,
/// `_count` and `_sum` samples of histograms.
const RECENT_FAMILIES: usize = 4;

/// A range of the text: start and end, packed into one word so that a copy is one instruction.
#[derive(Debug, Clone, Copy)]
struct Span(u64);

/// A range of [`Samples::label_names`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LabelNames {
    start: u32,
    count: u32,
}

/// The position of a family in its [`Samples`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FamilyId(u32);

/// The offset of label values that were appended before their sample.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AppendedTexts(u32);

/// One sample, borrowed from its [`Samples`].
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// The metric name, for example `http_requests_total`.
    pub name: &'a str,
    /// The labels, sorted by name.
    pub labels: Labels<'a>,
    /// The value.
    pub value: Number,
}

/// A sample's labels, sorted by name.
#[derive(Debug, Clone, Copy)]
pub struct Labels<'a> {
    text: &'a str,
    names: &'a [Span],
    /// The part of the text that begins with the label values.
    texts: &'a str,
}

/// The samples exceed what [`Samples`] can address: 4 GiB of text or 2³⁰ families.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the samples take more than 4 GiB")]
pub struct CapacityError;

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

    fn new(FamilyId(family): FamilyId, label_texts: u32, value: Number) -> Self {
        let (variant, bits) = match value {
            Number::Signed(v) => (Self::SIGNED, v.cast_unsigned()),
            Number::Unsigned(v) => (Self::UNSIGNED, v),
            Number::Float(v) => (Self::FLOAT, v.to_bits()),
        };
        Self { family: family << 2 | variant, label_texts, bits }
    }

    fn family(&self) -> FamilyId {
        FamilyId(self.family >> 2)
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
    /// Creates an empty list.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a sample. The labels need not be sorted; their names must differ.
    ///
    /// # Errors
    /// Returns an error, and does not add the sample, if the samples become too large.
    pub fn push<'l>(
        &mut self,
        name: &str,
        labels: impl IntoIterator<Item = (&'l str, &'l str)>,
        value: Number,
    ) -> Result<(), CapacityError> {
        let mut labels: Vec<_> = labels.into_iter().collect();
        labels.sort_unstable_by_key(|(name, _)| *name);
        let family = self.add_family(name, labels.iter().map(|(name, _)| *name))?;
        let texts = self.append_texts(labels.iter().map(|(_, text)| *text))?;
        self.push_appended(family, texts, value);
        Ok(())
    }

    /// Appends a sample whose value is a text. The label [`TEXT`] holds the text. The number is the text parsed as a
    /// number, or NaN.
    ///
    /// # Errors
    /// Returns an error, and does not add the sample, if the samples become too large.
    pub(crate) fn push_text<'l>(
        &mut self,
        name: &str,
        labels: impl IntoIterator<Item = (&'l str, &'l str)>,
        text: &'l str,
    ) -> Result<(), CapacityError> {
        let value = Number::parse(text).unwrap_or(Number::Float(f64::NAN));
        self.push(name, labels.into_iter().chain([(TEXT, text)]), value)
    }

    /// Returns the family with this name and these sorted label names, for [`push_appended`](Self::push_appended). Adds
    /// it if none of the latest families is equal.
    pub(crate) fn add_family<'l>(
        &mut self,
        name: &str,
        label_names: impl Iterator<Item = &'l str> + Clone,
    ) -> Result<FamilyId, CapacityError> {
        let recent = self.families.len().saturating_sub(RECENT_FAMILIES);
        let families = || (recent..).zip(self.families.iter().skip(recent));
        let same_labels = |family: &Family| self.label_names(family).eq(label_names.clone());
        let same = |family: &Family| family.name.of(&self.text) == name && same_labels(family);
        if let Some((index, _)) = families().find(|(_, family)| same(family)) {
            return Ok(FamilyId(number(index)?));
        }
        let alike = families().find(|(_, family)| same_labels(family)).map(|(_, family)| family.label_names);
        let label_names = match alike {
            Some(label_names) => label_names,
            None => self.add_label_names(label_names)?,
        };
        let index = number(self.families.len())?;
        let name = self.append(name)?;
        self.families.push(Family { name, label_names });
        // The ID shares its word with the variant of the value.
        if index > u32::MAX >> 2 { Err(CapacityError) } else { Ok(FamilyId(index)) }
    }

    fn add_label_names<'l>(&mut self, names: impl Iterator<Item = &'l str>) -> Result<LabelNames, CapacityError> {
        let start = self.label_names.len();
        for name in names {
            let name = self.append(name)?;
            self.label_names.push(name);
        }
        Ok(LabelNames { start: number(start)?, count: number(self.label_names.len() - start)? })
    }

    /// Appends the label values of the next sample, in the order of the label names, for
    /// [`push_appended`](Self::push_appended).
    pub(crate) fn append_texts<'l>(
        &mut self,
        texts: impl Iterator<Item = &'l str>,
    ) -> Result<AppendedTexts, CapacityError> {
        let start = number(self.text.len())?;
        texts.for_each(|text| append_counted(&mut self.text, text));
        Ok(AppendedTexts(start))
    }

    /// Returns the encoded label values that were appended last. Equal values have equal encodings, and different
    /// values have different ones.
    pub(crate) fn appended(&self, AppendedTexts(start): AppendedTexts) -> &str {
        self.text.get(start as usize..).unwrap_or_default()
    }

    /// Removes the label values that were appended last.
    pub(crate) fn remove_appended(&mut self, AppendedTexts(start): AppendedTexts) {
        self.text.truncate(start as usize);
    }

    /// Returns whether the sample at `index` has the name and label names of this family, and the label values that
    /// were appended last.
    pub(crate) fn is_like(&self, index: u32, family: FamilyId, texts: AppendedTexts) -> bool {
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

    /// Appends a sample of this family with the label values that were appended last.
    pub(crate) fn push_appended(&mut self, family: FamilyId, AppendedTexts(start): AppendedTexts, value: Number) {
        self.records.push(Record::new(family, start, value));
    }

    /// Returns the name of a family.
    pub(crate) fn family_name(&self, number: FamilyId) -> &str {
        self.family(number).map_or("", |family| family.name.of(&self.text))
    }

    fn append(&mut self, text: &str) -> Result<Span, CapacityError> {
        let (start, end) = (number(self.text.len())?, number(self.text.len() + text.len())?);
        self.text.push_str(text);
        Ok(Span(u64::from(start) << 32 | u64::from(end)))
    }

    fn family(&self, FamilyId(number): FamilyId) -> Option<&Family> {
        self.families.get(number as usize)
    }

    fn label_names(&self, family: &Family) -> impl Iterator<Item = &str> {
        self.label_spans(family).iter().map(|name| name.of(&self.text))
    }

    fn label_spans(&self, family: &Family) -> &[Span] {
        let LabelNames { start, count } = family.label_names;
        self.label_names.get(start as usize..start as usize + count as usize).unwrap_or_default()
    }

    /// Returns the samples in the order in which they were added.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Sample<'_>> {
        self.records.iter().map(|record| self.sample(record))
    }

    /// Returns the sample at `index`, counted from 0.
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

    /// Returns the number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Returns whether there are no samples.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

impl<'a> Sample<'a> {
    /// Returns the text, possibly empty, if the value of the sample is a text.
    #[must_use]
    pub fn text(&self) -> Option<&'a str> {
        self.labels.find(TEXT)
    }
}

impl<'a> Labels<'a> {
    /// Returns the value of the label `name`. As in Prometheus, an empty label is the same as an absent one: `None`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.find(name).filter(|text| !text.is_empty())
    }

    fn find(&self, name: &str) -> Option<&'a str> {
        let found = self.names.binary_search_by(|label| label.of(self.text).cmp(name)).ok()?;
        self.texts().nth(found)
    }

    /// Returns the names and values, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&'a str, &'a str)> + use<'a> {
        let (text, mut texts) = (self.text, self.texts());
        self.names.iter().map(move |name| (name.of(text), texts.next().unwrap_or_default()))
    }

    /// Returns the label values, followed by whatever comes after them in the text.
    fn texts(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let mut rest = self.texts;
        std::iter::from_fn(move || {
            let (text, behind) = split_counted(rest)?;
            rest = behind;
            Some(text)
        })
    }
}

fn number(n: usize) -> Result<u32, CapacityError> {
    u32::try_from(n).map_err(|_| CapacityError)
}

/// Appends the length of `part`, then `part`. The length is written in characters of six bits each, the lowest bits
/// first. All characters but the last have the seventh bit set.
fn append_counted(text: &mut String, part: &str) {
    let mut length = part.len();
    while length >= 64 {
        text.push(char::from(64 | six_bits(length)));
        length /= 64;
    }
    text.push(char::from(six_bits(length)));
    text.push_str(part);
}

#[allow(clippy::cast_possible_truncation, reason = "only the lowest bits are wanted")]
fn six_bits(number: usize) -> u8 {
    number as u8 % 64
}

/// Splits a text that [`append_counted`] wrote into its first part and the rest.
fn split_counted(text: &str) -> Option<(&str, &str)> {
    let mut length = 0;
    for (position, byte) in text.bytes().enumerate().take(6) {
        length |= usize::from(byte % 64) << (6 * position);
        if byte < 64 {
            return text.get(position + 1..)?.split_at_checked(length);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_returned_in_order_with_sorted_labels() {
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
        assert_eq!(last.labels.get("code"), None, "an empty label counts as absent");
        assert_eq!(last.labels.get("nope"), None);
    }

    #[test]
    fn texts_that_are_decimal_numbers_are_parsed() {
        let read = |text| Number::parse(text);
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
    fn label_values_of_any_length_are_returned() {
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
