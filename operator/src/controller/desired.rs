//! What there should be: from what there is to plan with to ConfigMaps, Secrets and verdicts. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crds::{Pods, SnmpTrapTarget};
use kube::ResourceExt;
use master_config::{Document, Listeners};

use super::shards;
use crate::{
    conditions::Unresolved,
    config_map,
    index::{Data, Inputs, Key, Pod, key},
    plan::{self, Kind, ObjectId, Origin, Plan, Refusal, Settings},
};

/// The most that a Secret or ConfigMap holds, in octets of keys and values.
const MAX_OCTETS: usize = 1 << 20;

/// What the plan goes by besides the objects.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// How to plan.
    pub settings: Settings,
    /// Where the masters listen.
    pub listeners: Listeners,
    /// Whether Secrets of sources are read.
    pub read_secrets: bool,
    /// Certificates by which sidecars know the masters, as PEM.
    pub ca: Option<String>,
}

/// What there should be in a namespace.
#[derive(Debug, Clone, Default)]
pub struct Namespace {
    /// The ConfigMap's data.
    pub config_map: BTreeMap<String, String>,
    /// The Secret's data. Without any there is no Secret.
    pub secret: BTreeMap<String, Vec<u8>>,
    /// The subtrees that are in it: names and uids.
    pub owners: Vec<(String, String)>,
    /// Pods with a sidecar that serve one of them.
    pub pods: Vec<(Key, Arc<Pod>)>,
    /// Whether it is being deleted.
    pub deleting: bool,
}

/// What is to be told of a subtree.
#[derive(Debug, Clone, Default)]
pub struct Subtree {
    /// The key of its document in the ConfigMap; none if it is refused.
    pub document: Option<String>,
    /// Its base OID.
    pub oid: master_config::Oid,
    /// Names of the SNMP contexts that it is in.
    pub contexts: Vec<String>,
    /// What it names and cannot be had.
    pub unresolved: Vec<Unresolved>,
    /// The pods that it selects.
    pub pods: Pods,
    /// How many scalars and columns it has.
    pub objects: i32,
}

/// What there should be.
#[derive(Debug, Clone, Default)]
pub struct Desired {
    /// By namespace.
    pub namespaces: BTreeMap<String, Namespace>,
    /// The masters' documents, a shard each; empty where listeners are wrong, which is told.
    pub shards: Vec<Document>,
    /// All subtrees.
    pub subtrees: BTreeMap<Key, Subtree>,
    /// How many subtrees are in each SNMP context.
    pub in_context: BTreeMap<String, i32>,
    /// What each trap target names and cannot be had.
    pub trap_targets: BTreeMap<Key, Vec<Unresolved>>,
    /// What is refused.
    pub refusals: BTreeMap<ObjectId, Vec<Refusal>>,
    /// What is wrong with the listeners.
    pub fault: Option<String>,
}

/// What there should be.
#[must_use]
pub fn desired(inputs: &Inputs, terms: &Terms) -> Desired {
    let mut plan = plan::plan(&inputs.objects(&terms.settings.system_namespace), &terms.settings);
    let mut desired = Desired::default();
    match shards::fit(&mut plan, &terms.listeners) {
        Ok(shards) => desired.shards = shards,
        Err(violations) => {
            let told: Vec<_> = violations.iter().map(ToString::to_string).collect();
            desired.fault = Some(told.join("; "));
        }
    }
    let reserved = terms.ca.as_ref().map_or(0, |ca| ca.len() + config_map::CA.len());
    match config_map::documents_beside(&mut plan, reserved) {
        Ok(documents) => {
            for (name, documents) in documents {
                desired.namespaces.entry(name).or_default().config_map = documents;
            }
        }
        Err(error) => desired.fault = Some(format!("a document cannot be written: {error}")),
    }
    for subtree in &inputs.subtrees {
        let mut told = Subtree::default();
        let namespace = subtree.metadata.namespace.as_deref().unwrap_or_default();
        for (_, pod) in inputs.pods.get(namespace).into_iter().flatten().filter(|(_, pod)| !pod.deleting) {
            if plan::selects(&subtree.spec.selector, |key| pod.label(key)) {
                told.pods.matched += 1;
                told.pods.injected += i32::from(pod.injected);
            }
        }
        desired.subtrees.insert(key(&**subtree), told);
    }
    for namespace in desired.namespaces.values_mut() {
        if let Some(ca) = &terms.ca {
            namespace.config_map.insert(config_map::CA.to_owned(), ca.clone());
        }
    }
    planned(&plan, inputs, terms, &mut desired);
    for (name, namespace) in &mut desired.namespaces {
        namespace.deleting = inputs.namespaces.get(name).is_some_and(|kept| kept.deleting);
    }
    for target in &inputs.trap_targets {
        desired.trap_targets.insert(key(&**target), target_credentials(target, inputs, terms));
    }
    for refusal in plan.refusals {
        desired.refusals.entry(refusal.object.clone()).or_default().push(refusal);
    }
    desired
}

