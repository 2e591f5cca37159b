//! From watches to the index.

use std::{
    fmt::Debug,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
};

use crds::{SnmpContext, SnmpSubtree, SnmpTrapTarget};
use daemon::readiness::{Block, Readiness};
use futures::StreamExt;
use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{ConfigMap, Namespace, Pod, Secret},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt,
        watcher::{self, Config, Event},
    },
};
use serde::de::DeserializeOwned;
use tokio::{sync::watch, task::JoinSet};

use crate::{
    config_map,
    index::{Index, Key, READABLE, Store, key, version},
    watch_backoff::watch_backoff,
};

/// The index, shared with the watches.
pub type SharedIndex = Arc<Mutex<Index>>;
/// Tells whoever subscribes that something in the index has changed.
pub type Changed = Arc<watch::Sender<()>>;

/// What to watch.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The operator's own namespace.
    pub system_namespace: String,
    /// Namespaces; `None` for all.
    pub namespaces: Vec<Option<String>>,
    /// Whether Secrets and ConfigMaps that sources name are.
    pub read_secrets: bool,
}

/// Starts all watches. Each blocks all of `ready` until its first list is complete.
pub fn start(
    client: &Client,
    scope: &Scope,
    index: &SharedIndex,
    changed: &Changed,
    ready: [&Readiness; 2],
) -> JoinSet<()> {
    let mut watches = Watches { client, index, changed, ready, tasks: JoinSet::new() };
    let all = || Config::default();
    let contexts: Api<SnmpContext> = Api::all(client.clone());
    watches.start("SnmpContexts", None, contexts, all(), |index| &mut index.contexts, slim);
    let system: Api<Secret> = Api::namespaced(client.clone(), &scope.system_namespace);
    // Helm's own records are large, and there is one for each release and revision.
    let config = Config::default().fields("type!=helm.sh/release.v1");
    let keep = |secret: Secret| Arc::new(secret.into());
    watches.start("Secrets", None, system, config, |index| &mut index.system_secrets, keep);
    for namespace in &scope.namespaces {
        let namespace = namespace.as_deref();
        let only = |name: &str| Config::default().fields(&format!("metadata.name={name}"));
        let namespaces: Api<PartialObjectMeta<Namespace>> = Api::all(client.clone());
        let config = namespace.map_or_else(Config::default, only);
        // A namespace has none itself: the scope of its list is its name.
        watches.start_named("Namespaces", namespace, namespaces, config);
        watches.start(
            "SnmpSubtrees",
            namespace,
            watches.api::<SnmpSubtree>(namespace),
            all(),
            |index| &mut index.subtrees,
            slim,
        );
        watches.start(
            "SnmpTrapTargets",
            namespace,
            watches.api::<SnmpTrapTarget>(namespace),
            all(),
            |index| &mut index.trap_targets,
            slim,
        );
        let unfinished = Config::default().fields("status.phase!=Succeeded,status.phase!=Failed");
        let pods: Api<PartialObjectMeta<Pod>> = watches.api(namespace);
        let keep = |pod: PartialObjectMeta<Pod>| Arc::new(pod.into());
        watches.start("Pods", namespace, pods, unfinished, |index| &mut index.pods, keep);
        let own = || only(config_map::NAME);
        let keep_map = |map: ConfigMap| Arc::new(map.into());
        let keep_secret = |secret: Secret| Arc::new(secret.into());
        watches.start(
            "ConfigMaps of sidecars",
            namespace,
            watches.api(namespace),
            own(),
            |index| &mut index.sidecar_config_maps,
            keep_map,
        );
        watches.start(
            "Secrets of sidecars",
            namespace,
            watches.api(namespace),
            own(),
            |index| &mut index.sidecar_secrets,
            keep_secret,
        );
        if scope.read_secrets {
            let readable = || Config::default().labels(&format!("{READABLE}=true"));
            watches.start(
                "readable Secrets",
                namespace,
                watches.api(namespace),
                readable(),
                |index| &mut index.readable_secrets,
                keep_secret,
            );
            watches.start(
                "readable ConfigMaps",
                namespace,
                watches.api(namespace),
                readable(),
                |index| &mut index.readable_config_maps,
                keep_map,
            );
        }
    }
    watches.tasks
}

