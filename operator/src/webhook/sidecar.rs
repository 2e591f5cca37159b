//! The injected sidecar: a native sidecar container and its volumes.

use serde_json::{Value as Json, json};

use super::{pod, ports, resources};
use crate::plan::SIDECAR_CONFIGURATION;

/// The name of the container.
pub(crate) const CONTAINER: &str = "snmp-sidecar";
/// The name of the volume with configuration, credentials, token and labels.
pub(super) const CONFIGURATION: &str = "snmp-sidecar";
/// The name of the volume with the sidecar's state directory.
pub(super) const STATE: &str = "snmp-sidecar-state";
/// The audience of the sidecar's ServiceAccount token.
pub(crate) const AUDIENCE: &str = "snmp-operator.dev";

const CONFIGURATION_PATH: &str = "/var/run/snmp-operator";
const API_TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const STATE_PATH: &str = "/var/lib/snmp-sidecar";
/// The lifetime of a token, in seconds. The kubelet renews it when a fifth of this time is left.
const TOKEN_SECONDS: u32 = 3600;
/// The user in the sidecar's image.
const USER: u32 = 65532;

/// The settings of injected sidecars.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The image.
    pub(crate) image: String,
    /// The image pull policy. `None` for the default of Kubernetes.
    pub(crate) image_pull_policy: Option<String>,
    /// The URL of the masters, for example `tls://snmp-master-agentx.snmp-system.svc:7705`.
    pub(crate) master_url: String,
    /// The URL for writes of ConfigMaps, for example `https://snmp-operator-writes.snmp-system.svc:9444`. `None` if the
    /// operator writes none.
    pub(crate) operator_url: Option<String>,
    /// The version of the operator, for the annotation of the pod.
    pub(crate) version: String,
    /// The operator's own namespace, in which no pod gets a sidecar.
    pub(crate) system_namespace: String,
}

/// Returns the sidecar container. Adds to `warnings` what the user of the pod should know.
pub(super) fn container(pod: &Json, spec: &Json, settings: &Settings, warnings: &mut Vec<String>) -> Json {
    let labels = format!("{CONFIGURATION_PATH}/labels");
    let mut args = vec!["--config", CONFIGURATION_PATH, "--labels", &labels, "--state", STATE_PATH];
    args.extend(["--master", settings.master_url.as_str()]);
    if pod::has_host_network(spec) {
        // All pods with the host's network share its ports, and metrics and status must not be open to the node's network.
        args.extend(["--listen", "127.0.0.1:0", "--local-listen", "127.0.0.1:0"]);
        if !matches!(pod::text(spec, "/dnsPolicy"), Some("ClusterFirstWithHostNet" | "None")) {
            warnings.push(
                "the pod has hostNetwork: set dnsPolicy to ClusterFirstWithHostNet, or the sidecar does not find its master"
                    .to_owned(),
            );
        }
    }
    let pod_name = json!({"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}});
    let mut env = vec![json!({"name": "SNMP_SIDECAR_POD_NAME", "valueFrom": pod_name})];
    if let Some(url) = &settings.operator_url {
        // Not an argument, because an older sidecar refuses unknown arguments.
        env.push(json!({"name": "SNMP_SIDECAR_OPERATOR", "value": url}));
    }
    let (ports, more) = ports::named(spec);
    if !ports.is_empty() {
        // Port names contain no dollar sign, which Kubernetes would expand.
        env.push(json!({"name": "SNMP_SIDECAR_PORTS", "value": ports}));
    }
    if more {
        let limit = ports::PORTS;
        warnings.push(format!("the pod has too many named ports: the sidecar knows only the first {limit}"));
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
            // Hides the token that the API server would mount here, because a sidecar does not need it.
            {"name": CONFIGURATION, "mountPath": API_TOKEN_PATH, "readOnly": true},
        ],
    });
    let policy = settings.image_pull_policy.as_deref().map(|policy| ("imagePullPolicy", policy.into()));
    with(container, policy)
}

/// Returns a security context that satisfies the profile Restricted of the Pod Security Standards. The user is that of the
/// pod or of the image, because some clusters assign a range of users to each namespace. Only if the pod's user is root, it
/// is replaced.
fn security_context(spec: &Json) -> Json {
    if pod::is_windows(spec) {
        // The API allows no other fields for Windows.
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

/// Returns the object with additional fields.
fn with(mut object: Json, fields: impl IntoIterator<Item = (&'static str, Json)>) -> Json {
    if let Some(object) = object.as_object_mut() {
        object.extend(fields.into_iter().map(|(field, value)| (field.to_owned(), value)));
    }
    object
}

/// Returns the volumes of the sidecar.
pub(super) fn volumes() -> [Json; 2] {
    let labels = json!({"path": "labels", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.labels"}});
    let sources = json!([
        {"configMap": {"name": SIDECAR_CONFIGURATION, "optional": true}},
        {"secret": {"name": SIDECAR_CONFIGURATION, "optional": true}},
        {"serviceAccountToken": {"audience": AUDIENCE, "expirationSeconds": TOKEN_SECONDS, "path": "token"}},
        {"downwardAPI": {"items": [labels]}},
    ]);
    [
        json!({"name": CONFIGURATION, "projected": {"sources": sources}}),
        json!({"name": STATE, "emptyDir": {"sizeLimit": "16Mi"}}),
    ]
}
