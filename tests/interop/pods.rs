//! Several pods with the same subtree: one is active and the others are on standby, or each serves its own rows.

use anyhow::{Result, ensure};
use harness::{
    Exporter,
    MasterKind::{self, NetSnmp, Ours},
    Sandbox, Sidecar, SidecarOptions, SnmpAgent, Walk, pod_labels,
};
use rstest::rstest;

use crate::sidecar_setup::{BASE, Manifest, render_in, rows_under, wait_for_value};

const SCALAR: &str = "
  scalars:
  - {name: requests, oid: '1', syntax: Gauge32, value: {source: app, metric: requests}}
";

/// Starts the sidecar of pod `number`, whose application has this page.
fn start_pod(
    sandbox: &Sandbox,
    agent: &dyn SnmpAgent,
    number: usize,
    page: &str,
    objects: &str,
) -> Result<(Sidecar, Exporter)> {
    let exporter = Exporter::with_page(page)?;
    let name = format!("pod-{number}");
    let manifest = Manifest { port: exporter.port(), objects, ..Manifest::default() };
    let config = render_in(sandbox, &format!("config-{number}"), &[manifest.yaml()])?;
    let index = number.to_string();
    let labels = pod_labels(&[("app", "app"), ("apps.kubernetes.io/pod-index", &index)]);
    let labels = Some(sandbox.write(&format!("labels-{number}"), labels)?);
    let masters = vec![agent.unix_url()];
    let options = SidecarOptions { name: name.clone(), config, masters, labels, pod_name: name, ..Default::default() };
    Ok((Sidecar::start_unready(sandbox, options)?, exporter))
}

fn wait_for_standby(sandbox: &Sandbox, sidecar: &Sidecar) -> Result<()> {
    sandbox.wait_for("the pod to be on standby", || {
        let status = sidecar.status()?.to_string();
        ensure!(status.to_lowercase().contains("standing"), "{status}");
        Ok(())
    })
}

#[rstest]
fn a_second_pod_is_on_standby_and_takes_over(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let sandbox = Sandbox::new()?;
    let agent = master.start(&sandbox)?;
    let client = agent.v2c();
    let (mut first, _exporter) = start_pod(&sandbox, &*agent, 0, "requests 1\n", SCALAR)?;
    wait_for_value(&sandbox, &client, "1.0 = Gauge32: 1")?;
    let (mut second, _exporter) = start_pod(&sandbox, &*agent, 1, "requests 2\n", SCALAR)?;
    wait_for_standby(&sandbox, &second)?;
    assert_eq!(client.walk(Walk::Next, BASE)?, rows_under(BASE, &["1.0 = Gauge32: 1"]));

    first.kill()?;
    wait_for_value(&sandbox, &client, "1.0 = Gauge32: 2")?;
    // The first pod is now on standby.
    first.start_again()?;
    wait_for_standby(&sandbox, &first)?;
    assert_eq!(client.walk(Walk::Next, BASE)?, rows_under(BASE, &["1.0 = Gauge32: 2"]));

    second.stop()?;
    wait_for_value(&sandbox, &client, "1.0 = Gauge32: 1")
}

#[rstest]
fn pods_that_share_a_table_serve_their_own_rows(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let objects = format!(
        "{SCALAR}
  tables:
  - name: queueTable
    oid: '10'
    index:
    - {{name: queuePod, oid: '1', pod: {{}}}}
    - {{name: queueName, oid: '2', label: queue, as: ImpliedString}}
    columns:
    - {{name: queueDepth, oid: '3', syntax: Gauge32, value: {{source: app, metric: queue_depth}}}}
    - {{name: queueBytes, oid: '4', syntax: Counter64, value: {{source: app, metric: queue_bytes_total}}}}
"
    );
    let page = |pod: u32| {
        format!(
            "requests 5\nqueue_depth{{queue=\"a\"}} {pod}1\nqueue_depth{{queue=\"b\"}} {pod}2\nqueue_bytes_total{{queue=\"a\"}} {pod}3\n"
        )
    };
    let sandbox = Sandbox::new()?;
    let agent = master.start(&sandbox)?;
    let client = agent.v2c();
    let wait_for_walk = |what: &str, rows: &[&str]| {
        let expected = rows_under(BASE, rows);
        sandbox.wait_for(what, || {
            for how in [Walk::Next, Walk::Bulk(50), Walk::Bulk(2)] {
                let seen = client.walk(how, BASE)?;
                ensure!(seen == expected, "{how:?}: {seen:?}");
            }
            Ok(())
        })
    };
    let (_first, _exporter) = start_pod(&sandbox, &*agent, 0, &page(1), &objects)?;
    let (mut second, _exporter) = start_pod(&sandbox, &*agent, 1, &page(2), &objects)?;
    let (_third, _exporter) = start_pod(&sandbox, &*agent, 2, &page(3), &objects)?;
    wait_for_walk(
        "the rows of three pods",
        &[
            "1.0 = Gauge32: 5",
            "10.1.3.1.97 = Gauge32: 11",
            "10.1.3.1.98 = Gauge32: 12",
            "10.1.3.2.97 = Gauge32: 21",
            "10.1.3.2.98 = Gauge32: 22",
            "10.1.3.3.97 = Gauge32: 31",
            "10.1.3.3.98 = Gauge32: 32",
            "10.1.4.1.97 = Counter64: 13",
            "10.1.4.2.97 = Counter64: 23",
            "10.1.4.3.97 = Counter64: 33",
        ],
    )?;
    second.kill()?;
    wait_for_walk(
        "the rows of the two remaining pods",
        &[
            "1.0 = Gauge32: 5",
            "10.1.3.1.97 = Gauge32: 11",
            "10.1.3.1.98 = Gauge32: 12",
            "10.1.3.3.97 = Gauge32: 31",
            "10.1.3.3.98 = Gauge32: 32",
            "10.1.4.1.97 = Counter64: 13",
            "10.1.4.3.97 = Counter64: 33",
        ],
    )
}

#[rstest]
fn a_sidecar_serves_only_subtrees_that_select_its_pod(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let sandbox = Sandbox::new()?;
    let agent = master.start(&sandbox)?;
    let exporter = Exporter::with_page("requests 1\n")?;
    let port = exporter.port();
    let other = format!("{BASE}.2");
    let own = Manifest { port, objects: SCALAR, ..Manifest::default() };
    let own = Manifest { oid: "1.3.6.1.4.1.8072.9999.9999.77.1", ..own };
    let others = Manifest { name: "other", oid: &other, port, objects: SCALAR, ..Manifest::default() };
    let config = render_in(&sandbox, "config", &[own.yaml(), others.yaml()])?;
    let labels = Some(sandbox.write("labels", pod_labels(&[("app", "app"), ("tier", "a \"quoted\" one")]))?);
    let masters = vec![agent.unix_url()];
    let _sidecar = Sidecar::start(&sandbox, SidecarOptions { config, masters, labels, ..Default::default() })?;
    assert_eq!(agent.v2c().walk(Walk::Bulk(10), BASE)?, rows_under(BASE, &["1.1.0 = Gauge32: 1"]));
    Ok(())
}
