//! The names of the samples about a source that are the sidecar's own. A source's own samples cannot have them.

/// 1 if the last scrape succeeded, or else 0.
pub const UP: &str = "up";
/// How long the last scrape took.
pub const SCRAPE_DURATION: &str = "scrape_duration_seconds";
/// How many samples it kept.
pub const SCRAPE_SAMPLES: &str = "scrape_samples_scraped";
/// How many it dropped because their name and labels were there already.
pub const SCRAPE_DUPLICATES: &str = "scrape_samples_duplicate";
/// Time since the last scrape that succeeded; absent if none did.
pub const SCRAPE_AGE: &str = "scrape_age_seconds";
/// 1, with the reason as the label `error`; absent if the last scrape succeeded.
pub const SCRAPE_ERROR: &str = "scrape_error";

/// All of them.
pub const HEALTH_METRICS: &[&str] = &[UP, SCRAPE_DURATION, SCRAPE_SAMPLES, SCRAPE_DUPLICATES, SCRAPE_AGE, SCRAPE_ERROR];
