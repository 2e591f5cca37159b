//! An application whose page shows the moment at which it was made, and which records its pages.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Result;

use super::clock::{Clock, Moment};
use crate::{Exporter, Random, Reply, SourceFault};

/// The moment on pages that the sidecar must discard.
const POISON: Moment = 666;
/// The number of additional rows on a page with exploding labels.
const EXPLOSION: usize = 700;

/// A fault of an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SourceTrouble {
    /// Scrapes fail.
    Fails(SourceFault),
    /// Its page is well formed, but every number on it is NaN.
    NotANumber,
    /// Its page is well formed, but has none of the metrics.
    OtherMetrics,
    /// Its page is complete, and has hundreds of new rows at each scrape.
    LabelExplosion,
}

impl SourceTrouble {
    /// The faults that cost the sidecar the most memory.
    pub(super) const HEAVY: [Self; 2] = [Self::LabelExplosion, Self::Fails(SourceFault::TooManySamples)];

    /// Returns all faults.
    pub(super) fn all() -> Vec<Self> {
        let wrong_pages = [Self::LabelExplosion, Self::NotANumber, Self::OtherMetrics];
        wrong_pages.into_iter().chain(SourceFault::ALL.map(Self::Fails)).collect()
    }

    pub(super) fn name(self) -> String {
        match self {
            Self::Fails(fault) => fault.to_string(),
            other => format!("source: {other:?}"),
        }
    }
}

/// The pages that an application has shown so far.
#[derive(Debug)]
pub(super) struct ShownPages {
    clock: Clock,
    rows: usize,
    log: Mutex<Log>,
}

#[derive(Debug, Default)]
struct Log {
    /// The moments on complete pages.
    complete: BTreeSet<Moment>,
    /// The times of pages with missing samples or samples that are not numbers.
    incomplete: BTreeSet<Moment>,
    /// The times of pages with additional rows.
    exploded: BTreeSet<Moment>,
}

impl ShownPages {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns pages that were shown at these moments, with this many rows.
    #[cfg(test)]
    pub(super) fn of(
        rows: usize,
        complete: impl IntoIterator<Item = Moment>,
        incomplete: impl IntoIterator<Item = Moment>,
        exploded: impl IntoIterator<Item = Moment>,
    ) -> Self {
        let log = Log {
            complete: complete.into_iter().collect(),
            incomplete: incomplete.into_iter().collect(),
            exploded: exploded.into_iter().collect(),
        };
        Self { clock: Clock::start(), rows, log: Mutex::new(log) }
    }

    /// Makes a complete page.
    fn page(&self) -> String {
        let mut log = self.log();
        // No two pages have the same moment.
        let moment = self.clock.now().max(log.complete.last().map_or(0, |last| last + 1));
        log.complete.insert(moment);
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

    /// Returns whether a page with this moment was shown.
    pub(super) fn has(&self, moment: Moment) -> bool {
        self.log().complete.contains(&moment)
    }

    /// Returns the newest moment that was shown until `at`.
    pub(super) fn newest(&self, at: Moment) -> Option<Moment> {
        self.log().complete.range(..=at).next_back().copied()
    }

    /// Returns whether only complete pages were shown between the two moments, with at most `gap` between them.
    pub(super) fn is_steady(&self, from: Moment, to: Moment, gap: Moment) -> bool {
        let log = self.log();
        let Some(mut last) = log.complete.range(..=from).next_back().copied() else { return false };
        for moment in log.complete.range(from..=to).copied().chain([to]) {
            if moment.saturating_sub(last) > gap {
                return false;
            }
            last = moment;
        }
        log.incomplete.range(from..=to).next().is_none()
    }

    /// Returns whether an incomplete page was shown between the two moments.
    pub(super) fn was_incomplete(&self, from: Moment, to: Moment) -> bool {
        self.log().incomplete.range(from..=to).next().is_some()
    }

    /// Returns whether a page with additional rows was shown between the two moments.
    pub(super) fn exploded(&self, from: Moment, to: Moment) -> bool {
        self.log().exploded.range(from..=to).next().is_some()
    }
}

/// A running application.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) shown: Arc<ShownPages>,
    exporter: Exporter,
}

impl Source {
    /// Starts a healthy application with this many rows.
    pub(super) fn start(clock: Clock, rows: usize) -> Result<Self> {
        let shown = Arc::new(ShownPages { clock, rows, log: Mutex::default() });
        let exporter = Exporter::start(healthy_reply(&shown))?;
        Ok(Self { shown, exporter })
    }

    pub(super) fn port(&self) -> u16 {
        self.exporter.port()
    }

    /// Ends its fault.
    pub(super) fn recover(&self) {
        self.exporter.set(healthy_reply(&self.shown));
    }

    /// Starts a fault.
    pub(super) fn start_trouble(&self, trouble: SourceTrouble, random: &mut Random) {
        let shown = Arc::clone(&self.shown);
        self.exporter.set(match trouble {
            SourceTrouble::Fails(fault) => fault.reply(page(POISON, shown.rows), "row_value", random),
            SourceTrouble::NotANumber => Reply::made(move |_| incomplete_page(&shown, not_a_number)),
            SourceTrouble::OtherMetrics => {
                Reply::made(move |_| incomplete_page(&shown, |_| "something_else 1\n".to_owned()))
            }
            SourceTrouble::LabelExplosion => Reply::made(move |scrape| shown.exploding_page(scrape)),
        });
    }
}

fn healthy_reply(shown: &Arc<ShownPages>) -> Reply {
    let shown = Arc::clone(shown);
    Reply::made(move |_| shown.page())
}

fn incomplete_page(shown: &ShownPages, page: fn(usize) -> String) -> String {
    shown.log().incomplete.insert(shown.clock.now());
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

/// Returns the sum of the numbers of all usual rows.
pub(super) fn sum_of_rows(rows: usize) -> u32 {
    (0..rows).filter_map(|row| u32::try_from(row).ok()).sum()
}

/// Returns how long a source may show no complete page before its values may be missing.
pub(super) fn gap(stale_after: Duration, timeout: Duration) -> Duration {
    /// How late a scrape may begin on a busy machine.
    const LATE: Duration = Duration::from_millis(2_500);
    stale_after.saturating_sub(timeout + LATE)
}
