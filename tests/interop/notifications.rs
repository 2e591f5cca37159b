//! Notifications from a metrics page to net-snmp's snmptrapd: raise and clear, under snmpd and under our master, in all
//! versions of SNMP.

use agentx::Value;
use anyhow::{Context as _, Result, ensure};
use harness::{
    AUTH_PASSPHRASE, COMMUNITY, Exporter, MasterKind, MasterProgram, PRIV_PASSPHRASE, Reply, Sandbox, Sidecar,
    SidecarOptions, SnmpAgent, Snmpd, SnmpdOptions, Snmptrapd, TRAP_USER, Trap, Walk,
};
use rstest::rstest;
use serde_json::{Value as Json, json};

use crate::sidecar_setup::{BASE, Manifest, NAMESPACE, context, render_in};

/// A scalar and a table with rules: the percentage above 80 with hysteresis, and the state of each queue.
const RULES: &str = "
  scalars:
  - {name: cpu, oid: '1', syntax: Gauge32, value: {source: app, metric: cpu_percent}}
  - {name: version, oid: '3', syntax: DisplayString, value: {constant: v1}}
  tables:
  - name: queueTable
    oid: '10'
    index:
    - {name: queueName, oid: '1', label: queue, as: String}
    columns:
    - {name: queueDepth, oid: '2', syntax: Gauge32, value: {source: app, metric: queue_depth}}
  notifications:
  - name: cpuHigh
    oid: '0.1'
    severity: Major
    description: The processor is busy
    when: {object: cpu, above: 80, clearBelow: 70}
    objects: [version]
    clear: {name: cpuNormal, oid: '0.2'}
  - name: queueLong
    oid: '0.3'
    severity: Minor
    when: {object: queueDepth, above: 100}
    clear: {name: queueShort, oid: '0.4'}
";
/// The details of an alarm: the object with this arc of SNMP-OPERATOR-MIB.
const DETAILS: &str = "1.3.6.1.4.1.8072.9999.9999.2741.2.2";
const ALARM_TABLE: &str = "1.3.6.1.4.1.8072.9999.9999.2741.2.1";

/// A metrics page with the load and the depths of the queues `a` and `b`.
fn page(cpu: u32, a: u32, b: u32) -> Reply {
    Reply::Page(format!("cpu_percent {cpu}\nqueue_depth{{queue=\"a\"}} {a}\nqueue_depth{{queue=\"b\"}} {b}\n"))
}

/// An application with rules, its sidecar, a master and a receiver.
struct Alerting {
    sandbox: Sandbox,
    exporter: Exporter,
    agent: Box<dyn SnmpAgent>,
    sidecar: Sidecar,
    receiver: Snmptrapd,
}

impl Alerting {
    fn start(master: MasterKind, url: impl Fn(&dyn SnmpAgent) -> String) -> Result<Self> {
        let sandbox = Sandbox::new()?;
        let receiver = Snmptrapd::start(&sandbox, "snmptrapd", None)?;
        let port = receiver.port();
        let agent: Box<dyn SnmpAgent> = match master {
            MasterKind::NetSnmp => {
                let configuration = &format!("trap2sink 127.0.0.1:{port} {COMMUNITY}\n");
                Box::new(Snmpd::start_with(&sandbox, SnmpdOptions { configuration, ..SnmpdOptions::default() })?)
            }
            MasterKind::Ours => Box::new(MasterProgram::start_with(&sandbox, |document| {
                document["targets"] = json!([target("noc", port, &json!({}))]);
            })?),
        };
        let (exporter, sidecar) = application(&sandbox, url(&*agent))?;
        Ok(Self { sandbox, exporter, agent, sidecar, receiver })
    }

    /// Waits until there are `count` notifications of the subtree, and returns their last arcs.
    fn wait_for(&self, count: usize) -> Result<Vec<Trap>> {
        self.receiver.wait_for("notifications of the subtree", count, is_of_subtree)
    }

    /// Waits until the master shows the row, given as `arcs below the base OID = TYPE: value`.
    fn wait_for_value(&self, oid: &str, value: &Value) -> Result<()> {
        self.sandbox.wait_for("a new value", || {
            let rows = self.agent.v2c().get(&[&format!("{BASE}.{oid}")])?;
            ensure!(rows.first().map(|row| &row.value) == Some(value), "{rows:?}");
            Ok(())
        })
    }
}

/// Starts an application without alarms, and its sidecar.
fn application(sandbox: &Sandbox, url: String) -> Result<(Exporter, Sidecar)> {
    let exporter = Exporter::start(page(10, 1, 1))?;
    let manifest = Manifest { port: exporter.port(), objects: RULES, ..Manifest::default() };
    let config = render_in(sandbox, "config", &[context("acme"), manifest.yaml()])?;
    let options = SidecarOptions {
        config,
        masters: vec![url],
        state: Some(sandbox.folder("sidecar.state")?),
        pod_name: "app-0".to_owned(),
        ..SidecarOptions::default()
    };
    Ok((exporter, Sidecar::start(sandbox, options)?))
}

