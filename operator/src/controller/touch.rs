//! Touching of pods whose configuration has changed. A changed annotation makes the kubelet update the pod's volumes at once,
//! instead of within a minute or two.

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

use super::{desired::Desired, namespace, writer::Writer};
use crate::{
    index::{CONFIGURATION, Changed, Index, Key, OPERATOR, Pod, SharedIndex, key, lock, version},
    metrics::Metrics,
};

/// Time between two touches.
const PERIOD: Duration = Duration::from_millis(50);
/// The maximum number of queued pods. More pods are queued when these are done.
const QUEUE: usize = 10_000;

/// The queue of pods to touch.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    order: VecDeque<Key>,
    configurations: BTreeMap<Key, String>,
    /// Whether pods were left out because the queue was full.
    overflown: bool,
}

impl Queue {
    /// Replaces the pods to touch. Pods that are already queued keep their position, and get the new configuration.
    pub(crate) fn set(&mut self, pods: impl IntoIterator<Item = (Key, String)>) {
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

    /// Removes the next pod from the queue.
    pub(crate) fn pop(&mut self) -> Option<(Key, String)> {
        let pod = self.order.pop_front()?;
        let configuration = self.configurations.remove(&pod)?;
        Some((pod, configuration))
    }

    /// Returns the number of queued pods.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }
}

/// Returns the pods whose configuration is written and differs from the one for which they were last touched.
#[must_use]
pub(crate) fn stale(index: &Index, desired: &Desired) -> Vec<(Key, String)> {
    let mut stale = Vec::new();
    for (name, wanted) in &desired.namespaces {
        let is_written = matches!(
            namespace::actions(index, name, Some(wanted)),
            (namespace::Action::Nothing, namespace::Action::Nothing)
        );
        if !is_written || wanted.pods.is_empty() {
            continue;
        }
        let Some(configuration) = namespace::fingerprint(index, name) else { continue };
        for (key, pod) in &wanted.pods {
            // The pod may have been touched since the desired state was computed.
            let current = index.pods.get(key).unwrap_or(pod);
            if current.configuration.as_deref() != Some(&configuration) {
                stale.push((key.clone(), configuration.clone()));
            }
        }
    }
    stale
}

/// Touches queued pods, at most twenty a second. Never returns.
pub(crate) async fn run(
    queue: Arc<Mutex<Queue>>,
    writer: Writer,
    index: SharedIndex,
    changed: Changed,
    metrics: Metrics,
) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let (next, remaining, more) = lock(&queue, |queue| (queue.pop(), queue.len(), queue.overflown));
        metrics.touches_queued(remaining);
        let Some((pod, configuration)) = next else { continue };
        let api: Api<CorePod> = Api::namespaced(writer.client().clone(), &pod.namespace);
        let patch = Patch::Merge(json!({"metadata": {"annotations": {CONFIGURATION: configuration}}}));
        let params = PatchParams { field_manager: Some(OPERATOR.to_owned()), ..PatchParams::default() };
        match writer.request("Pod", "patch", api.patch_metadata(&pod.name, &params, &patch)).await {
            Ok(touched) => {
                metrics.reconciled("pod", "done");
                let (key, version) = (key(&touched), version(&touched));
                let pod = Arc::new(Pod::from(touched));
                let is_changed = lock(&index, |index| {
                    let before = index.pods.get(&key).cloned();
                    index.pods.apply(key, version, Arc::clone(&pod));
                    before.is_none_or(|before| !pod.equals_except_configuration(&before))
                });
                if is_changed {
                    changed.send_replace(());
                }
            }
            Err(error) if error.is_gone() => metrics.reconciled("pod", "gone"),
            Err(error) => {
                metrics.reconciled("pod", "failed");
                tracing::debug!(%error, pod = pod.name, namespace = pod.namespace, "failed to touch a pod");
            }
        }
        if remaining == 0 && more {
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
    fn queued_pods_keep_their_position_and_get_the_newest_configuration() {
        let mut queue = Queue::default();
        queue.set(of(&[("b", "1"), ("c", "1")]));
        queue.set(of(&[("a", "2"), ("b", "2"), ("c", "2")]));
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, of(&[("b", "2"), ("c", "2"), ("a", "2")]));
    }

    #[test]
    fn a_pod_that_is_up_to_date_again_leaves_the_queue() {
        let mut queue = Queue::default();
        queue.set(of(&[("a", "1"), ("b", "1")]));
        queue.set(of(&[("b", "1")]));
        assert_eq!((queue.len(), queue.pop(), queue.pop()), (1, Some((pod("b"), "1".to_owned())), None));
    }

    #[test]
    fn the_queue_is_bounded() {
        let mut queue = Queue::default();
        let all: Vec<_> = (0..QUEUE + 5).map(|i| (pod(&format!("{i:06}")), "1".to_owned())).collect();
        queue.set(all.clone());
        assert_eq!((queue.len(), queue.overflown), (QUEUE, true));
        while queue.pop().is_some() {}
        queue.set(all.into_iter().skip(QUEUE));
        assert_eq!((queue.len(), queue.overflown), (5, false));
    }
}
