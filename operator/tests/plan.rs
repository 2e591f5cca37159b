//! Plans of objects that are hard to express as manifests.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests may fail as tests do")]

use std::sync::Arc;

use master_config::{Document, Listeners};
use operator::plan::{self, Delivery, Objects, Plan, Reason, Secrets, Settings};
use serde_json::{Value as Json, json};

/// Plans for files, as `render` does.
fn plan(objects: &Objects, settings: &Settings) -> Plan {
    plan::plan(objects, settings, &Delivery::Files { listeners: Listeners::default() })
}

/// Plans for a cluster, as the controllers do.
fn plan_cluster(objects: &Objects, settings: &Settings) -> Plan {
    plan::plan(objects, settings, &Delivery::Cluster { listeners: Listeners::default(), reserved: 0 })
}

/// Returns the configuration of the masters as one document.
fn master(plan: &Plan) -> Document {
    let mut documents = plan.master.as_ref().unwrap().iter().cloned();
    documents.next().unwrap().join(documents)
}

fn subtree(name: &str, oid: &str, created: Option<&str>, scalars: &Json) -> Arc<crds::SnmpSubtree> {
    let metadata = json!({"name": name, "namespace": "acme", "creationTimestamp": created});
    let spec = json!({"oid": oid, "selector": {}, "scalars": scalars});
    let object =
        json!({"apiVersion": "snmp-operator.dev/v1alpha1", "kind": "SnmpSubtree", "metadata": metadata, "spec": spec});
    Arc::new(serde_json::from_value(object).unwrap())
}

fn one() -> Json {
    json!([{"name": "one", "oid": "1", "syntax": "OctetString", "value": {"constant": "1"}}])
}

fn context(name: &str, spec: &Json) -> Arc<crds::SnmpContext> {
    let object = json!({"apiVersion": "snmp-operator.dev/v1alpha1", "kind": "SnmpContext", "metadata": {"name": name}, "spec": spec});
    Arc::new(serde_json::from_value(object).unwrap())
}

#[test]
fn the_oldest_subtree_holds_the_oids_and_one_without_a_creation_time_is_the_youngest() {
    let old = subtree("old", "1.3.6.1.4.1.9.1.1", Some("2026-01-01T00:00:00Z"), &one());
    let young = subtree("young", "1.3.6.1.4.1.9.1", Some("2026-01-02T00:00:00Z"), &one());
    let fresh = subtree("fresh", "1.3.6.1.4.1.9.1.1.4", None, &one());
    let objects = Objects { subtrees: vec![fresh, young, old], ..Objects::default() };
    let plan = plan(&objects, &Settings::default());
    let served: Vec<_> = plan.subtrees.iter().map(|planned| planned.document.name.as_str()).collect();
    assert_eq!(served, ["old"]);
    let refused: Vec<_> = plan.refusals.iter().map(|refusal| (refusal.object.name.as_str(), refusal.reason)).collect();
    assert_eq!(refused, [("young", Reason::Conflict), ("fresh", Reason::Conflict)]);
}

#[test]
fn a_refused_subtree_holds_no_oids() {
    let bad = json!([{"name": "one", "oid": "1", "syntax": "Integer32", "value": {"constant": "x"}}]);
    let objects = Objects {
        subtrees: vec![subtree("bad", "1.3.6.1.4.1.9.1", None, &bad), subtree("good", "1.3.6.1.4.1.9.1", None, &one())],
        ..Objects::default()
    };
    let plan = plan(&objects, &Settings::default());
    assert_eq!(plan.subtrees.len(), 1);
    assert_eq!(plan.refusals.len(), 1, "{:?}", plan.refusals);
}

#[test]
fn a_manifest_replaces_the_built_in_context() {
    let spec = json!({"contextName": "", "allowedNamespaces": {"from": "All"}, "allowedSubtrees": ["1.3.6.1.4.1.1"]});
    let objects = Objects {
        subtrees: vec![subtree("a", "1.3.6.1.4.1.1.5", None, &one()), subtree("b", "1.3.6.1.4.1.12.5", None, &one())],
        contexts: vec![context("default", &spec)],
        ..Objects::default()
    };
    let plan = plan(&objects, &Settings::default());
    assert_eq!(plan.subtrees.len(), 1);
    let messages: Vec<_> = plan.refusals.iter().map(|refusal| refusal.message.as_str()).collect();
    assert_eq!(
        messages,
        ["1.3.6.1.4.1.12.5 is not at or below a subtree that SnmpContext default allows: 1.3.6.1.4.1.1"]
    );
}

