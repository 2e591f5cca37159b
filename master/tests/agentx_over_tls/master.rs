//! The listener of AgentX over TLS and the agent thread, started as the program starts them, with a CA of the test.

use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    path::Path,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool, mpsc as std_mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use async_snmp::{Auth, Client as Manager, Oid, RequestPdu, Value, Version, message::CommunityMessage};
use daemon::{
    drain::{self, Trigger},
    heartbeat::Heartbeat,
};
use master::{
    agent::{self, Command, Parts, snapshot::Snapshot},
    io::{
        Bound,
        tls::{Dependencies, Settings, TlsListener},
        traffic::Traffic,
    },
    snmp::{Access, Engine, EngineIdentity, KeyCache, SystemObjects, statistics::Statistics},
    subagents::{authority::Grants, dispatch::Dispatcher},
};
use master_config::Valid;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::{runtime::Builder, sync::mpsc, task::LocalSet};

use crate::{
    client::{Client, DEADLINE},
    tokens::{Claims, FakeReviewer},
};

const ENGINE_ID: &[u8] = b"\x80\x00\x1f\x88\x05test";

/// A running master.
pub(crate) struct Master {
    /// Address of AgentX over TLS.
    pub(crate) tls: SocketAddr,
    snmp: SocketAddr,
    pub(crate) traffic: Arc<Traffic>,
    snapshot: Arc<Mutex<Snapshot>>,
    commander: mpsc::Sender<Command>,
    running: Vec<(Trigger, JoinHandle<()>)>,
    ca: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

/// Returns a document with grants in the context `acme`, which the community `public` selects.
pub(crate) fn document(grants: &Json, limits: &Json) -> Valid {
    let document = json!({
        "version": 1,
        "listeners": {"snmp": ["127.0.0.1:0"], "agentxTls": "127.0.0.1:0"},
        "limits": limits,
        "contexts": [{
            "name": "acme",
            "grants": grants,
            "communities": [{"community": "public", "sources": ["127.0.0.0/8"]}],
        }],
    });
    master_config::parse(document.to_string().as_bytes()).expect("the document is valid")
}

/// Creates a CA.
pub(crate) fn new_ca() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Writes a certificate of `ca` for `master.test`, and its key.
pub(crate) fn write_certificate(ca: &CertifiedIssuer<'static, KeyPair>, directory: &Path) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["master.test".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, ca).unwrap();
    fs::write(directory.join("tls.key"), key.serialize_pem()).unwrap();
    fs::write(directory.join("tls.crt"), certificate.pem()).unwrap();
}

fn instance(subtree: &str) -> Oid {
    format!("{subtree}.1.0").parse().unwrap()
}

impl Master {
    pub(crate) fn start(grants: &Json) -> Self {
        Self::with_limits(grants, &json!({}))
    }

