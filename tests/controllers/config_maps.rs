//! ConfigMaps of tenants: what sources show of them is mirrored, and what SETs write goes into them.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use harness::{Namespace, Sandbox, debian, free_port, run};
use serde_json::{Value as Json, json};

use crate::{configuration::admitting, world::World};

/// Sends one request with a token over TLS.
const ASK: &str = include_str!("../e2e/ask_api.py");
const SUBTREE: &str = "snmpsubtree/settings";

/// A subtree that shows two keys of the ConfigMap `settings`, and may write one of them.
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

/// What of the ConfigMap is mirrored: files and their text.
fn mirrored(world: &World, namespace: &Namespace) -> Result<Vec<(String, String)>> {
    let map = world.get(namespace.name(), "configmap/snmp-sidecar")?;
    let data = map["data"].as_object().context("no data")?;
    let files = data.iter().filter(|(file, _)| file.starts_with("configmap."));
    Ok(files.map(|(file, text)| (file.clone(), text.as_str().unwrap_or_default().to_owned())).collect())
}

fn is_mirrored(world: &World, namespace: &Namespace, expected: &[(&str, &str)]) -> Result<()> {
    world.wait_for(&format!("{expected:?} to be mirrored"), || {
        let seen = mirrored(world, namespace)?;
        let seen: Vec<_> = seen.iter().map(|(file, text)| (file.as_str(), text.as_str())).collect();
        ensure!(seen == expected, "{seen:?}");
        Ok(())
    })
}

#[test]
fn what_a_source_shows_of_a_config_map_is_mirrored_and_follows_it() -> Result<()> {
    let mut world = World::new()?;
    let namespace = world.namespace("tenant")?;
    world.context("tenant", &admitting(namespace.name()))?;
    let _operator = world.operator("operator", &[])?;
    namespace.apply(&subtree(false))?;
    world.condition(namespace.name(), SUBTREE, "Programmed", "True Programmed")?;
    settings(&namespace, &json!({}))?;
    let message = world.condition(namespace.name(), SUBTREE, "ResolvedRefs", "False ConfigMapNotReadable")?;
    is_mirrored(&world, &namespace, &[])?;
    // The message says the very command, once for both keys.
    let (_, command) = message.split_once("kubectl ").with_context(|| message.clone())?;
    world.cluster().kubectl(&command.split(' ').collect::<Vec<_>>())?;
    world.condition(namespace.name(), SUBTREE, "ResolvedRefs", "True ResolvedRefs")?;
    is_mirrored(&world, &namespace, &[("configmap.settings.log_level", "info"), ("configmap.settings.motd", "hello")])?;
    let patch = |data: &Json| {
        let patch = json!({"data": data}).to_string();
        namespace.kubectl(&["patch", "configmap", "settings", "--type=merge", "--patch", &patch])
    };
    patch(&json!({"log_level": "debug"}))?;
    is_mirrored(
        &world,
        &namespace,
        &[("configmap.settings.log_level", "debug"), ("configmap.settings.motd", "hello")],
    )?;
    patch(&json!({"motd": null}))?;
    let message = world.condition(namespace.name(), SUBTREE, "ResolvedRefs", "False NoSuchKey")?;
    ensure!(message.contains("has no key motd"), "{message}");
    is_mirrored(&world, &namespace, &[("configmap.settings.log_level", "debug")])?;
    namespace.kubectl(&["delete", "configmap", "settings"])?;
    world.condition(namespace.name(), SUBTREE, "ResolvedRefs", "False ConfigMapNotReadable")?;
    is_mirrored(&world, &namespace, &[])
}

/// A sidecar of a pod, as far as the server of writes sees one.
struct Sidecar {
    sandbox: Sandbox,
    url: String,
}

impl Sidecar {
    fn new(world: &World, port: u16, token: &str) -> Result<Self> {
        let sandbox = Sandbox::new()?;
        sandbox.write("ask.py", ASK)?;
        sandbox.write("token", token.trim())?;
        let path = "--output=go-template={{index .data \"ca.crt\" | base64decode}}";
        sandbox.write("ca.crt", world.system().kubectl(&["get", "secret", "snmp-operator-ca", path])?)?;
        Ok(Self { sandbox, url: format!("https://127.0.0.1:{port}/v1/configmaps") })
    }

    fn ask(&self, method: &str, name: &str, body: &Json) -> Result<(u16, Json)> {
        let mut command = Command::new(debian("python3", "python3")?);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        command.arg(self.sandbox.path("ask.py")).args([method, &format!("{}/{name}", self.url), &body]);
        command.arg(self.sandbox.path("ca.crt")).arg(self.sandbox.path("token"));
        let said = String::from_utf8(run(&mut command)?.stdout)?;
        let (status, said) = said.split_once('\n').context("no status")?;
        Ok((status.parse()?, serde_json::from_str(said).with_context(|| said.to_owned())?))
    }

