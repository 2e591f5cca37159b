//! The encoding of an AgentX Response.

use std::{hint::black_box, process::Command};

use anyhow::{Context, Result};
use harness::run;

use super::Group;
use crate::{
    peers::contestants::Bench,
    report::row::{Row, Seen, Target, Unit},
    report::statistics::{median, processor_seconds},
    requests::encoding,
};

pub(super) const GROUP: Group = Group {
    name: "codec",
    title: "Codec: encode a Response of 100 varbinds",
    about: "A Response of 100 Counter64 with names of 14 sub-identifiers, encoded in this process, pinned to one processor, \
            by our codec into a buffer that is used again, and by the crate `agentx` from a PDU that was built \
            beforehand. In turns; time is the processor's, and the median of 51 rounds counts, each of many encodings. Allocations are counted in a \
            process with a counting allocator.",
    measure,
};

const ROUNDS: usize = 51;
const OURS: u32 = 2_000;
const THEIRS: u32 = 100;

fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let variables = encoding::variables();
    let mut response = encoding::peer_response(&variables)?;
    let mut buffer = Vec::new();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let took =
            processor_seconds(|| (0..OURS).try_for_each(|_| encoding::ours(black_box(&variables), &mut buffer)))?;
        ours.push(took / f64::from(OURS) * 1e6);
        let took =
            processor_seconds(|| (0..THEIRS).try_for_each(|_| encoding::peer(black_box(&mut response)).map(drop)))?;
        theirs.push(took / f64::from(THEIRS) * 1e6);
    }
    let counted = String::from_utf8(run(Command::new(&bench.programs.part).arg("allocations"))?.stdout)?;
    let (our_allocations, their_allocations) = counted.trim().split_once(' ').context("two counts")?;
    let row = |what: &str, unit, ours, theirs, limit| Row {
        name: format!("codec, encode a Response of {} varbinds: {what}", encoding::VARIABLES),
        unit,
        ours,
        peers: vec![("agentx crate", Seen::Measured(theirs))],
        target: Target::AtMost(limit),
        notes: Vec::new(),
    };
    Ok(vec![
        row("time", Unit::Microseconds, median(&ours)?, median(&theirs)?, 1.5),
        row("allocations", Unit::Allocations, our_allocations.parse()?, their_allocations.parse()?, 0.0),
    ])
}
