//! Sidecar injection: decides which pods get a sidecar, and builds the JSON Patch. Pure.
//!
//! A pod is never refused. The patch changes nothing that the pod's manifest sets, except one annotation with a list.

use serde_json::{Value as Json, json};

use super::{
    pod::{self, Labels},
    review::{AdmissionRequest, AdmissionResponse},
    sidecar::{self, CONFIGURATION, CONTAINER, STATE, Settings},
};

/// The label by which a pod requests a sidecar (`true`) or opts out (`false`).
const INJECT: &str = "snmp-operator.dev/inject";
/// The annotation that marks a pod with a sidecar. Its value is the operator's version.
const INJECTED: &str = "snmp-operator.dev/injected";
/// The annotation that repeats [`AdmissionResponse::warnings`]. Most pods are created by controllers, which do not show them.
const WARNINGS_ANNOTATION: &str = "snmp-operator.dev/injection-warnings";
/// The annotation that lists local volumes with which the cluster autoscaler can still evict a pod.
const SAFE_TO_EVICT: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes";
/// The maximum length of [`WARNINGS_ANNOTATION`], in characters.
const WARNINGS_LENGTH: usize = 1024;
/// The namespace of Kubernetes' own components.
const KUBE_SYSTEM: &str = "kube-system";

/// The outcome of an injection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// The pod gets a sidecar.
    Injected,
    /// The pod already has a sidecar.
    Already,
    /// No subtree selects the pod, and its label does not request a sidecar.
    NotSelected,
    /// The label of the pod opts out.
    OptedOut,
    /// The pod is in a namespace in which no pod gets a sidecar.
    Excluded,
    /// The pod is a static pod, or the mirror pod of one.
    Static,
    /// The pod uses the host's network, and its label does not request a sidecar.
    HostNetwork,
    /// The pod is for Windows, and its label does not request a sidecar.
    Windows,
    /// A container or volume of the pod has a name that the sidecar needs.
    NameTaken,
    /// The request is not the creation of a valid pod.
    NotApplicable,
    /// The decision failed or took too long.
    Failed,
}

impl Outcome {
    /// Returns the name of the outcome in metrics.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Injected => "injected",
            Self::Already => "already",
            Self::NotSelected => "not_selected",
            Self::OptedOut => "opted_out",
            Self::Excluded => "excluded",
            Self::Static => "static",
            Self::HostNetwork => "host_network",
            Self::Windows => "windows",
            Self::NameTaken => "name_taken",
            Self::NotApplicable => "not_applicable",
            Self::Failed => "failed",
        }
    }
}

