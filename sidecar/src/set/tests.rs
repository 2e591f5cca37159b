//! SETs from the first step to the last, with a scripted application as the backend.

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

use super::{
    backend::Backends,
    coordinator::{SetConnection, SetCoordinator},
    overlay::Overlay,
    shared::WritableSubtree,
    step::{SetStep, StepRequest, StepResult},
    target::Target,
};
use crate::{config::SubtreeName, source::SourceSettings, state::StateDirectory, view::MibView};

use ResponseError::{
    CommitFailed, InconsistentValue, NoCreation, NoError, NotWritable, ResourceUnavailable, UndoFailed, WrongType,
};

const BASE: &str = "1.3.6.1.4.1.9.9.9";
/// The time until the deadline of each step.
const STEP_TIMEOUT: Duration = Duration::from_secs(4);

/// The response of the application to a request.
#[derive(Debug, Clone, Copy)]
enum Answer {
    Status(u16),
    /// No response.
    Never,
}

/// An application that records the requests it receives.
#[derive(Debug, Clone, Default)]
struct Application {
    received: Arc<Mutex<Vec<String>>>,
    /// The next responses; 200 once they are used up.
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
            // The check of a test connects and sends nothing.
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
        self.received.lock().unwrap().push(body);
        let next = self.answers.lock().unwrap().pop_front().unwrap_or(Answer::Status(200));
        match next {
            Answer::Never => std::future::pending().await,
            Answer::Status(status) => {
                let reply = format!("HTTP/1.1 {status} Status\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                let _ = stream.write_all(reply.as_bytes()).await;
            }
        }
    }

    fn will_answer(&self, answers: &[Answer]) {
        self.answers.lock().unwrap().extend(answers);
    }

    /// Returns the requests since the last call, as `PATH BODY`.
    fn received(&self) -> Vec<String> {
        std::mem::take(&mut *self.received.lock().unwrap())
    }
}

/// A coordinator with a writable subtree: 1.0 is 1, 2.0 is 2, 3.0 is 3.
struct World {
    application: Application,
    coordinator: SetCoordinator,
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
        let (coordinator, running) = open(folder.path());
        coordinator.publish(name(), writable(port, &view));
        Self { application, coordinator, view, port, folder, running }
    }

    /// Kills the sidecar and starts another one with the same state directory.
    fn restart(&mut self) {
        self.running.abort();
        (self.coordinator, self.running) = open(self.folder.path());
        self.coordinator.publish(name(), writable(self.port, &self.view));
    }

    fn shows(&self, arc: u32) -> Option<i32> {
        match self.view.load().get(&[BASE.parse::<agentx::Oid>().unwrap().as_slice(), &[arc, 0]].concat()) {
            ValueRef::Integer(value) => Some(value),
            _ => None,
        }
    }

    fn counted(&self, result: &str) -> u64 {
        self.coordinator.counts().results().into_iter().find(|(name, _)| *name == result).unwrap().1
    }

    /// Returns the number of objects in the journal.
    fn journal(&self) -> usize {
        let text = std::fs::read_to_string(self.folder.path().join("writes.json")).unwrap_or_default();
        text.matches("\"object\"").count()
    }
}

