//! One connection's SETs, one after the other.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use agentx::{Header, ResponseError, Value, VarBind};
use sidecar_config::WriteKind;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};

use super::{
    Asked, Doing, Outside, Served, Target, Text,
    desk::Inner,
    journal::Entry,
    outside::{ConfigMap, Fault},
};
use crate::session::Verdict;

/// How long a test may look at what is outside.
const LOOK: Duration = Duration::from_secs(3);
/// How long a commit may write, so that there is time to put back what it did.
const WRITE: Duration = Duration::from_millis(2_200);
/// How long putting back may take.
const UNDO: Duration = Duration::from_millis(1_600);
/// The same where no master waits for it.
const ROLL_BACK: Duration = Duration::from_secs(4);
/// How long objects stay reserved for a master that says nothing more.
const RESERVED: Duration = Duration::from_secs(30);

/// An object of a SET.
struct Item {
    served: Arc<Served>,
    target: Arc<Target>,
    new: Text,
    /// What it shows when that is written,
    shown: Value,
    /// and what it shows before.
    shown_before: Option<Value>,
    /// None: the key was not there.
    old: Option<Text>,
    /// Whether it may have been written.
    written: bool,
}

enum Phase {
    /// Every test so far was passed, or not.
    Tested {
        passed: bool,
    },
    Committed,
    /// The commit failed, or was undone: everything is as it was, or this item may not be.
    Undone(Option<usize>),
}

struct Transaction {
    id: u32,
    phase: Phase,
    /// What it has reserved.
    reserved: Vec<Arc<Target>>,
    items: Vec<Item>,
    /// The ConfigMaps as they were at the test.
    maps: BTreeMap<String, ConfigMap>,
    /// Its number in the journal, once it is there.
    journalled: Option<u64>,
}

/// What one request writes: items by their number.
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

const ACCEPTED: Verdict = Verdict { error: ResponseError::NoError, index: 0 };

fn failed(error: ResponseError, item: usize) -> Verdict {
    Verdict { error, index: u16::try_from(item + 1).unwrap_or(u16::MAX) }
}

/// Takes steps until the connection ends, and then puts back what was not settled.
pub(super) async fn run(desk: Arc<Inner>, mut steps: mpsc::Receiver<Asked>, verdicts: mpsc::Sender<(Header, Verdict)>) {
    let mut current: Option<Transaction> = None;
    loop {
        let reserved = current.as_ref().is_some_and(|transaction| matches!(transaction.phase, Phase::Tested { .. }));
        let step = if reserved {
            let Ok(step) = timeout(RESERVED, steps.recv()).await else {
                settle(&desk, current.take()).await;
                continue;
            };
            step
        } else {
            steps.recv().await
        };
        let Some(Asked { header, doing, until }) = step else { break };
        let until = Instant::from_std(until);
        let id = header.transaction_id;
        let verdict = match doing {
            Doing::Test { context, varbinds } => {
                // A master has one at a time: another one is over.
                settle(&desk, current.take_if(|transaction| transaction.id != id)).await;
                let transaction = current.get_or_insert_with(|| Transaction::new(id));
                transaction.test(&desk, &context, &varbinds, until).await
            }
            Doing::Cleanup => {
                settle(&desk, current.take_if(|transaction| transaction.id == id)).await;
                continue;
            }
            Doing::Commit => match current.as_mut().filter(|transaction| transaction.id == id) {
                Some(transaction) => transaction.commit(&desk, until).await,
                None => Verdict { error: ResponseError::CommitFailed, index: 0 },
            },
            Doing::Undo => match current.as_mut().filter(|transaction| transaction.id == id) {
                Some(transaction) => transaction.undo(&desk, until).await,
                None => Verdict { error: ResponseError::UndoFailed, index: 0 },
            },
        };
        // A connection that has ended is seen above.
        _ = verdicts.send((header, verdict)).await;
    }
    if let Some(mut transaction) = current.take() {
        if matches!(transaction.phase, Phase::Committed) {
            tracing::warn!("the session ended before its SET was settled: it is put back");
            _ = transaction.undo(&desk, Instant::now() + ROLL_BACK).await;
        }
        settle(&desk, Some(transaction)).await;
    }
}

/// Lets go of a transaction, whatever was written or not.
async fn settle(desk: &Inner, transaction: Option<Transaction>) {
    let Some(transaction) = transaction else { return };
    if let Some(journalled) = transaction.journalled {
        desk.journal.settle(|entry| entry.transaction == journalled).await;
    }
    for target in &transaction.reserved {
        desk.release(target);
    }
}

