//! A short soak: `make soak` runs the long one.

use std::time::Duration;

use anyhow::Result;
use harness::soak::{Options, run};

#[test]
fn under_random_faults_memory_stays_and_unaffected_answers_are_right() -> Result<()> {
    // Each run has other faults; the seed is told in the output and in what fails.
    let seed = u64::from(std::process::id());
    let mut told = Vec::new();
    let ended = run(Options { duration: Duration::from_secs(80), seed }, &mut told);
    print!("{}", String::from_utf8_lossy(&told));
    let summary = ended?;
    println!("{summary}");
    summary.check()
}
