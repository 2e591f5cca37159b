//! Third-party subagents under snmpd and snmp-master: net-snmp's library, FRRouting and pyagentx.

use agentx::Value;
use anyhow::{Result, ensure};
use harness::{
    Client,
    MasterKind::{self, NetSnmp, Ours},
    MasterProgram, Process, Row, Sandbox, SnmpAgent, Walk, start_bgpd, start_c_subagent, start_python_subagent,
};
use rstest::rstest;

use crate::sidecar_setup::rows_under;

/// The base OID of the subagent in C.
const C: &str = "1.3.6.1.4.1.8072.9999.9999.70";
/// The first walk of the subagent in C, if its text is `hello`.
const C_WALK: &[&str] = &[
    "1.0 = STRING: \"hello\"",
    "2.0 = INTEGER: 50",
    "3.0 = STRING: \"none\"",
    "4.0 = Counter64: 18446744073709551615",
    "5.0 = INTEGER: 0",
    "6.0 = INTEGER: 0",
    "10.1.2.1.97 = INTEGER: 0",
    "10.1.2.2.98.99 = INTEGER: 1",
    "10.1.2.3.100.101.102 = INTEGER: 2",
    "10.1.3.1.97 = STRING: \"a\"",
    "10.1.3.2.98.99 = STRING: \"bc\"",
    "10.1.3.3.100.101.102 = STRING: \"def\"",
];

/// The MIB module of BGP.
const BGP: &str = "1.3.6.1.2.1.15";
/// The base OID of the subagent in Python.
const PYTHON: &str = "1.3.6.1.4.1.8072.9999.9999.71";

/// Walks `base` by GetNext until it shows at least this many rows.
fn wait_for_walk(
    sandbox: &Sandbox,
    process: &mut Process,
    client: &Client,
    base: &str,
    rows: usize,
) -> Result<Vec<Row>> {
    sandbox.wait_for("the subagent to be served", || {
        process.running()?;
        let walk = client.walk(Walk::Next, base)?;
        ensure!(walk.len() >= rows, "{walk:?}");
        Ok(walk)
    })
}

/// Starts the subagent in C under a master, and waits until it has registered.
fn serve_c(master: MasterKind) -> Result<(Process, Box<dyn SnmpAgent>, Sandbox)> {
    let sandbox = Sandbox::new()?;
    let agent = master.start(&sandbox)?;
    let mut subagent = start_c_subagent(&sandbox, &*agent, "", "hello")?;
    wait_for_walk(&sandbox, &mut subagent, &agent.v2c(), C, C_WALK.len())?;
    Ok((subagent, agent, sandbox))
}

#[rstest]
fn a_walk_of_a_subagent_with_net_snmps_library_is_complete(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let (_subagent, agent, _sandbox) = serve_c(master)?;
    let whole = rows_under(C, C_WALK);
    for client in [agent.v2c(), agent.v3("")] {
        for how in [Walk::Next, Walk::Bulk(1), Walk::Bulk(2), Walk::Bulk(5), Walk::Bulk(50), Walk::Bulk(1000)] {
            assert_eq!(client.walk(how, C)?, whole, "{how:?}");
        }
    }
    let without_counter64: Vec<Row> =
        whole.iter().filter(|row| !matches!(row.value, Value::Counter64(_))).cloned().collect();
    assert_eq!(agent.v1().walk(Walk::Next, C)?, without_counter64);
    Ok(())
}

