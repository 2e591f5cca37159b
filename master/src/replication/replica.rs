//! Takes part in the election, and reports when this replica becomes active or standby.

use std::time::Duration;

use kube::Client;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::sleep,
};

use super::{
    engine_secret::{EngineSecret, EngineSecretError},
    leader::Leader,
    names::Names,
    pod_label,
};
use crate::{
    observability::{role::Trouble, status::Status},
    snmp::EngineIdentity,
};

/// First pause after the engine could not be read or stored. Each further pause is twice as long.
const MIN_BACKOFF: Duration = Duration::from_millis(100);
/// Longest pause.
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// A change of this replica's role.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RoleChange {
    /// Become active: answer managers as this boot of the engine, which is stored already.
    Activate(EngineIdentity),
    /// Become standby: stop answering managers.
    Deactivate,
}

/// This replica as a participant in the election.
#[derive(Debug)]
pub(crate) struct Replica {
    leader: Leader,
    changes: mpsc::Receiver<RoleChange>,
    active: watch::Sender<bool>,
    /// Aborted when this is dropped.
    _tasks: JoinSet<()>,
}

impl Replica {
    /// Starts to take part in the election as the pod `pod`, with the engine of the Secret. Needs a Tokio runtime.
    pub(crate) fn start(client: &Client, names: &Names, pod: &str, engine: EngineSecret, status: &Status) -> Self {
        let leader = Leader::start(client, names, pod.to_owned(), status.clone());
        let (sender, changes) = mpsc::channel(1);
        let (active, is_active) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(follow(leader.term(), engine, sender, status.clone()));
        tasks.spawn(pod_label::keep(client.clone(), names.clone(), pod.to_owned(), is_active, status.clone()));
        Self { leader, changes, active, _tasks: tasks }
    }

    /// Waits for the next change of the role. Cancel safe.
    pub(crate) async fn next(&mut self) -> RoleChange {
        match self.changes.recv().await {
            Some(change) => change,
            // The sending task ends only when it is aborted.
            None => std::future::pending().await,
        }
    }

    /// Sets or removes the label by which the Service finds the active replica.
    pub(crate) fn label(&self, is_active: bool) {
        self.active.send_replace(is_active);
    }

    /// Releases the Lease, and waits until that is done. The engine must be off already.
    pub(crate) async fn shut_down(mut self) {
        self.leader.end().await;
    }
}

/// Returns the engine as soon as it can be read or stored: in its next boot if `is_boot`, otherwise in its current
/// boot.
pub(crate) async fn engine(secret: &mut EngineSecret, is_boot: bool, status: &Status) -> EngineIdentity {
    let mut pause = MIN_BACKOFF;
    loop {
        match if is_boot { secret.boot().await } else { secret.find().await } {
            Ok(engine) => {
                status.trouble(Trouble::Engine, None);
                return engine;
            }
            // Another replica wrote the Secret at the same time.
            Err(EngineSecretError::Call { error, .. }) if error.is_conflict() => {}
            Err(error) => status.trouble(Trouble::Engine, Some(error.to_string())),
        }
        sleep(pause).await;
        pause = (pause * 2).min(MAX_BACKOFF);
    }
}

/// Reports the start and the end of each term of this replica as a change of its role.
async fn follow(
    mut term: watch::Receiver<Option<lease::Term>>,
    mut secret: EngineSecret,
    changes: mpsc::Sender<RoleChange>,
    status: Status,
) {
    loop {
        let Ok(this) = term.wait_for(Option::is_some).await.map(|term| *term) else { return };
        let booted = tokio::select! {
            biased;
            over = term.wait_for(|now| *now != this) => match over {
                Ok(_) => continue,
                Err(_) => return,
            },
            engine = engine(&mut secret, true, &status) => engine,
        };
        let over = async {
            changes.send(RoleChange::Activate(booted)).await.ok()?;
            term.wait_for(|now| *now != this).await.ok().map(drop)?;
            changes.send(RoleChange::Deactivate).await.ok()
        };
        if over.await.is_none() {
            return;
        }
    }
}
