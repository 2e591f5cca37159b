//! The same objects under our master, as an NMS reads them.

use anyhow::Result;
use harness::{Exporter, Sandbox, SnmpAgent as _, Snmpd, SnmpdOptions};

use super::Group;
use crate::{
    peers::contestants::{Bench, ONCE},
    peers::objects::Objects,
    report::row::{Row, Target, Unit},
    requests::questions::{each_scalar, one_column, ten_columns},
    requests::turns::{Contestant, Work, named, take_turns},
};

pub(super) const GROUP: Group = Group {
    name: "under-master",
    title: "Sidecar under our master",
    about: "Three agents that serve the same objects (the table of 10,000 × 10 and 100 scalars): our master with our sidecar \
            behind it over a Unix socket; async-snmp's engine, which answers from a sorted array in its own memory with no \
            AgentX at all, as floor; and snmpd with our sidecar behind it (not asked in SNMPv3). A client asks one request \
            at a time, in SNMPv2c and in SNMPv3 with SHA-256 and AES-128: GET of one scalar; GETBULK of one column with 50 \
            repetitions; GETBULK of ten columns with 50. A first pass decodes every answer and checks names, types and \
            values; while the clock runs every answer in v2c must be that one, octet by octet, and in v3 have the number \
            and the length of the right one. All that serves shares one processor, the client has the other; the \
            contestants take turns, half a second each, nine times, and the median counts.",
    measure,
};

const ROUNDS: usize = 9;
/// The repetitions, so that 50 rows of 10 columns fit into a response of snmpd.
const CONFIGURATION: &str = "maxGetbulkResponses 500\ndontLogTCPWrappersConnects true\n";
const FLOOR: &str = "engine";
const UNDER_SNMPD: &str = "under snmpd";
/// The kinds of work.
const WORK: [&str; 4] = ["GET × 1", "bulk 1 × 50", "bulk 10 columns × 50", "v3 authPriv, bulk 1 × 50"];
const BULK: usize = 1;

fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let objects = Objects::BIG;
    let (by_master, by_floor, by_snmpd) = (Sandbox::new()?, Sandbox::new()?, Sandbox::new()?);
    let community = [Work::V2c(each_scalar()?), Work::V2c(one_column(objects)?), Work::V2c(ten_columns(objects)?)];
    let all: Vec<Work> = community.iter().cloned().chain([Work::V3(one_column(objects)?)]).collect();
    let exporter = Exporter::with_page(&objects.page(0))?;

    let master = bench.cores.on_server(|| bench.master(&by_master, |_| {}))?;
    let _sidecar =
        bench.cores.on_server(|| bench.sidecar(&by_master, master.unix_url(), objects, exporter.port(), ONCE))?;
    let (_floor, port) = bench.cores.on_server(|| bench.floor(&by_floor))?;
    let options = SnmpdOptions { configuration: CONFIGURATION, ..SnmpdOptions::default() };
    let snmpd = bench.cores.on_server(|| Snmpd::start_with(&by_snmpd, options))?;
    let _sidecar =
        bench.cores.on_server(|| bench.sidecar(&by_snmpd, snmpd.unix_url(), objects, exporter.port(), ONCE))?;

    let mut contestants = [
        Contestant::check("ours", master.v2c().address(), &by_master, &all)?,
        Contestant::check(FLOOR, &format!("127.0.0.1:{port}"), &by_floor, &all)?,
        Contestant::check(UNDER_SNMPD, snmpd.v2c().address(), &by_snmpd, &community)?,
    ];
    take_turns(&mut contestants, all.len(), ROUNDS);

    let row = |number: usize, name: String, peer: &'static str, target| -> Result<Row> {
        let ours = named(&contestants, "ours")?.measured(number)?;
        let peers = vec![(peer, named(&contestants, peer)?.seen(number)?)];
        Ok(Row { name, unit: Unit::VarBindsPerSecond, ours, peers, target, notes: Vec::new() })
    };
    let mut rows = Vec::new();
    for (number, work) in WORK.iter().enumerate() {
        rows.push(row(number, format!("sidecar under our master, {work}"), FLOOR, Target::TimesPeer(0.8, FLOOR))?);
    }
    let name = format!("the same sidecar under our master and under snmpd, {}", WORK[BULK]);
    rows.push(row(BULK, name, UNDER_SNMPD, Target::TimesPeer(4.0, UNDER_SNMPD))?);
    Ok(rows)
}
