//! The same objects under snmpd, by whoever serves them, as an NMS sees it.

use std::time::Duration;

use agentx::Value;
use anyhow::Result;
use harness::{Agent as _, Exporter, Process, Sandbox, Sidecar, Snmpd, SnmpdOptions};

use super::Group;
use crate::{
    contestants::{Bench, ONCE},
    objects::Objects,
    row::{Row, Seen, Target, Unit},
    snmp::{Client, Question, Variable},
    statistics::median,
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
const TURN: Duration = Duration::from_millis(500);
const REPETITIONS: u32 = 50;
const CONFIGURATION: &str = "maxGetbulkResponses 500\ndontLogTCPWrappersConnects true\n";

/// The three kinds of work, with their targets.
const WORK: [(&str, f64); 3] = [("GET of 100 scalars", 0.85), ("bulk 10 columns × 50", 0.75), ("bulk 1 × 50", 0.28)];

/// Who serves the objects where snmpd itself does not, kept alive.
#[derive(Default)]
struct Served {
    _process: Option<Process>,
    _sidecar: Option<Sidecar>,
    _exporter: Option<Exporter>,
}

/// One snmpd, and a client for each kind of work. A client is none from when its answers were wrong.
struct Contestant {
    name: &'static str,
    snmpd: Snmpd,
    // After snmpd, which ends more quickly than its subagents would notice.
    _served: Served,
    clients: Vec<Result<(Client, Vec<f64>)>>,
}

fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let objects = Objects::BIG;
    let work = [scalars()?, ten_columns(objects)?, one_column(objects)?];
    // Each has a folder of its own, since files in it have the names of programs.
    let folders = [Sandbox::new()?, Sandbox::new()?, Sandbox::new()?, Sandbox::new()?];
    let [inside, in_c, by_sidecar, by_snmpkit] = &folders;

    let module = format!("{CONFIGURATION}dlmod inside {}\n", bench.programs.inside.display());
    let snmpd = start(bench, inside, &module)?;
    let mut contestants = vec![Contestant::new("in snmpd", snmpd, Served::default())];

    let snmpd = start(bench, in_c, CONFIGURATION)?;
    let process = bench.cores.on_server(|| bench.c_subagent(in_c, &socket(in_c), objects))?;
    contestants.push(Contestant::new("C", snmpd, Served { _process: Some(process), ..Served::default() }));

    let snmpd = start(bench, by_sidecar, CONFIGURATION)?;
    let exporter = Exporter::with_page(&objects.page(0))?;
    let sidecar =
        bench.cores.on_server(|| bench.sidecar(by_sidecar, snmpd.unix_url(), objects, exporter.port(), ONCE))?;
    let served = Served { _sidecar: Some(sidecar), _exporter: Some(exporter), ..Served::default() };
    contestants.push(Contestant::new("ours", snmpd, served));

    let snmpd = start(bench, by_snmpkit, CONFIGURATION)?;
    let process = bench.cores.on_server(|| bench.snmpkit(by_snmpkit, &socket(by_snmpkit), objects, 3_600))?;
    contestants.push(Contestant::new("snmpkit", snmpd, Served { _process: Some(process), ..Served::default() }));

    for (contestant, folder) in contestants.iter_mut().zip(&folders) {
        contestant.check(folder, &work)?;
    }
    for _ in 0..ROUNDS {
        for number in 0..work.len() {
            for contestant in &mut contestants {
                contestant.take_turn(number);
            }
        }
    }
    WORK.iter().enumerate().map(|(number, work)| row(&contestants, number, *work)).collect()
}

fn start(bench: &Bench, folder: &Sandbox, configuration: &str) -> Result<Snmpd> {
    bench.cores.on_server(|| Snmpd::start_with(folder, SnmpdOptions { configuration, ..SnmpdOptions::default() }))
}

fn socket(folder: &Sandbox) -> std::path::PathBuf {
    folder.path("snmpd.agentx")
}

impl Contestant {
    fn new(name: &'static str, snmpd: Snmpd, served: Served) -> Self {
        Self { name, snmpd, _served: served, clients: Vec::new() }
    }

