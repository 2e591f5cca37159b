//! One object, scalar or column: from the samples of its metric to a value per row.

use std::time::Duration;

use agentx::{Value, ValueRef};
use sidecar_config::{Aggregate, CounterReset, MetricValue, OnMissing, Round, Syntax, Violation};

use super::{
    aggregate::Total,
    cells::{Cells, Now},
    counter::Counters,
    counts::{Counts, Reason},
    matcher::Matcher,
    number::{Num, Scale},
    page::Page,
    quantile::{Histogram, NoQuantile},
    rate::Rates,
    rows::{Locate, Renumbering},
    syntax,
};
use crate::sample::Sample;

/// A scalar or a column, with its values.
#[derive(Debug)]
pub(super) struct Object {
    name: String,
    syntax: Syntax,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Constant(Value),
    Metric(Box<Metric>),
}

/// An object made from samples.
#[derive(Debug)]
struct Metric {
    source: usize,
    name: String,
    matcher: Matcher,
    take: Take,
    missing: Missing,
    cells: Cells,
}

/// What is taken of the samples.
#[derive(Debug)]
enum Take {
    /// The text of a label.
    Label(String),
    /// Their numbers.
    Numbers { of: Numbers, shape: Shape },
    /// A quantile of a histogram or summary.
    Quantile { quantile: f64, buckets: String, rates: Option<Rates>, shape: Shape },
}

/// Which number of each series.
#[derive(Debug)]
enum Numbers {
    /// As it is.
    Plain,
    /// Going on where the series falls.
    Continued(Counters),
    /// The increase per second.
    Rate(Rates),
}

/// From the series' numbers to one.
#[derive(Debug, Clone, Copy)]
struct Shape {
    aggregate: Aggregate,
    scale: Option<Scale>,
    offset: Option<Num>,
    round: Round,
}

#[derive(Debug)]
enum Missing {
    Nothing,
    Hold,
    Show(Value),
}

/// Where an object stands while a scrape is read: what to read into, and what to tell.
struct Ledger<'a, R> {
    object: &'a str,
    syntax: Syntax,
    rows: &'a mut R,
    cells: &'a mut Cells,
    counts: &'a mut Counts,
}

impl Object {
    /// Compiles the object `name`, whose value is at `path` in the document; `source` finds a source by its name.
    ///
    /// # Errors
    /// A source that does not exist, a regular expression that does not compile, a constant that does not read as the
    /// object's syntax.
    pub(super) fn new(
        name: &str,
        syntax: Syntax,
        value: &sidecar_config::Value,
        path: &str,
        source: impl Fn(&str) -> Option<usize>,
    ) -> Result<Self, Violation> {
        let kind = match value {
            sidecar_config::Value::Constant(text) => Kind::Constant(constant(syntax, text, path, "constant")?),
            sidecar_config::Value::Metric(value) => {
                let source = source(&value.source).ok_or_else(|| Violation {
                    path: format!("{path}.source"),
                    message: format!("there is no source {:?}", value.source),
                })?;
                let missing = match &value.on_missing {
                    OnMissing::NoSuchInstance => Missing::Nothing,
                    OnMissing::Hold => Missing::Hold,
                    OnMissing::Zero => Missing::Show(syntax::zero(syntax)),
                    OnMissing::Constant(text) => Missing::Show(constant(syntax, text, path, "onMissing")?),
                };
                Kind::Metric(Box::new(Metric {
                    source,
                    name: value.metric.clone(),
                    matcher: Matcher::new(value, path)?,
                    take: Take::new(value, syntax),
                    missing,
                    cells: Cells::new(syntax),
                }))
            }
        };
        Ok(Self { name: name.to_owned(), syntax, kind })
    }

    /// The source that the object's samples come from; `None` for a constant.
    pub(super) fn source(&self) -> Option<usize> {
        self.metric().map(|metric| metric.source)
    }

    /// Follows its source to another number.
    pub(super) fn set_source(&mut self, source: Option<usize>) {
        if let (Kind::Metric(metric), Some(source)) = (&mut self.kind, source) {
            metric.source = source;
        }
    }

    fn metric(&self) -> Option<&Metric> {
        match &self.kind {
            Kind::Constant(_) => None,
            Kind::Metric(metric) => Some(metric),
        }
    }

