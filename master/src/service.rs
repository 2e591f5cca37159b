//! What the main thread does once everything is wired up: new documents, turns among replicas, the end.

use std::{io, sync::Arc, time::Duration};

use anyhow::Context as _;
use daemon::{drain::Trigger, signals::Signals};
use tokio::{sync::oneshot, time::timeout};

use crate::{
    agent::Command,
    authority::Grants,
    cluster::{Replica, Turn},
    config::{Configuration, Loaded},
    desk::Desk,
    listener::tls::Front,
    snmp::EngineIdentity,
};

/// How long ending may take in all.
const DRAIN: Duration = Duration::from_millis(970);
/// The longest of it that goes to giving the Lease up: the API server may be gone.
const GIVE_UP: Duration = Duration::from_millis(700);

/// The parts that go on.
pub(crate) struct Service {
    /// Where managers are answered.
    pub(crate) desk: Desk,
    /// The door of AgentX over TLS.
    pub(crate) front: Option<Front>,
    /// The document.
    pub(crate) configuration: Configuration,
    /// This one of several masters.
    pub(crate) replica: Option<Replica>,
    /// Resolves when the agent thread ends.
    pub(crate) agent_ended: oneshot::Receiver<io::Result<()>>,
    /// A boot whose keys are being derived.
    pub(crate) awaited: Option<EngineIdentity>,
}

impl Service {
    /// Goes on until a signal asks for the end.
    pub(crate) async fn serve(&mut self, signals: &mut Signals) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                signal = signals.received() => {
                    tracing::info!(signal, "ending");
                    return Ok(());
                }
                ended = &mut self.agent_ended => {
                    let ended = ended.context("the agent thread has ended by a panic, which is a defect")?;
                    ended.context("cannot serve")?;
                    anyhow::bail!("the agent thread has ended, which is a defect");
                }
                loaded = self.configuration.next() => self.load(loaded).await?,
                turn = turn(&mut self.replica) => self.take(turn).await?,
            }
        }
    }

    /// Ends: answers no more, then lets another replica take over while sessions are closed.
    pub(crate) async fn end(self, trigger: Trigger) {
        if self.replica.is_some() {
            self.desk.close().await;
        }
        let give_up = async {
            let Some(replica) = self.replica else { return };
            if timeout(GIVE_UP, replica.end()).await.is_err() {
                tracing::warn!("the Lease could not be given up: it has to run out");
            }
        };
        let (drained, ()) = tokio::join!(trigger.drain(DRAIN), give_up);
        if let Err(overdue) = drained {
            tracing::warn!("{overdue}");
        }
    }

    /// Puts a document to use.
    async fn load(&mut self, Loaded { document, access }: Loaded) -> anyhow::Result<()> {
        let Desk { commander, status, .. } = &self.desk;
        self.desk.access.store(Arc::new(access));
        // The agent thread is gone only if it has ended, which is told elsewhere.
        _ = commander.send(Command::Limit(Box::new(document.limits.clone()))).await;
        _ = commander.send(Command::Grant(Box::new(Grants::new(&document.contexts)))).await;
        if let Some(front) = &self.front {
            front.limit(&document.limits);
        }
        status.loaded(&document);
        match self.awaited.take() {
            Some(engine) => self.activate(&engine).await,
            None => Ok(()),
        }
    }

    /// Takes this replica's turn.
    async fn take(&mut self, turn: Turn) -> anyhow::Result<()> {
        match turn {
            Turn::Activate(engine) if engine.engine_id == self.configuration.engine_id() => {
                self.activate(&engine).await?;
            }
            // Keys hang on the engine's id.
            Turn::Activate(engine) => {
                self.configuration.rekey(&engine.engine_id);
                self.awaited = Some(engine);
            }
            Turn::Deactivate => {
                self.awaited = None;
                self.desk.close().await;
                self.label(false);
            }
        }
        Ok(())
    }

    /// Answers managers as this boot of the engine, and has them find this replica.
    async fn activate(&self, engine: &EngineIdentity) -> anyhow::Result<()> {
        self.desk.open(engine).await.context("cannot be an SNMP engine")?;
        self.label(true);
        Ok(())
    }

    fn label(&self, is_active: bool) {
        if let Some(replica) = &self.replica {
            replica.label(is_active);
        }
    }
}

/// This replica's next turn; there is none for a master that is alone.
async fn turn(replica: &mut Option<Replica>) -> Turn {
    match replica {
        Some(replica) => replica.next().await,
        None => std::future::pending().await,
    }
}
