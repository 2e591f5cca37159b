//! Links over real sockets, with masters that tests play.

use std::{
    collections::BTreeSet,
    future::Future,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use agentx::{
    Body, ByteOrder, CloseReason, Framer, GetBulk, Header, Limits, Oid, Pdu, Response, ResponseError, SearchRange,
    Value, ValueRef, VarBind, decode, encode,
};
use arc_swap::ArcSwap;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex},
    net::{TcpListener, UnixListener},
    sync::{oneshot, watch},
    task::JoinHandle,
    time::{Instant, timeout},
};

use super::{
    Heartbeat, MasterStatus, MasterUrl, RegistrationState, Resolve, SessionState, Subagent,
    link::{Address, Ended, Link},
};
use crate::{
    mib_view::MibView,
    session::{End, Export, Exports, Jitter, Region},
};

const A: &str = "1.3.6.1.4.1.9999.1";
const B: &str = "1.3.6.1.4.1.9999.2";
const SESSION: u32 = 42;

/// Anything takes less than this, unless it never comes.
async fn within<T>(what: &str, wait: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(30), wait).await.unwrap_or_else(|_| panic!("waited for {what}"))
}

fn oid(text: &str) -> Oid {
    text.parse().unwrap()
}

/// One instance, `base`.1.0, of this many octets.
fn export(base: &str, octets: usize) -> Export {
    let mut view = MibView::new(oid(base), Vec::new());
    view.push(&[1, 0], ValueRef::OctetString(&vec![b'x'; octets])).unwrap();
    Export {
        context: String::new(),
        base: oid(base),
        regions: vec![Region { subtree: oid(base), range: None }],
        view: Arc::new(ArcSwap::from_pointee(view)),
        capabilities: None,
    }
}

/// A subagent that runs, and what is needed to change and stop it.
struct Running {
    exports: watch::Sender<Exports>,
    status: MasterStatus,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Hosts whose addresses the test decides.
struct Names(watch::Receiver<Result<BTreeSet<IpAddr>, String>>);

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
    let (exports, watched) = watch::channel(Arc::new(vec![export(A, 3)]));
    let subagent = Subagent::new(url.parse::<MasterUrl>().unwrap(), watched, "test");
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
    async fn stop(self) {
        _ = self.stop.send(());
        within("the end", self.task).await.unwrap();
    }
}

/// The master's end of a connection.
struct Peer<S> {
    stream: S,
    framer: Framer,
    packet_id: u32,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    fn new(stream: S) -> Self {
        Self { stream, framer: Framer::new(Limits::default()), packet_id: 100 }
    }

    /// The next PDU; none at the end of the connection.
    async fn receive(&mut self) -> Option<Pdu> {
        loop {
            if let Some(frame) = self.framer.next_frame().unwrap() {
                return Some(decode(frame, &Limits::default()).unwrap());
            }
            let read = within("a PDU", self.stream.read(self.framer.space())).await.ok().filter(|read| *read > 0)?;
            self.framer.filled(read);
        }
    }

    async fn send(&mut self, header: Header, body: Body) {
        let mut octets = Vec::new();
        encode(&Pdu { header, context: "".into(), body }, &mut octets).unwrap();
        self.stream.write_all(&octets).await.unwrap();
    }

    async fn answer(&mut self, pdu: &Pdu, error: ResponseError) {
        let header = Header { session_id: SESSION, ..pdu.header };
        let response = Response { sys_up_time: 0, error, index: 0, varbinds: Vec::new() };
        self.send(header, Body::Response(response)).await;
    }

    /// Answers all until this subtree has been registered.
    async fn grant(&mut self, base: &str) {
        loop {
            let pdu = self.receive().await.unwrap();
            self.answer(&pdu, ResponseError::NoError).await;
            if matches!(&pdu.body, Body::Register(register) if register.subtree == oid(base)) {
                return;
            }
        }
    }

    fn request(&mut self) -> Header {
        self.packet_id += 1;
        Header { byte_order: ByteOrder::Big, session_id: SESSION, transaction_id: 1, packet_id: self.packet_id }
    }

