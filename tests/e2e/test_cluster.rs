//! The test cluster itself: the features of Kubernetes that the other tests rely on.

use anyhow::{Result, ensure};
use harness::{
    Cluster, ClusterKind, Component,
    cluster::{NODE_EXPORTER_IMAGE, TOOLS_IMAGE},
    run,
};
use serde_json::{Value, json};

/// Returns a pod that runs this command in the image with tools, and that Pod Security `restricted` admits.
pub(crate) fn tools_pod(name: &str, command: &[&str]) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name, "labels": { "app": name } },
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [tools_container("tools", command)],
        },
    })
}

fn tools_container(name: &str, command: &[&str]) -> Value {
    json!({
        "name": name,
        "image": TOOLS_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
    })
}

fn service(name: &str, port: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": name },
        "spec": { "type": "LoadBalancer", "selector": { "app": name }, "ports": [port] },
    })
}

#[test]
fn a_pod_reaches_another_pod_by_the_name_of_its_service() -> Result<()> {
    let cluster = Cluster::shared()?;
    let namespace = cluster.namespace("names")?;
    let mut web = tools_pod("web", &[]);
    web["spec"]["containers"] = json!([{
        "name": "exporter",
        "image": NODE_EXPORTER_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "readinessProbe": { "httpGet": { "port": 9100, "path": "/" }, "periodSeconds": 1 },
    }]);
    namespace.apply(&web.to_string())?;
    namespace.apply(&service("web", &json!({ "port": 80, "targetPort": 9100 })).to_string())?;
    namespace.apply(&tools_pod("client", &["sleep", "1000000"]).to_string())?;
    namespace.wait_for_pod("web")?;
    namespace.wait_for_pod("client")?;
    for host in ["web".to_owned(), format!("web.{}.svc.cluster.local", namespace.name())] {
        let page = cluster.wait_for("a page", || {
            namespace.exec("client", &["wget", "-q", "-O", "-", &format!("http://{host}/metrics")])
        })?;
        assert!(page.contains("node_memory_MemTotal_bytes"), "{host}: {page}");
    }
    let log = namespace.kubectl(&["logs", "web"])?;
    assert!(log.contains("Listening on"), "{log}");
    let unknown = namespace.exec("client", &["nslookup", "nowhere.example"]).expect_err("the name does not exist");
    assert!(format!("{unknown:#}").contains("NXDOMAIN"), "{unknown:#}");
    Ok(())
}

#[test]
fn the_nms_reaches_a_udp_service_at_each_of_its_addresses() -> Result<()> {
    let cluster = Cluster::shared()?;
    let namespace = cluster.namespace("udp")?;
    namespace.apply(&tools_pod("echo", &["socat", "UDP4-LISTEN:1161,fork", "PIPE"]).to_string())?;
    namespace.apply(&service("echo", &json!({ "port": 161, "targetPort": 1161, "protocol": "UDP" })).to_string())?;
    cluster.assign_load_balancer(namespace.name(), "echo", "192.168.214.1")?;
    namespace.wait_for_pod("echo")?;
    let addresses = [
        format!("{}:{}", cluster.node_address(), namespace.get("service/echo", "{.spec.ports[0].nodePort}")?),
        format!("{}:161", namespace.get("service/echo", "{.spec.clusterIP}")?),
        format!("{}:161", namespace.get("service/echo", "{.status.loadBalancer.ingress[0].ip}")?),
        format!("{}:1161", namespace.get("pod/echo", "{.status.podIP}")?),
    ];
    for address in addresses {
        cluster.wait_for(&format!("a response from {address}"), || echoed(&cluster, &address))?;
    }
    Ok(())
}

