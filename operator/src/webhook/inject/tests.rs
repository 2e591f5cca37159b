use json_patch::Patch;
use proptest::{collection, prelude::*, string::string_regex};
use rstest::rstest;

use super::*;

fn settings() -> Settings {
    Settings {
        image: "registry.example/snmp-sidecar:1.2.3".to_owned(),
        image_pull_policy: None,
        master_url: "tls://snmp-master-agentx.snmp-system.svc:7705".to_owned(),
        operator_url: None,
        version: "1.2.3".to_owned(),
        system_namespace: "snmp-system".to_owned(),
    }
}

#[test]
fn a_sidecar_learns_where_writes_are_asked_for_by_a_variable_if_they_are() {
    let container = |operator_url: Option<&str>| {
        let settings = Settings { operator_url: operator_url.map(str::to_owned), ..settings() };
        sidecar::container(&json!({}), &json!({"containers": []}), &settings, &mut Vec::new())
    };
    let url = "https://snmp-operator-writes.snmp-system.svc:9444";
    let with = container(Some(url));
    let expected = json!({"name": "SNMP_SIDECAR_OPERATOR", "value": url});
    assert!(with["env"].as_array().unwrap().contains(&expected), "{with}");
    let without = container(None);
    assert!(!without.to_string().contains("OPERATOR"), "{without}");
    // A sidecar of another version takes the same arguments.
    assert_eq!(with["args"], without["args"]);
}

/// The review that creates a pod in a namespace.
fn creation(namespace: &str, pod: &Json) -> Json {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "operation": "CREATE",
            "namespace": namespace,
            "object": pod,
            "dryRun": true,
        },
    })
}

/// What becomes of a pod in the namespace acme, where a subtree selects `app: web`.
fn decide(pod: &Json) -> (Outcome, Verdict) {
    inject(&Review::read(&creation("acme", pod)).unwrap(), &settings(), web)
}

fn web(namespace: &str, labels: Labels<'_>) -> bool {
    assert_eq!(namespace, "acme");
    labels.get("app") == Some("web")
}

fn patched(pod: &Json, verdict: &Verdict) -> Json {
    let mut patched = pod.clone();
    let patch: Patch = serde_json::from_value(verdict.patch.clone().into()).unwrap();
    json_patch::patch(&mut patched, &patch).unwrap();
    patched
}

fn pod(spec: &Json) -> Json {
    json!({"metadata": {"generateName": "web-", "labels": {"app": "web"}}, "spec": spec})
}

fn plain() -> Json {
    pod(
        &json!({"containers": [{"name": "app", "image": "app", "ports": [{"name": "metrics", "containerPort": 9100}]}]}),
    )
}

/// The pod with `value` at the JSON pointer.
fn with(mut pod: Json, pointer: &str, value: Json) -> Json {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let key = key.replace("~1", "/");
    pod.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(key, value);
    pod
}

fn full() -> Json {
    json!({
        "metadata": {
            "name": "web-0",
            "labels": {"app": "web"},
            "annotations": {
                "example.com/a~b": "kept",
                "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes": "cache",
                "snmp-operator.dev/sidecar-memory-limit": "128Mi",
            },
        },
        "spec": {
            "serviceAccountName": "web",
            "automountServiceAccountToken": false,
            "securityContext": {"runAsUser": 0, "fsGroup": 2000},
            "initContainers": [{"name": "migrate", "image": "app"}],
            "containers": [{"name": "app", "image": "app", "futureField": {"x": [1.5, null]}}],
            "volumes": [{"name": "cache", "emptyDir": {}}],
        },
    })
}

#[test]
fn a_pod_gets_a_native_sidecar() {
    for (name, pod) in [("plain", plain()), ("full", full())] {
        let (outcome, verdict) = decide(&pod);
        assert_eq!((outcome, verdict.warnings.len()), (Outcome::Injected, 0), "{:?}", verdict.warnings);
        let text = serde_json::to_string_pretty(&patched(&pod, &verdict)).unwrap();
        insta::assert_snapshot!(name, text);
    }
}