    /// The name of the metric in the configuration; empty for a constant.
    pub(super) fn metric_name(&self) -> &str {
        self.metric().map_or("", |metric| &metric.name)
    }

    /// The names of the samples that the object is made of.
    pub(super) fn sample_names(&self) -> impl Iterator<Item = &str> {
        self.metric().into_iter().flat_map(|metric| {
            let buckets = match &metric.take {
                Take::Quantile { buckets, .. } => Some(buckets.as_str()),
                Take::Label(_) | Take::Numbers { .. } => None,
            };
            std::iter::once(metric.name.as_str()).chain(buckets)
        })
    }

    /// Takes the samples of a scrape at the time `at`.
    pub(super) fn observe(&mut self, page: &Page<'_>, at: Duration, rows: &mut impl Locate, counts: &mut Counts) {
        let Kind::Metric(metric) = &mut self.kind else { return };
        let Metric { name, matcher, take, missing, cells, .. } = metric.as_mut();
        cells.begin();
        let mut ledger = Ledger { object: &self.name, syntax: self.syntax, rows, cells, counts };
        let samples = page.named(name).filter(|sample| matcher.matches(&sample.labels));
        match take {
            Take::Label(label) => ledger.texts(samples, label),
            Take::Numbers { of, shape } => ledger.numbers(samples, of, *shape, at),
            Take::Quantile { quantile, buckets, rates, shape } => {
                let buckets = page.named(buckets).filter(|sample| matcher.matches(&sample.labels));
                let histograms = ledger.histograms(buckets, rates.as_mut(), at);
                ledger.quantiles(samples, histograms, *quantile, *shape);
            }
        }
        cells.end(matches!(missing, Missing::Hold));
    }

    /// Whether the latest scrape has samples for the row; where it is too old to be `fresh`, only what is held counts.
    pub(super) fn has_row(&self, row: u32, fresh: bool) -> bool {
        self.metric().is_some_and(|metric| {
            (fresh || matches!(metric.missing, Missing::Hold)) && metric.cells.now(row) != Now::Absent
        })
    }

    /// What the row shows: its value while the latest scrape is `fresh`, or what is shown for none. `None`: no instance.
    pub(super) fn shows(&self, row: u32, fresh: bool) -> Option<ValueRef<'_>> {
        let metric = match &self.kind {
            Kind::Constant(value) => return Some(value.as_ref()),
            Kind::Metric(metric) => metric,
        };
        match metric.cells.now(row) {
            Now::Value if fresh => metric.cells.last(row),
            Now::Withheld if fresh => None,
            _ => match &metric.missing {
                Missing::Nothing => None,
                Missing::Hold => metric.cells.last(row),
                // A counter that goes on does not fall to what is shown for none.
                Missing::Show(value) => {
                    metric.take.continues().then(|| metric.cells.last(row)).flatten().or(Some(value.as_ref()))
                }
            },
        }
    }

    /// Follows the rows to their new numbers.
    pub(super) fn renumber(&mut self, rows: &Renumbering) {
        let Kind::Metric(metric) = &mut self.kind else { return };
        metric.cells.renumber(rows);
        match &mut metric.take {
            Take::Numbers { of: Numbers::Continued(counters), .. } => counters.renumber(rows),
            Take::Numbers { of: Numbers::Rate(rates), .. } | Take::Quantile { rates: Some(rates), .. } => {
                rates.renumber(rows);
            }
            Take::Numbers { of: Numbers::Plain, .. } | Take::Quantile { rates: None, .. } | Take::Label(_) => {}
        }
    }
}

fn constant(syntax: Syntax, text: &str, path: &str, field: &str) -> Result<Value, Violation> {
    // A text must stand unchanged; anything else is read as validation reads it.
    let read = if syntax.is_string() {
        syntax::from_text(syntax, text)
    } else {
        syntax.read_text(text).map(|value| (value, None)).map_err(|_| Reason::Unreadable)
    };
    match read {
        Ok((value, None)) => Ok(value),
        Ok((_, Some(reason))) | Err(reason) => Err(Violation {
            path: format!("{path}.{field}"),
            message: format!("{text:?} does not stand as {syntax:?}: {reason}"),
        }),
    }
}

