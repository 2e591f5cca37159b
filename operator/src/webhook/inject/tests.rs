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
fn the_url_for_writes_is_an_environment_variable() {
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
    // A sidecar of another version accepts the same arguments.
    assert_eq!(with["args"], without["args"]);
}

/// Returns the review of the creation of a pod.
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

/// Returns the decision for a pod in the namespace acme, where a subtree selects `app: web`.
fn decide(pod: &Json) -> (Outcome, AdmissionResponse) {
    inject(&AdmissionRequest::read(&creation("acme", pod)).unwrap(), &settings(), web)
}

fn web(namespace: &str, labels: Labels<'_>) -> bool {
    assert_eq!(namespace, "acme");
    labels.get("app") == Some("web")
}

fn patched(pod: &Json, response: &AdmissionResponse) -> Json {
    let mut patched = pod.clone();
    let patch: Patch = serde_json::from_value(response.patch.clone().into()).unwrap();
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

/// Returns the pod with `value` at the JSON pointer.
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
        let (outcome, response) = decide(&pod);
        assert_eq!((outcome, response.warnings.len()), (Outcome::Injected, 0), "{:?}", response.warnings);
        let text = serde_json::to_string_pretty(&patched(&pod, &response)).unwrap();
        insta::assert_snapshot!(name, text);
    }
}

#[test]
fn a_windows_pod_that_requests_a_sidecar_gets_one_without_linux_fields() {
    let pod = with(
        with(plain(), "/spec/os", json!({"name": "windows"})),
        "/metadata/labels/snmp-operator.dev~1inject",
        "true".into(),
    );
    let (outcome, response) = decide(&pod);
    assert_eq!(outcome, Outcome::Injected);
    let patched = patched(&pod, &response);
    assert_eq!(patched.pointer("/spec/initContainers/0/securityContext"), Some(&json!({"runAsNonRoot": true})));
}