#[test]
fn subtrees_that_do_not_fit_into_the_config_map_are_refused_from_the_youngest_on() {
    let long = "x".repeat(1024);
    let scalar = |i: u32| json!({"name": format!("o{i}"), "oid": i.to_string(), "syntax": "OctetString", "value": {"constant": long}});
    let scalars: Json = (1..=256).map(scalar).collect();
    // Not in the order of their OIDs, so that grants have to be sorted.
    let subtrees =
        (1..=4).map(|i| subtree(&format!("s{i}"), &format!("1.3.6.1.4.1.9.{}", 5 - i), None, &scalars)).collect();
    let objects = Objects { subtrees, ..Objects::default() };
    for plan in [plan(&objects, &Settings::default()), plan_cluster(&objects, &Settings::default())] {
        assert_eq!(plan.documents["acme"].len(), 3);
        assert_eq!(plan.subtrees.len(), 3);
        let refused: Vec<_> =
            plan.refusals.iter().map(|refusal| (refusal.object.name.as_str(), refusal.reason)).collect();
        assert_eq!(refused, [("s4", Reason::TooLarge)]);
        // A subtree that is refused because of its size has no grant either.
        let master = master(&plan);
        let grants: Vec<_> = master.contexts[0].grants[0].subtrees.iter().map(ToString::to_string).collect();
        assert_eq!(grants, ["1.3.6.1.4.1.9.2", "1.3.6.1.4.1.9.3", "1.3.6.1.4.1.9.4"]);
    }
}

/// Returns Secrets of the operator's namespace, each with one key `text`.
fn secrets(texts: &[(&str, &str)]) -> Secrets {
    let mut secrets = Secrets::default();
    for (name, text) in texts {
        secrets.insert("snmp-system", name, [("text".to_owned(), text.as_bytes().to_vec())].into());
    }
    secrets
}

fn refusals(plan: &Plan) -> Vec<(&str, Reason, &str)> {
    let refusals = plan.refusals.iter();
    refusals.map(|refusal| (refusal.object.name.as_str(), refusal.reason, refusal.path.as_str())).collect()
}

#[test]
fn refused_parts_of_a_context_are_left_out_and_the_rest_is_served() {
    let spec = json!({
        "allowedNamespaces": {"from": "All"}, "allowedSubtrees": ["1.3.6.1.4.1"],
        "communities": [
            {"secretRef": {"name": "gone", "key": "text"}},
            {"secretRef": {"name": "ro", "key": "text"}},
            {"secretRef": {"name": "rw", "key": "text"}, "sources": ["10.0.0.0/8", "10.0.0.0/33"]},
        ],
        "users": [{"name": "gone", "secretRef": {"name": "gone"}}, {"name": "any", "secretRef": {"name": "ro"}, "securityLevel": "NoAuthNoPriv"}],
        "system": {"name": "x".repeat(256)},
    });
    let mut there = subtree("there", "1.3.6.1.4.1.9.1.1", None, &one());
    Arc::make_mut(&mut there).spec.context_refs = vec!["acme".into()];
    let objects = Objects {
        subtrees: vec![there],
        contexts: vec![context("acme", &spec)],
        secrets: secrets(&[("ro", "public"), ("rw", "private")]),
        ..Objects::default()
    };
    let plan = plan(&objects, &Settings::default());
    assert_eq!(
        refusals(&plan),
        [
            ("acme", Reason::NoSuchSecret, "spec.communities[0].secretRef"),
            ("acme", Reason::Invalid, "spec.communities[2].sources[1]"),
            ("acme", Reason::NoSuchSecret, "spec.users[0].secretRef"),
            ("acme", Reason::Invalid, "spec.system.name"),
        ]
    );
    let master = master(&plan);
    let acme = &master.contexts[1];
    assert_eq!((acme.name.as_str(), acme.grants.len(), acme.system.name.as_deref()), ("acme", 1, None));
    let communities: Vec<_> = acme.communities.iter().map(|community| community.community.expose()).collect();
    let users: Vec<_> = acme.users.iter().map(|user| user.name.as_str()).collect();
    assert_eq!((communities, users), (vec!["public"], vec!["any"]));
}

