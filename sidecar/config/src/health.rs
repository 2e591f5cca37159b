//! The names of the samples that the sidecar adds to each source, about the source itself. Samples from the source cannot
//! have these names.

/// 1 if the last scrape succeeded, otherwise 0.
pub const UP: &str = "up";
/// How long the last scrape took.
pub const SCRAPE_DURATION: &str = "scrape_duration_seconds";
/// How many samples it kept.
pub const SCRAPE_SAMPLES: &str = "scrape_samples_scraped";
/// How many duplicates it dropped: samples with the same name and labels as another.
pub const SCRAPE_DUPLICATES: &str = "scrape_samples_duplicate";
/// Time since the last successful scrape; absent if there was none.
pub const SCRAPE_AGE: &str = "scrape_age_seconds";
/// 1, with the error as the label `error`; absent if the last scrape succeeded.
pub const SCRAPE_ERROR: &str = "scrape_error";

/// All these names.
pub const HEALTH_METRICS: &[&str] = &[UP, SCRAPE_DURATION, SCRAPE_SAMPLES, SCRAPE_DUPLICATES, SCRAPE_AGE, SCRAPE_ERROR];
