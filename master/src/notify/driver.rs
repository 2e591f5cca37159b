//! The thread `notify`: keeps the book of alarms, publishes the alarm tables, and delivers events to the targets.
//!
//! It is a thread of its own so that neither many alarms nor a slow target delays a response to a manager.

mod notifier;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use daemon::{drain::Watcher, heartbeat::Heartbeat};
use master_config::{Context, Target};
use tokio::{
    sync::{mpsc, oneshot},
    time::{interval, sleep_until},
};

pub(crate) use self::notifier::AlarmNumbers;
pub use self::notifier::{AlarmStatus, Notifier};
use super::{
    book::{Book, Now},
    delivery::Delivery,
    event::Event,
    record::RecordStore,
    status::TargetStatuses,
    table::{AlarmTables, Tables},
};
use crate::{
    pdu::{notice::Notice, time_ticks::time_ticks},
    snmp::EngineIdentity,
    subagents::authority::Grants,
};

/// Period of the heartbeat.
const BEAT: Duration = Duration::from_millis(500);
/// Capacity of the channel of notices. When it is full, subagents are told to try again.
const NOTICES: usize = 4_096;
/// Capacity of the channel of commands.
const COMMANDS: usize = 16;
/// Shortest time between two records.
const RECORD_PERIOD: Duration = Duration::from_secs(5);
/// How long a master on standby keeps events. When it becomes active, it delivers those that the other one may not have
/// delivered: receivers recognize duplicates by id and sequence.
const REPLAY: Duration = Duration::from_secs(30);
/// Maximum number of events that are kept for that.
const MAX_REPLAY: usize = 10_000;
/// Notices that are handled before anything else runs.
const BATCH: usize = 256;

/// A command of the main thread.
#[derive(Debug)]
pub enum Command {
    /// Applies a document.
    Apply {
        /// The targets.
        targets: Vec<Target>,
        /// The contexts, whose grants the alarms need.
        contexts: Vec<Context>,
    },
    /// Starts to deliver: this replica is active.
    Activate {
        /// The engine in its current boot.
        engine: EngineIdentity,
        /// When it started: sysUpTime is 0.
        started: Instant,
    },
    /// Stops delivering. The book is kept.
    Deactivate(oneshot::Sender<()>),
}

/// Everything that the thread owns.
#[derive(Debug)]
pub struct Parts {
    notices: mpsc::Receiver<Notice>,
    commands: mpsc::Receiver<Command>,
    tables: AlarmTables,
    status: AlarmStatus,
    targets: TargetStatuses,
    heartbeat: Heartbeat,
    record: Option<RecordStore>,
}

/// Creates the parts of the thread, the sender of notices for the agent thread, and the handle for the main thread.
pub fn parts(heartbeat: Heartbeat) -> (Parts, mpsc::Sender<Notice>, Notifier) {
    let (notifier, commands) = Notifier::new(COMMANDS);
    let (sender, notices) = mpsc::channel(NOTICES);
    let (tables, status, targets) = (notifier.tables.clone(), notifier.status.clone(), notifier.targets.clone());
    (Parts { notices, commands, tables, status, targets, heartbeat, record: None }, sender, notifier)
}

impl Parts {
    /// Adds the record of a state directory, if there is one: its alarms, and those from now on.
    #[must_use]
    pub(crate) fn with_record(self, record: Option<RecordStore>) -> Self {
        Self { record, ..self }
    }
}