fn open(folder: &Path) -> (SetCoordinator, tokio::task::JoinHandle<()>) {
    let backends = Backends::new(&SourceSettings::default(), None);
    let (coordinator, run) = SetCoordinator::new(backends, StateDirectory::new(Some(folder.to_owned())));
    (coordinator, tokio::spawn(run))
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

fn writable(port: u16, view: &Arc<ArcSwap<MibView>>) -> WritableSubtree {
    let target = |arc: u32| {
        let scalar = json!({
            "name": format!("object{arc}"), "oid": arc.to_string(), "syntax": "Integer32",
            "value": {"source": "s", "metric": "m"},
            "write": {"http": {"scheme": "http", "port": port, "path": format!("/{arc}"), "method": "PUT"}},
        });
        Arc::new(Target::new(&name(), &serde_json::from_value(scalar).unwrap()).unwrap().unwrap())
    };
    WritableSubtree {
        contexts: vec!["acme".to_owned()],
        base: BASE.parse().unwrap(),
        targets: (1..=3).map(target).collect(),
        view: Arc::clone(view),
        overlay: Arc::new(Overlay::default()),
        overlay_duration: Duration::from_mins(2),
    }
}

/// A master's connection.
struct Master {
    connection: SetConnection,
    packet: u32,
    transaction: u32,
}

impl Master {
    fn new(world: &World) -> Self {
        Self { connection: world.coordinator.connect(), packet: 0, transaction: 1 }
    }

    /// Sends a step and returns its result.
    async fn run(&mut self, step: SetStep) -> (ResponseError, u16) {
        self.send(step);
        let (header, StepResult { error, index }) = self.connection.result().await;
        assert_eq!(header.packet_id, self.packet, "result of another step");
        (error, index)
    }

    fn send(&mut self, step: SetStep) {
        self.packet += 1;
        let (transaction_id, packet_id) = (self.transaction, self.packet);
        let header = Header { byte_order: ByteOrder::Big, session_id: 1, transaction_id, packet_id };
        assert!(self.connection.request(StepRequest { header, step, deadline: Instant::now() + STEP_TIMEOUT }));
    }

    async fn test(&mut self, values: &[(&str, i32)]) -> (ResponseError, u16) {
        self.run(test(values)).await
    }

    /// Repeats a test in new transactions until the objects are released, which is shortly after the journal was cleared.
    async fn test_when_released(&mut self, values: &[(&str, i32)]) -> (ResponseError, u16) {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            self.transaction += 1;
            let result = self.test(values).await;
            if result.0 != ResourceUnavailable || Instant::now() > end {
                return result;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn test(values: &[(&str, i32)]) -> SetStep {
    let varbind = |(arcs, value): &(&str, i32)| VarBind {
        name: format!("{BASE}.{arcs}").parse().unwrap(),
        value: Value::Integer(*value),
    };
    SetStep::Test { context: b"acme".to_vec(), varbinds: values.iter().map(varbind).collect() }
}

const ACCEPTED: (ResponseError, u16) = (NoError, 0);

/// Waits until `holds` returns `true`.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn commit_writes_in_order_and_shows_the_values() {
    let world = World::new().await;
    let mut master = Master::new(&world);
    assert_eq!(master.test(&[("2.0", 20), ("1.0", 10)]).await, ACCEPTED);
    assert_eq!((world.application.received(), world.journal(), world.shows(1)), (Vec::new(), 0, Some(1)));
    assert_eq!(master.run(SetStep::Commit).await, ACCEPTED);
    assert_eq!(world.application.received(), ["/2 20", "/1 10"]);
    assert_eq!((world.shows(1), world.shows(2), world.shows(3)), (Some(10), Some(20), Some(3)));
    assert_eq!(world.journal(), 2, "entries stay until cleanup");
    master.send(SetStep::Cleanup);
    until("the journal is not empty", || world.journal() == 0).await;
    assert_eq!((world.counted("committed"), world.counted("failed")), (1, 0));
}

#[tokio::test]
async fn undo_restores_in_reverse_order() {
    let world = World::new().await;
    let mut master = Master::new(&world);
    assert_eq!(master.test(&[("1.0", 10), ("2.0", 20)]).await, ACCEPTED);
    assert_eq!(master.run(SetStep::Commit).await, ACCEPTED);
    assert_eq!(master.run(SetStep::Undo).await, ACCEPTED);
    assert_eq!(world.application.received(), ["/1 10", "/2 20", "/2 2", "/1 1"]);
    assert_eq!((world.shows(1), world.shows(2)), (Some(1), Some(2)));
    // A second undo does nothing.
    assert_eq!(master.run(SetStep::Undo).await, ACCEPTED);
    assert_eq!(world.application.received(), [""; 0]);
    assert_eq!(world.counted("undone"), 1);
}

#[rstest]
#[case::refused(Answer::Status(409), &["/1 10", "/2 20", "/1 1"])]
// It is unknown whether the value was written.
#[case::broken(Answer::Status(500), &["/1 10", "/2 20", "/2 2", "/1 1"])]
#[case::silent(Answer::Never, &["/1 10", "/2 20", "/2 2", "/1 1"])]
#[tokio::test]
async fn failed_commit_restores_all_values(#[case] second: Answer, #[case] expected: &[&str]) {
    let world = World::new().await;
    let mut master = Master::new(&world);
    assert_eq!(master.test(&[("1.0", 10), ("2.0", 20), ("3.0", 30)]).await, ACCEPTED);
    world.application.will_answer(&[Answer::Status(204), second]);
    let (error, index) = master.run(SetStep::Commit).await;
    assert_eq!(error, CommitFailed);
    // After a timeout the failed varbind is unknown.
    assert!(index == 2 || matches!(second, Answer::Never), "{index}");
    assert_eq!(world.application.received(), expected);
    assert_eq!((world.shows(1), world.shows(2), world.shows(3)), (Some(1), Some(2), Some(3)));
    assert_eq!(master.run(SetStep::Undo).await, ACCEPTED);
    assert_eq!(world.application.received(), [""; 0], "restored by the commit already");
    master.transaction += 1;
    assert_eq!(master.test(&[("1.0", 11)]).await, ACCEPTED, "the objects are released");
}

#[tokio::test]
async fn failed_undo_names_the_varbind() {
    let world = World::new().await;
    let mut master = Master::new(&world);
    assert_eq!(master.test(&[("1.0", 10), ("2.0", 20)]).await, ACCEPTED);
    assert_eq!(master.run(SetStep::Commit).await, ACCEPTED);
    // 2.0 is restored, 1.0 is not.
    world.application.will_answer(&[Answer::Status(200), Answer::Status(503)]);
    assert_eq!(master.run(SetStep::Undo).await, (UndoFailed, 1));
    assert_eq!((world.shows(1), world.shows(2)), (Some(10), Some(2)));
    assert_eq!((world.counted("undone"), world.counted("not_undone")), (0, 1));
}

#[rstest]
#[case::another_type(SetStep::Test {
    context: b"acme".to_vec(),
    varbinds: vec![VarBind { name: format!("{BASE}.1.0").parse().unwrap(), value: Value::Gauge32(1) }],
}, WrongType)]
#[case::another_instance(test(&[("1.1", 1)]), NoCreation)]
#[case::the_object_itself(test(&[("1", 1)]), NoCreation)]
#[case::another_object(test(&[("4.0", 1)]), NotWritable)]
#[case::two_values_for_one(test(&[("1.0", 1), ("1.0", 2)]), InconsistentValue)]
#[case::another_context(SetStep::Test {
    context: Vec::new(),
    varbinds: vec![VarBind { name: format!("{BASE}.1.0").parse().unwrap(), value: Value::Integer(1) }],
}, NotWritable)]
#[tokio::test]
async fn failed_test_returns_its_error_and_writes_nothing(#[case] step: SetStep, #[case] error: ResponseError) {
    let world = World::new().await;
    let mut master = Master::new(&world);
    let index = if error == InconsistentValue { 2 } else { 1 };
    assert_eq!(master.run(step).await, (error, index));
    assert_eq!(master.run(SetStep::Commit).await.0, CommitFailed);
    assert_eq!(world.application.received(), [""; 0]);
    assert_eq!(world.counted("refused"), 1);
}

