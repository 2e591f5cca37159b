//! Sidecars that connect to snmp-master over TLS, as in a cluster, while grants, tokens and certificates change.

use std::{
    thread,
    time::{Duration, Instant},
};

use agentx::Value as SnmpValue;
use anyhow::{Result, bail, ensure};
use harness::{CertificateAuthority, Client, Exporter, PodToken, Row, SnmpAgent as _, Walk};

use crate::{
    sidecar_setup::{
        BASE, Manifest, NAMESPACE, OBJECTS, OTHER, PAGE, WALK, rows_under, under_a_constant_walk, wait_for_value,
    },
    tls_setup::{TlsSetup, check_registrations, session},
};

/// The longest time until a change takes effect. The master reads its document every second, and sidecars retry refused
/// registrations as often.
const TAKES_EFFECT: Duration = Duration::from_secs(10);
/// The entry of sysORTable, in which subtrees list the MIB modules that they implement.
const SYS_OR_TABLE: &str = "1.3.6.1.2.1.1.9.1";

fn manifest(exporter: &Exporter, name: &str, oid: &str) -> String {
    Manifest { name, oid, contexts: &["acme"], port: exporter.port(), ..Manifest::default() }.yaml()
}

/// Returns the manifest of a subtree with one scalar.
fn scalar(exporter: &Exporter) -> String {
    let objects = "
  scalars:
  - {name: requests, oid: '1', syntax: Counter64, value: {source: app, metric: requests_total}}
";
    Manifest { contexts: &["acme"], port: exporter.port(), objects, ..Manifest::default() }.yaml()
}

/// Waits until a walk of `oid` shows these rows.
fn wait_for_walk(setup: &TlsSetup, oid: &str, expected: &[Row]) -> Result<()> {
    let client = setup.client();
    setup.sandbox.wait_for(&format!("the right rows under {oid}"), || {
        let seen = client.walk(Walk::Bulk(20), oid)?;
        ensure!(seen == expected, "{seen:?}");
        Ok(())
    })
}

/// Returns the descriptions in sysORTable of the context.
fn descriptions(client: &Client) -> Result<Vec<String>> {
    let rows = client.walk(Walk::Next, &format!("{SYS_OR_TABLE}.3"))?;
    rows.iter().map(|row| Ok(row.text()?.to_string())).collect()
}

#[test]
fn a_subtree_is_served_only_once_it_is_granted() -> Result<()> {
    let mut setup = TlsSetup::start()?;
    let exporter = Exporter::with_page(PAGE)?;
    let objects = format!("  mib: {{module: TEST-MIB}}\n{OBJECTS}");
    let manifest = Manifest { contexts: &["acme"], port: exporter.port(), objects: &objects, ..Manifest::default() };
    let mounted = setup.mounted("web", NAMESPACE, &[manifest.yaml()])?;
    let sidecar = setup.sidecar(&mounted)?;
    let reasons =
        setup.wait_for_session(&sidecar, "the master to refuse", |session| check_registrations(session, "refused"))?;
    ensure!(reasons.iter().all(|reason| reason == "UnsupportedContext"), "{reasons:?}");
    wait_for_walk(&setup, BASE, &[])?;
    let without = descriptions(&setup.client())?;

    setup.grant(&[OTHER])?;
    setup.wait_for_session(&sidecar, "the master to refuse only the subtree", |session| {
        let reasons = check_registrations(session, "refused")?;
        ensure!(reasons.iter().all(|reason| reason == "RequestDenied"), "{reasons:?}");
        Ok(())
    })?;
    wait_for_walk(&setup, BASE, &[])?;

    setup.grant(&[BASE])?;
    let granted = Instant::now();
    wait_for_walk(&setup, BASE, &rows_under(BASE, WALK))?;
    ensure!(granted.elapsed() < TAKES_EFFECT, "it took {:?}", granted.elapsed());
    check_registrations(&session(&sidecar)?, "registered")?;
    // The sidecar adds its row of sysORTable once the context is granted.
    setup.sandbox.wait_for("the row of sysORTable", || {
        let with = descriptions(&setup.client())?;
        ensure!(with.len() == without.len() + 1, "{with:?}");
        Ok(())
    })
}

