//! Watches: they keep the index up to date.

use std::{fmt::Debug, pin::pin, sync::Arc};

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
use tokio::task::JoinSet;

use super::{
    Changed, Index, Key, SharedIndex, Store, key, lock,
    reduced::{READABLE, slim},
    version,
    watch_backoff::watch_backoff,
};
use crate::plan::SIDECAR_CONFIGURATION;

/// The scope of the watches.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    /// The operator's own namespace.
    pub(crate) system_namespace: String,
    /// The watched namespaces; `None` for all.
    pub(crate) namespaces: Vec<Option<String>>,
    /// Whether Secrets and ConfigMaps that sources refer to are watched.
    pub(crate) read_secrets: bool,
}

/// Starts all watches. Each blocks both of `ready` until its first list is complete.
pub(crate) fn start(
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
    // Helm's release records are large, and there is one for each revision of each release.
    let config = Config::default().fields("type!=helm.sh/release.v1");
    let keep = |secret: Secret| Arc::new(secret.into());
    watches.start("Secrets", None, system, config, |index| &mut index.system_secrets, keep);
    for namespace in &scope.namespaces {
        let namespace = namespace.as_deref();
        let only = |name: &str| Config::default().fields(&format!("metadata.name={name}"));
        let namespaces: Api<PartialObjectMeta<Namespace>> = Api::all(client.clone());
        let config = namespace.map_or_else(Config::default, only);
        // Namespaces are cluster-scoped, so the scope of a list of one namespace is its name.
        watches.start_namespaces("Namespaces", namespace, namespaces, config);
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
        let own = || only(SIDECAR_CONFIGURATION);
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

    /// Starts a watch of namespaces. The scope of a list of one namespace is its name.
    fn start_namespaces(
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

/// A watch that feeds one store of the index.
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
                Ok(event) => self.apply(event, &keep, key),
                // The stream retries by itself. Only the first of consecutive errors is a warning.
                Err(error) if !std::mem::replace(&mut self.failing, true) => {
                    tracing::warn!(watch = self.name, %error, "watch failed; retrying");
                }
                Err(error) => tracing::debug!(watch = self.name, %error, "watch failed; retrying"),
            }
        }
    }

    fn apply<K: Resource>(&mut self, event: Event<K>, keep: impl Fn(K) -> T, key: fn(&K) -> Key) {
        if std::mem::take(&mut self.failing) {
            tracing::info!(watch = self.name, "watch works again");
        }
        let (store, scope) = (self.store, self.scope.as_deref());
        let blocks = &mut self.blocks;
        let changed = lock(&self.index, |index| match event {
            Event::Init => {
                store(index).begin_list(scope);
                false
            }
            Event::InitApply(object) => {
                let (key, version) = (key(&object), version(&object));
                store(index).apply_listed(scope, key, version, keep(object))
            }
            Event::InitDone => {
                let changed = store(index).end_list(scope);
                blocks.take().is_some() || changed
            }
            Event::Apply(object) => {
                let (key, version) = (key(&object), version(&object));
                store(index).apply(key, version, keep(object))
            }
            Event::Delete(object) => store(index).delete(&key(&object), &object.meta().uid.clone().unwrap_or_default()),
        });
        if changed {
            self.changed.send_replace(());
        }
    }
}
