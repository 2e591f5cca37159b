//! Replicas and API servers that come and go.

use anyhow::Result;
use harness::{Component, Signal};

use crate::{
    configuration::{admitting, subtree},
    world::{World, holds},
};

#[test]
fn one_of_two_replicas_writes_and_the_other_takes_over_at_once_when_it_ends() -> Result<()> {
    let mut world = World::new()?;
    let namespace = world.namespace("tenant")?;
    world.context("tenant", &admitting(namespace.name()))?;
    let mut first = world.operator("first", &[])?;
    world.wait_for("the first to lead", || holds(first.leads()?))?;
    let second = world.operator("second", &[])?;
    namespace.apply(&subtree("one", "1.3.6.1.4.1.99999.1.1", "tenant"))?;
    world.condition(namespace.name(), "snmpsubtree/one", "Programmed", "True Programmed")?;
    assert!(!second.leads()?);
    assert!(second.requests()? < 0.5, "a follower asks for nothing but the Lease");
    first.signal(Signal::TERM)?;
    world.wait_for("the first to end", || holds(first.process().running().is_err()))?;
    let asked = std::time::Instant::now();
    world.wait_for("the second to lead", || holds(second.leads()?))?;
    assert!(asked.elapsed() < std::time::Duration::from_secs(10), "it waited for the Lease to expire");
    namespace.apply(&subtree("two", "1.3.6.1.4.1.99999.1.2", "tenant"))?;
    world.condition(namespace.name(), "snmpsubtree/two", "Programmed", "True Programmed").map(drop)
}

#[test]
fn a_leader_that_stands_still_leads_no_more_when_it_wakes() -> Result<()> {
    let mut world = World::new()?;
    let namespace = world.namespace("tenant")?;
    world.context("tenant", &admitting(namespace.name()))?;
    let first = world.operator("first", &[])?;
    world.wait_for("the first to lead", || holds(first.leads()?))?;
    let second = world.operator("second", &[])?;
    first.signal(Signal::STOP)?;
    world.wait_for("the second to lead", || holds(second.leads()?))?;
    namespace.apply(&subtree("one", "1.3.6.1.4.1.99999.1.1", "tenant"))?;
    world.condition(namespace.name(), "snmpsubtree/one", "Programmed", "True Programmed")?;
    first.signal(Signal::CONT)?;
    world.wait_for("the first to know", || holds(!first.leads()?))?;
    assert!(second.leads()?);
    Ok(())
}

#[test]
fn an_operator_outlives_its_api_server() -> Result<()> {
    let mut world = World::new()?;
    let namespace = world.namespace("tenant")?;
    world.context("tenant", &admitting(namespace.name()))?;
    let mut operator = world.operator("operator", &[])?;
    namespace.apply(&subtree("one", "1.3.6.1.4.1.99999.1.1", "tenant"))?;
    world.condition(namespace.name(), "snmpsubtree/one", "Programmed", "True Programmed")?;
    world.cluster().kill(Component::ApiServer)?;
    world.wait_for("the operator to stop leading", || holds(!operator.leads()?))?;
    operator.is_alive()?;
    world.cluster().start_component(Component::ApiServer)?;
    world.wait_for("another subtree to be taken", || {
        namespace.apply(&subtree("two", "1.3.6.1.4.1.99999.1.2", "tenant"))
    })?;
    world.condition(namespace.name(), "snmpsubtree/two", "Programmed", "True Programmed")?;
    operator.is_alive()
}
