//! One object, scalar or column: from the samples of its metric to a value per row.

use std::{collections::BTreeMap, time::Duration};

use agentx::{Value, ValueRef};
use sidecar_config::{OnMissing, Syntax, Violation};

use super::{
    cells::{Cells, Now},
    counts::{Counts, Reason},
    ledger::Ledger,
    matcher::Matcher,
    page::Page,
    rows::{Locate, Renumbering},
    syntax,
    take::Take,
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
    /// Numbers that texts stand for.
    enumeration: BTreeMap<String, i32>,
    take: Take,
    missing: Missing,
    cells: Cells,
}

#[derive(Debug)]
enum Missing {
    Nothing,
    Hold,
    Show(Value),
}

impl Object {
    /// Compiles the object `name`, whose value is at `path` in the document; `enumeration` has the names of its values, and
    /// `source` finds a source by its name.
    ///
    /// # Errors
    /// A source that does not exist, a regular expression that does not compile, a constant that does not read as the
    /// object's syntax.
    pub(super) fn new(
        name: &str,
        syntax: Syntax,
        enumeration: &BTreeMap<String, i32>,
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
                    enumeration: enumeration.clone(),
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
        let Metric { name, matcher, enumeration, take, missing, cells, .. } = metric.as_mut();
        cells.begin();
        let mut ledger = Ledger { object: &self.name, syntax: self.syntax, enumeration, rows, cells, counts };
        let samples = || page.named(name).filter(|sample| matcher.matches(&sample.labels));
        match take {
            Take::Label(label) => ledger.texts(samples(), |sample| sample.labels.get(label)),
            Take::Numbers { of, shape } if self.syntax.is_string() => {
                ledger.texts(samples(), Sample::text);
                ledger.numbers(samples().filter(|sample| sample.text().is_none()), of, *shape, at);
            }
            Take::Numbers { of, shape } => ledger.numbers(samples(), of, *shape, at),
            Take::Quantile { quantile, buckets, rates, shape } => {
                let buckets = page.named(buckets).filter(|sample| matcher.matches(&sample.labels));
                let histograms = ledger.histograms(buckets, rates.as_mut(), at);
                ledger.quantiles(samples(), histograms, *quantile, *shape);
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
        metric.take.renumber(rows);
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
