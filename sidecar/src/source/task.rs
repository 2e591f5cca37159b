//! The periodic collection from one source.

use std::{
    hash::{BuildHasher as _, RandomState},
    time::{Duration, Instant},
};

use sidecar_config::Source;
use tokio::sync::mpsc;

use super::{
    error::{CollectionError, Phase, SourceError},
    health::Health,
    name_filter::NameFilter,
    reader::Reader,
    schedule::{History, Schedule},
    settings::SourceSettings,
};
use crate::sample::Samples;

/// The minimum interval, even if the configured one is shorter. It prevents a busy loop.
const MIN_INTERVAL: Duration = Duration::from_millis(10);

/// The result of one collection.
#[derive(Debug)]
pub struct Report {
    /// The samples, or the error.
    pub outcome: Result<Samples, CollectionError>,
    /// The sidecar's own samples about the source. [`HEALTH_METRICS`](sidecar_config::health::HEALTH_METRICS) has their
    /// names.
    pub health: Samples,
    /// The start of the collection.
    pub at: Instant,
    /// The duration of the collection.
    pub duration: Duration,
}

/// A task that collects samples from one source.
pub struct Task {
    source_name: String,
    schedule: Schedule,
    reader: Reader,
    failures: u32,
    last_success: Option<Instant>,
    random: fastrand::Rng,
}

impl Task {
    /// Creates a task for `source` that keeps the samples that `wanted` names.
    pub fn new(source: Source, wanted: NameFilter, settings: SourceSettings) -> Self {
        let schedule = Schedule {
            interval: Duration::from_millis(source.interval_ms).max(MIN_INTERVAL),
            timeout: Duration::from_millis(source.timeout_ms),
            stale_after: Duration::from_millis(source.stale_after_ms),
        };
        let reader = Reader::new(source.kind, wanted, settings);
        let random = fastrand::Rng::with_seed(RandomState::new().hash_one(&source.name));
        Self { source_name: source.name, schedule, reader, failures: 0, last_success: None, random }
    }

    /// Collects until the receiver is dropped, and sends a report for each collection.
    ///
    /// The first collection starts soon, the others at the interval of the source, and less often while they fail.
    /// There is one collection at a time.
    pub(crate) async fn run(mut self, reports: mpsc::Sender<Report>) {
        let mut next = tokio::time::Instant::now() + self.schedule.first(self.random.f64());
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                () = reports.closed() => return,
            }
            let start = tokio::time::Instant::now();
            let report = tokio::select! {
                report = self.collect() => report,
                () = reports.closed() => return,
            };
            let history = History {
                failures: self.failures,
                since_success: self.last_success.map(|success| report.at.saturating_duration_since(success)),
            };
            if reports.send(report).await.is_err() {
                return;
            }
            next = start + self.schedule.next(history, self.random.f64());
        }
    }

    /// Collects once.
    pub async fn collect(&mut self) -> Report {
        let at = now();
        let timeout = self.schedule.timeout;
        let mut phase = Phase::default();
        let result = match tokio::time::timeout(timeout, self.reader.read(timeout, &mut phase)).await {
            Ok(result) => result,
            Err(_) => Err(SourceError::Timeout { timeout, phase }),
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
            result.as_ref().map_or((0, 0), |collection| (collection.samples.len(), collection.duplicates));
        let since_success = self.last_success.map(|success| end.saturating_duration_since(success));
        let health = Health { duration, samples, duplicates, since_success, error: error.as_deref() }.samples();
        let outcome = result.map(|collection| collection.samples).map_err(|cause| CollectionError {
            source_name: self.source_name.clone(),
            location: self.reader.location(),
            cause,
        });
        match &outcome {
            Ok(samples) => {
                tracing::debug!(
                    source = self.source_name,
                    samples = samples.len(),
                    duplicates,
                    ?duration,
                    "collected samples"
                );
            }
            Err(error) => {
                tracing::warn!(failures = self.failures, %error, "failed to collect samples; retrying with backoff");
            }
        }
        Report { outcome, health, at, duration }
    }
}

/// Returns the time of Tokio's clock, which tests can pause.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
