//! The longest delay of a response while all values are refreshed.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use harness::Sandbox;

use super::Group;
use crate::{
    peers::contestants::{Bench, ONCE},
    peers::objects::Objects,
    report::row::{Row, Seen, Target, Unit},
    report::statistics::quantile,
    requests::get_next::Walk,
    requests::link::{Address, Link},
};

pub(super) const GROUP: Group = Group {
    name: "delay",
    title: "Longest delay of an answer while 100,000 objects are refreshed",
    about: "The bench is the AgentX master and walks the table of 10,000 × 10 with GetNext × 1 for 20 seconds, while the \
            sidecar scrapes a page of 100,000 samples, all of them changed, each half second. The number is the delay \
            that 999 of 1,000 answers do not exceed. Session, scraping and mapping share one processor, as in a pod with \
            one; the application's page comes from the other, where it never delays the bench. *No refresh* is the same \
            without a scrape in the meantime, *two processors* the same where the sidecar may use both. snmpkit makes \
            its values anew each second, by itself.",
    measure,
};

const REFRESHED_MS: u64 = 500;
const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_secs(5);

/// The delays of responses, in milliseconds.
struct Delays {
    p999: f64,
    longest: f64,
    median: f64,
    answers: usize,
    refreshes: usize,
}

impl Delays {
    fn text(&self, who: &str) -> String {
        format!(
            "{who}: {} answers during {} refreshes; median {:.3} ms, 99.9 % {:.3} ms, longest {:.3} ms.",
            self.answers, self.refreshes, self.median, self.p999, self.longest
        )
    }
}

fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let ours = of_sidecar(bench, REFRESHED_MS, LONG, false)?;
    ensure!(ours.refreshes >= 10, "{} refreshes in {LONG:?}", ours.refreshes);
    let still = of_sidecar(bench, ONCE, SHORT, false)?;
    let two = of_sidecar(bench, REFRESHED_MS, LONG / 2, true)?;
    let mut notes = vec![ours.text("ours"), still.text("no refresh"), two.text("two processors")];
    let snmpkit = match of_snmpkit(bench) {
        Ok(delays) => {
            notes.push(delays.text("snmpkit"));
            Seen::Measured(delays.p999)
        }
        Err(error) => Seen::Broken(format!("{error:#}")),
    };
    let row = Row {
        name: "99.9 % of answers while 100,000 objects are refreshed take no longer than".to_owned(),
        unit: Unit::Milliseconds,
        ours: ours.p999,
        peers: vec![
            ("no refresh", Seen::Measured(still.p999)),
            ("two processors", Seen::Measured(two.p999)),
            ("snmpkit", snmpkit),
        ],
        target: Target::AtMost(1.0),
        notes,
    };
    Ok(vec![row])
}

fn of_sidecar(bench: &Bench, interval_ms: u64, time: Duration, both: bool) -> Result<Delays> {
    let objects = Objects { scalars: 0, ..Objects::BIG };
    let sandbox = Sandbox::new()?;
    let (_exporter, port) = bench.changing_exporter(&sandbox, objects)?;
    let address = Address::Unix(sandbox.path("agentx"));
    let acceptor = address.listen()?;
    let start = || bench.sidecar(&sandbox, address.url(), objects, port, interval_ms);
    let _sidecar = if both {
        bench.cores.use_both()?;
        let sidecar = start();
        bench.cores.stay_on_client()?;
        sidecar?
    } else {
        bench.cores.on_server(start)?
    };
    let mut link = acceptor.accept()?;
    link.until_registered()?;
    let mut walk = Walk::by_cell(objects, &link)?;
    walk.wait_for_last(&mut link, false)?;
    walk.check(&mut link, walk.part(0, 1), false)?;
    let before = Bench::scrapes(&sandbox);
    let delays = walk_for(&mut link, &mut walk, time)?;
    Ok(Delays { refreshes: Bench::scrapes(&sandbox) - before, ..delays })
}

fn of_snmpkit(bench: &Bench) -> Result<Delays> {
    let objects = Objects { scalars: 0, ..Objects::BIG };
    let sandbox = Sandbox::new()?;
    let socket = sandbox.path("agentx");
    let acceptor = Address::Unix(socket.clone()).listen()?;
    let _process = bench.cores.on_server(|| bench.snmpkit(&sandbox, &socket, objects, 1))?;
    let mut link = acceptor.accept()?;
    link.until_registered()?;
    let mut walk = Walk::by_cell(objects, &link)?;
    walk.wait_for_last(&mut link, true)?;
    walk_for(&mut link, &mut walk, LONG / 2)
}

fn walk_for(link: &mut Link, walk: &mut Walk, time: Duration) -> Result<Delays> {
    let end = Instant::now() + time;
    let mut delays = Vec::new();
    for number in (0..walk.requests()).cycle() {
        let start = Instant::now();
        walk.step(link, number)?;
        delays.push(start.elapsed().as_secs_f64() * 1e3);
        if Instant::now() > end {
            break;
        }
    }
    Ok(Delays {
        p999: quantile(&delays, 0.999)?,
        longest: quantile(&delays, 1.0)?,
        median: quantile(&delays, 0.5)?,
        answers: delays.len(),
        refreshes: 0,
    })
}