/// Returns a target of all namespaces at a port of this machine, with changes.
fn target(name: &str, port: u16, changes: &Json) -> Json {
    let mut target = json!({
        "namespace": NAMESPACE, "name": name, "address": format!("127.0.0.1:{port}"), "contexts": [""],
        "scope": "Cluster", "security": {"v2c": {"community": COMMUNITY}}, "kind": "Trap", "timeoutMs": 1000,
        "retries": 2, "maxAgeMs": 86_400_000_u64, "rateLimit": 200, "maxMessageOctets": 1472, "agentEvents": true,
        "alarmObjects": true,
    });
    for (field, value) in changes.as_object().into_iter().flatten() {
        target[field] = value.clone();
    }
    target
}

/// The security of the receiver's user.
fn user() -> Json {
    json!({"v3": {
        "user": {
            "name": TRAP_USER,
            "auth": {"protocol": "SHA-256", "passphrase": AUTH_PASSPHRASE},
            "priv": {"protocol": "AES-128", "passphrase": PRIV_PASSPHRASE},
        },
        "securityLevel": "AuthPriv",
    }})
}

fn is_of_subtree(trap: &Trap) -> bool {
    trap.oid.to_string().starts_with(&format!("{BASE}.0."))
}

fn arcs(traps: &[Trap]) -> Vec<u32> {
    traps.iter().filter_map(|trap| trap.oid.last().copied()).collect()
}

fn detail(trap: &Trap, arc: u32) -> Result<&Value> {
    trap.value(&format!("{DETAILS}.{arc}.0"))
}

#[rstest]
fn each_crossing_is_sent_once_with_its_value(
    #[values(MasterKind::NetSnmp, MasterKind::Ours)] master: MasterKind,
    #[values("unix", "tcp")] transport: &str,
) -> Result<()> {
    let url = |agent: &dyn SnmpAgent| if transport == "tcp" { agent.tcp_url() } else { agent.unix_url() };
    let mut alerting = Alerting::start(master, url)?;
    alerting.exporter.set(page(85, 1, 1));
    let raised = alerting.wait_for(1)?;
    assert_eq!(raised[0].value(&format!("{BASE}.1.0"))?, &Value::Gauge32(85));
    assert_eq!(raised[0].value(&format!("{BASE}.3.0"))?, &Value::OctetString(b"v1".to_vec()));
    assert_eq!(detail(&raised[0], 5)?, &Value::Integer(4), "major");
    assert_eq!(detail(&raised[0], 4)?, &Value::Integer(1), "raised");
    // Neither another value above the threshold, nor one between the thresholds, nor a restart is a crossing.
    for (cpu, end) in [(90, false), (75, true)] {
        alerting.exporter.set(page(cpu, 1, 1));
        alerting.wait_for_value("1.0", &Value::Gauge32(cpu))?;
        if end {
            alerting.sidecar.stop()?;
            alerting.sidecar.start_again()?;
            alerting.sidecar.wait_ready()?;
            alerting.agent.stop()?;
            alerting.agent.start_again()?;
            alerting.wait_for_value("1.0", &Value::Gauge32(cpu))?;
        }
    }
    alerting.exporter.set(page(60, 200, 1));
    let all = alerting.wait_for(3)?;
    let mut kinds = arcs(&all);
    kinds[1..].sort_unstable();
    assert_eq!(kinds, [1, 2, 3]);
    let (clear, row) = (
        all.iter().find(|trap| trap.oid.last() == Some(&2)).context("no clear")?,
        all.iter().find(|trap| trap.oid.last() == Some(&3)).context("no row")?,
    );
    for arc in [1, 2, 7] {
        assert_eq!(detail(clear, arc)?, detail(&raised[0], arc)?, "raise and clear share the object {arc}");
    }
    assert_eq!(clear.value(&format!("{BASE}.1.0"))?, &Value::Gauge32(60));
    assert_eq!((detail(clear, 4)?, detail(clear, 5)?), (&Value::Integer(3), &Value::Integer(1)), "cleared");
    assert_eq!(row.value(&format!("{BASE}.10.1.2.1.97"))?, &Value::Gauge32(200));
    alerting.exporter.set(page(60, 1, 1));
    let all = alerting.wait_for(4)?;
    assert_eq!(arcs(&all).last(), Some(&4));
    assert_eq!(all.len(), 4, "{:?}", arcs(&all));
    ensure!(all.iter().all(Trap::has_distinct_oids), "{all:?}");
    Ok(())
}

