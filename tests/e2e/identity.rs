//! Authentication and authorization of AgentX connections by the tokens of pods.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use harness::{Cluster, Sandbox, debian};

use crate::{
    installation::{self, SYSTEM},
    manifests,
    tenant::{Tenant, new_base},
};

/// A script that sends an HTTP request with a token and an AgentX Open over TLS, and prints the responses.
const SCRIPT: &str = include_str!("agentx_over_tls.py");

#[test]
fn the_master_accepts_agentx_only_with_a_valid_token_and_a_grant() -> Result<()> {
    let cluster = Cluster::shared()?;
    installation::install(&cluster)?;
    let base = new_base();
    let tenant = Tenant::of_base(&cluster, "identity", &base)?;
    let sandbox = Sandbox::new()?;
    let script = sandbox.write("request.py", SCRIPT)?;
    let authority = cluster.kubectl(&[
        "get",
        "secret",
        "snmp-master-tls",
        "--namespace",
        SYSTEM,
        "--output=go-template={{index .data \"ca.crt\" | base64decode}}",
    ])?;
    let authority = sandbox.write("ca.crt", authority)?;
    let master = installation::active_master(&cluster)?;
    let address =
        cluster.kubectl(&["get", "pod", &master, "--namespace", SYSTEM, "--output=jsonpath={.status.podIP}"])?;
    let request_with = |token: &str, region: &[&str]| -> Result<String> {
        let token = sandbox.write("token", token)?;
        let python = debian("python3", "python3")?;
        let mut command = cluster.nms_command(&python.to_string_lossy());
        command
            .arg(&script)
            .args([&address, &format!("snmp-master-agentx.{SYSTEM}.svc")])
            .arg(&authority)
            .arg(token)
            .args(region);
        Ok(String::from_utf8_lossy(&harness::run(&mut command)?.stdout).into_owned())
    };
    let request = |token: Option<&str>| request_with(token.unwrap_or_default(), &[]);
    let token = |arguments: &[&str]| {
        let token = tenant.namespace.kubectl(&[&["create", "token", "default"], arguments].concat())?;
        anyhow::Ok(token.trim().to_owned())
    };
    let right = token(&["--audience=snmp-operator.dev"])?;
    let response = request(Some(&right))?;
    ensure!(response.starts_with("101 ") && response.contains("agentx: 1 response"), "{response}");

    let forged = {
        let (signed, signature) = right.rsplit_once('.').unwrap_or_default();
        let flipped: String = signature.chars().rev().collect();
        format!("{signed}.{flipped}")
    };
    let of_other_audience = token(&[])?;
    // Signed with the key of the cluster, so that only the time is wrong. The first token is valid.
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let valid_between = |from: u64, until: u64| {
        cluster.signed_anew(&right, |claims| {
            (claims["iat"], claims["nbf"], claims["exp"]) = (from.into(), from.into(), until.into());
        })
    };
    let response = request(Some(&valid_between(now - 60, now + 600)?))?;
    ensure!(response.starts_with("101 ") && response.contains("agentx: 1 response"), "{response}");
    let expired = valid_between(now - 7_200, now - 3_600)?;
    for (what, token) in [
        ("no token", None),
        ("an empty token", Some("")),
        ("an opaque token", Some("a.b.c")),
        ("a forged token", Some(forged.as_str())),
        ("a token for the API server", Some(of_other_audience.as_str())),
        ("an expired token", Some(expired.as_str())),
    ] {
        let response = request(token)?;
        ensure!(response.starts_with("401 ") && response.contains("agentx: nothing"), "{what}: {response}");
    }

    // A ServiceAccount of a namespace without a grant is authenticated, but cannot register anything.
    let region = [tenant.name(), &base];
    tenant.apply(&manifests::subtree("web", &base, tenant.name()))?;
    cluster.wait_for("the grant", || {
        let response = request_with(&right, &region)?;
        ensure!(response.contains("register: 0"), "{response}");
        Ok(())
    })?;
    let ungranted = cluster.namespace("ungranted")?;
    let token = ungranted.kubectl(&["create", "token", "default", "--audience=snmp-operator.dev"])?;
    let response = request_with(token.trim(), &region)?;
    ensure!(response.starts_with("101 ") && response.contains("register: 262"), "unsupportedContext: {response}");
    Ok(())
}

#[test]
fn a_subagent_may_publish_only_what_its_namespace_is_granted() -> Result<()> {
    let cluster = Cluster::shared()?;
    let (own, foreign) = (new_base(), new_base());
    let tenant = Tenant::of_base(&cluster, "grant", &own)?;
    let victim = Tenant::of_base(&cluster, "victim", &foreign)?;
    victim.serve(&foreign, 1)?;
    tenant.serve(&own, 1)?;
    // A tenant can edit the ConfigMaps of its namespace. The operator would restore them, so it is scaled to zero.
    drop(cluster);
    let cluster = Cluster::alone()?;
    installation::scale_to_zero(&cluster, "operator")?;
    let path = "{.data.subtree\\.web\\.json}";
    let document = tenant.namespace.get("configmap/snmp-sidecar", path)?;
    let stolen = document.replace(&own, &format!("{foreign}.1")).replace(tenant.name(), victim.name());
    ensure!(stolen != document, "{document}");
    let edit = serde_json::json!({ "data": { "subtree.web.json": stolen } }).to_string();
    tenant.namespace.kubectl(&["patch", "configmap", "snmp-sidecar", "--type=merge", "--patch", &edit])?;
    let pod = tenant.pods()?.into_iter().next().unwrap_or_default();
    tenant.namespace.kubectl(&["annotate", "pod", &pod, "touched=yes"])?;
    tenant.wait_for_walk("the tenant's own values to disappear", &own, <[_]>::is_empty)?;
    // The master refuses the registration, and the values of the other tenant stay.
    let master = installation::active_master(&cluster)?;
    cluster.wait_for("the master to log the refusal", || {
        let log = cluster.kubectl(&["logs", &master, "--namespace", SYSTEM, "--tail=200"])?;
        ensure!(log.lines().any(|line| line.contains(&pod)), "the log does not name the pod {pod}: {log}");
        Ok(())
    })?;
    let rows = victim.v2c().walk(harness::Walk::Bulk(20), &foreign)?;
    ensure!(rows.len() == 3, "{rows:?}");
    installation::scale_back(&cluster, "operator")?;
    tenant.wait_for_walk("the values again", &own, |rows| rows.len() == 3).map(drop)
}