#[rstest]
fn a_subagent_with_net_snmps_library_answers_requests_of_many_varbinds(
    #[values(NetSnmp, Ours)] master: MasterKind,
) -> Result<()> {
    let (_subagent, agent, _sandbox) = serve_c(master)?;
    let oid = |arcs: &str| format!("{C}.{arcs}");
    let oids = ["3.0", "10.1.2.3.100.101.102", "1.0", "1.1", "9.0", "10.1.9.1.97", "10.1.2.1.98", "1.0"].map(oid);
    let rows = agent.v2c().get(&oids.each_ref().map(String::as_str))?;
    let expected = [
        C_WALK[2],
        C_WALK[8],
        C_WALK[0],
        "1.1 = No Such Instance",
        "9.0 = No Such Object",
        "10.1.9.1.97 = No Such Object",
        "10.1.2.1.98 = No Such Instance",
        C_WALK[0],
    ];
    let missing = |row: &Row| matches!(row.value, Value::NoSuchObject | Value::NoSuchInstance);
    for (row, expected) in rows.iter().zip(rows_under(C, &expected)) {
        // The library chooses the exception. In a table it does not know which columns exist.
        assert!(*row == expected || (row.oid == expected.oid && missing(row) && missing(&expected)), "{row:?}");
    }
    let rows = agent.v2c().get_bulk(1, 3, &[&oid("1"), &oid("10.1.2"), &oid("10.1.3")])?;
    let expected = [0, 6, 9, 7, 10, 8, 11].map(|number| C_WALK[number]);
    assert_eq!(rows, rows_under(C, &expected));
    Ok(())
}

/// SETs of the subagent in C, each with OIDs, syntaxes and values, and the expected error, if any.
const SETS: &[(&[[&str; 3]], Option<&str>)] = &[
    (&[["2.0", "i", "77"]], None),
    (&[["2.0", "i", "101"]], Some("wrongValue")),
    (&[["2.0", "s", "x"]], Some("wrongType")),
    (&[["3.0", "s", ""]], Some("wrongLength")),
    (&[["1.0", "s", "x"]], Some("notWritable")),
    (&[["2.0", "i", "6"], ["3.0", "s", "abc"]], None),
    (&[["2.0", "i", "7"], ["3.0", "s", "12345678901234567"]], Some("wrongLength")),
    (&[["3.0", "s", "lost"], ["2.0", "i", "-1"]], Some("wrongValue")),
    // TestSet and the first commit succeed, then the commit is undone.
    (&[["2.0", "i", "5"], ["6.0", "i", "1"]], Some("commitFailed")),
    (&[["10.1.2.1.97", "i", "9"], ["10.1.2.3.100.101.102", "i", "11"], ["2.0", "i", "8"]], None),
    (&[["10.1.2.1.97", "s", "x"]], Some("wrongType")),
    (&[["10.1.3.1.97", "s", "x"]], Some("notWritable")),
    (&[["5.0", "i", "3"]], None),
];

/// The rows of a walk that differ after all SETs, by their position.
const AFTER_SETS: &[(usize, &str)] = &[
    (1, "2.0 = INTEGER: 8"),
    (2, "3.0 = STRING: \"abc\""),
    (4, "5.0 = INTEGER: 3"),
    (6, "10.1.2.1.97 = INTEGER: 9"),
    (8, "10.1.2.3.100.101.102 = INTEGER: 11"),
];

#[rstest]
fn a_set_of_a_subagent_with_net_snmps_library_is_all_or_nothing(
    #[values(NetSnmp, Ours)] master: MasterKind,
) -> Result<()> {
    let (_subagent, agent, _sandbox) = serve_c(master)?;
    for (objects, refused) in SETS {
        let before = agent.v2c().walk(Walk::Next, C)?;
        let objects: Vec<(String, &str, &str)> =
            objects.iter().map(|[arcs, kind, value]| (format!("{C}.{arcs}"), *kind, *value)).collect();
        let objects: Vec<(&str, &str, &str)> =
            objects.iter().map(|(oid, kind, value)| (oid.as_str(), *kind, *value)).collect();
        let response = agent.v2c().set_all(&objects);
        match (response, refused) {
            (Ok(rows), None) => ensure!(rows.len() == objects.len(), "{objects:?}: {rows:?}"),
            (Err(error), Some(refused)) => {
                ensure!(error.to_string().contains(refused), "{objects:?}: {error:#}");
                ensure!(agent.v2c().walk(Walk::Next, C)? == before, "{objects:?}: the refused SET changed a value");
            }
            (response, _) => anyhow::bail!("{objects:?}: expected the error {refused:?}, received {response:?}"),
        }
    }
    let mut whole = C_WALK.to_vec();
    for (position, row) in AFTER_SETS {
        whole[*position] = row;
    }
    assert_eq!(agent.v2c().walk(Walk::Bulk(50), C)?, rows_under(C, &whole));
    Ok(())
}