/// The object without what no one reads.
pub(crate) fn slim<K: ResourceExt>(mut object: K) -> Arc<K> {
    object.meta_mut().managed_fields = None;
    // kubectl's copy of it all.
    object.annotations_mut().remove("kubectl.kubernetes.io/last-applied-configuration");
    Arc::new(object)
}

struct Watches<'a> {
    client: &'a Client,
    index: &'a SharedIndex,
    changed: &'a Changed,
    ready: [&'a Readiness; 2],
    tasks: JoinSet<()>,
}

impl Watches<'_> {
    fn api<K>(&self, namespace: Option<&str>) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        match namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    fn start<K, T>(
        &mut self,
        what: &'static str,
        scope: Option<&str>,
        api: Api<K>,
        config: Config,
        store: fn(&mut Index) -> &mut Store<T>,
        keep: impl Fn(K) -> T + Send + 'static,
    ) where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
        T: PartialEq + Send + 'static,
    {
        let name = scope.map_or_else(|| what.to_owned(), |scope| format!("{what} of {scope}"));
        let feed = Feed {
            blocks: Some(self.ready.map(|ready| ready.block(name.clone()))),
            name,
            scope: scope.map(str::to_owned),
            index: Arc::clone(self.index),
            changed: Changed::clone(self.changed),
            store,
            failing: false,
        };
        self.tasks.spawn(feed.run(watcher::watcher(api, config).backoff(watch_backoff()), keep, key::<K>));
    }

    /// The same for namespaces: a list of one of them is of the scope that is its name.
    fn start_named(
        &mut self,
        what: &'static str,
        scope: Option<&str>,
        api: Api<PartialObjectMeta<Namespace>>,
        config: Config,
    ) {
        let name = scope.map_or_else(|| what.to_owned(), |scope| format!("{what}: {scope}"));
        let feed = Feed {
            blocks: Some(self.ready.map(|ready| ready.block(name.clone()))),
            name,
            scope: scope.map(str::to_owned),
            index: Arc::clone(self.index),
            changed: Changed::clone(self.changed),
            store: |index| &mut index.namespaces,
            failing: false,
        };
        let keep = |namespace: PartialObjectMeta<Namespace>| Arc::new(namespace.into());
        let key = |namespace: &PartialObjectMeta<Namespace>| Key::new(namespace.name_any(), namespace.name_any());
        self.tasks.spawn(feed.run(watcher::watcher(api, config).backoff(watch_backoff()), keep, key));
    }
}

/// One watch on its way into the index.
struct Feed<T> {
    blocks: Option<[Block; 2]>,
    name: String,
    scope: Option<String>,
    index: SharedIndex,
    changed: Changed,
    store: fn(&mut Index) -> &mut Store<T>,
    failing: bool,
}

impl<T: PartialEq> Feed<T> {
    async fn run<K: Resource>(
        mut self,
        events: impl futures::Stream<Item = watcher::Result<Event<K>>>,
        keep: impl Fn(K) -> T,
        key: fn(&K) -> Key,
    ) {
        let mut events = pin!(events);
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => self.take(event, &keep, key),
                // A watch that is broken off is begun again where it stood; told once until it works.
                Err(error) if !std::mem::replace(&mut self.failing, true) => {
                    tracing::warn!(watch = self.name, %error, "cannot be watched; goes on trying");
                }
                Err(error) => tracing::debug!(watch = self.name, %error, "cannot be watched"),
            }
        }
    }

    fn take<K: Resource>(&mut self, event: Event<K>, keep: impl Fn(K) -> T, key: fn(&K) -> Key) {
        if std::mem::take(&mut self.failing) {
            tracing::info!(watch = self.name, "is watched again");
        }
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        let store = (self.store)(&mut index);
        let scope = self.scope.as_deref();
        let changed = match event {
            Event::Init => {
                store.list_begins(scope);
                false
            }
            Event::InitApply(object) => {
                let (key, version) = (key(&object), version(&object));
                store.listed(scope, key, version, keep(object))
            }
            Event::InitDone => {
                let changed = store.list_ends(scope);
                self.blocks.take().is_some() || changed
            }
            Event::Apply(object) => {
                let (key, version) = (key(&object), version(&object));
                store.apply(key, version, keep(object))
            }
            Event::Delete(object) => store.delete(&key(&object), &object.meta().uid.clone().unwrap_or_default()),
        };
        drop(index);
        if changed {
            self.changed.send_replace(());
        }
    }
}
