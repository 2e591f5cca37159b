//! The operator writes ConfigMaps for sidecars, by their pods' tokens, over the Service that sidecars know.

use anyhow::{Context as _, Result, ensure};
use harness::{Cluster, Sandbox, debian, run};
use serde_json::{Value as Json, json};

use crate::{
    examples,
    installation::SYSTEM,
    manifests::{settings_subtree, writable_config_map},
    tenant::{Tenant, new_base, value_at},
};

/// Sends one request over TLS to an address, for the server of a name.
const ASK: &str = include_str!("ask_operator.py");

/// Asks as the sidecar of a pod does.
struct Sidecar<'a> {
    cluster: &'a Cluster,
    sandbox: Sandbox,
}

impl<'a> Sidecar<'a> {
    fn new(tenant: &'a Tenant, pod: &str) -> Result<Self> {
        let sandbox = Sandbox::new()?;
        let uid = tenant.namespace.get(&format!("pod/{pod}"), "{.metadata.uid}")?;
        let bound = ["--bound-object-kind=Pod", "--bound-object-name", pod, "--bound-object-uid", &uid];
        let create = ["create", "token", "default", "--audience=snmp-operator.dev"];
        let token = tenant.namespace.kubectl(&[&create[..], &bound].concat())?;
        sandbox.write("token", token.trim())?;
        // The very certificates that the sidecar has.
        sandbox.write("ca.crt", tenant.namespace.get("configmap/snmp-sidecar", r"{.data.ca\.crt}")?)?;
        sandbox.write("ask.py", ASK)?;
        Ok(Self { cluster: &tenant.cluster, sandbox })
    }

    fn ask(&self, address: &str, method: &str, body: &Json) -> Result<(u16, Json)> {
        let python = debian("python3", "python3")?;
        let mut command = self.cluster.nms_command(&python.to_string_lossy());
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let name = format!("snmp-operator-writes.{SYSTEM}.svc");
        command.arg(self.sandbox.path("ask.py")).args([method, address, &name, "/v1/configmaps/settings", &body]);
        command.arg(self.sandbox.path("ca.crt")).arg(self.sandbox.path("token"));
        let said = String::from_utf8(run(&mut command)?.stdout)?;
        let (status, said) = said.split_once('\n').context("no status")?;
        Ok((status.parse()?, serde_json::from_str(said).with_context(|| said.to_owned())?))
    }
}

/// A ConfigMap that is shown and may be written, and a subtree that does both.
fn settings(base: &str, context: &str) -> String {
    let scalars = "
  - name: logLevel
    oid: '1'
    syntax: Integer32
    enum: {error: 1, info: 3, debug: 4}
    value: {source: settings, metric: log_level}
    write: {configMap: {name: settings, key: log_level}}";
    writable_config_map("settings", "{log_level: info, password: tell-no-one}")
        + &settings_subtree(base, context, scalars)
}

/// A ConfigMap with three settings that an NMS may change.
fn three(base: &str, context: &str) -> String {
    let scalar = |arc: u32, name: &str, rest: &str| {
        format!(
            "
  - {{name: {name}, oid: '{arc}', {rest}, value: {{source: settings, metric: {name}}},
     write: {{configMap: {{name: settings, key: {name}}}}}}}"
        )
    };
    let scalars = [
        scalar(1, "hostName", "syntax: DisplayString, length: {min: 1, max: 63}, pattern: '[a-z0-9-]+'"),
        scalar(2, "logLevel", "syntax: Integer32, enum: {error: 1, info: 3, debug: 4}"),
        scalar(3, "connectionLimit", "syntax: Gauge32, range: {min: 1, max: 1000}"),
    ];
    writable_config_map("settings", "{hostName: web-1, logLevel: info, connectionLimit: '100'}")
        + &settings_subtree(base, context, &scalars.concat())
}

