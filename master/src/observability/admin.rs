//! The admin server: `/metrics` for everyone, `/status` only on loopback.

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
    agent::{
        command::Command,
        snapshot::{Sessions, Snapshot},
    },
    io::traffic::Traffic,
    observability::{metrics::Metrics, status::Status},
    snmp::statistics::Statistics,
};

/// Timeout of the agent thread's reply with its sessions.
const SESSIONS_TIMEOUT: Duration = Duration::from_secs(2);

/// Builds the admin server, with `/status` on its local face.
pub(crate) fn server(
    readiness: Readiness,
    status: &Status,
    statistics: &Arc<Statistics>,
    traffic: &Arc<Traffic>,
    snapshot: &Arc<Mutex<Snapshot>>,
    commander: mpsc::Sender<Command>,
) -> Admin {
    let mut registry = Registry::with_prefix("snmp_master");
    let metrics = Metrics::new(status.clone(), Arc::clone(statistics), Arc::clone(traffic), Arc::clone(snapshot));
    registry.register_collector(Box::new(metrics));
    let status = status.clone();
    Admin::new(readiness, registry).async_route("/status", move |_| {
        let (status, commander) = (status.clone(), commander.clone());
        async move { Reply::json(status.to_json(sessions(&commander).await.as_ref())) }
    })
}

/// Returns the sessions, or `None` if the agent thread does not reply in time.
async fn sessions(commander: &mpsc::Sender<Command>) -> Option<Sessions> {
    let (reply, receiver) = oneshot::channel();
    // The channel is full only if the thread has not started or hangs.
    commander.try_send(Command::Sessions(reply)).ok()?;
    timeout(SESSIONS_TIMEOUT, receiver).await.ok()?.ok()
}

#[cfg(test)]
mod tests {
    use daemon::{admin::Face, drain};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::*;
    use crate::snmp::EngineIdentity;

    /// Requests `target` from a server with a fake agent thread. Returns the status line and the body.
    async fn get(face: Face, target: &str) -> (String, String) {
        let status = Status::default();
        status.engine(&EngineIdentity { engine_id: vec![0x80, 0, 0, 0, 1], boots: 1 });
        let (commander, mut commands) = mpsc::channel(1);
        tokio::spawn(async move {
            while let Some(command) = commands.recv().await {
                if let Command::Sessions(reply) = command {
                    _ = reply.send(Sessions { at: std::time::Instant::now(), sessions: Vec::new() });
                }
            }
        });
        let (statistics, traffic, snapshot) = (Arc::default(), Arc::default(), Arc::default());
        let admin = server(Readiness::new(), &status, &statistics, &traffic, &snapshot, commander);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (_trigger, watcher) = drain::channel();
        tokio::spawn(Arc::new(admin).serve(listener, face, watcher));
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("GET {target} HTTP/1.0\r\n\r\n").as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }

    #[tokio::test]
    async fn status_is_json_with_the_sessions_and_only_on_the_local_face() {
        let (_, status) = get(Face::Local, "/status").await;
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        assert_eq!((&status["sessions"], &status["engine"]["boots"]), (&serde_json::json!([]), &1.into()));
        let (public, _) = get(Face::Public, "/status").await;
        assert!(public.ends_with("404 Not Found"), "{public}");
    }

    #[tokio::test]
    async fn metrics_are_openmetrics() {
        let (_, metrics) = get(Face::Public, "/metrics").await;
        for line in [
            "snmp_master_config_loaded 0",
            "snmp_master_engine_boots 1",
            "snmp_master_requests_total{version=\"2c\",outcome=\"answer\"} 0",
            "snmp_master_request_latency_seconds_bucket{le=\"+Inf\"} 0",
            "snmp_master_agentx_sessions 0",
            "snmp_master_active 0",
            "snmp_master_trouble{what=\"lease\"} 0",
        ] {
            assert!(metrics.lines().any(|there| there == line), "{line} is missing in {metrics}");
        }
        assert!(metrics.ends_with("# EOF\n"), "{metrics}");
    }
}
