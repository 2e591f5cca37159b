//! ConfigMaps of tenants: the operator copies the keys that sources use, and writes keys for sidecars.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use harness::{Namespace, Sandbox, debian, free_port, run};
use serde_json::{Value as Json, json};

use crate::{manifests::admitting, operator_setup::OperatorSetup};

/// A script that sends one request with a token over TLS.
const SCRIPT: &str = include_str!("../e2e/request_api.py");
const SUBTREE: &str = "snmpsubtree/settings";

/// Returns a subtree with two keys of the ConfigMap `settings`. With `writes`, one of its objects is writable.
fn subtree(writes: bool) -> String {
    let mut subtree = json!({
        "apiVersion": "snmp-operator.dev/v1alpha1", "kind": "SnmpSubtree", "metadata": {"name": "settings"},
        "spec": {
            "oid": "1.3.6.1.4.1.99999.1.1",
            "contextRefs": ["tenant"],
            "selector": {"matchLabels": {"app": "web"}},
            "sources": [{"name": "settings", "configMap": {"name": "settings"}}],
            "scalars": [
                {
                    "name": "logLevel", "oid": "1", "syntax": "DisplayString",
                    "value": {"source": "settings", "metric": "log_level"},
                },
                {"name": "motd", "oid": "2", "syntax": "DisplayString", "value": {"source": "settings", "metric": "motd"}},
            ],
        },
    });
    if writes {
        subtree["spec"]["scalars"][0]["write"] = json!({"configMap": {"name": "settings", "key": "log_level"}});
    }
    subtree.to_string()
}

fn settings(namespace: &Namespace, labels: &Json) -> Result<()> {
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "labels": labels},
        "data": {"log_level": "info", "motd": "hello", "password": "tell-no-one"},
    });
    namespace.apply(&map.to_string()).map(drop)
}

/// Returns the copied keys of the ConfigMap, as files with their content.
fn copied_keys(setup: &OperatorSetup, namespace: &Namespace) -> Result<Vec<(String, String)>> {
    let map = setup.get(namespace.name(), "configmap/snmp-sidecar")?;
    let data = map["data"].as_object().context("the ConfigMap has no data")?;
    let files = data.iter().filter(|(file, _)| file.starts_with("configmap."));
    Ok(files.map(|(file, text)| (file.clone(), text.as_str().unwrap_or_default().to_owned())).collect())
}

fn wait_for_copied_keys(setup: &OperatorSetup, namespace: &Namespace, expected: &[(&str, &str)]) -> Result<()> {
    setup.wait_for(&format!("the copied keys to be {expected:?}"), || {
        let seen = copied_keys(setup, namespace)?;
        let seen: Vec<_> = seen.iter().map(|(file, text)| (file.as_str(), text.as_str())).collect();
        ensure!(seen == expected, "{seen:?}");
        Ok(())
    })
}

#[test]
fn the_keys_that_a_source_uses_are_copied_and_updated() -> Result<()> {
    let (setup, namespace) = OperatorSetup::with_tenant()?;
    let _operator = setup.operator("operator", &[])?;
    namespace.apply(&subtree(false))?;
    setup.condition(namespace.name(), SUBTREE, "Programmed", "True Programmed")?;
    settings(&namespace, &json!({}))?;
    let message = setup.condition(namespace.name(), SUBTREE, "ResolvedRefs", "False ConfigMapNotReadable")?;
    wait_for_copied_keys(&setup, &namespace, &[])?;
    // The message contains the command that labels the ConfigMap, once for both keys.
    let (_, command) = message.split_once("kubectl ").with_context(|| message.clone())?;
    setup.cluster().kubectl(&command.split(' ').collect::<Vec<_>>())?;
    setup.condition(namespace.name(), SUBTREE, "ResolvedRefs", "True ResolvedRefs")?;
    wait_for_copied_keys(
        &setup,
        &namespace,
        &[("configmap.settings.log_level", "info"), ("configmap.settings.motd", "hello")],
    )?;
    let patch = |data: &Json| {
        let patch = json!({"data": data}).to_string();
        namespace.kubectl(&["patch", "configmap", "settings", "--type=merge", "--patch", &patch])
    };
    patch(&json!({"log_level": "debug"}))?;
    wait_for_copied_keys(
        &setup,
        &namespace,
        &[("configmap.settings.log_level", "debug"), ("configmap.settings.motd", "hello")],
    )?;
    patch(&json!({"motd": null}))?;
    let message = setup.condition(namespace.name(), SUBTREE, "ResolvedRefs", "False NoSuchKey")?;
    ensure!(message.contains("has no key motd"), "{message}");
    wait_for_copied_keys(&setup, &namespace, &[("configmap.settings.log_level", "debug")])?;
    namespace.kubectl(&["delete", "configmap", "settings"])?;
    setup.condition(namespace.name(), SUBTREE, "ResolvedRefs", "False ConfigMapNotReadable")?;
    wait_for_copied_keys(&setup, &namespace, &[])
}

