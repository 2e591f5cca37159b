//! What the operator knows of the cluster: plain structs, kept up to date from watches.

mod kept;
mod store;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crds::{SnmpContext, SnmpSubtree, SnmpTrapTarget};
use kube::ResourceExt;

pub use kept::{CONFIGURATION, Data, INJECTED, KeptNamespace, Labels, MANAGED_BY, OPERATOR, Pod, READABLE};
pub use store::{Key, Store, Version};

use crate::{
    conditions::ACCEPTED,
    plan::{Objects, selects},
};

/// Everything that is watched.
#[derive(Debug, Clone, Default)]
pub struct Index {
    /// SnmpSubtrees.
    pub subtrees: Store<Arc<SnmpSubtree>>,
    /// SnmpContexts.
    pub contexts: Store<Arc<SnmpContext>>,
    /// SnmpTrapTargets.
    pub trap_targets: Store<Arc<SnmpTrapTarget>>,
    /// Namespaces, each by its name and in itself.
    pub namespaces: Store<Arc<KeptNamespace>>,
    /// Pods that are not finished.
    pub pods: Store<Arc<Pod>>,
    /// Secrets of the operator's own namespace.
    pub system_secrets: Store<Arc<Data>>,
    /// Secrets that sources may name, of all namespaces.
    pub readable_secrets: Store<Arc<Data>>,
    /// ConfigMaps that sources may name, of all namespaces.
    pub readable_config_maps: Store<Arc<Data>>,
    /// ConfigMaps of the name of a namespace's, ours or not.
    pub sidecar_config_maps: Store<Arc<Data>>,
    /// Secrets of the name of a namespace's, ours or not.
    pub sidecar_secrets: Store<Arc<Data>>,
}

/// A key of an object.
pub fn key<K: ResourceExt>(object: &K) -> Key {
    Key::new(object.namespace().unwrap_or_default(), object.name_any())
}

/// A version of an object.
pub fn version(object: &impl ResourceExt) -> Version {
    Version { uid: object.uid().unwrap_or_default(), resource: object.resource_version().unwrap_or_default() }
}

/// What there is to plan with, apart from the index: taking it is cheap.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// SnmpSubtrees that are not being deleted.
    pub subtrees: Vec<Arc<SnmpSubtree>>,
    /// SnmpContexts, likewise.
    pub contexts: Vec<Arc<SnmpContext>>,
    /// SnmpTrapTargets, likewise.
    pub trap_targets: Vec<Arc<SnmpTrapTarget>>,
    /// Namespaces by name.
    pub namespaces: BTreeMap<String, Arc<KeptNamespace>>,
    /// Secrets of the operator's own namespace that contexts or sources may name, by name.
    pub system_secrets: BTreeMap<String, Arc<Data>>,
    /// Secrets that sources may name.
    pub readable_secrets: BTreeMap<Key, Arc<Data>>,
    /// ConfigMaps that sources may name.
    pub readable_config_maps: BTreeMap<Key, Arc<Data>>,
    /// Pods of namespaces that have subtrees, by namespace.
    pub pods: BTreeMap<String, Vec<(Key, Arc<Pod>)>>,
}

/// What inputs are known by: two that have the same come to the same plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Signature {
    /// The API's objects, without the states in which they were.
    objects: [Vec<Life>; 3],
    namespaces: BTreeMap<String, Arc<KeptNamespace>>,
    system_secrets: BTreeMap<String, Arc<Data>>,
    readable: [BTreeMap<Key, Arc<Data>>; 2],
    pods: BTreeMap<String, Vec<(Key, Selected)>>,
}

/// A pod, whichever configuration it was told of: that is no matter of the plan, and the operator itself changes it.
#[derive(Debug, Clone)]
struct Selected(Arc<Pod>);

impl PartialEq for Selected {
    fn eq(&self, other: &Self) -> bool {
        self.0.is_alike(&other.0)
    }
}

/// An object's uid, and its generation, which grows with each change of the spec and with none of the status. One that
/// lacks either is like no other.
#[derive(Debug, Clone)]
struct Life(Option<(String, i64)>);

impl PartialEq for Life {
    fn eq(&self, other: &Self) -> bool {
        self.0.is_some() && self.0 == other.0
    }
}

fn lives<T: ResourceExt>(objects: &[Arc<T>]) -> Vec<Life> {
    objects.iter().map(|object| Life(object.uid().zip(object.meta().generation))).collect()
}

