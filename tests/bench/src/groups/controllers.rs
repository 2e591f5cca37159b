//! The resources that the operator needs for many subtrees.

use std::{thread, time::Duration};

use anyhow::Result;
use harness::{ClusterKind, Sandbox};

use super::Group;
use crate::{
    cluster::Running,
    cluster::operator::{self, Operator},
    peers::contestants::Bench,
    peers::tenants::{Tenants, subtree},
    programs::say,
    report::row::{Row, Seen, Target, Unit},
};

pub(super) const GROUP: Group = Group {
    name: "controllers",
    title: "The operator with thousands of subtrees",
    about: "A control plane alone (etcd, API server, controller manager) with 100 namespaces of ten SnmpSubtrees, and then \
            another with 200; each subtree has ten scalars, each namespace an SnmpContext of its own with a community, and a \
            credential of a source. No pods. Then `snmp-operator run` is started beside it, with the rights that the chart \
            gives; all of it shares two processors. *First sync* is the time from the operator's start until its last write of \
            ConfigMaps, Secrets and statuses, after which nothing is written for three seconds and all subtrees and contexts say \
            that they are programmed. Most of that time is the API server's, so the operator's own processor time stands below. \
            Memory is `VmRSS` then, and `VmHWM` (1 MB is 10⁶ octets). Then one subtree is changed ten times, and then nothing is \
            done for thirty seconds. Requests are the operator's own count, and beside it that of the API server for the kinds \
            that the operator writes; neither has watches, or renewals of the Lease in it.",
    measure,
};

const NAME: &str = "bench-controllers";
const EACH: u32 = 10;
const CHANGES: u32 = 10;
/// The time without a request after which the operator is idle.
const QUIET: Duration = Duration::from_secs(3);
const IDLE_TIMEOUT: Duration = Duration::from_mins(5);
const REST: Duration = Duration::from_secs(30);
/// The most by which the cost may grow for twice as many subtrees.
const GROWTH: f64 = 2.2;

fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let small = of(bench, Tenants { namespaces: 100, each: EACH })?;
    let large = of(bench, Tenants { namespaces: 200, each: EACH })?;
    let mut rows = vec![
        growth("time to the first sync", Unit::Seconds, small.sync, large.sync),
        growth("processor time of the operator until then", Unit::Seconds, small.processor, large.processor),
        growth("resident memory of the operator", Unit::Megabytes, small.resident, large.resident),
        growth("most resident memory of the operator", Unit::Megabytes, small.most, large.most),
    ];
    if let Some(first) = rows.first_mut() {
        first.notes = vec![small.note(), large.note()];
    }
    for seen in [&small, &large] {
        rows.push(Row {
            name: format!("requests for a change of one of {} subtrees", seen.subtrees()),
            unit: Unit::Requests,
            ours: seen.of_change,
            peers: Vec::new(),
            target: Target::Nothing,
            notes: vec![format!(
                "mean of {CHANGES}; of these, {:.1} are Events; the API server counts {:.1}, without Events.",
                seen.events_of_change, seen.answered_of_change
            )],
        });
        rows.push(Row {
            name: format!("requests in 30 s at rest with {} subtrees", seen.subtrees()),
            unit: Unit::Requests,
            ours: seen.at_rest.max(seen.answered_at_rest),
            peers: Vec::new(),
            target: Target::AtMost(0.0),
            notes: vec![format!("the operator counts {}, the API server {}.", seen.at_rest, seen.answered_at_rest)],
        });
    }
    Ok(rows)
}

fn growth(what: &str, unit: Unit, small: f64, large: f64) -> Row {
    Row {
        name: format!("{what} with 2,000 subtrees"),
        unit,
        ours: large,
        peers: vec![("with 1,000", Seen::Measured(small))],
        target: Target::AtMostTimes(GROWTH, "with 1,000"),
        notes: Vec::new(),
    }
}

/// The measurements with a number of tenants.
struct Measured {
    tenants: Tenants,
    sync: f64,
    /// The processor time of the operator until the first sync and the idle time after it.
    processor: f64,
    /// The requests until the first sync.
    writes: f64,
    /// The number of reconciles until then, and their mean duration.
    passes: f64,
    pass: f64,
    resident: f64,
    most: f64,
    of_change: f64,
    events_of_change: f64,
    answered_of_change: f64,
    at_rest: f64,
    answered_at_rest: f64,
}

impl Measured {
    fn subtrees(&self) -> u32 {
        self.tenants.subtrees()
    }

    fn note(&self) -> String {
        format!(
            "with {}: {} writes in {} passes over everything, each {:.0} ms at the mean, writes included.",
            self.subtrees(),
            self.writes,
            self.passes,
            self.pass * 1e3
        )
    }
}

fn of(bench: &Bench, tenants: Tenants) -> Result<Measured> {
    let sandbox = Sandbox::new()?;
    let cluster = Running::start(bench, NAME, ClusterKind::ControlPlane)?;
    let kubeconfig = operator::prepare(&cluster, &sandbox)?;
    say(&format!("creating {} subtrees", tenants.subtrees()));
    tenants.create(&cluster)?;
    say("starting the operator");
    let mut operator = Operator::start(bench, &sandbox, &kubeconfig)?;
    let (synced, first) = operator.settle(QUIET, IDLE_TIMEOUT, || tenants.are_in_place(&cluster))?;
    let (memory, processor) = (operator.memory()?, operator.processor_seconds()?);
    let duration = "snmp_operator_reconcile_duration_seconds";
    let passes = operator.metric(&format!("{duration}_count"), &[])?;
    let took = operator.metric(&format!("{duration}_sum"), &[])?;

    let (before, answered) = (operator.requests()?, operator::answered(&cluster)?);
    for number in 1..=CHANGES {
        cluster.apply(&subtree(1, 2, &format!("change {number}")).to_string())?;
        operator.settle(Duration::from_secs(1), IDLE_TIMEOUT, || Ok(()))?;
    }
    let (_, after) = operator.settle(QUIET, IDLE_TIMEOUT, || tenants.are_in_place(&cluster))?;
    let answered_after = operator::answered(&cluster)?;
    // This measures what happens while time passes.
    thread::sleep(REST);
    let (rested, answered_rested) = (operator.requests()?, operator::answered(&cluster)?);

    let changes = f64::from(CHANGES);
    let total = |requests: operator::Requests| requests.writes + requests.events;
    Ok(Measured {
        tenants,
        sync: synced.saturating_duration_since(operator.started()).as_secs_f64(),
        processor,
        writes: first.writes,
        passes,
        pass: took / passes,
        resident: megabytes(memory.resident),
        most: megabytes(memory.peak),
        of_change: (total(after) - total(before)) / changes,
        events_of_change: (after.events - before.events) / changes,
        answered_of_change: (answered_after - answered) / changes,
        at_rest: total(rested) - total(after),
        answered_at_rest: answered_rested - answered_after,
    })
}

#[allow(clippy::cast_precision_loss)]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