impl Take {
    fn new(value: &MetricValue, syntax: Syntax) -> Self {
        let shape = Shape {
            aggregate: value.aggregate,
            scale: value.scale.map(Scale::from),
            offset: value.offset.map(Num::from),
            round: value.round,
        };
        let rates = value.rate_ms.map(|window| Rates::new(Duration::from_millis(window)));
        match (&value.label, value.quantile) {
            (Some(label), _) => Self::Label(label.clone()),
            (None, Some(quantile)) => {
                Self::Quantile { quantile, buckets: format!("{}_bucket", value.metric), rates, shape }
            }
            (None, None) => {
                let of = match rates {
                    Some(rates) => Numbers::Rate(rates),
                    None if syntax.is_counter() && value.counter_reset == CounterReset::Continue => {
                        Numbers::Continued(Counters::default())
                    }
                    None => Numbers::Plain,
                };
                Self::Numbers { of, shape }
            }
        }
    }

    fn continues(&self) -> bool {
        matches!(self, Self::Numbers { of: Numbers::Continued(_), .. })
    }
}

impl Numbers {
    fn begin(&mut self) {
        match self {
            Self::Plain => {}
            Self::Continued(counters) => counters.begin(),
            Self::Rate(rates) => rates.begin(),
        }
    }

    fn end(&mut self, at: Duration) {
        match self {
            Self::Plain => {}
            Self::Continued(counters) => counters.end(),
            Self::Rate(rates) => rates.end(at),
        }
    }
}

impl Shape {
    fn apply(&self, num: Num) -> Num {
        let scaled = self.scale.map_or(num, |scale| scale.apply(num));
        self.offset.map_or(scaled, |offset| scaled.add(offset))
    }
}

/// The item of a row in a list that grows as rows come.
fn at_row<T: Default>(items: &mut Vec<T>, row: u32) -> Option<&mut T> {
    let row = row as usize;
    if items.len() <= row {
        items.resize_with(row + 1, T::default);
    }
    items.get_mut(row)
}

fn with_rows<T>(items: Vec<T>) -> impl Iterator<Item = (u32, T)> {
    (0..).zip(items)
}