#[test]
fn an_nms_sets_a_config_map_wholly_or_not_at_all() -> Result<()> {
    let cluster = Cluster::shared()?;
    let base = new_base();
    let tenant = Tenant::of_base(&cluster, "sets", &base)?;
    tenant.apply(&three(&base, tenant.name()))?;
    tenant.run_application(1)?;
    tenant.wait_for_walk("the settings", &base, |rows| rows.len() == 3)?;
    let (host, level, limit) = (format!("{base}.1.0"), format!("{base}.2.0"), format!("{base}.3.0"));
    let (host, level, limit) = (host.as_str(), level.as_str(), limit.as_str());
    let nms = tenant.v3(tenant.name());
    let holds = |expected: &str| {
        let data =
            tenant.namespace.get("configmap/settings", "{.data.hostName} {.data.logLevel} {.data.connectionLimit}")?;
        ensure!(data == expected, "the ConfigMap has {data}, not {expected}");
        Ok(())
    };
    // Each at once, and all of them read back at once, long before the kubelet has mirrored them.
    nms.set_all(&[(host, "s", "db-7"), (level, "i", "4"), (limit, "u", "250")])?;
    let rows = nms.get(&[host, level, limit])?;
    let seen: Vec<_> = rows.iter().map(|row| row.value.clone()).collect();
    let expected =
        [agentx::Value::OctetString(b"db-7".to_vec()), agentx::Value::Integer(4), agentx::Value::Gauge32(250)];
    ensure!(seen == expected, "{rows:?}");
    holds("db-7 debug 250")?;
    let refused = |nms: &harness::Client, variables: &[(&str, &str, &str)], error: &str| match nms.set_all(variables) {
        Ok(rows) => anyhow::bail!("{variables:?} was taken: {rows:?}"),
        Err(said) => {
            let said = format!("{said:#}");
            ensure!(said.contains(error), "{variables:?}: {said}, not {error}");
            Ok(())
        }
    };
    refused(&nms, &[(host, "s", "Not A Name")], "wrongValue")?;
    refused(&nms, &[(host, "s", "")], "wrongLength")?;
    refused(&nms, &[(level, "i", "2")], "wrongValue")?;
    refused(&nms, &[(limit, "i", "5")], "wrongType")?;
    refused(&nms, &[(limit, "u", "1001")], "wrongValue")?;
    refused(&nms, &[(host, "s", "db-8"), (limit, "u", "0"), (level, "i", "1")], "wrongValue")?;
    // The community only reads.
    refused(&tenant.v2c(), &[(host, "s", "db-8")], "noAccess")?;
    holds("db-7 debug 250")?;
    // Nobody may write it any more.
    tenant.namespace.kubectl(&["label", "configmap", "settings", "snmp-operator.dev/writable-"])?;
    refused(&nms, &[(host, "s", "db-8")], "resourceUnavailable")?;
    holds("db-7 debug 250")
}

#[test]
fn what_a_sidecar_has_written_is_in_the_config_map_and_in_the_walk() -> Result<()> {
    let cluster = Cluster::shared()?;
    let base = new_base();
    let tenant = Tenant::of_base(&cluster, "writes", &base)?;
    tenant.apply(&settings(&base, tenant.name()))?;
    tenant.run_application(1)?;
    let oid = format!("{base}.1.0");
    let shows = |level: i128| {
        tenant.wait_for_walk(&format!("the level {level}"), &base, |rows| {
            value_at(rows, &oid).is_ok_and(|row| row.number().is_ok_and(|seen| seen == level))
        })
    };
    shows(3)?;
    let pod = tenant.pods()?.into_iter().next().context("no pod")?;
    let told = tenant.namespace.get(
        &format!("pod/{pod}"),
        "{.spec.initContainers[?(@.name==\"snmp-sidecar\")].env[?(@.name==\"SNMP_SIDECAR_OPERATOR\")].value}",
    )?;
    ensure!(told == format!("https://snmp-operator-writes.{SYSTEM}.svc:9444"), "the sidecar is told {told}");

    let sidecar = Sidecar::new(&tenant, &pod)?;
    let path = "--output=jsonpath={.spec.clusterIP}";
    let service = cluster.kubectl(&["get", "service", "snmp-operator-writes", "--namespace", SYSTEM, path])?;
    let (status, seen) = sidecar.ask(&service, "GET", &Json::Null)?;
    ensure!(status == 200 && seen["data"] == json!({"log_level": "info"}), "{status} {seen}");
    let change = json!({"resourceVersion": seen["resourceVersion"], "data": {"log_level": "debug"}});
    let (status, said) = sidecar.ask(&service, "PATCH", &change)?;
    ensure!(status == 200, "{status} {said}");
    let begun = std::time::Instant::now();
    shows(4)?;
    println!("what was written was seen after {:?}", begun.elapsed());
    ensure!(tenant.namespace.get("configmap/settings", "{.data.log_level} {.data.password}")? == "debug tell-no-one");
    let (status, said) = sidecar.ask(&service, "PATCH", &change)?;
    ensure!(status == 409, "of a version that has gone: {status} {said}");
    let (status, said) = sidecar.ask(&service, "PATCH", &json!({"data": {"password": "x"}}))?;
    ensure!(status == 403, "{status} {said}");

    // Each replica serves, whichever leads.
    let selector = "--selector=app.kubernetes.io/component=operator";
    let path = "--output=jsonpath={.items[*].status.podIP}";
    let addresses = cluster.kubectl(&["get", "pods", "--namespace", SYSTEM, selector, path])?;
    ensure!(addresses.split_whitespace().count() >= 2, "replicas: {addresses}");
    for (address, level) in addresses.split_whitespace().zip(["error", "info", "debug"].iter().cycle()) {
        let (status, said) = sidecar.ask(address, "PATCH", &json!({"data": {"log_level": level}}))?;
        ensure!(status == 200, "{address}: {status} {said}");
    }

    // A token of another namespace reaches nothing here, be the ConfigMap called the same.
    let base = new_base();
    let other = Tenant::of_base(&cluster, "writes-not", &base)?;
    other.apply(&crate::manifests::constant_subtree("other", &base, other.name(), "x"))?;
    other.run_application(1)?;
    let stranger = other.pods()?.into_iter().next().context("no pod")?;
    // It has the same certificates once the operator has told its namespace.
    let stranger = cluster.wait_for("the stranger's certificates", || Sidecar::new(&other, &stranger))?;
    let (status, said) = stranger.ask(&service, "PATCH", &json!({"data": {"log_level": "debug"}}))?;
    ensure!(status == 403, "{status} {said}");
    Ok(())
}

