//! The label by which the Service finds the active replica. Only the active pod of the StatefulSet has it.

use std::{future::pending, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;
use tokio::{sync::watch, time::sleep};

use super::{call::bounded, names::Names};
use crate::observability::{role::Trouble, status::Status};

/// Name of the label.
const LABEL: &str = "snmp-operator.dev/role";
/// Value of the label on the active pod.
const ACTIVE: &str = "active";
/// Selects the pods of all replicas.
const REPLICAS: &str = "app.kubernetes.io/name=snmp-operator,app.kubernetes.io/component=master";
/// Period of the checks of the labels.
const CHECK_PERIOD: Duration = Duration::from_secs(30);
/// Shortest and longest pause after a failure. Each pause is twice as long as the one before.
const BACKOFF: std::ops::RangeInclusive<Duration> = Duration::from_millis(500)..=Duration::from_secs(10);

/// The pod of a replica.
#[derive(Debug, PartialEq, Eq)]
struct Replica {
    name: String,
    role: Option<String>,
}

/// Keeps the labels in accordance with this replica's role. Never returns.
pub(crate) async fn keep(client: Client, names: Names, pod: String, mut active: watch::Receiver<bool>, status: Status) {
    let pods: Api<Pod> = Api::namespaced(client, &names.namespace);
    let mut pause = *BACKOFF.start();
    loop {
        let is_active = *active.borrow_and_update();
        let done = label(&pods, &pod, is_active).await;
        let next = if done.is_ok() { CHECK_PERIOD } else { pause };
        pause = if done.is_ok() { *BACKOFF.start() } else { (pause * 2).min(*BACKOFF.end()) };
        status.trouble(Trouble::Label, done.err());
        tokio::select! {
            changed = active.changed() => if changed.is_err() { pending().await },
            () = sleep(next) => {}
        }
    }
}

async fn label(pods: &Api<Pod>, own: &str, is_active: bool) -> Result<(), String> {
    let of_replicas = ListParams::default().labels(REPLICAS);
    let replicas = bounded(pods.list(&of_replicas)).await.map_err(|error| error.to_string())?;
    let replicas = replicas.items.into_iter().filter_map(|pod| {
        let role = pod.metadata.labels.and_then(|mut labels| labels.remove(LABEL));
        Some(Replica { name: pod.metadata.name?, role })
    });
    let replicas: Vec<_> = replicas.collect();
    for (pod, role) in changes(&replicas, own, is_active) {
        let patch = Patch::Merge(json!({"metadata": {"labels": {LABEL: role}}}));
        match bounded(pods.patch_metadata(pod, &PatchParams::default(), &patch)).await {
            Ok(_) => tracing::info!(pod, role = role.unwrap_or("none"), "changed the label of a pod"),
            // A deleted pod needs no change.
            Err(error) if error.is_not_found() && pod != own => {}
            Err(error) => return Err(format!("the pod {pod}: {error}")),
        }
    }
    if is_active && replicas.iter().all(|replica| replica.name != own) {
        return Err(format!("no pod {own} with the labels {REPLICAS}"));
    }
    Ok(())
}

/// Returns the labels to change. The own label comes first, so that the Service always finds a pod.
fn changes<'a>(replicas: &'a [Replica], own: &str, is_active: bool) -> Vec<(&'a str, Option<&'static str>)> {
    let (mine, others): (Vec<_>, Vec<_>) = replicas.iter().partition(|replica| replica.name == own);
    let wanted = is_active.then_some(ACTIVE);
    let mine = mine.into_iter().filter(|mine| mine.role.as_deref() != wanted).map(|mine| (&*mine.name, wanted));
    let others = others.into_iter().filter(|other| is_active && other.role.as_deref() == Some(ACTIVE));
    mine.chain(others.map(|other| (&*other.name, None))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replicas(roles: &[(&str, Option<&str>)]) -> Vec<Replica> {
        let replica =
            |(name, role): &(&str, Option<&str>)| Replica { name: (*name).to_owned(), role: role.map(str::to_owned) };
        roles.iter().map(replica).collect()
    }

    #[test]
    fn the_active_replica_labels_itself_first_and_then_removes_the_label_from_others() {
        let replicas = replicas(&[("m-0", Some(ACTIVE)), ("m-1", None), ("m-2", Some("other")), ("m-3", Some(ACTIVE))]);
        assert_eq!(changes(&replicas, "m-1", true), [("m-1", Some(ACTIVE)), ("m-0", None), ("m-3", None)]);
    }

    #[test]
    fn a_standby_replica_removes_only_its_own_label() {
        let replicas = replicas(&[("m-0", Some(ACTIVE)), ("m-1", Some(ACTIVE))]);
        assert_eq!(changes(&replicas, "m-1", false), [("m-1", None)]);
    }

    #[test]
    fn correct_labels_are_not_changed() {
        let replicas = replicas(&[("m-0", Some(ACTIVE)), ("m-1", None)]);
        assert_eq!(changes(&replicas, "m-0", true), []);
        assert_eq!(changes(&replicas, "m-1", false), []);
        assert_eq!(changes(&replicas, "elsewhere", false), []);
    }
}