#[test]
fn a_windows_pod_that_asks_gets_one_without_what_windows_has_not() {
    let pod = with(
        with(plain(), "/spec/os", json!({"name": "windows"})),
        "/metadata/labels/snmp-operator.dev~1inject",
        "true".into(),
    );
    let (outcome, verdict) = decide(&pod);
    assert_eq!(outcome, Outcome::Injected);
    let patched = patched(&pod, &verdict);
    assert_eq!(patched.pointer("/spec/initContainers/0/securityContext"), Some(&json!({"runAsNonRoot": true})));
}

#[test]
fn a_pod_with_the_hosts_network_that_asks_keeps_off_the_hosts_ports() {
    let pod = with(
        with(plain(), "/spec/hostNetwork", true.into()),
        "/metadata/labels/snmp-operator.dev~1inject",
        "true".into(),
    );
    let (outcome, verdict) = decide(&pod);
    assert_eq!(outcome, Outcome::Injected);
    assert!(verdict.warnings[0].contains("ClusterFirstWithHostNet"), "{:?}", verdict.warnings);
    let patched_pod = patched(&pod, &verdict);
    let args = patched_pod.pointer("/spec/initContainers/0/args").unwrap().to_string();
    assert!(args.contains(r#""--listen","127.0.0.1:0""#), "{args}");
    let resolving = with(pod, "/spec/dnsPolicy", "ClusterFirstWithHostNet".into());
    assert_eq!(decide(&resolving).1.warnings, Vec::<String>::new());
}

#[rstest]
#[case::no_subtree_selects_it("/metadata/labels", json!({"app": "db"}), Outcome::NotSelected)]
#[case::it_has_no_labels("/metadata/labels", json!(null), Outcome::NotSelected)]
#[case::it_opts_out("/metadata/labels", json!({"app": "web", "snmp-operator.dev/inject": "false"}), Outcome::OptedOut)]
#[case::it_asks("/metadata/labels", json!({"snmp-operator.dev/inject": "true"}), Outcome::Injected)]
#[case::it_is_a_mirror("/metadata/annotations", json!({"kubernetes.io/config.mirror": "x"}), Outcome::Static)]
#[case::it_is_static("/metadata/annotations", json!({"kubernetes.io/config.source": "file"}), Outcome::Static)]
#[case::it_came_by_the_api("/metadata/annotations", json!({"kubernetes.io/config.source": "api"}), Outcome::Injected)]
#[case::it_has_the_hosts_network("/spec/hostNetwork", json!(true), Outcome::HostNetwork)]
#[case::it_is_for_windows("/spec/nodeSelector", json!({"kubernetes.io/os": "windows"}), Outcome::Windows)]
#[case::annotations_are_null("/metadata/annotations", json!(null), Outcome::Injected)]
#[case::init_containers_are_null("/spec/initContainers", json!(null), Outcome::Injected)]
#[case::volumes_are_empty("/spec/volumes", json!([]), Outcome::Injected)]
#[case::volumes_are_no_list("/spec/volumes", json!({}), Outcome::NotApplicable)]
#[case::annotations_are_no_map("/metadata/annotations", json!("x"), Outcome::NotApplicable)]
fn a_pod_gets_one_or_not(#[case] pointer: &str, #[case] value: Json, #[case] expected: Outcome) {
    let pod = with(plain(), pointer, value);
    let (outcome, verdict) = decide(&pod);
    assert_eq!(outcome, expected);
    assert_eq!(verdict.refusal, None);
    let sidecar = patched(&pod, &verdict).pointer("/spec/initContainers/0/name").cloned();
    assert_eq!(sidecar, (expected == Outcome::Injected).then(|| "snmp-sidecar".into()));
}

#[test]
fn the_systems_own_namespaces_are_left_alone_even_when_asked() {
    let pod = with(plain(), "/metadata/labels/snmp-operator.dev~1inject", "true".into());
    for namespace in ["kube-system", "snmp-system"] {
        let review = creation(namespace, &pod);
        let asked = inject(&Review::read(&review).unwrap(), &settings(), |_, _| panic!("not asked"));
        assert_eq!(asked, (Outcome::Excluded, Verdict::default()));
    }
}

#[test]
fn only_the_creation_of_a_pod_is_judged() {
    for (pointer, value) in [
        ("/request/operation", "UPDATE"),
        ("/request/operation", "DELETE"),
        ("/request/subResource", "ephemeralcontainers"),
        ("/request/kind/kind", "Deployment"),
    ] {
        let review = with(creation("acme", &plain()), pointer, value.into());
        let (outcome, verdict) = inject(&Review::read(&review).unwrap(), &settings(), web);
        assert_eq!((outcome, verdict), (Outcome::NotApplicable, Verdict::default()), "{pointer} {value}");
    }
}

#[rstest]
#[case("/spec/initContainers", json!([{"name": "snmp-sidecar"}]), "a container snmp-sidecar")]
#[case("/spec/containers", json!([{"name": "snmp-sidecar"}]), "a container snmp-sidecar")]
#[case("/spec/volumes", json!([{"name": "snmp-sidecar"}]), "a volume snmp-sidecar")]
#[case("/spec/volumes", json!([{"name": "snmp-sidecar-state"}]), "a volume snmp-sidecar-state")]
fn a_name_that_is_taken_is_told_on_the_pod(#[case] pointer: &str, #[case] value: Json, #[case] what: &str) {
    let pod = with(plain(), pointer, value);
    let (outcome, verdict) = decide(&pod);
    assert_eq!(outcome, Outcome::NameTaken);
    assert!(verdict.warnings[0].contains(what), "{:?}", verdict.warnings);
    let told = json!({"snmp-operator.dev/injection-warnings": verdict.warnings[0]});
    assert_eq!(patched(&pod, &verdict), with(pod, "/metadata/annotations", told));
}

#[test]
fn the_clusters_autoscaler_is_told_that_the_state_may_go() {
    let key = "/metadata/annotations/cluster-autoscaler.kubernetes.io~1safe-to-evict-local-volumes";
    for (before, after) in [
        ("cache", "cache,snmp-sidecar-state"),
        (" ", "snmp-sidecar-state"),
        ("snmp-sidecar-state, cache", "snmp-sidecar-state, cache"),
    ] {
        let pod = with(full(), key, before.into());
        assert_eq!(patched(&pod, &decide(&pod).1).pointer(key), Some(&after.into()));
    }
}

/// What the profile Restricted asks of a container, from the Pod Security Standards' list.
fn offences(pod: &Json, container: &Json) -> Vec<&'static str> {
    let of = |field: &str| {
        let own = container.pointer(&format!("/securityContext/{field}"));
        own.or_else(|| pod.pointer(&format!("/spec/securityContext/{field}")))
    };
    let own = |field: &str| container.pointer(&format!("/securityContext/{field}"));
    let is_unset_or = |field: &str, value: Json| own(field).is_none_or(|own| *own == value);
    let volumes = pod.pointer("/spec/volumes").and_then(Json::as_array).unwrap();
    let allowed =
        ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"];
    let is_allowed =
        |volume: &Json| volume.as_object().unwrap().keys().all(|key| key == "name" || allowed.contains(&key.as_str()));
    let rules = [
        ("privileged", is_unset_or("privileged", json!(false))),
        ("escalation", own("allowPrivilegeEscalation") == Some(&json!(false))),
        ("capabilities", own("capabilities") == Some(&json!({"drop": ["ALL"]}))),
        ("runAsNonRoot", of("runAsNonRoot") == Some(&json!(true))),
        ("runAsUser", of("runAsUser") != Some(&json!(0))),
        ("seccomp", of("seccompProfile/type") == Some(&json!("RuntimeDefault"))),
        ("procMount", is_unset_or("procMount", json!("Default"))),
        ("SELinux", own("seLinuxOptions").is_none()),
        ("AppArmor", own("appArmorProfile").is_none()),
        ("host ports", container.get("ports").is_none()),
        (
            "host probes",
            ["livenessProbe", "readinessProbe", "startupProbe"].iter().all(|probe| container.get(probe).is_none()),
        ),
        ("volumes", volumes.iter().all(is_allowed)),
    ];
    rules.into_iter().filter(|(_, holds)| !holds).map(|(rule, _)| rule).collect()
}

#[test]
fn a_sidecar_is_restricted_whatever_its_pod_is() {
    let contexts = [
        json!({}),
        json!({"runAsUser": 0}),
        json!({"runAsUser": 1000, "runAsGroup": 0, "fsGroup": 0}),
        json!({"runAsNonRoot": false, "seccompProfile": {"type": "Unconfined"}}),
    ];
    for context in contexts {
        let pod = with(plain(), "/spec/securityContext", context.clone());
        let patched = patched(&pod, &decide(&pod).1);
        assert_eq!(offences(&patched, &patched["spec"]["initContainers"][0]), Vec::<&str>::new(), "{context}");
    }
}

/// Any JSON that is not too large.
fn json_value() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        key().prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..5).prop_map(Json::from),
            collection::btree_map(key(), inner, 0..6).prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

