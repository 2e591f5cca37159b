//! The index: the objects of the cluster that the operator needs, in memory. Watches keep it up to date.

mod reduced;
mod store;
mod watch_backoff;
pub(crate) mod watches;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use crds::{SnmpContext, SnmpSubtree, SnmpTrapTarget};
use kube::ResourceExt;
use tokio::sync::watch;

pub(crate) use reduced::{CONFIGURATION, DataObject, MANAGED_BY, NamespaceInfo, OPERATOR, Pod, READABLE, slim};
pub(crate) use store::{Key, Store, Version};
pub(crate) use watch_backoff::watch_backoff;

use crate::{
    conditions::ACCEPTED,
    plan::{Objects, selects},
};

/// All watched objects.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    /// SnmpSubtrees.
    pub(crate) subtrees: Store<Arc<SnmpSubtree>>,
    /// SnmpContexts.
    pub(crate) contexts: Store<Arc<SnmpContext>>,
    /// SnmpTrapTargets.
    pub(crate) trap_targets: Store<Arc<SnmpTrapTarget>>,
    /// Namespaces. The key of each has its name as namespace and as name.
    pub(crate) namespaces: Store<Arc<NamespaceInfo>>,
    /// Pods that have not finished.
    pub(crate) pods: Store<Arc<Pod>>,
    /// Secrets of the operator's own namespace.
    pub(crate) system_secrets: Store<Arc<DataObject>>,
    /// Secrets of all namespaces that sources can refer to.
    pub(crate) readable_secrets: Store<Arc<DataObject>>,
    /// ConfigMaps of all namespaces that sources can refer to.
    pub(crate) readable_config_maps: Store<Arc<DataObject>>,
    /// ConfigMaps with the name of the sidecars' configuration, also those that the operator does not manage.
    pub(crate) sidecar_config_maps: Store<Arc<DataObject>>,
    /// Secrets with the name of the sidecars' configuration, also those that the operator does not manage.
    pub(crate) sidecar_secrets: Store<Arc<DataObject>>,
}

/// The index, shared between threads.
pub(crate) type SharedIndex = Arc<Mutex<Index>>;

/// Notifies subscribers that something in the index has changed.
pub(crate) type Changed = Arc<watch::Sender<()>>;

/// Runs `with` on what the mutex guards. A panic of another thread that held the lock is ignored.
pub(crate) fn lock<T, R>(mutex: &Mutex<T>, with: impl FnOnce(&mut T) -> R) -> R {
    with(&mut mutex.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Returns the key of an object.
pub(crate) fn key<K: ResourceExt>(object: &K) -> Key {
    Key::new(object.namespace().unwrap_or_default(), object.name_any())
}

/// Returns the version of an object.
pub(crate) fn version(object: &impl ResourceExt) -> Version {
    Version { uid: object.uid().unwrap_or_default(), resource: object.resource_version().unwrap_or_default() }
}

/// A copy of everything in the index that a plan is made of. It is cheap, because it shares the objects.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inputs {
    /// SnmpSubtrees that are not being deleted.
    pub(crate) subtrees: Vec<Arc<SnmpSubtree>>,
    /// SnmpContexts that are not being deleted.
    pub(crate) contexts: Vec<Arc<SnmpContext>>,
    /// SnmpTrapTargets that are not being deleted.
    pub(crate) trap_targets: Vec<Arc<SnmpTrapTarget>>,
    /// Namespaces by name.
    pub(crate) namespaces: BTreeMap<String, Arc<NamespaceInfo>>,
    /// Secrets of the operator's own namespace that contexts refer to, or that sources can refer to, by name.
    pub(crate) system_secrets: BTreeMap<String, Arc<DataObject>>,
    /// Secrets that sources can refer to.
    pub(crate) readable_secrets: BTreeMap<Key, Arc<DataObject>>,
    /// ConfigMaps that sources can refer to.
    pub(crate) readable_config_maps: BTreeMap<Key, Arc<DataObject>>,
    /// Pods of namespaces with subtrees, by namespace.
    pub(crate) pods: BTreeMap<String, Vec<(Key, Arc<Pod>)>>,
}

/// The identity of inputs. Inputs with equal signatures produce the same plan.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Signature {
    /// The uids and generations of the API's objects.
    objects: [Vec<Generation>; 3],
    namespaces: BTreeMap<String, Arc<NamespaceInfo>>,
    system_secrets: BTreeMap<String, Arc<DataObject>>,
    readable: [BTreeMap<Key, Arc<DataObject>>; 2],
    pods: BTreeMap<String, Vec<(Key, PlannedPod)>>,
}

