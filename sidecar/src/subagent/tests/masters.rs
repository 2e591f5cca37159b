//! Subagents and masters over real sockets.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use agentx::{Body, CloseReason, ResponseError};
use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::{oneshot, watch},
    task::JoinHandle,
    time::timeout,
};

use super::peer::{A, B, Peer, export, no_files, oid, value, within};
use crate::{
    subagent::{MasterStatus, MasterUrl, RegistrationState, Resolve, SessionState, Subagent, TlsFiles},
    view::exports::Exports,
};

/// A running subagent.
pub(super) struct Running {
    exports: watch::Sender<Exports>,
    pub(super) status: MasterStatus,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// A resolver whose addresses the test sets.
pub(super) struct Names(pub(super) watch::Receiver<Result<BTreeSet<IpAddr>, String>>);

impl Resolve for Names {
    async fn resolve(&mut self, host: &str) -> Result<BTreeSet<IpAddr>, String> {
        assert_eq!(host, "master.test");
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.0.borrow_and_update().clone()
    }
}

fn start(url: &str, names: Option<Names>) -> Running {
    start_with(url, no_files(), names)
}

pub(super) fn start_with(url: &str, files: TlsFiles, names: Option<Names>) -> Running {
    let (exports, watched) = watch::channel(Arc::new(vec![export(A, 3)]));
    let subagent = Subagent::new(
        url.parse::<MasterUrl>().unwrap(),
        files,
        watched,
        crate::set::SetCoordinator::inactive(),
        "test",
    );
    let status = subagent.status();
    let (stop, stopped) = oneshot::channel();
    let stopped = async move { _ = stopped.await };
    let task = tokio::spawn(async move {
        match names {
            Some(names) => subagent.run_with(names, stopped).await,
            None => subagent.run(stopped).await,
        }
    });
    Running { exports, status, stop, task }
}

impl Running {
    pub(super) async fn stop(self) {
        _ = self.stop.send(());
        within("the shutdown", self.task).await.unwrap();
    }
}

async fn unix_peer(listener: &UnixListener) -> Peer<UnixStream> {
    Peer::new(within("a connection", listener.accept()).await.unwrap().0)
}

async fn tcp_peer(listener: &TcpListener) -> Peer<TcpStream> {
    Peer::new(within("a connection", listener.accept()).await.unwrap().0)
}

fn socket(folder: &tempfile::TempDir) -> (std::path::PathBuf, String) {
    let path = folder.path().join("master");
    let url = format!("unix:{}", path.display());
    (path, url)
}

/// Returns a subagent whose master on TCP has accepted [`A`].
async fn served_over_tcp() -> (TcpListener, Running, Peer<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let running = start(&format!("tcp://{}", listener.local_addr().unwrap()), None);
    let mut peer = tcp_peer(&listener).await;
    peer.grant(A).await;
    (listener, running, peer)
}

/// Returns a subagent whose master on a Unix socket in the directory has accepted [`A`].
async fn served_over_unix() -> (tempfile::TempDir, Running, Peer<UnixStream>) {
    let folder = tempfile::tempdir().unwrap();
    let (path, url) = socket(&folder);
    let listener = UnixListener::bind(&path).unwrap();
    let running = start(&url, None);
    let mut peer = unix_peer(&listener).await;
    peer.grant(A).await;
    (folder, running, peer)
}

/// Waits until `holds` returns `true`; `what` is the failure message.
pub(super) async fn eventually(status: &MasterStatus, what: &str, holds: impl Fn(&MasterStatus) -> bool) {
    let checked = async {
        while !holds(status) {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(30), checked).await.unwrap_or_else(|_| panic!("{what}: {:#?}", status.sessions()));
}

#[tokio::test]
async fn unix_master_is_served_and_gets_a_close() {
    let (_folder, running, mut peer) = served_over_unix().await;
    assert_eq!(peer.get_next(A).await, value(A, b"xxx"));
    tokio::join!(running.stop(), peer.expect_close());
}

#[tokio::test]
async fn tcp_master_is_served() {
    let (_listener, running, mut peer) = served_over_tcp().await;
    assert_eq!(peer.get_next(A).await, value(A, b"xxx"));
    tokio::join!(running.stop(), peer.expect_close());
}

#[tokio::test]
async fn unanswered_close_does_not_delay_the_shutdown() {
    let (_listener, running, _peer) = served_over_tcp().await;
    running.stop().await;
}

#[tokio::test]
async fn restarted_master_gets_the_registrations_again() {
    let folder = tempfile::tempdir().unwrap();
    let (path, url) = socket(&folder);
    let running = start(&url, None);
    for _ in 0..3 {
        // The socket does not exist at first, and is created anew every time.
        let listener = UnixListener::bind(&path).unwrap();
        let mut peer = unix_peer(&listener).await;
        peer.grant(A).await;
        assert_eq!(peer.get_next(A).await, value(A, b"xxx"));
        drop((peer, listener));
        std::fs::remove_file(&path).unwrap();
        eventually(&running.status, "the loss is not shown", |s| s.sessions()[0].state == SessionState::Connecting)
            .await;
        assert!(running.status.sessions()[0].last_error.is_some());
    }
    running.stop().await;
}

#[tokio::test]
async fn session_that_the_master_closes_or_forgets_is_reopened() {
    let (listener, running, mut peer) = served_over_tcp().await;
    let close = peer.request();
    peer.send(close, Body::Close(CloseReason::Timeouts)).await;
    assert_eq!(peer.receive().await, None);

    let mut peer = tcp_peer(&listener).await;
    let open = peer.receive().await.unwrap();
    peer.answer(&open, ResponseError::NoError).await;
    let register = peer.receive().await.unwrap();
    peer.answer(&register, ResponseError::NotOpen).await;
    assert_eq!(peer.receive().await, None);

    let mut peer = tcp_peer(&listener).await;
    peer.grant(A).await;
    assert_eq!(running.status.sessions()[0].counts.connects, 3);
    running.stop().await;
}

#[tokio::test]
async fn new_exports_are_registered_in_the_existing_session() {
    let (_folder, running, mut peer) = served_over_unix().await;
    running.exports.send_replace(Arc::new(vec![export(A, 3), export(B, 1)]));
    peer.grant(B).await;
    assert_eq!(peer.get_next(B).await, value(B, b"x"));
    running.exports.send_replace(Arc::new(vec![export(B, 1)]));
    let unregister = peer.receive().await.unwrap();
    assert!(matches!(&unregister.body, Body::Unregister(gone) if gone.subtree == oid(A)), "{unregister:?}");
    running.stop().await;
}

#[tokio::test]
async fn session_continues_after_the_sender_of_exports_is_dropped() {
    let (_folder, Running { exports, stop, task, .. }, mut peer) = served_over_unix().await;
    drop(exports);
    for _ in 0..10 {
        assert_eq!(peer.get_next(A).await, value(A, b"xxx"));
    }
    _ = stop.send(());
    tokio::join!(async { within("the shutdown", task).await.unwrap() }, peer.expect_close());
}

#[tokio::test]
async fn every_address_has_a_session_until_it_disappears() {
    let (one, two) = (Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2));
    let first = TcpListener::bind((one, 0)).await.unwrap();
    let port = first.local_addr().unwrap().port();
    let second = TcpListener::bind((two, port)).await.unwrap();
    let (names, watched) = watch::channel(Err("unused".to_owned()));
    let running = start(&format!("tcp://master.test:{port}"), Some(Names(watched)));

    _ = names.send_replace(Err("no such name".to_owned()));
    eventually(&running.status, "the error is not shown", |s| s.resolve_error().is_some()).await;
    _ = names.send_replace(Ok([one.into(), two.into()].into()));
    let (mut peer_one, mut peer_two) = (tcp_peer(&first).await, tcp_peer(&second).await);
    peer_one.grant(A).await;
    peer_two.grant(A).await;
    assert_eq!(running.status.resolve_error(), None);

    _ = names.send_replace(Err("the name servers are down".to_owned()));
    eventually(&running.status, "the error is not shown", |s| s.resolve_error().is_some()).await;
    assert_eq!(peer_one.get_next(A).await, value(A, b"xxx"), "the known addresses are kept");

    _ = names.send_replace(Ok([two.into()].into()));
    peer_one.expect_close().await;
    assert_eq!(peer_two.get_next(A).await, value(A, b"xxx"));
    let addresses: Vec<String> = running.status.sessions().into_iter().map(|session| session.address).collect();
    assert_eq!(addresses, [format!("127.0.0.2:{port}")]);
    _ = names.send_replace(Ok([one.into(), two.into()].into()));
    tcp_peer(&first).await.grant(A).await;
    running.stop().await;
}

#[tokio::test]
async fn system_resolver_reads_the_hosts_file() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let running = start(&format!("tcp://localhost:{port}"), None);
    tcp_peer(&listener).await.grant(A).await;
    running.stop().await;
}

