//! The handle of the thread `notify` for other threads.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use master_config::Document;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use super::Command;
use crate::{
    notify::{
        book::{Book, BookCounts},
        status::TargetStatuses,
        table::AlarmTables,
    },
    snmp::EngineIdentity,
};

/// Namespaces that the status shows, those with the most alarms.
const SHOWN: usize = 100;

/// Sends commands to the thread, and reads what it publishes.
#[derive(Debug, Clone)]
pub struct Notifier {
    commands: mpsc::Sender<Command>,
    /// The alarm tables.
    pub tables: AlarmTables,
    /// The state of the book.
    pub status: AlarmStatus,
    /// The state of the targets.
    pub(crate) targets: TargetStatuses,
}

/// The state of the book of alarms, shared between threads.
#[derive(Debug, Clone, Default)]
pub struct AlarmStatus(Arc<Mutex<AlarmNumbers>>);

/// The numbers of the book.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AlarmNumbers {
    /// Raised alarms.
    pub(crate) alarms: usize,
    /// The namespaces with the most alarms. The empty name stands for subagents without a namespace.
    pub(crate) namespaces: BTreeMap<String, usize>,
    /// Notifications received from subagents.
    pub(crate) received: u64,
    /// Notifications that were known.
    pub(crate) duplicates: u64,
    /// Notifications of pods that stand by.
    pub(crate) standing_by: u64,
    /// Alarms that were not kept because of a limit.
    pub(crate) overflow: u64,
}

impl Notifier {
    pub(super) fn new(capacity: usize) -> (Self, mpsc::Receiver<Command>) {
        let (commands, receiver) = mpsc::channel(capacity);
        (
            Self {
                commands,
                tables: AlarmTables::default(),
                status: AlarmStatus::default(),
                targets: TargetStatuses::default(),
            },
            receiver,
        )
    }

    /// Applies a document.
    pub async fn apply(&self, document: &Document) {
        let (targets, contexts) = (document.targets.clone(), document.contexts.clone());
        self.send(Command::Apply { targets, contexts }).await;
    }

    /// Starts to deliver, as this boot of the engine.
    pub async fn activate(&self, engine: &EngineIdentity, started: Instant) {
        self.send(Command::Activate { engine: engine.clone(), started }).await;
    }

    /// Stops delivering, and waits until nothing more is sent.
    pub async fn deactivate(&self) {
        let (done, is_off) = oneshot::channel();
        self.send(Command::Deactivate(done)).await;
        _ = is_off.await;
    }

    async fn send(&self, command: Command) {
        // This fails only if the thread has ended. The main loop notices that.
        _ = self.commands.send(command).await;
    }
}

impl AlarmStatus {
    /// Returns the numbers of the book.
    pub(crate) fn get(&self) -> AlarmNumbers {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, book: &Book) {
        let BookCounts { received, duplicates, standing_by, overflow } = book.counts();
        let mut namespaces: Vec<_> = book.per_namespace().collect();
        let alarms = namespaces.iter().map(|(_, count)| count).sum();
        namespaces.sort_unstable_by_key(|(namespace, count)| (std::cmp::Reverse(*count), *namespace));
        let shown = namespaces.into_iter().take(SHOWN);
        let namespaces = shown.map(|(namespace, count)| (namespace.unwrap_or_default().to_owned(), count)).collect();
        let numbers = AlarmNumbers { alarms, namespaces, received, duplicates, standing_by, overflow };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = numbers;
    }
}
