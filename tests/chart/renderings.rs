//! Snapshots of the rendered chart: the complete rendering of the defaults, and the differences for other values.

use anyhow::Result;
use rstest::rstest;

use crate::helm::{difference, lint, objects, template};

/// The CRDs are tested in `generated`.
const NO_CRDS: &str = "crds.enabled=false";

#[test]
fn the_default_rendering() -> Result<()> {
    insta::assert_snapshot!(template(&["--set", NO_CRDS])?);
    Ok(())
}

#[rstest]
#[case("cert_manager", &["certificates.mode=cert-manager"])]
#[case("cert_manager_with_an_issuer", &["certificates.mode=cert-manager", "certificates.certManager.issuerRef.kind=ClusterIssuer", "certificates.certManager.issuerRef.name=internal"])]
#[case("given_certificates", &["certificates.mode=given", "certificates.caBundle=-----BEGIN CERTIFICATE-----"])]
#[case("some_namespaces", &["watchNamespaces={acme,globex}", "webhook.excludedNamespaces={tools}"])]
#[case("no_secrets", &["secrets.read=false"])]
#[case("writes", &["writes.enabled=true"])]
#[case("no_default_context", &["defaultContext.enabled=false"])]
#[case("load_balancer", &[
    "master.service.type=LoadBalancer", "master.service.loadBalancerIP=192.0.2.1", "master.service.loadBalancerClass=example.com/lb",
    "master.service.loadBalancerSourceRanges={192.0.2.0/24}", "master.service.annotations.a=b",
])]
#[case("node_port", &["master.service.type=NodePort", "master.service.nodePort=30161", "master.service.externalTrafficPolicy=Cluster"])]
#[case("dual_stack", &["listenAddress=[::]", "master.service.ipFamilyPolicy=PreferDualStack", "master.service.ipFamilies={IPv6,IPv4}"])]
#[case("foreign_subagents", &[
    "master.foreignSubagents.unix.enabled=true", "master.foreignSubagents.tcp.enabled=true",
    "master.foreignSubagents.tcp.from[0].podSelector.matchLabels.app=router",
    "master.extraContainers[0].name=subagent", "master.extraVolumes[0].name=more",
])]
#[case("closed_network", &[
    "networkPolicy.snmpFrom[0].ipBlock.cidr=192.0.2.0/24",
    "networkPolicy.agentxFrom[0].namespaceSelector.matchLabels.snmp=yes", "networkPolicy.metricsFrom[0].podSelector.matchLabels.app=prometheus",
    "writes.enabled=true", "networkPolicy.writesFrom[0].namespaceSelector.matchLabels.snmp=yes",
])]
#[case("service_monitor", &["serviceMonitor.enabled=true", "serviceMonitor.interval=30s", "serviceMonitor.labels.team=noc"])]
#[case("one_of_each_and_little_else", &[
    "operator.replicas=1", "master.replicas=1", "networkPolicy.enabled=false", "image.registry=", "clusterDomain=example.org",
])]
#[case("placed", &[
    "operator.priorityClassName=high", "operator.nodeSelector.disk=ssd", "operator.tolerations[0].operator=Exists",
    "operator.affinity.nodeAffinity.a=b", "operator.topologySpreadConstraints[0].maxSkew=2", "operator.podAnnotations.a=b",
    "operator.podLabels.c=d", "operator.serviceAccountAnnotations.e=f", "operator.extraArgs={--one}", "operator.extraEnv[0].name=ONE",
    "master.priorityClassName=higher", "master.extraArgs={--two}", "master.extraEnv[0].name=TWO", "image.pullSecrets={pull}",
    "master.image.digest=sha256:0000000000000000000000000000000000000000000000000000000000000000", "operator.image.tag=dev",
])]
fn another_rendering(#[case] name: &str, #[case] values: &[&str]) -> Result<()> {
    let values = [&[NO_CRDS], values].concat();
    lint(&values)?;
    insta::assert_snapshot!(name, difference(&objects(&[NO_CRDS])?, &objects(&values)?));
    Ok(())
}

#[rstest]
#[case("cluster_ip", &[])]
#[case("load_balancer", &["master.service.type=LoadBalancer"])]
#[case("node_port", &["master.service.type=NodePort", "defaultContext.enabled=false", "secrets.read=false", "certificates.mode=given", "certificates.caBundle=-----BEGIN CERTIFICATE-----"])]
fn the_notes(#[case] name: &str, #[case] values: &[&str]) -> Result<()> {
    insta::assert_snapshot!(format!("notes_{name}"), crate::helm::notes(values)?);
    Ok(())
}
