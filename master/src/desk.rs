//! Where managers are answered, opened and closed from the main thread.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::{
    agent::{Active, Command},
    snmp::{Access, Engine, EngineError, EngineIdentity, SystemObjects},
    statistics::Statistics,
    status::Status,
};

/// The longest that is waited for the agent thread to answer no more.
const CLOSING: Duration = Duration::from_millis(200);

/// What it takes to open and close it.
#[derive(Debug)]
pub struct Desk {
    /// Who may ask for what.
    pub access: Arc<ArcSwap<Access>>,
    /// What is counted.
    pub statistics: Arc<Statistics>,
    /// The agent thread.
    pub commander: mpsc::Sender<Command>,
    /// Whether it is open, for others to see.
    pub active: Arc<AtomicBool>,
    /// What can be seen of it.
    pub status: Status,
}

impl Desk {
    /// This boot of the engine, which starts now.
    ///
    /// # Errors
    /// An identity that no engine can have.
    pub fn engine(&self, identity: &EngineIdentity) -> Result<Active, EngineError> {
        let Self { access, statistics, .. } = self;
        let started = Instant::now();
        let engine = Engine::new(identity.clone(), Arc::clone(access), Arc::clone(statistics), started)?;
        let objects = SystemObjects::new(identity.clone(), started, Arc::clone(access), Arc::clone(statistics));
        Ok(Active { engine, objects, started })
    }

    /// Has managers answered from now on, as this boot of the engine, which is stored.
    ///
    /// # Errors
    /// An identity that no engine can have.
    pub async fn open(&self, identity: &EngineIdentity) -> Result<(), EngineError> {
        let active = self.engine(identity)?;
        // The agent thread is gone only if it has ended, and then so does the program.
        _ = self.commander.send(Command::Activate(Box::new(active))).await;
        self.active.store(true, Ordering::Relaxed);
        self.status.activated(identity);
        Ok(())
    }

    /// Has managers answered no more, and waits until that is so.
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        let close = async {
            if self.commander.send(Command::Deactivate(done)).await.is_ok() {
                _ = closed.await;
            }
        };
        if timeout(CLOSING, close).await.is_err() {
            tracing::warn!("the agent thread does not say that it answers no more");
        }
        self.active.store(false, Ordering::Relaxed);
        self.status.deactivated();
    }
}