/// A pod, compared without its configuration annotation. The plan does not depend on it, and the operator itself sets it.
#[derive(Debug, Clone)]
struct PlannedPod(Arc<Pod>);

impl PartialEq for PlannedPod {
    fn eq(&self, other: &Self) -> bool {
        self.0.equals_except_configuration(&other.0)
    }
}

/// The uid and the generation of an object. The generation changes with the spec, and not with the status. An object that
/// lacks either never compares equal.
#[derive(Debug, Clone)]
struct Generation(Option<(String, i64)>);

impl PartialEq for Generation {
    fn eq(&self, other: &Self) -> bool {
        self.0.is_some() && self.0 == other.0
    }
}

fn generations<T: ResourceExt>(objects: &[Arc<T>]) -> Vec<Generation> {
    objects.iter().map(|object| Generation(object.uid().zip(object.meta().generation))).collect()
}

impl Inputs {
    /// Returns the signature of the inputs.
    #[must_use]
    pub(crate) fn signature(&self) -> Signature {
        Signature {
            objects: [generations(&self.subtrees), generations(&self.contexts), generations(&self.trap_targets)],
            namespaces: self.namespaces.clone(),
            system_secrets: self.system_secrets.clone(),
            readable: [self.readable_secrets.clone(), self.readable_config_maps.clone()],
            pods: self
                .pods
                .iter()
                .map(|(namespace, pods)| {
                    let pods = pods.iter().map(|(key, pod)| (key.clone(), PlannedPod(Arc::clone(pod))));
                    (namespace.clone(), pods.collect())
                })
                .collect(),
        }
    }

    /// Returns the objects of a plan. They include only Secrets that SnmpContexts refer to.
    #[must_use]
    pub(crate) fn objects(&self, system_namespace: &str) -> Objects {
        let labels = |(name, info): (&String, &Arc<NamespaceInfo>)| (name.clone(), info.labels.clone());
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
    /// Returns the inputs of a plan.
    #[must_use]
    pub(crate) fn inputs(&self) -> Inputs {
        let subtrees = not_deleted(&self.subtrees);
        let mut pods = BTreeMap::new();
        for subtree in &subtrees {
            let namespace = subtree.metadata.namespace.clone().unwrap_or_default();
            pods.entry(namespace).or_insert_with_key(|namespace| {
                self.pods.in_namespace(namespace).map(|(key, pod)| (key.clone(), Arc::clone(pod))).collect()
            });
        }
        let all =
            |store: &Store<Arc<DataObject>>| store.iter().map(|(key, data)| (key.clone(), Arc::clone(data))).collect();
        let contexts = not_deleted(&self.contexts);
        // Other Secrets in this namespace, such as those that the operator writes itself, do not affect the plan.
        let named: BTreeSet<&str> = contexts.iter().flat_map(|context| secrets_of(context)).collect();
        let system = self.system_secrets.iter();
        let system = system.filter(|(key, secret)| secret.readable || named.contains(&*key.name));
        let system_secrets = system.map(|(key, secret)| (key.name.clone(), Arc::clone(secret))).collect();
        Inputs {
            subtrees,
            trap_targets: not_deleted(&self.trap_targets),
            namespaces: self.namespaces.iter().map(|(key, info)| (key.name.clone(), Arc::clone(info))).collect(),
            system_secrets,
            contexts,
            readable_secrets: all(&self.readable_secrets),
            readable_config_maps: all(&self.readable_config_maps),
            pods,
        }
    }

    /// Returns whether a subtree of the namespace selects pods with these labels. A subtree that the leader has refused
    /// selects none.
    pub(crate) fn selects<'a>(&self, namespace: &str, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        let refused = |subtree: &SnmpSubtree| {
            let conditions = subtree.status.iter().flat_map(|status| &status.conditions);
            conditions.into_iter().any(|condition| {
                // A condition of an earlier generation can be outdated.
                let current = condition.observed_generation == subtree.metadata.generation;
                condition.type_ == ACCEPTED && condition.status == "False" && current
            })
        };
        let mut subtrees = self.subtrees.in_namespace(namespace).map(|(_, subtree)| subtree);
        subtrees.any(|subtree| {
            let is_active = subtree.metadata.deletion_timestamp.is_none() && !refused(subtree);
            is_active && selects(&subtree.spec.selector, &label)
        })
    }

    /// Returns the number of objects of each kind.
    #[must_use]
    pub(crate) fn sizes(&self) -> BTreeMap<&'static str, usize> {
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

