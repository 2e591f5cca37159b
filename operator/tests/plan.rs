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

/// Returns Secrets for trap targets in each of these namespaces.
fn target_secrets(namespaces: &[&str]) -> Secrets {
    let auth = |protocol: &str, passphrase: &str| {
        [("authProtocol", protocol.to_owned()), ("authPassphrase", passphrase.to_owned())]
    };
    let mut secrets = Secrets::default();
    for namespace in namespaces {
        let mut add = |name: &str, data: &[(&str, String)]| {
            let data = data.iter().map(|(key, text)| ((*key).to_owned(), text.as_bytes().to_vec())).collect();
            secrets.insert(namespace, name, data);
        };
        add("auth", &auth("SHA-256", "auth-pass"));
        add("short", &auth("SHA-256", "short"));
        add("odd", &auth("SHA-1000", "auth-pass"));
        add("nothing", &[]);
        let privacy = [("privProtocol", "AES".to_owned()), ("privPassphrase", "priv-pass".to_owned())];
        add("s", &[auth("SHA-256", "auth-pass"), privacy].concat());
        let texts = [("k", b"public".to_vec()), ("empty", Vec::new()), ("binary", vec![0xff])];
        secrets.insert(namespace, "c", texts.map(|(key, text)| (key.to_owned(), text)).into());
    }
    secrets
}

#[test]
fn a_target_is_planned_with_every_default_and_its_credentials() {
    let tenant = json!({"contextName": "t", "allowedNamespaces": {"from": "All"}, "allowedTargets": ["10.0.0.0/8"]});
    let user = json!({"name": "u", "secretRef": {"name": "s"}});
    let spec = json!({"address": "10.0.0.1:162", "kind": "Inform", "contextRefs": ["tenant"], "user": user});
    let cluster =
        json!({"address": "noc:162", "version": "V2c", "communityRef": {"name": "c", "key": "k"}, "allContexts": true});
    let objects = Objects {
        contexts: vec![context("tenant", &tenant)],
        trap_targets: vec![
            target("acme", "noc", "2026-01-01T00:00:00Z", &spec),
            // The same address a second time, and a target that cannot be planned.
            target("acme", "twin", "2026-01-02T00:00:00Z", &spec),
            target("globex", "noc", "2026-01-03T00:00:00Z", &spec),
            target("snmp-system", "all", "2026-01-04T00:00:00Z", &cluster),
        ],
        secrets: target_secrets(&["acme", "snmp-system"]),
        ..Objects::default()
    };
    for plan in [plan(&objects, &Settings::default()), plan_cluster(&objects, &Settings::default())] {
        let refused: Vec<_> =
            plan.refusals.iter().map(|refusal| (refusal.object.to_string(), refusal.reason)).collect();
        assert_eq!(refused, [("SnmpTrapTarget globex/noc".to_owned(), Reason::NoSuchSecret)]);
        assert!(plan.refusals[0].message.ends_with("kubectl label secret s -n globex snmp-operator.dev/readable=true"));
        let mut targets = master(&plan).targets;
        targets.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        let names: Vec<_> = targets.iter().map(|target| format!("{}/{}", target.namespace, target.name)).collect();
        assert_eq!(names, ["acme/noc", "acme/twin", "snmp-system/all"]);
        let tenant = json!({
            "namespace": "acme", "name": "noc", "address": "10.0.0.1:162", "kind": "Inform", "scope": "Namespace",
            "contexts": ["t"], "timeoutMs": 5000, "retries": 5, "maxAgeMs": 86_400_000, "rateLimit": 200,
            "maxMessageOctets": 1472, "agentEvents": true, "alarmObjects": true,
            "security": {"v3": {
                "user": {
                    "name": "u", "auth": {"protocol": "SHA-256", "passphrase": "auth-pass"},
                    "priv": {"protocol": "AES-128", "passphrase": "priv-pass"},
                },
                "securityLevel": "AuthPriv",
            }},
        });
        assert_eq!(serde_json::to_value(&targets[0]).unwrap(), tenant);
        let all = serde_json::to_value(&targets[2]).unwrap();
        assert_eq!((&all["scope"], &all["contexts"]), (&json!("Cluster"), &json!([])));
        assert_eq!(all["security"], json!({"v2c": {"community": "public"}}));
        assert!(!format!("{:?}", plan.master).contains("auth-pass"), "a passphrase is in Debug");
    }
}

