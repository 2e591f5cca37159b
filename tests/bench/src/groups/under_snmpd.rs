//! The same objects under snmpd, served by different subagents, as an NMS reads them.

use anyhow::Result;
use harness::{Exporter, Process, Sandbox, Sidecar, SnmpAgent as _, Snmpd, SnmpdOptions};

use super::Group;
use crate::{
    peers::contestants::{Bench, ONCE},
    peers::objects::Objects,
    report::row::{Row, Seen, Target, Unit},
    requests::questions::{all_scalars, one_column, ten_columns},
    requests::turns::{Contestant, Work, named, take_turns},
};

pub(super) const GROUP: Group = Group {
    name: "under-snmpd",
    title: "Sidecar under snmpd",
    about: "Four snmpd, alike but for who serves the objects (the table of 10,000 × 10 and 100 scalars): snmpd itself (a \
            module in C, `dlmod`: `netsnmp_tdata` and a scalar group), the same C in a subagent, our sidecar, and \
            snmpkit; subagents over a Unix socket. `maxGetbulkResponses 500`, so that 10 columns × 50 fit into an answer. \
            An SNMPv2c client asks one request at a time: all scalars in one GET; GETBULK of ten columns with 50 \
            repetitions; GETBULK of one column with 50. Its requests are encoded beforehand; a first pass decodes every \
            answer and checks names, types and values, and while the clock runs every answer must be that one, octet by \
            octet. snmpd and subagent share one processor, the client has the other; the contestants take turns, half a \
            second each, nine times, and the median counts. The target is a part of *in snmpd*.",
    measure,
};

const ROUNDS: usize = 9;
const CONFIGURATION: &str = "maxGetbulkResponses 500\ndontLogTCPWrappersConnects true\n";

/// The three kinds of work, with their targets.
const WORK: [(&str, f64); 3] = [("GET of 100 scalars", 0.85), ("bulk 10 columns × 50", 0.75), ("bulk 1 × 50", 0.28)];

/// An snmpd with the processes of its subagent, if it has one.
struct Served {
    name: &'static str,
    snmpd: Snmpd,
    // The subagent is dropped after snmpd, which ends more quickly than a subagent notices.
    _process: Option<Process>,
    _sidecar: Option<Sidecar>,
}

impl Served {
    fn by(name: &'static str, snmpd: Snmpd, process: Option<Process>, sidecar: Option<Sidecar>) -> Self {
        Self { name, snmpd, _process: process, _sidecar: sidecar }
    }
}

fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let objects = Objects::BIG;
    let work = [all_scalars()?, ten_columns(objects)?, one_column(objects)?].map(Work::V2c);
    // Each has its own folder, because the files in it are named after programs.
    let folders = [Sandbox::new()?, Sandbox::new()?, Sandbox::new()?, Sandbox::new()?];
    let [inside, in_c, by_sidecar, by_snmpkit] = &folders;

    let module = format!("{CONFIGURATION}dlmod inside {}\n", bench.programs.inside.display());
    let mut served = vec![Served::by("in snmpd", start(bench, inside, &module)?, None, None)];

    let snmpd = start(bench, in_c, CONFIGURATION)?;
    let process = bench.cores.on_server(|| bench.c_subagent(in_c, &socket(in_c), objects))?;
    served.push(Served::by("C", snmpd, Some(process), None));

    let snmpd = start(bench, by_sidecar, CONFIGURATION)?;
    let exporter = Exporter::with_page(&objects.page(0))?;
    let sidecar =
        bench.cores.on_server(|| bench.sidecar(by_sidecar, snmpd.unix_url(), objects, exporter.port(), ONCE))?;
    served.push(Served::by("ours", snmpd, None, Some(sidecar)));

    let snmpd = start(bench, by_snmpkit, CONFIGURATION)?;
    let process = bench.cores.on_server(|| bench.snmpkit(by_snmpkit, &socket(by_snmpkit), objects, 3_600))?;
    served.push(Served::by("snmpkit", snmpd, Some(process), None));

    let check = |(served, folder): (&Served, &Sandbox)| {
        Contestant::check(served.name, served.snmpd.v2c().address(), folder, &work)
    };
    let mut contestants: Vec<Contestant> = served.iter().zip(&folders).map(check).collect::<Result<_>>()?;
    take_turns(&mut contestants, work.len(), ROUNDS);
    WORK.iter().enumerate().map(|(number, work)| row(&contestants, number, *work)).collect()
}

fn start(bench: &Bench, folder: &Sandbox, configuration: &str) -> Result<Snmpd> {
    bench.cores.on_server(|| Snmpd::start_with(folder, SnmpdOptions { configuration, ..SnmpdOptions::default() }))
}

fn socket(folder: &Sandbox) -> std::path::PathBuf {
    folder.path("snmpd.agentx")
}

fn row(contestants: &[Contestant], number: usize, (work, least): (&str, f64)) -> Result<Row> {
    let ours = named(contestants, "ours")?.measured(number)?;
    let inside = named(contestants, "in snmpd")?.measured(number)?;
    let peers = contestants.iter().filter(|contestant| contestant.name() != "ours");
    let peers = peers.map(|peer| Ok((peer.name(), peer.seen(number)?))).collect::<Result<Vec<_>>>()?;
    let part = |(name, seen): &(&str, Seen)| match seen {
        Seen::Measured(rate) if *name != "in snmpd" => Some(format!("{name} has {:.2} of in snmpd.", rate / inside)),
        _ => None,
    };
    let notes = peers.iter().filter_map(part).collect();
    let target = Target::TimesPeer(least, "in snmpd");
    Ok(Row { name: format!("sidecar under snmpd, {work}"), unit: Unit::VarBindsPerSecond, ours, peers, target, notes })
}
