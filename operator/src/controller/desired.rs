//! The desired state: what the controllers write for the inputs. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crds::{Pods, SnmpTrapTarget};
use kube::ResourceExt;
use master_config::{Document, Listeners};

use crate::{
    conditions::Unresolved,
    index::{DataObject, Inputs, Key, Pod, key},
    plan::{
        self, CA_KEY, Delivery, Kind, MAX_OBJECT_OCTETS, ObjectId, Origin, Plan, Planned, Refusal,
        SIDECAR_CONFIGURATION, Settings,
    },
};

/// The parameters of the desired state, besides the inputs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parameters {
    /// The settings of plans.
    pub(crate) settings: Settings,
    /// Where the masters listen.
    pub(crate) listeners: Listeners,
    /// Whether the Secrets and ConfigMaps of sources are read.
    pub(crate) read_secrets: bool,
    /// The CA bundle by which sidecars verify the masters, in PEM.
    pub(crate) ca: Option<String>,
}

/// The desired state of a namespace.
#[derive(Debug, Clone, Default)]
pub(crate) struct Namespace {
    /// The data of the ConfigMap.
    pub(crate) config_map: BTreeMap<String, String>,
    /// The data of the Secret. If it is empty, there is no Secret.
    pub(crate) secret: BTreeMap<String, Vec<u8>>,
    /// The names and uids of the subtrees in the ConfigMap.
    pub(crate) owners: Vec<(String, String)>,
    /// The pods with a sidecar that serve one of these subtrees.
    pub(crate) pods: Vec<(Key, Arc<Pod>)>,
    /// Whether the namespace is being deleted.
    pub(crate) deleting: bool,
}

/// What the status of a subtree needs.
#[derive(Debug, Clone, Default)]
pub(crate) struct SubtreeSummary {
    /// The key of its document in the ConfigMap. `None` if the subtree is refused.
    pub(crate) document: Option<String>,
    /// Its base OID.
    pub(crate) oid: master_config::Oid,
    /// The names of its SNMP contexts.
    pub(crate) contexts: Vec<String>,
    /// Its references that do not resolve.
    pub(crate) unresolved: Vec<Unresolved>,
    /// The pods that it selects.
    pub(crate) pods: Pods,
    /// The number of its scalars and columns.
    pub(crate) objects: i32,
}

/// The desired state.
#[derive(Debug, Clone, Default)]
pub(crate) struct Desired {
    /// The namespaces, by name.
    pub(crate) namespaces: BTreeMap<String, Namespace>,
    /// The shards of the masters' configuration. Empty if the listeners are invalid.
    pub(crate) shards: Vec<Document>,
    /// All subtrees.
    pub(crate) subtrees: BTreeMap<Key, SubtreeSummary>,
    /// The number of subtrees in each SNMP context.
    pub(crate) in_context: BTreeMap<String, i32>,
    /// The references of each trap target that do not resolve.
    pub(crate) trap_targets: BTreeMap<Key, Vec<Unresolved>>,
    /// The refusals of each object.
    pub(crate) refusals: BTreeMap<ObjectId, Vec<Refusal>>,
    /// Why the listeners are invalid, if they are.
    pub(crate) listener_error: Option<String>,
}

