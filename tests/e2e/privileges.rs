//! What our ServiceAccounts cannot do, tried for real with their own tokens.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use harness::{Cluster, Sandbox, debian, run};

use crate::{installation::SYSTEM, manifests, tenant::Tenant};

/// Asks the API itself, as kubectl would need more rights for the same. Prints the status and what is said.
const ASK: &str = include_str!("ask_api.py");

/// One of our ServiceAccounts, with a token of its own.
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
        sandbox.write("ask.py", ASK)?;
        Ok(Self { cluster, sandbox, name })
    }

    /// The status of the answer, and what it says.
    fn ask(&self, method: &str, path: &str, body: &str) -> Result<(u16, String)> {
        let mut command = Command::new(debian("python3", "python3")?);
        let url = format!("{}{path}", self.cluster.api_server());
        command.arg(self.sandbox.path("ask.py")).args([method, &url, body]);
        command.arg(self.sandbox.path("ca.crt")).arg(self.sandbox.path("token"));
        let said = String::from_utf8_lossy(&run(&mut command)?.stdout).into_owned();
        let (status, said) = said.split_once('\n').context("no status")?;
        Ok((status.parse()?, said.to_owned()))
    }

    fn is_allowed(&self, what: &str, method: &str, path: &str, body: &str) -> Result<()> {
        let (status, said) = self.ask(method, path, body)?;
        ensure!((200..300).contains(&status), "{} may not: {what}: {status} {said}", self.name);
        Ok(())
    }

    fn is_refused(&self, what: &str, method: &str, path: &str, body: &str) -> Result<()> {
        let (status, said) = self.ask(method, path, body)?;
        let refused = status == 403 || said.contains("denied request");
        ensure!(refused, "{} may: {what}: {status} {said}", self.name);
        Ok(())
    }
}

#[test]
fn the_operator_may_touch_its_annotations_of_a_pod_and_nothing_else() -> Result<()> {
    let cluster = Cluster::shared()?;
    let tenant = Tenant::new(&cluster, "privileges")?;
    tenant.apply(&manifests::lone_pod("victim"))?;
    let namespace = format!("/api/v1/namespaces/{}", tenant.name());
    let pod = format!("{namespace}/pods/victim");
    let (operator, master) = (Account::new(&cluster, "snmp-operator")?, Account::new(&cluster, "snmp-master")?);
    let own = r#"{"metadata":{"annotations":{"snmp-operator.dev/configuration":"x"}}}"#;
    operator.is_allowed("its annotation", "PATCH", &pod, own)?;
    master.is_refused("the operator's annotation", "PATCH", &pod, own)?;
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
    ] {
        for account in [&operator, &master] {
            account.is_refused(what, "PATCH", &pod, change)?;
        }
    }
    for account in [&operator, &master] {
        account.is_refused("deleting a pod", "DELETE", &pod, "")?;
        account.is_refused("exec", "POST", &format!("{pod}/exec?command=x"), "")?;
        account.is_refused("status", "PATCH", &format!("{pod}/status"), r#"{"status":{"phase":"Failed"}}"#)?;
        account.is_refused("ephemeral", "PATCH", &format!("{pod}/ephemeralcontainers"), "{}")?;
        let token = r#"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}}"#;
        account.is_refused("a token", "POST", &format!("{namespace}/serviceaccounts/default/token"), token)?;
        let any = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"any"}}"#;
        account.is_refused("any ConfigMap", "POST", &format!("{namespace}/configmaps"), any)?;
        let secret = r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"any"}}"#;
        account.is_refused("any Secret", "POST", &format!("{namespace}/secrets"), secret)?;
        account.is_refused(
            "any Secret of the system",
            "POST",
            &format!("/api/v1/namespaces/{SYSTEM}/secrets"),
            secret,
        )?;
        account.is_refused("nodes", "GET", "/api/v1/nodes", "")?;
        account.is_refused("roles", "GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles", "")?;
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
        master.is_refused(&path, "GET", &path, "")?;
    }
    Ok(())
}

#[test]
fn the_operator_may_change_data_of_config_maps_that_say_so_and_nothing_else() -> Result<()> {
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
    operator.is_allowed("a value of one that says so", "PATCH", &open, change)?;
    ensure!(tenant.namespace.get("configmap/open", "{.data.level}")? == "debug");
    operator.is_refused("a value of one that does not", "PATCH", &closed, change)?;
    let opening = r#"{"metadata":{"labels":{"snmp-operator.dev/writable":"true"}},"data":{"level":"debug"}}"#;
    operator.is_refused("to say so itself", "PATCH", &closed, opening)?;
    ensure!(tenant.namespace.get("configmap/closed", "{.data.level}")? == "info");
    for (what, change) in [
        ("a label", r#"{"metadata":{"labels":{"app":"evil"}}}"#),
        ("an annotation", r#"{"metadata":{"annotations":{"example.com/evil":"x"}}}"#),
        ("a finalizer", r#"{"metadata":{"finalizers":["example.com/evil"]}}"#),
        ("an owner", r#"{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"a","uid":"x"}]}}"#),
        ("binary data", r#"{"binaryData":{"evil":"eA=="}}"#),
        ("immutability", r#"{"immutable":true}"#),
    ] {
        operator.is_refused(what, "PATCH", &open, change)?;
    }
    for account in [&operator, &master] {
        account.is_refused("deleting one", "DELETE", &open, "")?;
        let any = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"any","labels":{"snmp-operator.dev/writable":"true"}}}"#;
        account.is_refused("making one", "POST", &maps, any)?;
    }
    master.is_refused("the operator's right", "PATCH", &open, change)?;
    master.is_refused("reading one", "GET", &open, "")
}
