//! Which part of its samples an object uses (texts, numbers or quantiles), and how these become one value.

use std::time::Duration;

use sidecar_config::{Aggregate, CounterReset, MetricValue, Round, Syntax};

use super::{
    counter::Counters,
    number::{Num, Scale},
    rate::Rates,
    retention::Renumbering,
};

/// The part of the samples that an object uses.
#[derive(Debug)]
pub(super) enum Extraction {
    /// The text of a label.
    Label(String),
    /// The numbers.
    Numbers { kind: NumberKind, conversion: Conversion },
    /// A quantile of a histogram or summary.
    Quantile { quantile: f64, buckets: String, rates: Option<Rates>, conversion: Conversion },
}

/// The number that is used of each series.
#[derive(Debug)]
pub(super) enum NumberKind {
    /// The number of the sample.
    Plain,
    /// A total that continues when the series falls.
    Continued(Counters),
    /// The increase per second.
    Rate(Rates),
}

/// How the numbers of the series of a row become one number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conversion {
    pub(super) aggregate: Aggregate,
    scale: Option<Scale>,
    offset: Option<Num>,
    pub(super) round: Round,
}

impl Extraction {
    /// Compiles the extraction for the value of an object with this syntax.
    pub(super) fn new(value: &MetricValue, syntax: Syntax) -> Self {
        let conversion = Conversion {
            aggregate: value.aggregate,
            scale: value.scale.map(Scale::from),
            offset: value.offset.map(Num::from_decimal),
            round: value.round,
        };
        let rates = value.rate_ms.map(|window| Rates::new(Duration::from_millis(window)));
        match (&value.label, value.quantile) {
            (Some(label), _) => Self::Label(label.clone()),
            (None, Some(quantile)) => {
                Self::Quantile { quantile, buckets: format!("{}_bucket", value.metric), rates, conversion }
            }
            (None, None) => {
                let kind = match rates {
                    Some(rates) => NumberKind::Rate(rates),
                    None if syntax.is_counter() && value.counter_reset == CounterReset::Continue => {
                        NumberKind::Continued(Counters::default())
                    }
                    None => NumberKind::Plain,
                };
                Self::Numbers { kind, conversion }
            }
        }
    }

    /// Returns whether the series continue when they fall.
    pub(super) fn is_continued(&self) -> bool {
        matches!(self, Self::Numbers { kind: NumberKind::Continued(_), .. })
    }

    /// Applies the new row numbers.
    pub(super) fn renumber(&mut self, rows: &Renumbering) {
        match self {
            Self::Numbers { kind: NumberKind::Continued(counters), .. } => counters.renumber(rows),
            Self::Numbers { kind: NumberKind::Rate(rates), .. } | Self::Quantile { rates: Some(rates), .. } => {
                rates.renumber(rows);
            }
            Self::Numbers { kind: NumberKind::Plain, .. } | Self::Quantile { rates: None, .. } | Self::Label(_) => {}
        }
    }
}

impl NumberKind {
    /// Begins a scrape.
    pub(super) fn begin(&mut self) {
        match self {
            Self::Plain => {}
            Self::Continued(counters) => counters.begin(),
            Self::Rate(rates) => rates.begin(),
        }
    }

    /// Ends a scrape at the time `at`.
    pub(super) fn end(&mut self, at: Duration) {
        match self {
            Self::Plain => {}
            Self::Continued(counters) => counters.end(),
            Self::Rate(rates) => rates.end(at),
        }
    }
}

impl Conversion {
    /// Applies the scale, then the offset.
    pub(super) fn apply(&self, num: Num) -> Num {
        let scaled = self.scale.map_or(num, |scale| scale.apply(num));
        self.offset.map_or(scaled, |offset| scaled.add(offset))
    }
}