/// Texts among which are many that mean something.
fn key() -> impl Strategy<Value = String> {
    let known = vec![
        "name",
        "snmp-sidecar",
        "snmp-sidecar-state",
        "restartPolicy",
        "Always",
        "resources",
        "limits",
        "requests",
        "cpu",
        "memory",
        "1",
        "100m",
        "64Mi",
        "ports",
        "containerPort",
        "protocol",
        "TCP",
        "projected",
        "securityContext",
        "runAsUser",
        "os",
        "windows",
        "hostNetwork",
        "snmp-operator.dev/inject",
        "true",
        "false",
        "snmp-operator.dev/injected",
        "app",
        "web",
        "snmp-operator.dev/sidecar-cpu-limit",
        "~/",
        "ephemeral-storage",
    ];
    prop_oneof![3 => proptest::sample::select(known).prop_map(str::to_owned), 1 => string_regex(".{0,8}").unwrap()]
}

/// Pods of which each part may be anything, and is mostly what it should be.
fn any_pod() -> impl Strategy<Value = Json> {
    let map = || prop_oneof![4 => collection::btree_map(key(), key().prop_map(Json::from), 0..6).prop_map(|map| Json::Object(map.into_iter().collect())), 1 => json_value()];
    let list = || prop_oneof![4 => collection::vec(map(), 0..4).prop_map(Json::from), 1 => json_value()];
    let spec = (list(), list(), list(), map(), map()).prop_map(|(init, containers, volumes, context, resources)| {
        json!({"initContainers": init, "containers": containers, "volumes": volumes, "securityContext": context, "resources": resources})
    });
    let metadata = (map(), map()).prop_map(|(mut labels, annotations)| {
        if let Some(labels) = labels.as_object_mut() {
            labels.insert("app".to_owned(), "web".into());
        }
        json!({"labels": labels, "annotations": annotations})
    });
    prop_oneof![
        8 => (metadata, spec).prop_map(|(metadata, spec)| json!({"metadata": metadata, "spec": spec})),
        1 => json_value(),
    ]
}

