//! Statistics of measurements.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};

/// Returns the median.
///
/// # Errors
/// Returns an error if there are no values.
pub fn median(values: &[f64]) -> Result<f64> {
    quantile(values, 0.5)
}

/// Returns a quantile, given as a part between 0 and 1.
///
/// # Errors
/// Returns an error if there are no values.
pub fn quantile(values: &[f64], part: f64) -> Result<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let at = (part * (sorted.len().saturating_sub(1)) as f64).round() as usize;
    sorted.get(at).copied().context("nothing was measured")
}

/// Returns how long `work` takes, in seconds.
///
/// # Errors
/// Returns the errors of `work`.
pub fn seconds(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_secs_f64())
}

/// Returns the processor time of `work` in this thread, in seconds. Other programs on the processor do not count.
///
/// # Errors
/// Returns the errors of `work`.
pub fn processor_seconds(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let now = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime));
    let start = now()?;
    work()?;
    Ok(now()?.saturating_sub(start).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_values() -> Result<()> {
        let values: Vec<f64> = (0..=1000).rev().map(f64::from).collect();
        assert!((median(&values)? - 500.0).abs() < f64::EPSILON);
        assert!((quantile(&values, 0.999)? - 999.0).abs() < f64::EPSILON);
        assert!((quantile(&values, 1.0)? - 1000.0).abs() < f64::EPSILON);
        assert!(median(&[]).is_err());
        Ok(())
    }
}
