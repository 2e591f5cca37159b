//! The privileges of the chart: its roles, policies and webhooks, and the security contexts of its pods.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use rstest::rstest;
use serde_json::Value as Json;

use crate::helm::{find, id, objects};

const ALL: &[&str] = &["certificates.mode=operator", "watchNamespaces={acme}", "serviceMonitor.enabled=true"];

fn texts(json: &Json) -> BTreeSet<&str> {
    json.as_array().into_iter().flatten().filter_map(Json::as_str).collect()
}

/// Returns every rule of every role, with the role.
fn rules(objects: &[Json]) -> impl Iterator<Item = (String, &Json)> {
    let roles = objects.iter().filter(|object| ["Role", "ClusterRole"].map(Json::from).contains(&object["kind"]));
    roles.flat_map(|role| role["rules"].as_array().into_iter().flatten().map(move |rule| (id(role), rule)))
}

#[rstest]
fn no_role_has_a_wildcard_or_permits_privilege_escalation(#[values(&[], ALL)] values: &[&str]) -> Result<()> {
    let never = ["*", "escalate", "bind", "impersonate", "deletecollection"];
    let resources =
        ["*", "pods/exec", "serviceaccounts", "serviceaccounts/token", "roles", "clusterroles", "nodes/proxy"];
    for (role, rule) in rules(&objects(values)?) {
        let (verbs, of) = (texts(&rule["verbs"]), texts(&rule["resources"]));
        assert!(never.iter().all(|verb| !verbs.contains(verb)), "{role}: {rule}");
        assert!(resources.iter().all(|resource| !of.contains(resource)), "{role}: {rule}");
        assert!(!texts(&rule["apiGroups"]).contains("*"), "{role}: {rule}");
    }
    Ok(())
}

/// Returns the verbs on all Secrets, by role.
fn on_all_secrets(objects: &[Json]) -> Vec<(String, String)> {
    on_all(objects, "secrets")
}