#[test]
fn a_host_network_pod_that_requests_a_sidecar_gets_one_without_host_ports() {
    let pod = with(
        with(plain(), "/spec/hostNetwork", true.into()),
        "/metadata/labels/snmp-operator.dev~1inject",
        "true".into(),
    );
    let (outcome, response) = decide(&pod);
    assert_eq!(outcome, Outcome::Injected);
    assert!(response.warnings[0].contains("ClusterFirstWithHostNet"), "{:?}", response.warnings);
    let patched_pod = patched(&pod, &response);
    let args = patched_pod.pointer("/spec/initContainers/0/args").unwrap().to_string();
    assert!(args.contains(r#""--listen","127.0.0.1:0""#), "{args}");
    let resolving = with(pod, "/spec/dnsPolicy", "ClusterFirstWithHostNet".into());
    assert_eq!(decide(&resolving).1.warnings, Vec::<String>::new());
}

#[rstest]
#[case::no_subtree_selects_it("/metadata/labels", json!({"app": "db"}), Outcome::NotSelected)]
#[case::it_has_no_labels("/metadata/labels", json!(null), Outcome::NotSelected)]
#[case::it_opts_out("/metadata/labels", json!({"app": "web", "snmp-operator.dev/inject": "false"}), Outcome::OptedOut)]
#[case::it_requests_one("/metadata/labels", json!({"snmp-operator.dev/inject": "true"}), Outcome::Injected)]
#[case::it_is_a_mirror_pod("/metadata/annotations", json!({"kubernetes.io/config.mirror": "x"}), Outcome::Static)]
#[case::it_is_static("/metadata/annotations", json!({"kubernetes.io/config.source": "file"}), Outcome::Static)]
#[case::it_was_created_by_the_api("/metadata/annotations", json!({"kubernetes.io/config.source": "api"}), Outcome::Injected)]
#[case::it_has_the_hosts_network("/spec/hostNetwork", json!(true), Outcome::HostNetwork)]
#[case::it_is_for_windows("/spec/nodeSelector", json!({"kubernetes.io/os": "windows"}), Outcome::Windows)]
#[case::annotations_are_null("/metadata/annotations", json!(null), Outcome::Injected)]
#[case::init_containers_are_null("/spec/initContainers", json!(null), Outcome::Injected)]
#[case::volumes_are_empty("/spec/volumes", json!([]), Outcome::Injected)]
#[case::volumes_are_not_a_list("/spec/volumes", json!({}), Outcome::NotApplicable)]
#[case::annotations_are_not_a_map("/metadata/annotations", json!("x"), Outcome::NotApplicable)]
fn outcomes_of_pods(#[case] pointer: &str, #[case] value: Json, #[case] expected: Outcome) {
    let pod = with(plain(), pointer, value);
    let (outcome, response) = decide(&pod);
    assert_eq!(outcome, expected);
    assert_eq!(response.refusal, None);
    let sidecar = patched(&pod, &response).pointer("/spec/initContainers/0/name").cloned();
    assert_eq!(sidecar, (expected == Outcome::Injected).then(|| "snmp-sidecar".into()));
}

#[test]
fn system_namespaces_are_excluded_even_on_request() {
    let pod = with(plain(), "/metadata/labels/snmp-operator.dev~1inject", "true".into());
    for namespace in ["kube-system", "snmp-system"] {
        let review = creation(namespace, &pod);
        let decision =
            inject(&AdmissionRequest::read(&review).unwrap(), &settings(), |_, _| panic!("the cluster is queried"));
        assert_eq!(decision, (Outcome::Excluded, AdmissionResponse::default()));
    }
}

#[test]
fn only_the_creation_of_a_pod_is_handled() {
    for (pointer, value) in [
        ("/request/operation", "UPDATE"),
        ("/request/operation", "DELETE"),
        ("/request/subResource", "ephemeralcontainers"),
        ("/request/kind/kind", "Deployment"),
    ] {
        let review = with(creation("acme", &plain()), pointer, value.into());
        let (outcome, response) = inject(&AdmissionRequest::read(&review).unwrap(), &settings(), web);
        assert_eq!((outcome, response), (Outcome::NotApplicable, AdmissionResponse::default()), "{pointer} {value}");
    }
}

#[rstest]
#[case("/spec/initContainers", json!([{"name": "snmp-sidecar"}]), "a container snmp-sidecar")]
#[case("/spec/containers", json!([{"name": "snmp-sidecar"}]), "a container snmp-sidecar")]
#[case("/spec/volumes", json!([{"name": "snmp-sidecar"}]), "a volume snmp-sidecar")]
#[case("/spec/volumes", json!([{"name": "snmp-sidecar-state"}]), "a volume snmp-sidecar-state")]
fn a_name_conflict_is_a_warning_on_the_pod(#[case] pointer: &str, #[case] value: Json, #[case] what: &str) {
    let pod = with(plain(), pointer, value);
    let (outcome, response) = decide(&pod);
    assert_eq!(outcome, Outcome::NameTaken);
    assert!(response.warnings[0].contains(what), "{:?}", response.warnings);
    let annotations = json!({"snmp-operator.dev/injection-warnings": response.warnings[0]});
    assert_eq!(patched(&pod, &response), with(pod, "/metadata/annotations", annotations));
}

#[test]
fn the_cluster_autoscaler_can_evict_pods_with_the_state_volume() {
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

/// Returns the rules of the profile Restricted (Pod Security Standards) that a container violates.
fn violations(pod: &Json, container: &Json) -> Vec<&'static str> {
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
fn the_sidecar_satisfies_the_restricted_profile_in_every_pod() {
    let contexts = [
        json!({}),
        json!({"runAsUser": 0}),
        json!({"runAsUser": 1000, "runAsGroup": 0, "fsGroup": 0}),
        json!({"runAsNonRoot": false, "seccompProfile": {"type": "Unconfined"}}),
    ];
    for context in contexts {
        let pod = with(plain(), "/spec/securityContext", context.clone());
        let patched = patched(&pod, &decide(&pod).1);
        assert_eq!(violations(&patched, &patched["spec"]["initContainers"][0]), Vec::<&str>::new(), "{context}");
    }
}

/// Generates JSON of limited size.
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

/// Generates strings, many of which have a meaning for injection.
fn key() -> impl Strategy<Value = String> {
    let meaningful = vec![
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
    prop_oneof![3 => proptest::sample::select(meaningful).prop_map(str::to_owned), 1 => string_regex(".{0,8}").unwrap()]
}

/// Generates pods that are mostly valid, with parts of any type.
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

/// Returns the pod without what an injection can add or change.
fn without_injection(pod: &Json) -> Json {
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
        Some(Json::Object(annotations)) => {
            annotations.retain(|key, _| ![INJECTED, WARNINGS_ANNOTATION, SAFE_TO_EVICT].contains(&key.as_str()));
        }
        Some(annotations @ Json::Null) => *annotations = json!({}),
        _ => {}
    }
    own
}

proptest! {
    #[test]
    fn injection_changes_nothing_else_and_is_idempotent(pod in any_pod()) {
        let (outcome, response) = decide(&pod);
        prop_assert_eq!(&response.refusal, &None);
        let once = patched(&pod, &response);
        prop_assert_eq!(without_injection(&once), without_injection(&pod));
        let (second, response) = decide(&once);
        prop_assert_eq!(patched(&once, &response), once);
        prop_assert_eq!(second, if outcome == Outcome::Injected { Outcome::Already } else { outcome });
    }

    #[test]
    fn no_json_causes_a_panic(body in json_value(), object in json_value()) {
        let _ = AdmissionRequest::read(&body).map(|review| inject(&review, &settings(), |_, _| true));
        let _ = decide(&object);
    }
}
