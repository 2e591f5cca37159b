//! The label by which the Service finds the active replica: on its own pod, and on no other of the StatefulSet.

use std::{future::pending, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;
use tokio::{sync::watch, time::sleep};

use super::{call::bounded, names::Names};
use crate::{role::Trouble, status::Status};

/// The label.
const LABEL: &str = "snmp-operator.dev/role";
/// What the active replica's says.
const ACTIVE: &str = "active";
/// The pods that may have it.
const REPLICAS: &str = "app.kubernetes.io/name=snmp-operator,app.kubernetes.io/component=master";
/// How often it is looked whether all is as it should be.
const LOOK: Duration = Duration::from_secs(30);
/// Pauses between tries that fail: twice as long each time, up to the longest.
const PAUSES: std::ops::RangeInclusive<Duration> = Duration::from_millis(500)..=Duration::from_secs(10);

/// A pod, as far as it matters.
#[derive(Debug, PartialEq, Eq)]
struct Replica {
    name: String,
    role: Option<String>,
}

/// Keeps the labels as this replica's part asks for, for ever.
pub(crate) async fn keep(client: Client, names: Names, me: String, mut active: watch::Receiver<bool>, status: Status) {
    let pods: Api<Pod> = Api::namespaced(client, &names.namespace);
    let mut pause = *PAUSES.start();
    loop {
        let is_active = *active.borrow_and_update();
        let done = label(&pods, &me, is_active).await;
        let next = if done.is_ok() { LOOK } else { pause };
        pause = if done.is_ok() { *PAUSES.start() } else { (pause * 2).min(*PAUSES.end()) };
        status.trouble(Trouble::Label, done.err());
        tokio::select! {
            changed = active.changed() => if changed.is_err() { pending().await },
            () = sleep(next) => {}
        }
    }
}

async fn label(pods: &Api<Pod>, me: &str, is_active: bool) -> Result<(), String> {
    let of_replicas = ListParams::default().labels(REPLICAS);
    let replicas = bounded(pods.list(&of_replicas)).await.map_err(|error| error.to_string())?;
    let replicas = replicas.items.into_iter().filter_map(|pod| {
        let role = pod.metadata.labels.and_then(|mut labels| labels.remove(LABEL));
        Some(Replica { name: pod.metadata.name?, role })
    });
    let replicas: Vec<_> = replicas.collect();
    for (pod, role) in changes(&replicas, me, is_active) {
        let patch = Patch::Merge(json!({"metadata": {"labels": {LABEL: role}}}));
        match bounded(pods.patch_metadata(pod, &PatchParams::default(), &patch)).await {
            Ok(_) => tracing::info!(pod, role = role.unwrap_or("none"), "a pod is labelled"),
            // A pod that is gone has no label.
            Err(error) if error.is_not_found() && pod != me => {}
            Err(error) => return Err(format!("the pod {pod}: {error}")),
        }
    }
    if is_active && replicas.iter().all(|replica| replica.name != me) {
        return Err(format!("there is no pod {me} with the labels {REPLICAS}"));
    }
    Ok(())
}

/// What is to be changed, and to what: first this replica's own, so that there always is one to be found.
fn changes<'a>(replicas: &'a [Replica], me: &str, is_active: bool) -> Vec<(&'a str, Option<&'static str>)> {
    let (mine, others): (Vec<_>, Vec<_>) = replicas.iter().partition(|replica| replica.name == me);
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
    fn the_active_one_labels_itself_first_and_takes_the_label_from_all_others() {
        let replicas = replicas(&[("m-0", Some(ACTIVE)), ("m-1", None), ("m-2", Some("other")), ("m-3", Some(ACTIVE))]);
        assert_eq!(changes(&replicas, "m-1", true), [("m-1", Some(ACTIVE)), ("m-0", None), ("m-3", None)]);
    }

    #[test]
    fn one_that_stands_by_takes_its_own_label_off_and_no_others() {
        let replicas = replicas(&[("m-0", Some(ACTIVE)), ("m-1", Some(ACTIVE))]);
        assert_eq!(changes(&replicas, "m-1", false), [("m-1", None)]);
    }

    #[test]
    fn what_is_as_it_should_be_is_left_alone() {
        let replicas = replicas(&[("m-0", Some(ACTIVE)), ("m-1", None)]);
        assert_eq!(changes(&replicas, "m-0", true), []);
        assert_eq!(changes(&replicas, "m-1", false), []);
        assert_eq!(changes(&replicas, "elsewhere", false), []);
    }
}
