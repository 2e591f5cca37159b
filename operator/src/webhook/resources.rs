//! The resources of a sidecar: defaults, annotations of the pod, and adjustments that preserve the pod's QoS class.

use serde_json::{Map, Value as Json};

use super::{pod, quantity::Quantity};

/// The minimum memory limit with which the sidecar can start.
const MIN_MEMORY: Quantity = Quantity::mebi(16);
/// The request and limit of ephemeral storage. They are set if all other containers of the pod set theirs, because a
/// ResourceQuota can require it of each container.
const STORAGE: (&str, &str) = ("16Mi", "128Mi");

/// A kind of resource, with its defaults.
struct Kind {
    name: &'static str,
    request: &'static str,
    limit: &'static str,
    min_limit: Quantity,
}

const KINDS: [Kind; 2] = [
    Kind { name: "cpu", request: "5m", limit: "100m", min_limit: Quantity::ZERO },
    Kind { name: "memory", request: "16Mi", limit: "64Mi", min_limit: MIN_MEMORY },
];

/// Returns the `resources` of the sidecar of `pod`. Invalid annotations add to `warnings`, and the defaults are used
/// instead.
pub(super) fn of(pod: &Json, spec: &Json, warnings: &mut Vec<String>) -> Json {
    let (guaranteed, shared) = (is_guaranteed(spec), has_pod_resources(spec));
    let (mut requests, mut limits) = (Map::new(), Map::new());
    for kind in &KINDS {
        let request = annotated(pod, kind, "request", warnings);
        let limit = annotated(pod, kind, "limit", warnings);
        let (request, limit) = match kind.amounts(request, limit, guaranteed, shared) {
            Ok(amounts) => amounts,
            Err(warning) => {
                warnings.push(warning);
                kind.amounts(None, None, guaranteed, shared).unwrap_or_default()
            }
        };
        requests.extend(request.map(|request| (kind.name.to_owned(), request.into())));
        limits.extend(limit.map(|limit| (kind.name.to_owned(), limit.into())));
    }
    if !shared && all_set_storage(spec) {
        let (request, limit) = STORAGE;
        let request = if guaranteed { limit } else { request };
        requests.insert("ephemeral-storage".to_owned(), request.into());
        limits.insert("ephemeral-storage".to_owned(), limit.into());
    }
    let mut resources = Map::new();
    for (name, amounts) in [("limits", limits), ("requests", requests)] {
        if !amounts.is_empty() {
            resources.insert(name.to_owned(), amounts.into());
        }
    }
    resources.into()
}

/// The amount in an annotation, as text and parsed.
type Amount<'a> = Option<(&'a str, Quantity)>;

impl Kind {
    /// Returns request and limit. With `shared`, the pod has pod-level resources, so the sidecar has only what its annotations
    /// set.
    ///
    /// # Errors
    /// Returns a warning if the annotations contradict each other, or if the sidecar cannot run with the limit.
    fn amounts(
        &self,
        request: Amount<'_>,
        limit: Amount<'_>,
        guaranteed: bool,
        shared: bool,
    ) -> Result<(Option<String>, Option<String>), String> {
        let own = |text: &str| Some(text.to_owned());
        // The defaults are valid quantities.
        let amount = |text: &str| Quantity::parse(text).unwrap_or(Quantity::ZERO);
        let (request, limit) = match (request, limit) {
            (None, None) if shared => (None, None),
            (Some((request, _)), None) if shared => (own(request), None),
            (None, None) if guaranteed => (own(self.limit), own(self.limit)),
            (None, None) => (own(self.request), own(self.limit)),
            (Some((both, _)), None) | (None, Some((both, _))) if guaranteed => (own(both), own(both)),
            (Some((request, needed)), None) => {
                let limit = if needed > amount(self.limit) { request } else { self.limit };
                (own(request), own(limit))
            }
            (None, Some((limit, most))) => {
                let request = if amount(self.request) > most { limit } else { self.request };
                (own(request), own(limit))
            }
            (Some((request, needed)), Some((limit, most))) if needed > most => {
                return Err(format!(
                    "the {} request {request} is above the limit {limit}; the defaults are used",
                    self.name
                ));
            }
            (Some((request, _)), Some((limit, _))) => (own(request), own(limit)),
        };
        match &limit {
            Some(limit) if amount(limit) <= Quantity::ZERO || amount(limit) < self.min_limit => {
                Err(format!("the sidecar cannot run with the {} limit {limit}; the defaults are used", self.name))
            }
            _ => Ok((request, limit)),
        }
    }
}