#[test]
fn a_sidecar_that_is_killed_within_a_set_puts_back_the_config_map_and_the_application() -> Result<()> {
    let cluster = Cluster::shared()?;
    let base = "1.3.6.1.4.1.8072.9999.9999.9";
    let tenant = examples::served(&cluster, &["settings"], base, "deployment/settings")?;
    tenant.apply(&writable_config_map("own", "{log_level: info}"))?;
    let own = json!([
        {"op": "add", "path": "/spec/sources/-", "value": {"name": "own", "configMap": {"name": "own"}}},
        {"op": "add", "path": "/spec/scalars/-", "value": {
            "name": "ownLogLevel", "oid": "6", "syntax": "Integer32", "enum": {"error": 1, "info": 3, "debug": 4},
            "value": {"source": "own", "metric": "log_level"},
            "write": {"configMap": {"name": "own", "key": "log_level"}},
        }},
    ]);
    tenant.namespace.kubectl(&["patch", "snmpsubtree", "settings", "--type=json", "--patch", &own.to_string()])?;
    let (host, level) = (format!("{base}.1.0"), format!("{base}.6.0"));
    let is_at_first = |rows: &[harness::Row]| {
        value_at(rows, &host).is_ok_and(|row| row.text().is_ok_and(|name| name == "web-1"))
            && value_at(rows, &level).is_ok_and(|row| row.number().is_ok_and(|level| level == 3))
    };
    tenant.wait_for_walk("both kinds of settings", base, is_at_first)?;

    // The ConfigMap is written, then the application takes the name and does not say so.
    // The pod of before its sidecar ends as slowly as Python does.
    let pod = cluster.wait_for("one pod alone", || {
        let pods = tenant.namespace.get("pods", "{.items[*].metadata.name}")?;
        ensure!(!pods.contains(' '), "{pods}");
        Ok(pods)
    })?;
    let ask = |method: &str, path: &str| {
        let ask = format!(
            "import urllib.request as r; \
             print(r.urlopen(r.Request('http://127.0.0.1:8080{path}', method='{method}')).read().decode())"
        );
        tenant.namespace.exec(&pod, &["python3", "-c", &ask])
    };
    ask("POST", "/stall")?;
    let container = tenant.namespace.sidecar(&pod, "snmp-sidecar")?;
    let nms = tenant.v3(tenant.name()).patience(std::time::Duration::from_secs(20), 0);
    let written = || tenant.namespace.get("configmap/own", "{.data.log_level}");
    std::thread::scope(|scope| -> Result<()> {
        let set = scope.spawn(|| nms.set_all(&[(&level, "i", "4"), (&host, "s", "db-7")]));
        cluster.wait_for("the ConfigMap to be written", || {
            let level = written()?;
            ensure!(level == "debug", "{level}");
            Ok(())
        })?;
        tenant.namespace.kill(&container)?;
        ensure!(set.join().expect("the thread does not panic").is_err(), "the SET was taken");
        Ok(())
    })?;
    cluster.wait_for("all to be put back", || {
        let (level, settings) = (written()?, ask("GET", "/settings")?);
        ensure!(level == "info" && settings.contains("web-1"), "{level}, {settings}");
        Ok(())
    })?;
    let log = tenant.namespace.kubectl(&["logs", &pod, "--container=snmp-sidecar"])?;
    ensure!(log.contains("SETs were under way when the sidecar ended") && log.contains("is put back"), "{log}");
    tenant.wait_for_walk("what was there before", base, is_at_first)?;
    cluster.wait_for("another SET to be taken", || nms.set_all(&[(&level, "i", "1"), (&host, "s", "db-8")]))?;
    ensure!(written()? == "error" && ask("GET", "/settings")?.contains("db-8"));
    Ok(())
}
