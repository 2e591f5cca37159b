//! A book with simulated sessions and time. Object numbers stand for alarms.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use agentx::{Oid, Value, VarBind};
use notification::{AlarmId, Details, Notification, Severity, State, Sync, date_and_time};

use crate::{
    notify::{
        book::{Book, Now},
        table::Tables,
    },
    pdu::notice::{Content, Notice, Received, Subject},
};

/// What an event says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) object: u32,
    pub(super) sequence: u32,
    pub(super) state: State,
}

/// A session: its id, namespace, and whether it serves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pod {
    id: u32,
    namespace: &'static str,
    serves: bool,
    proven: bool,
}

pub(super) struct Harness {
    pub(super) book: Book,
    pub(super) now: Now,
    tables: Tables,
    last: u32,
}

impl Pod {
    /// Returns the session, serving from now on.
    pub(super) fn now_serving(self) -> Self {
        Self { serves: true, ..self }
    }
}

fn base() -> Oid {
    "1.3.6.1.4.1.99999".parse().unwrap()
}

fn object_oid(object: u32) -> Oid {
    base().join(&[1, object]).unwrap()
}

fn context() -> Arc<[u8]> {
    Arc::from(*b"c")
}

pub(super) fn id_of(object: u32) -> AlarmId {
    AlarmId::of(b"c", &base().join(&[0, 1]).unwrap(), &object_oid(object))
}

impl Harness {
    pub(super) fn new() -> Self {
        let now = Now { instant: Instant::now(), wall: SystemTime::UNIX_EPOCH, uptime: 0 };
        Self { book: Book::default(), now, tables: Tables::default(), last: 0 }
    }

    pub(super) fn open(&mut self, namespace: &'static str, serves: bool) -> Pod {
        self.last += 1;
        Pod { id: self.last, namespace, serves, proven: true }
    }

    /// Opens a session over a Unix socket.
    pub(super) fn open_unproven(&mut self, namespace: &'static str) -> Pod {
        Pod { proven: false, ..self.open(namespace, true) }
    }

    /// Takes the severities by which targets are selected.
    pub(super) fn severities(&mut self) -> Vec<Option<Severity>> {
        self.book.take_events().iter().map(|event| event.severity).collect()
    }

    fn receive(&mut self, pod: Pod, serves: bool, content: Content) {
        let proven = pod.proven;
        let namespace = Some(pod.namespace.into()).filter(|_| proven || matches!(content, Content::Notification(_)));
        let received = Received { namespace, proven, session: pod.id, context: context(), serves, content };
        self.book.take(Notice::Received(Box::new(received)), self.now);
    }

    pub(super) fn say(&mut self, pod: Pod, object: u32, sequence: u32, state: State) {
        self.say_with(pod, object, sequence, state, Severity::Major);
    }

    pub(super) fn say_with(&mut self, pod: Pod, object: u32, sequence: u32, state: State, severity: Severity) {
        let details = Details {
            alarm_type: base().join(&[0, 1]).unwrap(),
            id: id_of(object),
            sequence,
            state,
            severity: if state == State::Cleared { Severity::Indeterminate } else { severity },
            time: date_and_time(self.now.wall).to_vec(),
            resource: format!("{}/web/web-{}", pod.namespace, pod.id),
            text: String::new(),
            event_type: None,
        };
        let objects = vec![VarBind { name: object_oid(object), value: Value::Gauge32(1) }];
        let notification = Notification { oid: details.alarm_type.clone(), objects, details: Some(details) };
        self.receive(pod, pod.serves, Content::Notification(notification));
    }

    /// Sends a notification without details.
    pub(super) fn say_plain(&mut self, pod: Pod, object: u32) {
        let objects = vec![VarBind { name: object_oid(object), value: Value::Gauge32(1) }];
        let notification = Notification { oid: base(), objects, details: None };
        self.receive(pod, pod.serves, Content::Notification(notification));
    }

    pub(super) fn sync(&mut self, pod: Pod, objects: &[u32], serves: bool) {
        let sync = Sync { base: base(), raised: objects.iter().map(|object| id_of(*object)).collect() };
        self.receive(pod, serves, Content::Sync(sync));
    }

    pub(super) fn serves(&mut self, pod: Pod, object: u32, serves: bool) {
        let subject = Subject::Alarm(id_of(object));
        self.book.take(Notice::Serving { session: pod.id, context: context(), subject, serves }, self.now);
    }

    /// Lets the pod serve these objects and the whole subtree.
    pub(super) fn serve(&mut self, pod: Pod, objects: &[u32]) {
        for object in objects {
            self.serves(pod, *object, true);
        }
        let subject = Subject::Subtree(base());
        self.book.take(Notice::Serving { session: pod.id, context: context(), subject, serves: true }, self.now);
    }

    pub(super) fn close(&mut self, pod: Pod) {
        self.book.take(Notice::Closed { session: pod.id }, self.now);
    }

    /// Advances the time, and calls `tick` at each deadline.
    pub(super) fn pass(&mut self, time: Duration) {
        let until = self.now.instant + time;
        while let Some(deadline) = self.book.deadline().filter(|deadline| *deadline <= until) {
            self.now.instant = self.now.instant.max(deadline);
            self.book.tick(self.now);
            assert!(self.book.deadline().is_none_or(|next| next > self.now.instant), "the deadline does not advance");
        }
        self.now.instant = until;
        self.book.tick(self.now);
    }

    /// Takes the events.
    pub(super) fn events(&mut self) -> Vec<Said> {
        let said = |event: &crate::notify::event::Event| {
            let object = *event.notification.objects[0].name.last().unwrap();
            let details = event.notification.details.as_ref();
            let (sequence, state) = details.map_or((0, State::Event), |details| (details.sequence, details.state));
            Said { object, sequence, state }
        };
        self.book.take_events().iter().map(|event| said(event)).collect()
    }

    /// Returns the objects and sequences of the table, by object.
    pub(super) fn rows(&mut self, context: &str) -> Vec<(u32, u32)> {
        self.book.update(&mut self.tables);
        let Some(table) = self.tables.get(context.as_bytes()) else { return Vec::new() };
        assert!(table.rows.is_sorted_by_key(|row| row.index));
        assert_eq!(table.by_severity.iter().sum::<u32>() as usize, table.rows.len());
        let mut rows: Vec<_> = table.rows.iter().map(|row| (*row.object.last().unwrap(), row.sequence)).collect();
        rows.sort_unstable();
        rows
    }

    pub(super) fn lost(&mut self, context: &str) -> u32 {
        self.book.update(&mut self.tables);
        self.tables.get(context.as_bytes()).map_or(0, |table| table.lost)
    }
}
