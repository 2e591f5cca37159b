//! Injection of sidecars, which must never prevent a pod from starting or completing.

use anyhow::{Result, ensure};
use harness::Cluster;

use crate::{
    installation, manifests,
    tenant::{Tenant, new_base},
};

#[test]
fn a_job_with_a_sidecar_completes() -> Result<()> {
    let cluster = Cluster::shared()?;
    let base = new_base();
    let tenant = Tenant::of_base(&cluster, "job", &base)?;
    tenant.apply(&manifests::subtree("web", &base, tenant.name()))?;
    tenant.apply(
        "
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec:
  template:
    metadata: {labels: {app: web}}
    spec:
      restartPolicy: Never
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      containers:
      - name: work
        image: localhost/test/tools:dev
        command: [/bin/echo, done]
        securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
",
    )?;
    cluster.wait_for("the Job to complete", || {
        let seen = tenant.namespace.kubectl(&["get", "job", "once", "--output=jsonpath={.status}"])?;
        ensure!(seen.contains(r#""succeeded":1"#), "{seen}");
        Ok(())
    })?;
    let sidecar = tenant.namespace.kubectl(&[
        "get",
        "pods",
        "--selector=job-name=once",
        "--output=jsonpath={.items[*].status.initContainerStatuses[?(@.name==\"snmp-sidecar\")].state.terminated.exitCode}",
    ])?;
    ensure!(sidecar == "0", "the sidecar ended with the exit code {sidecar}");
    Ok(())
}

#[test]
fn pods_opt_in_and_out_by_label_and_sidecars_are_restricted() -> Result<()> {
    let cluster = Cluster::shared()?;
    let base = new_base();
    let tenant = Tenant::of_base(&cluster, "opt", &base)?;
    tenant.apply(&manifests::subtree("web", &base, tenant.name()))?;
    let containers =
        |pod: &str| tenant.namespace.kubectl(&["get", "pod", pod, "--output=jsonpath={.spec.initContainers[*].name}"]);
    let labelled = |name: &str, labels: &str| manifests::lone_pod(name).replace("app: web", labels);
    // The first pods may be created before the operator has seen the subtree.
    cluster.wait_for("a pod with a sidecar", || {
        tenant.namespace.kubectl(&["delete", "pod", "selected", "--ignore-not-found", "--grace-period=1"])?;
        tenant.apply(&manifests::lone_pod("selected"))?;
        ensure!(containers("selected")? == "snmp-sidecar");
        Ok(())
    })?;
    tenant.apply(&labelled("out", "app: web, snmp-operator.dev/inject: 'false'"))?;
    ensure!(containers("out")?.is_empty(), "{}", containers("out")?);
    tenant.apply(&labelled("in", "app: other, snmp-operator.dev/inject: 'true'"))?;
    ensure!(containers("in")? == "snmp-sidecar", "{}", containers("in")?);
    tenant.apply(&labelled("none", "app: other"))?;
    ensure!(containers("none")?.is_empty(), "{}", containers("none")?);
    for pod in ["selected", "out", "in", "none"] {
        tenant.namespace.wait_for_pod(pod)?;
    }
    let uid = tenant.namespace.exec("selected", &["/prometheus-node-exporter", "--version"]);
    ensure!(uid.is_ok(), "{uid:?}");
    let security = tenant.namespace.get("pod/selected", "{.spec.initContainers[0].securityContext}")?;
    for part in [r#""readOnlyRootFilesystem":true"#, r#""drop":["ALL"]"#, r#""allowPrivilegeEscalation":false"#] {
        ensure!(security.contains(part), "{security}");
    }
    let probes = tenant.namespace.kubectl(&[
        "get",
        "pod",
        "selected",
        "--output=jsonpath={.spec.initContainers[0].readinessProbe}{.spec.initContainers[0].startupProbe}",
    ])?;
    ensure!(probes.is_empty(), "{probes}");
    Ok(())
}

#[test]
fn a_pod_created_while_the_webhook_is_down_starts_and_is_reported() -> Result<()> {
    let cluster = Cluster::alone()?;
    let base = new_base();
    let tenant = Tenant::of_base(&cluster, "webhook-down", &base)?;
    tenant.apply(&manifests::subtree("web", &base, tenant.name()))?;
    installation::scale_to_zero(&cluster, "operator")?;
    tenant.run_application(1)?;
    installation::scale_back(&cluster, "operator")?;
    let ready = tenant.wait_for_condition("web", "Ready", "False PodsNotInjected")?;
    ensure!(ready.contains("kubectl rollout restart"), "{ready}");
    let pods = tenant.namespace.get("snmpsubtree/web", "{.status.pods.matched} {.status.pods.injected}")?;
    ensure!(pods == "1 0", "{pods}");
    installation::wait_for_all(&cluster)?;
    tenant.restart_application()?;
    tenant.wait_for_walk("the values", &base, |rows| rows.len() == 3).map(drop)
}
