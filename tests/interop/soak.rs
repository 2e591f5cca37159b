//! A short soak test. `make soak` runs a long one.

use std::time::Duration;

use anyhow::Result;
use harness::{
    MasterKind::{self, NetSnmp, Ours},
    soak::{Options, run},
};
use rstest::rstest;

#[rstest]
fn random_faults_neither_grow_memory_nor_affect_healthy_subtrees(
    #[values(NetSnmp, Ours)] master: MasterKind,
) -> Result<()> {
    // Each run has other faults. The output and the errors contain the seed.
    let seed = u64::from(std::process::id());
    let mut progress = Vec::new();
    let result = run(Options { duration: Duration::from_secs(80), seed, master }, &mut progress);
    print!("{}", String::from_utf8_lossy(&progress));
    let summary = result?;
    println!("{summary}");
    summary.check()
}