/// What comes of the subtrees that are served.
fn planned(plan: &Plan, inputs: &Inputs, terms: &Terms, desired: &mut Desired) {
    let by_key: BTreeMap<_, _> = inputs.subtrees.iter().map(|subtree| (key(&**subtree), subtree)).collect();
    let mut selectors = BTreeMap::<&str, Vec<&crds::LabelSelector>>::new();
    let mut files = Files::default();
    for planned in &plan.subtrees {
        let document = &planned.document;
        let id = Key::new(&*document.namespace, &*document.name);
        let Some(subtree) = by_key.get(&id) else { continue };
        let namespace = desired.namespaces.entry(document.namespace.clone()).or_default();
        namespace.owners.push((document.name.clone(), subtree.uid().unwrap_or_default()));
        selectors.entry(&document.namespace).or_default().push(&subtree.spec.selector);
        let told = desired.subtrees.entry(id).or_default();
        told.document = Some(sidecar_config::file_name(&document.name));
        told.oid = document.oid.clone();
        told.contexts.clone_from(&document.contexts);
        let columns = document.tables.iter().map(|table| table.columns.len()).sum::<usize>();
        told.objects = i32::try_from(document.scalars.len() + columns).unwrap_or(i32::MAX);
        for (file, origin) in &planned.credentials {
            let value = credential(origin, &document.namespace, inputs, terms);
            let put = value.and_then(|value| files.put(namespace, &document.namespace, file, origin, value));
            // One ConfigMap that cannot be read is told once, and not for each of its keys.
            told.unresolved.extend(put.err().filter(|unresolved| !told.unresolved.contains(unresolved)));
        }
        for context in &document.contexts {
            *desired.in_context.entry(context.clone()).or_default() += 1;
        }
    }
    for (name, selectors) in selectors {
        let pods = inputs.pods.get(name).into_iter().flatten();
        let served = pods.filter(|(_, pod)| {
            pod.injected && !pod.deleting && selectors.iter().any(|one| plan::selects(one, |key| pod.label(key)))
        });
        desired.namespaces.entry(name.to_owned()).or_default().pods = served.cloned().collect();
    }
}

/// What is put beside documents, as long as there is room.
#[derive(Default)]
struct Files<'a> {
    /// Octets of keys and values in the ConfigMap and the Secret of each namespace.
    sizes: BTreeMap<&'a str, (usize, usize)>,
}

impl<'a> Files<'a> {
    /// Puts what is in a Secret into the namespace's Secret, and what is in a ConfigMap into its ConfigMap.
    fn put(
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
        let (kind, size, known) = match origin {
            Origin::Secret(_) => ("Secret", in_secret, namespace.secret.contains_key(file)),
            Origin::ConfigMap(_) => ("ConfigMap", in_map, namespace.config_map.contains_key(file)),
        };
        if known {
            return Ok(());
        }
        let grown = *size + file.len() + value.len();
        if grown > MAX_OCTETS {
            let message = format!("the {kind} {} would be too large with {origin}", config_map::NAME);
            return Err(Unresolved { reason: "TooLarge", message });
        }
        match origin {
            Origin::Secret(_) => _ = namespace.secret.insert(file.to_owned(), value.to_vec()),
            Origin::ConfigMap(_) => {
                let text = std::str::from_utf8(value)
                    .map_err(|_| Unresolved { reason: "NotText", message: format!("{origin} of {name} is no text") })?;
                namespace.config_map.insert(file.to_owned(), text.to_owned());
            }
        }
        *size = grown;
        Ok(())
    }
}