#[test]
fn a_withdrawn_grant_removes_only_the_rows_of_its_subtree() -> Result<()> {
    let mut setup = TlsSetup::start()?;
    let exporter = Exporter::with_page(PAGE)?;
    let manifests = [manifest(&exporter, "app", BASE), manifest(&exporter, "other", OTHER)];
    setup.grant(&[BASE, OTHER])?;
    let mounted = setup.mounted("web", NAMESPACE, &manifests)?;
    let _sidecar = setup.sidecar(&mounted)?;
    let (ours, others) = (rows_under(BASE, WALK), rows_under(OTHER, WALK));
    wait_for_walk(&setup, BASE, &ours)?;
    wait_for_walk(&setup, OTHER, &others)?;
    under_a_constant_walk(&setup.client(), &others, || {
        for (grant, expected) in [(&[OTHER][..], &[][..]), (&[BASE, OTHER], &ours), (&[OTHER], &[])] {
            setup.grant(grant)?;
            let changed = Instant::now();
            wait_for_walk(&setup, BASE, expected)?;
            ensure!(changed.elapsed() < TAKES_EFFECT, "{:?} for {grant:?}", changed.elapsed());
        }
        Ok(())
    })
}

#[test]
fn tokens_are_renewed_without_a_failed_request() -> Result<()> {
    // A connection is renewed after four fifths of the lifetime of its token, and ends five seconds before the token expires.
    const LIFETIME: Duration = Duration::from_secs(32);
    const RENEWAL: Duration = Duration::from_secs(8);
    let mut setup = TlsSetup::start()?;
    setup.grant(&[OTHER])?;
    let exporter = Exporter::with_page(PAGE)?;
    let mut mounted = setup.mounted("web", NAMESPACE, &[manifest(&exporter, "other", OTHER)])?;
    mounted.token = mounted.token.with_lifetime(LIFETIME);
    mounted.publish()?;
    let mut sidecar = setup.sidecar(&mounted)?;
    let expected = rows_under(OTHER, WALK);
    wait_for_walk(&setup, OTHER, &expected)?;
    let (began, first) = (Instant::now(), setup.reviewer.reviews());
    under_a_constant_walk(&setup.client().with_timeout(Duration::from_secs(5), 0), &expected, || {
        // Until two connections have replaced the one before, and the first token has expired.
        while setup.reviewer.reviews() < first + 2 || began.elapsed() < LIFETIME {
            ensure!(began.elapsed() < 4 * LIFETIME, "{} reviews in {:?}", setup.reviewer.reviews(), began.elapsed());
            thread::sleep(RENEWAL);
            mounted.publish()?;
            sidecar.running()?;
        }
        Ok(())
    })?;
    check_registrations(&session(&sidecar)?, "registered").map(drop)
}

#[test]
fn certificate_and_authority_are_replaced_without_a_failed_request() -> Result<()> {
    let mut setup = TlsSetup::start()?;
    setup.grant(&[OTHER])?;
    let exporter = Exporter::with_page(PAGE)?;
    let manifests = [manifest(&exporter, "other", OTHER)];
    let mut mounted = setup.mounted("web", NAMESPACE, &manifests)?;
    let sidecar = setup.sidecar(&mounted)?;
    let expected = rows_under(OTHER, WALK);
    wait_for_walk(&setup, OTHER, &expected)?;

    let second = CertificateAuthority::new("second")?;
    let mut stranger = setup.mounted("stranger", NAMESPACE, &manifests)?;
    let mut newcomer = setup.mounted("newcomer", NAMESPACE, &manifests)?;
    under_a_constant_walk(&setup.client(), &expected, || {
        mounted.ca = format!("{}{}", setup.authority.pem(), second.pem());
        mounted.publish()?;
        setup.certify_by(&second)?;
        // A sidecar that trusts only the new authority connects once the master uses the new certificate,
        newcomer.ca = second.pem();
        newcomer.publish()?;
        let newcomer = setup.sidecar(&newcomer)?;
        setup
            .wait_for_session(&newcomer, "the new certificate", |session| check_registrations(session, "registered"))?;
        // and a sidecar that trusts only the old authority can no longer connect.
        stranger.publish()?;
        let stranger = setup.sidecar(&stranger)?;
        setup.wait_for_session(&stranger, "the old authority to be useless", |session| {
            let error = session["lastError"].as_str().unwrap_or_default();
            ensure!(error.contains("the master's certificate is not signed by an authority in"), "{error:?}");
            Ok(())
        })?;
        mounted.ca = second.pem();
        mounted.publish()?;
        check_registrations(&session(&sidecar)?, "registered").map(drop)
    })?;
    let connects = sidecar.count("connects")?;
    ensure!(connects == 1, "the sidecar must keep its first connection, but has made {connects}");

    setup.master.kill()?;
    setup.master.start_again()?;
    let started = Instant::now();
    wait_for_walk(&setup, OTHER, &expected)?;
    ensure!(started.elapsed() < TAKES_EFFECT, "it took {:?}", started.elapsed());
    let connects = sidecar.count("connects")?;
    ensure!(connects == 2, "the sidecar must have made 2 connections, but has made {connects}");
    Ok(())
}