fn annotated<'a>(pod: &'a Json, kind: &Kind, which: &str, warnings: &mut Vec<String>) -> Amount<'a> {
    let key = format!("{}sidecar-{}-{which}", super::DOMAIN, kind.name);
    let text = pod::metadata(pod, "annotations", &key)?.trim();
    let quantity = Quantity::parse(text);
    if quantity.is_none() {
        let excerpt: String = text.chars().take(32).collect();
        warnings
            .push(format!("annotation {key}: {excerpt:?} is not a quantity such as 50m or 64Mi; the default is used"));
    }
    quantity.map(|quantity| (text, quantity))
}

/// Returns whether the pod has the QoS class Guaranteed: each container has limits for CPU and memory, and equal requests.
/// A missing request defaults to the limit.
fn is_guaranteed(spec: &Json) -> bool {
    let amount = |container: &Json, pointer: &str| pod::text(container, pointer).and_then(Quantity::parse);
    let is_fixed = |container: &Json| {
        KINDS.iter().all(|Kind { name, .. }| {
            let limit = amount(container, &format!("/resources/limits/{name}"));
            let request = amount(container, &format!("/resources/requests/{name}")).or(limit);
            limit.is_some_and(|limit| limit > Quantity::ZERO) && request == limit
        })
    };
    !pod::list(spec, "containers").is_empty() && pod::containers(spec).all(is_fixed)
}

/// Returns whether the pod has pod-level resources (Kubernetes 1.34), which the sum of its containers' requests must not
/// exceed.
fn has_pod_resources(spec: &Json) -> bool {
    let has = |field: &str| spec.get("resources")?.get(field)?.as_object().map(|amounts| !amounts.is_empty());
    has("requests") == Some(true) || has("limits") == Some(true)
}

