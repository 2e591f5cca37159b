//! Switches the SNMP engine of the agent thread on and off, from the main thread.

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
    agent::command::{ActiveEngine, Command},
    observability::status::Status,
    snmp::{Access, Engine, EngineError, EngineIdentity, SystemObjects, statistics::Statistics},
};

/// Longest wait until the agent thread has switched the engine off.
const OFF_TIMEOUT: Duration = Duration::from_millis(200);

/// Switches the SNMP engine on and off.
#[derive(Debug)]
pub(crate) struct EngineSwitch {
    /// Communities, users and their views, shared with the engine.
    pub(crate) access: Arc<ArcSwap<Access>>,
    /// The engine's counters, which outlive an engine.
    pub(crate) statistics: Arc<Statistics>,
    /// Commands to the agent thread.
    pub(crate) commander: mpsc::Sender<Command>,
    /// Whether the engine is on, shared with other threads.
    pub(crate) active: Arc<AtomicBool>,
    /// Records each switch.
    pub(crate) status: Status,
}

impl EngineSwitch {
    /// Creates the engine of this boot, which starts now.
    ///
    /// # Errors
    /// Returns an error if the engine id is invalid.
    pub(crate) fn create(&self, identity: &EngineIdentity) -> Result<ActiveEngine, EngineError> {
        let Self { access, statistics, .. } = self;
        let started = Instant::now();
        let engine = Engine::new(identity.clone(), Arc::clone(access), Arc::clone(statistics), started)?;
        let objects = SystemObjects::new(identity.clone(), started, Arc::clone(access), Arc::clone(statistics));
        Ok(ActiveEngine { engine, objects, started })
    }

    /// Switches the engine on, in this boot. The boot must be stored already (RFC 3414 section 2.2.2).
    ///
    /// # Errors
    /// Returns an error if the engine id is invalid.
    pub(crate) async fn on(&self, identity: &EngineIdentity) -> Result<(), EngineError> {
        let active = self.create(identity)?;
        // This fails only if the agent thread has ended. The main loop notices that.
        _ = self.commander.send(Command::Activate(Box::new(active))).await;
        self.active.store(true, Ordering::Relaxed);
        self.status.activated(identity);
        Ok(())
    }

    /// Switches the engine off, and waits until managers get no more responses.
    pub(crate) async fn off(&self) {
        let (done, is_off) = oneshot::channel();
        let off = async {
            if self.commander.send(Command::Deactivate(done)).await.is_ok() {
                _ = is_off.await;
            }
        };
        if timeout(OFF_TIMEOUT, off).await.is_err() {
            tracing::warn!("the agent thread did not confirm that it stopped answering managers");
        }
        self.active.store(false, Ordering::Relaxed);
        self.status.deactivated();
    }
}