    async fn get_next(&mut self, start: &str) -> Vec<VarBind> {
        let header = self.request();
        let range = SearchRange { start: oid(start), include: true, end: Oid::default() };
        self.send(header, Body::GetNext(vec![range])).await;
        let answer = self.receive().await.unwrap();
        assert_eq!(answer.header, header);
        let Body::Response(response) = answer.body else { panic!("{answer:?}") };
        response.varbinds
    }

    /// Expects a Close, and then nothing more.
    async fn expect_close(&mut self) {
        let close = self.receive().await.unwrap();
        assert_eq!(close.body, Body::Close(CloseReason::Shutdown));
        self.answer(&close, ResponseError::NoError).await;
        assert_eq!(self.receive().await, None);
    }
}

fn value(base: &str, octets: &[u8]) -> Vec<VarBind> {
    vec![VarBind { name: oid(&format!("{base}.1.0")), value: Value::OctetString(octets.to_vec()) }]
}

async fn unix_peer(listener: &UnixListener) -> Peer<tokio::net::UnixStream> {
    Peer::new(within("a connection", listener.accept()).await.unwrap().0)
}

async fn tcp_peer(listener: &TcpListener) -> Peer<tokio::net::TcpStream> {
    Peer::new(within("a connection", listener.accept()).await.unwrap().0)
}

fn socket(folder: &tempfile::TempDir) -> (std::path::PathBuf, String) {
    let path = folder.path().join("master");
    let url = format!("unix:{}", path.display());
    (path, url)
}

/// Looks until the status is as it should be.
async fn eventually(status: &MasterStatus, what: &str, holds: impl Fn(&MasterStatus) -> bool) {
    let looked = async {
        while !holds(status) {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(30), looked).await.unwrap_or_else(|_| panic!("{what}: {:#?}", status.sessions()));
}

#[tokio::test]
async fn a_master_on_a_unix_socket_is_served_and_told_when_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (path, url) = socket(&folder);
    let listener = UnixListener::bind(&path).unwrap();
    let running = start(&url, None);
    let mut peer = unix_peer(&listener).await;
    peer.grant(A).await;
    assert_eq!(peer.get_next(A).await, value(A, b"xxx"));
    let (stopped, ()) = tokio::join!(running.stop(), peer.expect_close());
    stopped
}

#[tokio::test]
async fn a_master_on_tcp_is_served() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let running = start(&format!("tcp://{}", listener.local_addr().unwrap()), None);
    let mut peer = tcp_peer(&listener).await;
    peer.grant(A).await;
    assert_eq!(peer.get_next(A).await, value(A, b"xxx"));
    tokio::join!(running.stop(), peer.expect_close());
}

#[tokio::test]
async fn a_master_that_does_not_answer_close_does_not_hold_up_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let running = start(&format!("tcp://{}", listener.local_addr().unwrap()), None);
    let mut peer = tcp_peer(&listener).await;
    peer.grant(A).await;
    running.stop().await;
}

#[tokio::test]
async fn a_master_that_restarts_without_a_word_is_registered_at_again() {
    let folder = tempfile::tempdir().unwrap();
    let (path, url) = socket(&folder);
    let running = start(&url, None);
    for _ in 0..3 {
        // The socket is not there at first, and is another one every time.
        let listener = UnixListener::bind(&path).unwrap();
        let mut peer = unix_peer(&listener).await;
        peer.grant(A).await;
        assert_eq!(peer.get_next(A).await, value(A, b"xxx"));
        drop((peer, listener));
        std::fs::remove_file(&path).unwrap();
        eventually(&running.status, "the loss shows", |s| s.sessions()[0].state == SessionState::Connecting).await;
        assert!(running.status.sessions()[0].last_error.is_some());
    }
    running.stop().await;
}

#[tokio::test]
async fn a_session_that_the_master_closes_or_forgets_is_opened_anew() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let running = start(&format!("tcp://{}", listener.local_addr().unwrap()), None);
    let mut peer = tcp_peer(&listener).await;
    peer.grant(A).await;
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
async fn new_exports_are_registered_in_the_session_that_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let (path, url) = socket(&folder);
    let listener = UnixListener::bind(&path).unwrap();
    let running = start(&url, None);
    let mut peer = unix_peer(&listener).await;
    peer.grant(A).await;
    running.exports.send_replace(Arc::new(vec![export(A, 3), export(B, 1)]));
    peer.grant(B).await;
    assert_eq!(peer.get_next(B).await, value(B, b"x"));
    running.exports.send_replace(Arc::new(vec![export(B, 1)]));
    let unregister = peer.receive().await.unwrap();
    assert!(matches!(&unregister.body, Body::Unregister(gone) if gone.subtree == oid(A)), "{unregister:?}");
    running.stop().await;
}