#[test]
fn targets_that_do_not_fit_into_a_shard_are_refused_from_the_youngest_on() {
    let names: Vec<_> = (0..16).map(|i| format!("context-{i:02}-{}", "x".repeat(20))).collect();
    let open = json!({"allowedNamespaces": {"from": "All"}});
    let spec = json!({"address": "noc:162", "contextRefs": names, "version": "V2c", "communityRef": {"name": "c", "key": "k"}});
    let long = format!("{}.", "y".repeat(50)).repeat(4);
    let trap_targets: Vec<_> = (0..8400)
        .map(|i| {
            let mut target = target("acme", &format!("{long}{i:05}"), "2026-01-01T00:00:00Z", &spec);
            Arc::make_mut(&mut target).metadata.creation_timestamp = None;
            target
        })
        .collect();
    let objects = Objects {
        contexts: names.iter().map(|name| context(name, &open)).collect(),
        trap_targets,
        secrets: target_secrets(&["acme"]),
        subtrees: vec![subtree("a", "1.3.6.1.4.1.9.1", None, &one())],
        ..Objects::default()
    };
    let settings = Settings { targets_per_namespace: usize::MAX, ..Settings::default() };
    let plan = plan_cluster(&objects, &settings);
    assert_eq!(plan.subtrees.len(), 1);
    assert_eq!(plan.trap_targets.len() + plan.refusals.len(), 8400);
    assert!(!plan.refusals.is_empty() && plan.trap_targets.len() > 6000, "{}", plan.trap_targets.len());
    assert!(plan.refusals.iter().all(|refusal| refusal.reason == Reason::TooLarge));
    let refused: Vec<_> = plan.refusals.iter().map(|refusal| &refusal.object.name).collect();
    assert!(plan.trap_targets.iter().any(|target| target.name < *refused[0]), "the oldest are kept");
    assert_eq!(master(&plan).targets.len(), plan.trap_targets.len());
}

/// Returns a subtree with the scalar `load`, and these notifications.
fn notifying(name: &str, oid: &str, created: &str, notifications: &Json) -> Arc<crds::SnmpSubtree> {
    let load = json!([{"name": "load", "oid": "1", "syntax": "Gauge32", "value": {"constant": "1"}}]);
    let mut subtree = subtree(name, oid, Some(created), &load);
    Arc::make_mut(&mut subtree).spec.notifications = serde_json::from_value(notifications.clone()).unwrap();
    subtree
}

