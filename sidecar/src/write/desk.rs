//! What can be written, who writes it now, and the way there from the sessions.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use agentx::{Header, Oid, SubId, Value, ValueRef, VarBind};
use arc_swap::ArcSwap;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    Outside, Overlay, Target, conversation,
    journal::{Entry, Journal},
    outside::Fault,
};
use crate::{config::SubtreeName, defect::resume_panic, mib_view::MibView, session::Verdict, state::StateFolder};

/// How many steps of a connection may wait: a master waits for each answer.
const STEPS: usize = 64;
/// How many connections may begin at a time.
const CONNECTIONS: usize = 64;
/// The first wait of what is to be put back after a crash, and the longest.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// How long one try of it may take.
const PUT_BACK: Duration = Duration::from_secs(4);

/// A step of a SET.
#[derive(Debug, Clone)]
pub enum Doing {
    /// Look at these, in this context, and reserve them.
    Test {
        /// The context's name.
        context: Vec<u8>,
        /// What is to be written.
        varbinds: Vec<VarBind>,
    },
    /// Write.
    Commit,
    /// Put back.
    Undo,
    /// Settle; no one waits for an answer.
    Cleanup,
}

/// A step that a master asks for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The PDU's header, which the answer is for.
    pub header: Header,
    /// The step.
    pub doing: Doing,
    /// When it is too late.
    pub until: Instant,
}

/// What can be written of a subtree.
pub struct Served {
    /// The contexts it is in.
    pub contexts: Vec<String>,
    /// Its base OID.
    pub base: Oid,
    /// Its objects that can be written.
    pub targets: Vec<Arc<Target>>,
    /// What it shows,
    pub view: Arc<ArcSwap<MibView>>,
    /// and what is laid over that.
    pub overlay: Arc<Overlay>,
    /// How long a written value is shown that its source does not have.
    pub patience: Duration,
}

/// How often what happened.
#[derive(Debug, Default)]
pub struct Counts {
    /// SETs that were written.
    pub committed: AtomicU64,
    /// Tests that were refused.
    pub refused: AtomicU64,
    /// Commits that failed.
    pub failed: AtomicU64,
    /// SETs that were put back, by a master or because it went away.
    pub undone: AtomicU64,
    /// Objects that could not be put back.
    pub not_undone: AtomicU64,
    /// Objects that were put back after a crash.
    pub recovered: AtomicU64,
}

impl Counts {
    /// Each with its name.
    #[must_use]
    pub fn results(&self) -> [(&'static str, u64); 6] {
        let named = [
            ("committed", &self.committed),
            ("refused", &self.refused),
            ("failed", &self.failed),
            ("undone", &self.undone),
            ("not_undone", &self.not_undone),
            ("recovered", &self.recovered),
        ];
        named.map(|(name, count)| (name, count.load(Ordering::Relaxed)))
    }
}

/// The desk of all SETs. Clones share it.
#[derive(Clone)]
pub struct Desk {
    pub(super) inner: Arc<Inner>,
    begin: mpsc::Sender<Ends>,
}

pub(super) struct Inner {
    served: Mutex<BTreeMap<SubtreeName, Arc<Served>>>,
    held: Mutex<BTreeSet<(SubtreeName, Oid)>>,
    pub(super) journal: Journal,
    pub(super) outside: Outside,
    pub(super) counts: Arc<Counts>,
}

/// The desk's ends of a connection's two ways.
pub(super) type Ends = (mpsc::Receiver<Asked>, mpsc::Sender<(Header, Verdict)>);

/// A connection's ends.
pub struct Connection {
    steps: mpsc::Sender<Asked>,
    verdicts: mpsc::Receiver<(Header, Verdict)>,
}

/// A place that is to be written.
pub(super) struct Found {
    pub(super) served: Arc<Served>,
    pub(super) target: Arc<Target>,
    /// Whether it is the object's instance, or only lies below the object.
    pub(super) is_instance: bool,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("counts", &self.inner.counts).finish_non_exhaustive()
    }
}

impl Desk {
    /// A desk, and what runs it on the main thread for ever.
    pub fn new(outside: Outside, state: StateFolder) -> (Self, impl Future<Output = ()>) {
        let (begin, connections) = mpsc::channel(CONNECTIONS);
        let inner = Arc::new(Inner {
            served: Mutex::default(),
            held: Mutex::default(),
            journal: Journal::open(state),
            outside,
            counts: Arc::default(),
        });
        (Self { inner: Arc::clone(&inner), begin }, run(inner, connections))
    }

    /// A desk that nobody is at.
    #[cfg(test)]
    pub(crate) fn closed() -> Self {
        Self::new(Outside::new(&crate::source::Place::default(), None), StateFolder::new(None)).0
    }

    /// What can be written of a subtree from now on.
    pub fn serve(&self, subtree: SubtreeName, served: Served) {
        if served.targets.is_empty() {
            return self.withdraw(&subtree);
        }
        self.inner.served().insert(subtree, Arc::new(served));
    }

    /// Nothing of a subtree can be written any more.
    pub fn withdraw(&self, subtree: &SubtreeName) {
        self.inner.served().remove(subtree);
    }

    /// How often what happened.
    #[must_use]
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.inner.counts)
    }

    /// For a new connection of a master. What is under way when it is dropped is put back.
    #[must_use]
    pub fn connect(&self) -> Connection {
        let ((steps, taken), (decided, verdicts)) = (mpsc::channel(STEPS), mpsc::channel(STEPS));
        if self.begin.try_send((taken, decided)).is_err() {
            tracing::warn!("too many connections begin at a time: SETs of one will be refused");
        }
        Connection { steps, verdicts }
    }
}

