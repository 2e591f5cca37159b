//! An object (a scalar or a column), with a value per row that is computed from the samples of its metric.

use std::{collections::BTreeMap, time::Duration};

use agentx::{Value, ValueRef};
use sidecar_config::{OnMissing, Syntax, Violation};

use super::{
    cells::{CellState, Cells},
    counts::{Counts, Reason},
    evaluation::Evaluation,
    extraction::Extraction,
    matcher::Matcher,
    retention::Renumbering,
    rows::LocateRow,
    samples_by_name::SamplesByName,
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

/// An object that is computed from samples.
#[derive(Debug)]
struct Metric {
    source: usize,
    name: String,
    matcher: Matcher,
    /// The numbers of the texts that the enumeration names.
    enumeration: BTreeMap<String, i32>,
    extraction: Extraction,
    on_missing: Missing,
    cells: Cells,
}

#[derive(Debug)]
enum Missing {
    Nothing,
    Hold,
    Show(Value),
}

impl Object {
    /// Compiles the object `name`, whose value is at `path` in the document. `enumeration` has the names of its values,
    /// and `source` returns the position of a source by its name.
    ///
    /// # Errors
    /// Returns a violation if the source does not exist, a regular expression is invalid, or a constant is not a value
    /// of the object's syntax.
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
                let on_missing = match &value.on_missing {
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
                    extraction: Extraction::new(value, syntax),
                    on_missing,
                    cells: Cells::new(syntax),
                }))
            }
        };
        Ok(Self { name: name.to_owned(), syntax, kind })
    }

    /// Returns the position of the source of the samples, or `None` for a constant.
    pub(super) fn source(&self) -> Option<usize> {
        self.metric().map(|metric| metric.source)
    }

    /// Sets the new position of the source.
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

    /// Returns the name of the metric in the configuration. It is empty for a constant.
    pub(super) fn metric_name(&self) -> &str {
        self.metric().map_or("", |metric| &metric.name)
    }

    /// Returns the names of the samples that the object uses.
    pub(super) fn sample_names(&self) -> impl Iterator<Item = &str> {
        self.metric().into_iter().flat_map(|metric| {
            let buckets = match &metric.extraction {
                Extraction::Quantile { buckets, .. } => Some(buckets.as_str()),
                Extraction::Label(_) | Extraction::Numbers { .. } => None,
            };
            std::iter::once(metric.name.as_str()).chain(buckets)
        })
    }

    /// Processes the samples of a scrape at the time `at`.
    pub(super) fn observe(
        &mut self,
        samples: &SamplesByName<'_>,
        at: Duration,
        rows: &mut impl LocateRow,
        counts: &mut Counts,
    ) {
        let Kind::Metric(metric) = &mut self.kind else { return };
        let Metric { name, matcher, enumeration, extraction, on_missing, cells, .. } = metric.as_mut();
        cells.begin();
        let mut evaluation = Evaluation { object: &self.name, syntax: self.syntax, enumeration, rows, cells, counts };
        let selected = || samples.named(name).filter(|sample| matcher.matches(&sample.labels));
        match extraction {
            Extraction::Label(label) => evaluation.texts(selected(), |sample| sample.labels.get(label)),
            Extraction::Numbers { kind, conversion } if self.syntax.is_string() => {
                evaluation.texts(selected(), Sample::text);
                evaluation.numbers(selected().filter(|sample| sample.text().is_none()), kind, *conversion, at);
            }
            Extraction::Numbers { kind, conversion } => evaluation.numbers(selected(), kind, *conversion, at),
            Extraction::Quantile { quantile, buckets, rates, conversion } => {
                let buckets = samples.named(buckets).filter(|sample| matcher.matches(&sample.labels));
                let histograms = evaluation.histograms(buckets, rates.as_mut(), at);
                evaluation.quantiles(selected(), histograms, *quantile, *conversion);
            }
        }
        cells.end(matches!(on_missing, Missing::Hold));
    }

    /// Returns whether the latest scrape has samples for the row. If that scrape is no longer `fresh`, this is true
    /// only for an object that holds its values.
    pub(super) fn has_row(&self, row: u32, fresh: bool) -> bool {
        self.metric().is_some_and(|metric| {
            (fresh || matches!(metric.on_missing, Missing::Hold)) && metric.cells.state(row) != CellState::Absent
        })
    }

    /// Returns the value of the row: the computed value while the latest scrape is `fresh`, or else the value
    /// that `onMissing` defines. `None`: the row has no instance.
    pub(super) fn value(&self, row: u32, fresh: bool) -> Option<ValueRef<'_>> {
        let metric = match &self.kind {
            Kind::Constant(value) => return Some(value.as_ref()),
            Kind::Metric(metric) => metric,
        };
        match metric.cells.state(row) {
            CellState::Value if fresh => metric.cells.last(row),
            CellState::Withheld if fresh => None,
            _ => match &metric.on_missing {
                Missing::Nothing => None,
                Missing::Hold => metric.cells.last(row),
                // A counter that continues does not fall to the replacement value.
                Missing::Show(value) => {
                    metric.extraction.is_continued().then(|| metric.cells.last(row)).flatten().or(Some(value.as_ref()))
                }
            },
        }
    }

    /// Applies the new row numbers.
    pub(super) fn renumber(&mut self, rows: &Renumbering) {
        let Kind::Metric(metric) = &mut self.kind else { return };
        metric.cells.renumber(rows);
        metric.extraction.renumber(rows);
    }
}

fn constant(syntax: Syntax, text: &str, path: &str, field: &str) -> Result<Value, Violation> {
    // A text must not be changed. Other values are parsed as the validation parses them.
    let parsed = if syntax.is_string() {
        syntax::from_text(syntax, text)
    } else {
        syntax.read_text(text).map(|value| (value, None)).map_err(|_| Reason::Unreadable)
    };
    match parsed {
        Ok((value, None)) => Ok(value),
        Ok((_, Some(reason))) | Err(reason) => Err(Violation {
            path: format!("{path}.{field}"),
            message: format!("{text:?} is not valid as {syntax:?}: {reason}"),
        }),
    }
}
