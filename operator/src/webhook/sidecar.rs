//! The sidecar as it stands in a pod: a native sidecar container, its volumes, and what marks the pod.

use serde_json::{Value as Json, json};

use super::{pod, ports, resources};

/// The container's name.
pub const CONTAINER: &str = "snmp-sidecar";
/// The volume with configuration, credentials, token and labels.
pub(super) const CONFIGURATION: &str = "snmp-sidecar";
/// The volume with the sidecar's state.
pub(super) const STATE: &str = "snmp-sidecar-state";
/// The audience of the sidecar's token.
pub const AUDIENCE: &str = "snmp-operator.dev";

const CONFIGURATION_PATH: &str = "/var/run/snmp-operator";
const API_TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const STATE_PATH: &str = "/var/lib/snmp-sidecar";
/// How long a token holds, in seconds; the kubelet has a new one ready when a fifth of that is left.
const TOKEN_SECONDS: u32 = 3600;
/// The user of the sidecar's image.
const USER: u32 = 65532;

/// What sidecars are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The image.
    pub image: String,
    /// When to pull it; Kubernetes' own default where it is left out.
    pub image_pull_policy: Option<String>,
    /// The master's address, as `tls://snmp-master-agentx.snmp-system.svc:7705`.
    pub master_url: String,
    /// Where it asks for ConfigMaps to be written, as `https://snmp-operator-writes.snmp-system.svc:9444`; none if nowhere.
    pub operator_url: Option<String>,
    /// The operator's version, which the pod is marked with.
    pub version: String,
    /// The operator's own namespace, in which no pod gets a sidecar.
    pub system_namespace: String,
}

/// The container.
pub(super) fn container(pod: &Json, spec: &Json, settings: &Settings, warnings: &mut Vec<String>) -> Json {
    let labels = format!("{CONFIGURATION_PATH}/labels");
    let mut args = vec!["--config", CONFIGURATION_PATH, "--labels", &labels, "--state", STATE_PATH];
    args.extend(["--master", settings.master_url.as_str()]);
    if pod::has_host_network(spec) {
        // Two pods of a node share its ports, and the node's network need not see what the sidecar says of itself.
        args.extend(["--listen", "127.0.0.1:0", "--local-listen", "127.0.0.1:0"]);
        if !matches!(pod::text(spec, "/dnsPolicy"), Some("ClusterFirstWithHostNet" | "None")) {
            warnings.push(
                "the pod has hostNetwork: the sidecar finds its master only with dnsPolicy ClusterFirstWithHostNet"
                    .to_owned(),
            );
        }
    }
    let pod_name = json!({"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}});
    let mut env = vec![json!({"name": "SNMP_SIDECAR_POD_NAME", "valueFrom": pod_name})];
    if let Some(url) = &settings.operator_url {
        // Not as an argument: a sidecar of an earlier version would refuse one that it does not know.
        env.push(json!({"name": "SNMP_SIDECAR_OPERATOR", "value": url}));
    }
    let (ports, more) = ports::named(spec);
    if !ports.is_empty() {
        // A dollar sign, which Kubernetes would read as a reference, is in no port's name.
        env.push(json!({"name": "SNMP_SIDECAR_PORTS", "value": ports}));
    }
    if more {
        warnings.push("the pod has too many named ports: the sidecar knows the first of them".to_owned());
    }
    let container = json!({
        "name": CONTAINER,
        "image": settings.image,
        "restartPolicy": "Always",
        "args": args,
        "env": env,
        "resources": resources::of(pod, spec, warnings),
        "securityContext": security_context(spec),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": CONFIGURATION, "mountPath": CONFIGURATION_PATH, "readOnly": true},
            {"name": STATE, "mountPath": STATE_PATH},
            // In the place where the API server else puts the pod's own token, of which a sidecar has no need.
            {"name": CONFIGURATION, "mountPath": API_TOKEN_PATH, "readOnly": true},
        ],
    });
    let policy = settings.image_pull_policy.as_deref().map(|policy| ("imagePullPolicy", policy.into()));
    with(container, policy)
}

/// What the profile Restricted of the Pod Security Standards asks for. The user is the image's or the pod's own, so
/// that clusters that give each namespace a range of users take it, unless the pod's is root.
fn security_context(spec: &Json) -> Json {
    if pod::is_windows(spec) {
        // The API takes nothing else for Windows.
        return json!({"runAsNonRoot": true});
    }
    let context = json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": true,
        "runAsNonRoot": true,
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    let pod_user = spec.pointer("/securityContext/runAsUser").and_then(Json::as_u64);
    let own = (pod_user == Some(0)).then(|| [("runAsUser", USER.into()), ("runAsGroup", USER.into())]);
    with(context, own.into_iter().flatten())
}

/// The object with further fields.
fn with(mut object: Json, fields: impl IntoIterator<Item = (&'static str, Json)>) -> Json {
    if let Some(object) = object.as_object_mut() {
        object.extend(fields.into_iter().map(|(field, value)| (field.to_owned(), value)));
    }
    object
}

/// The volumes.
pub(super) fn volumes() -> [Json; 2] {
    let labels = json!({"path": "labels", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.labels"}});
    let sources = json!([
        {"configMap": {"name": crate::config_map::NAME, "optional": true}},
        {"secret": {"name": crate::config_map::NAME, "optional": true}},
        {"serviceAccountToken": {"audience": AUDIENCE, "expirationSeconds": TOKEN_SECONDS, "path": "token"}},
        {"downwardAPI": {"items": [labels]}},
    ]);
    [
        json!({"name": CONFIGURATION, "projected": {"sources": sources}}),
        json!({"name": STATE, "emptyDir": {"sizeLimit": "16Mi"}}),
    ]
}