    fn patch(&self, body: &Json) -> Result<(u16, Json)> {
        self.ask("PATCH", "settings", body)
    }
}

/// A token of a pod of the namespace, which is made for it.
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
fn a_sidecar_has_the_keys_written_that_its_namespace_writes_and_no_others() -> Result<()> {
    let mut world = World::new()?;
    let (namespace, other) = (world.namespace("tenant")?, world.namespace("other")?);
    world.context("tenant", &admitting(namespace.name()))?;
    let (port, second) = (free_port()?, free_port()?);
    let listen = |port: u16| format!("--write-listen=127.0.0.1:{port}");
    let flags = ["--writes=true", "--webhook-names=127.0.0.1"];
    let operator = world.operator("operator", &[&flags[..], &[&listen(port)]].concat())?;
    // A replica that does not lead answers as well.
    let follower = world.operator("follower", &[&flags[..], &[&listen(second)]].concat())?;
    settings(&namespace, &json!({"snmp-operator.dev/readable": "true"}))?;
    namespace.apply(&subtree(true))?;
    world.condition(namespace.name(), SUBTREE, "ResolvedRefs", "True ResolvedRefs")?;
    let token = pod_token(&namespace, "web")?;
    let sidecar = Sidecar::new(&world, port, &token)?;

    let change = |level: &str| json!({"data": {"log_level": level}});
    let (status, said) = sidecar.patch(&change("debug"))?;
    let message = said["message"].as_str().unwrap_or_default();
    ensure!(status == 403, "{status} {said}");
    let (_, command) = message.split_once("kubectl ").with_context(|| message.to_owned())?;
    world.cluster().kubectl(&command.split(' ').collect::<Vec<_>>())?;

    let (status, seen) = sidecar.ask("GET", "settings", &Json::Null)?;
    ensure!(status == 200 && seen["data"] == json!({"log_level": "info"}), "{status} {seen}");
    let mut change_of_that = change("debug");
    change_of_that["resourceVersion"] = seen["resourceVersion"].clone();
    let (status, written) = sidecar.patch(&change_of_that)?;
    ensure!(status == 200 && written["resourceVersion"] != seen["resourceVersion"], "{status} {written}");
    let map = world.get(namespace.name(), "configmap/settings")?;
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
    is_mirrored(
        &world,
        &namespace,
        &[("configmap.settings.log_level", "debug"), ("configmap.settings.motd", "hello")],
    )?;
    let (status, said) = sidecar.patch(&change_of_that)?;
    ensure!(status == 409, "{status} {said}");

    let following = Sidecar::new(&world, second, &token)?;
    world.wait_for("the one that does not lead to know of the subtree", || {
        let (status, said) = following.patch(&change("warn"))?;
        ensure!(status == 200, "{status} {said}");
        Ok(())
    })?;
    ensure!(!follower.leads()? && operator.leads()?, "another leads");

    for (what, body) in
        [("another key", json!({"data": {"motd": "x"}})), ("one nobody shows", json!({"data": {"password": "x"}}))]
    {
        let (status, said) = sidecar.patch(&body)?;
        ensure!(
            status == 403 && said["message"].to_string().contains("no accepted SnmpSubtree"),
            "{what}: {status} {said}"
        );
    }
    let of_other = Sidecar::new(&world, port, &pod_token(&other, "web")?)?;
    let (status, said) = of_other.patch(&change("error"))?;
    ensure!(status == 403, "of another namespace: {status} {said}");
    let of_no_pod = namespace.kubectl(&["create", "token", "default", "--audience=snmp-operator.dev"])?;
    let (status, said) = Sidecar::new(&world, port, &of_no_pod)?.patch(&change("error"))?;
    ensure!(status == 403 && said["message"].to_string().contains("no pod"), "{status} {said}");
    let of_another_audience = namespace.kubectl(&["create", "token", "default"])?;
    let (status, said) = Sidecar::new(&world, port, &of_another_audience)?.patch(&change("error"))?;
    ensure!(status == 401, "{status} {said}");

    namespace.kubectl(&["patch", "configmap", "settings", "--type=merge", "--patch", r#"{"immutable": true}"#])?;
    let (status, said) = sidecar.patch(&change("error"))?;
    ensure!(status == 422, "immutable: {status} {said}");
    ensure!(world.get(namespace.name(), "configmap/settings")?["data"]["log_level"] == "warn");
    ensure!(operator.metric("snmp_operator_configmap_writes_total", &[r#"result="refused""#])? > 0.5);

    // What a context no longer admits writes nothing any more.
    world.context("tenant", r#"{"allowedNamespaces": {"from": "None"}}"#)?;
    world.condition(namespace.name(), SUBTREE, "Accepted", "False NotAllowed")?;
    world.wait_for("the write to be refused", || {
        let (status, said) = sidecar.patch(&change("error"))?;
        ensure!(status == 403, "{status} {said}");
        Ok(())
    })
}
