//! What the master is doing, for `/status` and `/metrics`. Holds no secrets: neither communities nor passphrases.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Instant, SystemTime},
};

use data_encoding::HEXLOWER;
use master_config::{Listeners, Valid};
use serde::{Serialize, Serializer};

use crate::{engine_store::EngineStore, standing::Sessions, statistics::Counter};

/// What can be seen of the main thread's work. Clones share it.
#[derive(Debug, Clone)]
pub struct Status(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    engine_id: String,
    engine_boots: u32,
    configuration: Mutex<ConfigurationStatus>,
    errors: Counter,
    reloads: Counter,
}

/// The configuration.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigurationStatus {
    /// Whether there was one that could be used.
    pub loaded: bool,
    /// Time since the one in force was put to use.
    #[serde(rename = "ageSeconds", serialize_with = "age")]
    pub loaded_at: Option<(Instant, SystemTime)>,
    /// Why the file as it is now is not in force, if it is not.
    pub error: Option<String>,
    /// Whether it names other listeners than those in use: they change with a restart.
    pub restart_needed: bool,
    /// Where the master listens.
    pub listeners: Option<Listeners>,
    /// Contexts that the document names.
    pub contexts: BTreeSet<String>,
    /// How many users of SNMPv3 it has.
    pub users: usize,
}

// serde hands fields over by reference.
#[allow(clippy::ref_option)]
fn age<S: Serializer>(at: &Option<(Instant, SystemTime)>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(|(at, _)| at.elapsed().as_secs_f64()).serialize(serializer)
}

impl Status {
    /// Of the master that is this engine.
    #[must_use]
    pub fn new(engine: &EngineStore) -> Self {
        Self(Arc::new(Inner {
            engine_id: HEXLOWER.encode(engine.engine_id()),
            engine_boots: engine.boots(),
            configuration: Mutex::default(),
            errors: Counter::default(),
            reloads: Counter::default(),
        }))
    }

    /// Notes that `document` is in force.
    pub fn loaded(&self, document: &Valid) {
        self.0.reloads.increment();
        let mut now = self.lock();
        let listeners = now.listeners.get_or_insert_with(|| document.listeners.clone());
        let restart_needed = *listeners != document.listeners;
        if restart_needed && !now.restart_needed {
            tracing::warn!("the document names other listeners: they are opened at the next start");
        }
        now.restart_needed = restart_needed;
        now.contexts = document.contexts.iter().map(|context| context.name.clone()).collect();
        now.users = document.users.len();
        now.error = None;
        now.loaded = true;
        now.loaded_at = Some((Instant::now(), SystemTime::now()));
        tracing::info!(contexts = now.contexts.len(), users = now.users, "the document is in force");
    }

    /// Notes that the document cannot be used, and why.
    pub fn refused(&self, error: String) {
        self.0.errors.increment();
        let mut now = self.lock();
        let stays = if now.loaded { "the last good one stays in force" } else { "there is none in force" };
        tracing::error!("the document cannot be used, {stays}: {error}");
        now.error = Some(error);
    }

    /// What the configuration says.
    #[must_use]
    pub fn configuration(&self) -> ConfigurationStatus {
        self.lock().clone()
    }

    /// How many documents could not be used so far.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.0.errors.get()
    }

    /// How many documents were put to use so far.
    #[must_use]
    pub fn reloads(&self) -> u64 {
        self.0.reloads.get()
    }

    /// snmpEngineBoots.
    #[must_use]
    pub fn engine_boots(&self) -> u32 {
        self.0.engine_boots
    }

    /// All of it as JSON, with the sessions, if the agent thread could be asked.
    #[must_use]
    pub fn to_json(&self, sessions: Option<&Sessions>) -> String {
        let json = serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "engine": {"id": self.0.engine_id, "boots": self.0.engine_boots},
            "configuration": self.configuration(),
            "sessions": sessions.map(Sessions::to_json),
        });
        format!("{json:#}\n")
    }

    fn lock(&self) -> MutexGuard<'_, ConfigurationStatus> {
        self.0.configuration.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
