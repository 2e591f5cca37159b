//! One source, scraped again and again.

use std::{
    hash::{BuildHasher as _, RandomState},
    time::{Duration, Instant},
};

use sidecar_config::Source;
use tokio::sync::mpsc;

use super::{
    Cause, NameFilter, Phase, Place, ScrapeError,
    health::Health,
    reader::Reader,
    schedule::{History, Random, Schedule},
};
use crate::sample::Samples;

/// The shortest interval, whatever the configuration says: a source is not scraped in a tight loop.
const MIN_INTERVAL: Duration = Duration::from_millis(10);

/// What one scrape gave.
#[derive(Debug)]
pub struct Report {
    /// The samples, or why there are none.
    pub outcome: Result<Samples, ScrapeError>,
    /// The sidecar's own samples about the source, named in [`HEALTH_METRICS`](super::HEALTH_METRICS).
    pub health: Samples,
    /// When the scrape began.
    pub at: Instant,
    /// How long it took.
    pub duration: Duration,
}

/// Scrapes one source.
pub struct Task {
    source_name: String,
    schedule: Schedule,
    reader: Reader,
    failures: u32,
    last_success: Option<Instant>,
    random: Random,
}

impl Task {
    /// A task for `source` that keeps the samples that `wanted` names.
    pub fn new(source: Source, wanted: NameFilter, place: Place) -> Self {
        let schedule = Schedule {
            interval: Duration::from_millis(source.interval_ms).max(MIN_INTERVAL),
            timeout: Duration::from_millis(source.timeout_ms),
            stale_after: Duration::from_millis(source.stale_after_ms),
        };
        let reader = Reader::new(source.kind, wanted, place);
        let random = Random::new(RandomState::new().hash_one(&source.name));
        Self { source_name: source.name, schedule, reader, failures: 0, last_success: None, random }
    }

    /// Scrapes for ever, and reports each scrape: the first soon, the others at the source's interval, less often
    /// while they fail, and never two at once. Ends when the receiver is gone.
    pub async fn run(mut self, reports: mpsc::Sender<Report>) {
        let mut next = tokio::time::Instant::now() + self.schedule.first(self.random.next());
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                () = reports.closed() => return,
            }
            let start = tokio::time::Instant::now();
            let report = tokio::select! {
                report = self.scrape() => report,
                () = reports.closed() => return,
            };
            let history = History {
                failures: self.failures,
                since_success: self.last_success.map(|success| report.at.saturating_duration_since(success)),
            };
            if reports.send(report).await.is_err() {
                return;
            }
            next = start + self.schedule.next(history, self.random.next());
        }
    }

    /// Scrapes once.
    pub async fn scrape(&mut self) -> Report {
        let at = now();
        let timeout = self.schedule.timeout;
        let mut phase = Phase::default();
        let result = match tokio::time::timeout(timeout, self.reader.read(timeout, &mut phase)).await {
            Ok(result) => result,
            Err(_) => Err(Cause::Timeout { timeout, phase }),
        };
        let end = now();
        let duration = end.saturating_duration_since(at);
        if result.is_ok() {
            self.failures = 0;
            self.last_success = Some(at);
        } else {
            self.failures = self.failures.saturating_add(1);
        }
        let error = result.as_ref().err().map(ToString::to_string);
        let (samples, duplicates) =
            result.as_ref().map_or((0, 0), |reading| (reading.samples.len(), reading.duplicates));
        let since_success = self.last_success.map(|success| end.saturating_duration_since(success));
        let health = Health { duration, samples, duplicates, since_success, error: error.as_deref() }.samples();
        let outcome = result.map(|reading| reading.samples).map_err(|cause| ScrapeError {
            source_name: self.source_name.clone(),
            location: self.reader.location(),
            cause,
        });
        match &outcome {
            Ok(samples) => {
                tracing::debug!(source = self.source_name, samples = samples.len(), duplicates, ?duration, "scraped");
            }
            Err(error) => tracing::warn!(failures = self.failures, "scrape failed: {error}"),
        }
        Report { outcome, health, at, duration }
    }
}

/// Tokio's clock, so that a test can stop it.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
