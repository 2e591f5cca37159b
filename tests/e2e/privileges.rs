//! The privileges of our ServiceAccounts, tested with their tokens.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use harness::{Cluster, Sandbox, debian, run};

use crate::{installation::SYSTEM, manifests, tenant::Tenant};

/// A script that sends one request to the API server. kubectl would need more privileges for the same request.
const SCRIPT: &str = include_str!("request_api.py");

/// One of our ServiceAccounts, with a token.
struct Account<'a> {
    cluster: &'a Cluster,
    sandbox: Sandbox,
    name: &'a str,
}

impl<'a> Account<'a> {
    fn new(cluster: &'a Cluster, name: &'a str) -> Result<Self> {
        let sandbox = Sandbox::new()?;
        let token = cluster.kubectl(&["create", "token", name, "--namespace", SYSTEM])?;
        sandbox.write("token", token.trim())?;
        let authority = cluster.kubectl(&[
            "get",
            "configmap",
            "kube-root-ca.crt",
            "--namespace",
            SYSTEM,
            "--output=go-template={{index .data \"ca.crt\"}}",
        ])?;
        sandbox.write("ca.crt", authority)?;
        sandbox.write("request.py", SCRIPT)?;
        Ok(Self { cluster, sandbox, name })
    }

    /// Sends a request, and returns the status and the body of the response.
    fn request(&self, method: &str, path: &str, body: &str) -> Result<(u16, String)> {
        let mut command = Command::new(debian("python3", "python3")?);
        let url = format!("{}{path}", self.cluster.api_server());
        command.arg(self.sandbox.path("request.py")).args([method, &url, body]);
        command.arg(self.sandbox.path("ca.crt")).arg(self.sandbox.path("token"));
        let output = String::from_utf8_lossy(&run(&mut command)?.stdout).into_owned();
        let (status, body) = output.split_once('\n').context("the script printed no status")?;
        Ok((status.parse()?, body.to_owned()))
    }

    fn expect_allowed(&self, what: &str, method: &str, path: &str, body: &str) -> Result<()> {
        let (status, response) = self.request(method, path, body)?;
        ensure!((200..300).contains(&status), "{} has no permission for {what}: {status} {response}", self.name);
        Ok(())
    }

    fn expect_refused(&self, what: &str, method: &str, path: &str, body: &str) -> Result<()> {
        let (status, response) = self.request(method, path, body)?;
        let refused = status == 403 || response.contains("denied request");
        ensure!(refused, "{} has permission for {what}: {status} {response}", self.name);
        Ok(())
    }
}