#[tokio::test]
async fn the_session_goes_on_when_no_one_is_left_to_change_the_exports() {
    let folder = tempfile::tempdir().unwrap();
    let (path, url) = socket(&folder);
    let listener = UnixListener::bind(&path).unwrap();
    let Running { exports, stop, task, .. } = start(&url, None);
    let mut peer = unix_peer(&listener).await;
    peer.grant(A).await;
    drop(exports);
    for _ in 0..10 {
        assert_eq!(peer.get_next(A).await, value(A, b"xxx"));
    }
    _ = stop.send(());
    tokio::join!(async { within("the end", task).await.unwrap() }, peer.expect_close());
}

#[tokio::test]
async fn every_address_of_a_host_has_a_session_and_one_that_vanishes_is_closed() {
    let (one, two) = (Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 2));
    let first = TcpListener::bind((one, 0)).await.unwrap();
    let port = first.local_addr().unwrap().port();
    let second = TcpListener::bind((two, port)).await.unwrap();
    let (names, watched) = watch::channel(Err("unused".to_owned()));
    let running = start(&format!("tcp://master.test:{port}"), Some(Names(watched)));

    _ = names.send_replace(Err("no such name yet".to_owned()));
    eventually(&running.status, "the error shows", |s| s.resolve_error().is_some()).await;
    _ = names.send_replace(Ok([one.into(), two.into()].into()));
    let (mut peer_one, mut peer_two) = (tcp_peer(&first).await, tcp_peer(&second).await);
    peer_one.grant(A).await;
    peer_two.grant(A).await;
    assert_eq!(running.status.resolve_error(), None);

    _ = names.send_replace(Err("the name servers are down".to_owned()));
    eventually(&running.status, "the error shows", |s| s.resolve_error().is_some()).await;
    assert_eq!(peer_one.get_next(A).await, value(A, b"xxx"), "what is known is kept");

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
async fn a_host_of_the_hosts_file_is_found_by_the_system_resolver() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let running = start(&format!("tcp://localhost:{port}"), None);
    tcp_peer(&listener).await.grant(A).await;
    running.stop().await;
}

#[tokio::test]
async fn what_happens_with_a_master_can_be_seen() {
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
    peer.answer(&a, ResponseError::RequestDenied).await;
    eventually(&running.status, "all is answered", MasterStatus::is_settled).await;
    let [session] = &running.status.sessions()[..] else { panic!() };
    assert_eq!((session.address.as_str(), session.state), (path.to_str().unwrap(), SessionState::Open));
    let shown: Vec<_> =
        session.registrations.iter().map(|r| (r.region.as_str(), r.state, r.reason.as_deref())).collect();
    assert_eq!(
        shown,
        [(A, RegistrationState::Refused, Some("RequestDenied")), (B, RegistrationState::StandingBy, None)]
    );
    running.stop().await;
}

/// A link to nowhere, whose connections the test makes.
fn link(octets: usize) -> (Link, watch::Sender<()>, watch::Sender<Exports>, MasterStatus) {
    let (exports_sender, exports) = watch::channel(Arc::new(vec![export(A, octets)]));
    let (stop_sender, stop) = watch::channel(());
    let status = MasterStatus::new("unix:/nowhere".to_owned());
    let link = Link {
        address: Address::Unix(Path::new("/nowhere").into()),
        description: "test".into(),
        exports,
        stop,
        status: status.add("/nowhere".to_owned()),
        jitter: Jitter::new(1),
    };
    (link, stop_sender, exports_sender, status)
}

#[tokio::test(start_paused = true)]
async fn a_half_open_connection_is_left_within_15_seconds() {
    let (mut link, _stop, _exports, status) = link(3);
    let (near, far) = duplex(1 << 16);
    let mut peer = Peer::new(far);
    let start = Instant::now();
    let (ended, ()) = tokio::join!(link.converse(near), peer.grant(A));
    assert!(matches!(ended, Ended::Session(End::Silent)), "{ended}");
    let took = start.elapsed();
    assert!((Duration::from_secs(12)..Duration::from_secs(15)).contains(&took), "{took:?}");
    assert_eq!(status.sessions()[0].counts.dropped, 1);
}

