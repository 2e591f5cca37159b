//! An agent thread, started as the program starts it.

use std::{
    net::{SocketAddr, UdpSocket},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use async_snmp::{Auth, Client, Oid, RequestPdu, Value, Version, message::CommunityMessage};
use daemon::{
    drain::{self, Trigger},
    heartbeat::Heartbeat,
};
use master::{
    agent::{self, ActiveEngine, Command, Parts, snapshot::Snapshot},
    io::{Bound, traffic::Traffic},
    snmp::{Access, Engine, EngineIdentity, KeyCache, SystemObjects, statistics::Statistics},
    subagents::dispatch::Dispatcher,
};
use master_config::Valid;
use tempfile::TempDir;
use tokio::{
    runtime::Builder,
    sync::{mpsc, oneshot},
    task::LocalSet,
};

/// Longest wait of a test.
const DEADLINE: Duration = Duration::from_mins(1);
const ENGINE_ID: &[u8] = b"\x80\x00\x1f\x88\x05test";

/// A running agent thread.
pub(crate) struct Master {
    snmp: SocketAddr,
    /// Path of the Unix socket.
    pub(crate) path: PathBuf,
    /// Address of AgentX over TCP.
    pub(crate) tcp: SocketAddr,
    access: Arc<ArcSwap<Access>>,
    snapshot: Arc<Mutex<Snapshot>>,
    traffic: Arc<Traffic>,
    running: Option<(Trigger, JoinHandle<()>)>,
    manager: UdpSocket,
    statistics: Arc<Statistics>,
    commander: mpsc::Sender<Command>,
    dir: TempDir,
}

fn document(path: &std::path::Path, sessions: u32, community: &str) -> Valid {
    let document = serde_json::json!({
        "version": 1,
        "listeners": {
            "snmp": ["127.0.0.1:0"],
            "agentxUnix": {"path": path, "mode": "0600"},
            "agentxTcp": "127.0.0.1:0",
        },
        "limits": {"sessions": sessions},
        "contexts": [{"name": "", "communities": [{"community": community, "sources": ["127.0.0.0/8"]}]}],
    });
    master_config::parse(document.to_string().as_bytes()).expect("the document is valid")
}

fn instance(subtree: &str) -> Oid {
    format!("{subtree}.1.0").parse().unwrap()
}

impl Master {
    pub(crate) fn start() -> Self {
        Self::with_limit_of_sessions(20_000)
    }

    pub(crate) fn with_limit_of_sessions(sessions: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agentx.sock");
        let document = document(&path, sessions, "public");
        let access = Access::new(&document, ENGINE_ID, &mut KeyCache::default());
        let access = Arc::new(ArcSwap::from_pointee(access));
        let (statistics, snapshot, started) = (Arc::new(Statistics::default()), Arc::default(), Instant::now());
        let traffic = Arc::new(Traffic::default());
        let identity = EngineIdentity { engine_id: ENGINE_ID.to_vec(), boots: 1 };
        let objects = SystemObjects::new(identity.clone(), started, Arc::clone(&access), Arc::clone(&statistics));
        let bound = Bound::bind(&document.listeners).unwrap();
        let snmp = bound.snmp[0].local_addr().unwrap();
        let tcp = bound.agentx_tcp.as_ref().unwrap().local_addr().unwrap();
        let (commander, commands) = mpsc::channel(1);
        let parts = Parts {
            engine: Some(Engine::new(identity, Arc::clone(&access), Arc::clone(&statistics), started).unwrap()),
            dispatcher: Dispatcher::new(objects, &document.limits, started),
            bound,
            arrivals: None,
            commands,
            traffic: Arc::clone(&traffic),
            snapshot: Arc::clone(&snapshot),
            heartbeat: Heartbeat::new(),
        };
        let (trigger, watcher) = drain::channel();
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            LocalSet::new().block_on(&runtime, agent::run(parts, watcher)).unwrap();
        });
        let manager = UdpSocket::bind("127.0.0.1:0").unwrap();
        let running = Some((trigger, thread));
        Self { snmp, path, tcp, access, snapshot, traffic, running, manager, statistics, commander, dir }
    }

    /// Shuts it down, and waits until it has ended.
    pub(crate) fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some((trigger, thread)) = self.running.take() {
            drop(trigger);
            thread.join().expect("the agent thread ends without an error");
        }
    }

    /// Replaces the community.
    pub(crate) fn set_community(&self, community: &str) {
        let document = document(&self.path, 20_000, community);
        self.access.store(Arc::new(Access::new(&document, ENGINE_ID, &mut KeyCache::default())));
    }

    /// Makes the master standby.
    pub(crate) async fn deactivate(&self) {
        let (done, closed) = oneshot::channel();
        self.commander.send(Command::Deactivate(done)).await.unwrap();
        closed.await.unwrap();
    }

    /// Makes the master active, with this boot of the engine.
    pub(crate) async fn activate(&self, boots: u32) {
        let identity = EngineIdentity { engine_id: ENGINE_ID.to_vec(), boots };
        let (started, access, statistics) = (Instant::now(), &self.access, &self.statistics);
        let engine = Engine::new(identity.clone(), Arc::clone(access), Arc::clone(statistics), started).unwrap();
        let objects = SystemObjects::new(identity, started, Arc::clone(access), Arc::clone(statistics));
        self.commander.send(Command::Activate(Box::new(ActiveEngine { engine, objects, started }))).await.unwrap();
    }

    /// Waits until `wanted` datagrams were dropped because the master is standby, and returns their number.
    pub(crate) fn dropped_until(&self, wanted: u64) -> u64 {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let dropped = self.traffic.datagrams_standby.get();
            if dropped >= wanted || Instant::now() > deadline {
                return dropped;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) async fn get(&self, subtree: &str) -> Value {
        self.get_as("public", subtree).await
    }

    /// Reads an instance as a manager.
    pub(crate) async fn get_instance(&self, instance: &str) -> Value {
        let client = Client::builder(self.snmp.to_string(), Auth::v2c("public")).connect().await.unwrap();
        client.get(&instance.parse().unwrap()).await.expect("a response").varbinds[0].value.clone()
    }

    /// Reads an instance in `subtree` as a manager, with this community.
    pub(crate) async fn get_as(&self, community: &str, subtree: &str) -> Value {
        let client = Client::builder(self.snmp.to_string(), Auth::v2c(community)).connect().await.unwrap();
        client.get(&instance(subtree)).await.expect("a response").varbinds[0].value.clone()
    }

    /// Reads an instance in `subtree` until `wanted` accepts the value or time runs out. Returns the last value.
    pub(crate) async fn get_until(&self, subtree: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let value = self.get(subtree).await;
            if wanted(&value) || Instant::now() > deadline {
                return value;
            }
        }
    }

    /// Sends requests for an instance in `subtree` without waiting for responses.
    pub(crate) fn send_requests(&self, subtree: &str, times: i32) {
        let deadline = Instant::now() + DEADLINE;
        for id in 0..times {
            let before = self.traffic.datagrams_in.get();
            self.send_request(subtree, id);
            while self.traffic.datagrams_in.get() == before {
                assert!(Instant::now() < deadline, "request {id} was not received");
                thread::yield_now();
            }
        }
    }

    fn send_request(&self, subtree: &str, id: i32) {
        let pdu = RequestPdu::get(Version::V2c, id, &[instance(subtree)]).unwrap();
        let message = CommunityMessage::v2c("public", pdu).unwrap().encode().unwrap();
        self.manager.send_to(&message, self.snmp).unwrap();
    }

    /// Waits until `wanted` accepts the snapshot or time runs out. Returns the last snapshot.
    pub(crate) fn snapshot_until(&self, wanted: impl Fn(&Snapshot) -> bool) -> Snapshot {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let snapshot = *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
            if wanted(&snapshot) || Instant::now() > deadline {
                return snapshot;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        self.end();
        // The directory is removed after the socket in it.
        _ = &self.dir;
    }
}