    /// Waits until its table is there, and checks the answers to each kind of work.
    fn check(&mut self, folder: &Sandbox, work: &[Vec<Question>]) -> Result<()> {
        let client = self.snmpd.v2c();
        let address = client.address();
        folder.wait_for("the last cell", || {
            let last = Objects::cell(Objects::BIG.columns - 1, Objects::BIG.rows);
            let question = Question::get(0, vec![cell(Objects::BIG.columns - 1, Objects::BIG.rows, last)])?;
            Client::check(address, &[question])
        })?;
        self.clients = work.iter().map(|questions| Ok((Client::check(address, questions)?, Vec::new()))).collect();
        Ok(())
    }

    fn take_turn(&mut self, number: usize) {
        let Some(Ok((client, rates))) = self.clients.get_mut(number) else { return };
        let failed = match client.rate(TURN) {
            Ok(rate) => {
                rates.push(rate);
                return;
            }
            Err(error) => error,
        };
        if let Some(client) = self.clients.get_mut(number) {
            *client = Err(failed);
        }
    }

    fn seen(&self, number: usize) -> Result<Seen> {
        Ok(match self.clients.get(number) {
            Some(Ok((_, rates))) => Seen::Measured(median(rates)?),
            Some(Err(error)) => Seen::Broken(format!("{error:#}")),
            None => Seen::Broken("not asked".to_owned()),
        })
    }
}

fn row(contestants: &[Contestant], number: usize, (work, least): (&str, f64)) -> Result<Row> {
    let mut peers = Vec::new();
    let mut ours = None;
    for contestant in contestants {
        match (contestant.name, contestant.seen(number)?) {
            ("ours", Seen::Measured(rate)) => ours = Some(rate),
            ("ours" | "in snmpd", Seen::Broken(how)) => anyhow::bail!("{work}, {}: {how}", contestant.name),
            (name, seen) => peers.push((name, seen)),
        }
    }
    let ours = ours.unwrap_or_default();
    let inside = peers.iter().find_map(|(name, seen)| match seen {
        Seen::Measured(rate) if *name == "in snmpd" => Some(*rate),
        _ => None,
    });
    let part = |(name, seen): &(&str, Seen)| match (seen, inside) {
        (Seen::Measured(rate), Some(inside)) if *name != "in snmpd" => {
            Some(format!("{name} has {:.2} of in snmpd.", rate / inside))
        }
        _ => None,
    };
    let notes = peers.iter().filter_map(part).collect();
    let target = Target::TimesPeer(least, "in snmpd");
    Ok(Row { name: format!("sidecar under snmpd, {work}"), unit: Unit::VarBindsPerSecond, ours, peers, target, notes })
}

fn cell(column: u32, row: u32, name: Vec<u32>) -> Variable {
    (name, Objects::BIG.cell_value(column, row))
}

fn scalars() -> Result<Vec<Question>> {
    let value = |scalar| -> (Vec<u32>, Value) { (Objects::scalar(scalar), Objects::scalar_value(scalar)) };
    Ok(vec![Question::get(1, (1..=Objects::BIG.scalars).map(value).collect())?])
}

fn ten_columns(objects: Objects) -> Result<Vec<Question>> {
    let question = |page: u32| {
        let first = page * REPETITIONS;
        let after: Vec<Vec<u32>> = (0..objects.columns).map(|column| Objects::cell(column, first)).collect();
        let rows = first + 1..=first + REPETITIONS;
        let answer = rows.flat_map(|row| (0..objects.columns).map(move |column| (column, row)));
        let answer = answer.map(|(column, row)| cell(column, row, Objects::cell(column, row))).collect();
        Question::get_bulk(i32::try_from(page)? + 1, REPETITIONS, &after, answer)
    };
    (0..objects.rows / REPETITIONS).map(question).collect()
}

fn one_column(objects: Objects) -> Result<Vec<Question>> {
    let pages = objects.rows / REPETITIONS;
    let question = |number: u32| {
        let (column, first) = (number / pages, number % pages * REPETITIONS);
        let answer = (first + 1..=first + REPETITIONS).map(|row| cell(column, row, Objects::cell(column, row)));
        let after = [Objects::cell(column, first)];
        Question::get_bulk(i32::try_from(number)? + 1, REPETITIONS, &after, answer.collect())
    };
    (0..pages * objects.columns).map(question).collect()
}