#[test]
fn notifications_are_planned_with_whole_oids() {
    let notifications = json!([
        {
            "name": "loadHigh", "oid": "0.1", "severity": "Major", "eventType": "QualityOfService", "description": "Load is high",
            "when": {"object": "load", "above": 80.0, "clearBelow": 70.0, "for": "30s", "clearFor": "1m"},
            "objects": ["load"], "clear": {"name": "loadNormal", "oid": "0.2"},
        },
        {
            "name": "old", "absoluteOID": "1.3.6.1.4.1.9.0.7", "when": {"object": "load", "changes": true},
            "severityFrom": {"object": "load", "map": {"1": "Minor"}, "default": "Critical"},
        },
    ]);
    let objects = Objects {
        subtrees: vec![notifying("a", "1.3.6.1.4.1.9.1", "2026-01-01T00:00:00Z", &notifications)],
        ..Objects::default()
    };
    let plan = plan(&objects, &Settings::default());
    assert_eq!(refusals(&plan), []);
    let planned = serde_json::to_value(&plan.subtrees[0].document.notifications).unwrap();
    let expected = json!([
        {
            "name": "loadHigh", "oid": "1.3.6.1.4.1.9.1.0.1", "severity": "Major", "eventType": "QualityOfService",
            "text": "Load is high",
            "when": {"object": "load", "test": {"above": {"threshold": 80.0, "clear": 70.0}}, "forMs": 30_000, "clearForMs": 60_000},
            "objects": ["load"], "clear": {"name": "loadNormal", "oid": "1.3.6.1.4.1.9.1.0.2"},
        },
        {
            "name": "old", "oid": "1.3.6.1.4.1.9.0.7", "severity": "Warning", "when": {"object": "load", "test": {"changes": {}}},
            "severityFrom": {"object": "load", "map": {"1": "Minor"}, "default": "Critical"},
        },
    ]);
    assert_eq!(planned, expected);
    let grants = &master(&plan).contexts[0].grants[0].subtrees;
    assert_eq!(grants.iter().map(ToString::to_string).collect::<Vec<_>>(), ["1.3.6.1.4.1.9.0.7", "1.3.6.1.4.1.9.1"]);
}

