//! What programs of the chart may do: no verb to spare, and restricted pods.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use rstest::rstest;
use serde_json::Value as Json;

use crate::helm::{find, id, objects};

const ALL: &[&str] = &["certificates.mode=operator", "watchNamespaces={acme}", "serviceMonitor.enabled=true"];

fn texts(json: &Json) -> BTreeSet<&str> {
    json.as_array().into_iter().flatten().filter_map(Json::as_str).collect()
}

/// Every rule of a role, with the role's name.
fn rules(objects: &[Json]) -> impl Iterator<Item = (String, &Json)> {
    let roles = objects.iter().filter(|object| ["Role", "ClusterRole"].map(Json::from).contains(&object["kind"]));
    roles.flat_map(|role| role["rules"].as_array().into_iter().flatten().map(move |rule| (id(role), rule)))
}

#[rstest]
fn no_role_has_a_wildcard_or_a_way_to_more(#[values(&[], ALL)] values: &[&str]) -> Result<()> {
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

/// Verbs on Secrets without a name, by role.
fn on_all_secrets(objects: &[Json]) -> Vec<(String, String)> {
    on_all(objects, "secrets")
}

/// Verbs on all of a resource, by role.
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
fn secrets_of_tenants_are_readable_only_while_that_is_on() -> Result<()> {
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
fn config_maps_of_tenants_are_changed_only_while_that_is_on() -> Result<()> {
    let verbs = |values: &[&str]| -> Result<BTreeSet<String>> {
        Ok(on_all(&objects(values)?, "configmaps").into_iter().map(|(_, verb)| verb).collect())
    };
    let expected = |verbs: &[&str]| verbs.iter().map(|verb| (*verb).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(verbs(&["secrets.read=false"])?, expected(&[]));
    assert_eq!(verbs(&[])?, expected(&["list", "watch"]));
    assert_eq!(verbs(&["writes.enabled=true", "secrets.read=false"])?, expected(&["get", "patch"]));
    assert_eq!(verbs(&["writes.enabled=true"])?, expected(&["get", "list", "patch", "watch"]));
    // Whoever may patch any is kept by a policy to those that say so.
    let all = objects(&["writes.enabled=true"])?;
    let policy = find(&all, "ValidatingAdmissionPolicy", "snmp-operator-config-maps")?;
    assert_eq!(policy["spec"]["failurePolicy"], "Fail");
    let binding = find(&all, "ValidatingAdmissionPolicyBinding", "snmp-operator-config-maps")?;
    assert_eq!(binding["spec"]["validationActions"], serde_json::json!(["Deny"]));
    Ok(())
}

#[test]
fn in_some_namespaces_alone_no_cluster_role_reaches_tenants() -> Result<()> {
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

/// The pod templates of an object.
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
        // Such a variable of a Service would be read as a flag of the programs.
        assert_eq!(spec["enableServiceLinks"], false, "{id}");
    }
    assert_eq!(seen, 3);
    Ok(())
}

#[test]
fn webhooks_keep_no_pod_from_starting_and_leave_the_bundle_to_the_operator() -> Result<()> {
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
        // With the field, be it empty, an upgrade would take the operator's bundle away.
        assert!(webhook["clientConfig"].get("caBundle").is_none(), "{webhook}");
        assert_eq!(webhook["sideEffects"], "None");
    }
    Ok(())
}
