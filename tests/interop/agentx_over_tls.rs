//! Sidecars that reach our master by TLS, as they do in a cluster: grants, tokens and certificates come, change and go.

use std::{
    thread,
    time::{Duration, Instant},
};

use agentx::Value as SnmpValue;
use anyhow::{Result, bail, ensure};
use harness::{Agent as _, Authority, Client, Exporter, PodToken, Row, Walk};

use crate::{
    tls_world::{TlsWorld, all_are, session},
    world::{BASE, Manifest, NAMESPACE, OBJECTS, OTHER, PAGE, WALK, rows_under, under_a_constant_walk, wait_for_value},
};

/// Within this a change is to take effect: the master looks at its document every second, and sidecars ask again as often.
const SECONDS: Duration = Duration::from_secs(10);
/// Rows of sysORTable: what subtrees say that they implement.
const SYS_OR_TABLE: &str = "1.3.6.1.2.1.1.9.1";

fn manifest(exporter: &Exporter, name: &str, oid: &str) -> String {
    Manifest { name, oid, contexts: &["acme"], port: exporter.port(), ..Manifest::default() }.yaml()
}

/// A subtree of one scalar.
fn scalar(exporter: &Exporter) -> String {
    let objects = "
  scalars:
  - {name: requests, oid: '1', syntax: Counter64, value: {source: app, metric: requests_total}}
";
    Manifest { contexts: &["acme"], port: exporter.port(), objects, ..Manifest::default() }.yaml()
}

/// Waits until a walk of `oid` shows this.
fn wait_for_walk(world: &TlsWorld, oid: &str, expected: &[Row]) -> Result<()> {
    let client = world.client();
    world.sandbox.wait_for(&format!("the right rows under {oid}"), || {
        let seen = client.walk(Walk::Bulk(20), oid)?;
        ensure!(seen == expected, "{seen:?}");
        Ok(())
    })
}

/// Descriptions in the context's sysORTable.
fn descriptions(client: &Client) -> Result<Vec<String>> {
    let rows = client.walk(Walk::Next, &format!("{SYS_OR_TABLE}.3"))?;
    rows.iter().map(|row| Ok(row.text()?.to_string())).collect()
}

#[test]
fn nothing_is_served_without_a_grant_and_one_that_comes_later_is_served_within_seconds() -> Result<()> {
    let mut world = TlsWorld::start()?;
    let exporter = Exporter::with_page(PAGE)?;
    let objects = format!("  mib: {{module: TEST-MIB}}\n{OBJECTS}");
    let manifest = Manifest { contexts: &["acme"], port: exporter.port(), objects: &objects, ..Manifest::default() };
    let mounted = world.mounted("web", NAMESPACE, &[manifest.yaml()])?;
    let sidecar = world.sidecar(&mounted)?;
    let reasons = world.wait_for_session(&sidecar, "the master to refuse", |session| all_are(session, "refused"))?;
    ensure!(reasons.iter().all(|reason| reason == "UnsupportedContext"), "{reasons:?}");
    wait_for_walk(&world, BASE, &[])?;
    let without = descriptions(&world.client())?;

    world.grant(&[OTHER])?;
    world.wait_for_session(&sidecar, "the master to refuse the subtree alone", |session| {
        let reasons = all_are(session, "refused")?;
        ensure!(reasons.iter().all(|reason| reason == "RequestDenied"), "{reasons:?}");
        Ok(())
    })?;
    wait_for_walk(&world, BASE, &[])?;

    world.grant(&[BASE])?;
    let granted = Instant::now();
    wait_for_walk(&world, BASE, &rows_under(BASE, WALK))?;
    ensure!(granted.elapsed() < SECONDS, "{:?}", granted.elapsed());
    all_are(&session(&sidecar)?, "registered")?;
    // What the subtree implements is told once it may.
    world.sandbox.wait_for("the row of sysORTable", || {
        let with = descriptions(&world.client())?;
        ensure!(with.len() == without.len() + 1, "{with:?}");
        Ok(())
    })
}