#[test]
fn notifications_of_a_subagent_with_net_snmps_library_are_counted() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let master = MasterProgram::start(&sandbox)?;
    let mut subagent = start_c_subagent(&sandbox, &master, "", "hello")?;
    wait_for_walk(&sandbox, &mut subagent, &master.v2c(), C, C_WALK.len())?;
    let notifications = || master.metric("snmp_master_notifications_total", &[]);
    // The library also sends a notification when it starts.
    let before = notifications()?;
    for number in 1..=3 {
        master.v2c().set(&format!("{C}.5.0"), "i", &number.to_string())?;
    }
    sandbox.wait_for("three notifications to be counted", || {
        let now = notifications()?;
        ensure!((now - before - 3.0).abs() < 0.5, "there were {before} notifications, and now {now}");
        Ok(())
    })?;
    // The master has responded to the notifications, so the session continues.
    assert_eq!(master.v2c().get(&[&format!("{C}.5.0")])?, rows_under(C, &["5.0 = INTEGER: 3"]));
    Ok(())
}

#[rstest]
fn one_set_over_two_subagents_is_one_transaction(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let (_subagent, agent, sandbox) = serve_c(master)?;
    let client = agent.v2c();
    let mut bgpd = start_bgpd(&sandbox, &*agent)?;
    wait_for_walk(&sandbox, &mut bgpd, &client, BGP, 40)?;
    let (level, retry) = (format!("{C}.2.0"), format!("{BGP}.3.1.17.127.0.0.2"));
    let before = rows_under(BGP, &["3.1.17.127.0.0.2 = INTEGER: 120"]);
    for refused in [(&*level, "i", "101"), (&format!("{C}.6.0"), "i", "1")] {
        let error = client.set_all(&[(&retry, "i", "33"), refused]).expect_err("one of them is refused");
        ensure!(client.get(&[&retry])? == before, "the SET was refused, but changed a value: {error:#}");
    }
    client.set_all(&[(&level, "i", "10"), (&retry, "i", "33")])?;
    assert_eq!(client.get(&[&level])?, rows_under(C, &["2.0 = INTEGER: 10"]));
    assert_eq!(client.get(&[&retry])?, rows_under(BGP, &["3.1.17.127.0.0.2 = INTEGER: 33"]));
    Ok(())
}

#[rstest]
fn each_tenant_sees_its_own_subagent_at_the_same_oid(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let (_subagent, agent, sandbox) = serve_c(master)?;
    let mut theirs = start_c_subagent(&sandbox, &*agent, "acme", "acme")?;
    let (default, acme) = (agent.v2c(), agent.client(&["-v2c", "-c", harness::CONTEXT_COMMUNITY]));
    wait_for_walk(&sandbox, &mut theirs, &acme, C, C_WALK.len())?;
    acme.set(&format!("{C}.2.0"), "i", "99")?;
    let mut whole = C_WALK.to_vec();
    assert_eq!(default.walk(Walk::Bulk(7), C)?, rows_under(C, &whole));
    whole[0] = "1.0 = STRING: \"acme\"";
    whole[1] = "2.0 = INTEGER: 99";
    for client in [acme, agent.v3("acme")] {
        assert_eq!(client.walk(Walk::Bulk(7), C)?, rows_under(C, &whole));
    }
    Ok(())
}

