//! The SETs of one connection, one after another.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use agentx::{Header, ResponseError, Value, VarBind};
use sidecar_config::WriteKind;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};

use super::{
    backend::{ConfigMap, WriteError},
    counts::increment,
    journal::JournalEntry,
    shared::{Shared, WritableSubtree},
    step::{SetStep, StepRequest, StepResult},
    target::Target,
    text::ValueText,
};

/// How long a test may take to check the backends.
const TEST_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a commit may take to write. It leaves enough time to restore the written values.
const WRITE_TIMEOUT: Duration = Duration::from_millis(2_200);
/// How long an undo may take.
const UNDO_TIMEOUT: Duration = Duration::from_millis(1_600);
/// How long an undo may take if no master waits for it.
const ROLLBACK_TIMEOUT: Duration = Duration::from_secs(4);
/// How long objects stay reserved for a master that sends no further step.
const RESERVATION_TIMEOUT: Duration = Duration::from_secs(30);

/// An object of a SET.
struct Item {
    subtree: Arc<WritableSubtree>,
    target: Arc<Target>,
    new: ValueText,
    /// The value that the view shows once `new` is written.
    new_shown: Value,
    /// The value that the view showed before.
    old_shown: Option<Value>,
    /// `None`: the key did not exist.
    old: Option<ValueText>,
    /// Whether `new` may have been written.
    written: bool,
}

enum Phase {
    Tested {
        /// Whether all tests so far passed.
        passed: bool,
    },
    Committed,
    /// The commit failed or was undone. The previous values are restored, except perhaps that of the item with this
    /// number.
    Undone(Option<usize>),
}

struct Transaction {
    id: u32,
    phase: Phase,
    /// The objects that it has reserved.
    reserved: Vec<Arc<Target>>,
    items: Vec<Item>,
    /// The ConfigMaps as they were at the test.
    maps: BTreeMap<String, ConfigMap>,
    /// Its number in the journal, once it is there.
    journal_number: Option<u64>,
}

/// The items that one request to a backend writes.
enum Request {
    Http(usize),
    ConfigMap(String, Vec<usize>),
}

impl Request {
    fn items(&self) -> &[usize] {
        match self {
            Self::Http(item) => std::slice::from_ref(item),
            Self::ConfigMap(_, items) => items,
        }
    }
}

/// Carries out steps until the connection ends, and then undoes a SET that is committed but not settled.
pub(super) async fn serve_connection(
    shared: Arc<Shared>,
    mut requests: mpsc::Receiver<StepRequest>,
    results: mpsc::Sender<(Header, StepResult)>,
) {
    let mut current: Option<Transaction> = None;
    loop {
        let reserved = current.as_ref().is_some_and(|transaction| matches!(transaction.phase, Phase::Tested { .. }));
        let request = if reserved {
            let Ok(request) = timeout(RESERVATION_TIMEOUT, requests.recv()).await else {
                settle(&shared, current.take()).await;
                continue;
            };
            request
        } else {
            requests.recv().await
        };
        let Some(StepRequest { header, step, deadline }) = request else { break };
        let deadline = Instant::from_std(deadline);
        let id = header.transaction_id;
        let result = match step {
            SetStep::Test { context, varbinds } => {
                // A master has one transaction at a time: the test of another one ends the current one.
                settle(&shared, current.take_if(|transaction| transaction.id != id)).await;
                let transaction = current.get_or_insert_with(|| Transaction::new(id));
                transaction.test(&shared, &context, &varbinds, deadline).await
            }
            SetStep::Cleanup => {
                settle(&shared, current.take_if(|transaction| transaction.id == id)).await;
                continue;
            }
            SetStep::Commit => match current.as_mut().filter(|transaction| transaction.id == id) {
                Some(transaction) => transaction.commit(&shared, deadline).await,
                None => StepResult::failed(ResponseError::CommitFailed),
            },
            SetStep::Undo => match current.as_mut().filter(|transaction| transaction.id == id) {
                Some(transaction) => transaction.undo(&shared, deadline).await,
                None => StepResult::failed(ResponseError::UndoFailed),
            },
        };
        // If the connection has ended, the next `recv` returns `None`.
        _ = results.send((header, result)).await;
    }
    if let Some(mut transaction) = current.take() {
        if matches!(transaction.phase, Phase::Committed) {
            tracing::warn!("the session ended before its SET was settled; undoing the SET");
            _ = transaction.undo(&shared, Instant::now() + ROLLBACK_TIMEOUT).await;
        }
        settle(&shared, Some(transaction)).await;
    }
}

/// Removes a transaction from the journal and releases its objects.
async fn settle(shared: &Shared, transaction: Option<Transaction>) {
    let Some(transaction) = transaction else { return };
    if let Some(number) = transaction.journal_number {
        shared.journal.settle(|entry| entry.transaction == number).await;
    }
    for target in &transaction.reserved {
        shared.release(&target.subtree, &target.object);
    }
}

