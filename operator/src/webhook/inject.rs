//! Which pods get a sidecar, and the JSON Patch that gives it to them. Pure.
//!
//! No pod is ever refused here, and nothing of it is changed that it says itself, but for one annotation that is a list.

use serde_json::{Value as Json, json};

use super::{
    pod::{self, Labels},
    review::{Review, Verdict},
    sidecar::{self, CONFIGURATION, CONTAINER, STATE, Settings},
};

/// The label by which a pod asks for a sidecar, or refuses one.
const ASKED: &str = "snmp-operator.dev/inject";
/// The annotation that marks a pod with a sidecar.
const MARK: &str = "snmp-operator.dev/injected";
/// The annotation that tells what [`Verdict::warnings`] tell: pods are mostly made by controllers, which show none.
const TOLD: &str = "snmp-operator.dev/injection-warnings";
/// The annotation that lists volumes in spite of which the cluster autoscaler may move a pod.
const MOVABLE: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes";
/// The longest text of [`TOLD`], in characters.
const TOLD_LENGTH: usize = 1024;
/// Kubernetes' own namespace.
const KUBE_SYSTEM: &str = "kube-system";

/// What became of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// It got a sidecar.
    Injected,
    /// It has one already.
    Already,
    /// No subtree selects it, and it does not ask.
    NotSelected,
    /// It refuses one.
    OptedOut,
    /// It is in a namespace where no pod gets one.
    Excluded,
    /// It is a static pod, or the picture of one.
    Static,
    /// It has the host's network, and does not ask.
    HostNetwork,
    /// It is for Windows, and does not ask.
    Windows,
    /// It has a container or volume of the sidecar's name that is not the sidecar's.
    NameTaken,
    /// It is not about the creation of a pod.
    NotApplicable,
    /// Something failed here.
    Failed,
}

impl Outcome {
    /// As metrics show it.
    #[must_use]
    pub fn name(self) -> &'static str {
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

/// Decides about the pod that is asked about. `selects` says whether a subtree of a namespace selects pods of some
/// labels, and is asked only where that matters.
pub fn inject(
    review: &Review<'_>,
    settings: &Settings,
    selects: impl FnOnce(&str, Labels<'_>) -> bool,
) -> (Outcome, Verdict) {
    let (pod, spec) = (review.object, review.object.get("spec").unwrap_or(&Json::Null));
    let mut warnings = Vec::new();
    let outcome = judge(review, spec, settings, selects, &mut warnings);
    let mut patch = Vec::new();
    let mut annotations = Vec::new();
    if outcome == Outcome::Injected {
        patch.extend(append(spec, "initContainers", [sidecar::container(pod, spec, settings, &mut warnings)]));
        patch.extend(append(spec, "volumes", sidecar::volumes()));
        annotations.push((MARK, settings.version.clone()));
        annotations.extend(movable(pod).map(|list| (MOVABLE, list)));
    }
    // A pod that has its sidecar was told all there is to tell when it got it.
    if !warnings.is_empty() && !matches!(outcome, Outcome::NotApplicable | Outcome::Already) {
        annotations.push((TOLD, warnings.join("; ").chars().take(TOLD_LENGTH).collect()));
    }
    patch.extend(annotate(pod, annotations));
    (outcome, Verdict { patch, warnings, refusal: None })
}

fn judge(
    review: &Review<'_>,
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
        warnings.push("the pod got no SNMP sidecar: it is not made as pods are".to_owned());
        return Outcome::NotApplicable;
    }
    if review.namespace == KUBE_SYSTEM || review.namespace == settings.system_namespace {
        return Outcome::Excluded;
    }
    if pod::is_static(pod) {
        return Outcome::Static;
    }
    let asked = match pod::metadata(pod, "labels", ASKED) {
        Some("false") => return Outcome::OptedOut,
        Some("true") => true,
        Some(_) => {
            warnings.push(format!("label {ASKED} is neither \"true\" nor \"false\", and says nothing"));
            false
        }
        None => false,
    };
    if !asked && !selects(review.namespace, Labels::of(pod)) {
        return Outcome::NotSelected;
    }
    if !asked && pod::is_windows(spec) {
        return Outcome::Windows;
    }
    if !asked && pod::has_host_network(spec) {
        return Outcome::HostNetwork;
    }
    present(pod, spec, warnings).unwrap_or(Outcome::Injected)
}

/// Whether all that the patch is laid on is of the right type, or missing.
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

/// What is there of a sidecar's already: all of it, or something that only bears one of its names.
fn present(pod: &Json, spec: &Json, warnings: &mut Vec<String>) -> Option<Outcome> {
    let ephemeral = pod::list(spec, "ephemeralContainers");
    let container = pod::named(pod::containers(spec).chain(ephemeral), CONTAINER);
    let volume = |name: &str| pod::named(pod::list(spec, "volumes").iter(), name);
    let (configuration, state) = (volume(CONFIGURATION), volume(STATE));
    let ours = pod::named(pod::list(spec, "initContainers").iter(), CONTAINER).is_some_and(pod::is_sidecar)
        && configuration.is_some_and(|volume| volume.get("projected").is_some())
        && state.is_some()
        && pod::metadata(pod, "annotations", MARK).is_some();
    if ours {
        return Some(Outcome::Already);
    }
    let what = match (container, configuration, state) {
        (None, None, None) => return None,
        (Some(_), ..) => format!("container {CONTAINER}"),
        (None, Some(_), _) => format!("volume {CONFIGURATION}"),
        (None, None, Some(_)) => format!("volume {STATE}"),
    };
    warnings.push(format!("the pod got no SNMP sidecar: it has a {what} of its own"));
    Some(Outcome::NameTaken)
}

/// The operations that append `items` to the list `field` of the spec.
fn append(spec: &Json, field: &str, items: impl IntoIterator<Item = Json>) -> Vec<Json> {
    let path = format!("/spec/{field}");
    if spec.get(field).is_some_and(Json::is_array) {
        items.into_iter().map(|item| add(&format!("{path}/-"), item)).collect()
    } else {
        vec![add(&path, items.into_iter().collect::<Json>())]
    }
}

/// The operations that set annotations.
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

/// The list of volumes that do not keep the cluster autoscaler from moving the pod, with the sidecar's state: else the
/// sidecar would keep nodes alive. `None` where it is complete.
fn movable(pod: &Json) -> Option<String> {
    match pod::metadata(pod, "annotations", MOVABLE).map(str::trim) {
        None | Some("") => Some(STATE.to_owned()),
        Some(list) if list.split(',').any(|volume| volume.trim() == STATE) => None,
        Some(list) => Some(format!("{list},{STATE}")),
    }
}

fn add(path: &str, value: impl Into<Json>) -> Json {
    let value = value.into();
    json!({"op": "add", "path": path, "value": value})
}

/// A key as it stands in a JSON pointer (RFC 6901).
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests;
