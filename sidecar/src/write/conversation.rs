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
        let verdict = match doing {
            Doing::Test { context, varbinds } => {
                if current.as_ref().is_none_or(|transaction| transaction.id != header.transaction_id) {
                    // A master has one at a time: the last one is over.
                    settle(&desk, current.take()).await;
                }
                let transaction = current.get_or_insert_with(|| Transaction::new(header.transaction_id));
                transaction.test(&desk, &context, &varbinds, until).await
            }
            Doing::Cleanup => {
                if current.as_ref().is_some_and(|transaction| transaction.id == header.transaction_id) {
                    settle(&desk, current.take()).await;
                }
                continue;
            }
            Doing::Commit => match current.as_mut().filter(|transaction| transaction.id == header.transaction_id) {
                Some(transaction) => transaction.commit(&desk, until).await,
                None => Verdict { error: ResponseError::CommitFailed, index: 0 },
            },
            Doing::Undo => match current.as_mut().filter(|transaction| transaction.id == header.transaction_id) {
                Some(transaction) => transaction.undo(&desk, until.min(Instant::now() + ROLL_BACK)).await,
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
    for item in &transaction.items {
        desk.release(&item.target);
    }
}

impl Transaction {
    fn new(id: u32) -> Self {
        Self { id, phase: Phase::Tested { passed: true }, items: Vec::new(), maps: BTreeMap::new(), journalled: None }
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
            let ours = self.items.iter().any(|item| Arc::ptr_eq(&item.target, &target));
            if !ours && !desk.hold(&target) {
                tracing::info!(subtree = %target.subtree, object = target.name, "another SET has the object");
                return Err(refused(ResponseError::ResourceUnavailable));
            }
            let shown_before = served.value(&target);
            // Reserved from here on, whatever comes.
            let item = Item { served, target, new, shown: value.clone(), shown_before, old: None, written: false };
            self.items.push(item);
            let old = self.old(desk).await;
            let Some(item) = self.items.last_mut() else { return Err(refused(ResponseError::GenErr)) };
            match old {
                Ok(old) => item.old = old,
                Err(fault) => {
                    tracing::warn!(subtree = %item.target.subtree, object = item.target.name, "a SET is refused: {fault}");
                    return Err(refused(ResponseError::ResourceUnavailable));
                }
            }
        }
        Ok(())
    }

    /// What the last item's object has now; and that it can be reached.
    async fn old(&mut self, desk: &Inner) -> Result<Option<Text>, Fault> {
        let Some(item) = self.items.last() else { return Ok(None) };
        match &item.target.kind {
            WriteKind::Http(http) => {
                let unknown = "its present value is not known, and so could not be put back";
                let old = item.shown_before.as_ref().and_then(|value| item.target.text(value).ok());
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
        let written = match timeout_at(write_until, self.write(desk)).await {
            Ok(written) => written,
            Err(_) => Err((0, Fault::before("the time for it is over"))),
        };
        let Err((item, fault)) = written else {
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
            namespace: item.target.subtree.namespace.clone(),
            subtree: item.target.subtree.name.clone(),
            object: item.target.object.clone(),
            old: item.old.clone(),
        };
        self.journalled = Some(transaction);
        if !desk.journal.begin(self.items.iter().map(entry).collect()).await {
            return Err((0, Fault::before("the journal cannot be saved")));
        }
        for request in self.requests() {
            let first = match &request {
                Request::Http(item) => *item,
                Request::ConfigMap(_, items) => items.first().copied().unwrap_or_default(),
            };
            self.mark(&request, true);
            let sent = match &request {
                Request::Http(item) => match self.items.get(*item).map(|item| (&item.target.kind, &item.new)) {
                    Some((WriteKind::Http(http), new)) => desk.outside.send(http, new).await,
                    _ => Ok(()),
                },
                Request::ConfigMap(name, items) => {
                    let data = self.keys(items, |item| Some(item.new.plain().to_owned()));
                    let version = self.maps.get(name).map(|map| map.resource_version.clone());
                    desk.outside.change(name, version.as_deref(), &data).await
                }
            };
            if let Err(fault) = sent {
                if fault.nothing_written() {
                    self.mark(&request, false);
                }
                return Err((first, fault));
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

    fn mark(&mut self, request: &Request, written: bool) {
        let of = match request {
            Request::Http(item) => std::slice::from_ref(item),
            Request::ConfigMap(_, items) => items,
        };
        for item in of {
            if let Some(item) = self.items.get_mut(*item) {
                item.written = written;
            }
        }
    }

    fn keys(&self, items: &[usize], text: impl Fn(&Item) -> Option<String>) -> BTreeMap<String, Option<String>> {
        let items = items.iter().filter_map(|item| self.items.get(*item));
        let keys = items.filter_map(|item| match &item.target.kind {
            WriteKind::ConfigMap(key) => Some((key.key.clone(), text(item))),
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
            let put = put.unwrap_or_else(|_| Err(Fault::before("the time for it is over")));
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