/// Computes the desired state.
#[must_use]
pub(crate) fn desired(inputs: &Inputs, parameters: &Parameters) -> Desired {
    let reserved = parameters.ca.as_ref().map_or(0, |ca| ca.len() + CA_KEY.len());
    let delivery = Delivery::Cluster { listeners: parameters.listeners.clone(), reserved };
    let objects = inputs.objects(&parameters.settings.system_namespace);
    let Plan { subtrees, documents, master, refusals, .. } = plan::plan(&objects, &parameters.settings, &delivery);
    let mut desired = Desired::default();
    match master {
        Ok(shards) => desired.shards = shards,
        Err(violations) => {
            let messages: Vec<_> = violations.iter().map(ToString::to_string).collect();
            desired.listener_error = Some(messages.join("; "));
        }
    }
    for (name, documents) in documents {
        desired.namespaces.entry(name).or_default().config_map = documents;
    }
    for subtree in &inputs.subtrees {
        let mut summary = SubtreeSummary::default();
        let namespace = subtree.metadata.namespace.as_deref().unwrap_or_default();
        for (_, pod) in inputs.pods.get(namespace).into_iter().flatten().filter(|(_, pod)| !pod.deleting) {
            if plan::selects(&subtree.spec.selector, |key| pod.label(key)) {
                summary.pods.matched += 1;
                summary.pods.injected += i32::from(pod.injected);
            }
        }
        desired.subtrees.insert(key(&**subtree), summary);
    }
    for namespace in desired.namespaces.values_mut() {
        if let Some(ca) = &parameters.ca {
            namespace.config_map.insert(CA_KEY.to_owned(), ca.clone());
        }
    }
    add_served(&subtrees, inputs, parameters, &mut desired);
    for (name, namespace) in &mut desired.namespaces {
        namespace.deleting = inputs.namespaces.get(name).is_some_and(|kept| kept.deleting);
    }
    for target in &inputs.trap_targets {
        desired.trap_targets.insert(key(&**target), target_credentials(target, inputs, parameters));
    }
    for refusal in refusals {
        desired.refusals.entry(refusal.object.clone()).or_default().push(refusal);
    }
    desired
}

/// Adds what follows from the subtrees that are served.
fn add_served(subtrees: &[Planned], inputs: &Inputs, parameters: &Parameters, desired: &mut Desired) {
    let by_key: BTreeMap<_, _> = inputs.subtrees.iter().map(|subtree| (key(&**subtree), subtree)).collect();
    let mut selectors = BTreeMap::<&str, Vec<&crds::LabelSelector>>::new();
    let mut files = Files::default();
    for planned in subtrees {
        let document = &planned.document;
        let id = Key::new(&*document.namespace, &*document.name);
        let Some(subtree) = by_key.get(&id) else { continue };
        let namespace = desired.namespaces.entry(document.namespace.clone()).or_default();
        namespace.owners.push((document.name.clone(), subtree.uid().unwrap_or_default()));
        selectors.entry(&document.namespace).or_default().push(&subtree.spec.selector);
        let summary = desired.subtrees.entry(id).or_default();
        summary.document = Some(sidecar_config::file_name(&document.name));
        summary.oid = document.oid.clone();
        summary.contexts.clone_from(&document.contexts);
        let columns = document.tables.iter().map(|table| table.columns.len()).sum::<usize>();
        summary.objects = i32::try_from(document.scalars.len() + columns).unwrap_or(i32::MAX);
        for (file, origin) in &planned.credentials {
            let value = credential(origin, &document.namespace, inputs, parameters);
            let added = value.and_then(|value| files.add(namespace, &document.namespace, file, origin, value));
            // A ConfigMap that cannot be read is reported once, and not for each of its keys.
            let error = added.err().filter(|unresolved| !summary.unresolved.contains(unresolved));
            summary.unresolved.extend(error);
        }
        for context in &document.contexts {
            *desired.in_context.entry(context.clone()).or_default() += 1;
        }
    }
    for (name, selectors) in selectors {
        let pods = inputs.pods.get(name).into_iter().flatten();
        let serving = pods.filter(|(_, pod)| {
            pod.injected && !pod.deleting && selectors.iter().any(|one| plan::selects(one, |key| pod.label(key)))
        });
        desired.namespaces.entry(name.to_owned()).or_default().pods = serving.cloned().collect();
    }
}

/// The files beside the documents, with the sizes of the objects that hold them.
#[derive(Default)]
struct Files<'a> {
    /// The octets of keys and values in the ConfigMap and in the Secret of each namespace.
    sizes: BTreeMap<&'a str, (usize, usize)>,
}

