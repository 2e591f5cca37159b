//! SETs from their first step to the last, on an application that answers as it is told.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use agentx::{ByteOrder, Header, ResponseError, Value, ValueRef, VarBind};
use arc_swap::ArcSwap;
use rstest::rstest;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::{Asked, Connection, Desk, Doing, Outside, Overlay, Served, Target};
use crate::{config::SubtreeName, mib_view::MibView, session::Verdict, source::Place, state::StateFolder};

use ResponseError::{
    CommitFailed, InconsistentValue, NoCreation, NoError, NotWritable, ResourceUnavailable, UndoFailed, WrongType,
};

const BASE: &str = "1.3.6.1.4.1.9.9.9";
/// A step that is late is so without this.
const PATIENCE: Duration = Duration::from_secs(4);

/// How an application answers a request.
#[derive(Debug, Clone, Copy)]
enum Answer {
    Status(u16),
    /// It does not.
    Never,
}

/// An application that takes note of what it is sent.
#[derive(Debug, Clone, Default)]
struct Application {
    taken: Arc<Mutex<Vec<String>>>,
    /// What it answers next; 200 otherwise.
    answers: Arc<Mutex<VecDeque<Answer>>>,
}

impl Application {
    async fn serve(self, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(self.clone().answer(stream));
        }
    }

    async fn answer(self, mut stream: TcpStream) {
        let mut request = Vec::new();
        let body = loop {
            // One who only knocks sends nothing.
            let Ok(1..) = stream.read_buf(&mut request).await else { return };
            let text = String::from_utf8_lossy(&request);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.to_ascii_lowercase().lines().find_map(|line| {
                line.strip_prefix("content-length:").and_then(|length| length.trim().parse::<usize>().ok())
            });
            if body.len() >= length.unwrap_or(0) {
                let path = head.split(' ').nth(1).unwrap_or_default();
                break format!("{path} {body}");
            }
        };
        self.taken.lock().unwrap().push(body);
        let next = self.answers.lock().unwrap().pop_front().unwrap_or(Answer::Status(200));
        match next {
            Answer::Never => std::future::pending().await,
            Answer::Status(status) => {
                let reply = format!("HTTP/1.1 {status} so\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                let _ = stream.write_all(reply.as_bytes()).await;
            }
        }
    }

    fn will_answer(&self, answers: &[Answer]) {
        self.answers.lock().unwrap().extend(answers);
    }

    /// What it was sent since it was last asked.
    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut *self.taken.lock().unwrap())
    }
}

/// A desk at which a subtree is served: 1.0 is 1, 2.0 is 2, 3.0 is 3.
struct World {
    application: Application,
    desk: Desk,
    view: Arc<ArcSwap<MibView>>,
    port: u16,
    folder: tempfile::TempDir,
    running: tokio::task::JoinHandle<()>,
}

impl World {
    async fn new() -> Self {
        let application = Application::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(application.clone().serve(listener));
        let folder = tempfile::tempdir().unwrap();
        let view = Arc::new(ArcSwap::from_pointee(shown()));
        let (desk, running) = open(folder.path());
        desk.serve(name(), served(port, &view));
        Self { application, desk, view, port, folder, running }
    }

    /// A sidecar after this one was killed.
    fn begun_anew(&mut self) {
        self.running.abort();
        (self.desk, self.running) = open(self.folder.path());
        self.desk.serve(name(), served(self.port, &self.view));
    }

    fn shows(&self, arc: u32) -> Option<i32> {
        match self.view.load().get(&[BASE.parse::<agentx::Oid>().unwrap().as_slice(), &[arc, 0]].concat()) {
            ValueRef::Integer(value) => Some(value),
            _ => None,
        }
    }

    fn counted(&self, result: &str) -> u64 {
        self.desk.counts().results().into_iter().find(|(known, _)| *known == result).unwrap().1
    }

    /// What would be put back after a crash, as objects.
    fn journal(&self) -> usize {
        let text = std::fs::read_to_string(self.folder.path().join("writes.json")).unwrap_or_default();
        text.matches("\"object\"").count()
    }
}

fn open(folder: &Path) -> (Desk, tokio::task::JoinHandle<()>) {
    let outside = Outside::new(&Place::default(), None);
    let (desk, run) = Desk::new(outside, StateFolder::new(Some(folder.to_owned())));
    (desk, tokio::spawn(run))
}

fn name() -> SubtreeName {
    SubtreeName { namespace: "acme".to_owned(), name: "shop".to_owned() }
}

