//! What a request costs where there are many subagents, contexts and registrations.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use harness::{Agent as _, Exporter, Sandbox, Sidecar, SnmpMaster, Subagent};
use serde_json::{Value, json};

use super::Group;
use crate::{
    contestants::{Bench, ONCE},
    crowd::register,
    objects::Objects,
    questions::each_scalar,
    row::{Row, Seen, Target, Unit},
    snmp::{Asker, Client},
    statistics::median,
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
/// How many of those who come and go are there at once.
const WAVE: u32 = 100;

fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let exporter = Exporter::with_page(&SMALL.page(0))?;
    let place = Place { bench, port: exporter.port() };
    let mut rows = connections(place)?;
    rows.extend(contexts(place)?);
    rows.extend(registrations(place)?);
    rows.extend(come_and_go(place)?);
    Ok(rows)
}

/// Where masters are started.
#[derive(Clone, Copy)]
struct Place<'a> {
    bench: &'a Bench,
    /// Of the exporter.
    port: u16,
}

/// A master, its sidecar, and who asks it.
struct Served {
    // Before the master, which would be missed.
    crowd: Vec<Subagent>,
    _sidecar: Sidecar,
    master: SnmpMaster,
    _folder: Sandbox,
    client: Client,
    /// Seconds for one GET.
    times: Vec<f64>,
}

impl Place<'_> {
    /// Starts a master with a sidecar, and then what comes on top.
    fn serve(
        self,
        change: impl FnOnce(&mut Value),
        crowd: impl FnOnce(&SnmpMaster) -> Result<Vec<Subagent>>,
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

    /// Microseconds for one GET.
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

fn members(master: &SnmpMaster, count: u32) -> Result<Vec<Subagent>> {
    let member = |number| {
        let mut member = Subagent::open(&master.agentx_socket())?;
        register(&mut member, "", &[1, number])?;
        Ok(member)
    };
    (1..=count).map(member).collect()
}

fn connections(place: Place<'_>) -> Result<Vec<Row>> {
    const COUNTS: [u32; 4] = [1, 100, 1_000, 10_000];
    let mut masters =
        COUNTS.iter().map(|count| place.serve(|_| {}, |master| members(master, *count))).collect::<Result<Vec<_>>>()?;
    take_turns(&mut masters)?;
    let alone = masters.first().context("no master")?.microseconds()?;
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

fn contexts(place: Place<'_>) -> Result<Vec<Row>> {
    const COUNT: u32 = 5_000;
    let names: Vec<String> = (1..COUNT).map(|number| format!("tenant-{number}")).collect();
    let context = |name| json!({"name": name, "communities": [{"community": format!("of-{name}")}]});
    let many = |document: &mut Value| {
        if let Some(contexts) = document["contexts"].as_array_mut() {
            contexts.extend(names.iter().map(context));
        }
    };
    let one = place.serve(|_| {}, |master| members(master, 1))?;
    let crowd = |master: &SnmpMaster| {
        let mut member = Subagent::open(&master.agentx_socket())?;
        names.iter().try_for_each(|name| register(&mut member, name, &[1, 1]))?;
        Ok(vec![member])
    };
    let mut masters = [one, place.serve(many, crowd)?];
    take_turns(&mut masters)?;
    let [one, many] = &masters;
    let (ours, seen) = (many.microseconds()?, one.microseconds()?);
    Ok(vec![cost(format!("GET × 1 with {COUNT} contexts"), ours, "with 1", seen, 1.1)])
}

fn registrations(place: Place<'_>) -> Result<Vec<Row>> {
    const COUNTS: [u32; 2] = [1_000, 50_000];
    /// How many come on top.
    const MORE: u32 = 1_000;
    let registered = |count| {
        place.serve(
            |_| {},
            |master| {
                let mut member = Subagent::open(&master.agentx_socket())?;
                (1..=count).try_for_each(|number| register_one(&mut member, number))?;
                Ok(vec![member])
            },
        )
    };
    let mut masters = COUNTS.into_iter().map(registered).collect::<Result<Vec<_>>>()?;
    let mut times = [Vec::new(), Vec::new()];
    for number in 1..=MORE {
        for ((master, count), times) in masters.iter_mut().zip(COUNTS).zip(&mut times) {
            let member = master.crowd.first_mut().context("no member")?;
            let asked = Instant::now();
            register_one(member, count + number)?;
            times.push(asked.elapsed().as_secs_f64() * 1e6);
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

/// Registers one of a hundred tables' rows.
fn register_one(member: &mut Subagent, number: u32) -> Result<()> {
    register(member, "", &[number % 100, number])
}

fn come_and_go(place: Place<'_>) -> Result<Vec<Row>> {
    const COUNTS: [u32; 3] = [100, 1_000, 10_000];
    let mut served = place.serve(|_| {}, |_| Ok(Vec::new()))?;
    // How it was after each count: a GET and a session in microseconds, memory in megabytes.
    let mut seen = Vec::new();
    let mut come = 0;
    for count in COUNTS {
        let mut sessions = Vec::new();
        while come < count {
            let start = Instant::now();
            let wave = (1..=WAVE).map(|number| {
                let mut member = Subagent::open(&served.master.agentx_socket())?;
                register(&mut member, "", &[2, come + number])?;
                Ok(member)
            });
            drop(wave.collect::<Result<Vec<Subagent>>>()?);
            sessions.push(start.elapsed().as_secs_f64() * 1e6 / f64::from(WAVE));
            come += WAVE;
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
fn megabytes(master: &SnmpMaster) -> Result<f64> {
    Ok(master.memory()?.resident as f64 / 1e6)
}