    pub(crate) fn with_limits(grants: &Json, limits: &Json) -> Self {
        let master = Self::without_certificate(&document(grants, limits));
        master.write_certificate();
        let deadline = Instant::now() + DEADLINE;
        while std::net::TcpStream::connect(master.tls).is_err() {
            assert!(Instant::now() < deadline, "the port does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        master
    }

    pub(crate) fn without_certificate(document: &Valid) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ca = new_ca();
        let access = Arc::new(ArcSwap::from_pointee(Access::new(document, ENGINE_ID, &mut KeyCache::default())));
        let (statistics, snapshot, started) = (Arc::new(Statistics::default()), Arc::default(), Instant::now());
        let traffic = Arc::new(Traffic::default());
        let identity = EngineIdentity { engine_id: ENGINE_ID.to_vec(), boots: 1 };
        let objects = SystemObjects::new(identity.clone(), started, Arc::clone(&access), Arc::clone(&statistics));
        let mut bound = Bound::bind(&document.listeners).unwrap();
        let bound_tls = bound.agentx_tls.take().unwrap();
        let (snmp, tls) = (bound.snmp[0].local_addr().unwrap(), bound_tls.local_addr().unwrap());
        let (commander, commands) = mpsc::channel(4);

        let settings = Settings {
            directory: directory.path().to_owned(),
            operator: "snmp-system/snmp-operator".parse().unwrap(),
            replica: "snmp-master-0".to_owned(),
            active: Arc::new(AtomicBool::new(true)),
        };
        let dependencies = Dependencies {
            reviewer: Box::new(FakeReviewer),
            commander: commander.clone(),
            traffic: Arc::clone(&traffic),
        };
        let limits = document.limits.clone();
        let (sender, arrivals) = std_mpsc::channel();
        let (acceptor_trigger, mut watcher) = drain::channel();
        let acceptor = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (_listener, arrivals) =
                    TlsListener::start(bound_tls, settings, &limits, dependencies, watcher.clone());
                sender.send(arrivals).unwrap();
                watcher.triggered().await;
            });
        });

        let mut dispatcher = Dispatcher::new(objects, &document.limits, started);
        dispatcher.set_grants(Grants::new(&document.contexts), started);
        let parts = Parts {
            engine: Some(Engine::new(identity, access, statistics, started).unwrap()),
            dispatcher,
            bound,
            arrivals: Some(arrivals.recv().unwrap()),
            commands,
            traffic: Arc::clone(&traffic),
            snapshot: Arc::clone(&snapshot),
            heartbeat: Heartbeat::new(),
        };
        let (agent_trigger, watcher) = drain::channel();
        let agent = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            LocalSet::new().block_on(&runtime, agent::run(parts, watcher)).unwrap();
        });
        let running = vec![(acceptor_trigger, acceptor), (agent_trigger, agent)];
        Self { tls, snmp, traffic, snapshot, commander, running, ca, directory }
    }

    /// Returns the directory of the certificate.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Returns the certificate of the CA.
    pub(crate) fn ca(&self) -> String {
        self.ca.pem()
    }

    /// Replaces the certificate by a new one.
    pub(crate) fn write_certificate(&self) {
        write_certificate(&self.ca, self.directory());
    }

    /// Replaces the grants in the context `acme`.
    pub(crate) async fn grant(&self, grants: &Json) {
        let grants = Grants::new(&document(grants, &json!({})).contexts);
        self.commander.send(Command::SetGrants(Box::new(grants))).await.unwrap();
    }

    /// Requests the registrations as the operator. Returns status, ETag and body.
    pub(crate) fn registrations(&self, signature: &str, etag: Option<&str>) -> (u16, String, Vec<u8>) {
        let token = Claims::of("snmp-system", "snmp-operator-0").signed(signature);
        let condition = etag.map(|tag| format!("If-None-Match: {tag}\r\n")).unwrap_or_default();
        let mut client = Client::connect(self);
        let head =
            format!("GET /registrations HTTP/1.1\r\nHost: m\r\nAuthorization: Bearer {token}\r\n{condition}\r\n");
        client.send(head.as_bytes());
        let (status, head, mut body) = client.response();
        body.extend(client.rest());
        let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap_or_default().to_owned();
        (status, tag, body)
    }

    /// Sends requests for `names` instances in `subtree` without waiting for responses.
    pub(crate) fn send_requests(&self, subtree: &str, times: i32, names: u32) {
        let names: Vec<Oid> = (0..names).map(|name| format!("{subtree}.1.{name}").parse().unwrap()).collect();
        let manager = UdpSocket::bind("127.0.0.1:0").unwrap();
        let deadline = Instant::now() + DEADLINE;
        for id in 0..times {
            let before = self.traffic.datagrams_in.get();
            let pdu = RequestPdu::get(Version::V2c, id, &names).unwrap();
            let message = CommunityMessage::v2c("public", pdu).unwrap().encode().unwrap();
            manager.send_to(&message, self.snmp).unwrap();
            while self.traffic.datagrams_in.get() == before {
                assert!(Instant::now() < deadline, "request {id} was not received");
                thread::yield_now();
            }
        }
    }

    /// Reads an instance in `subtree` as a manager.
    pub(crate) async fn get(&self, subtree: &str) -> Value {
        let client = Manager::builder(self.snmp.to_string(), Auth::v2c("public")).connect().await.unwrap();
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
        for (trigger, thread) in self.running.drain(..) {
            drop(trigger);
            let result = thread.join();
            assert!(result.is_ok() || thread::panicking(), "a thread panicked");
        }
    }
}