fn shown() -> MibView {
    let objects = (1..=3).map(|arc: u32| arc.to_string().parse().unwrap()).collect();
    let mut view = MibView::new(BASE.parse().unwrap(), objects);
    for arc in 1..=3 {
        view.push(&[arc], &[0], ValueRef::Integer(arc.cast_signed())).unwrap();
    }
    view
}

fn served(port: u16, view: &Arc<ArcSwap<MibView>>) -> Served {
    let target = |arc: u32| {
        let scalar = json!({
            "name": format!("object{arc}"), "oid": arc.to_string(), "syntax": "Integer32",
            "value": {"source": "s", "metric": "m"},
            "write": {"http": {"scheme": "http", "port": port, "path": format!("/{arc}"), "method": "PUT"}},
        });
        Arc::new(Target::new(&name(), &serde_json::from_value(scalar).unwrap()).unwrap().unwrap())
    };
    Served {
        contexts: vec!["acme".to_owned()],
        base: BASE.parse().unwrap(),
        targets: (1..=3).map(target).collect(),
        view: Arc::clone(view),
        overlay: Arc::new(Overlay::default()),
        patience: Duration::from_mins(2),
    }
}

/// A master's connection.
struct Master {
    connection: Connection,
    packet: u32,
    transaction: u32,
}

impl Master {
    fn new(world: &World) -> Self {
        Self { connection: world.desk.connect(), packet: 0, transaction: 1 }
    }

    /// A step, and the answer to it.
    async fn ask(&mut self, doing: Doing) -> (ResponseError, u16) {
        self.tell(doing);
        let (header, Verdict { error, index }) = self.connection.verdict().await;
        assert_eq!(header.packet_id, self.packet, "the answer to another");
        (error, index)
    }

    fn tell(&mut self, doing: Doing) {
        self.packet += 1;
        let (transaction_id, packet_id) = (self.transaction, self.packet);
        let header = Header { byte_order: ByteOrder::Big, session_id: 1, transaction_id, packet_id };
        assert!(self.connection.ask(Asked { header, doing, until: Instant::now() + PATIENCE }));
    }

    async fn test(&mut self, values: &[(&str, i32)]) -> (ResponseError, u16) {
        self.ask(test(values)).await
    }
}

fn test(values: &[(&str, i32)]) -> Doing {
    let varbind = |(arcs, value): &(&str, i32)| VarBind {
        name: format!("{BASE}.{arcs}").parse().unwrap(),
        value: Value::Integer(*value),
    };
    Doing::Test { context: b"acme".to_vec(), varbinds: values.iter().map(varbind).collect() }
}

const ACCEPTED: (ResponseError, u16) = (NoError, 0);

/// Waits until this holds.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_is_committed_is_written_in_order_and_shown() {
    let world = World::new().await;
    let mut master = Master::new(&world);
    assert_eq!(master.test(&[("2.0", 20), ("1.0", 10)]).await, ACCEPTED);
    assert_eq!((world.application.taken(), world.journal(), world.shows(1)), (Vec::new(), 0, Some(1)));
    assert_eq!(master.ask(Doing::Commit).await, ACCEPTED);
    assert_eq!(world.application.taken(), ["/2 20", "/1 10"]);
    assert_eq!((world.shows(1), world.shows(2), world.shows(3)), (Some(10), Some(20), Some(3)));
    assert_eq!(world.journal(), 2, "until it is settled");
    master.tell(Doing::Cleanup);
    until("the journal to be clear", || world.journal() == 0).await;
    assert_eq!((world.counted("committed"), world.counted("failed")), (1, 0));
}

#[tokio::test]
async fn what_is_undone_is_put_back_the_last_first() {
    let world = World::new().await;
    let mut master = Master::new(&world);
    assert_eq!(master.test(&[("1.0", 10), ("2.0", 20)]).await, ACCEPTED);
    assert_eq!(master.ask(Doing::Commit).await, ACCEPTED);
    assert_eq!(master.ask(Doing::Undo).await, ACCEPTED);
    assert_eq!(world.application.taken(), ["/1 10", "/2 20", "/2 2", "/1 1"]);
    assert_eq!((world.shows(1), world.shows(2)), (Some(1), Some(2)));
    // Twice is once.
    assert_eq!(master.ask(Doing::Undo).await, ACCEPTED);
    assert_eq!(world.application.taken(), [""; 0]);
    assert_eq!(world.counted("undone"), 1);
}