#[tokio::test]
async fn status_shows_registrations_and_counters() {
    let folder = tempfile::tempdir().unwrap();
    let (path, url) = socket(&folder);
    let listener = UnixListener::bind(&path).unwrap();
    let running = start(&url, None);
    running.exports.send_replace(Arc::new(vec![export(A, 3), export(B, 1)]));
    let mut peer = unix_peer(&listener).await;
    let open = peer.receive().await.unwrap();
    assert!(!running.status.is_settled());
    peer.answer(&open, ResponseError::NoError).await;
    let (b, a) = (peer.receive().await.unwrap(), peer.receive().await.unwrap());
    peer.answer(&b, ResponseError::DuplicateRegistration).await;
    peer.answer(&a, ResponseError::ProcessingError).await;
    eventually(&running.status, "registrations are pending", MasterStatus::is_settled).await;
    let [session] = &running.status.sessions()[..] else { panic!() };
    assert_eq!((session.address.as_str(), session.state), (path.to_str().unwrap(), SessionState::Open));
    let shown: Vec<_> =
        session.registrations.iter().map(|r| (r.region.as_str(), r.state, r.reason.as_deref())).collect();
    assert_eq!(
        shown,
        [(A, RegistrationState::Refused, Some("ProcessingError")), (B, RegistrationState::StandingBy, None)]
    );
    running.stop().await;
}
