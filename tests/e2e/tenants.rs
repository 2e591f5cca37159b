//! Tenants are kept apart: each reads its own values at the same OID, and cannot read the others'.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use harness::{Client, Cluster, Walk};

use crate::tenant::{Tenant, new_base};

fn text_at(client: &Client, oid: &str) -> Result<String> {
    match &client.get(&[oid])?[..] {
        [row] => Ok(row.text()?.to_owned()),
        other => bail!("{other:?}"),
    }
}

#[test]
fn two_tenants_at_one_oid_read_their_own_values_and_cannot_read_the_others() -> Result<()> {
    let cluster = Cluster::shared()?;
    let base = new_base();
    let tenants = [Tenant::of_base(&cluster, "tenant-a", &base)?, Tenant::of_base(&cluster, "tenant-b", &base)?];
    for tenant in &tenants {
        tenant.serve(&base, 1)?;
    }
    let oid = format!("{base}.2.0");
    for (tenant, other) in [(&tenants[0], &tenants[1]), (&tenants[1], &tenants[0])] {
        ensure!(text_at(&tenant.v2c(), &oid)? == tenant.name());
        ensure!(text_at(&tenant.v3(tenant.name()), &oid)? == tenant.name());
        // In the other's context it is as if there were none.
        let Err(refused) = tenant.v3(other.name()).patience(Duration::from_secs(2), 1).get(&[&oid]) else {
            bail!("a user of {} reads {}", tenant.name(), other.name())
        };
        let Err(nowhere) = tenant.v3("no-such-context").patience(Duration::from_secs(2), 1).get(&[&oid]) else {
            bail!("there is a context of any name")
        };
        // net-snmp's words for a report of snmpUnknownContexts.
        for refused in [refused, nowhere] {
            ensure!(format!("{refused:#}").contains("Bad context specified"), "{refused:#}");
        }
    }
    Ok(())
}

#[test]
fn a_changed_community_takes_effect_without_a_restart_and_a_broken_secret_is_said() -> Result<()> {
    let cluster = Cluster::shared()?;
    let (tenant, base) = Tenant::served(&cluster, "community", 1)?;
    let secret = format!("{}-ro", tenant.name());
    let edit = format!(r#"{{"stringData":{{"community":"{}-new"}}}}"#, tenant.name());
    let system = ["--namespace", crate::installation::SYSTEM];
    cluster.kubectl(&[&["patch", "secret", &secret, "--patch", &edit][..], &system].concat())?;
    let sandbox = harness::Sandbox::new()?;
    let changed = format!("{}-new", tenant.name());
    let manager = crate::installation::nms(&cluster, &["-v2c", "-c", &changed], &sandbox.path("nms"));
    cluster.wait_for("the new community", || {
        ensure!(manager.walk(Walk::Next, &base)?.len() == 3);
        Ok(())
    })?;
    let old = tenant.v2c().patience(Duration::from_secs(1), 1);
    ensure!(old.get(&[&format!("{base}.2.0")]).is_err(), "the old community is still taken");

    cluster.kubectl(&[&["delete", "secret", &secret][..], &system].concat())?;
    cluster.wait_for("the missing Secret to be said", || {
        let path = "--output=jsonpath={.status.conditions[?(@.type==\"ResolvedRefs\")]}";
        let seen = cluster.kubectl(&["get", "snmpcontext", tenant.name(), path])?;
        ensure!(seen.contains("\"status\":\"False\"") && seen.contains(&secret) && !seen.contains(&changed), "{seen}");
        Ok(())
    })
}