/// Decides whether the pod gets a sidecar. `selects` returns whether a subtree of a namespace selects pods with the given
/// labels. It is called only if the decision depends on it.
pub(crate) fn inject(
    review: &AdmissionRequest<'_>,
    settings: &Settings,
    selects: impl FnOnce(&str, Labels<'_>) -> bool,
) -> (Outcome, AdmissionResponse) {
    let (pod, spec) = (review.object, review.object.get("spec").unwrap_or(&Json::Null));
    let mut warnings = Vec::new();
    let outcome = decide(review, spec, settings, selects, &mut warnings);
    let mut patch = Vec::new();
    let mut annotations = Vec::new();
    if outcome == Outcome::Injected {
        patch.extend(append(spec, "initContainers", [sidecar::container(pod, spec, settings, &mut warnings)]));
        patch.extend(append(spec, "volumes", sidecar::volumes()));
        annotations.push((INJECTED, settings.version.clone()));
        annotations.extend(safe_to_evict(pod).map(|list| (SAFE_TO_EVICT, list)));
    }
    // A pod that already has a sidecar got its warnings when the sidecar was injected.
    if !warnings.is_empty() && !matches!(outcome, Outcome::NotApplicable | Outcome::Already) {
        annotations.push((WARNINGS_ANNOTATION, warnings.join("; ").chars().take(WARNINGS_LENGTH).collect()));
    }
    patch.extend(annotate(pod, annotations));
    (outcome, AdmissionResponse { patch, warnings, refusal: None })
}

fn decide(
    review: &AdmissionRequest<'_>,
    spec: &Json,
    settings: &Settings,
    selects: impl FnOnce(&str, Labels<'_>) -> bool,
    warnings: &mut Vec<String>,
) -> Outcome {
    let pod = review.object;
    if review.kind != "Pod" || review.operation != "CREATE" || !review.sub_resource.is_empty() {
        return Outcome::NotApplicable;
    }
    if !is_patchable(pod, spec) {
        warnings.push("the pod got no SNMP sidecar: its metadata or spec has a field of the wrong type".to_owned());
        return Outcome::NotApplicable;
    }
    if review.namespace == KUBE_SYSTEM || review.namespace == settings.system_namespace {
        return Outcome::Excluded;
    }
    if pod::is_static(pod) {
        return Outcome::Static;
    }
    let is_requested = match pod::metadata(pod, "labels", INJECT) {
        Some("false") => return Outcome::OptedOut,
        Some("true") => true,
        Some(_) => {
            warnings.push(format!("the label {INJECT} is ignored: set it to \"true\" or \"false\""));
            false
        }
        None => false,
    };
    if !is_requested && !selects(review.namespace, Labels::of(pod)) {
        return Outcome::NotSelected;
    }
    if !is_requested && pod::is_windows(spec) {
        return Outcome::Windows;
    }
    if !is_requested && pod::has_host_network(spec) {
        return Outcome::HostNetwork;
    }
    existing(pod, spec, warnings).unwrap_or(Outcome::Injected)
}

/// Returns whether each field that the patch touches has the right type or is missing.
fn is_patchable(pod: &Json, spec: &Json) -> bool {
    let is_missing_or = |parent: &Json, field: &str, is: fn(&Json) -> bool| {
        parent.get(field).is_none_or(|value| value.is_null() || is(value))
    };
    let metadata = pod.get("metadata").unwrap_or(&Json::Null);
    metadata.is_object()
        && spec.is_object()
        && is_missing_or(metadata, "annotations", Json::is_object)
        && is_missing_or(spec, "initContainers", Json::is_array)
        && is_missing_or(spec, "volumes", Json::is_array)
}

/// Returns an outcome if the pod already has a sidecar, or a container or volume with one of its names.
fn existing(pod: &Json, spec: &Json, warnings: &mut Vec<String>) -> Option<Outcome> {
    let ephemeral = pod::list(spec, "ephemeralContainers");
    let container = pod::named(pod::containers(spec).chain(ephemeral), CONTAINER);
    let volume = |name: &str| pod::named(pod::list(spec, "volumes").iter(), name);
    let (configuration, state) = (volume(CONFIGURATION), volume(STATE));
    let ours = pod::named(pod::list(spec, "initContainers").iter(), CONTAINER).is_some_and(pod::is_sidecar)
        && configuration.is_some_and(|volume| volume.get("projected").is_some())
        && state.is_some()
        && pod::metadata(pod, "annotations", INJECTED).is_some();
    if ours {
        return Some(Outcome::Already);
    }
    let conflict = match (container, configuration, state) {
        (None, None, None) => return None,
        (Some(_), ..) => format!("container {CONTAINER}"),
        (None, Some(_), _) => format!("volume {CONFIGURATION}"),
        (None, None, Some(_)) => format!("volume {STATE}"),
    };
    warnings.push(format!("the pod got no SNMP sidecar: it has a {conflict} of its own. Rename it"));
    Some(Outcome::NameTaken)
}

/// Returns the operations that append `items` to the list `field` of the spec.
fn append(spec: &Json, field: &str, items: impl IntoIterator<Item = Json>) -> Vec<Json> {
    let path = format!("/spec/{field}");
    if spec.get(field).is_some_and(Json::is_array) {
        items.into_iter().map(|item| add(&format!("{path}/-"), item)).collect()
    } else {
        vec![add(&path, items.into_iter().collect::<Json>())]
    }
}

/// Returns the operations that set annotations.
fn annotate(pod: &Json, annotations: Vec<(&str, String)>) -> Vec<Json> {
    const PATH: &str = "/metadata/annotations";
    if pod.pointer(PATH).is_some_and(Json::is_object) {
        let set = |(key, value): (&str, String)| add(&format!("{PATH}/{}", escaped(key)), value);
        annotations.into_iter().map(set).collect()
    } else if annotations.is_empty() {
        Vec::new()
    } else {
        let map = annotations.into_iter().map(|(key, value)| (key.to_owned(), Json::from(value)));
        vec![add(PATH, Json::Object(map.collect()))]
    }
}

/// Returns the list of volumes with which the cluster autoscaler can evict the pod, including the sidecar's state.
/// Otherwise, the sidecar would prevent a scale-down. `None` if the pod's list already includes it.
fn safe_to_evict(pod: &Json) -> Option<String> {
    match pod::metadata(pod, "annotations", SAFE_TO_EVICT).map(str::trim) {
        None | Some("") => Some(STATE.to_owned()),
        Some(list) if list.split(',').any(|volume| volume.trim() == STATE) => None,
        Some(list) => Some(format!("{list},{STATE}")),
    }
}

fn add(path: &str, value: impl Into<Json>) -> Json {
    let value = value.into();
    json!({"op": "add", "path": path, "value": value})
}

/// Escapes a key for a JSON pointer (RFC 6901).
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests;