/// A client that sends requests as the sidecar of a pod does.
struct SidecarClient {
    sandbox: Sandbox,
    url: String,
}

impl SidecarClient {
    fn new(setup: &OperatorSetup, port: u16, token: &str) -> Result<Self> {
        let sandbox = Sandbox::new()?;
        sandbox.write("request.py", SCRIPT)?;
        sandbox.write("token", token.trim())?;
        let path = "--output=go-template={{index .data \"ca.crt\" | base64decode}}";
        sandbox.write("ca.crt", setup.system().kubectl(&["get", "secret", "snmp-operator-ca", path])?)?;
        Ok(Self { sandbox, url: format!("https://127.0.0.1:{port}/v1/configmaps") })
    }

    /// Sends a request, and returns the status and the body of the response.
    fn request(&self, method: &str, name: &str, body: &Json) -> Result<(u16, Json)> {
        let mut command = Command::new(debian("python3", "python3")?);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        command.arg(self.sandbox.path("request.py")).args([method, &format!("{}/{name}", self.url), &body]);
        command.arg(self.sandbox.path("ca.crt")).arg(self.sandbox.path("token"));
        let output = String::from_utf8(run(&mut command)?.stdout)?;
        let (status, body) = output.split_once('\n').context("the script printed no status")?;
        Ok((status.parse()?, serde_json::from_str(body).with_context(|| body.to_owned())?))
    }

    fn patch(&self, body: &Json) -> Result<(u16, Json)> {
        self.request("PATCH", "settings", body)
    }
}

/// Creates a pod in the namespace and returns a token of it.
fn pod_token(namespace: &Namespace, name: &str) -> Result<String> {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "web", "image": "web"}]},
    });
    namespace.apply(&pod.to_string())?;
    let uid = namespace.get(&format!("pod/{name}"), "{.metadata.uid}")?;
    namespace.kubectl(&[
        "create",
        "token",
        "default",
        "--audience=snmp-operator.dev",
        "--bound-object-kind=Pod",
        "--bound-object-name",
        name,
        "--bound-object-uid",
        &uid,
    ])
}