/// Runs until the drain. Needs a `LocalSet`.
pub async fn run(parts: Parts, mut drain: Watcher) {
    let Parts { mut notices, mut commands, tables, status, targets, heartbeat, record } = parts;
    let mut driver = Driver {
        book: Book::default(),
        delivery: Delivery::new(targets),
        engine: None,
        started: Instant::now(),
        document: None,
        published: Tables::default(),
        tables,
        status,
        recorded: (0, Instant::now()),
        recent: VecDeque::new(),
        tallied: None,
        record,
    };
    driver.restore();
    let mut beats = interval(BEAT);
    loop {
        let deadline = driver.book.deadline();
        let lapse = async {
            match deadline {
                Some(deadline) => sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = drain.triggered() => break,
            _ = beats.tick() => {
                heartbeat.beat();
                driver.record(false);
            }
            Some(command) = commands.recv() => driver.execute(command),
            Some(notice) = notices.recv() => {
                let now = driver.now();
                driver.book.take(notice, now);
                for _ in 1..BATCH {
                    let Ok(notice) = notices.try_recv() else { break };
                    driver.book.take(notice, now);
                }
            }
            () = lapse => {}
            () = driver.delivery.run() => {}
        }
        driver.flush();
    }
    driver.record(true);
}

struct Driver {
    book: Book,
    delivery: Delivery,
    engine: Option<EngineIdentity>,
    started: Instant,
    document: Option<(Vec<Target>, Vec<Context>)>,
    published: Tables,
    tables: AlarmTables,
    status: AlarmStatus,
    record: Option<RecordStore>,
    /// Events since a while, when they came.
    recent: VecDeque<(Instant, Arc<Event>)>,
    /// The revision of the book whose numbers the delivery has.
    tallied: Option<u64>,
    /// The revision of the book that was recorded last, and when.
    recorded: (u64, Instant),
}

impl Driver {
    fn now(&self) -> Now {
        let instant = Instant::now();
        Now { instant, wall: SystemTime::now(), uptime: time_ticks(self.started, instant) }
    }

    fn restore(&mut self) {
        let entries = self.record.as_ref().map(RecordStore::load).unwrap_or_default();
        self.book.restore(entries, self.now());
        self.recorded.0 = self.book.revision();
        self.flush();
    }

    /// Records the alarms if they have changed, but not too often unless `is_last`.
    fn record(&mut self, is_last: bool) {
        let Some(store) = &self.record else { return };
        let (revision, at) = self.recorded;
        if self.book.revision() == revision || !is_last && at.elapsed() < RECORD_PERIOD {
            return;
        }
        self.recorded = (self.book.revision(), Instant::now());
        match store.save(self.book.entries()) {
            Ok(0) => {}
            Ok(left_out) => tracing::warn!(
                left_out,
                "the record of alarms is full; after a restart, sidecars must send the others again"
            ),
            Err(error) => {
                tracing::warn!(%error, "failed to record the alarms; after a restart, sidecars must send them again");
            }
        }
    }

    fn execute(&mut self, command: Command) {
        match command {
            Command::Apply { targets, contexts } => {
                let (grants, now) = (Grants::new(&contexts), self.now());
                self.book.retain_granted(|namespace, context, oid| grants.include(namespace, context, oid), now);
                self.document = Some((targets, contexts));
                self.apply();
            }
            Command::Activate { engine, started } => {
                self.started = started;
                self.engine = Some(engine);
                self.apply();
                self.delivery.set_active(true, started);
                self.tallied = None;
                let since = Instant::now().checked_sub(REPLAY);
                for (_, event) in self.recent.drain(..).filter(|(at, _)| since.is_none_or(|since| *at >= since)) {
                    self.delivery.offer(&event);
                }
            }
            Command::Deactivate(done) => {
                self.delivery.set_active(false, self.started);
                // The caller may have timed out.
                _ = done.send(());
            }
        }
    }

    fn apply(&mut self) {
        if let (Some((targets, contexts)), Some(engine)) = (&self.document, &self.engine) {
            self.delivery.apply(targets, contexts, engine);
        }
    }

    /// Keeps an event in case that this master becomes active.
    fn keep(&mut self, event: Arc<Event>) {
        let now = Instant::now();
        let is_old = |at: Instant| now.saturating_duration_since(at) > REPLAY;
        while self.recent.len() >= MAX_REPLAY || self.recent.front().is_some_and(|(at, _)| is_old(*at)) {
            self.recent.pop_front();
        }
        self.recent.push_back((now, event));
    }

    /// Does what is due, passes events on, and publishes what has changed.
    fn flush(&mut self) {
        self.book.tick(self.now());
        for event in self.book.take_events() {
            if self.delivery.is_active() {
                self.delivery.offer(&event);
            } else {
                self.keep(event);
            }
        }
        if self.delivery.is_active() && self.tallied != Some(self.book.revision()) {
            self.tallied = Some(self.book.revision());
            self.delivery.set_tallies(self.book.tallies(self.started));
        }
        if self.book.update(&mut self.published) {
            self.tables.publish(self.published.clone());
        }
        self.status.set(&self.book);
    }
}
