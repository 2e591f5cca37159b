//! What our ServiceAccounts cannot do, tried for real with their own tokens.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use harness::{Cluster, run};

use crate::{installation::SYSTEM, manifests, tenant::Tenant};

/// kubectl as one of our ServiceAccounts, by a token of its own.
fn kubectl_as(cluster: &Cluster, account: &str, arguments: &[&str]) -> Result<String> {
    let token = cluster.kubectl(&["create", "token", account, "--namespace", SYSTEM])?;
    let mut command: Command = cluster.kubectl_command()?;
    // An administrator's kubeconfig has a certificate, which would win over a token: leave it out.
    let kubeconfig = cluster.kubectl(&["config", "view", "--raw", "--minify", "--output=json"])?;
    let mut kubeconfig: serde_json::Value = serde_json::from_str(&kubeconfig)?;
    let user = kubeconfig.pointer_mut("/users/0/user").context("no user")?;
    *user = serde_json::json!({ "token": token.trim() });
    let sandbox = harness::Sandbox::new()?;
    let file = sandbox.write("kubeconfig", kubeconfig.to_string())?;
    command.env("KUBECONFIG", file).args(arguments);
    Ok(String::from_utf8(run(&mut command)?.stdout)?)
}

fn is_refused(what: &str, tried: Result<String>) -> Result<()> {
    let Err(error) = tried else { anyhow::bail!("not refused: {what}") };
    let said = format!("{error:#}").to_lowercase();
    ensure!(said.contains("forbidden") || said.contains("denied"), "{what}: {said}");
    Ok(())
}

#[test]
fn the_operator_may_touch_its_annotations_of_a_pod_and_nothing_else() -> Result<()> {
    let cluster = Cluster::shared()?;
    let tenant = Tenant::new(&cluster, "privileges")?;
    tenant.apply(&manifests::lone_pod("victim"))?;
    let patch = |account: &str, patch: &str| {
        kubectl_as(
            &cluster,
            account,
            &["patch", "pod", "victim", "--namespace", tenant.name(), "--type=merge", "--patch", patch],
        )
    };
    patch("snmp-operator", r#"{"metadata":{"annotations":{"snmp-operator.dev/configuration":"x"}}}"#)?;
    for (what, change) in [
        ("an image", r#"{"spec":{"containers":[{"name":"exporter","image":"evil"}]}}"#),
        ("a label", r#"{"metadata":{"labels":{"app":"evil"}}}"#),
        ("another's annotation", r#"{"metadata":{"annotations":{"example.com/evil":"x"}}}"#),
        ("a finalizer", r#"{"metadata":{"finalizers":["example.com/evil"]}}"#),
        (
            "an owner",
            r#"{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"victim","uid":"x"}]}}"#,
        ),
        ("a deadline", r#"{"spec":{"activeDeadlineSeconds":1}}"#),
        ("a toleration", r#"{"spec":{"tolerations":[{"operator":"Exists"}]}}"#),
    ] {
        is_refused(what, patch("snmp-operator", change))?;
        is_refused(what, patch("snmp-master", change))?;
    }
    let in_namespace = ["--namespace", tenant.name()];
    for arguments in [
        &["delete", "pod", "victim"][..],
        &["create", "configmap", "any", "--from-literal=a=b"],
        &["create", "token", "default"],
        &["exec", "victim", "--", "/prometheus-node-exporter"],
    ] {
        let arguments = [arguments, &in_namespace].concat();
        if arguments.first() == Some(&"create") && arguments.get(1) == Some(&"configmap") {
            // Those named snmp-sidecar it has to make; RBAC cannot limit the name of what is created.
            continue;
        }
        is_refused(&arguments.join(" "), kubectl_as(&cluster, "snmp-operator", &arguments))?;
        is_refused(&arguments.join(" "), kubectl_as(&cluster, "snmp-master", &arguments))?;
    }
    for arguments in [
        &["get", "secrets", "--namespace", tenant.name()][..],
        &["get", "configmaps", "--namespace", tenant.name()],
        &["get", "snmpsubtrees", "--namespace", tenant.name()],
        &["get", "secret", "snmp-operator-ca", "--namespace", SYSTEM],
        &["get", "nodes"],
    ] {
        is_refused(&arguments.join(" "), kubectl_as(&cluster, "snmp-master", arguments))?;
    }
    is_refused("nodes", kubectl_as(&cluster, "snmp-operator", &["get", "nodes"]))?;
    is_refused("roles", kubectl_as(&cluster, "snmp-operator", &["get", "clusterroles"]))
}