/// Returns the verbs on all objects of a resource, by role.
fn on_all(objects: &[Json], resource: &str) -> Vec<(String, String)> {
    rules(objects)
        .filter(|(_, rule)| texts(&rule["resources"]).contains(resource) && rule["resourceNames"].is_null())
        .flat_map(|(role, rule)| {
            let role = role.rsplit(' ').next().unwrap_or_default().to_owned();
            texts(&rule["verbs"]).into_iter().map(move |verb| (role.clone(), verb.to_owned())).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn the_operator_can_read_secrets_of_tenants_only_if_it_is_enabled() -> Result<()> {
    let own =
        ["create", "get", "list", "watch"].map(|verb| ("snmp-system/snmp-operator-system".to_owned(), verb.to_owned()));
    let tenants = |role: &str| ["list", "watch"].map(|verb| (role.to_owned(), verb.to_owned()));
    let sorted = |mut found: Vec<_>| {
        found.sort();
        found
    };
    assert_eq!(sorted(on_all_secrets(&objects(&["secrets.read=false"])?)), own);
    assert_eq!(sorted(on_all_secrets(&objects(&[])?)), [&tenants("snmp-operator")[..], &own].concat());
    let some = on_all_secrets(&objects(&["watchNamespaces={acme,globex}"])?);
    let expected = [&tenants("acme/snmp-operator")[..], &tenants("globex/snmp-operator"), &own].concat();
    assert_eq!(sorted(some), expected);
    Ok(())
}

#[test]
fn the_operator_can_change_config_maps_of_tenants_only_if_it_is_enabled() -> Result<()> {
    let verbs = |values: &[&str]| -> Result<BTreeSet<String>> {
        Ok(on_all(&objects(values)?, "configmaps").into_iter().map(|(_, verb)| verb).collect())
    };
    let expected = |verbs: &[&str]| verbs.iter().map(|verb| (*verb).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(verbs(&["secrets.read=false"])?, expected(&[]));
    assert_eq!(verbs(&[])?, expected(&["list", "watch"]));
    assert_eq!(verbs(&["writes.enabled=true", "secrets.read=false"])?, expected(&["get", "patch"]));
    assert_eq!(verbs(&["writes.enabled=true"])?, expected(&["get", "list", "patch", "watch"]));
    // The role permits patches of all ConfigMaps, and an admission policy restricts them to those with the label.
    let all = objects(&["writes.enabled=true"])?;
    let policy = find(&all, "ValidatingAdmissionPolicy", "snmp-operator-config-maps")?;
    assert_eq!(policy["spec"]["failurePolicy"], "Fail");
    let binding = find(&all, "ValidatingAdmissionPolicyBinding", "snmp-operator-config-maps")?;
    assert_eq!(binding["spec"]["validationActions"], serde_json::json!(["Deny"]));
    Ok(())
}

#[test]
fn with_watch_namespaces_no_cluster_role_applies_to_tenants() -> Result<()> {
    let objects = objects(&["watchNamespaces={acme}"])?;
    let role = find(&objects, "ClusterRole", "snmp-operator")?;
    let resources: BTreeSet<_> =
        role["rules"].as_array().context("rules")?.iter().flat_map(|rule| texts(&rule["resources"])).collect();
    let cluster = [
        "mutatingwebhookconfigurations",
        "namespaces",
        "snmpcontexts",
        "snmpcontexts/status",
        "validatingwebhookconfigurations",
    ];
    assert_eq!(resources, BTreeSet::from(cluster));
    Ok(())
}

/// Returns the pod templates of all objects.
fn pods(objects: &[Json]) -> impl Iterator<Item = (String, &Json)> {
    objects.iter().filter_map(|object| {
        let spec = object.pointer(if object["kind"] == "Pod" { "/spec" } else { "/spec/template/spec" })?;
        Some((id(object), spec))
    })
}

#[test]
fn every_pod_is_restricted_and_read_only() -> Result<()> {
    let objects = objects(&[])?;
    let mut seen = 0;
    for (id, spec) in pods(&objects) {
        seen += 1;
        let security = &spec["securityContext"];
        assert_eq!(security["runAsNonRoot"], true, "{id}");
        assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault", "{id}");
        for host in ["hostNetwork", "hostPID", "hostIPC"] {
            assert!(spec[host].is_null(), "{id} {host}");
        }
        for volume in spec["volumes"].as_array().into_iter().flatten() {
            assert!(volume["hostPath"].is_null(), "{id}: {volume}");
        }
        for container in spec["containers"].as_array().context("containers")? {
            let security = &container["securityContext"];
            assert_eq!(security["allowPrivilegeEscalation"], false, "{id}");
            assert_eq!(security["capabilities"]["drop"], serde_json::json!(["ALL"]), "{id}");
            assert_eq!(security["readOnlyRootFilesystem"], true, "{id}");
            assert!(container["resources"]["limits"]["memory"].is_string(), "{id}");
            assert!(container["ports"].as_array().into_iter().flatten().all(|port| port["hostPort"].is_null()), "{id}");
        }
        // The programs would read the environment variables of a Service as flags.
        assert_eq!(spec["enableServiceLinks"], false, "{id}");
    }
    assert_eq!(seen, 3);
    Ok(())
}

#[test]
fn webhooks_do_not_block_pods_and_leave_the_ca_bundle_to_the_operator() -> Result<()> {
    let objects = objects(&[])?;
    let inject = &find(&objects, "MutatingWebhookConfiguration", "snmp-operator")?["webhooks"][0];
    assert_eq!((&inject["failurePolicy"], &inject["timeoutSeconds"]), (&"Ignore".into(), &5.into()));
    assert_eq!(
        texts(&inject["namespaceSelector"]["matchExpressions"][0]["values"]),
        BTreeSet::from(["kube-system", "snmp-system"])
    );
    let validate = &find(&objects, "ValidatingWebhookConfiguration", "snmp-operator")?["webhooks"][0];
    assert_eq!(validate["failurePolicy"], "Fail");
    for webhook in [inject, validate] {
        // If the field existed, even empty, an upgrade would remove the operator's bundle.
        assert!(webhook["clientConfig"].get("caBundle").is_none(), "{webhook}");
        assert_eq!(webhook["sideEffects"], "None");
    }
    Ok(())
}