#[tokio::test(start_paused = true)]
async fn an_idle_session_stays_for_hours() {
    let (mut link, stop, _exports, _status) = link(3);
    let (near, far) = duplex(1 << 16);
    let mut peer = Peer::new(far);
    let master = async {
        peer.grant(A).await;
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(3 * 3600) {
            let ping = peer.receive().await.unwrap();
            assert_eq!(ping.body, Body::Ping);
            peer.answer(&ping, ResponseError::NoError).await;
        }
        drop(stop);
        let close = peer.receive().await.unwrap();
        peer.answer(&close, ResponseError::NoError).await;
    };
    let (ended, ()) = tokio::join!(link.converse(near), master);
    assert!(matches!(ended, Ended::Session(End::Shutdown)), "{ended}");
}

#[tokio::test(start_paused = true)]
async fn a_master_that_writes_but_never_reads_is_left() {
    let (mut link, _stop, _exports, status) = link(60_000);
    let (near, far) = duplex(1 << 16);
    let mut peer = Peer::new(far);
    let master = async {
        peer.grant(A).await;
        let mut requests = Vec::new();
        for _ in 0..100 {
            let ranges = vec![SearchRange { start: oid(A), include: true, end: Oid::default() }];
            let body = Body::GetBulk(GetBulk { non_repeaters: 0, max_repetitions: 9, ranges });
            let header = peer.request();
            encode(&Pdu { header, context: "".into(), body }, &mut requests).unwrap();
        }
        // Writing never blocks for long: the other side reads on until it has had enough.
        while within("the other side to read", peer.stream.write_all(&requests)).await.is_ok() {}
    };
    let (ended, ()) = tokio::join!(link.converse(near), master);
    assert!(matches!(ended, Ended::Session(End::NotReading)), "{ended}");
    assert_eq!(status.sessions()[0].counts.dropped, 1);
}

#[tokio::test(start_paused = true)]
async fn a_master_that_reads_late_gets_all_answers() {
    let (mut link, stop, _exports, _status) = link(60_000);
    let (near, far) = duplex(1 << 16);
    let mut peer = Peer::new(far);
    let master = async {
        peer.grant(A).await;
        let mut requests = Vec::new();
        for _ in 0..100 {
            let range = SearchRange { start: oid(A), include: true, end: Oid::default() };
            let header = peer.request();
            encode(&Pdu { header, context: "".into(), body: Body::GetNext(vec![range]) }, &mut requests).unwrap();
        }
        // All of it is taken before anything is read: a master that writes first does not wait for ever.
        peer.stream.write_all(&requests).await.unwrap();
        for packet_id in 101..=200 {
            assert_eq!(peer.receive().await.unwrap().header.packet_id, packet_id);
        }
        drop(stop);
        let close = peer.receive().await.unwrap();
        peer.answer(&close, ResponseError::NoError).await;
    };
    let (ended, ()) = tokio::join!(link.converse(near), master);
    assert!(matches!(ended, Ended::Session(End::Shutdown)), "{ended}");
}

#[test]
fn a_heartbeat_is_as_old_as_its_last_beat() {
    let heartbeat = Heartbeat::new();
    while heartbeat.age() < Duration::from_millis(20) {
        std::thread::yield_now();
    }
    heartbeat.clone().beat();
    assert!(heartbeat.age() < Duration::from_secs(10));
    let aged = heartbeat.age();
    while heartbeat.age() <= aged {
        std::thread::yield_now();
    }
}

#[tokio::test(start_paused = true)]
async fn the_thread_of_a_subagent_beats_while_it_runs() {
    let (_exports, watched) = watch::channel(Exports::default());
    let subagent = Subagent::new("unix:/nowhere/master".parse().unwrap(), watched, "test");
    let heartbeat = subagent.heartbeat();
    while heartbeat.age() < Duration::from_millis(20) {
        std::thread::yield_now();
    }
    let before = heartbeat.age();
    subagent.run(tokio::time::sleep(Duration::from_secs(2))).await;
    assert!(heartbeat.age() < before + Duration::from_secs(2), "{:?}", heartbeat.age());
}
