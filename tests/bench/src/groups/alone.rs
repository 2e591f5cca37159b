//! The speed of a subagent alone, without a master.

use std::time::Instant;

use anyhow::{Context, Result};
use harness::{Exporter, Sandbox};

use super::Group;
use crate::{
    peers::contestants::{Bench, ONCE},
    peers::objects::Objects,
    report::row::{Row, Seen, Target, Unit},
    report::statistics::{median, seconds},
    requests::get_next::Walk,
    requests::link::{Address, Link},
};

pub(super) const GROUP: Group = Group {
    name: "alone",
    title: "Subagent alone, GetNext on its Unix socket",
    about: "The bench is the AgentX master. Each subagent serves a table of 10,000 rows × 10 columns (Counter64 and \
            Gauge32) on a Unix socket and is walked from the first cell to the last: *× 1* asks for one search range in \
            a PDU, column by column, *× 10* for the ten columns of a row. One PDU is outstanding at a time; the next is \
            sent when the answer is there and its names are right. Before the clock runs, the whole table is walked once \
            and names and values are checked. Subagents take turns of a fiftieth of a walk, and share one processor \
            with the bench: only one of the two has anything to do at a time, and between two processors it is mostly the \
            waking of the one that sleeps that is measured, the same for all. The median of three walks' turns counts. *C* is net-snmp's library \
            (`netsnmp_tdata`), *bare loop* a program that does nothing but read, search a sorted array and write. \
            snmpkit is walked over its first 1,000 requests alone.",
    measure,
};

const WALKS: usize = 3;
/// The number of turns in a walk. Turns are short, so that no subagent waits long for the response to a Ping.
const PARTS: usize = 50;
/// The part of the walk for snmpkit, which searches its table from the start for each request.
const SNMPKIT_REQUESTS: usize = 1_000;

/// A subagent on the socket of the bench, and the two ways to walk it.
struct Walked {
    link: Link,
    by_cell: Walk,
    by_row: Walk,
    rates: [Vec<f64>; 2],
}

impl Walked {
    fn new(link: Link, objects: Objects) -> Result<Self> {
        let (by_cell, by_row) = (Walk::by_cell(objects, &link)?, Walk::by_row(objects, &link)?);
        Ok(Self { link, by_cell, by_row, rates: [Vec::new(), Vec::new()] })
    }

    fn check(&mut self, part: usize) -> Result<()> {
        for walk in [&mut self.by_cell, &mut self.by_row] {
            walk.check(&mut self.link, walk.part(part, PARTS), true)?;
        }
        Ok(())
    }

    #[allow(clippy::cast_precision_loss)]
    fn take_turn(&mut self, part: usize) -> Result<()> {
        for (walk, rates) in [&mut self.by_cell, &mut self.by_row].into_iter().zip(&mut self.rates) {
            let mut numbers = walk.part(part, PARTS);
            let variables = numbers.len() * walk.width();
            let took = seconds(|| numbers.try_for_each(|number| walk.step(&mut self.link, number)))?;
            rates.push(variables as f64 / took);
        }
        Ok(())
    }

    fn medians(&self) -> Result<[f64; 2]> {
        let [by_cell, by_row] = &self.rates;
        Ok([median(by_cell)?, median(by_row)?])
    }
}

fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let objects = Objects { scalars: 0, ..Objects::BIG };
    let sandbox = Sandbox::new()?;
    let socket = |name: &str| sandbox.path(&format!("{name}.agentx"));
    let exporter = Exporter::with_page(&objects.page(0))?;

    let acceptor = Address::Unix(socket("ours")).listen()?;
    let url = Address::Unix(socket("ours")).url();
    let _ours = bench.sidecar(&sandbox, url, objects, exporter.port(), ONCE)?;
    let mut ours = accept(&acceptor, objects)?;

    let acceptor = Address::Unix(socket("c")).listen()?;
    let _c = bench.c_subagent(&sandbox, &socket("c"), objects)?;
    let mut c = accept(&acceptor, objects)?;

    let acceptor = Address::Unix(socket("bare")).listen()?;
    let _bare = bench.bare(&sandbox, &socket("bare"))?;
    let mut bare = accept(&acceptor, objects)?;

    let mut contestants = [("ours", &mut ours), ("C", &mut c), ("bare loop", &mut bare)];
    for (who, walked) in &mut contestants {
        walked.by_cell.wait_for_last(&mut walked.link, true).context(*who)?;
    }
    for part in 0..PARTS {
        for (who, walked) in &mut contestants {
            walked.check(part).context(*who)?;
        }
    }
    for _ in 0..WALKS {
        for part in 0..PARTS {
            for (who, walked) in &mut contestants {
                walked.take_turn(part).context(*who)?;
            }
        }
    }
    let snmpkit = snmpkit(bench, objects)?;

    let targets = [("GetNext × 1", 2.5), ("GetNext × 10", 4.0)];
    let rates = ours.medians()?.into_iter().zip(c.medians()?).zip(bare.medians()?).zip(snmpkit);
    let row = |((what, least), (((ours, c), bare), snmpkit))| Row {
        name: format!("sidecar alone, {what}"),
        unit: Unit::VarBindsPerSecond,
        ours,
        peers: vec![("C", Seen::Measured(c)), ("bare loop", Seen::Measured(bare)), ("snmpkit", snmpkit)],
        target: Target::TimesPeer(least, "C"),
        notes: vec![format!("{:.2} of the bare loop.", ours / bare)],
    };
    Ok(targets.into_iter().zip(rates).map(row).collect())
}

fn accept(acceptor: &crate::requests::link::Acceptor, objects: Objects) -> Result<Walked> {
    let mut link = acceptor.accept()?;
    link.until_registered()?;
    Walked::new(link, objects)
}

/// Measures snmpkit, and checks its first responses.
#[allow(clippy::cast_precision_loss)]
fn snmpkit(bench: &Bench, objects: Objects) -> Result<[Seen; 2]> {
    let sandbox = Sandbox::new()?;
    let socket = sandbox.path("snmpkit.agentx");
    let acceptor = Address::Unix(socket.clone()).listen()?;
    let _process = bench.snmpkit(&sandbox, &socket, objects, 3_600)?;
    let mut link = acceptor.accept()?;
    link.until_registered()?;
    let mut walks = [Walk::by_cell(objects, &link)?, Walk::by_row(objects, &link)?];
    let mut rate = |walk: &mut Walk| -> Result<f64> {
        walk.wait_for_last(&mut link, true)?;
        let start = Instant::now();
        for number in 0..SNMPKIT_REQUESTS {
            walk.step(&mut link, number)?;
        }
        Ok((SNMPKIT_REQUESTS * walk.width()) as f64 / start.elapsed().as_secs_f64())
    };
    Ok(walks.each_mut().map(|walk| match rate(walk) {
        Ok(rate) => Seen::Measured(rate),
        Err(error) => Seen::Broken(format!("{error:#}")),
    }))
}
