//! The cost of a request with many subagents, contexts and registrations.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use harness::{Exporter, MasterProgram, Sandbox, ScriptedSubagent, Sidecar, SnmpAgent as _};
use serde_json::{Value, json};

use super::Group;
use crate::{
    peers::contestants::{Bench, ONCE},
    peers::crowd::register,
    peers::objects::Objects,
    report::row::{Row, Seen, Target, Unit},
    report::statistics::median,
    requests::questions::each_scalar,
    requests::snmp::{Asker, Client},
};

pub(super) const GROUP: Group = Group {
    name: "crowd",
    title: "Our master in a crowd",
    about: "A client asks our master for one scalar at a time, which our sidecar serves, as in *Sidecar under our master*; \
            the number is the time of one GET. Several masters with a sidecar each take turns, a quarter of a second each, \
            nine times, and the median counts. They differ in what else there is: 1, 100, 1,000 and 10,000 further \
            connections with a session and a region each; 1 and 5,000 contexts, each with a community of its own and a \
            region; 1,000 and 50,000 registrations of one session. *One more registration* is the median time of a \
            Register and its Response among 1,000 that come on top, at either master in turn. Then sessions come and go over one master, a hundred \
            at a time, each over a connection of its own with a region of its own; *one more session* is the time of a hundred \
            by their number, at the median: of the first 100, those up to 1,000, and those up to 10,000.",
    measure,
};

const ROUNDS: usize = 9;
const TURN: Duration = Duration::from_millis(250);
const SMALL: Objects = Objects { rows: 10, columns: 10, scalars: 100 };
/// The number of temporary subagents that are connected at the same time.
const WAVE: u32 = 100;

fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let exporter = Exporter::with_page(&SMALL.page(0))?;
    let environment = Environment { bench, port: exporter.port() };
    let mut rows = connections(environment)?;
    rows.extend(contexts(environment)?);
    rows.extend(registrations(environment)?);
    rows.extend(reconnections(environment)?);
    Ok(rows)
}

/// The environment in which masters are started.
#[derive(Clone, Copy)]
struct Environment<'a> {
    bench: &'a Bench,
    /// The port of the exporter.
    port: u16,
}

/// A master with its sidecar and a client.
struct Served {
    // The sidecar is dropped before the master, so that it does not try to reconnect.
    crowd: Vec<ScriptedSubagent>,
    _sidecar: Sidecar,
    master: MasterProgram,
    _folder: Sandbox,
    client: Client,
    /// The durations of GETs, in seconds.
    times: Vec<f64>,
}

impl Environment<'_> {
    /// Starts a master with a sidecar, and then the additional subagents.
    fn serve(
        self,
        change: impl FnOnce(&mut Value),
        crowd: impl FnOnce(&MasterProgram) -> Result<Vec<ScriptedSubagent>>,
    ) -> Result<Served> {
        let (bench, folder) = (self.bench, Sandbox::new()?);
        let master = bench.cores.on_server(|| bench.master(&folder, change))?;
        let sidecar = bench.cores.on_server(|| bench.sidecar(&folder, master.unix_url(), SMALL, self.port, ONCE))?;
        let (client, questions) = (master.v2c(), each_scalar()?);
        folder.wait_for("the scalars", || Client::check(client.address(), &questions))?;
        let crowd = crowd(&master)?;
        let client = Client::check(client.address(), &questions)?;
        Ok(Served { crowd, _sidecar: sidecar, master, _folder: folder, client, times: Vec::new() })
    }
}

impl Served {
    fn turn(&mut self) -> Result<()> {
        self.times.push(1.0 / self.client.rate(TURN)?);
        Ok(())
    }

    /// Returns the microseconds of one GET.
    fn microseconds(&self) -> Result<f64> {
        Ok(median(&self.times)? * 1e6)
    }
}

fn take_turns(masters: &mut [Served]) -> Result<()> {
    for _ in 0..ROUNDS {
        for master in masters.iter_mut() {
            master.turn()?;
        }
    }
    Ok(())
}

fn cost(name: String, ours: f64, peer: &'static str, seen: f64, most: f64) -> Row {
    let target = Target::AtMostTimes(most, peer);
    Row { name, unit: Unit::Microseconds, ours, peers: vec![(peer, Seen::Measured(seen))], target, notes: Vec::new() }
}

fn members(master: &MasterProgram, count: u32) -> Result<Vec<ScriptedSubagent>> {
    let member = |number| {
        let mut member = ScriptedSubagent::open(&master.agentx_socket())?;
        register(&mut member, "", &[1, number])?;
        Ok(member)
    };
    (1..=count).map(member).collect()
}

fn connections(environment: Environment<'_>) -> Result<Vec<Row>> {
    const COUNTS: [u32; 4] = [1, 100, 1_000, 10_000];
    let mut masters = COUNTS
        .iter()
        .map(|count| environment.serve(|_| {}, |master| members(master, *count)))
        .collect::<Result<Vec<_>>>()?;
    take_turns(&mut masters)?;
    let alone = masters.first().context("no master was started")?.microseconds()?;
    let beside = COUNTS.iter().zip(&masters).skip(1);
    beside
        .map(|(count, master)| {
            let name = format!("GET × 1 beside {count} subagent connections");
            let mut row = cost(name, master.microseconds()?, "beside 1", alone, 1.1);
            row.notes.push(format!("{:.1} MB are resident.", megabytes(&master.master)?));
            Ok(row)
        })
        .collect()
}

