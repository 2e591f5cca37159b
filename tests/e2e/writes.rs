//! Writes of ConfigMaps, which the operator makes for sidecars. The token of a pod authorizes each request.

use anyhow::{Context as _, Result, ensure};
use harness::{Cluster, Sandbox, debian, run};
use serde_json::{Value as Json, json};

use crate::{
    examples,
    installation::SYSTEM,
    manifests::{settings_subtree, writable_config_map},
    tenant::{Tenant, new_base, value_at},
};

/// A script that sends one request for a ConfigMap to the operator over TLS.
const SCRIPT: &str = include_str!("request_operator.py");

/// A client that sends requests as the sidecar of a pod does.
struct SidecarClient<'a> {
    cluster: &'a Cluster,
    sandbox: Sandbox,
}

impl<'a> SidecarClient<'a> {
    fn new(tenant: &'a Tenant, pod: &str) -> Result<Self> {
        let sandbox = Sandbox::new()?;
        let uid = tenant.namespace.get(&format!("pod/{pod}"), "{.metadata.uid}")?;
        let bound = ["--bound-object-kind=Pod", "--bound-object-name", pod, "--bound-object-uid", &uid];
        let create = ["create", "token", "default", "--audience=snmp-operator.dev"];
        let token = tenant.namespace.kubectl(&[&create[..], &bound].concat())?;
        sandbox.write("token", token.trim())?;
        // The authorities that the sidecar trusts.
        sandbox.write("ca.crt", tenant.namespace.get("configmap/snmp-sidecar", r"{.data.ca\.crt}")?)?;
        sandbox.write("request.py", SCRIPT)?;
        Ok(Self { cluster: &tenant.cluster, sandbox })
    }

    /// Sends a request, and returns the status and the body of the response.
    fn request(&self, address: &str, method: &str, body: &Json) -> Result<(u16, Json)> {
        let python = debian("python3", "python3")?;
        let mut command = self.cluster.nms_command(&python.to_string_lossy());
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let name = format!("snmp-operator-writes.{SYSTEM}.svc");
        command.arg(self.sandbox.path("request.py")).args([method, address, &name, "/v1/configmaps/settings", &body]);
        command.arg(self.sandbox.path("ca.crt")).arg(self.sandbox.path("token"));
        let output = String::from_utf8(run(&mut command)?.stdout)?;
        let (status, body) = output.split_once('\n').context("the script printed no status")?;
        Ok((status.parse()?, serde_json::from_str(body).with_context(|| body.to_owned())?))
    }
}

