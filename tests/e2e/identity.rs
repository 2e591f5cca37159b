//! Without a right token not one octet of AgentX is answered.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use harness::{Cluster, Sandbox, debian};

use crate::{
    installation::{self, SYSTEM},
    manifests,
    tenant::{Tenant, new_base},
};

/// Sends a request with a token in it over TLS, and an AgentX Open right behind it. Prints what comes back.
const ASK: &str = include_str!("agentx_over_tls.py");

#[test]
fn without_a_token_or_with_a_wrong_one_no_agentx_is_answered() -> Result<()> {
    let cluster = Cluster::shared()?;
    installation::install(&cluster)?;
    let base = new_base();
    let tenant = Tenant::of_base(&cluster, "identity", &base)?;
    let sandbox = Sandbox::new()?;
    let script = sandbox.write("ask.py", ASK)?;
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
    let ask_for = |token: &str, region: &[&str]| -> Result<String> {
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
    let ask = |token: Option<&str>| ask_for(token.unwrap_or_default(), &[]);
    let token = |arguments: &[&str]| {
        let token = tenant.namespace.kubectl(&[&["create", "token", "default"], arguments].concat())?;
        anyhow::Ok(token.trim().to_owned())
    };
    let right = token(&["--audience=snmp-operator.dev"])?;
    let answer = ask(Some(&right))?;
    ensure!(answer.starts_with("101 ") && answer.contains("agentx: 1 response"), "{answer}");

    let forged = {
        let (signed, signature) = right.rsplit_once('.').unwrap_or_default();
        let flipped: String = signature.chars().rev().collect();
        format!("{signed}.{flipped}")
    };
    let of_other_audience = token(&[])?;
    // The cluster's own key, so that nothing but the time is wrong. The first shows that such a token counts.
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let living = |from: u64, until: u64| {
        cluster.signed_anew(&right, |claims| {
            (claims["iat"], claims["nbf"], claims["exp"]) = (from.into(), from.into(), until.into());
        })
    };
    let answer = ask(Some(&living(now - 60, now + 600)?))?;
    ensure!(answer.starts_with("101 ") && answer.contains("agentx: 1 response"), "{answer}");
    let expired = living(now - 7_200, now - 3_600)?;
    for (what, token) in [
        ("no token", None),
        ("an empty token", Some("")),
        ("no token at all", Some("a.b.c")),
        ("a forged token", Some(forged.as_str())),
        ("a token for the API server", Some(of_other_audience.as_str())),
        ("an expired token", Some(expired.as_str())),
    ] {
        let answer = ask(token)?;
        ensure!(answer.starts_with("401 ") && answer.contains("agentx: nothing"), "{what}: {answer}");
    }

    // A ServiceAccount of a namespace without a grant is known, and may register nothing.
    let region = [tenant.name(), &base];
    tenant.apply(&manifests::subtree("web", &base, tenant.name()))?;
    cluster.wait_for("the grant", || {
        let answer = ask_for(&right, &region)?;
        ensure!(answer.contains("register: 0"), "{answer}");
        Ok(())
    })?;
    let ungranted = cluster.namespace("ungranted")?;
    let token = ungranted.kubectl(&["create", "token", "default", "--audience=snmp-operator.dev"])?;
    let answer = ask_for(token.trim(), &region)?;
    ensure!(answer.starts_with("101 ") && answer.contains("register: 262"), "unsupportedContext: {answer}");
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
    // A tenant may edit ConfigMaps of its own namespace. The operator puts them right; without it, the master stands.
    drop(cluster);
    let cluster = Cluster::alone()?;
    installation::end_all(&cluster, "operator")?;
    let path = "{.data.subtree\\.web\\.json}";
    let document = tenant.namespace.get("configmap/snmp-sidecar", path)?;
    let stolen = document.replace(&own, &format!("{foreign}.1")).replace(tenant.name(), victim.name());
    ensure!(stolen != document, "{document}");
    let edit = serde_json::json!({ "data": { "subtree.web.json": stolen } }).to_string();
    tenant.namespace.kubectl(&["patch", "configmap", "snmp-sidecar", "--type=merge", "--patch", &edit])?;
    let pod = tenant.pods()?.into_iter().next().unwrap_or_default();
    tenant.namespace.kubectl(&["annotate", "pod", &pod, "touched=yes"])?;
    tenant.wait_for_walk("the tenant's own values to go", &own, <[_]>::is_empty)?;
    // It tries, and is refused by the master, while the victim's values stay.
    let master = installation::active_master(&cluster)?;
    cluster.wait_for("the master to say whom it refuses", || {
        let log = cluster.kubectl(&["logs", &master, "--namespace", SYSTEM, "--tail=200"])?;
        ensure!(log.lines().any(|line| line.contains(&pod)), "nothing of {pod} in {log}");
        Ok(())
    })?;
    let rows = victim.v2c().walk(harness::Walk::Bulk(20), &foreign)?;
    ensure!(rows.len() == 3, "{rows:?}");
    installation::run_all(&cluster, "operator")?;
    tenant.wait_for_walk("the values again", &own, |rows| rows.len() == 3).map(drop)
}
