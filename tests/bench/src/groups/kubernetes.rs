//! The time until an NMS sees an applied object in a cluster, and until it gets a response after the active master is deleted.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use super::Group;
use crate::{
    cluster::installation::Installation,
    peers::contestants::Bench,
    programs::say,
    report::row::{Row, Target, Unit},
    report::statistics::{median, quantile},
};

pub(super) const GROUP: Group = Group {
    name: "kubernetes",
    title: "From kubectl to the NMS, in a cluster",
    about: "The chart with its defaults in a real Kubernetes of one node on this machine, whose kubelet is at its defaults \
            where it reads volumes. A tenant's two pods of node_exporter serve a subtree, and keep running. A second one is \
            applied, changed and deleted, twelve times; the clock starts before `kubectl`, and stops at the first answer that \
            shows it: net-snmp's `snmpget` stands outside the cluster and asks the NodePort again as soon as it is \
            answered. Then the pod of the active master is deleted, three times with `--grace-period=0 --force` and three \
            times as it is done usually; the clock stops at the first right answer of the other master. The API \
            server, etcd, kubelet, all pods and the NMS share two processors.",
    measure,
};

const NAME: &str = "bench-kubernetes";
const ROUNDS: u32 = 12;
const DELETIONS: u32 = 3;
/// The longest acceptable wait of an SNMP client.
const TARGET: f64 = 3.0;

fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let installation = Installation::new(bench, NAME)?;
    let lives = installation.lives()?;
    say("applying, changing and deleting a subtree");
    let mut rows = changes(&installation)?;
    let now = installation.lives()?;
    ensure!(lives == now, "pods or containers were restarted: {lives}, then {now}");
    say("deleting active masters");
    rows.push(failover(&installation, "deleted by force", &["--grace-period=0", "--force"])?);
    rows.push(failover(&installation, "deleted gracefully", &[])?);
    Ok(rows)
}

/// The durations of all changes in seconds, and the parts of kubectl.
#[derive(Debug, Default)]
struct Times {
    all: Vec<f64>,
    kubectl: Vec<f64>,
}

impl Times {
    /// Makes a change, and measures the time until the NMS reads the `expected` text.
    fn measure(
        &mut self,
        installation: &Installation,
        act: impl FnOnce() -> Result<()>,
        expected: Option<&str>,
    ) -> Result<()> {
        let begun = Instant::now();
        act()?;
        self.kubectl.push(begun.elapsed().as_secs_f64());
        let what = format!("the second subtree to be {expected:?}");
        let seen = installation.until(&what, || Ok(installation.read(2)?.as_deref() == expected))?;
        self.all.push(seen.saturating_duration_since(begun).as_secs_f64());
        Ok(())
    }

    fn rows(&self, what: &str) -> Result<Vec<Row>> {
        let row = |which: &str, ours| Row {
            name: format!("an NMS sees {what}, from `kubectl` on: {which} of {ROUNDS}"),
            unit: Unit::Seconds,
            ours,
            peers: Vec::new(),
            target: Target::AtMost(TARGET),
            notes: Vec::new(),
        };
        let mut median_row = row("median", median(&self.all)?);
        median_row.notes.push(format!("of that, kubectl itself took {:.2} s, at the median.", median(&self.kubectl)?));
        Ok(vec![median_row, row("longest", quantile(&self.all, 1.0)?)])
    }
}

fn changes(installation: &Installation) -> Result<Vec<Row>> {
    let (mut creations, mut changes, mut deletions) = (Times::default(), Times::default(), Times::default());
    for round in 0..ROUNDS {
        // Waits until the effects of the previous change, such as status updates, are over. The pause varies, so that the
        // intervals of the kubelet and the sidecars do not determine the result.
        let pause = || thread::sleep(Duration::from_millis(1000 + 83 * u64::from(round)));
        let (before, after) = (format!("before-{round}"), format!("after-{round}"));
        pause();
        creations.measure(installation, || installation.apply("second", 2, &before), Some(&before))?;
        pause();
        changes.measure(installation, || installation.apply("second", 2, &after), Some(&after))?;
        pause();
        deletions.measure(installation, || installation.delete("second"), None)?;
    }
    Ok([
        creations.rows("a second SnmpSubtree of running pods")?,
        changes.rows("a change of an SnmpSubtree")?,
        deletions.rows("the deletion of an SnmpSubtree")?,
    ]
    .concat())
}

/// Measures how soon the other master responds when the active one is deleted.
fn failover(installation: &Installation, how: &str, options: &[&str]) -> Result<Row> {
    let (mut all, mut silent) = (Vec::new(), Vec::new());
    for _ in 0..DELETIONS {
        installation.wait_for_masters()?;
        let before = installation.boots()?;
        let (begun, kubectl) = installation.delete_active_master(options)?;
        let mut last = begun;
        let back = installation.until("the other master", || {
            let boots = installation.boots()?;
            if boots == before {
                last = Instant::now();
            }
            Ok(boots > before)
        });
        let kubectl = kubectl.wait_with_output()?;
        ensure!(kubectl.status.success(), "kubectl: {}", String::from_utf8_lossy(&kubectl.stderr));
        let back = back?;
        all.push(back.saturating_duration_since(begun).as_secs_f64());
        silent.push(back.saturating_duration_since(last).as_secs_f64());
    }
    let each: Vec<_> = all.iter().map(|seconds| format!("{seconds:.2}")).collect();
    Ok(Row {
        name: format!("the other master answers after the active one's pod is {how}: median of {DELETIONS}"),
        unit: Unit::Seconds,
        ours: median(&all)?,
        peers: Vec::new(),
        target: Target::Nothing,
        notes: vec![format!(
            "each: {} s; between the last right answer of the one and the first of the other at most {:.2} s.",
            each.join(", "),
            quantile(&silent, 1.0)?
        )],
    })
}