/// The pod without what an injection may add to it or change.
fn own(pod: &Json) -> Json {
    let mut own = pod.clone();
    let is_ours = |item: &Json| matches!(item["name"].as_str(), Some("snmp-sidecar" | "snmp-sidecar-state"));
    for list in ["/spec/initContainers", "/spec/volumes"] {
        if let Some(list) = own.pointer_mut(list) {
            match list {
                Json::Array(items) => items.retain(|item| !is_ours(item)),
                Json::Null => *list = json!([]),
                _ => {}
            }
        }
    }
    match own.pointer_mut("/metadata/annotations") {
        Some(Json::Object(annotations)) => annotations.retain(|key, _| ![MARK, TOLD, MOVABLE].contains(&key.as_str())),
        Some(annotations @ Json::Null) => *annotations = json!({}),
        _ => {}
    }
    own
}

proptest! {
    #[test]
    fn nothing_that_a_pod_says_itself_is_changed_and_twice_is_once(pod in any_pod()) {
        let (outcome, verdict) = decide(&pod);
        prop_assert_eq!(&verdict.refusal, &None);
        let once = patched(&pod, &verdict);
        prop_assert_eq!(own(&once), own(&pod));
        let (second, verdict) = decide(&once);
        prop_assert_eq!(patched(&once, &verdict), once);
        prop_assert_eq!(second, if outcome == Outcome::Injected { Outcome::Already } else { outcome });
    }

    #[test]
    fn no_json_makes_it_panic(body in json_value(), object in json_value()) {
        let _ = Review::read(&body).map(|review| inject(&review, &settings(), |_, _| true));
        let _ = decide(&object);
    }
}