impl<R: Locate> Ledger<'_, R> {
    fn row(&mut self, sample: &Sample<'_>) -> Option<u32> {
        let row = self.rows.locate(&sample.labels, self.object, self.counts)?;
        if self.cells.now(row) == Now::Absent {
            self.cells.mark(row, Now::Missing);
        }
        Some(row)
    }

    fn count(&mut self, reason: Reason, row: u32) {
        let Self { object, rows, .. } = self;
        self.counts.add(reason, || match rows.describe(row) {
            texts if texts.is_empty() => (*object).to_owned(),
            texts => format!("{object} of {texts}"),
        });
    }

    /// Sets a row's value, or withholds it.
    fn show(&mut self, row: u32, shown: Result<syntax::Shown, Reason>) {
        match shown {
            Ok((value, note)) => {
                self.cells.set(row, value);
                if let Some(reason) = note {
                    self.count(reason, row);
                }
            }
            Err(reason) => {
                self.cells.mark(row, Now::Withheld);
                self.count(reason, row);
            }
        }
    }

    fn show_number(&mut self, row: u32, num: Num, shape: Shape) {
        self.show(row, syntax::from_number(self.syntax, shape.apply(num), shape.round));
    }

    /// Sets a counter that never falls: the rounding of sums of fractions could, and Min, Avg and Count do when series
    /// come and go.
    fn show_continued(&mut self, row: u32, num: Num, shape: Shape) {
        match syntax::count(shape.apply(num), shape.round) {
            Ok(count) => {
                let count = self.cells.last_count(row).map_or(count, |last| last.max(count));
                self.cells.set_count(row, count);
            }
            Err(reason) => self.show(row, Err(reason)),
        }
    }

    fn texts<'s>(&mut self, samples: impl Iterator<Item = Sample<'s>>, label: &str) {
        let mut smallest: Vec<Option<&str>> = Vec::new();
        let mut ambiguous = Vec::new();
        for sample in samples {
            let (Some(row), Some(text)) = (self.row(&sample), sample.labels.get(label)) else { continue };
            let Some(slot) = at_row(&mut smallest, row) else { continue };
            match slot {
                Some(other) if *other != text => {
                    ambiguous.push(row);
                    *other = text.min(*other);
                }
                _ => *slot = Some(text),
            }
        }
        for (row, text) in with_rows(smallest) {
            if let Some(text) = text {
                self.show(row, syntax::from_text(self.syntax, text));
            }
        }
        ambiguous.sort_unstable();
        ambiguous.dedup();
        for row in ambiguous {
            self.count(Reason::Ambiguous, row);
        }
    }

    fn numbers<'s>(&mut self, samples: impl Iterator<Item = Sample<'s>>, of: &mut Numbers, shape: Shape, at: Duration) {
        let mut totals: Vec<Total> = Vec::new();
        of.begin();
        for sample in samples {
            let Some(row) = self.row(&sample) else { continue };
            let num = Num::from(sample.value);
            let num = match of {
                Numbers::Plain => Some(num),
                Numbers::Rate(rates) => rates.advance(&sample.labels, row, num, at).map(Num::from),
                Numbers::Continued(counters) => {
                    let advanced = counters.advance(&sample.labels, row, num);
                    if advanced.is_none() {
                        self.count(Reason::Duplicate, row);
                    }
                    advanced
                }
            };
            if let (Some(num), Some(total)) = (num, at_row(&mut totals, row)) {
                total.add(shape.aggregate, num);
            }
        }
        if let Numbers::Continued(counters) = of
            && shape.aggregate == Aggregate::Sum
        {
            for (row, num) in counters.gone() {
                if let Some(total) = totals.get_mut(row as usize).filter(|total| !total.is_empty()) {
                    total.add(shape.aggregate, num);
                }
            }
        }
        of.end(at);
        let continued = matches!(of, Numbers::Continued(_));
        for (row, total) in with_rows(totals) {
            match total.result(shape.aggregate) {
                Some(num) if continued => self.show_continued(row, num, shape),
                Some(num) => self.show_number(row, num, shape),
                None => {}
            }
        }
    }

    /// The histogram of each row, from the samples of their buckets.
    fn histograms<'s>(
        &mut self,
        buckets: impl Iterator<Item = Sample<'s>>,
        mut rates: Option<&mut Rates>,
        at: Duration,
    ) -> Vec<Option<Histogram>> {
        let mut histograms: Vec<Option<Histogram>> = Vec::new();
        if let Some(rates) = rates.as_deref_mut() {
            rates.begin();
        }
        for sample in buckets {
            let Some(row) = self.row(&sample) else { continue };
            let Some(upper_bound) = sample.labels.get("le").and_then(|text| text.parse().ok()) else {
                self.count(Reason::BadHistogram, row);
                continue;
            };
            let count = match rates.as_deref_mut() {
                Some(rates) => rates.advance(&sample.labels, row, Num::from(sample.value), at),
                None => Some(sample.value.as_f64()),
            };
            if let (Some(count), Some(histogram)) = (count, at_row(&mut histograms, row)) {
                histogram.get_or_insert_default().add(upper_bound, count);
            }
        }
        if let Some(rates) = rates {
            rates.end(at);
        }
        histograms
    }

    /// The quantile of each row's histogram, or else of its summaries.
    fn quantiles<'s>(
        &mut self,
        summaries: impl Iterator<Item = Sample<'s>>,
        histograms: Vec<Option<Histogram>>,
        quantile: f64,
        shape: Shape,
    ) {
        let mut of_summaries: Vec<(bool, Total)> = Vec::new();
        for sample in summaries {
            let Some(of) = sample.labels.get("quantile").and_then(|text| text.parse::<f64>().ok()) else { continue };
            let Some(row) = self.row(&sample) else { continue };
            if let Some((known, total)) = at_row(&mut of_summaries, row) {
                let same = of.total_cmp(&quantile).is_eq();
                *known |= same;
                // NaN: the summary has observed nothing.
                if same && !Num::from(sample.value).is_nan() {
                    total.add(shape.aggregate, Num::from(sample.value));
                }
            }
        }
        for (row, histogram) in with_rows(histograms) {
            match histogram.map(|histogram| histogram.quantile(quantile)) {
                Some(Ok(value)) => self.show_number(row, Num::from(value), shape),
                Some(Err(NoQuantile::Malformed)) => self.count(Reason::BadHistogram, row),
                Some(Err(NoQuantile::Empty)) | None => {}
            }
        }
        for (row, (known, total)) in with_rows(of_summaries) {
            if self.cells.now(row) == Now::Missing {
                match total.result(shape.aggregate) {
                    Some(num) => self.show_number(row, num, shape),
                    None if !known => self.count(Reason::NoSuchQuantile, row),
                    None => {}
                }
            }
        }
    }
}
