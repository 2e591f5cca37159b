//! A short soak: `make soak` runs the long one.

use std::time::Duration;

use anyhow::Result;
use harness::{
    MasterKind::{self, NetSnmp, Ours},
    soak::{Options, run},
};
use rstest::rstest;

#[rstest]
fn under_random_faults_memory_stays_and_unaffected_answers_are_right(
    #[values(NetSnmp, Ours)] master: MasterKind,
) -> Result<()> {
    // Each run has other faults; the seed is told in the output and in what fails.
    let seed = u64::from(std::process::id());
    let mut told = Vec::new();
    let ended = run(Options { duration: Duration::from_secs(80), seed, master }, &mut told);
    print!("{}", String::from_utf8_lossy(&told));
    let summary = ended?;
    println!("{summary}");
    summary.check()
}