/// The value of a credential.
fn credential<'a>(origin: &Origin, namespace: &str, inputs: &'a Inputs, terms: &Terms) -> Result<&'a [u8], Unresolved> {
    let (kind, resource, store, name, key) = match origin {
        Origin::Secret(reference) => ("Secret", "secret", &inputs.readable_secrets, &reference.name, &reference.key),
        Origin::ConfigMap(reference) => {
            ("ConfigMap", "configmap", &inputs.readable_config_maps, &reference.name, &reference.key)
        }
    };
    let not_readable = if kind == "Secret" { "SecretNotReadable" } else { "ConfigMapNotReadable" };
    if !terms.read_secrets {
        let message = format!("{kind} {namespace}/{name}: the operator reads none, it runs with --read-secrets=false");
        return Err(Unresolved { reason: not_readable, message });
    }
    let data = readable(store, namespace, name).ok_or_else(|| {
        let message = format!(
            "{kind} {namespace}/{name} is not there, or nobody has said that it may be read: \
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

fn readable<'a>(store: &'a BTreeMap<Key, Arc<Data>>, namespace: &str, name: &str) -> Option<&'a Arc<Data>> {
    store.get(&Key::new(namespace, name))
}

/// What of a trap target's Secrets cannot be had. Those in the operator's own namespace need no label.
fn target_credentials(target: &SnmpTrapTarget, inputs: &Inputs, terms: &Terms) -> Vec<Unresolved> {
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
        let own = namespace == terms.settings.system_namespace;
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
                unresolved.extend(credential(&Origin::Secret(reference), namespace, inputs, terms).err());
            }
        }
    }
    unresolved
}