#[test]
fn the_operator_may_change_only_its_annotation_of_a_pod() -> Result<()> {
    let cluster = Cluster::shared()?;
    let tenant = Tenant::new(&cluster, "privileges")?;
    tenant.apply(&manifests::lone_pod("victim"))?;
    let namespace = format!("/api/v1/namespaces/{}", tenant.name());
    let pod = format!("{namespace}/pods/victim");
    let (operator, master) = (Account::new(&cluster, "snmp-operator")?, Account::new(&cluster, "snmp-master")?);
    let own = r#"{"metadata":{"annotations":{"snmp-operator.dev/configuration":"x"}}}"#;
    operator.expect_allowed("its annotation", "PATCH", &pod, own)?;
    master.expect_refused("the operator's annotation", "PATCH", &pod, own)?;
    for (what, change) in [
        ("an image", r#"{"spec":{"containers":[{"name":"exporter","image":"evil"}]}}"#),
        ("a label", r#"{"metadata":{"labels":{"app":"evil"}}}"#),
        ("a foreign annotation", r#"{"metadata":{"annotations":{"example.com/evil":"x"}}}"#),
        ("a finalizer", r#"{"metadata":{"finalizers":["example.com/evil"]}}"#),
        (
            "an owner",
            r#"{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"victim","uid":"x"}]}}"#,
        ),
        ("a deadline", r#"{"spec":{"activeDeadlineSeconds":1}}"#),
    ] {
        for account in [&operator, &master] {
            account.expect_refused(what, "PATCH", &pod, change)?;
        }
    }
    for account in [&operator, &master] {
        account.expect_refused("deleting a pod", "DELETE", &pod, "")?;
        account.expect_refused("exec", "POST", &format!("{pod}/exec?command=x"), "")?;
        account.expect_refused("status", "PATCH", &format!("{pod}/status"), r#"{"status":{"phase":"Failed"}}"#)?;
        account.expect_refused("ephemeral", "PATCH", &format!("{pod}/ephemeralcontainers"), "{}")?;
        let token = r#"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}}"#;
        account.expect_refused("a token", "POST", &format!("{namespace}/serviceaccounts/default/token"), token)?;
        let any = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"any"}}"#;
        account.expect_refused("any ConfigMap", "POST", &format!("{namespace}/configmaps"), any)?;
        let secret = r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"any"}}"#;
        account.expect_refused("any Secret", "POST", &format!("{namespace}/secrets"), secret)?;
        account.expect_refused(
            "any Secret of the system",
            "POST",
            &format!("/api/v1/namespaces/{SYSTEM}/secrets"),
            secret,
        )?;
        account.expect_refused("nodes", "GET", "/api/v1/nodes", "")?;
        account.expect_refused("roles", "GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles", "")?;
    }
    let system = format!("/api/v1/namespaces/{SYSTEM}");
    for path in [
        format!("{namespace}/secrets"),
        format!("{namespace}/configmaps"),
        format!("{namespace}/pods"),
        format!("/apis/snmp-operator.dev/v1alpha1/namespaces/{}/snmpsubtrees", tenant.name()),
        format!("{system}/secrets/snmp-operator-ca"),
        format!("{system}/secrets/snmp-default"),
    ] {
        master.expect_refused(&path, "GET", &path, "")?;
    }
    Ok(())
}

#[test]
fn the_operator_may_change_only_the_data_of_writable_config_maps() -> Result<()> {
    let cluster = Cluster::shared()?;
    let tenant = Tenant::new(&cluster, "config-maps")?;
    let map = |name: &str, labels: &str| {
        let manifest = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, labels: {labels}}}\ndata: {{level: info}}\n"
        );
        tenant.namespace.apply(&manifest)
    };
    map("open", "{snmp-operator.dev/writable: 'true'}")?;
    map("closed", "{snmp-operator.dev/readable: 'true'}")?;
    let (operator, master) = (Account::new(&cluster, "snmp-operator")?, Account::new(&cluster, "snmp-master")?);
    let maps = format!("/api/v1/namespaces/{}/configmaps", tenant.name());
    let (open, closed) = (format!("{maps}/open"), format!("{maps}/closed"));
    let change = r#"{"data":{"level":"debug"}}"#;
    operator.expect_allowed("a value of a writable ConfigMap", "PATCH", &open, change)?;
    ensure!(tenant.namespace.get("configmap/open", "{.data.level}")? == "debug");
    operator.expect_refused("a value of another ConfigMap", "PATCH", &closed, change)?;
    let opening = r#"{"metadata":{"labels":{"snmp-operator.dev/writable":"true"}},"data":{"level":"debug"}}"#;
    operator.expect_refused("making a ConfigMap writable", "PATCH", &closed, opening)?;
    ensure!(tenant.namespace.get("configmap/closed", "{.data.level}")? == "info");
    for (what, change) in [
        ("a label", r#"{"metadata":{"labels":{"app":"evil"}}}"#),
        ("an annotation", r#"{"metadata":{"annotations":{"example.com/evil":"x"}}}"#),
        ("a finalizer", r#"{"metadata":{"finalizers":["example.com/evil"]}}"#),
        ("an owner", r#"{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"a","uid":"x"}]}}"#),
        ("binary data", r#"{"binaryData":{"evil":"eA=="}}"#),
        ("immutability", r#"{"immutable":true}"#),
    ] {
        operator.expect_refused(what, "PATCH", &open, change)?;
    }
    for account in [&operator, &master] {
        account.expect_refused("deleting a ConfigMap", "DELETE", &open, "")?;
        let any = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"any","labels":{"snmp-operator.dev/writable":"true"}}}"#;
        account.expect_refused("creating a ConfigMap", "POST", &maps, any)?;
    }
    master.expect_refused("the operator's permission", "PATCH", &open, change)?;
    master.expect_refused("reading a ConfigMap", "GET", &open, "")
}