#[rstest]
#[case::refused(Answer::Status(409), &["/1 10", "/2 20", "/1 1"])]
// Nobody knows whether it was taken.
#[case::broken(Answer::Status(500), &["/1 10", "/2 20", "/2 2", "/1 1"])]
#[case::silent(Answer::Never, &["/1 10", "/2 20", "/2 2", "/1 1"])]
#[tokio::test]
async fn a_commit_that_fails_leaves_all_as_it_was(#[case] second: Answer, #[case] expected: &[&str]) {
    let world = World::new().await;
    let mut master = Master::new(&world);
    assert_eq!(master.test(&[("1.0", 10), ("2.0", 20), ("3.0", 30)]).await, ACCEPTED);
    world.application.will_answer(&[Answer::Status(204), second]);
    let (error, index) = master.ask(Doing::Commit).await;
    assert_eq!(error, CommitFailed);
    // One that is silent takes all the time there is, and is not told from those before it.
    assert!(index == 2 || matches!(second, Answer::Never), "{index}");
    assert_eq!(world.application.taken(), expected);
    assert_eq!((world.shows(1), world.shows(2), world.shows(3)), (Some(1), Some(2), Some(3)));
    assert_eq!(master.ask(Doing::Undo).await, ACCEPTED);
    assert_eq!(world.application.taken(), [""; 0], "it was put back already");
    master.transaction += 1;
    assert_eq!(master.test(&[("1.0", 11)]).await, ACCEPTED, "the objects are free");
}

#[tokio::test]
async fn what_cannot_be_put_back_is_named() {
    let world = World::new().await;
    let mut master = Master::new(&world);
    assert_eq!(master.test(&[("1.0", 10), ("2.0", 20)]).await, ACCEPTED);
    assert_eq!(master.ask(Doing::Commit).await, ACCEPTED);
    // 2.0 is put back, 1.0 is not.
    world.application.will_answer(&[Answer::Status(200), Answer::Status(503)]);
    assert_eq!(master.ask(Doing::Undo).await, (UndoFailed, 1));
    assert_eq!((world.shows(1), world.shows(2)), (Some(10), Some(2)));
    assert_eq!((world.counted("undone"), world.counted("not_undone")), (0, 1));
}

#[rstest]
#[case::another_type(Doing::Test {
    context: b"acme".to_vec(),
    varbinds: vec![VarBind { name: format!("{BASE}.1.0").parse().unwrap(), value: Value::Gauge32(1) }],
}, WrongType)]
#[case::another_instance(test(&[("1.1", 1)]), NoCreation)]
#[case::the_object_itself(test(&[("1", 1)]), NoCreation)]
#[case::another_object(test(&[("4.0", 1)]), NotWritable)]
#[case::two_values_for_one(test(&[("1.0", 1), ("1.0", 2)]), InconsistentValue)]
#[case::another_context(Doing::Test {
    context: Vec::new(),
    varbinds: vec![VarBind { name: format!("{BASE}.1.0").parse().unwrap(), value: Value::Integer(1) }],
}, NotWritable)]
#[tokio::test]
async fn a_test_says_what_is_wrong_and_nothing_is_written(#[case] doing: Doing, #[case] error: ResponseError) {
    let world = World::new().await;
    let mut master = Master::new(&world);
    let index = if error == InconsistentValue { 2 } else { 1 };
    assert_eq!(master.ask(doing).await, (error, index));
    assert_eq!(master.ask(Doing::Commit).await.0, CommitFailed);
    assert_eq!(world.application.taken(), [""; 0]);
    assert_eq!(world.counted("refused"), 1);
}

#[tokio::test]
async fn an_object_without_a_value_could_not_be_put_back() {
    let world = World::new().await;
    world.view.store(Arc::new(MibView::new(BASE.parse().unwrap(), Vec::new())));
    assert_eq!(Master::new(&world).test(&[("1.0", 10)]).await, (ResourceUnavailable, 1));
}

#[tokio::test]
async fn tests_of_one_transaction_are_committed_together() {
    let world = World::new().await;
    let mut master = Master::new(&world);
    // As snmpd does it, which takes each subtree for itself.
    assert_eq!(master.test(&[("1.0", 10)]).await, ACCEPTED);
    assert_eq!(master.test(&[("2.0", 20)]).await, ACCEPTED);
    assert_eq!(master.ask(Doing::Commit).await, ACCEPTED);
    assert_eq!(master.ask(Doing::Commit).await, ACCEPTED);
    assert_eq!(world.application.taken(), ["/1 10", "/2 20"]);
    master.tell(Doing::Cleanup);
    master.transaction += 1;
    assert_eq!(master.test(&[("1.0", 11)]).await, ACCEPTED);
    assert_eq!(master.test(&[("1.1", 20)]).await, (NoCreation, 1));
    assert_eq!(master.ask(Doing::Commit).await.0, CommitFailed, "one of them failed");
    assert_eq!(world.application.taken(), [""; 0]);
}

