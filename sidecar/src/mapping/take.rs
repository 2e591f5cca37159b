//! What an object takes of its samples: texts, numbers or quantiles, and how these become one value.

use std::time::Duration;

use sidecar_config::{Aggregate, CounterReset, MetricValue, Round, Syntax};

use super::{
    counter::Counters,
    number::{Num, Scale},
    rate::Rates,
    rows::Renumbering,
};

/// What is taken of the samples.
#[derive(Debug)]
pub(super) enum Take {
    /// The text of a label.
    Label(String),
    /// Their numbers.
    Numbers { of: Numbers, shape: Shape },
    /// A quantile of a histogram or summary.
    Quantile { quantile: f64, buckets: String, rates: Option<Rates>, shape: Shape },
}

/// Which number of each series.
#[derive(Debug)]
pub(super) enum Numbers {
    /// As it is.
    Plain,
    /// Going on where the series falls.
    Continued(Counters),
    /// The increase per second.
    Rate(Rates),
}

/// From the series' numbers to one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) aggregate: Aggregate,
    scale: Option<Scale>,
    offset: Option<Num>,
    pub(super) round: Round,
}

impl Take {
    /// Compiles what the value of an object of this syntax takes.
    pub(super) fn new(value: &MetricValue, syntax: Syntax) -> Self {
        let shape = Shape {
            aggregate: value.aggregate,
            scale: value.scale.map(Scale::from),
            offset: value.offset.map(Num::written),
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

    /// Whether its series go on where they fall.
    pub(super) fn continues(&self) -> bool {
        matches!(self, Self::Numbers { of: Numbers::Continued(_), .. })
    }

    /// Follows the rows to their new numbers.
    pub(super) fn renumber(&mut self, rows: &Renumbering) {
        match self {
            Self::Numbers { of: Numbers::Continued(counters), .. } => counters.renumber(rows),
            Self::Numbers { of: Numbers::Rate(rates), .. } | Self::Quantile { rates: Some(rates), .. } => {
                rates.renumber(rows);
            }
            Self::Numbers { of: Numbers::Plain, .. } | Self::Quantile { rates: None, .. } | Self::Label(_) => {}
        }
    }
}

impl Numbers {
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

impl Shape {
    /// Scale, then offset.
    pub(super) fn apply(&self, num: Num) -> Num {
        let scaled = self.scale.map_or(num, |scale| scale.apply(num));
        self.offset.map_or(scaled, |offset| scaled.add(offset))
    }
}