#[tokio::test]
async fn object_without_a_value_cannot_be_set() {
    let world = World::new().await;
    world.view.store(Arc::new(MibView::new(BASE.parse().unwrap(), Vec::new())));
    assert_eq!(Master::new(&world).test(&[("1.0", 10)]).await, (ResourceUnavailable, 1));
}

#[tokio::test]
async fn commit_writes_all_tests_of_the_transaction() {
    let world = World::new().await;
    let mut master = Master::new(&world);
    // snmpd sends one TestSet and one CommitSet for each subtree.
    assert_eq!(master.test(&[("1.0", 10)]).await, ACCEPTED);
    assert_eq!(master.test(&[("2.0", 20)]).await, ACCEPTED);
    assert_eq!(master.run(SetStep::Commit).await, ACCEPTED);
    assert_eq!(master.run(SetStep::Commit).await, ACCEPTED);
    assert_eq!(world.application.received(), ["/1 10", "/2 20"]);
    master.send(SetStep::Cleanup);
    master.transaction += 1;
    assert_eq!(master.test(&[("1.0", 11)]).await, ACCEPTED);
    assert_eq!(master.test(&[("1.1", 20)]).await, (NoCreation, 1));
    assert_eq!(master.run(SetStep::Commit).await.0, CommitFailed, "one of the tests failed");
    assert_eq!(world.application.received(), [""; 0]);
}