/// Returns a writable ConfigMap, and a subtree with a writable object for one of its keys.
fn one_setting(base: &str, context: &str) -> String {
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

/// Returns a writable ConfigMap, and a subtree with a writable object for each of its three keys.
fn three_settings(base: &str, context: &str) -> String {
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
fn a_set_of_a_config_map_is_all_or_nothing() -> Result<()> {
    let cluster = Cluster::shared()?;
    let base = new_base();
    let tenant = Tenant::of_base(&cluster, "sets", &base)?;
    tenant.apply(&three_settings(&base, tenant.name()))?;
    tenant.run_application(1)?;
    tenant.wait_for_walk("the settings", &base, |rows| rows.len() == 3)?;
    let (host, level, limit) = (format!("{base}.1.0"), format!("{base}.2.0"), format!("{base}.3.0"));
    let (host, level, limit) = (host.as_str(), level.as_str(), limit.as_str());
    let nms = tenant.v3(tenant.name());
    let check_data = |expected: &str| {
        let data =
            tenant.namespace.get("configmap/settings", "{.data.hostName} {.data.logLevel} {.data.connectionLimit}")?;
        ensure!(data == expected, "the ConfigMap has {data}, not {expected}");
        Ok(())
    };
    // The values can be read immediately, long before the kubelet updates the mounted ConfigMap.
    nms.set_all(&[(host, "s", "db-7"), (level, "i", "4"), (limit, "u", "250")])?;
    let rows = nms.get(&[host, level, limit])?;
    let seen: Vec<_> = rows.iter().map(|row| row.value.clone()).collect();
    let expected =
        [agentx::Value::OctetString(b"db-7".to_vec()), agentx::Value::Integer(4), agentx::Value::Gauge32(250)];
    ensure!(seen == expected, "{rows:?}");
    check_data("db-7 debug 250")?;
    let expect_refusal =
        |nms: &harness::Client, variables: &[(&str, &str, &str)], error: &str| match nms.set_all(variables) {
            Ok(rows) => anyhow::bail!("the SET of {variables:?} succeeded: {rows:?}"),
            Err(seen) => {
                let seen = format!("{seen:#}");
                ensure!(seen.contains(error), "{variables:?}: expected {error}, received {seen}");
                Ok(())
            }
        };
    expect_refusal(&nms, &[(host, "s", "Not A Name")], "wrongValue")?;
    expect_refusal(&nms, &[(host, "s", "")], "wrongLength")?;
    expect_refusal(&nms, &[(level, "i", "2")], "wrongValue")?;
    expect_refusal(&nms, &[(limit, "i", "5")], "wrongType")?;
    expect_refusal(&nms, &[(limit, "u", "1001")], "wrongValue")?;
    expect_refusal(&nms, &[(host, "s", "db-8"), (limit, "u", "0"), (level, "i", "1")], "wrongValue")?;
    // The community is read-only.
    expect_refusal(&tenant.v2c(), &[(host, "s", "db-8")], "noAccess")?;
    check_data("db-7 debug 250")?;
    // The ConfigMap is no longer writable.
    tenant.namespace.kubectl(&["label", "configmap", "settings", "snmp-operator.dev/writable-"])?;
    expect_refusal(&nms, &[(host, "s", "db-8")], "resourceUnavailable")?;
    check_data("db-7 debug 250")
}

#[test]
fn the_operator_writes_config_maps_only_for_sidecars_with_the_right_token() -> Result<()> {
    let cluster = Cluster::shared()?;
    let base = new_base();
    let tenant = Tenant::of_base(&cluster, "writes", &base)?;
    tenant.apply(&one_setting(&base, tenant.name()))?;
    tenant.run_application(1)?;
    let oid = format!("{base}.1.0");
    let shows = |level: i128| {
        tenant.wait_for_walk(&format!("the level {level}"), &base, |rows| {
            value_at(rows, &oid).is_ok_and(|row| row.number().is_ok_and(|seen| seen == level))
        })
    };
    shows(3)?;
    let pod = tenant.pods()?.into_iter().next().context("the application has no pod")?;
    let url = tenant.namespace.get(
        &format!("pod/{pod}"),
        "{.spec.initContainers[?(@.name==\"snmp-sidecar\")].env[?(@.name==\"SNMP_SIDECAR_OPERATOR\")].value}",
    )?;
    ensure!(url == format!("https://snmp-operator-writes.{SYSTEM}.svc:9444"), "the sidecar has the URL {url}");

    let sidecar = SidecarClient::new(&tenant, &pod)?;
    let path = "--output=jsonpath={.spec.clusterIP}";
    let service = cluster.kubectl(&["get", "service", "snmp-operator-writes", "--namespace", SYSTEM, path])?;
    let (status, seen) = sidecar.request(&service, "GET", &Json::Null)?;
    ensure!(status == 200 && seen["data"] == json!({"log_level": "info"}), "{status} {seen}");
    let change = json!({"resourceVersion": seen["resourceVersion"], "data": {"log_level": "debug"}});
    let (status, response) = sidecar.request(&service, "PATCH", &change)?;
    ensure!(status == 200, "{status} {response}");
    let begun = std::time::Instant::now();
    shows(4)?;
    println!("the written value was published after {:?}", begun.elapsed());
    ensure!(tenant.namespace.get("configmap/settings", "{.data.log_level} {.data.password}")? == "debug tell-no-one");
    let (status, response) = sidecar.request(&service, "PATCH", &change)?;
    ensure!(status == 409, "a write with an old resourceVersion: {status} {response}");
    let (status, response) = sidecar.request(&service, "PATCH", &json!({"data": {"password": "x"}}))?;
    ensure!(status == 403, "{status} {response}");

    // Every replica serves requests, not only the leader.
    let selector = "--selector=app.kubernetes.io/component=operator";
    let path = "--output=jsonpath={.items[*].status.podIP}";
    let addresses = cluster.kubectl(&["get", "pods", "--namespace", SYSTEM, selector, path])?;
    ensure!(addresses.split_whitespace().count() >= 2, "replicas: {addresses}");
    for (address, level) in addresses.split_whitespace().zip(["error", "info", "debug"].iter().cycle()) {
        let (status, response) = sidecar.request(address, "PATCH", &json!({"data": {"log_level": level}}))?;
        ensure!(status == 200, "{address}: {status} {response}");
    }

    // A token of another namespace gives no access to a ConfigMap of this name.
    let base = new_base();
    let other = Tenant::of_base(&cluster, "writes-not", &base)?;
    other.apply(&crate::manifests::constant_subtree("other", &base, other.name(), "x"))?;
    other.run_application(1)?;
    let stranger = other.pods()?.into_iter().next().context("the application has no pod")?;
    // Its namespace gets the authorities from the operator.
    let stranger = cluster.wait_for("the stranger's certificates", || SidecarClient::new(&other, &stranger))?;
    let (status, response) = stranger.request(&service, "PATCH", &json!({"data": {"log_level": "debug"}}))?;
    ensure!(status == 403, "{status} {response}");
    Ok(())
}

#[test]
fn a_sidecar_that_is_killed_during_a_set_restores_the_config_map_and_the_application() -> Result<()> {
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
    let is_initial = |rows: &[harness::Row]| {
        value_at(rows, &host).is_ok_and(|row| row.text().is_ok_and(|name| name == "web-1"))
            && value_at(rows, &level).is_ok_and(|row| row.number().is_ok_and(|level| level == 3))
    };
    tenant.wait_for_walk("both kinds of settings", base, is_initial)?;

    // The ConfigMap is written, then the application accepts the name without a reply.
    // The old pod without a sidecar takes some time to end.
    let pod = cluster.wait_for("a single pod", || {
        let pods = tenant.namespace.get("pods", "{.items[*].metadata.name}")?;
        ensure!(!pods.contains(' '), "{pods}");
        Ok(pods)
    })?;
    let request = |method: &str, path: &str| {
        let script = format!(
            "import urllib.request as r; \
             print(r.urlopen(r.Request('http://127.0.0.1:8080{path}', method='{method}')).read().decode())"
        );
        tenant.namespace.exec(&pod, &["python3", "-c", &script])
    };
    request("POST", "/stall")?;
    let container = tenant.namespace.sidecar(&pod, "snmp-sidecar")?;
    let nms = tenant.v3(tenant.name()).with_timeout(std::time::Duration::from_secs(20), 0);
    let written = || tenant.namespace.get("configmap/own", "{.data.log_level}");
    std::thread::scope(|scope| -> Result<()> {
        let set = scope.spawn(|| nms.set_all(&[(&level, "i", "4"), (&host, "s", "db-7")]));
        cluster.wait_for("the ConfigMap to be written", || {
            let level = written()?;
            ensure!(level == "debug", "{level}");
            Ok(())
        })?;
        tenant.namespace.kill(&container)?;
        ensure!(set.join().expect("the thread does not panic").is_err(), "the SET succeeded");
        Ok(())
    })?;
    cluster.wait_for("the old values to be restored", || {
        let (level, settings) = (written()?, request("GET", "/settings")?);
        ensure!(level == "info" && settings.contains("web-1"), "{level}, {settings}");
        Ok(())
    })?;
    let log = tenant.namespace.kubectl(&["logs", &pod, "--container=snmp-sidecar"])?;
    let restored = "restored the value that the object had before the SET";
    ensure!(log.contains("SETs were in progress when the sidecar stopped") && log.contains(restored), "{log}");
    tenant.wait_for_walk("the old values", base, is_initial)?;
    cluster.wait_for("another SET to succeed", || nms.set_all(&[(&level, "i", "1"), (&host, "s", "db-8")]))?;
    ensure!(written()? == "error" && request("GET", "/settings")?.contains("db-8"));
    Ok(())
}