#[test]
fn the_older_of_two_contexts_keeps_the_name_the_community_and_the_user() {
    let of = |name: &str, created: &str, spec: &Json| {
        let mut context = context(name, spec);
        Arc::make_mut(&mut context).metadata.creation_timestamp = serde_json::from_value(json!(created)).unwrap();
        context
    };
    let open = json!({"from": "All"});
    let access = |user_secret: &str| {
        json!({
            "communities": [{"secretRef": {"name": "ro", "key": "text"}}],
            "users": [{"name": "noc", "secretRef": {"name": user_secret}, "securityLevel": "NoAuthNoPriv"}],
        })
    };
    let twin = json!({"contextName": "old", "allowedNamespaces": open, "allowedSubtrees": ["1.3.6.1.4.1"]});
    let mut lost = subtree("lost", "1.3.6.1.4.1.9.1.1", None, &one());
    Arc::make_mut(&mut lost).spec.context_refs = vec!["twin".into()];
    let objects = Objects {
        subtrees: vec![lost],
        contexts: vec![
            of("young", "2026-01-02T00:00:00Z", &access("rw")),
            of("twin", "2026-01-03T00:00:00Z", &twin),
            of("old", "2026-01-01T00:00:00Z", &access("ro")),
        ],
        secrets: secrets(&[("ro", "public"), ("rw", "private")]),
        ..Objects::default()
    };
    let plan = plan(&objects, &Settings::default());
    assert_eq!(
        refusals(&plan),
        [
            ("twin", Reason::Conflict, "spec.contextName"),
            ("young", Reason::Conflict, "spec.communities[0].secretRef"),
            ("young", Reason::Conflict, "spec.users[0].secretRef"),
            ("lost", Reason::NotAllowed, "spec.contextRefs[0]"),
        ]
    );
    let contexts = master(&plan).contexts;
    let access: Vec<_> = contexts.iter().map(|c| (c.name.as_str(), c.communities.len(), c.users.len())).collect();
    assert_eq!(access, [("", 0, 0), ("old", 1, 1), ("young", 0, 0)]);
}

#[test]
fn the_built_in_context_is_absent_if_another_has_the_default_snmp_context() {
    let main = context("main", &json!({"contextName": ""}));
    let objects = Objects {
        subtrees: vec![subtree("a", "1.3.6.1.4.1.9.1", None, &one())],
        contexts: vec![main],
        ..Objects::default()
    };
    let plan = plan(&objects, &Settings::default());
    assert_eq!(refusals(&plan), [("a", Reason::NoSuchContext, "spec.contextRefs[0]")]);
}

fn target(namespace: &str, name: &str, created: &str, spec: &Json) -> Arc<crds::SnmpTrapTarget> {
    let object = json!({
        "apiVersion": "snmp-operator.dev/v1alpha1", "kind": "SnmpTrapTarget",
        "metadata": {"name": name, "namespace": namespace, "creationTimestamp": created},
        "spec": spec,
    });
    Arc::new(serde_json::from_value(object).unwrap())
}