impl Transaction {
    fn new(id: u32) -> Self {
        let (reserved, items, maps) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { id, phase: Phase::Tested { passed: true }, reserved, items, maps, journalled: None }
    }

    /// Everything is looked at, in the order of RFC 3416 section 4.2.5, and nothing is changed.
    async fn test(&mut self, desk: &Inner, context: &[u8], varbinds: &[VarBind], until: Instant) -> Verdict {
        let Phase::Tested { passed } = &mut self.phase else {
            return Verdict { error: ResponseError::GenErr, index: 0 };
        };
        // Until it is.
        let before = std::mem::replace(passed, false);
        let tested = timeout_at(until.min(Instant::now() + LOOK), self.look(desk, context, varbinds)).await;
        let verdict = match tested {
            Ok(Ok(())) => {
                self.phase = Phase::Tested { passed: before };
                return ACCEPTED;
            }
            Ok(Err(verdict)) => verdict,
            Err(_) => {
                tracing::warn!("what a SET would write cannot be reached in time");
                failed(ResponseError::ResourceUnavailable, 0)
            }
        };
        desk.counts.refused.fetch_add(1, Ordering::Relaxed);
        verdict
    }

    async fn look(&mut self, desk: &Inner, context: &[u8], varbinds: &[VarBind]) -> Result<(), Verdict> {
        for (i, VarBind { name, value }) in varbinds.iter().enumerate() {
            let refused = |error| failed(error, i);
            let found = desk.find(context, name).ok_or_else(|| refused(ResponseError::NotWritable))?;
            let new = found.target.check(value).map_err(refused)?;
            if !found.is_instance {
                return Err(refused(ResponseError::NoCreation));
            }
            let (served, target) = (found.served, found.target);
            // All are assigned as if at one time.
            if self.items.iter().any(|item| Arc::ptr_eq(&item.target, &target) && item.shown != *value) {
                return Err(refused(ResponseError::InconsistentValue));
            }
            if !self.reserved.iter().any(|reserved| Arc::ptr_eq(reserved, &target)) {
                if !desk.hold(&target) {
                    tracing::info!(subtree = %target.subtree, object = target.name, "another SET has the object");
                    return Err(refused(ResponseError::ResourceUnavailable));
                }
                self.reserved.push(Arc::clone(&target));
            }
            let shown_before = served.value(&target);
            let old = self.old(desk, &target, shown_before.as_ref()).await.map_err(|fault| {
                tracing::warn!(subtree = %target.subtree, object = target.name, "a SET is refused: {fault}");
                refused(ResponseError::ResourceUnavailable)
            })?;
            self.items.push(Item { served, target, new, shown: value.clone(), shown_before, old, written: false });
        }
        Ok(())
    }

    /// What an object has now that shows this; and that it can be reached.
    async fn old(&mut self, desk: &Inner, target: &Target, shown: Option<&Value>) -> Result<Option<Text>, Fault> {
        match &target.kind {
            WriteKind::Http(http) => {
                let old = shown.and_then(|value| target.text(value).ok());
                let unknown = "its present value is not known, and so could not be put back";
                let old = old.ok_or_else(|| Fault::before(unknown))?;
                desk.outside.knock(http).await?;
                Ok(Some(old))
            }
            WriteKind::ConfigMap(key) => {
                if !self.maps.contains_key(&key.name) {
                    self.maps.insert(key.name.clone(), desk.outside.read(&key.name).await?);
                }
                let text = self.maps.get(&key.name).and_then(|map| map.data.get(&key.key));
                Ok(text.map(|text| Text { value: text.clone(), name: None }))
            }
        }
    }

    /// Everything is written, or put back as it was.
    async fn commit(&mut self, desk: &Inner, until: Instant) -> Verdict {
        match self.phase {
            Phase::Tested { passed: true } => {}
            // snmpd asks once for each subtree.
            Phase::Committed => return ACCEPTED,
            Phase::Tested { passed: false } | Phase::Undone(_) => {
                return Verdict { error: ResponseError::CommitFailed, index: 0 };
            }
        }
        // Written within this time or put back within the rest.
        let write_until = until.checked_sub(UNDO).map_or(until, |until| until.min(Instant::now() + WRITE));
        let written = timeout_at(write_until, self.write(desk)).await;
        let Err((item, fault)) = written.unwrap_or_else(|_| Err((0, Fault::late()))) else {
            self.phase = Phase::Committed;
            desk.counts.committed.fetch_add(1, Ordering::Relaxed);
            for item in &self.items {
                item.served.show(&item.target, Some(item.shown.clone()));
                tracing::info!(subtree = %item.target.subtree, object = item.target.name, "an object was set");
            }
            return ACCEPTED;
        };
        desk.counts.failed.fetch_add(1, Ordering::Relaxed);
        let named = self.items.get(item).map_or("", |item| item.target.name.as_str());
        tracing::warn!(object = named, "a SET could not be written: {fault}");
        self.put_back(desk, Instant::now() + UNDO).await;
        failed(ResponseError::CommitFailed, item)
    }