#[tokio::test]
async fn object_is_reserved_by_one_set_at_a_time() {
    let world = World::new().await;
    let (mut one, mut other) = (Master::new(&world), Master::new(&world));
    assert_eq!(one.test(&[("1.0", 10)]).await, ACCEPTED);
    assert_eq!(other.test(&[("2.0", 20), ("1.0", 11)]).await, (ResourceUnavailable, 2));
    assert_eq!(one.run(SetStep::Commit).await, ACCEPTED);
    assert_eq!(other.test(&[("1.0", 11)]).await, (ResourceUnavailable, 1), "the other SET is not settled");
    one.send(SetStep::Cleanup);
    until("the journal is not empty", || world.journal() == 0).await;
    assert_eq!(other.test_when_released(&[("1.0", 11)]).await, ACCEPTED);
    // The test of a new transaction releases the objects of the previous one.
    other.transaction += 1;
    assert_eq!(other.test(&[("2.0", 21)]).await, ACCEPTED);
    one.transaction += 1;
    assert_eq!(one.test(&[("1.0", 12)]).await, ACCEPTED);
}

#[tokio::test]
async fn steps_of_an_unknown_transaction_fail() {
    let world = World::new().await;
    let mut master = Master::new(&world);
    assert_eq!(master.run(SetStep::Commit).await, (CommitFailed, 0));
    assert_eq!(master.run(SetStep::Undo).await, (UndoFailed, 0));
    assert_eq!(master.test(&[("1.0", 10)]).await, ACCEPTED);
    master.transaction = 9;
    assert_eq!(master.run(SetStep::Commit).await, (CommitFailed, 0));
    assert_eq!(world.application.received(), [""; 0]);
}

#[tokio::test]
async fn set_is_undone_if_the_connection_ends_before_cleanup() {
    let world = World::new().await;
    let mut master = Master::new(&world);
    assert_eq!(master.test(&[("1.0", 10)]).await, ACCEPTED);
    assert_eq!(master.run(SetStep::Commit).await, ACCEPTED);
    drop(master);
    until("the SET is not undone", || world.counted("undone") == 1).await;
    until("the journal is not empty", || world.journal() == 0).await;
    assert_eq!((world.application.received(), world.shows(1)), (vec!["/1 10".to_owned(), "/1 1".to_owned()], Some(1)));
}

#[tokio::test]
async fn values_are_restored_after_a_crash_and_reserved_until_then() {
    let mut world = World::new().await;
    let mut master = Master::new(&world);
    assert_eq!(master.test(&[("1.0", 10), ("2.0", 20)]).await, ACCEPTED);
    assert_eq!(master.run(SetStep::Commit).await, ACCEPTED);
    // The application is not ready at first.
    world.application.will_answer(&[Answer::Status(503), Answer::Status(503)]);
    world.restart();
    let mut master = Master::new(&world);
    assert_eq!(master.test(&[("1.0", 11)]).await, (ResourceUnavailable, 1));
    until("the objects are not restored", || world.counted("recovered") == 2).await;
    until("the journal is not empty", || world.journal() == 0).await;
    assert_eq!(world.application.received(), ["/1 10", "/2 20", "/2 2", "/1 1", "/2 2", "/1 1"]);
    assert_eq!(master.test_when_released(&[("1.0", 11)]).await, ACCEPTED);
}

#[tokio::test]
async fn final_refusal_after_a_crash_is_not_retried() {
    let mut world = World::new().await;
    let mut master = Master::new(&world);
    assert_eq!(master.test(&[("1.0", 10)]).await, ACCEPTED);
    assert_eq!(master.run(SetStep::Commit).await, ACCEPTED);
    world.application.will_answer(&[Answer::Status(422)]);
    world.restart();
    until("the restore is not given up", || world.counted("not_undone") == 1).await;
    until("the journal is not empty", || world.journal() == 0).await;
    assert_eq!(world.application.received(), ["/1 10", "/1 1"]);
}

#[tokio::test]
async fn commit_fails_and_sends_nothing_if_the_journal_cannot_be_saved() {
    let world = World::new().await;
    // A directory where the journal's file should be.
    std::fs::create_dir(world.folder.path().join("writes.json")).unwrap();
    std::fs::write(world.folder.path().join("writes.json/x"), "").unwrap();
    let mut master = Master::new(&world);
    assert_eq!(master.test(&[("1.0", 10)]).await, ACCEPTED);
    assert_eq!(master.run(SetStep::Commit).await.0, CommitFailed);
    assert_eq!((world.application.received(), world.shows(1)), (Vec::new(), Some(1)));
}
