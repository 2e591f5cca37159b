//! The time until a subagent has registered again after a restart of its master.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use harness::{DEADLINE, Exporter, Sandbox, free_port};

use super::Group;
use crate::{
    peers::contestants::{Bench, ONCE},
    peers::objects::Objects,
    report::row::{Row, Seen, Target, Unit},
    report::statistics::{median, quantile},
    requests::link::Address,
};

pub(super) const GROUP: Group = Group {
    name: "return",
    title: "Registered again after the master is back",
    about: "The bench is the AgentX master. It goes away without a word, as with `kill -9`, is away for about five seconds, \
            listens again, and waits for the Register: the number is the longest of four such times. Ours over a Unix \
            socket and over TCP, and the peers over a Unix socket, all at the same time, each with a master of its own.",
    measure,
};

const ROUNDS: u32 = 4;
/// How long a session must last before the master is stopped.
const UP: Duration = Duration::from_secs(6);
const AWAY: Duration = Duration::from_secs(5);
const SMALL: Objects = Objects { rows: 10, columns: 10, scalars: 0 };

/// The subagents that are compared.
#[derive(Debug, Clone, Copy)]
enum Subagent {
    OursOverUnix,
    OursOverTcp,
    C,
    Snmpkit,
}

fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let all = [Subagent::OursOverUnix, Subagent::OursOverTcp, Subagent::C, Subagent::Snmpkit];
    // Each runs in its own thread, because a process ends with the thread that starts it.
    let [unix, tcp, c, snmpkit] = thread::scope(|scope| {
        all.map(|who| scope.spawn(move || times(bench, who)))
            .map(|running| running.join().unwrap_or_else(|_| Err(anyhow!("a thread panicked"))))
    });
    let seen = |times: Result<Vec<f64>>| match times.and_then(|times| quantile(&times, 1.0)) {
        Ok(longest) => Seen::Measured(longest),
        Err(error) => Seen::Broken(format!("{error:#}")),
    };
    let c = c?;
    let peers = vec![("C", Seen::Measured(quantile(&c, 1.0)?)), ("snmpkit", seen(snmpkit))];
    let row = |transport: &str, times: Vec<f64>| -> Result<Row> {
        Ok(Row {
            name: format!("registered again after the master is back, over {transport}"),
            unit: Unit::Seconds,
            ours: quantile(&times, 1.0)?,
            peers: peers.clone(),
            target: Target::AtMost(1.0),
            notes: vec![format!("median of ours {:.2} s, of C {:.2} s.", median(&times)?, median(&c)?)],
        })
    };
    Ok(vec![row("a Unix socket", unix?)?, row("TCP", tcp?)?])
}

fn times(bench: &Bench, who: Subagent) -> Result<Vec<f64>> {
    let sandbox = Sandbox::new()?;
    let socket = sandbox.path("agentx");
    let address = match who {
        Subagent::OursOverTcp => Address::Tcp(free_port()?),
        _ => Address::Unix(socket.clone()),
    };
    let mut acceptor = address.listen()?;
    let exporter = Exporter::with_page(&SMALL.page(0))?;
    let ours = || bench.cores.on_server(|| bench.sidecar(&sandbox, address.url(), SMALL, exporter.port(), ONCE));
    let (_sidecar, _process) = match who {
        Subagent::OursOverUnix | Subagent::OursOverTcp => (Some(ours()?), None),
        Subagent::C => (None, Some(bench.cores.on_server(|| bench.c_subagent(&sandbox, &socket, SMALL))?)),
        Subagent::Snmpkit => (None, Some(bench.cores.on_server(|| bench.snmpkit(&sandbox, &socket, SMALL, 1))?)),
    };
    let mut link = acceptor.accept()?;
    link.until_registered()?;
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        link.serve_for(UP)?;
        drop((link, acceptor));
        // The downtime varies, so that the interval of a subagent's attempts does not determine the result.
        thread::sleep(AWAY + round * Duration::from_millis(370));
        let back = Instant::now();
        acceptor = address.listen()?;
        let again = acceptor.accept().map_err(|_| anyhow!("not back within {DEADLINE:?}"))?;
        link = again;
        times.push(link.until_registered()?.saturating_duration_since(back).as_secs_f64());
    }
    Ok(times)
}
