//! The samples about a source that are the sidecar's own.

use std::time::Duration;

use crate::sample::{Number, Samples};

const UP: &str = "up";
const DURATION: &str = "scrape_duration_seconds";
const SAMPLES: &str = "scrape_samples_scraped";
const DUPLICATES: &str = "scrape_samples_duplicate";
const AGE: &str = "scrape_age_seconds";
const ERROR: &str = "scrape_error";

/// The names of the samples about a source:
///
/// * `up`: 1 if the last scrape succeeded, or else 0.
/// * `scrape_duration_seconds`: how long it took.
/// * `scrape_samples_scraped`: how many samples it kept.
/// * `scrape_samples_duplicate`: how many it dropped because their name and labels were there already.
/// * `scrape_age_seconds`: time since the last scrape that succeeded; absent if none did.
/// * `scrape_error`: 1, with the reason as the label `error`; absent if the last scrape succeeded.
pub const HEALTH_METRICS: &[&str] = &[UP, DURATION, SAMPLES, DUPLICATES, AGE, ERROR];

/// How the last scrape went.
#[derive(Debug)]
pub(super) struct Health<'a> {
    pub(super) duration: Duration,
    pub(super) samples: usize,
    pub(super) duplicates: u64,
    pub(super) since_success: Option<Duration>,
    pub(super) error: Option<&'a str>,
}

impl Health<'_> {
    pub(super) fn samples(&self) -> Samples {
        let mut samples = Samples::new();
        let mut push = |name: &str, value: Number| {
            // A handful of numbers is never too large.
            let _ = samples.push(name, [], value);
        };
        push(UP, Number::Signed(self.error.is_none().into()));
        push(DURATION, Number::Float(self.duration.as_secs_f64()));
        push(SAMPLES, Number::Unsigned(self.samples as u64));
        push(DUPLICATES, Number::Unsigned(self.duplicates));
        if let Some(since_success) = self.since_success {
            push(AGE, Number::Float(since_success.as_secs_f64()));
        }
        if let Some(error) = self.error {
            let _ = samples.push(ERROR, [("error", error)], Number::Signed(1));
        }
        samples
    }
}
