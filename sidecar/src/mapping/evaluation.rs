//! The computation of an object's values from the samples of one scrape.

use std::{collections::BTreeMap, time::Duration};

use sidecar_config::{Aggregate, Syntax};

use super::{
    aggregate::Total,
    cells::{CellState, Cells},
    counts::{Counts, Reason},
    extraction::{Conversion, NumberKind},
    number::Num,
    quantile::{Histogram, QuantileError},
    rate::Rates,
    rows::LocateRow,
    syntax,
};
use crate::sample::Sample;

/// The evaluation of one object during one scrape: the object, and where its results are stored.
pub(super) struct Evaluation<'a, R> {
    pub(super) object: &'a str,
    pub(super) syntax: Syntax,
    /// The numbers of the texts that the enumeration names.
    pub(super) enumeration: &'a BTreeMap<String, i32>,
    pub(super) rows: &'a mut R,
    pub(super) cells: &'a mut Cells,
    pub(super) counts: &'a mut Counts,
}

/// Returns the item of a row, and extends the list as needed.
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

impl<R: LocateRow> Evaluation<'_, R> {
    fn row(&mut self, sample: &Sample<'_>) -> Option<u32> {
        let row = self.rows.locate(&sample.labels, self.object, self.counts)?;
        if self.cells.state(row) == CellState::Absent {
            self.cells.set_state(row, CellState::Missing);
        }
        Some(row)
    }

    /// Returns the number of the sample: the one that the enumeration has for its text, or else its value.
    fn number(&self, sample: &Sample<'_>) -> Num {
        let text = (!self.enumeration.is_empty()).then(|| sample.text()).flatten();
        let named = text.and_then(|text| self.enumeration.get(text));
        named.map_or_else(|| Num::from(sample.value), |number| Num::Int((*number).into()))
    }

    fn count(&mut self, reason: Reason, row: u32) {
        let Self { object, rows, .. } = self;
        self.counts.add(reason, || match rows.describe(row) {
            texts if texts.is_empty() => (*object).to_owned(),
            texts => format!("{object} of {texts}"),
        });
    }

    /// Sets or withholds the value of a row.
    fn set(&mut self, row: u32, converted: Result<syntax::Converted, Reason>) {
        match converted {
            Ok((value, change)) => {
                self.cells.set(row, value);
                if let Some(reason) = change {
                    self.count(reason, row);
                }
            }
            Err(reason) => {
                self.cells.set_state(row, CellState::Withheld);
                self.count(reason, row);
            }
        }
    }

    fn set_number(&mut self, row: u32, num: Num, conversion: Conversion) {
        self.set(row, syntax::from_number(self.syntax, conversion.apply(num), conversion.round));
    }

    /// Sets a counter, but never to less than its last total. Rounded sums of fractions could be lower, and so are Min,
    /// Avg and Count when series come and go.
    fn set_continued(&mut self, row: u32, num: Num, conversion: Conversion) {
        match syntax::count(conversion.apply(num), conversion.round) {
            Ok(count) => {
                let count = self.cells.last_count(row).map_or(count, |last| last.max(count));
                self.cells.set_count(row, count);
            }
            Err(reason) => self.set(row, Err(reason)),
        }
    }

    /// Sets each row to the smallest of its texts.
    pub(super) fn texts<'s>(
        &mut self,
        samples: impl Iterator<Item = Sample<'s>>,
        text: impl Fn(&Sample<'s>) -> Option<&'s str>,
    ) {
        let mut smallest: Vec<Option<&str>> = Vec::new();
        let mut ambiguous = Vec::new();
        for sample in samples {
            let (Some(row), Some(text)) = (self.row(&sample), text(&sample)) else { continue };
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
                self.set(row, syntax::from_text(self.syntax, text));
            }
        }
        ambiguous.sort_unstable();
        ambiguous.dedup();
        for row in ambiguous {
            self.count(Reason::Ambiguous, row);
        }
    }

    /// Sets each row to the aggregate of the numbers of its series.
    pub(super) fn numbers<'s>(
        &mut self,
        samples: impl Iterator<Item = Sample<'s>>,
        kind: &mut NumberKind,
        conversion: Conversion,
        at: Duration,
    ) {
        let mut totals: Vec<Total> = Vec::new();
        kind.begin();
        for sample in samples {
            let Some(row) = self.row(&sample) else { continue };
            let num = self.number(&sample);
            let num = match kind {
                NumberKind::Plain => Some(num),
                NumberKind::Rate(rates) => rates.advance(&sample.labels, row, num, at).map(Num::from),
                NumberKind::Continued(counters) => {
                    let advanced = counters.advance(&sample.labels, row, num);
                    if advanced.is_none() {
                        self.count(Reason::Duplicate, row);
                    }
                    advanced
                }
            };
            if let (Some(num), Some(total)) = (num, at_row(&mut totals, row)) {
                total.add(conversion.aggregate, num);
            }
        }
        if let NumberKind::Continued(counters) = kind
            && conversion.aggregate == Aggregate::Sum
        {
            for (row, num) in counters.absent() {
                if let Some(total) = totals.get_mut(row as usize).filter(|total| !total.is_empty()) {
                    total.add(conversion.aggregate, num);
                }
            }
        }
        kind.end(at);
        let continued = matches!(kind, NumberKind::Continued(_));
        for (row, total) in with_rows(totals) {
            match total.result(conversion.aggregate) {
                Some(num) if continued => self.set_continued(row, num, conversion),
                Some(num) => self.set_number(row, num, conversion),
                None => {}
            }
        }
    }

    /// Returns the histogram of each row, built from the samples of its buckets.
    pub(super) fn histograms<'s>(
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
            let bound = sample.labels.get("le").and_then(|text| text.parse().ok());
            let Some(upper_bound) = bound.filter(|bound: &f64| !bound.is_nan()) else {
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

    /// Sets each row to the quantile of its histogram, or else of its summaries.
    pub(super) fn quantiles<'s>(
        &mut self,
        summaries: impl Iterator<Item = Sample<'s>>,
        histograms: Vec<Option<Histogram>>,
        quantile: f64,
        conversion: Conversion,
    ) {
        let mut of_summaries: Vec<(bool, Total)> = Vec::new();
        for sample in summaries {
            let Some(quantile_of_sample) = sample.labels.get("quantile").and_then(|text| text.parse::<f64>().ok())
            else {
                continue;
            };
            let Some(row) = self.row(&sample) else { continue };
            if let Some((found, total)) = at_row(&mut of_summaries, row) {
                let same = quantile_of_sample.total_cmp(&quantile).is_eq();
                *found |= same;
                // NaN: the summary has no observations.
                if same && !Num::from(sample.value).is_nan() {
                    total.add(conversion.aggregate, Num::from(sample.value));
                }
            }
        }
        for (row, histogram) in with_rows(histograms) {
            match histogram.map(|histogram| histogram.quantile(quantile)) {
                Some(Ok(value)) => self.set_number(row, Num::from(value), conversion),
                Some(Err(QuantileError::Malformed)) => self.count(Reason::BadHistogram, row),
                Some(Err(QuantileError::Empty)) | None => {}
            }
        }
        for (row, (found, total)) in with_rows(of_summaries) {
            if self.cells.state(row) == CellState::Missing {
                match total.result(conversion.aggregate) {
                    Some(num) => self.set_number(row, num, conversion),
                    None if !found => self.count(Reason::NoSuchQuantile, row),
                    None => {}
                }
            }
        }
    }
}
