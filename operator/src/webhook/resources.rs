//! What a sidecar may use: the defaults, what annotations of its pod say, and what keeps the pod's class of service.

use serde_json::{Map, Value as Json};

use super::{pod, quantity::Quantity};

/// The least memory that a container can start with.
const LEAST_MEMORY: Quantity = Quantity::mebi(16);
/// Local storage, stated where all other containers of the pod state theirs: a quota may ask that of each.
const STORAGE: (&str, &str) = ("16Mi", "128Mi");

/// One kind of resource.
struct Kind {
    name: &'static str,
    request: &'static str,
    limit: &'static str,
    least_limit: Quantity,
}

const KINDS: [Kind; 2] = [
    Kind { name: "cpu", request: "5m", limit: "100m", least_limit: Quantity::ZERO },
    Kind { name: "memory", request: "16Mi", limit: "64Mi", least_limit: LEAST_MEMORY },
];

/// The `resources` of the sidecar of `pod`; what is wrong with its annotations is added to `warnings`, and the default
/// stands instead.
pub(super) fn of(pod: &Json, spec: &Json, warnings: &mut Vec<String>) -> Json {
    let (guaranteed, shared) = (is_guaranteed(spec), is_shared(spec));
    let (mut requests, mut limits) = (Map::new(), Map::new());
    for kind in &KINDS {
        let request = annotated(pod, kind, "request", warnings);
        let limit = annotated(pod, kind, "limit", warnings);
        let (request, limit) = match kind.settle(request, limit, guaranteed, shared) {
            Ok(settled) => settled,
            Err(wrong) => {
                warnings.push(wrong);
                kind.settle(None, None, guaranteed, shared).unwrap_or_default()
            }
        };
        requests.extend(request.map(|request| (kind.name.to_owned(), request.into())));
        limits.extend(limit.map(|limit| (kind.name.to_owned(), limit.into())));
    }
    if !shared && all_state_storage(spec) {
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

/// An annotation's amount, as it is written and as it is.
type Amount<'a> = Option<(&'a str, Quantity)>;

impl Kind {
    /// Request and limit. `shared`: the pod has resources of its own, which the sidecar takes its part of, unless
    /// annotations say otherwise.
    ///
    /// # Errors
    /// What annotations say contradicts itself; said in a sentence.
    fn settle(
        &self,
        request: Amount<'_>,
        limit: Amount<'_>,
        guaranteed: bool,
        shared: bool,
    ) -> Result<(Option<String>, Option<String>), String> {
        let own = |text: &str| Some(text.to_owned());
        // The defaults are quantities.
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
                return Err(format!("the {} request {request} is above the limit {limit}: defaults stand", self.name));
            }
            (Some((request, _)), Some((limit, _))) => (own(request), own(limit)),
        };
        match &limit {
            Some(limit) if amount(limit) <= Quantity::ZERO || amount(limit) < self.least_limit => {
                Err(format!("no sidecar can run with the {} limit {limit}: defaults stand", self.name))
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
        let cut: String = text.chars().take(32).collect();
        warnings.push(format!("annotation {key}: {cut:?} is no amount as 50m or 64Mi: the default stands"));
    }
    quantity.map(|quantity| (text, quantity))
}

/// Whether the pod is of the class Guaranteed: each container has limits of both kinds, and requests that are equal.
/// The API server has given requests to those that state limits alone.
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

/// Whether the pod has resources as a whole (Kubernetes 1.34): then what its containers ask for together may not be more.
fn is_shared(spec: &Json) -> bool {
    let stated = |field: &str| spec.get("resources")?.get(field)?.as_object().map(|amounts| !amounts.is_empty());
    stated("requests") == Some(true) || stated("limits") == Some(true)
}

fn all_state_storage(spec: &Json) -> bool {
    let states = |container: &Json| {
        ["limits", "requests"]
            .iter()
            .any(|of| container.pointer(&format!("/resources/{of}/ephemeral-storage")).is_some())
    };
    pod::containers(spec).all(states) && !pod::list(spec, "containers").is_empty()
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
    fn annotations_set_each_amount_and_the_other_keeps_up() {
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
    fn what_is_wrong_gives_the_default_and_a_warning() {
        let default = amounts(["5m", "100m"], ["16Mi", "64Mi"]);
        let cases = [
            (json!({"snmp-operator.dev/sidecar-cpu-limit": "lots"}), "\"lots\" is no amount"),
            (json!({"snmp-operator.dev/sidecar-cpu-limit": "0"}), "no sidecar can run with the cpu limit 0"),
            (json!({"snmp-operator.dev/sidecar-memory-limit": "1Mi"}), "no sidecar can run with the memory limit 1Mi"),
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
    fn a_guaranteed_pod_stays_one() {
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
    fn of_a_pod_with_resources_as_a_whole_it_takes_its_part() {
        let spec = json!({"resources": {"limits": {"cpu": "1"}}, "containers": [{}]});
        assert_eq!(resources(&json!({}), &spec), (json!({}), vec![]));
        let annotated = json!({"snmp-operator.dev/sidecar-cpu-request": "1m"});
        assert_eq!(resources(&annotated, &spec), (json!({"requests": {"cpu": "1m"}}), vec![]));
    }

    #[test]
    fn local_storage_is_stated_where_all_others_state_it() {
        let stating = json!({"resources": {"limits": {"ephemeral-storage": "1Gi"}}});
        let spec = json!({"containers": [stating, stating]});
        let (amounts, _) = resources(&json!({}), &spec);
        assert_eq!(amounts.pointer("/requests/ephemeral-storage"), Some(&"16Mi".into()));
        assert_eq!(amounts.pointer("/limits/ephemeral-storage"), Some(&"128Mi".into()));
        let (amounts, _) = resources(&json!({}), &json!({"containers": [stating, {}]}));
        assert_eq!(amounts.pointer("/limits/ephemeral-storage"), None);
    }
}