#[test]
fn the_youngest_above_the_quota_are_refused_and_each_namespace_has_its_own_quota() {
    let day = |n: u32| format!("2026-01-{n:02}T00:00:00Z");
    let mut subtrees: Vec<_> = (1..=4)
        .map(|n| subtree(&format!("s{n}"), &format!("1.3.6.1.4.1.9.1.{n}"), Some(&day(5 - n)), &one()))
        .collect();
    let mut elsewhere = subtree("s9", "1.3.6.1.4.1.9.1.9", Some(&day(9)), &one());
    Arc::make_mut(&mut elsewhere).metadata.namespace = Some("globex".to_owned());
    subtrees.push(elsewhere);
    let spec = json!({"address": "noc:162", "version": "V2c", "communityRef": {"name": "c", "key": "k"}});
    let trap_targets = (1..=3).map(|n| target("acme", &format!("t{n}"), &day(n), &spec)).collect();
    let objects = Objects { subtrees, trap_targets, ..Objects::default() };
    let settings = Settings { subtrees_per_namespace: 3, targets_per_namespace: 2, ..Settings::default() };
    let plan = plan_cluster(&objects, &settings);
    let served: Vec<_> = plan.subtrees.iter().map(|planned| planned.document.name.as_str()).collect();
    assert_eq!(served, ["s4", "s3", "s2", "s9"]);
    assert_eq!(plan.trap_targets.iter().map(|id| id.name.as_str()).collect::<Vec<_>>(), ["t1", "t2"]);
    let refused: Vec<_> = plan.refusals.iter().map(|refusal| (refusal.object.name.as_str(), refusal.reason)).collect();
    assert_eq!(refused, [("s1", Reason::QuotaExceeded), ("t3", Reason::QuotaExceeded)]);
    assert_eq!(plan.refusals[0].message, "the namespace acme already has 3 older SnmpSubtrees, which is its quota");
}

#[test]
fn a_trap_target_is_checked_against_its_contexts() {
    let tenant = json!({
        "allowedNamespaces": {"from": "Selector", "selector": {"matchLabels": {"kubernetes.io/metadata.name": "acme"}}},
        "allowedTargets": ["10.0.0.0/8", "2001:db8::/32"],
    });
    let v2c = |address: &str| json!({"address": address, "version": "V2c", "contextRefs": ["tenant"], "communityRef": {"name": "c", "key": "k"}});
    let cases = [
        ("acme", v2c("10.1.2.3:162"), None),
        ("acme", v2c("[2001:db8::1]:162"), None),
        ("acme", v2c("noc.example:162"), None),
        ("acme", v2c("11.1.2.3:162"), Some(("spec.address", Reason::NotAllowed))),
        ("acme", v2c("[2001:db9::1]:162"), Some(("spec.address", Reason::NotAllowed))),
        ("acme", v2c("10.1.2.3:0"), Some(("spec.address", Reason::Invalid))),
        ("globex", v2c("10.1.2.3:162"), Some(("spec.contextRefs[0]", Reason::NotAllowed))),
        ("snmp-system", v2c("10.1.2.3:162"), None),
        (
            "acme",
            json!({"address": "noc:162", "contextRefs": ["nowhere"], "user": {"name": "u", "secretRef": {"name": "s"}}}),
            Some(("spec.contextRefs[0]", Reason::NoSuchContext)),
        ),
        ("acme", json!({"address": "noc:162", "contextRefs": ["tenant"]}), Some(("spec.user", Reason::Invalid))),
        (
            "acme",
            json!({"address": "noc:162", "contextRefs": ["tenant"], "version": "V1", "kind": "Inform", "communityRef": {"name": "c", "key": "k"}}),
            Some(("spec.kind", Reason::Invalid)),
        ),
    ];
    for (namespace, spec, expected) in cases {
        let objects = Objects {
            contexts: vec![context("tenant", &tenant)],
            trap_targets: vec![target(namespace, "noc", "2026-01-01T00:00:00Z", &spec)],
            ..Objects::default()
        };
        let plan = plan_cluster(&objects, &Settings::default());
        let refused: Vec<_> = plan.refusals.iter().map(|refusal| (refusal.path.as_str(), refusal.reason)).collect();
        assert_eq!(refused, expected.into_iter().collect::<Vec<_>>(), "{namespace} {spec}");
        assert_eq!(plan.trap_targets.len(), usize::from(expected.is_none()));
    }
}

#[test]
fn there_is_no_default_context_if_it_is_disabled() {
    let objects = Objects { subtrees: vec![subtree("a", "1.3.6.1.4.1.9.1", None, &one())], ..Objects::default() };
    let plan = plan(&objects, &Settings { default_context: false, ..Settings::default() });
    assert!(plan.contexts.is_empty() && plan.subtrees.is_empty());
    assert_eq!(plan.refusals[0].reason, Reason::NoSuchContext);
}