#[tokio::test]
async fn no_two_have_an_object_at_a_time() {
    let world = World::new().await;
    let (mut one, mut other) = (Master::new(&world), Master::new(&world));
    assert_eq!(one.test(&[("1.0", 10)]).await, ACCEPTED);
    assert_eq!(other.test(&[("2.0", 20), ("1.0", 11)]).await, (ResourceUnavailable, 2));
    assert_eq!(one.ask(Doing::Commit).await, ACCEPTED);
    assert_eq!(other.test(&[("1.0", 11)]).await, (ResourceUnavailable, 1), "not settled yet");
    one.tell(Doing::Cleanup);
    until("it to be settled", || world.journal() == 0).await;
    other.transaction += 1;
    assert_eq!(other.test(&[("1.0", 11)]).await, ACCEPTED);
    // A master that begins another has done with the one before.
    other.transaction += 1;
    assert_eq!(other.test(&[("2.0", 21)]).await, ACCEPTED);
    one.transaction += 1;
    assert_eq!(one.test(&[("1.0", 12)]).await, ACCEPTED);
}

#[tokio::test]
async fn steps_of_another_transaction_do_nothing() {
    let world = World::new().await;
    let mut master = Master::new(&world);
    assert_eq!(master.ask(Doing::Commit).await, (CommitFailed, 0));
    assert_eq!(master.ask(Doing::Undo).await, (UndoFailed, 0));
    assert_eq!(master.test(&[("1.0", 10)]).await, ACCEPTED);
    master.transaction = 9;
    assert_eq!(master.ask(Doing::Commit).await, (CommitFailed, 0));
    assert_eq!(world.application.taken(), [""; 0]);
}

#[tokio::test]
async fn a_master_that_goes_before_it_has_settled_has_it_put_back() {
    let world = World::new().await;
    let mut master = Master::new(&world);
    assert_eq!(master.test(&[("1.0", 10)]).await, ACCEPTED);
    assert_eq!(master.ask(Doing::Commit).await, ACCEPTED);
    drop(master);
    until("it to be put back", || world.counted("undone") == 1).await;
    until("the journal to be clear", || world.journal() == 0).await;
    assert_eq!((world.application.taken(), world.shows(1)), (vec!["/1 10".to_owned(), "/1 1".to_owned()], Some(1)));
}

#[tokio::test]
async fn what_was_under_way_at_a_crash_is_put_back_and_held_until_then() {
    let mut world = World::new().await;
    let mut master = Master::new(&world);
    assert_eq!(master.test(&[("1.0", 10), ("2.0", 20)]).await, ACCEPTED);
    assert_eq!(master.ask(Doing::Commit).await, ACCEPTED);
    // The application is not there yet when the sidecar is.
    world.application.will_answer(&[Answer::Status(503), Answer::Status(503)]);
    world.begun_anew();
    let mut master = Master::new(&world);
    assert_eq!(master.test(&[("1.0", 11)]).await, (ResourceUnavailable, 1));
    until("both to be put back", || world.counted("recovered") == 2).await;
    until("the journal to be clear", || world.journal() == 0).await;
    assert_eq!(world.application.taken(), ["/1 10", "/2 20", "/2 2", "/1 1", "/2 2", "/1 1"]);
    master.transaction += 1;
    assert_eq!(master.test(&[("1.0", 11)]).await, ACCEPTED);
}

#[tokio::test]
async fn what_is_refused_for_good_after_a_crash_is_not_tried_again() {
    let mut world = World::new().await;
    let mut master = Master::new(&world);
    assert_eq!(master.test(&[("1.0", 10)]).await, ACCEPTED);
    assert_eq!(master.ask(Doing::Commit).await, ACCEPTED);
    world.application.will_answer(&[Answer::Status(422)]);
    world.begun_anew();
    until("it to be given up", || world.counted("not_undone") == 1).await;
    until("the journal to be clear", || world.journal() == 0).await;
    assert_eq!(world.application.taken(), ["/1 10", "/1 1"]);
}

#[tokio::test]
async fn a_disk_that_cannot_be_written_refuses_and_nothing_is_sent() {
    let world = World::new().await;
    // A folder where the file is to be.
    std::fs::create_dir(world.folder.path().join("writes.json")).unwrap();
    std::fs::write(world.folder.path().join("writes.json/x"), "").unwrap();
    let mut master = Master::new(&world);
    assert_eq!(master.test(&[("1.0", 10)]).await, ACCEPTED);
    assert_eq!(master.ask(Doing::Commit).await.0, CommitFailed);
    assert_eq!((world.application.taken(), world.shows(1)), (Vec::new(), Some(1)));
}
