//! An application whose page shows the moment at which it was made, and which remembers what it has shown.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Result;

use super::clock::{Clock, Moment};
use crate::{Exporter, Random, Reply, SourceFault};

/// What pages show that nobody may believe.
const POISON: Moment = 666;
/// How many rows a page gains when its labels explode.
const EXPLOSION: usize = 700;

/// What is wrong with an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trouble {
    /// Scrapes fail.
    Fails(SourceFault),
    /// Its page is well formed, and every number on it is NaN.
    NotANumber,
    /// Its page is well formed, and has none of the metrics.
    OtherMetrics,
    /// Its page has all that it had before, and hundreds of new rows at each scrape.
    LabelExplosion,
}

impl Trouble {
    /// What takes the sidecar the most memory.
    pub(super) const HEAVY: [Self; 2] = [Self::LabelExplosion, Self::Fails(SourceFault::TooManySamples)];

    /// All that there is.
    pub(super) fn all() -> Vec<Self> {
        let odd = [Self::LabelExplosion, Self::NotANumber, Self::OtherMetrics];
        odd.into_iter().chain(SourceFault::ALL.map(Self::Fails)).collect()
    }

    pub(super) fn name(self) -> String {
        match self {
            Self::Fails(fault) => fault.to_string(),
            other => format!("source: {other:?}"),
        }
    }
}

/// What an application has shown so far.
#[derive(Debug)]
pub(super) struct Shown {
    clock: Clock,
    rows: usize,
    log: Mutex<Log>,
}

#[derive(Debug, Default)]
struct Log {
    /// Moments on whole pages.
    good: BTreeSet<Moment>,
    /// When pages were shown on which something is missing or not a number.
    odd: BTreeSet<Moment>,
    /// When pages were shown with rows that were new.
    exploded: BTreeSet<Moment>,
}

impl Shown {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was shown at these moments, with so many rows.
    #[cfg(test)]
    pub(super) fn of(
        rows: usize,
        good: impl IntoIterator<Item = Moment>,
        odd: impl IntoIterator<Item = Moment>,
        exploded: impl IntoIterator<Item = Moment>,
    ) -> Self {
        let log = Log {
            good: good.into_iter().collect(),
            odd: odd.into_iter().collect(),
            exploded: exploded.into_iter().collect(),
        };
        Self { clock: Clock::start(), rows, log: Mutex::new(log) }
    }

    /// A whole page, made now.
    fn page(&self) -> String {
        let mut log = self.log();
        // Each page has a moment of its own.
        let moment = self.clock.now().max(log.good.last().map_or(0, |last| last + 1));
        log.good.insert(moment);
        page(moment, self.rows)
    }

    fn exploding_page(&self, scrape: usize) -> String {
        self.log().exploded.insert(self.clock.now());
        let mut page = self.page();
        for row in 0..EXPLOSION {
            // Writing to a string cannot fail.
            _ = writeln!(page, "row_value{{row=\"x{scrape}y{row}\"}} 1");
        }
        page
    }

    /// Whether a page with this moment was shown.
    pub(super) fn has(&self, moment: Moment) -> bool {
        self.log().good.contains(&moment)
    }

    /// The newest moment that was shown by `at`.
    pub(super) fn newest(&self, at: Moment) -> Option<Moment> {
        self.log().good.range(..=at).next_back().copied()
    }

    /// Whether whole pages alone were shown between the two moments, with never more than `gap` without one.
    pub(super) fn is_steady(&self, from: Moment, to: Moment, gap: Moment) -> bool {
        let log = self.log();
        let Some(mut last) = log.good.range(..=from).next_back().copied() else { return false };
        for moment in log.good.range(from..=to).copied().chain([to]) {
            if moment.saturating_sub(last) > gap {
                return false;
            }
            last = moment;
        }
        log.odd.range(from..=to).next().is_none()
    }

    /// Whether a page with something missing was shown in between.
    pub(super) fn was_odd(&self, from: Moment, to: Moment) -> bool {
        self.log().odd.range(from..=to).next().is_some()
    }

    /// Whether a page with new rows was shown in between.
    pub(super) fn exploded(&self, from: Moment, to: Moment) -> bool {
        self.log().exploded.range(from..=to).next().is_some()
    }
}

/// A running application.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) shown: Arc<Shown>,
    exporter: Exporter,
}

impl Source {
    /// Starts one with so many rows, and nothing wrong with it.
    pub(super) fn start(clock: Clock, rows: usize) -> Result<Self> {
        let shown = Arc::new(Shown { clock, rows, log: Mutex::default() });
        let exporter = Exporter::start(well(&shown))?;
        Ok(Self { shown, exporter })
    }

    pub(super) fn port(&self) -> u16 {
        self.exporter.port()
    }

    /// Nothing is wrong with it any more.
    pub(super) fn recover(&self) {
        self.exporter.set(well(&self.shown));
    }

    /// From now on this is wrong with it.
    pub(super) fn trouble(&self, trouble: Trouble, random: &mut Random) {
        let shown = Arc::clone(&self.shown);
        self.exporter.set(match trouble {
            Trouble::Fails(fault) => fault.reply(page(POISON, shown.rows), "row_value", random),
            Trouble::NotANumber => Reply::made(move |_| odd(&shown, not_a_number)),
            Trouble::OtherMetrics => Reply::made(move |_| odd(&shown, |_| "something_else 1\n".to_owned())),
            Trouble::LabelExplosion => Reply::made(move |scrape| shown.exploding_page(scrape)),
        });
    }
}

fn well(shown: &Arc<Shown>) -> Reply {
    let shown = Arc::clone(shown);
    Reply::made(move |_| shown.page())
}

fn odd(shown: &Shown, page: fn(usize) -> String) -> String {
    shown.log().odd.insert(shown.clock.now());
    page(shown.rows)
}

fn page(moment: Moment, rows: usize) -> String {
    let mut page = format!(
        "# TYPE moment_total counter\nmoment_total {moment}\n# TYPE moment gauge\nmoment {moment}\n\
         build_info{{version=\"1.2.3\"}} 1\n# TYPE latency histogram\nlatency_bucket{{le=\"0.1\"}} 50\n\
         latency_bucket{{le=\"0.2\"}} 100\nlatency_bucket{{le=\"+Inf\"}} 100\nlatency_sum 10\nlatency_count 100\n"
    );
    for row in 0..rows {
        // Writing to a string cannot fail.
        _ = writeln!(
            page,
            "row_value{{row=\"r{row}\",kind=\"steady\",text=\"row {row}\"}} {row}\nrow_moment_total{{row=\"r{row}\"}} {moment}"
        );
    }
    page
}

fn not_a_number(rows: usize) -> String {
    let page = page(POISON, rows);
    let lines = page.lines().map(|line| match line.rsplit_once(' ') {
        Some((series, _)) if !line.starts_with('#') => format!("{series} NaN\n"),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

/// The sum of the numbers of the rows that are always there.
pub(super) fn sum_of_rows(rows: usize) -> u32 {
    (0..rows).filter_map(|row| u32::try_from(row).ok()).sum()
}

/// How long without a whole page before values may go missing.
pub(super) fn gap(stale_after: Duration, timeout: Duration) -> Duration {
    /// A scrape may begin late on a busy machine.
    const LATE: Duration = Duration::from_millis(2_500);
    stale_after.saturating_sub(timeout + LATE)
}