fn echoed(cluster: &Cluster, address: &str) -> Result<()> {
    let mut command = cluster.nms_command("sh");
    let output = run(command.args(["-c", "echo hello | socat -t 1 - \"UDP4:$1\"", "sh", address]))?;
    ensure!(output.stdout == b"hello\n", "{:?}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}

#[test]
fn a_native_sidecar_runs_before_the_application_and_ends_with_it() -> Result<()> {
    let cluster = Cluster::shared()?;
    let namespace = cluster.namespace("sidecar")?;
    let mut pod = tools_pod("job", &["wget", "-q", "-O", "-", "http://127.0.0.1:8080/passwd"]);
    pod["spec"]["restartPolicy"] = json!("Never");
    let mut sidecar = tools_container("sidecar", &["httpd", "-f", "-p", "8080", "-h", "/etc"]);
    sidecar["restartPolicy"] = json!("Always");
    sidecar["startupProbe"] = json!({ "httpGet": { "port": 8080, "path": "/passwd" }, "periodSeconds": 1 });
    pod["spec"]["initContainers"] = json!([sidecar]);
    namespace.apply(&pod.to_string())?;
    cluster.wait_for("the pod to succeed", || {
        let phase = namespace.get("pod/job", "{.status.phase}")?;
        ensure!(phase == "Succeeded", "{phase}");
        Ok(())
    })?;
    let page = namespace.kubectl(&["logs", "job", "--container=tools"])?;
    assert!(page.contains("nonroot"), "{page}");
    Ok(())
}

#[test]
fn a_token_of_a_pod_is_authenticated_only_for_its_audience() -> Result<()> {
    let cluster = Cluster::shared()?;
    let namespace = cluster.namespace("tokens")?;
    let mut pod = tools_pod("holder", &["sleep", "1000000"]);
    pod["spec"]["volumes"] = json!([{ "name": "token", "projected": { "sources": [
        { "serviceAccountToken": { "audience": "snmp-operator.dev", "expirationSeconds": 3600, "path": "token" } },
    ] } }]);
    pod["spec"]["containers"][0]["volumeMounts"] = json!([{ "name": "token", "mountPath": "/token" }]);
    namespace.apply(&pod.to_string())?;
    namespace.wait_for_pod("holder")?;
    let token = namespace.exec("holder", &["cat", "/token/token"])?;

    let accepted = review(&cluster, &token, "snmp-operator.dev")?;
    assert_eq!(accepted["authenticated"], true, "{}", accepted["error"]);
    assert_eq!(accepted["audiences"], json!(["snmp-operator.dev"]));
    assert_eq!(accepted["user"]["username"], format!("system:serviceaccount:{}:default", namespace.name()));
    assert_eq!(accepted["user"]["extra"]["authentication.kubernetes.io/pod-name"], json!(["holder"]));
    let uid = namespace.get("pod/holder", "{.metadata.uid}")?;
    assert_eq!(accepted["user"]["extra"]["authentication.kubernetes.io/pod-uid"], json!([uid]));

    let refused = review(&cluster, &token, "another")?;
    assert_ne!(refused["authenticated"], true);
    Ok(())
}

/// Creates a TokenReview and returns its status.
fn review(cluster: &Cluster, token: &str, audience: &str) -> Result<Value> {
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": { "token": token, "audiences": [audience] },
    });
    let answer = cluster.kubectl_with(&["create", "--filename=-", "--output=json"], &request.to_string())?;
    let mut answer: Value = serde_json::from_str(&answer)?;
    Ok(answer["status"].take())
}

#[test]
fn pod_security_restricted_refuses_privileged_pods() -> Result<()> {
    let cluster = Cluster::shared()?;
    let restricted = [("pod-security.kubernetes.io/enforce", "restricted")];
    let namespace = cluster.namespace_with("restricted", &restricted)?;
    let mut pod = tools_pod("kept", &["sleep", "1000000"]);
    namespace.apply(&pod.to_string())?;
    pod["metadata"]["name"] = json!("refused");
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = json!(true);
    let error = namespace.apply(&pod.to_string()).expect_err("the pod allows privilege escalation");
    assert!(format!("{error:#}").contains("violates PodSecurity \"restricted:latest\""), "{error:#}");
    namespace.wait_for_pod("kept")
}

#[test]
fn a_validating_admission_policy_refuses_violations() -> Result<()> {
    let cluster = Cluster::shared()?;
    let namespace = cluster.namespace("policy")?;
    let name = namespace.name();
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": { "name": name },
        "spec": {
            "matchConstraints": {
                "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": name } },
                "resourceRules": [{ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"] }],
            },
            "validations": [{ "expression": "object.metadata.name != 'forbidden'", "message": "not this one" }],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": { "name": name },
        "spec": { "policyName": name, "validationActions": ["Deny"] },
    });
    cluster.apply(&policy.to_string())?;
    cluster.apply(&binding.to_string())?;
    let outcome = cluster.wait_for("the policy to take effect", || {
        let dry = ["create", "configmap", "forbidden", "--dry-run=server"];
        let error = namespace.kubectl(&dry).err();
        error.ok_or_else(|| anyhow::anyhow!("the ConfigMap was admitted"))
    });
    for kind in ["validatingadmissionpolicybinding", "validatingadmissionpolicy"] {
        cluster.kubectl(&["delete", kind, name])?;
    }
    let error = outcome?;
    assert!(format!("{error:#}").contains("not this one"), "{error:#}");
    Ok(())
}

#[test]
fn port_forward_reaches_a_pod() -> Result<()> {
    let cluster = Cluster::shared()?;
    let namespace = cluster.namespace("forward")?;
    namespace.apply(&tools_pod("web", &["httpd", "-f", "-p", "8080", "-h", "/etc"]).to_string())?;
    namespace.wait_for_pod("web")?;
    let sandbox = harness::Sandbox::new()?;
    let port = harness::free_port()?;
    let mut forward = cluster.kubectl_command()?;
    forward.args(["port-forward", "--namespace", namespace.name(), "pod/web", &format!("{port}:8080")]);
    let _forward = sandbox.start("port-forward", &forward)?;
    let page = sandbox.wait_for("a page", || harness::http::get(port, "/passwd"))?;
    assert!(page.contains("nonroot"), "{page}");
    Ok(())
}

#[test]
fn a_second_cluster_runs_beside_this_one_and_leaves_nothing_behind() -> Result<()> {
    let name = format!("beside-{}", std::process::id());
    let outcome = Cluster::start(&name, ClusterKind::ControlPlane).and_then(|cluster| {
        cluster.kubectl(&["create", "configmap", "one", "--namespace=default"])?;
        // A cluster without etcd can also be removed.
        cluster.kill(Component::Etcd)
    });
    // This returns an error if anything is left.
    Cluster::remove(&name, false)?;
    outcome?;
    Cluster::named(&name).expect_err("the cluster is removed");
    Ok(())
}