/// The refusals of an object.
#[must_use]
pub fn refusals_of<'a>(desired: &'a Desired, kind: Kind, key: &Key) -> Vec<&'a Refusal> {
    let id = ObjectId { kind, namespace: key.namespace.clone(), name: key.name.clone() };
    desired.refusals.get(&id).into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use crds::{SnmpContext, SnmpSubtree};
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::index::KeptNamespace;

    fn terms() -> Terms {
        Terms {
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

    fn secret(key: &str) -> Arc<Data> {
        Arc::new(Data { data: [(key.to_owned(), b"t".to_vec())].into(), readable: true, ..Data::default() })
    }

    fn pod(injected: bool, deleting: bool) -> Arc<Pod> {
        Arc::new(Pod { labels: Box::new([("app".into(), "web".into())]), injected, deleting, configuration: None })
    }

    fn inputs(subtrees: Vec<Arc<SnmpSubtree>>) -> Inputs {
        Inputs { subtrees, ..Inputs::default() }
    }

    #[test]
    fn a_namespace_gets_its_documents_and_the_certificates() {
        let subtrees = vec![subtree("acme", "one", "1.3.6.1.4.1.9.9.9.1", &json!({"port": 8080}))];
        let desired = desired(&inputs(subtrees), &terms());
        let namespace = &desired.namespaces["acme"];
        assert_eq!(namespace.config_map.keys().collect::<Vec<_>>(), ["ca.crt", "subtree.one.json"]);
        assert_eq!(namespace.owners, [("one".to_owned(), "uid-acme-one".to_owned())]);
        assert!(namespace.secret.is_empty());
        let told = &desired.subtrees[&Key::new("acme", "one")];
        assert_eq!((told.objects, told.contexts.as_slice()), (20, &[String::new()][..]));
        assert_eq!(desired.in_context[""], 1);
    }

    #[test]
    fn credentials_are_those_that_may_be_read() {
        let subtrees = vec![subtree("acme", "one", "1.3.6.1.4.1.9.9.9.1", &with_token())];
        let mut inputs = inputs(subtrees);
        let unresolved = |inputs: &Inputs, terms: &Terms| {
            let desired = desired(inputs, terms);
            assert!(desired.namespaces["acme"].secret.is_empty());
            let told = &desired.subtrees[&Key::new("acme", "one")].unresolved;
            (told[0].reason, told[0].message.clone())
        };
        let (reason, message) = unresolved(&inputs, &terms());
        assert_eq!(reason, "SecretNotReadable");
        assert!(message.ends_with("kubectl label secret api-key -n acme snmp-operator.dev/readable=true"), "{message}");
        inputs.readable_secrets.insert(Key::new("acme", "api-key"), secret("other"));
        assert_eq!(unresolved(&inputs, &terms()).0, "NoSuchKey");
        inputs.readable_secrets.insert(Key::new("acme", "api-key"), secret("token"));
        let (reason, message) = unresolved(&inputs, &Terms { read_secrets: false, ..terms() });
        assert!(reason == "SecretNotReadable" && message.contains("--read-secrets=false"), "{message}");
        let desired = desired(&inputs, &terms());
        assert_eq!(desired.namespaces["acme"].secret["secret.api-key.token"], b"t");
        assert!(desired.subtrees[&Key::new("acme", "one")].unresolved.is_empty());
    }

    /// A subtree that shows keys of the ConfigMap `settings`.
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

    fn map(values: &[(&str, &[u8])]) -> Arc<Data> {
        let data = values.iter().map(|(key, value)| ((*key).to_owned(), value.to_vec())).collect();
        Arc::new(Data { data, readable: true, ..Data::default() })
    }

    #[test]
    fn of_a_config_map_what_is_shown_is_mirrored_beside_the_documents() {
        let mut inputs = inputs(vec![settings("one", "1.3.6.1.4.1.9.9.9.1", &["log_level", "motd", "binary"])]);
        let told = |inputs: &Inputs| {
            let desired = desired(inputs, &terms());
            let namespace = &desired.namespaces["acme"];
            assert!(namespace.secret.is_empty(), "what is in no Secret needs none");
            let unresolved = &desired.subtrees[&Key::new("acme", "one")].unresolved;
            let told: Vec<_> = unresolved.iter().map(|one| (one.reason, one.message.clone())).collect();
            let mirrored = namespace.config_map.iter().filter(|(file, _)| file.starts_with("configmap."));
            (mirrored.map(|(file, text)| (file.clone(), text.clone())).collect::<Vec<_>>(), told)
        };
        let (mirrored, unresolved) = told(&inputs);
        assert!(mirrored.is_empty());
        assert_eq!(unresolved.iter().map(|(reason, _)| *reason).collect::<Vec<_>>(), ["ConfigMapNotReadable"]);
        assert!(unresolved[0].1.ends_with("kubectl label configmap settings -n acme snmp-operator.dev/readable=true"));
        let values: &[(&str, &[u8])] = &[("log_level", b"info"), ("password", b"tell-no-one"), ("binary", b"\xff\0")];
        inputs.readable_config_maps.insert(Key::new("acme", "settings"), map(values));
        let (mirrored, unresolved) = told(&inputs);
        assert_eq!(mirrored, [("configmap.settings.log_level".to_owned(), "info".to_owned())]);
        let expected = [
            ("NotText", "key binary of ConfigMap settings of acme is no text".to_owned()),
            ("NoSuchKey", "ConfigMap acme/settings has no key motd".to_owned()),
        ];
        assert_eq!(unresolved, expected);
    }

    #[test]
    fn what_does_not_fit_beside_the_documents_is_told_and_keeps_nothing_else_out() {
        let subtrees = vec![
            settings("one", "1.3.6.1.4.1.9.9.9.1", &["large", "small"]),
            settings("two", "1.3.6.1.4.1.9.9.9.2", &["larger", "small"]),
        ];
        let mut inputs = inputs(subtrees);
        let (large, larger) = (vec![b'a'; MAX_OCTETS / 2], vec![b'b'; MAX_OCTETS / 2]);
        let values: &[(&str, &[u8])] = &[("large", &large), ("larger", &larger), ("small", b"1")];
        inputs.readable_config_maps.insert(Key::new("acme", "settings"), map(values));
        let desired = desired(&inputs, &terms());
        let data = &desired.namespaces["acme"].config_map;
        assert!(data.iter().map(|(key, text)| key.len() + text.len()).sum::<usize>() <= MAX_OCTETS);
        let files: Vec<_> = data.keys().map(String::as_str).collect();
        let expected =
            ["ca.crt", "configmap.settings.large", "configmap.settings.small", "subtree.one.json", "subtree.two.json"];
        assert_eq!(files, expected);
        assert!(desired.subtrees[&Key::new("acme", "one")].unresolved.is_empty());
        let unresolved = &desired.subtrees[&Key::new("acme", "two")].unresolved;
        assert_eq!((unresolved.len(), unresolved[0].reason), (1, "TooLarge"));
    }

    #[test]
    fn pods_are_counted_while_they_are_not_going_and_told_if_they_have_a_sidecar() {
        let subtrees = vec![subtree("acme", "one", "1.3.6.1.4.1.9.9.9.1", &json!({"port": 8080}))];
        let mut inputs = inputs(subtrees);
        let pods = [("a", pod(true, false)), ("b", pod(false, false)), ("c", pod(true, true))];
        let other = Arc::new(Pod { injected: true, ..Pod::default() });
        let pods = pods.into_iter().chain([("d", other)]).map(|(name, pod)| (Key::new("acme", name), pod));
        inputs.pods.insert("acme".to_owned(), pods.collect());
        let desired = desired(&inputs, &terms());
        assert_eq!(desired.subtrees[&Key::new("acme", "one")].pods, Pods { matched: 2, injected: 1 });
        let told: Vec<_> = desired.namespaces["acme"].pods.iter().map(|(key, _)| key.name.as_str()).collect();
        assert_eq!(told, ["a"]);
    }

    #[test]
    fn a_namespace_that_is_being_deleted_is_known_as_such() {
        let subtrees = vec![subtree("acme", "one", "1.3.6.1.4.1.9.9.9.1", &json!({"port": 8080}))];
        let mut inputs = inputs(subtrees);
        let going = KeptNamespace { deleting: true, ..KeptNamespace::default() };
        inputs.namespaces.insert("acme".to_owned(), Arc::new(going));
        assert!(desired(&inputs, &terms()).namespaces["acme"].deleting);
    }

    #[test]
    fn the_youngest_subtrees_that_would_not_fit_into_the_masters_secret_are_refused() {
        // OIDs of 128 arcs and long numbers: some hundred of them fill a shard.
        let long = |i: usize| format!("1.3.6.1.4.1.{i}{}", ".4294967295".repeat(45));
        let subtrees =
            (0..2400).map(|i| subtree(&format!("n{}", i % 50), &format!("s{i:05}"), &long(i), &json!({"port": 8080})));
        let inputs = inputs(subtrees.collect());
        let desired = desired(&inputs, &terms());
        let refused: Vec<_> = desired.refusals.values().flatten().collect();
        assert!(!refused.is_empty() && refused.len() < 600, "{}", refused.len());
        assert!(refused.iter().all(|refusal| refusal.reason == plan::Reason::TooLarge));
        for shard in &desired.shards {
            assert!(shards::text(shard).unwrap().len() < MAX_OCTETS);
        }
        let planned = desired.subtrees.values().filter(|told| told.document.is_some()).count();
        assert_eq!(planned + refused.len(), 2400);
    }

    #[test]
    fn a_trap_targets_secrets_are_looked_for_in_its_own_namespace() {
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
            desired(inputs, &terms()).trap_targets[&Key::new(namespace, "noc")].iter().map(|one| one.reason).collect()
        };
        assert_eq!(reasons(&inputs, "acme"), ["SecretNotReadable"]);
        assert_eq!(reasons(&inputs, "snmp-system"), ["NoSuchSecret"]);
        inputs.readable_secrets.insert(Key::new("acme", "noc"), secret("authProtocol"));
        assert_eq!(reasons(&inputs, "acme"), ["NoSuchKey"]);
    }

    /// How long a pass plans, for a large cluster; it is printed and not judged.
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
        let begun = Instant::now();
        let objects = inputs.objects("snmp-system");
        let copied = begun.elapsed();
        let mut plan = plan::plan(&objects, &terms().settings);
        let planned = begun.elapsed();
        config_map::documents(&mut plan).unwrap();
        println!("2,000 subtrees of 20 objects: copied {copied:?}, planned {planned:?}, written {:?}", begun.elapsed());
        let begun = Instant::now();
        let desired = desired(&inputs, &terms());
        println!("with 5,000 pods, all: {:?}", begun.elapsed());
        assert_eq!(desired.in_context[""], 2000);
        assert_eq!(desired.namespaces.len(), 50);
    }
}