impl<'a> Files<'a> {
    /// Adds a value from a Secret to the namespace's Secret, and one from a ConfigMap to its ConfigMap.
    fn add(
        &mut self,
        namespace: &mut Namespace,
        name: &'a str,
        file: &str,
        origin: &Origin,
        value: &[u8],
    ) -> Result<(), Unresolved> {
        let (in_map, in_secret) = self.sizes.entry(name).or_insert_with(|| {
            let documents = namespace.config_map.iter().map(|(key, text)| key.len() + text.len());
            (documents.sum(), 0)
        });
        let (kind, size, exists) = match origin {
            Origin::Secret(_) => ("Secret", in_secret, namespace.secret.contains_key(file)),
            Origin::ConfigMap(_) => ("ConfigMap", in_map, namespace.config_map.contains_key(file)),
        };
        if exists {
            return Ok(());
        }
        let grown = *size + file.len() + value.len();
        if grown > MAX_OBJECT_OCTETS {
            let message = format!(
                "{origin} does not fit into the {kind} {SIDECAR_CONFIGURATION}, which is limited to {MAX_OBJECT_OCTETS} octets"
            );
            return Err(Unresolved { reason: "TooLarge", message });
        }
        match origin {
            Origin::Secret(_) => _ = namespace.secret.insert(file.to_owned(), value.to_vec()),
            Origin::ConfigMap(_) => {
                let text = std::str::from_utf8(value).map_err(|_| Unresolved {
                    reason: "NotText",
                    message: format!("{origin} in the namespace {name} is not UTF-8 text"),
                })?;
                namespace.config_map.insert(file.to_owned(), text.to_owned());
            }
        }
        *size = grown;
        Ok(())
    }
}

/// Returns the value of a credential.
fn credential<'a>(
    origin: &Origin,
    namespace: &str,
    inputs: &'a Inputs,
    parameters: &Parameters,
) -> Result<&'a [u8], Unresolved> {
    let (kind, resource, store, name, key) = match origin {
        Origin::Secret(reference) => ("Secret", "secret", &inputs.readable_secrets, &reference.name, &reference.key),
        Origin::ConfigMap(reference) => {
            ("ConfigMap", "configmap", &inputs.readable_config_maps, &reference.name, &reference.key)
        }
    };
    let not_readable = if kind == "Secret" { "SecretNotReadable" } else { "ConfigMapNotReadable" };
    if !parameters.read_secrets {
        let message =
            format!("{kind} {namespace}/{name} is not read, because the operator runs with --read-secrets=false");
        return Err(Unresolved { reason: not_readable, message });
    }
    let data = readable(store, namespace, name).ok_or_else(|| {
        let message = format!(
            "{kind} {namespace}/{name} does not exist, or lacks the label that allows the operator to read it: \
             kubectl label {resource} {name} -n {namespace} {}=true",
            crate::index::READABLE
        );
        Unresolved { reason: not_readable, message }
    })?;
    let value = data.data.get(&**key).map(Vec::as_slice);
    value.ok_or_else(|| {
        let message = format!("{kind} {namespace}/{name} has no key {key}");
        Unresolved { reason: "NoSuchKey", message }
    })
}

fn readable<'a>(store: &'a BTreeMap<Key, Arc<DataObject>>, namespace: &str, name: &str) -> Option<&'a Arc<DataObject>> {
    store.get(&Key::new(namespace, name))
}

