//! What the admin server shows of the master: metrics to all, status on loopback.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use daemon::{
    admin::{Admin, Reply},
    readiness::Readiness,
};
use prometheus_client::registry::Registry;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::{
    agent::Command,
    metrics::Metrics,
    standing::{Sessions, Standing},
    statistics::Statistics,
    status::Status,
    traffic::Traffic,
};

/// How long the agent thread has to say how it stands.
const PATIENCE: Duration = Duration::from_secs(2);

/// The admin server, with `/status` on its local face.
#[must_use]
pub fn server(
    readiness: Readiness,
    status: &Status,
    statistics: &Arc<Statistics>,
    traffic: &Arc<Traffic>,
    standing: &Arc<Mutex<Standing>>,
    commander: mpsc::Sender<Command>,
) -> Admin {
    let mut registry = Registry::with_prefix("snmp_master");
    let metrics = Metrics::new(status.clone(), Arc::clone(statistics), Arc::clone(traffic), Arc::clone(standing));
    registry.register_collector(Box::new(metrics));
    let status = status.clone();
    Admin::new(readiness, registry).asking_route("/status", move |_| {
        let (status, commander) = (status.clone(), commander.clone());
        async move { Reply::json(status.to_json(ask(&commander).await.as_ref())) }
    })
}

/// The sessions; none if the agent thread does not tell them in time.
async fn ask(commander: &mpsc::Sender<Command>) -> Option<Sessions> {
    let (reply, sessions) = oneshot::channel();
    // Waiting commands are those of a thread that has not begun, or hangs.
    commander.try_send(Command::Sessions(reply)).ok()?;
    timeout(PATIENCE, sessions).await.ok()?.ok()
}
