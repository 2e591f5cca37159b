//! The coordinator of SETs, which routes the steps from sessions to one task per connection.

use std::sync::Arc;

use agentx::Header;
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    backend::Backends,
    counts::SetCounts,
    recovery,
    shared::{Shared, WritableSubtree},
    step::{StepRequest, StepResult},
    transaction,
};
use crate::{config::SubtreeName, state::StateDirectory, task::resume_panic};

/// The longest queue of a connection's steps. A master waits for each response, so the queue is short in practice.
const STEPS: usize = 64;
/// The most connections that wait for their task to start.
const CONNECTIONS: usize = 64;

/// The coordinator of all SETs. Clones share it.
#[derive(Clone)]
pub(crate) struct SetCoordinator {
    shared: Arc<Shared>,
    begin: mpsc::Sender<TaskEnds>,
}

/// The ends of a connection's two channels that the task uses.
type TaskEnds = (mpsc::Receiver<StepRequest>, mpsc::Sender<(Header, StepResult)>);

/// A session's handle of the task that carries out its steps. When it is dropped, a SET in progress is undone.
pub(crate) struct SetConnection {
    requests: mpsc::Sender<StepRequest>,
    results: mpsc::Receiver<(Header, StepResult)>,
}

impl std::fmt::Debug for SetCoordinator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SetCoordinator").field("counts", &self.shared.counts).finish_non_exhaustive()
    }
}

impl SetCoordinator {
    /// Creates a coordinator and the future that does its work, which never completes.
    pub(crate) fn new(backends: Backends, state: StateDirectory) -> (Self, impl Future<Output = ()>) {
        let (begin, connections) = mpsc::channel(CONNECTIONS);
        let shared = Arc::new(Shared::new(backends, state));
        (Self { shared: Arc::clone(&shared), begin }, run(shared, connections))
    }

    /// Creates a coordinator that does no work.
    #[cfg(test)]
    pub(crate) fn inactive() -> Self {
        Self::new(Backends::new(&crate::source::SourceSettings::default(), None), StateDirectory::new(None)).0
    }

    /// Makes these objects of a subtree writable. They replace its previous writable objects.
    pub(crate) fn publish(&self, name: SubtreeName, subtree: WritableSubtree) {
        if subtree.targets.is_empty() {
            return self.withdraw(&name);
        }
        self.shared.publish(name, subtree);
    }

    /// Makes a subtree read-only.
    pub(crate) fn withdraw(&self, name: &SubtreeName) {
        self.shared.withdraw(name);
    }

    /// Returns the counters.
    pub(crate) fn counts(&self) -> Arc<SetCounts> {
        Arc::clone(&self.shared.counts)
    }

    /// Starts a task for a new connection to a master.
    pub(crate) fn connect(&self) -> SetConnection {
        let ((requests, steps), (decided, results)) = (mpsc::channel(STEPS), mpsc::channel(STEPS));
        if self.begin.try_send((steps, decided)).is_err() {
            tracing::warn!("too many connections start at once; SETs over one of them will be refused");
        }
        SetConnection { requests, results }
    }
}

impl SetConnection {
    /// Queues a step. Returns `false` if the queue is full or closed; the step then has no result.
    pub(crate) fn request(&self, request: StepRequest) -> bool {
        self.requests.try_send(request).is_ok()
    }

    /// Waits for the next result. Never returns if there are no more results.
    pub(crate) async fn result(&mut self) -> (Header, StepResult) {
        match self.results.recv().await {
            Some(result) => result,
            None => std::future::pending().await,
        }
    }
}

async fn run(shared: Arc<Shared>, mut connections: mpsc::Receiver<TaskEnds>) {
    let mut tasks = JoinSet::new();
    tasks.spawn(recovery::run(Arc::clone(&shared)));
    loop {
        tokio::select! {
            ends = connections.recv() => match ends {
                Some((requests, results)) => {
                    tasks.spawn(transaction::serve_connection(Arc::clone(&shared), requests, results));
                }
                None => return std::future::pending().await,
            },
            Some(ended) = tasks.join_next() => resume_panic(ended),
        }
    }
}