/// Returns the references of a trap target to Secrets that do not resolve. Secrets in the operator's own namespace need no
/// label.
fn target_credentials(target: &SnmpTrapTarget, inputs: &Inputs, parameters: &Parameters) -> Vec<Unresolved> {
    let namespace = target.metadata.namespace.as_deref().unwrap_or_default();
    let community = target.spec.community_ref.as_ref().map(|reference| (&reference.name, vec![&*reference.key]));
    let user = target.spec.user.as_ref().map(|user| {
        let keys: &[&str] = match user.security_level {
            crds::SecurityLevel::NoAuthNoPriv => &[],
            crds::SecurityLevel::AuthNoPriv => &["authProtocol", "authPassphrase"],
            crds::SecurityLevel::AuthPriv => &["authProtocol", "authPassphrase", "privProtocol", "privPassphrase"],
        };
        (&user.secret_ref.name, keys.to_vec())
    });
    let mut unresolved = Vec::new();
    for (name, keys) in community.into_iter().chain(user) {
        let own = namespace == parameters.settings.system_namespace;
        let data =
            if own { inputs.system_secrets.get(&**name) } else { readable(&inputs.readable_secrets, namespace, name) };
        match data {
            Some(data) => {
                let missing: BTreeSet<_> = keys.into_iter().filter(|key| !data.data.contains_key(*key)).collect();
                unresolved.extend(missing.into_iter().map(|key| Unresolved {
                    reason: "NoSuchKey",
                    message: format!("Secret {namespace}/{name} has no key {key}"),
                }));
            }
            None if own => unresolved
                .push(Unresolved { reason: "NoSuchSecret", message: format!("there is no Secret {namespace}/{name}") }),
            None => {
                let reference = crds::SecretKey { name: name.clone(), key: "".into() };
                unresolved.extend(credential(&Origin::Secret(reference), namespace, inputs, parameters).err());
            }
        }
    }
    unresolved
}