/// Returns the names of the Secrets that a context refers to.
fn secrets_of(context: &SnmpContext) -> impl Iterator<Item = &str> {
    let communities = context.spec.communities.iter().map(|community| &*community.secret_ref.name);
    communities.chain(context.spec.users.iter().map(|user| &*user.secret_ref.name))
}

/// Returns the objects that are not being deleted.
fn not_deleted<T: ResourceExt + PartialEq>(store: &Store<Arc<T>>) -> Vec<Arc<T>> {
    let remaining = store.iter().filter(|(_, object)| object.meta().deletion_timestamp.is_none());
    remaining.map(|(_, object)| Arc::clone(object)).collect()
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
    fn objects_that_are_being_deleted_are_not_planned() {
        let mut index = Index::default();
        let stays = subtree("stays");
        let mut being_deleted = subtree("goes");
        being_deleted.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        for subtree in [stays, being_deleted] {
            index.subtrees.apply(key(&subtree), version(&subtree), Arc::new(subtree));
        }
        let objects = index.inputs().objects("snmp-system");
        assert_eq!(objects.subtrees.iter().map(|subtree| subtree.name_any()).collect::<Vec<_>>(), ["stays"]);
    }

    #[test]
    fn pods_are_selected_by_accepted_subtrees_of_their_namespace() {
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
        assert_eq!(put(json!([]), "1"), (true, false, false), "a subtree without conditions");
        assert_eq!(put(condition("True", 2), "2"), (true, false, false));
        assert_eq!(put(condition("False", 2), "3"), (false, false, false));
        assert_eq!(put(condition("False", 1), "4"), (true, false, false), "an earlier generation was refused");
    }

    #[test]
    fn the_operators_own_writes_do_not_change_the_signature() {
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
            let shard =
                DataObject { data: [("master.json".to_owned(), resource.into())].into(), ..DataObject::default() };
            index.system_secrets.apply(Key::new("snmp-system", "snmp-master-0"), version, Arc::new(shard));
            index.inputs().signature()
        };
        let first = signature(&["a"], "1", "1");
        assert!(first == signature(&["a"], "2", "2"), "after touching a pod and writing a Secret of the masters");
        assert!(first != signature(&["b"], "2", "3"), "after changing a label of a pod");
    }

    #[test]
    fn only_secrets_that_contexts_refer_to_are_planned() {
        let mut index = Index::default();
        for name in ["named", "other"] {
            index.system_secrets.apply(
                Key::new("snmp-system", name),
                Version::default(),
                Arc::new(DataObject::from(Secret::default())),
            );
        }
        let context: SnmpContext = serde_json::from_value(json!({
            "apiVersion": "snmp-operator.dev/v1alpha1", "kind": "SnmpContext", "metadata": {"name": "acme"},
            "spec": {"communities": [{"secretRef": {"name": "named", "key": "community"}}]},
        }))
        .unwrap();
        index.contexts.apply(key(&context), version(&context), Arc::new(context));
        assert_eq!(format!("{:?}", index.inputs().objects("snmp-system").secrets), r#"{("snmp-system", "named"): []}"#);
    }
}