fn contexts(environment: Environment<'_>) -> Result<Vec<Row>> {
    const COUNT: u32 = 5_000;
    let names: Vec<String> = (1..COUNT).map(|number| format!("tenant-{number}")).collect();
    let context = |name| json!({"name": name, "communities": [{"community": format!("of-{name}")}]});
    let many = |document: &mut Value| {
        if let Some(contexts) = document["contexts"].as_array_mut() {
            contexts.extend(names.iter().map(context));
        }
    };
    let one = environment.serve(|_| {}, |master| members(master, 1))?;
    let crowd = |master: &MasterProgram| {
        let mut member = ScriptedSubagent::open(&master.agentx_socket())?;
        names.iter().try_for_each(|name| register(&mut member, name, &[1, 1]))?;
        Ok(vec![member])
    };
    let mut masters = [one, environment.serve(many, crowd)?];
    take_turns(&mut masters)?;
    let [one, many] = &masters;
    let (ours, seen) = (many.microseconds()?, one.microseconds()?);
    Ok(vec![cost(format!("GET × 1 with {COUNT} contexts"), ours, "with 1", seen, 1.1)])
}

fn registrations(environment: Environment<'_>) -> Result<Vec<Row>> {
    const COUNTS: [u32; 2] = [1_000, 50_000];
    /// The number of additional subagents.
    const MORE: u32 = 1_000;
    let registered = |count| {
        environment.serve(
            |_| {},
            |master| {
                let mut member = ScriptedSubagent::open(&master.agentx_socket())?;
                (1..=count).try_for_each(|number| register_one(&mut member, number))?;
                Ok(vec![member])
            },
        )
    };
    let mut masters = COUNTS.into_iter().map(registered).collect::<Result<Vec<_>>>()?;
    let mut times = [Vec::new(), Vec::new()];
    for number in 1..=MORE {
        for ((master, count), times) in masters.iter_mut().zip(COUNTS).zip(&mut times) {
            let member = master.crowd.first_mut().context("no subagent was started")?;
            let start = Instant::now();
            register_one(member, count + number)?;
            times.push(start.elapsed().as_secs_f64() * 1e6);
        }
    }
    take_turns(&mut masters)?;
    let [few, many] = &masters[..] else { anyhow::bail!("two were measured") };
    let (peer, [with_few, with_many]) = ("with 1,000", times);
    Ok(vec![
        cost("one more registration with 50,000".to_owned(), median(&with_many)?, peer, median(&with_few)?, 1.3),
        cost("GET × 1 with 50,000 registrations".to_owned(), many.microseconds()?, peer, few.microseconds()?, 1.3),
    ])
}

/// Registers a row of one of a hundred tables.
fn register_one(member: &mut ScriptedSubagent, number: u32) -> Result<()> {
    register(member, "", &[number % 100, number])
}

fn reconnections(environment: Environment<'_>) -> Result<Vec<Row>> {
    const COUNTS: [u32; 3] = [100, 1_000, 10_000];
    let mut served = environment.serve(|_| {}, |_| Ok(Vec::new()))?;
    // The measurements after each step: a GET and a session in microseconds, and the memory in megabytes.
    let mut seen = Vec::new();
    let mut opened = 0;
    for count in COUNTS {
        let mut sessions = Vec::new();
        while opened < count {
            let start = Instant::now();
            let wave = (1..=WAVE).map(|number| {
                let mut member = ScriptedSubagent::open(&served.master.agentx_socket())?;
                register(&mut member, "", &[2, opened + number])?;
                Ok(member)
            });
            drop(wave.collect::<Result<Vec<ScriptedSubagent>>>()?);
            sessions.push(start.elapsed().as_secs_f64() * 1e6 / f64::from(WAVE));
            opened += WAVE;
        }
        served.times.clear();
        for _ in 0..ROUNDS {
            served.turn()?;
        }
        seen.push((served.microseconds()?, median(&sessions)?, megabytes(&served.master)?));
    }
    let [first, middle, last] = seen[..] else { anyhow::bail!("three were measured") };
    let name = |what: &str| format!("{what} after 10,000 sessions came and went");
    let memory = Row { unit: Unit::Megabytes, ..cost(name("resident memory"), last.2, "after 1,000", middle.2, 1.1) };
    Ok(vec![
        cost(name("GET × 1"), last.0, "after 100", first.0, 1.1),
        cost(name("one more session"), last.1, "after 1,000", middle.1, 1.3),
        memory,
    ])
}

#[allow(clippy::cast_precision_loss)]
fn megabytes(master: &MasterProgram) -> Result<f64> {
    Ok(master.memory()?.resident as f64 / 1e6)
}
