//! Isolation of tenants: each reads its own values at the same OID, and cannot read those of others.

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
fn three_tenants_with_the_same_oid_read_only_their_own_values() -> Result<()> {
    let cluster = Cluster::shared()?;
    let base = new_base();
    let tenant = |name: &str| Tenant::of_base(&cluster, name, &base);
    let tenants = [tenant("tenant-a")?, tenant("tenant-b")?, tenant("tenant-c")?];
    for tenant in &tenants {
        tenant.serve(&base, 1)?;
    }
    let oid = format!("{base}.2.0");
    let [a, b, c] = &tenants;
    for (tenant, other) in [(a, b), (b, c), (c, a)] {
        ensure!(text_at(&tenant.v2c(), &oid)? == tenant.name());
        ensure!(text_at(&tenant.v3(tenant.name()), &oid)? == tenant.name());
        // The context of another tenant looks like an unknown context.
        let Err(refused) = tenant.v3(other.name()).with_timeout(Duration::from_secs(2), 1).get(&[&oid]) else {
            bail!("a user of {} reads {}", tenant.name(), other.name())
        };
        let Err(nowhere) = tenant.v3("no-such-context").with_timeout(Duration::from_secs(2), 1).get(&[&oid]) else {
            bail!("an unknown context can be read")
        };
        // net-snmp's message for a report of snmpUnknownContexts.
        for refused in [refused, nowhere] {
            ensure!(format!("{refused:#}").contains("Bad context specified"), "{refused:#}");
        }
    }
    Ok(())
}

/// Deletes the objects of the example `tenants` when this is dropped, also if the test fails.
struct DeleteExample(Cluster);

impl Drop for DeleteExample {
    fn drop(&mut self) {
        let manifests = ["subtree.yaml", "contexts.yaml", "secrets.yaml", "namespaces.yaml"];
        for file in manifests.map(|file| harness::example("tenants").join(file)) {
            let gone = ["delete", "--ignore-not-found", "--wait=false", "--filename", &file.to_string_lossy()];
            if let Err(error) = self.0.kubectl(&gone) {
                eprintln!("{error:#}");
            }
        }
    }
}

#[test]
fn each_tenant_of_the_example_tenants_reads_only_its_own_values() -> Result<()> {
    let cluster = Cluster::shared()?;
    crate::installation::install(&cluster)?;
    let example = DeleteExample(cluster.clone());
    for file in ["namespaces.yaml", "contexts.yaml", "secrets.yaml", "subtree.yaml", "deployment.yaml"] {
        let manifest = std::fs::read_to_string(harness::example("tenants").join(file))?;
        // The test cluster has no registry.
        cluster
            .apply(&manifest.replace("quay.io/prometheus/node-exporter:v1.9.1", "localhost/test/node-exporter:dev"))?;
    }
    let sandbox = harness::Sandbox::new()?;
    let names = ["acme", "globex", "initech"];
    let oid = "1.3.6.1.4.1.8072.9999.9999.20.1.0";
    for (i, name) in names.into_iter().enumerate() {
        cluster.kubectl(&["wait", "--for=condition=Accepted", "subtree/web", "--namespace", name, "--timeout=60s"])?;
        // Pods that were created before the operator has seen the subtree have no sidecar.
        cluster.kubectl(&["rollout", "restart", "deployment/web", "--namespace", name])?;
        let community = format!("{name}-public");
        let nms = crate::installation::nms(&cluster, &["-v2c", "-c", &community], &sandbox.path(name));
        cluster.wait_for(&format!("the values of {name}"), || {
            let seen = text_at(&nms, oid)?;
            ensure!(seen == name, "{seen}");
            ensure!(nms.walk(Walk::Next, "1.3.6.1.4.1.8072.9999.9999.20")?.len() == 2);
            Ok(())
        })?;
        let (auth, privacy, user) = (format!("{name}-auth-pass"), format!("{name}-priv-pass"), format!("{name}-noc"));
        let user = |context: &str| {
            let options =
                ["-v3", "-l", "authPriv", "-u", &user, "-a", "SHA-256", "-A", &auth, "-x", "AES", "-X", &privacy];
            let options = [&options[..], &["-n", context]].concat();
            crate::installation::nms(&cluster, &options, &sandbox.path(name)).with_timeout(Duration::from_secs(2), 2)
        };
        ensure!(text_at(&user(name), oid)? == name);
        let other = names[(i + 1) % names.len()];
        ensure!(user(other).get(&[oid]).is_err(), "{name} reads {other}");
    }
    drop(example);
    Ok(())
}

#[test]
fn a_changed_community_takes_effect_without_a_restart_and_a_missing_secret_is_reported() -> Result<()> {
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
    let old = tenant.v2c().with_timeout(Duration::from_secs(1), 1);
    ensure!(old.get(&[&format!("{base}.2.0")]).is_err(), "the old community is still accepted");

    cluster.kubectl(&[&["delete", "secret", &secret][..], &system].concat())?;
    cluster.wait_for("the missing Secret to be reported", || {
        let path = "--output=jsonpath={.status.conditions[?(@.type==\"ResolvedRefs\")]}";
        let seen = cluster.kubectl(&["get", "snmpcontext", tenant.name(), path])?;
        ensure!(seen.contains("\"status\":\"False\"") && seen.contains(&secret) && !seen.contains(&changed), "{seen}");
        Ok(())
    })
}