impl Inputs {
    /// What these are known by.
    #[must_use]
    pub fn signature(&self) -> Signature {
        Signature {
            objects: [lives(&self.subtrees), lives(&self.contexts), lives(&self.trap_targets)],
            namespaces: self.namespaces.clone(),
            system_secrets: self.system_secrets.clone(),
            readable: [self.readable_secrets.clone(), self.readable_config_maps.clone()],
            pods: self
                .pods
                .iter()
                .map(|(namespace, pods)| {
                    let pods = pods.iter().map(|(key, pod)| (key.clone(), Selected(Arc::clone(pod))));
                    (namespace.clone(), pods.collect())
                })
                .collect(),
        }
    }

    /// Everything there is to plan. Of Secrets, those that SnmpContexts name.
    #[must_use]
    pub fn objects(&self, system_namespace: &str) -> Objects {
        let labels = |(name, kept): (&String, &Arc<KeptNamespace>)| (name.clone(), kept.labels.clone());
        let mut objects = Objects {
            subtrees: self.subtrees.clone(),
            contexts: self.contexts.clone(),
            trap_targets: self.trap_targets.clone(),
            namespaces: self.namespaces.iter().map(labels).collect(),
            ..Objects::default()
        };
        for context in &objects.contexts {
            for name in secrets_of(context) {
                if let Some(secret) = self.system_secrets.get(name) {
                    objects.secrets.insert(system_namespace, name, secret.data.clone());
                }
            }
        }
        objects
    }
}

impl Index {
    /// What there is to plan with.
    #[must_use]
    pub fn inputs(&self) -> Inputs {
        let subtrees = standing(&self.subtrees);
        let mut pods = BTreeMap::new();
        for subtree in &subtrees {
            let namespace = subtree.metadata.namespace.clone().unwrap_or_default();
            pods.entry(namespace).or_insert_with_key(|namespace| {
                self.pods.of(namespace).map(|(key, pod)| (key.clone(), Arc::clone(pod))).collect()
            });
        }
        let all = |store: &Store<Arc<Data>>| store.iter().map(|(key, data)| (key.clone(), Arc::clone(data))).collect();
        let contexts = standing(&self.contexts);
        // What the operator makes there itself is not planned with.
        let named: BTreeSet<&str> = contexts.iter().flat_map(|context| secrets_of(context)).collect();
        let system = self.system_secrets.iter();
        let system = system.filter(|(key, secret)| secret.readable || named.contains(&*key.name));
        let system_secrets = system.map(|(key, kept)| (key.name.clone(), Arc::clone(kept))).collect();
        Inputs {
            subtrees,
            trap_targets: standing(&self.trap_targets),
            namespaces: self.namespaces.iter().map(|(key, kept)| (key.name.clone(), Arc::clone(kept))).collect(),
            system_secrets,
            contexts,
            readable_secrets: all(&self.readable_secrets),
            readable_config_maps: all(&self.readable_config_maps),
            pods,
        }
    }

    /// Everything there is to plan, without what is being deleted.
    #[must_use]
    pub fn objects(&self, system_namespace: &str) -> Objects {
        self.inputs().objects(system_namespace)
    }

    /// Whether a subtree of the namespace selects pods of these labels. One that the leader has refused selects none.
    pub fn selects<'a>(&self, namespace: &str, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        let refused = |subtree: &SnmpSubtree| {
            let conditions = subtree.status.iter().flat_map(|status| &status.conditions);
            conditions.into_iter().any(|condition| {
                // What it says of an earlier generation may be true no more.
                let current = condition.observed_generation == subtree.metadata.generation;
                condition.type_ == ACCEPTED && condition.status == "False" && current
            })
        };
        let mut subtrees = self.subtrees.of(namespace).map(|(_, subtree)| subtree);
        subtrees.any(|subtree| {
            let stands = subtree.metadata.deletion_timestamp.is_none() && !refused(subtree);
            stands && selects(&subtree.spec.selector, &label)
        })
    }

    /// How many objects of each kind there are.
    #[must_use]
    pub fn sizes(&self) -> BTreeMap<&'static str, usize> {
        [
            ("SnmpSubtree", self.subtrees.len()),
            ("SnmpContext", self.contexts.len()),
            ("SnmpTrapTarget", self.trap_targets.len()),
            ("Namespace", self.namespaces.len()),
            ("Pod", self.pods.len()),
            ("Secret", self.system_secrets.len() + self.readable_secrets.len() + self.sidecar_secrets.len()),
            ("ConfigMap", self.readable_config_maps.len() + self.sidecar_config_maps.len()),
        ]
        .into()
    }
}

/// The Secrets that a context names.
fn secrets_of(context: &SnmpContext) -> impl Iterator<Item = &str> {
    let communities = context.spec.communities.iter().map(|community| &*community.secret_ref.name);
    communities.chain(context.spec.users.iter().map(|user| &*user.secret_ref.name))
}