/// Returns whether all containers set ephemeral storage.
fn all_set_storage(spec: &Json) -> bool {
    let sets = |container: &Json| {
        ["limits", "requests"]
            .iter()
            .any(|of| container.pointer(&format!("/resources/{of}/ephemeral-storage")).is_some())
    };
    pod::containers(spec).all(sets) && !pod::list(spec, "containers").is_empty()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resources(annotations: &Json, spec: &Json) -> (Json, Vec<String>) {
        let pod = json!({"metadata": {"annotations": annotations}, "spec": spec});
        let mut warnings = Vec::new();
        (of(&pod, spec, &mut warnings), warnings)
    }

    fn amounts(cpu: [&str; 2], memory: [&str; 2]) -> Json {
        json!({"requests": {"cpu": cpu[0], "memory": memory[0]}, "limits": {"cpu": cpu[1], "memory": memory[1]}})
    }

    fn burstable() -> Json {
        json!({"containers": [{"resources": {"requests": {"cpu": "1"}}}]})
    }

    fn guaranteed() -> Json {
        let one = json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1024Mi"}});
        json!({"containers": [{"resources": one}], "initContainers": [{"resources": one}]})
    }

    #[test]
    fn annotations_set_amounts_and_adjust_the_other_one() {
        let (cpu, memory) = (["5m", "100m"], ["16Mi", "64Mi"]);
        let key = |of: &str| format!("snmp-operator.dev/sidecar-{of}");
        let cases = [
            (vec![], amounts(cpu, memory)),
            (vec![("cpu-request", "20m")], amounts(["20m", "100m"], memory)),
            (vec![("cpu-request", "200m")], amounts(["200m", "200m"], memory)),
            (vec![("cpu-limit", "1")], amounts(["5m", "1"], memory)),
            (vec![("cpu-limit", "2m")], amounts(["2m", "2m"], memory)),
            (vec![("memory-limit", " 128Mi\n")], amounts(cpu, ["16Mi", "128Mi"])),
            (vec![("memory-request", "0"), ("memory-limit", "1Gi")], amounts(cpu, ["0", "1Gi"])),
        ];
        for (annotations, expected) in cases {
            let annotations: Map<String, Json> =
                annotations.into_iter().map(|(of, text)| (key(of), text.into())).collect();
            assert_eq!(resources(&annotations.into(), &burstable()), (expected, vec![]));
        }
    }

    #[test]
    fn invalid_annotations_give_defaults_and_a_warning() {
        let default = amounts(["5m", "100m"], ["16Mi", "64Mi"]);
        let cases = [
            (json!({"snmp-operator.dev/sidecar-cpu-limit": "lots"}), "\"lots\" is not a quantity"),
            (json!({"snmp-operator.dev/sidecar-cpu-limit": "0"}), "the sidecar cannot run with the cpu limit 0"),
            (
                json!({"snmp-operator.dev/sidecar-memory-limit": "1Mi"}),
                "the sidecar cannot run with the memory limit 1Mi",
            ),
            (
                json!({"snmp-operator.dev/sidecar-cpu-limit": "1", "snmp-operator.dev/sidecar-cpu-request": "2"}),
                "the cpu request 2 is above the limit 1",
            ),
        ];
        for (annotations, warning) in cases {
            let (amounts, warnings) = resources(&annotations, &burstable());
            assert_eq!(amounts, default, "{annotations}");
            assert!(warnings.len() == 1 && warnings[0].contains(warning), "{warnings:?}");
        }
    }

    #[test]
    fn a_guaranteed_pod_stays_guaranteed() {
        let none = json!({});
        assert_eq!(resources(&none, &guaranteed()).0, amounts(["100m", "100m"], ["64Mi", "64Mi"]));
        let request = json!({"snmp-operator.dev/sidecar-cpu-request": "50m"});
        assert_eq!(resources(&request, &guaranteed()).0, amounts(["50m", "50m"], ["64Mi", "64Mi"]));
        let mut almost = guaranteed();
        almost["initContainers"][0]["resources"]["requests"]["cpu"] = "999m".into();
        assert_eq!(resources(&none, &almost).0, amounts(["5m", "100m"], ["16Mi", "64Mi"]));
        let mut without_requests = guaranteed();
        without_requests["containers"][0]["resources"].as_object_mut().unwrap().remove("requests");
        assert_eq!(resources(&none, &without_requests).0, amounts(["100m", "100m"], ["64Mi", "64Mi"]));
    }

    #[test]
    fn a_pod_with_pod_level_resources_gives_no_defaults() {
        let spec = json!({"resources": {"limits": {"cpu": "1"}}, "containers": [{}]});
        assert_eq!(resources(&json!({}), &spec), (json!({}), vec![]));
        let annotated = json!({"snmp-operator.dev/sidecar-cpu-request": "1m"});
        assert_eq!(resources(&annotated, &spec), (json!({"requests": {"cpu": "1m"}}), vec![]));
    }

    #[test]
    fn ephemeral_storage_is_set_if_all_other_containers_set_it() {
        let with_storage = json!({"resources": {"limits": {"ephemeral-storage": "1Gi"}}});
        let spec = json!({"containers": [with_storage, with_storage]});
        let (amounts, _) = resources(&json!({}), &spec);
        assert_eq!(amounts.pointer("/requests/ephemeral-storage"), Some(&"16Mi".into()));
        assert_eq!(amounts.pointer("/limits/ephemeral-storage"), Some(&"128Mi".into()));
        let (amounts, _) = resources(&json!({}), &json!({"containers": [with_storage, {}]}));
        assert_eq!(amounts.pointer("/limits/ephemeral-storage"), None);
    }
}