impl Transaction {
    fn new(id: u32) -> Self {
        let (reserved, items, maps) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { id, phase: Phase::Tested { passed: true }, reserved, items, maps, journal_number: None }
    }

    /// Checks everything in the order of RFC 3416 section 4.2.5, and changes nothing.
    async fn test(&mut self, shared: &Shared, context: &[u8], varbinds: &[VarBind], deadline: Instant) -> StepResult {
        let Phase::Tested { passed } = &mut self.phase else {
            return StepResult::failed(ResponseError::GenErr);
        };
        let passed_before = std::mem::replace(passed, false);
        let deadline = deadline.min(Instant::now() + TEST_TIMEOUT);
        let result = match timeout_at(deadline, self.check(shared, context, varbinds)).await {
            Ok(Ok(())) => {
                self.phase = Phase::Tested { passed: passed_before };
                return StepResult::OK;
            }
            Ok(Err(result)) => result,
            Err(_) => {
                tracing::warn!("refused a SET: timed out while checking what it would write to");
                StepResult::failed_at(ResponseError::ResourceUnavailable, 0)
            }
        };
        increment(&shared.counts.refused);
        result
    }

    async fn check(&mut self, shared: &Shared, context: &[u8], varbinds: &[VarBind]) -> Result<(), StepResult> {
        for (i, VarBind { name, value }) in varbinds.iter().enumerate() {
            let refused = |error| StepResult::failed_at(error, i);
            let found = shared.find(context, name).ok_or_else(|| refused(ResponseError::NotWritable))?;
            let new = found.target.check(value).map_err(refused)?;
            if !found.is_instance {
                return Err(refused(ResponseError::NoCreation));
            }
            let (subtree, target) = (found.subtree, found.target);
            // All varbinds are set as if simultaneously, so an object cannot have two values.
            if self.items.iter().any(|item| Arc::ptr_eq(&item.target, &target) && item.new_shown != *value) {
                return Err(refused(ResponseError::InconsistentValue));
            }
            if !self.reserved.iter().any(|reserved| Arc::ptr_eq(reserved, &target)) {
                if !shared.reserve(&target) {
                    tracing::info!(subtree = %target.subtree, object = target.name, "refused a SET: another SET has reserved the object");
                    return Err(refused(ResponseError::ResourceUnavailable));
                }
                self.reserved.push(Arc::clone(&target));
            }
            let old_shown = subtree.value(&target);
            let old = self.old(shared, &target, old_shown.as_ref()).await.map_err(|error| {
                tracing::warn!(subtree = %target.subtree, object = target.name, "refused a SET: {error}");
                refused(ResponseError::ResourceUnavailable)
            })?;
            self.items.push(Item { subtree, target, new, new_shown: value.clone(), old_shown, old, written: false });
        }
        Ok(())
    }

    /// Checks that the backend of an object is reachable, and returns the previous value, given the value that is shown.
    async fn old(
        &mut self,
        shared: &Shared,
        target: &Target,
        shown: Option<&Value>,
    ) -> Result<Option<ValueText>, WriteError> {
        match &target.kind {
            WriteKind::Http(http) => {
                let old = shown.and_then(|value| target.text(value).ok());
                let unknown = "the object has no value at present that could be restored later";
                let old = old.ok_or_else(|| WriteError::not_sent(unknown))?;
                shared.backends.check(http).await?;
                Ok(Some(old))
            }
            WriteKind::ConfigMap(key) => {
                if !self.maps.contains_key(&key.name) {
                    self.maps.insert(key.name.clone(), shared.backends.read(&key.name).await?);
                }
                let text = self.maps.get(&key.name).and_then(|map| map.data.get(&key.key));
                Ok(text.map(|text| ValueText { value: text.clone(), name: None }))
            }
        }
    }

    /// Writes all items. If one fails, restores those that may have been written.
    async fn commit(&mut self, shared: &Shared, deadline: Instant) -> StepResult {
        match self.phase {
            Phase::Tested { passed: true } => {}
            // snmpd sends a CommitSet for each subtree.
            Phase::Committed => return StepResult::OK,
            Phase::Tested { passed: false } | Phase::Undone(_) => {
                return StepResult::failed(ResponseError::CommitFailed);
            }
        }
        // The rest of the time is for restoring.
        let write_deadline = deadline
            .checked_sub(UNDO_TIMEOUT)
            .map_or(deadline, |deadline| deadline.min(Instant::now() + WRITE_TIMEOUT));
        let written = timeout_at(write_deadline, self.write(shared)).await;
        let Err((item, error)) = written.unwrap_or_else(|_| Err((0, WriteError::timeout()))) else {
            self.phase = Phase::Committed;
            increment(&shared.counts.committed);
            for item in &self.items {
                item.subtree.show(&item.target, Some(item.new_shown.clone()));
                tracing::info!(subtree = %item.target.subtree, object = item.target.name, "set an object");
            }
            return StepResult::OK;
        };
        increment(&shared.counts.failed);
        let object = self.items.get(item).map_or("", |item| item.target.name.as_str());
        tracing::warn!(object, "failed to write a SET; restoring the previous values: {error}");
        self.restore(shared, Instant::now() + UNDO_TIMEOUT).await;
        StepResult::failed_at(ResponseError::CommitFailed, item)
    }

