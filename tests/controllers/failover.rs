//! Failover between replicas, and outages of the API server.

use anyhow::Result;
use harness::{Component, Signal};

use crate::{
    manifests::subtree,
    operator_setup::{OperatorSetup, is_true},
};

#[test]
fn only_the_leader_writes_and_the_other_replica_takes_over_immediately() -> Result<()> {
    let (setup, namespace) = OperatorSetup::with_tenant()?;
    let mut first = setup.operator("first", &[])?;
    setup.wait_for("the first to lead", || is_true(first.leads()?))?;
    let second = setup.operator("second", &[])?;
    namespace.apply(&subtree("one", "1.3.6.1.4.1.99999.1.1", "tenant"))?;
    setup.condition(namespace.name(), "snmpsubtree/one", "Programmed", "True Programmed")?;
    assert!(!second.leads()?);
    assert!(second.requests()? < 0.5, "a replica that is not the leader must only request the Lease");
    first.signal(Signal::TERM)?;
    setup.wait_for("the first to end", || is_true(first.process().running().is_err()))?;
    let ended = std::time::Instant::now();
    setup.wait_for("the second to lead", || is_true(second.leads()?))?;
    assert!(ended.elapsed() < std::time::Duration::from_secs(10), "the second waited until the Lease expired");
    namespace.apply(&subtree("two", "1.3.6.1.4.1.99999.1.2", "tenant"))?;
    setup.condition(namespace.name(), "snmpsubtree/two", "Programmed", "True Programmed").map(drop)
}

#[test]
fn a_stopped_leader_is_no_longer_the_leader_when_it_continues() -> Result<()> {
    let (setup, namespace) = OperatorSetup::with_tenant()?;
    let first = setup.operator("first", &[])?;
    setup.wait_for("the first to lead", || is_true(first.leads()?))?;
    let second = setup.operator("second", &[])?;
    first.signal(Signal::STOP)?;
    setup.wait_for("the second to lead", || is_true(second.leads()?))?;
    namespace.apply(&subtree("one", "1.3.6.1.4.1.99999.1.1", "tenant"))?;
    setup.condition(namespace.name(), "snmpsubtree/one", "Programmed", "True Programmed")?;
    first.signal(Signal::CONT)?;
    setup.wait_for("the first to notice", || is_true(!first.leads()?))?;
    assert!(second.leads()?);
    Ok(())
}

#[test]
fn an_operator_survives_an_outage_of_the_api_server() -> Result<()> {
    let (setup, namespace) = OperatorSetup::with_tenant()?;
    let mut operator = setup.operator("operator", &[])?;
    namespace.apply(&subtree("one", "1.3.6.1.4.1.99999.1.1", "tenant"))?;
    setup.condition(namespace.name(), "snmpsubtree/one", "Programmed", "True Programmed")?;
    setup.cluster().kill(Component::ApiServer)?;
    setup.wait_for("the operator to stop leading", || is_true(!operator.leads()?))?;
    operator.is_alive()?;
    setup.cluster().start_component(Component::ApiServer)?;
    setup.wait_for("another subtree to be accepted", || {
        namespace.apply(&subtree("two", "1.3.6.1.4.1.99999.1.2", "tenant"))
    })?;
    setup.condition(namespace.name(), "snmpsubtree/two", "Programmed", "True Programmed")?;
    operator.is_alive()
}
