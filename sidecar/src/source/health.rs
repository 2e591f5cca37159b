//! The sidecar's own samples about a source.

use std::time::Duration;

use sidecar_config::health::{SCRAPE_AGE, SCRAPE_DUPLICATES, SCRAPE_DURATION, SCRAPE_ERROR, SCRAPE_SAMPLES, UP};

use crate::sample::{Number, Samples};

/// The result of the last collection from a source.
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
            // A few samples never exceed the capacity.
            let _ = samples.push(name, [], value);
        };
        push(UP, Number::Signed(self.error.is_none().into()));
        push(SCRAPE_DURATION, Number::Float(self.duration.as_secs_f64()));
        push(SCRAPE_SAMPLES, Number::Unsigned(self.samples as u64));
        push(SCRAPE_DUPLICATES, Number::Unsigned(self.duplicates));
        if let Some(since_success) = self.since_success {
            push(SCRAPE_AGE, Number::Float(since_success.as_secs_f64()));
        }
        if let Some(error) = self.error {
            let _ = samples.push(SCRAPE_ERROR, [("error", error)], Number::Signed(1));
        }
        samples
    }
}
