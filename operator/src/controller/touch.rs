//! Touches pods whose configuration has changed: the kubelet then looks at their volumes at once, instead of within a
//! minute or two.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use k8s_openapi::api::core::v1::Pod as CorePod;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use super::{desired::Desired, lock, namespace, writer::Writer};
use crate::{
    index::{CONFIGURATION, Index, Key, OPERATOR, Pod, key, version},
    metrics::Metrics,
    watches::{Changed, SharedIndex},
};

/// Time between two touches.
const PERIOD: Duration = Duration::from_millis(50);
/// How many pods may wait. The rest comes when these are done.
const QUEUE: usize = 10_000;

/// Pods that wait to be touched.
#[derive(Debug, Default)]
pub struct Queue {
    order: VecDeque<Key>,
    configurations: BTreeMap<Key, String>,
    /// Whether some found no room.
    overflown: bool,
}

impl Queue {
    /// Takes what there is to touch now, in place of what there was before: the newest configuration counts, and who waits
    /// keeps its place.
    pub fn set(&mut self, pods: impl IntoIterator<Item = (Key, String)>) {
        let mut wanted: BTreeMap<_, _> = pods.into_iter().collect();
        self.order.retain(|pod| wanted.contains_key(pod));
        self.overflown = false;
        for pod in wanted.keys() {
            if !self.configurations.contains_key(pod) {
                if self.order.len() < QUEUE {
                    self.order.push_back(pod.clone());
                } else {
                    self.overflown = true;
                }
            }
        }
        let order: std::collections::BTreeSet<_> = self.order.iter().collect();
        wanted.retain(|pod, _| order.contains(pod));
        self.configurations = wanted;
    }

    /// The next.
    pub fn take(&mut self) -> Option<(Key, String)> {
        let pod = self.order.pop_front()?;
        let configuration = self.configurations.remove(&pod)?;
        Some((pod, configuration))
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

/// Pods whose configuration is written and is not the one that they were told of.
#[must_use]
pub fn stale(index: &Index, desired: &Desired) -> Vec<(Key, String)> {
    let mut stale = Vec::new();
    for (name, wanted) in &desired.namespaces {
        let settled = matches!(
            namespace::actions(index, name, Some(wanted)),
            (namespace::Action::Nothing, namespace::Action::Nothing)
        );
        if !settled || wanted.pods.is_empty() {
            continue;
        }
        let Some(configuration) = namespace::fingerprint(index, name) else { continue };
        for (key, pod) in &wanted.pods {
            // As it stands now: it may have been touched since the plan was made.
            let now = index.pods.get(key).unwrap_or(pod);
            if now.configuration.as_deref() != Some(&configuration) {
                stale.push((key.clone(), configuration.clone()));
            }
        }
    }
    stale
}

/// Touches pods one by one, at most twenty a second, for as long as the program runs.
pub async fn run(queue: Arc<Mutex<Queue>>, writer: Writer, index: SharedIndex, changed: Changed, metrics: Metrics) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let (next, left, more) = lock(&queue, |queue| (queue.take(), queue.len(), queue.overflown));
        metrics.touches_queued(left);
        let Some((pod, configuration)) = next else { continue };
        let api: Api<CorePod> = Api::namespaced(writer.client().clone(), &pod.namespace);
        let patch = Patch::Merge(json!({"metadata": {"annotations": {CONFIGURATION: configuration}}}));
        let params = PatchParams { field_manager: Some(OPERATOR.to_owned()), ..PatchParams::default() };
        match writer.request("Pod", "patch", api.patch_metadata(&pod.name, &params, &patch)).await {
            Ok(touched) => {
                metrics.reconciled("pod", "done");
                let (key, version) = (key(&touched), version(&touched));
                let kept = Arc::new(Pod::from(touched));
                let is_news = lock(&index, |index| {
                    let before = index.pods.get(&key).cloned();
                    index.pods.apply(key, version, Arc::clone(&kept));
                    before.is_none_or(|before| !kept.is_alike(&before))
                });
                if is_news {
                    changed.send_replace(());
                }
            }
            Err(error) if error.is_gone() => metrics.reconciled("pod", "gone"),
            Err(error) => {
                metrics.reconciled("pod", "failed");
                tracing::debug!(%error, pod = pod.name, namespace = pod.namespace, "a pod cannot be touched");
            }
        }
        if left == 0 && more {
            changed.send_replace(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str) -> Key {
        Key::new("acme", name)
    }

    fn of(pods: &[(&str, &str)]) -> Vec<(Key, String)> {
        pods.iter().map(|(name, configuration)| (pod(name), (*configuration).to_owned())).collect()
    }

    #[test]
    fn the_newest_configuration_counts_and_who_waits_keeps_its_place() {
        let mut queue = Queue::default();
        queue.set(of(&[("b", "1"), ("c", "1")]));
        queue.set(of(&[("a", "2"), ("b", "2"), ("c", "2")]));
        let order: Vec<_> = std::iter::from_fn(|| queue.take()).collect();
        assert_eq!(order, of(&[("b", "2"), ("c", "2"), ("a", "2")]));
    }

    #[test]
    fn a_pod_that_needs_no_touch_any_more_is_not_touched() {
        let mut queue = Queue::default();
        queue.set(of(&[("a", "1"), ("b", "1")]));
        queue.set(of(&[("b", "1")]));
        assert_eq!((queue.len(), queue.take(), queue.take()), (1, Some((pod("b"), "1".to_owned())), None));
    }

    #[test]
    fn the_queue_is_bounded_and_the_rest_comes_later() {
        let mut queue = Queue::default();
        let all: Vec<_> = (0..QUEUE + 5).map(|i| (pod(&format!("{i:06}")), "1".to_owned())).collect();
        queue.set(all.clone());
        assert_eq!((queue.len(), queue.overflown), (QUEUE, true));
        while queue.take().is_some() {}
        queue.set(all.into_iter().skip(QUEUE));
        assert_eq!((queue.len(), queue.overflown), (5, false));
    }
}
