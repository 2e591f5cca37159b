//! The rendered objects, compared with the types of the Kubernetes API: no field may be unknown.

use anyhow::{Context as _, Result, bail};
use k8s_openapi::{
    api::{
        admissionregistration::v1::{
            MutatingWebhookConfiguration, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
            ValidatingWebhookConfiguration,
        },
        apps::v1::{Deployment, StatefulSet},
        coordination::v1::Lease,
        core::v1::{Pod, Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
        rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use rstest::rstest;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value as Json;

use crate::helm::{id, leaves, objects};

fn through<T: Serialize + DeserializeOwned>(object: &Json) -> Result<Json> {
    Ok(serde_json::to_value(serde_json::from_value::<T>(object.clone())?)?)
}

/// Converts an object to its type and back, which drops unknown fields. Kinds of other projects stay unchanged.
fn typed(object: &Json) -> Result<Json> {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    match (text("apiVersion"), text("kind")) {
        ("v1", "Pod") => through::<Pod>(object),
        ("v1", "Service") => through::<Service>(object),
        ("v1", "ServiceAccount") => through::<ServiceAccount>(object),
        ("apps/v1", "Deployment") => through::<Deployment>(object),
        ("apps/v1", "StatefulSet") => through::<StatefulSet>(object),
        ("coordination.k8s.io/v1", "Lease") => through::<Lease>(object),
        ("networking.k8s.io/v1", "NetworkPolicy") => through::<NetworkPolicy>(object),
        ("policy/v1", "PodDisruptionBudget") => through::<PodDisruptionBudget>(object),
        ("rbac.authorization.k8s.io/v1", "ClusterRole") => through::<ClusterRole>(object),
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding") => through::<ClusterRoleBinding>(object),
        ("rbac.authorization.k8s.io/v1", "Role") => through::<Role>(object),
        ("rbac.authorization.k8s.io/v1", "RoleBinding") => through::<RoleBinding>(object),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition") => through::<CustomResourceDefinition>(object),
        ("admissionregistration.k8s.io/v1", kind) => match kind {
            "MutatingWebhookConfiguration" => through::<MutatingWebhookConfiguration>(object),
            "ValidatingWebhookConfiguration" => through::<ValidatingWebhookConfiguration>(object),
            "ValidatingAdmissionPolicy" => through::<ValidatingAdmissionPolicy>(object),
            "ValidatingAdmissionPolicyBinding" => through::<ValidatingAdmissionPolicyBinding>(object),
            _ => bail!("no such kind"),
        },
        ("cert-manager.io/v1", "Issuer" | "Certificate") | ("monitoring.coreos.com/v1", "ServiceMonitor") => {
            Ok(object.clone())
        }
        _ => bail!("no such kind"),
    }
}

#[rstest]
#[case(&[])]
#[case(&["certificates.mode=cert-manager", "serviceMonitor.enabled=true", "watchNamespaces={acme}"])]
#[case(&[
    "master.service.type=LoadBalancer", "master.service.nodePort=30161", "master.service.loadBalancerIP=192.0.2.1",
    "master.service.loadBalancerClass=example.com/lb", "master.service.loadBalancerSourceRanges={192.0.2.0/24}",
    "master.service.ipFamilyPolicy=PreferDualStack", "master.service.ipFamilies={IPv6,IPv4}", "master.service.clusterIP=192.0.2.2",
    "master.foreignSubagents.unix.enabled=true", "master.foreignSubagents.tcp.enabled=true",
    "master.foreignSubagents.tcp.from[0].podSelector.matchLabels.app=router", "networkPolicy.snmpFrom[0].ipBlock.cidr=192.0.2.0/24",
    "image.pullSecrets={pull}", "operator.priorityClassName=high", "operator.nodeSelector.disk=ssd",
    "operator.tolerations[0].operator=Exists", "certificates.mode=given", "certificates.caBundle=-----BEGIN CERTIFICATE-----",
])]
fn no_field_of_an_object_is_unknown_to_its_type(#[case] values: &[&str]) -> Result<()> {
    let mut lost = Vec::new();
    for object in objects(values)? {
        let id = id(&object);
        let kept = leaves(&typed(&object).with_context(|| id.clone())?);
        for (path, value) in leaves(&object) {
            let empty = value.as_object().is_some_and(serde_json::Map::is_empty);
            if kept.get(&path) != Some(&value) && !empty {
                lost.push(format!("{id} {path}: {value} is {:?}", kept.get(&path)));
            }
        }
    }
    assert!(lost.is_empty(), "{}", lost.join("\n"));
    Ok(())
}

#[test]
fn the_conversion_drops_an_unknown_field() -> Result<()> {
    let object =
        serde_json::json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"typo": 1}});
    assert!(!leaves(&typed(&object)?).contains_key(".spec.typo"));
    Ok(())
}

#[test]
fn exactly_the_namespaced_objects_have_a_namespace() -> Result<()> {
    let cluster = ["ClusterRole", "CustomResourceDefinition", "ValidatingAdmissionPolicy", "WebhookConfiguration"];
    for object in objects(&["watchNamespaces={acme}"])? {
        let kind = object["kind"].as_str().unwrap_or_default();
        let is_cluster = cluster.iter().any(|of| kind.contains(of));
        assert_eq!(object["metadata"]["namespace"].is_null(), is_cluster, "{}", id(&object));
    }
    Ok(())
}