#[test]
fn a_grant_that_is_withdrawn_takes_its_rows_away_and_no_others() -> Result<()> {
    let mut world = TlsWorld::start()?;
    let exporter = Exporter::with_page(PAGE)?;
    let manifests = [manifest(&exporter, "app", BASE), manifest(&exporter, "other", OTHER)];
    world.grant(&[BASE, OTHER])?;
    let mounted = world.mounted("web", NAMESPACE, &manifests)?;
    let _sidecar = world.sidecar(&mounted)?;
    let (ours, others) = (rows_under(BASE, WALK), rows_under(OTHER, WALK));
    wait_for_walk(&world, BASE, &ours)?;
    wait_for_walk(&world, OTHER, &others)?;
    under_a_constant_walk(&world.client(), &others, || {
        for (grant, expected) in [(&[OTHER][..], &[][..]), (&[BASE, OTHER], &ours), (&[OTHER], &[])] {
            world.grant(grant)?;
            let changed = Instant::now();
            wait_for_walk(&world, BASE, expected)?;
            ensure!(changed.elapsed() < SECONDS, "{:?} for {grant:?}", changed.elapsed());
        }
        Ok(())
    })
}

#[test]
fn tokens_are_renewed_without_one_request_that_fails() -> Result<()> {
    // A connection is due to be renewed when four fifths are over, and ends five seconds before its token does.
    const LIFE: Duration = Duration::from_secs(32);
    const NEW: Duration = Duration::from_secs(8);
    let mut world = TlsWorld::start()?;
    world.grant(&[OTHER])?;
    let exporter = Exporter::with_page(PAGE)?;
    let mut mounted = world.mounted("web", NAMESPACE, &[manifest(&exporter, "other", OTHER)])?;
    mounted.token = mounted.token.living(LIFE);
    mounted.show()?;
    let mut sidecar = world.sidecar(&mounted)?;
    let expected = rows_under(OTHER, WALK);
    wait_for_walk(&world, OTHER, &expected)?;
    let (began, first) = (Instant::now(), world.reviewer.reviews());
    under_a_constant_walk(&world.client().patience(Duration::from_secs(5), 0), &expected, || {
        // Two of them have taken over from the one before, and the first has ended.
        while world.reviewer.reviews() < first + 2 || began.elapsed() < LIFE {
            ensure!(began.elapsed() < 4 * LIFE, "{} reviews in {:?}", world.reviewer.reviews(), began.elapsed());
            thread::sleep(NEW);
            mounted.show()?;
            sidecar.running()?;
        }
        Ok(())
    })?;
    all_are(&session(&sidecar)?, "registered").map(drop)
}

#[test]
fn certificate_and_authority_are_replaced_under_constant_requests() -> Result<()> {
    let mut world = TlsWorld::start()?;
    world.grant(&[OTHER])?;
    let exporter = Exporter::with_page(PAGE)?;
    let manifests = [manifest(&exporter, "other", OTHER)];
    let mut mounted = world.mounted("web", NAMESPACE, &manifests)?;
    let sidecar = world.sidecar(&mounted)?;
    let expected = rows_under(OTHER, WALK);
    wait_for_walk(&world, OTHER, &expected)?;

    let second = Authority::new("second")?;
    let mut stranger = world.mounted("stranger", NAMESPACE, &manifests)?;
    let mut newcomer = world.mounted("newcomer", NAMESPACE, &manifests)?;
    under_a_constant_walk(&world.client(), &expected, || {
        mounted.ca = format!("{}{}", world.authority.pem(), second.pem());
        mounted.show()?;
        world.certify_by(&second)?;
        // One that trusts the new alone gets in when that is shown,
        newcomer.ca = second.pem();
        newcomer.show()?;
        let newcomer = world.sidecar(&newcomer)?;
        world.wait_for_session(&newcomer, "the new certificate", |session| all_are(session, "registered"))?;
        // and one that trusts the old alone does not any more.
        stranger.show()?;
        let stranger = world.sidecar(&stranger)?;
        world.wait_for_session(&stranger, "the old authority to be of no use", |session| {
            let error = session["lastError"].as_str().unwrap_or_default();
            ensure!(error.contains("the master's certificate is of no authority in"), "{error:?}");
            Ok(())
        })?;
        mounted.ca = second.pem();
        mounted.show()?;
        all_are(&session(&sidecar)?, "registered").map(drop)
    })?;
    let connects = sidecar.count("connects")?;
    ensure!(connects == 1, "{connects} connections, where the first goes on");

    world.master.kill()?;
    world.master.start_again()?;
    let started = Instant::now();
    wait_for_walk(&world, OTHER, &expected)?;
    ensure!(started.elapsed() < SECONDS, "{:?}", started.elapsed());
    let connects = sidecar.count("connects")?;
    ensure!(connects == 2, "{connects} connections");
    Ok(())
}