    async fn write(&mut self, shared: &Shared) -> Result<(), (usize, WriteError)> {
        let transaction = shared.journal.next_transaction();
        let entry = |item: &Item| JournalEntry {
            transaction,
            subtree: item.target.subtree.clone(),
            object: item.target.object.clone(),
            old: item.old.clone(),
        };
        self.journal_number = Some(transaction);
        if !shared.journal.begin(self.items.iter().map(entry).collect()).await {
            return Err((0, WriteError::not_sent("failed to save the journal in the state directory")));
        }
        for request in self.requests() {
            self.mark(request.items(), true);
            let sent = match &request {
                Request::Http(item) => match self.items.get(*item).map(|item| (&item.target.kind, &item.new)) {
                    Some((WriteKind::Http(http), new)) => shared.backends.send(http, new).await,
                    _ => Ok(()),
                },
                Request::ConfigMap(name, items) => {
                    let data = self.keys(items);
                    let version = self.maps.get(name).map(|map| map.resource_version.clone());
                    shared.backends.change(name, version.as_deref(), &data).await
                }
            };
            if let Err(error) = sent {
                if error.nothing_written() {
                    self.mark(request.items(), false);
                }
                return Err((request.items().first().copied().unwrap_or_default(), error));
            }
        }
        Ok(())
    }

    /// Returns the requests that write all items. The items of a ConfigMap share one request, at the position of the first.
    fn requests(&self) -> Vec<Request> {
        let mut requests = Vec::new();
        for (i, item) in self.items.iter().enumerate() {
            match &item.target.kind {
                WriteKind::Http(_) => requests.push(Request::Http(i)),
                WriteKind::ConfigMap(key) => {
                    let same = requests.iter_mut().find_map(|request| match request {
                        Request::ConfigMap(name, items) if *name == key.name => Some(items),
                        _ => None,
                    });
                    match same {
                        Some(items) => items.push(i),
                        None => requests.push(Request::ConfigMap(key.name.clone(), vec![i])),
                    }
                }
            }
        }
        requests
    }

    fn mark(&mut self, items: &[usize], written: bool) {
        for item in items {
            if let Some(item) = self.items.get_mut(*item) {
                item.written = written;
            }
        }
    }

    /// Returns the ConfigMap keys of these items, and their new texts.
    fn keys(&self, items: &[usize]) -> BTreeMap<String, Option<String>> {
        let items = items.iter().filter_map(|item| self.items.get(*item));
        let keys = items.filter_map(|item| match &item.target.kind {
            WriteKind::ConfigMap(key) => Some((key.key.clone(), Some(item.new.plain().to_owned()))),
            WriteKind::Http(_) => None,
        });
        keys.collect()
    }

    async fn undo(&mut self, shared: &Shared, deadline: Instant) -> StepResult {
        match self.phase {
            Phase::Tested { .. } => self.phase = Phase::Undone(None),
            Phase::Committed => self.restore(shared, deadline).await,
            Phase::Undone(_) => {}
        }
        match self.phase {
            Phase::Undone(None) => StepResult::OK,
            Phase::Undone(Some(item)) => StepResult::failed_at(ResponseError::UndoFailed, item),
            Phase::Tested { .. } | Phase::Committed => StepResult::failed(ResponseError::UndoFailed),
        }
    }

    /// Restores every item that may have been written, in reverse order. If one fails, the others are still restored.
    async fn restore(&mut self, shared: &Shared, deadline: Instant) {
        let mut not_restored = None;
        for (i, item) in self.items.iter_mut().enumerate().rev().filter(|(_, item)| item.written) {
            let restored = timeout_at(deadline, shared.backends.restore(&item.target, item.old.as_ref())).await;
            let (subtree, object) = (&item.target.subtree, &item.target.name);
            match restored.unwrap_or_else(|_| Err(WriteError::timeout())) {
                Ok(()) => {
                    item.written = false;
                    item.subtree.show(&item.target, item.old_shown.clone());
                    tracing::info!(%subtree, object, "restored the value that the object had before the SET");
                }
                Err(error) => {
                    not_restored = Some(i);
                    increment(&shared.counts.not_undone);
                    tracing::error!(%subtree, object, "failed to restore the previous value of an object; it may keep the value of the SET: {error}");
                }
            }
        }
        if not_restored.is_none() {
            increment(&shared.counts.undone);
        }
        self.phase = Phase::Undone(not_restored);
    }
}
