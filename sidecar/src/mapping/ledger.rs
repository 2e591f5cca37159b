//! How a scrape's samples of one object become the values of its rows.

use std::{collections::BTreeMap, time::Duration};

use sidecar_config::{Aggregate, Syntax};

use super::{
    aggregate::Total,
    cells::{Cells, Now},
    counts::{Counts, Reason},
    number::Num,
    quantile::{Histogram, NoQuantile},
    rate::Rates,
    rows::Locate,
    syntax,
    take::{Numbers, Shape},
};
use crate::sample::Sample;

/// Where an object stands while a scrape is read: what to read into, and what to tell.
pub(super) struct Ledger<'a, R> {
    pub(super) object: &'a str,
    pub(super) syntax: Syntax,
    /// Numbers that texts stand for.
    pub(super) enumeration: &'a BTreeMap<String, i32>,
    pub(super) rows: &'a mut R,
    pub(super) cells: &'a mut Cells,
    pub(super) counts: &'a mut Counts,
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

    /// The sample's number: that of its text's name, where it has one.
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

    /// The smallest text in each row.
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
                self.show(row, syntax::from_text(self.syntax, text));
            }
        }
        ambiguous.sort_unstable();
        ambiguous.dedup();
        for row in ambiguous {
            self.count(Reason::Ambiguous, row);
        }
    }

    /// The numbers of each row's series, joined.
    pub(super) fn numbers<'s>(
        &mut self,
        samples: impl Iterator<Item = Sample<'s>>,
        of: &mut Numbers,
        shape: Shape,
        at: Duration,
    ) {
        let mut totals: Vec<Total> = Vec::new();
        of.begin();
        for sample in samples {
            let Some(row) = self.row(&sample) else { continue };
            let num = self.number(&sample);
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

    /// The quantile of each row's histogram, or else of its summaries.
    pub(super) fn quantiles<'s>(
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