#[test]
fn receivers_of_all_versions_get_raise_and_clear_once_and_the_table_agrees() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let mut master = MasterProgram::start(&sandbox)?;
    let engine = master.status()?["engine"]["id"].as_str().context("no engine id")?.to_owned();
    let kinds = [
        ("v1", json!({"security": {"v1": {"community": COMMUNITY}}})),
        ("v2c", json!({})),
        ("v2c-inform", json!({"kind": "Inform"})),
        ("v3", json!({"security": user()})),
        ("v3-inform", json!({"security": user(), "kind": "Inform"})),
        ("own-namespace", json!({"scope": "Namespace"})),
        ("other-namespace", json!({"scope": "Namespace", "namespace": "globex"})),
        ("other-network", json!({"scope": "Namespace", "contexts": ["acme"]})),
        ("critical", json!({"minSeverity": "Critical"})),
    ];
    let mut receivers = Vec::new();
    for (name, changes) in &kinds {
        receivers.push((*name, Snmptrapd::start(&sandbox, name, Some(&engine))?, changes));
    }
    master.configure(|document| {
        document["contexts"][0]["allowedTargets"] = json!(["127.0.0.0/8"]);
        let targets = receivers.iter().map(|(name, receiver, changes)| target(name, receiver.port(), changes));
        document["targets"] = targets.collect();
    })?;
    sandbox.wait_for("the targets to be applied", || {
        let targets = master.status()?["targets"].as_array().map_or(0, Vec::len);
        ensure!(targets == kinds.len(), "{targets} targets");
        Ok(())
    })?;
    let (exporter, _sidecar) = application(&sandbox, master.unix_url())?;
    exporter.set(page(85, 1, 1));
    let table = |count: usize| {
        sandbox.wait_for("the alarm table", || {
            let rows = master.v2c().walk(Walk::Bulk(10), ALARM_TABLE)?;
            ensure!(rows.len() == 10 * count, "{rows:?}");
            Ok(())
        })
    };
    table(1)?;
    exporter.set(page(60, 1, 1));
    table(0)?;
    for (name, receiver, _) in &receivers {
        if ["other-namespace", "other-network", "critical"].contains(name) {
            continue;
        }
        let traps = receiver.wait_for(&format!("two notifications at {name}"), 2, is_of_subtree)?;
        assert_eq!(arcs(&traps), [1, 2], "{name}");
        assert_eq!(traps[0].value(&format!("{BASE}.1.0"))?, &Value::Gauge32(85), "{name}");
        assert_eq!(detail(&traps[0], 2)?, detail(&traps[1], 2)?, "{name}");
        assert_eq!(traps[0].kind.starts_with("INFORM"), name.ends_with("inform"), "{name}: {}", traps[0].kind);
    }
    for (name, receiver, _) in &receivers {
        let heard = receiver.traps()?.iter().filter(|trap| is_of_subtree(trap)).count();
        let expected = if ["other-namespace", "other-network", "critical"].contains(name) { 0 } else { 2 };
        assert_eq!(heard, expected, "{name}");
    }
    let statuses = master.status()?["targets"].clone();
    let readiness = |name: &str| {
        let of_name = |status: &&Json| status["name"] == name;
        statuses.as_array().and_then(|all| all.iter().find(of_name)).map(|status| status["readiness"].clone())
    };
    for (name, expected) in [
        ("v1", "SentUnconfirmed"),
        ("v2c-inform", "Acknowledged"),
        ("v3-inform", "Acknowledged"),
        ("other-network", "AddressNotAllowed"),
    ] {
        assert_eq!(readiness(name), Some(json!(expected)), "{name}: {statuses}");
    }
    Ok(())
}

#[rstest]
fn informs_wait_in_order_for_a_receiver_that_is_down(#[values(false, true)] v3: bool) -> Result<()> {
    let sandbox = Sandbox::new()?;
    let mut receiver = Snmptrapd::start(&sandbox, "snmptrapd", None)?;
    let port = receiver.port();
    receiver.stop()?;
    let security = if v3 { user() } else { json!({"v2c": {"community": COMMUNITY}}) };
    let changes = json!({"kind": "Inform", "security": security, "timeoutMs": 200, "retries": 0});
    let master = MasterProgram::start_with(&sandbox, |document| {
        document["targets"] = json!([target("noc", port, &changes)]);
    })?;
    let (exporter, _sidecar) = application(&sandbox, master.unix_url())?;
    for (cpu, a, queued) in [(85, 1, 1), (60, 1, 2), (60, 200, 3), (60, 1, 4), (95, 1, 5)] {
        exporter.set(page(cpu, a, 1));
        sandbox.wait_for("the notification to be queued", || {
            let status = master.status()?["targets"][0].clone();
            // The agent's own warmStart waits, too.
            ensure!(status["queued"].as_u64().is_some_and(|waiting| waiting > queued), "{status}");
            Ok(())
        })?;
    }
    sandbox.wait_for("the target to be down", || {
        let status = master.status()?["targets"][0].clone();
        ensure!(["NoAnswer", "PortUnreachable"].iter().any(|down| status["readiness"] == *down), "{status}");
        Ok(())
    })?;
    receiver.start_again()?;
    let traps = receiver.wait_for("five informs", 5, is_of_subtree)?;
    assert_eq!(arcs(&traps), [1, 2, 3, 4, 1]);
    sandbox.wait_for("the target to be up", || {
        let status = master.status()?["targets"][0].clone();
        let is_up = status["readiness"] == "Acknowledged" && status["queued"] == 0 && status["complete"] == true;
        ensure!(is_up, "{status}");
        Ok(())
    })
}