#[test]
fn a_second_sidecar_of_a_namespace_takes_over_immediately_from_a_killed_one() -> Result<()> {
    let mut setup = TlsSetup::start()?;
    setup.grant(&[BASE])?;
    let page = |requests: u32| format!("# TYPE requests_total counter\nrequests_total {requests}\n");
    let mut sidecars = Vec::new();
    let mut exporters = Vec::new();
    for (name, requests) in [("first", 1), ("second", 2)] {
        let exporter = Exporter::with_page(&page(requests))?;
        let mounted = setup.mounted(name, NAMESPACE, &[scalar(&exporter)])?;
        let sidecar = setup.sidecar(&mounted)?;
        setup.wait_for_session(&sidecar, "its registration", |session| check_registrations(session, "registered"))?;
        wait_for_value(&setup.sandbox, &setup.client(), "1.0 = Counter64: 1")?;
        sidecars.push(sidecar);
        exporters.push(exporter);
    }
    // The second sidecar also has a value.
    let second = &sidecars[1];
    setup.sandbox.wait_for("the second to have its value", || {
        let rows = second.walk("acme")?;
        ensure!(rows == rows_under(BASE, &["1.0 = Counter64: 2"]), "{rows:?}");
        Ok(())
    })?;
    let client = setup.client().with_timeout(Duration::from_secs(5), 0);
    let oid = format!("{BASE}.1.0");
    ensure!(client.get(&[&oid])? == rows_under(BASE, &["1.0 = Counter64: 1"]), "the first sidecar must be active");
    sidecars[0].kill()?;
    let killed = Instant::now();
    loop {
        let seen = client.get(&[&oid])?;
        match &seen[..] {
            [Row { value: SnmpValue::Counter64(2), .. }] => break,
            [Row { value: SnmpValue::Counter64(1), .. }] if killed.elapsed() < TAKES_EFFECT => {}
            _ => bail!("{seen:?} after {:?}", killed.elapsed()),
        }
    }
    // The takeover happens as soon as the kernel has closed the connection.
    ensure!(killed.elapsed() < Duration::from_secs(2), "it took {:?}", killed.elapsed());
    Ok(())
}

#[test]
fn a_sidecar_of_another_namespace_or_without_a_valid_token_is_refused() -> Result<()> {
    let mut setup = TlsSetup::start()?;
    setup.grant(&[BASE])?;
    let exporter = Exporter::with_page(PAGE)?;
    let manifests = [manifest(&exporter, "app", BASE)];
    let foreign = setup.mounted("foreign", "globex", &manifests)?;
    let foreign = setup.sidecar(&foreign)?;
    let reasons =
        setup.wait_for_session(&foreign, "the master to refuse", |session| check_registrations(session, "refused"))?;
    ensure!(reasons.iter().all(|reason| reason == "UnsupportedContext"), "{reasons:?}");

    let expired = PodToken::new(NAMESPACE, "late").with_lifetime(Duration::ZERO).issue()?;
    let mut sidecars = Vec::new();
    for (name, token) in [("none", ""), ("late", expired.as_str()), ("opaque", "a.b.c")] {
        let mut mounted = setup.mounted(name, NAMESPACE, &manifests)?;
        mounted.publish_with(token)?;
        let sidecar = setup.sidecar(&mounted)?;
        setup.wait_for_session(&sidecar, "the reason of the refusal", |session| {
            let error = session["lastError"].as_str().unwrap_or_default();
            ensure!(error.contains(if token.is_empty() { "token" } else { "401" }), "{error:?}");
            Ok(())
        })?;
        sidecars.push(sidecar);
    }
    wait_for_walk(&setup, BASE, &[])?;

    // A sidecar of the granted namespace is served.
    let mounted = setup.mounted("own", NAMESPACE, &manifests)?;
    let _own = setup.sidecar(&mounted)?;
    wait_for_walk(&setup, BASE, &rows_under(BASE, WALK))?;
    check_registrations(&session(&foreign)?, "refused").map(drop)
}
