//! This replica's turns: when it is to answer managers, as which boot of the engine, and when it is to leave that to
//! another one.

use std::time::Duration;

use kube::Client;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::sleep,
};

use super::{
    engine_secret::{EngineFault, EngineSecret},
    leader::Leader,
    names::Names,
    pod_label,
};
use crate::{role::Trouble, snmp::EngineIdentity, status::Status};

/// The first pause after the engine could not be read or stored; each is twice as long as the one before.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest of them.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What this replica is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    /// Answer, as this boot of the engine, which is stored.
    Activate(EngineIdentity),
    /// Answer no more: another one does.
    Deactivate,
}

/// This replica among the others.
#[derive(Debug)]
pub struct Replica {
    leader: Leader,
    turns: mpsc::Receiver<Turn>,
    active: watch::Sender<bool>,
    /// End with this.
    _tasks: JoinSet<()>,
}

impl Replica {
    /// Takes part as `me`, with the engine of that Secret. Runs inside a runtime.
    #[must_use]
    pub fn start(client: &Client, names: &Names, me: &str, engine: EngineSecret, status: &Status) -> Self {
        let leader = Leader::start(client, names, me.to_owned(), status.clone());
        let (sender, turns) = mpsc::channel(1);
        let (active, is_active) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(follow(leader.term(), engine, sender, status.clone()));
        tasks.spawn(pod_label::keep(client.clone(), names.clone(), me.to_owned(), is_active, status.clone()));
        Self { leader, turns, active, _tasks: tasks }
    }

    /// Waits for the next turn. Cancel safe.
    pub async fn next(&mut self) -> Turn {
        match self.turns.recv().await {
            Some(turn) => turn,
            // It ends with this.
            None => std::future::pending().await,
        }
    }

    /// Has managers find this replica, or not.
    pub fn label(&self, is_active: bool) {
        self.active.send_replace(is_active);
    }

    /// Gives the Lease up, and waits until that is done: nothing may be answered any more.
    pub async fn end(mut self) {
        self.leader.end().await;
    }
}

/// The engine, as soon as it can be had: in its next boot, or as it is.
pub(crate) async fn engine(secret: &mut EngineSecret, is_boot: bool, status: &Status) -> EngineIdentity {
    let mut pause = PAUSE;
    loop {
        match if is_boot { secret.boot().await } else { secret.find().await } {
            Ok(engine) => {
                status.trouble(Trouble::Engine, None);
                return engine;
            }
            // Another replica looked at the same time.
            Err(EngineFault::Call { error, .. }) if error.is_conflict() => {}
            Err(fault) => status.trouble(Trouble::Engine, Some(fault.to_string())),
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Turns the terms in office into turns, for as long as there are terms.
async fn follow(
    mut term: watch::Receiver<Option<u64>>,
    mut secret: EngineSecret,
    turns: mpsc::Sender<Turn>,
    status: Status,
) {
    loop {
        let Ok(this) = term.wait_for(Option::is_some).await.map(|term| *term) else { return };
        let booted = tokio::select! {
            biased;
            over = term.wait_for(|now| *now != this) => match over {
                Ok(_) => continue,
                Err(_) => return,
            },
            engine = engine(&mut secret, true, &status) => engine,
        };
        let over = async {
            turns.send(Turn::Activate(booted)).await.ok()?;
            term.wait_for(|now| *now != this).await.ok().map(drop)?;
            turns.send(Turn::Deactivate).await.ok()
        };
        if over.await.is_none() {
            return;
        }
    }
}