impl Connection {
    /// Hands over a step. Whether it will be answered.
    pub fn ask(&self, asked: Asked) -> bool {
        self.steps.try_send(asked).is_ok()
    }

    /// The next answer; for ever none where none will come.
    pub async fn verdict(&mut self) -> (Header, Verdict) {
        match self.verdicts.recv().await {
            Some(verdict) => verdict,
            None => std::future::pending().await,
        }
    }
}

async fn run(inner: Arc<Inner>, mut connections: mpsc::Receiver<Ends>) {
    let mut conversations = JoinSet::new();
    conversations.spawn(recover(Arc::clone(&inner)));
    loop {
        tokio::select! {
            ends = connections.recv() => match ends {
                Some((steps, verdicts)) => {
                    conversations.spawn(conversation::run(Arc::clone(&inner), steps, verdicts));
                }
                None => return std::future::pending().await,
            },
            Some(ended) = conversations.join_next() => resume_panic(ended),
        }
    }
}

/// Puts back what the journal has from before the start. Until that is done no one else writes these objects.
async fn recover(inner: Arc<Inner>) {
    let mut left = inner.journal.entries();
    inner.held().extend(left.iter().map(|entry| (entry.subtree.clone(), entry.object.clone())));
    if !left.is_empty() {
        tracing::warn!(objects = left.len(), "SETs were under way when the sidecar ended: they are put back");
    }
    let (mut wait, mut told) = (RETRY.0, false);
    while !left.is_empty() {
        sleep(wait).await;
        wait = (wait * 2).min(RETRY.1);
        let mut again = Vec::new();
        // The last that was written first.
        for entry in left.into_iter().rev() {
            if inner.recover_one(&entry).await {
                inner.journal.settle(|other| *other == entry).await;
                inner.held().remove(&(entry.subtree, entry.object));
            } else {
                again.insert(0, entry);
            }
        }
        left = again;
        // The configuration has long been read by then.
        if wait == RETRY.1 && !std::mem::replace(&mut told, true) {
            for Entry { subtree, object, .. } in left.iter().filter(|entry| inner.target(entry).is_none()) {
                tracing::error!(%subtree, %object, "what a SET wrote is not put back: the object is configured no more");
            }
        }
    }
}

impl Inner {
    fn served(&self) -> MutexGuard<'_, BTreeMap<SubtreeName, Arc<Served>>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> MutexGuard<'_, BTreeSet<(SubtreeName, Oid)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The object that `name` is of or lies below, in the subtree whose base is the longest.
    pub(super) fn find(&self, context: &[u8], name: &[SubId]) -> Option<Found> {
        let served = self.served();
        let within = served.values().filter(|served| {
            name.starts_with(&served.base) && served.contexts.iter().any(|known| known.as_bytes() == context)
        });
        let served = within.max_by_key(|served| served.base.len())?;
        let below = name.strip_prefix(served.base.as_slice())?;
        let target = served.targets.iter().find(|target| below.starts_with(&target.object))?;
        let is_instance = below == target.instance();
        Some(Found { served: Arc::clone(served), target: Arc::clone(target), is_instance })
    }

    /// Reserves an object. Whether nobody had it.
    pub(super) fn hold(&self, target: &Target) -> bool {
        self.held().insert((target.subtree.clone(), target.object.clone()))
    }

    pub(super) fn release(&self, target: &Target) {
        self.held().remove(&(target.subtree.clone(), target.object.clone()));
    }

    /// The object of an entry, if it can still be written.
    fn target(&self, entry: &Entry) -> Option<Arc<Target>> {
        let served = self.served();
        served.get(&entry.subtree)?.targets.iter().find(|target| target.object == entry.object).cloned()
    }

    /// Puts an object back as it was before a crash. Whether that is settled: done, or refused for good.
    async fn recover_one(&self, entry: &Entry) -> bool {
        let subtree = &entry.subtree;
        // The configuration may not be read yet; and what it no longer has may come back.
        let Some(target) = self.target(entry) else { return false };
        let put = conversation::put_back(&self.outside, &target, entry.old.as_ref());
        let put = timeout(PUT_BACK, put).await;
        match put.unwrap_or_else(|_| Err(Fault::late())) {
            Ok(()) => {
                self.counts.recovered.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%subtree, object = target.name, "an object is put back as it was before the SET");
                true
            }
            Err(fault) if fault.is_final() => {
                self.counts.not_undone.fetch_add(1, Ordering::Relaxed);
                tracing::error!(%subtree, object = target.name, "an object could not be put back after a crash, and keeps what the SET wrote: {fault}");
                true
            }
            Err(fault) => {
                tracing::warn!(%subtree, object = target.name, "an object cannot be put back yet: {fault}");
                false
            }
        }
    }
}

impl Served {
    /// What an object shows.
    pub(super) fn value(&self, target: &Target) -> Option<Value> {
        let at = [self.base.as_slice(), &target.instance()].concat();
        let view = self.view.load();
        match view.get(&at) {
            ValueRef::NoSuchObject | ValueRef::NoSuchInstance => None,
            value => value.to_value().ok(),
        }
    }

    /// Shows an object's value from now on; none: what its source says, from its next reading on.
    pub(super) fn show(&self, target: &Target, value: Option<Value>) {
        let instance = target.instance();
        let Some(value) = value else { return self.overlay.remove(&instance) };
        let until = tokio::time::Instant::now().into_std() + self.patience;
        self.view.store(Arc::new(self.overlay.put(&self.view.load(), instance, value, until)));
    }
}