/// The objects that are not being deleted.
fn standing<T: ResourceExt + PartialEq>(store: &Store<Arc<T>>) -> Vec<Arc<T>> {
    let standing = store.iter().filter(|(_, object)| object.meta().deletion_timestamp.is_none());
    standing.map(|(_, object)| Arc::clone(object)).collect()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
    use serde_json::json;

    use super::*;

    fn subtree(name: &str) -> SnmpSubtree {
        let object = json!({
            "apiVersion": "snmp-operator.dev/v1alpha1", "kind": "SnmpSubtree",
            "metadata": {"namespace": "acme", "name": name, "uid": name, "resourceVersion": "1"},
            "spec": {"oid": "1.3.6.1.4.1.12345.5", "selector": {}},
        });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn what_is_being_deleted_is_not_planned() {
        let mut index = Index::default();
        let stays = subtree("stays");
        let mut goes = subtree("goes");
        goes.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        for subtree in [stays, goes] {
            index.subtrees.apply(key(&subtree), version(&subtree), Arc::new(subtree));
        }
        let objects = index.objects("snmp-system");
        assert_eq!(objects.subtrees.iter().map(|subtree| subtree.name_any()).collect::<Vec<_>>(), ["stays"]);
    }

    #[test]
    fn pods_are_selected_by_subtrees_of_their_namespace_that_are_not_refused() {
        let mut index = Index::default();
        let mut put = |status: serde_json::Value, resource: &str| {
            let mut json = serde_json::to_value(subtree("one")).unwrap();
            json["spec"]["selector"] = json!({"matchLabels": {"app": "web"}});
            json["metadata"]["generation"] = 2.into();
            json["status"] = json!({"conditions": status});
            let subtree: SnmpSubtree = serde_json::from_value(json).unwrap();
            let version = Version { resource: resource.to_owned(), ..version(&subtree) };
            index.subtrees.apply(key(&subtree), version, Arc::new(subtree));
            let web = |key: &str| (key == "app").then_some("web");
            (index.selects("acme", web), index.selects("acme", |_| None), index.selects("other", web))
        };
        let condition = |status: &str, generation: i64| {
            json!([{
                "type": "Accepted", "status": status, "reason": "R", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": generation,
            }])
        };
        assert_eq!(put(json!([]), "1"), (true, false, false), "one that nobody has looked at yet");
        assert_eq!(put(condition("True", 2), "2"), (true, false, false));
        assert_eq!(put(condition("False", 2), "3"), (false, false, false));
        assert_eq!(put(condition("False", 1), "4"), (true, false, false), "refused as it was before");
    }

    #[test]
    fn what_the_operator_writes_itself_is_nothing_new_to_plan_with() {
        let mut index = Index::default();
        let mut one = subtree("one");
        one.metadata.generation = Some(1);
        index.subtrees.apply(key(&one), version(&one), Arc::new(one));
        let mut signature = |labels: &[&str], configuration: &str, resource: &str| {
            let pod = Pod {
                labels: labels.iter().map(|label| ((*label).into(), "".into())).collect(),
                configuration: Some(configuration.into()),
                ..Pod::default()
            };
            let version = Version { uid: "pod".to_owned(), resource: resource.to_owned() };
            index.pods.apply(Key::new("acme", "web-0"), version.clone(), Arc::new(pod));
            let shard = Data { data: [("master.json".to_owned(), resource.into())].into(), ..Data::default() };
            index.system_secrets.apply(Key::new("snmp-system", "snmp-master-0"), version, Arc::new(shard));
            index.inputs().signature()
        };
        let first = signature(&["a"], "1", "1");
        assert!(first == signature(&["a"], "2", "2"), "a pod was touched, a master's Secret written");
        assert!(first != signature(&["b"], "2", "3"), "another label");
    }

    #[test]
    fn of_secrets_those_that_contexts_name_are_planned_with() {
        let mut index = Index::default();
        for name in ["named", "other"] {
            index.system_secrets.apply(
                Key::new("snmp-system", name),
                Version::default(),
                Arc::new(Data::from(Secret::default())),
            );
        }
        let context: SnmpContext = serde_json::from_value(json!({
            "apiVersion": "snmp-operator.dev/v1alpha1", "kind": "SnmpContext", "metadata": {"name": "acme"},
            "spec": {"communities": [{"secretRef": {"name": "named", "key": "community"}}]},
        }))
        .unwrap();
        index.contexts.apply(key(&context), version(&context), Arc::new(context));
        assert_eq!(format!("{:?}", index.objects("snmp-system").secrets), r#"{("snmp-system", "named"): []}"#);
    }
}