#[test]
fn an_absolute_oid_is_claimed_like_the_oid_of_a_subtree() {
    let of = |oid: &str, clear: &str| {
        json!([{
            "name": "old", "absoluteOID": oid, "when": {"object": "load", "absent": true},
            "clear": {"name": "oldClear", "absoluteOID": clear},
        }])
    };
    let day = |n: u32| format!("2026-01-{n:02}T00:00:00Z");
    let (raise, clear) = ("1.3.6.1.4.1.9.0.1", "1.3.6.1.4.1.9.0.2");
    let path = "spec.notifications[0].absoluteOID";
    let cases = [
        // Two subtrees with equal OIDs: the older keeps them, and both paths are named.
        (
            notifying("b", "1.3.6.1.4.1.9.2", &day(2), &of(raise, clear)),
            vec![("b", Reason::Conflict, path), ("b", Reason::Conflict, "spec.notifications[0].clear.absoluteOID")],
        ),
        (notifying("b", "1.3.6.1.4.1.9.2", &day(2), &of("1.3.6.1.4.1.9.0.3", "1.3.6.1.4.1.9.0.4")), vec![]),
        // Below its own base OID, nothing more is claimed.
        (notifying("b", "1.3.6.1.4.1.9.2", &day(2), &of("1.3.6.1.4.1.9.2.0.1", "1.3.6.1.4.1.9.2.0.2")), vec![]),
        // Inside of another subtree, and above one.
        (
            notifying("b", "1.3.6.1.4.1.9.2", &day(2), &of("1.3.6.1.4.1.9.1.0.9", "1.3.6.1.4.1.9.0.4")),
            vec![("b", Reason::Conflict, path)],
        ),
        (notifying("b", "1.3.6.1.4.1.9.0", &day(2), &json!([])), vec![("b", Reason::Conflict, "spec.oid")]),
        (notifying("b", "1.3.6.1.4.1.9.0.2.5", &day(2), &json!([])), vec![("b", Reason::Conflict, "spec.oid")]),
        // Outside of what the context allows, and too short.
        (
            notifying("b", "1.3.6.1.4.1.9.2", &day(2), &of("1.3.6.1.6.3.1.1.5.3", "1.3.6.1.4.1.9.0.4")),
            vec![("b", Reason::NotAllowed, path)],
        ),
        (
            notifying("b", "1.3.6.1.4.1.9.2", &day(2), &of("1.3.6.1.4.1.9", "1.3.6.1.4.1.9.0.4")),
            vec![("b", Reason::Invalid, path)],
        ),
    ];
    for (other, expected) in cases {
        let first = notifying("a", "1.3.6.1.4.1.9.1", &day(1), &of(raise, clear));
        for subtrees in [vec![first.clone(), other.clone()], vec![other, first]] {
            let objects = Objects { subtrees, ..Objects::default() };
            let plan = plan(&objects, &Settings::default());
            assert_eq!(refusals(&plan), expected);
            assert_eq!(plan.subtrees[0].document.name, "a", "the older keeps its OIDs");
            assert!(plan.master.is_ok());
        }
    }
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
    let secrets = target_secrets(&["acme"]);
    let objects = Objects { subtrees, trap_targets, secrets, ..Objects::default() };
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
    let v3 = |secret: &str, level: &str| {
        let user = json!({"name": "u", "secretRef": {"name": secret}, "securityLevel": level});
        json!({"address": "noc:162", "contextRefs": ["tenant"], "user": user})
    };
    let with = |mut spec: Json, field: &str, value: Json| {
        spec[field] = value;
        spec
    };
    let cases = [
        ("acme", v2c("10.1.2.3:162"), None),
        ("acme", v2c("[2001:db8::1]:162"), None),
        ("acme", v2c("noc.example:162"), None),
        ("acme", v2c("11.1.2.3:162"), Some(("spec.address", Reason::NotAllowed))),
        ("acme", v2c("[2001:db9::1]:162"), Some(("spec.address", Reason::NotAllowed))),
        ("acme", v2c("10.1.2.3:0"), Some(("spec.address", Reason::Invalid))),
        ("globex", v2c("10.1.2.3:162"), Some(("spec.contextRefs[0]", Reason::NotAllowed))),
        ("snmp-system", v2c("10.1.2.3:162"), None),
        // The operator's own namespace can send to any address, and for every context.
        ("snmp-system", v2c("11.1.2.3:162"), None),
        ("snmp-system", with(v2c("11.1.2.3:162"), "allContexts", json!(true)), None),
        ("acme", with(v2c("10.1.2.3:162"), "allContexts", json!(true)), Some(("spec.allContexts", Reason::Invalid))),
        (
            "acme",
            with(v2c("10.1.2.3:162"), "communityRef", json!({"name": "none", "key": "k"})),
            Some(("spec.communityRef.key", Reason::NoSuchSecret)),
        ),
        (
            "acme",
            with(v2c("10.1.2.3:162"), "communityRef", json!({"name": "c", "key": "none"})),
            Some(("spec.communityRef.key", Reason::NoSuchSecret)),
        ),
        (
            "acme",
            with(v2c("10.1.2.3:162"), "communityRef", json!({"name": "c", "key": "empty"})),
            Some(("spec.communityRef.key", Reason::Invalid)),
        ),
        (
            "acme",
            with(v2c("10.1.2.3:162"), "communityRef", json!({"name": "c", "key": "binary"})),
            Some(("spec.communityRef.key", Reason::Invalid)),
        ),
        ("acme", with(v2c("10.1.2.3:162"), "timeout", json!("0s")), Some(("spec.timeout", Reason::Invalid))),
        ("acme", with(v2c("10.1.2.3:162"), "maxAge", json!("5")), Some(("spec.maxAge", Reason::Invalid))),
        (
            "acme",
            with(v2c("10.1.2.3:162"), "heartbeatInterval", json!("1ms")),
            Some(("spec.heartbeatInterval", Reason::Invalid)),
        ),
        ("acme", v3("s", "AuthPriv"), None),
        ("acme", v3("auth", "AuthNoPriv"), None),
        ("acme", v3("nothing", "NoAuthNoPriv"), None),
        ("acme", v3("auth", "AuthPriv"), Some(("spec.user.secretRef", Reason::NoSuchSecret))),
        ("acme", v3("nothing", "AuthNoPriv"), Some(("spec.user.secretRef", Reason::NoSuchSecret))),
        ("acme", v3("short", "AuthNoPriv"), Some(("spec.user.secretRef", Reason::Invalid))),
        ("acme", v3("odd", "AuthNoPriv"), Some(("spec.user.secretRef", Reason::Invalid))),
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
            secrets: target_secrets(&["acme", "globex", "snmp-system"]),
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