/// Returns the refusals of an object.
#[must_use]
pub(crate) fn refusals_of<'a>(desired: &'a Desired, kind: Kind, key: &Key) -> Vec<&'a Refusal> {
    let id = ObjectId { kind, namespace: key.namespace.clone(), name: key.name.clone() };
    desired.refusals.get(&id).into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use crds::{SnmpContext, SnmpSubtree};
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::index::NamespaceInfo;

    fn parameters() -> Parameters {
        Parameters {
            settings: Settings::default(),
            listeners: Listeners::default(),
            read_secrets: true,
            ca: Some("PEM".to_owned()),
        }
    }

    fn subtree(namespace: &str, name: &str, oid: &str, source: &Json) -> Arc<SnmpSubtree> {
        let scalar = |i: usize| {
            json!({
                "name": format!("object{i}"), "oid": i.to_string(), "syntax": "Gauge32",
                "value": {"source": "app", "metric": format!("metric_{i}"), "matchLabels": {"instance": "a"}},
            })
        };
        let object = json!({
            "apiVersion": "snmp-operator.dev/v1alpha1", "kind": "SnmpSubtree",
            "metadata": {"namespace": namespace, "name": name, "uid": format!("uid-{namespace}-{name}")},
            "spec": {
                "oid": oid,
                "selector": {"matchLabels": {"app": "web"}},
                "sources": [{"name": "app", "prometheus": source}],
                "scalars": (1..=20).map(scalar).collect::<Vec<_>>(),
            },
        });
        Arc::new(serde_json::from_value(object).unwrap())
    }

    fn with_token() -> Json {
        json!({"port": 8080, "authorization": {"credentials": {"name": "api-key", "key": "token"}}})
    }

    fn secret(key: &str) -> Arc<DataObject> {
        Arc::new(DataObject { data: [(key.to_owned(), b"t".to_vec())].into(), readable: true, ..DataObject::default() })
    }

    fn pod(injected: bool, deleting: bool) -> Arc<Pod> {
        Arc::new(Pod { labels: Box::new([("app".into(), "web".into())]), injected, deleting, configuration: None })
    }

    fn inputs(subtrees: Vec<Arc<SnmpSubtree>>) -> Inputs {
        Inputs { subtrees, ..Inputs::default() }
    }

    #[test]
    fn a_namespace_has_its_documents_and_the_ca_bundle() {
        let subtrees = vec![subtree("acme", "one", "1.3.6.1.4.1.9.9.9.1", &json!({"port": 8080}))];
        let desired = desired(&inputs(subtrees), &parameters());
        let namespace = &desired.namespaces["acme"];
        assert_eq!(namespace.config_map.keys().collect::<Vec<_>>(), ["ca.crt", "subtree.one.json"]);
        assert_eq!(namespace.owners, [("one".to_owned(), "uid-acme-one".to_owned())]);
        assert!(namespace.secret.is_empty());
        let summary = &desired.subtrees[&Key::new("acme", "one")];
        assert_eq!((summary.objects, summary.contexts.as_slice()), (20, &[String::new()][..]));
        assert_eq!(desired.in_context[""], 1);
    }

    #[test]
    fn only_readable_credentials_are_copied() {
        let subtrees = vec![subtree("acme", "one", "1.3.6.1.4.1.9.9.9.1", &with_token())];
        let mut inputs = inputs(subtrees);
        let unresolved = |inputs: &Inputs, parameters: &Parameters| {
            let desired = desired(inputs, parameters);
            assert!(desired.namespaces["acme"].secret.is_empty());
            let unresolved = &desired.subtrees[&Key::new("acme", "one")].unresolved;
            (unresolved[0].reason, unresolved[0].message.clone())
        };
        let (reason, message) = unresolved(&inputs, &parameters());
        assert_eq!(reason, "SecretNotReadable");
        assert!(message.ends_with("kubectl label secret api-key -n acme snmp-operator.dev/readable=true"), "{message}");
        inputs.readable_secrets.insert(Key::new("acme", "api-key"), secret("other"));
        assert_eq!(unresolved(&inputs, &parameters()).0, "NoSuchKey");
        inputs.readable_secrets.insert(Key::new("acme", "api-key"), secret("token"));
        let (reason, message) = unresolved(&inputs, &Parameters { read_secrets: false, ..parameters() });
        assert!(reason == "SecretNotReadable" && message.contains("--read-secrets=false"), "{message}");
        let desired = desired(&inputs, &parameters());
        assert_eq!(desired.namespaces["acme"].secret["secret.api-key.token"], b"t");
        assert!(desired.subtrees[&Key::new("acme", "one")].unresolved.is_empty());
    }

    /// Returns a subtree that shows keys of the ConfigMap `settings`.
    fn settings(name: &str, oid: &str, keys: &[&str]) -> Arc<SnmpSubtree> {
        let scalars = keys.iter().enumerate().map(|(i, key)| {
            json!({
                "name": format!("object{i}"), "oid": (i + 1).to_string(), "syntax": "DisplayString",
                "value": {"source": "settings", "metric": key},
            })
        });
        let object = json!({
            "apiVersion": "snmp-operator.dev/v1alpha1", "kind": "SnmpSubtree",
            "metadata": {"namespace": "acme", "name": name, "uid": format!("uid-{name}")},
            "spec": {
                "oid": oid,
                "selector": {"matchLabels": {"app": "web"}},
                "sources": [{"name": "settings", "configMap": {"name": "settings"}}],
                "scalars": scalars.collect::<Vec<_>>(),
            },
        });
        Arc::new(serde_json::from_value(object).unwrap())
    }

    fn map(values: &[(&str, &[u8])]) -> Arc<DataObject> {
        let data = values.iter().map(|(key, value)| ((*key).to_owned(), value.to_vec())).collect();
        Arc::new(DataObject { data, readable: true, ..DataObject::default() })
    }

    #[test]
    fn shown_keys_of_a_config_map_are_mirrored_beside_the_documents() {
        let mut inputs = inputs(vec![settings("one", "1.3.6.1.4.1.9.9.9.1", &["log_level", "motd", "binary"])]);
        let mirror = |inputs: &Inputs| {
            let desired = desired(inputs, &parameters());
            let namespace = &desired.namespaces["acme"];
            assert!(namespace.secret.is_empty(), "there is a Secret without credentials");
            let unresolved = &desired.subtrees[&Key::new("acme", "one")].unresolved;
            let unresolved: Vec<_> = unresolved.iter().map(|one| (one.reason, one.message.clone())).collect();
            let mirrored = namespace.config_map.iter().filter(|(file, _)| file.starts_with("configmap."));
            (mirrored.map(|(file, text)| (file.clone(), text.clone())).collect::<Vec<_>>(), unresolved)
        };
        let (mirrored, unresolved) = mirror(&inputs);
        assert!(mirrored.is_empty());
        assert_eq!(unresolved.iter().map(|(reason, _)| *reason).collect::<Vec<_>>(), ["ConfigMapNotReadable"]);
        assert!(unresolved[0].1.ends_with("kubectl label configmap settings -n acme snmp-operator.dev/readable=true"));
        let values: &[(&str, &[u8])] = &[("log_level", b"info"), ("password", b"tell-no-one"), ("binary", b"\xff\0")];
        inputs.readable_config_maps.insert(Key::new("acme", "settings"), map(values));
        let (mirrored, unresolved) = mirror(&inputs);
        assert_eq!(mirrored, [("configmap.settings.log_level".to_owned(), "info".to_owned())]);
        let expected = [
            ("NotText", "key binary of ConfigMap settings in the namespace acme is not UTF-8 text".to_owned()),
            ("NoSuchKey", "ConfigMap acme/settings has no key motd".to_owned()),
        ];
        assert_eq!(unresolved, expected);
    }

    #[test]
    fn values_that_do_not_fit_are_reported_and_the_rest_is_mirrored() {
        let subtrees = vec![
            settings("one", "1.3.6.1.4.1.9.9.9.1", &["large", "small"]),
            settings("two", "1.3.6.1.4.1.9.9.9.2", &["larger", "small"]),
        ];
        let mut inputs = inputs(subtrees);
        let (large, larger) = (vec![b'a'; MAX_OBJECT_OCTETS / 2], vec![b'b'; MAX_OBJECT_OCTETS / 2]);
        let values: &[(&str, &[u8])] = &[("large", &large), ("larger", &larger), ("small", b"1")];
        inputs.readable_config_maps.insert(Key::new("acme", "settings"), map(values));
        let desired = desired(&inputs, &parameters());
        let data = &desired.namespaces["acme"].config_map;
        assert!(data.iter().map(|(key, text)| key.len() + text.len()).sum::<usize>() <= MAX_OBJECT_OCTETS);
        let files: Vec<_> = data.keys().map(String::as_str).collect();
        let expected =
            ["ca.crt", "configmap.settings.large", "configmap.settings.small", "subtree.one.json", "subtree.two.json"];
        assert_eq!(files, expected);
        assert!(desired.subtrees[&Key::new("acme", "one")].unresolved.is_empty());
        let unresolved = &desired.subtrees[&Key::new("acme", "two")].unresolved;
        assert_eq!((unresolved.len(), unresolved[0].reason), (1, "TooLarge"));
    }

    #[test]
    fn running_pods_are_counted_and_pods_with_a_sidecar_are_touched() {
        let subtrees = vec![subtree("acme", "one", "1.3.6.1.4.1.9.9.9.1", &json!({"port": 8080}))];
        let mut inputs = inputs(subtrees);
        let pods = [("a", pod(true, false)), ("b", pod(false, false)), ("c", pod(true, true))];
        let other = Arc::new(Pod { injected: true, ..Pod::default() });
        let pods = pods.into_iter().chain([("d", other)]).map(|(name, pod)| (Key::new("acme", name), pod));
        inputs.pods.insert("acme".to_owned(), pods.collect());
        let desired = desired(&inputs, &parameters());
        assert_eq!(desired.subtrees[&Key::new("acme", "one")].pods, Pods { matched: 2, injected: 1 });
        let names: Vec<_> = desired.namespaces["acme"].pods.iter().map(|(key, _)| key.name.as_str()).collect();
        assert_eq!(names, ["a"]);
    }

    #[test]
    fn a_namespace_that_is_being_deleted_is_marked() {
        let subtrees = vec![subtree("acme", "one", "1.3.6.1.4.1.9.9.9.1", &json!({"port": 8080}))];
        let mut inputs = inputs(subtrees);
        let being_deleted = NamespaceInfo { deleting: true, ..NamespaceInfo::default() };
        inputs.namespaces.insert("acme".to_owned(), Arc::new(being_deleted));
        assert!(desired(&inputs, &parameters()).namespaces["acme"].deleting);
    }

    #[test]
    fn the_youngest_subtrees_that_do_not_fit_into_the_masters_secrets_are_refused() {
        // Long OIDs: a few hundred of them fill a shard.
        let long = |i: usize| format!("1.3.6.1.4.1.{i}{}", ".4294967295".repeat(45));
        let subtrees =
            (0..2400).map(|i| subtree(&format!("n{}", i % 50), &format!("s{i:05}"), &long(i), &json!({"port": 8080})));
        let inputs = inputs(subtrees.collect());
        let desired = desired(&inputs, &parameters());
        let refused: Vec<_> = desired.refusals.values().flatten().collect();
        assert!(!refused.is_empty() && refused.len() < 600, "{}", refused.len());
        assert!(refused.iter().all(|refusal| refusal.reason == plan::Reason::TooLarge));
        for shard in &desired.shards {
            assert!(plan::shards::text(shard).unwrap().len() < MAX_OBJECT_OCTETS);
        }
        let planned = desired.subtrees.values().filter(|summary| summary.document.is_some()).count();
        assert_eq!(planned + refused.len(), 2400);
    }

    #[test]
    fn secrets_of_a_trap_target_are_in_its_own_namespace() {
        let target = |namespace: &str| -> Arc<SnmpTrapTarget> {
            let object = json!({
                "apiVersion": "snmp-operator.dev/v1alpha1", "kind": "SnmpTrapTarget",
                "metadata": {"namespace": namespace, "name": "noc"},
                "spec": {"address": "noc:162", "user": {"name": "u", "secretRef": {"name": "noc"}, "securityLevel": "AuthNoPriv"}},
            });
            Arc::new(serde_json::from_value(object).unwrap())
        };
        let mut inputs = Inputs { trap_targets: vec![target("acme"), target("snmp-system")], ..Inputs::default() };
        let reasons = |inputs: &Inputs, namespace: &str| -> Vec<_> {
            desired(inputs, &parameters()).trap_targets[&Key::new(namespace, "noc")]
                .iter()
                .map(|one| one.reason)
                .collect()
        };
        assert_eq!(reasons(&inputs, "acme"), ["SecretNotReadable"]);
        assert_eq!(reasons(&inputs, "snmp-system"), ["NoSuchSecret"]);
        inputs.readable_secrets.insert(Key::new("acme", "noc"), secret("authProtocol"));
        assert_eq!(reasons(&inputs, "acme"), ["NoSuchKey"]);
    }

    /// Prints how long planning takes for a large cluster. There is no limit.
    #[test]
    fn two_thousand_subtrees_are_planned() {
        let subtrees = (0..2000).map(|i| {
            subtree(&format!("n{}", i / 40), &format!("s{i}"), &format!("1.3.6.1.4.1.9.9.{i}"), &json!({"port": 8080}))
        });
        let mut inputs = inputs(subtrees.collect());
        for namespace in 0..50 {
            let name = format!("n{namespace}");
            let pods = (0..100).map(|i| (Key::new(&*name, format!("p{i}")), pod(true, false))).collect();
            inputs.pods.insert(name, pods);
        }
        let context: SnmpContext = serde_json::from_value(json!({
            "apiVersion": "snmp-operator.dev/v1alpha1", "kind": "SnmpContext", "metadata": {"name": "default"},
            "spec": {"contextName": "", "allowedNamespaces": {"from": "All"}, "allowedSubtrees": ["1.3.6.1.4.1"]},
        }))
        .unwrap();
        inputs.contexts.push(Arc::new(context));
        let start = Instant::now();
        let objects = inputs.objects("snmp-system");
        let copied = start.elapsed();
        let refusals = plan::check(&objects, &parameters().settings);
        assert!(refusals.is_empty(), "{refusals:?}");
        println!("2,000 subtrees of 20 objects: copied in {copied:?}, checked after {:?}", start.elapsed());
        let start = Instant::now();
        let desired = desired(&inputs, &parameters());
        println!("with 5,000 pods, the desired state took {:?}", start.elapsed());
        assert_eq!(desired.in_context[""], 2000);
        assert_eq!(desired.namespaces.len(), 50);
    }
}