#[test]
fn of_two_sidecars_of_a_namespace_the_second_takes_over_at_once_when_the_first_is_killed() -> Result<()> {
    let mut world = TlsWorld::start()?;
    world.grant(&[BASE])?;
    let page = |requests: u32| format!("# TYPE requests_total counter\nrequests_total {requests}\n");
    let mut sidecars = Vec::new();
    let mut exporters = Vec::new();
    for (name, requests) in [("first", 1), ("second", 2)] {
        let exporter = Exporter::with_page(&page(requests))?;
        let mounted = world.mounted(name, NAMESPACE, &[scalar(&exporter)])?;
        let sidecar = world.sidecar(&mounted)?;
        world.wait_for_session(&sidecar, "its registration", |session| all_are(session, "registered"))?;
        wait_for_value(&world.sandbox, &world.client(), "1.0 = Counter64: 1")?;
        sidecars.push(sidecar);
        exporters.push(exporter);
    }
    // The second is ready to answer, too.
    let second = &sidecars[1];
    world.sandbox.wait_for("the second to have its value", || {
        let rows = second.walk("acme")?;
        ensure!(rows == rows_under(BASE, &["1.0 = Counter64: 2"]), "{rows:?}");
        Ok(())
    })?;
    let client = world.client().patience(Duration::from_secs(5), 0);
    let oid = format!("{BASE}.1.0");
    ensure!(client.get(&[&oid])? == rows_under(BASE, &["1.0 = Counter64: 1"]), "the first answers");
    sidecars[0].kill()?;
    let killed = Instant::now();
    loop {
        let seen = client.get(&[&oid])?;
        match &seen[..] {
            [Row { value: SnmpValue::Counter64(2), .. }] => break,
            [Row { value: SnmpValue::Counter64(1), .. }] if killed.elapsed() < SECONDS => {}
            _ => bail!("{seen:?} after {:?}", killed.elapsed()),
        }
    }
    // "At once" is what the kernel takes to close the connection.
    ensure!(killed.elapsed() < Duration::from_secs(2), "{:?}", killed.elapsed());
    Ok(())
}

#[test]
fn a_sidecar_of_another_namespace_or_without_a_token_that_counts_gets_nothing() -> Result<()> {
    let mut world = TlsWorld::start()?;
    world.grant(&[BASE])?;
    let exporter = Exporter::with_page(PAGE)?;
    let manifests = [manifest(&exporter, "app", BASE)];
    let foreign = world.mounted("foreign", "globex", &manifests)?;
    let foreign = world.sidecar(&foreign)?;
    let reasons = world.wait_for_session(&foreign, "the master to refuse", |session| all_are(session, "refused"))?;
    ensure!(reasons.iter().all(|reason| reason == "UnsupportedContext"), "{reasons:?}");

    let expired = PodToken::new(NAMESPACE, "late").living(Duration::ZERO).issue()?;
    let mut sidecars = Vec::new();
    for (name, token) in [("none", ""), ("late", expired.as_str()), ("opaque", "a.b.c")] {
        let mut mounted = world.mounted(name, NAMESPACE, &manifests)?;
        mounted.show_with(token)?;
        let sidecar = world.sidecar(&mounted)?;
        world.wait_for_session(&sidecar, "a reason", |session| {
            let error = session["lastError"].as_str().unwrap_or_default();
            ensure!(error.contains(if token.is_empty() { "token" } else { "401" }), "{error:?}");
            Ok(())
        })?;
        sidecars.push(sidecar);
    }
    wait_for_walk(&world, BASE, &[])?;

    // It is not that nobody could: one of the namespace is served at once.
    let mounted = world.mounted("own", NAMESPACE, &manifests)?;
    let _own = world.sidecar(&mounted)?;
    wait_for_walk(&world, BASE, &rows_under(BASE, WALK))?;
    all_are(&session(&foreign)?, "refused").map(drop)
}
