//! The main loop: applies new documents, follows the election of the active replica, and shuts down.

use std::{io, sync::Arc, time::Duration};

use anyhow::Context as _;
use daemon::{drain::Trigger, signals::Signals};
use tokio::{sync::oneshot, time::timeout};

use super::engine_switch::EngineSwitch;
use crate::{
    agent::command::Command,
    config::{Configuration, Loaded},
    io::tls::TlsListener,
    replication::{Replica, RoleChange},
    snmp::EngineIdentity,
    subagents::authority::Grants,
};

/// Longest duration of the whole shutdown.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(970);
/// Longest time to release the Lease at shutdown: the API server may be unavailable.
const RELEASE_TIMEOUT: Duration = Duration::from_millis(700);

/// Everything that the main thread owns after startup.
pub(crate) struct MainLoop {
    /// Switches the SNMP engine on and off.
    pub(crate) engine: EngineSwitch,
    /// The listener of AgentX over TLS, if configured.
    pub(crate) tls_listener: Option<TlsListener>,
    /// Loads the document and its changes.
    pub(crate) configuration: Configuration,
    /// Takes part in the election. `None` for a standalone master.
    pub(crate) replica: Option<Replica>,
    /// Resolves when the agent thread ends.
    pub(crate) agent_ended: oneshot::Receiver<io::Result<()>>,
    /// A boot of the engine that becomes active when its keys are derived.
    pub(crate) pending: Option<EngineIdentity>,
}

impl MainLoop {
    /// Runs until a signal arrives.
    ///
    /// # Errors
    /// Returns an error if the agent thread ends.
    pub(crate) async fn run(&mut self, signals: &mut Signals) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                signal = signals.received() => {
                    tracing::info!(signal, "shutting down");
                    return Ok(());
                }
                ended = &mut self.agent_ended => {
                    let ended = ended.context("the agent thread panicked; this is a defect of the program")?;
                    ended.context("the agent thread failed")?;
                    anyhow::bail!("the agent thread ended unexpectedly; this is a defect of the program");
                }
                loaded = self.configuration.next() => self.apply(loaded).await?,
                change = next_change(&mut self.replica) => self.change_role(change).await?,
            }
        }
    }

    /// Shuts down: stops answering managers, then releases the Lease while sessions are closed.
    pub(crate) async fn shut_down(self, trigger: Trigger) {
        if self.replica.is_some() {
            self.engine.off().await;
        }
        let release = async {
            let Some(replica) = self.replica else { return };
            if timeout(RELEASE_TIMEOUT, replica.shut_down()).await.is_err() {
                tracing::warn!("failed to release the Lease in time; another replica takes over when it expires");
            }
        };
        let (drained, ()) = tokio::join!(trigger.drain(SHUTDOWN_TIMEOUT), release);
        if let Err(overdue) = drained {
            tracing::warn!("{overdue}");
        }
    }

    /// Applies a document.
    async fn apply(&mut self, Loaded { document, access }: Loaded) -> anyhow::Result<()> {
        let EngineSwitch { commander, status, .. } = &self.engine;
        self.engine.access.store(Arc::new(access));
        // These fail only if the agent thread has ended. `run` notices that.
        _ = commander.send(Command::SetLimits(Box::new(document.limits.clone()))).await;
        _ = commander.send(Command::SetGrants(Box::new(Grants::new(&document.contexts)))).await;
        if let Some(listener) = &self.tls_listener {
            listener.limit(&document.limits);
        }
        status.loaded(&document);
        match self.pending.take() {
            Some(engine) => self.activate(&engine).await,
            None => Ok(()),
        }
    }

    /// Makes this replica active or standby.
    async fn change_role(&mut self, change: RoleChange) -> anyhow::Result<()> {
        match change {
            RoleChange::Activate(engine) if engine.engine_id == self.configuration.engine_id() => {
                self.activate(&engine).await?;
            }
            // Keys are localized to the engine id (RFC 3414 section 2.6), so they are derived anew first.
            RoleChange::Activate(engine) => {
                self.configuration.rekey(&engine.engine_id);
                self.pending = Some(engine);
            }
            RoleChange::Deactivate => {
                self.pending = None;
                self.engine.off().await;
                self.label(false);
            }
        }
        Ok(())
    }

    /// Starts to answer managers as this boot of the engine, and labels the pod for the Service.
    async fn activate(&self, engine: &EngineIdentity) -> anyhow::Result<()> {
        self.engine.on(engine).await.context("cannot start the SNMP engine")?;
        self.label(true);
        Ok(())
    }

    fn label(&self, is_active: bool) {
        if let Some(replica) = &self.replica {
            replica.label(is_active);
        }
    }
}

/// Returns the next change of this replica's role. Waits forever for a standalone master.
async fn next_change(replica: &mut Option<Replica>) -> RoleChange {
    match replica {
        Some(replica) => replica.next().await,
        None => std::future::pending().await,
    }
}