    async fn write(&mut self, desk: &Inner) -> Result<(), (usize, Fault)> {
        let transaction = desk.journal.next_transaction();
        let entry = |item: &Item| Entry {
            transaction,
            subtree: item.target.subtree.clone(),
            object: item.target.object.clone(),
            old: item.old.clone(),
        };
        self.journalled = Some(transaction);
        if !desk.journal.begin(self.items.iter().map(entry).collect()).await {
            return Err((0, Fault::before("the journal cannot be saved")));
        }
        for request in self.requests() {
            self.mark(request.items(), true);
            let sent = match &request {
                Request::Http(item) => match self.items.get(*item).map(|item| (&item.target.kind, &item.new)) {
                    Some((WriteKind::Http(http), new)) => desk.outside.send(http, new).await,
                    _ => Ok(()),
                },
                Request::ConfigMap(name, items) => {
                    let data = self.keys(items);
                    let version = self.maps.get(name).map(|map| map.resource_version.clone());
                    desk.outside.change(name, version.as_deref(), &data).await
                }
            };
            if let Err(fault) = sent {
                if fault.nothing_written() {
                    self.mark(request.items(), false);
                }
                return Err((request.items().first().copied().unwrap_or_default(), fault));
            }
        }
        Ok(())
    }

    /// The requests that write all items: one for each ConfigMap, in the order in which they come first.
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

    /// What these items write, by their keys.
    fn keys(&self, items: &[usize]) -> BTreeMap<String, Option<String>> {
        let items = items.iter().filter_map(|item| self.items.get(*item));
        let keys = items.filter_map(|item| match &item.target.kind {
            WriteKind::ConfigMap(key) => Some((key.key.clone(), Some(item.new.plain().to_owned()))),
            WriteKind::Http(_) => None,
        });
        keys.collect()
    }

    async fn undo(&mut self, desk: &Inner, until: Instant) -> Verdict {
        match self.phase {
            Phase::Tested { .. } => self.phase = Phase::Undone(None),
            Phase::Committed => self.put_back(desk, until).await,
            Phase::Undone(_) => {}
        }
        match self.phase {
            Phase::Undone(None) => ACCEPTED,
            Phase::Undone(Some(item)) => failed(ResponseError::UndoFailed, item),
            Phase::Tested { .. } | Phase::Committed => Verdict { error: ResponseError::UndoFailed, index: 0 },
        }
    }

    /// Puts back all that may have been written, the last first. One that fails does not keep the others from it.
    async fn put_back(&mut self, desk: &Inner, until: Instant) {
        let mut left = None;
        for (i, item) in self.items.iter_mut().enumerate().rev().filter(|(_, item)| item.written) {
            let put = timeout_at(until, put_back(&desk.outside, &item.target, item.old.as_ref())).await;
            let put = put.unwrap_or_else(|_| Err(Fault::late()));
            let (subtree, object) = (&item.target.subtree, &item.target.name);
            match put {
                Ok(()) => {
                    item.written = false;
                    item.served.show(&item.target, item.shown_before.clone());
                    tracing::info!(%subtree, object, "an object was put back as it was before the SET");
                }
                Err(fault) => {
                    left = Some(i);
                    desk.counts.not_undone.fetch_add(1, Ordering::Relaxed);
                    tracing::error!(%subtree, object, "an object could not be put back, and may keep what the SET wrote: {fault}");
                }
            }
        }
        if left.is_none() {
            desk.counts.undone.fetch_add(1, Ordering::Relaxed);
        }
        self.phase = Phase::Undone(left);
    }
}

/// Puts back what an object had.
pub(super) async fn put_back(outside: &Outside, target: &Target, old: Option<&Text>) -> Result<(), Fault> {
    match (&target.kind, old) {
        (WriteKind::Http(http), Some(old)) => outside.send(http, old).await,
        (WriteKind::Http(_), None) => Ok(()),
        (WriteKind::ConfigMap(key), old) => {
            let data = BTreeMap::from([(key.key.clone(), old.map(|old| old.value.clone()))]);
            outside.change(&key.name, None, &data).await
        }
    }
}