#[test]
fn a_sidecar_can_write_only_the_writable_keys_of_its_namespace() -> Result<()> {
    let mut setup = OperatorSetup::new()?;
    let (namespace, other) = (setup.namespace("tenant")?, setup.namespace("other")?);
    setup.context("tenant", &admitting(namespace.name()))?;
    let (port, second) = (free_port()?, free_port()?);
    let listen = |port: u16| format!("--write-listen=127.0.0.1:{port}");
    let flags = ["--writes=true", "--webhook-names=127.0.0.1"];
    let operator = setup.operator("operator", &[&flags[..], &[&listen(port)]].concat())?;
    // A replica that is not the leader also serves writes.
    let follower = setup.operator("follower", &[&flags[..], &[&listen(second)]].concat())?;
    settings(&namespace, &json!({"snmp-operator.dev/readable": "true"}))?;
    namespace.apply(&subtree(true))?;
    setup.condition(namespace.name(), SUBTREE, "ResolvedRefs", "True ResolvedRefs")?;
    let token = pod_token(&namespace, "web")?;
    let sidecar = SidecarClient::new(&setup, port, &token)?;

    let change = |level: &str| json!({"data": {"log_level": level}});
    let (status, response) = sidecar.patch(&change("debug"))?;
    let message = response["message"].as_str().unwrap_or_default();
    ensure!(status == 403, "{status} {response}");
    let (_, command) = message.split_once("kubectl ").with_context(|| message.to_owned())?;
    setup.cluster().kubectl(&command.split(' ').collect::<Vec<_>>())?;

    let (status, seen) = sidecar.request("GET", "settings", &Json::Null)?;
    ensure!(status == 200 && seen["data"] == json!({"log_level": "info"}), "{status} {seen}");
    let mut change_of_that = change("debug");
    change_of_that["resourceVersion"] = seen["resourceVersion"].clone();
    let (status, written) = sidecar.patch(&change_of_that)?;
    ensure!(status == 200 && written["resourceVersion"] != seen["resourceVersion"], "{status} {written}");
    let map = setup.get(namespace.name(), "configmap/settings")?;
    ensure!(map["data"] == json!({"log_level": "debug", "motd": "hello", "password": "tell-no-one"}), "{map}");
    ensure!(map["metadata"]["resourceVersion"] == written["resourceVersion"], "{map}");
    let managers = namespace.kubectl(&[
        "get",
        "configmap",
        "settings",
        "--show-managed-fields",
        "--output=jsonpath={.metadata.managedFields[*].manager}",
    ])?;
    ensure!(managers.contains("snmp-operator-writes"), "{managers}");
    wait_for_copied_keys(
        &setup,
        &namespace,
        &[("configmap.settings.log_level", "debug"), ("configmap.settings.motd", "hello")],
    )?;
    let (status, response) = sidecar.patch(&change_of_that)?;
    ensure!(status == 409, "{status} {response}");

    let following = SidecarClient::new(&setup, second, &token)?;
    setup.wait_for("the other replica to see the subtree", || {
        let (status, response) = following.patch(&change("warn"))?;
        ensure!(status == 200, "{status} {response}");
        Ok(())
    })?;
    ensure!(!follower.leads()? && operator.leads()?, "the leader has changed");

    for (what, body) in [
        ("another key", json!({"data": {"motd": "x"}})),
        ("a key that no object uses", json!({"data": {"password": "x"}})),
    ] {
        let (status, response) = sidecar.patch(&body)?;
        ensure!(
            status == 403 && response["message"].to_string().contains("no accepted SnmpSubtree"),
            "{what}: {status} {response}"
        );
    }
    let of_other = SidecarClient::new(&setup, port, &pod_token(&other, "web")?)?;
    let (status, response) = of_other.patch(&change("error"))?;
    ensure!(status == 403, "a pod of another namespace: {status} {response}");
    let of_no_pod = namespace.kubectl(&["create", "token", "default", "--audience=snmp-operator.dev"])?;
    let (status, response) = SidecarClient::new(&setup, port, &of_no_pod)?.patch(&change("error"))?;
    ensure!(status == 403 && response["message"].to_string().contains("no pod"), "{status} {response}");
    let of_another_audience = namespace.kubectl(&["create", "token", "default"])?;
    let (status, response) = SidecarClient::new(&setup, port, &of_another_audience)?.patch(&change("error"))?;
    ensure!(status == 401, "{status} {response}");

    namespace.kubectl(&["patch", "configmap", "settings", "--type=merge", "--patch", r#"{"immutable": true}"#])?;
    let (status, response) = sidecar.patch(&change("error"))?;
    ensure!(status == 422, "immutable: {status} {response}");
    ensure!(setup.get(namespace.name(), "configmap/settings")?["data"]["log_level"] == "warn");
    ensure!(operator.metric("snmp_operator_configmap_writes_total", &[r#"result="refused""#])? > 0.5);

    // A subtree that its context no longer admits permits no writes.
    setup.context("tenant", r#"{"allowedNamespaces": {"from": "None"}}"#)?;
    setup.condition(namespace.name(), SUBTREE, "Accepted", "False NotAllowed")?;
    setup.wait_for("the write to be refused", || {
        let (status, response) = sidecar.patch(&change("error"))?;
        ensure!(status == 403, "{status} {response}");
        Ok(())
    })
}