#[rstest]
fn a_subagent_with_net_snmps_library_reconnects_to_a_restarted_master(
    #[values(NetSnmp, Ours)] master: MasterKind,
) -> Result<()> {
    let (mut subagent, mut agent, sandbox) = serve_c(master)?;
    agent.kill()?;
    agent.start_again()?;
    let walk = wait_for_walk(&sandbox, &mut subagent, &agent.v2c(), C, C_WALK.len())?;
    assert_eq!(walk, rows_under(C, C_WALK));
    let (status, _) = subagent.stop()?;
    ensure!(status.success(), "the subagent ended with {status}");
    sandbox.wait_for("its objects to be removed", || {
        let walk = agent.v2c().walk(Walk::Next, C)?;
        ensure!(walk.is_empty(), "{walk:?}");
        Ok(())
    })
}

#[rstest]
fn frrouting_can_be_walked_and_written(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let sandbox = Sandbox::new()?;
    let agent = master.start(&sandbox)?;
    let client = agent.v2c();
    let mut bgpd = start_bgpd(&sandbox, &*agent)?;
    let walk = wait_for_walk(&sandbox, &mut bgpd, &client, BGP, 40)?;
    let neighbours = ["3.1.9.127.0.0.2 = INTEGER: 65002", "3.1.9.127.0.0.3 = INTEGER: 65003"];
    for row in rows_under(BGP, &[&["2.0 = INTEGER: 65001"], &neighbours[..]].concat()) {
        ensure!(walk.contains(&row), "the walk does not show {row:?}: {walk:?}");
    }
    // Timers run, so values may differ, but not OIDs.
    let names = |rows: &[Row]| rows.iter().map(|row| row.oid.clone()).collect::<Vec<_>>();
    for how in [Walk::Bulk(1), Walk::Bulk(3), Walk::Bulk(10), Walk::Bulk(100)] {
        assert_eq!(names(&client.walk(how, BGP)?), names(&walk), "{how:?}");
    }
    assert_eq!(client.get_bulk(0, 2, &[&format!("{BGP}.3.1.9")])?, rows_under(BGP, &neighbours));
    // bgpPeerConnectRetryInterval
    let retry = format!("{BGP}.3.1.17.127.0.0.3");
    client.set(&retry, "i", "33")?;
    assert_eq!(client.get(&[&retry])?, rows_under(BGP, &["3.1.17.127.0.0.3 = INTEGER: 33"]));
    let refused = client.set(&format!("{BGP}.2.0"), "i", "1").expect_err("the object is read-only").to_string();
    ensure!(refused.contains("notWritable"), "{refused}");
    Ok(())
}

#[rstest]
fn pyagentx_can_be_walked_and_written(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let sandbox = Sandbox::new()?;
    let agent = master.start(&sandbox)?;
    let client = agent.v2c();
    let mut subagent = start_python_subagent(&sandbox, &*agent)?;
    let walk = wait_for_walk(&sandbox, &mut subagent, &client, PYTHON, 23)?;
    let mut rows: Vec<String> =
        ["1.0 = STRING: \"in Python\"", "2.0 = INTEGER: 50", "3.0 = Counter64: 18446744073709551615"]
            .map(str::to_owned)
            .into();
    rows.extend((1..=20).map(|number| format!("10.1.2.{number} = INTEGER: {}", number * number)));
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    assert_eq!(walk, rows_under(PYTHON, &rows));
    for how in [Walk::Bulk(1), Walk::Bulk(10), Walk::Bulk(50)] {
        assert_eq!(client.walk(how, PYTHON)?, rows_under(PYTHON, &rows), "{how:?}");
    }
    let level = format!("{PYTHON}.2.0");
    client.set(&level, "i", "7")?;
    sandbox.wait_for("the new level to be published", || {
        let seen = client.get(&[&level])?;
        ensure!(seen == rows_under(PYTHON, &["2.0 = INTEGER: 7"]), "{seen:?}");
        Ok(())
    })?;
    let refused = client.set(&format!("{PYTHON}.1.0"), "s", "x").expect_err("the object is read-only").to_string();
    ensure!(refused.contains("notWritable"), "{refused}");
    Ok(())
}
