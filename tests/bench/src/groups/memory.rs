//! The memory use of a subagent.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use harness::{Memory, Sandbox};

use super::Group;
use crate::{
    peers::contestants::Bench,
    peers::objects::Objects,
    report::row::{Row, Seen, Target, Unit},
    report::statistics::median,
    requests::get_next::Walk,
    requests::link::Address,
};

pub(super) const GROUP: Group = Group {
    name: "memory",
    title: "Resident memory of the sidecar",
    about: "`VmRSS` of the sidecar (1 MB is 10⁶ octets) with 100 variables (10 rows × 10 columns) and with 110,000 (10,000 × \
            11), refreshed each second with new values, and walked whole. After five refreshes it is read ten times a \
            second for three seconds; the median counts, and the most that there ever was (`VmHWM`, refreshes included) \
            stands below. C is net-snmp's subagent with the same table, which it never refreshes.",
    measure,
};

const REFRESHES: usize = 5;
const READ_FOR: Duration = Duration::from_secs(3);
const READ_EACH: Duration = Duration::from_millis(100);

/// The memory use in megabytes.
struct Resident {
    now: f64,
    most: f64,
}

fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let sizes = [("100", Objects { rows: 10, columns: 10, scalars: 0 }, 6.0), ("110,000", big(), 20.0)];
    let row = |(varbinds, objects, limit)| {
        let (ours, c) = (of_sidecar(bench, objects)?, of_c(bench, objects)?);
        Ok(Row {
            name: format!("resident memory of the sidecar with {varbinds} varbinds"),
            unit: Unit::Megabytes,
            ours: ours.now,
            peers: vec![("C", Seen::Measured(c.now))],
            target: Target::AtMost(limit),
            notes: vec![format!("most that there ever was: ours {:.2} MB, C {:.2} MB.", ours.most, c.most)],
        })
    };
    sizes.into_iter().map(row).collect()
}

fn big() -> Objects {
    Objects { rows: 10_000, columns: 11, scalars: 0 }
}

fn of_sidecar(bench: &Bench, objects: Objects) -> Result<Resident> {
    let sandbox = Sandbox::new()?;
    let (_exporter, port) = bench.changing_exporter(&sandbox, objects)?;
    let address = Address::Unix(sandbox.path("agentx"));
    let acceptor = address.listen()?;
    let sidecar = bench.cores.on_server(|| bench.sidecar(&sandbox, address.url(), objects, port, 1_000))?;
    let mut link = acceptor.accept()?;
    link.until_registered()?;
    let mut walk = Walk::by_row(objects, &link)?;
    walk.wait_for_last(&mut link, false)?;
    walk.check(&mut link, walk.part(0, 1), false)?;
    let deadline = Instant::now() + harness::DEADLINE;
    while Bench::scrapes(&sandbox) < REFRESHES && Instant::now() < deadline {
        link.serve_for(READ_EACH)?;
    }
    anyhow::ensure!(Bench::scrapes(&sandbox) >= REFRESHES, "{} refreshes", Bench::scrapes(&sandbox));
    read(sidecar.id()?)
}

fn of_c(bench: &Bench, objects: Objects) -> Result<Resident> {
    let sandbox = Sandbox::new()?;
    let socket = sandbox.path("agentx");
    let acceptor = Address::Unix(socket.clone()).listen()?;
    let process = bench.cores.on_server(|| bench.c_subagent(&sandbox, &socket, objects))?;
    let mut link = acceptor.accept()?;
    link.until_registered()?;
    let mut walk = Walk::by_row(objects, &link)?;
    walk.wait_for_last(&mut link, true)?;
    walk.check(&mut link, walk.part(0, 1), true)?;
    read(process.id())
}

fn read(process: u32) -> Result<Resident> {
    let end = Instant::now() + READ_FOR;
    let mut now = Vec::new();
    while Instant::now() < end {
        now.push(megabytes(Memory::of(process)?.resident));
        thread::sleep(READ_EACH);
    }
    Ok(Resident { now: median(&now)?, most: megabytes(Memory::of(process)?.peak) })
}

#[allow(clippy::cast_precision_loss)]
fn megabytes(octets: u64) -> f64 {
    octets as f64 / 1e6
}
