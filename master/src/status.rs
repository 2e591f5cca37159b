//! What the master is doing, for `/status` and `/metrics`. Holds no secrets: neither communities nor passphrases.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Instant, SystemTime},
};

use data_encoding::HEXLOWER;
use master_config::{Listeners, Valid};
use serde::{Serialize, Serializer};

use crate::{
    role::{LeaseStatus, Role, Trouble},
    snmp::EngineIdentity,
    standing::Sessions,
    statistics::Counter,
};

/// What can be seen of the main thread's work. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Status(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    engine: Mutex<Option<EngineIdentity>>,
    role: Mutex<Role>,
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
    /// Notes which engine it is, in which boot.
    pub fn engine(&self, engine: &EngineIdentity) {
        *lock(&self.0.engine) = Some(engine.clone());
    }

    /// Notes that managers are answered from now on, as this boot of the engine.
    pub fn activated(&self, engine: &EngineIdentity) {
        self.engine(engine);
        let mut role = lock(&self.0.role);
        role.active = true;
        role.activations += 1;
        tracing::info!(boots = engine.boots, "active: managers are answered");
    }

    /// Notes that managers are not answered any more.
    pub fn deactivated(&self) {
        if std::mem::take(&mut lock(&self.0.role).active) {
            tracing::info!("standing by: managers are not answered any more");
        }
    }

    /// Notes what the Lease says.
    pub fn lease(&self, lease: LeaseStatus) {
        let mut role = lock(&self.0.role);
        if role.lease.as_ref().is_none_or(|before| before.holder != lease.holder) {
            tracing::info!(holder = lease.holder.as_deref().unwrap_or("nobody"), "the holder of the Lease");
        }
        role.lease = Some(lease);
    }

    /// Notes that something does not work, and why; or that it does.
    pub fn trouble(&self, trouble: Trouble, reason: Option<String>) {
        lock(&self.0.role).trouble(trouble, reason);
    }

    /// Which part this replica has.
    #[must_use]
    pub fn role(&self) -> Role {
        lock(&self.0.role).clone()
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

    /// snmpEngineBoots; 0 while it is not known.
    #[must_use]
    pub fn engine_boots(&self) -> u32 {
        lock(&self.0.engine).as_ref().map_or(0, |engine| engine.boots)
    }

    /// All of it as JSON, with the sessions, if the agent thread could be asked.
    #[must_use]
    pub fn to_json(&self, sessions: Option<&Sessions>) -> String {
        let engine = lock(&self.0.engine).clone();
        let engine = engine.map(|engine| {
            let EngineIdentity { engine_id, boots } = engine;
            serde_json::json!({"id": HEXLOWER.encode(&engine_id), "boots": boots})
        });
        let json = serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "engine": engine,
            "role": self.role(),
            "configuration": self.configuration(),
            "sessions": sessions.map(Sessions::to_json),
        });
        format!("{json:#}\n")
    }

    fn lock(&self) -> MutexGuard<'_, ConfigurationStatus> {
        lock(&self.0.configuration)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(port: u16) -> Valid {
        let document = serde_json::json!({
            "version": 1,
            "listeners": {"snmp": [format!("127.0.0.1:{port}")]},
            "contexts": [{
                "name": "acme",
                "communities": [{"community": "hidden-community", "sources": ["127.0.0.0/8"]}],
                "users": [{"name": "noc"}],
            }],
            "users": [{
                "name": "noc",
                "auth": {"protocol": "SHA-256", "passphrase": "hidden-auth-pass"},
                "priv": {"protocol": "AES-128", "passphrase": "hidden-priv-pass"},
            }],
        });
        master_config::parse(document.to_string().as_bytes()).unwrap()
    }

    fn engine() -> EngineIdentity {
        EngineIdentity { engine_id: vec![0x80, 0, 0, 0, 1], boots: 1 }
    }

    #[test]
    fn it_says_what_is_in_force_and_no_secret() {
        let status = Status::default();
        assert_eq!(status.engine_boots(), 0);
        status.activated(&engine());
        status.loaded(&document(1161));
        let text = status.to_json(None);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["configuration"]["contexts"], serde_json::json!(["acme"]));
        assert_eq!((&json["configuration"]["users"], &json["engine"]["boots"]), (&1.into(), &1.into()));
        assert!(!text.contains("hidden"), "{text}");
    }

    #[test]
    fn other_listeners_need_a_restart_until_the_document_names_the_old_ones_again() {
        let status = Status::default();
        let needed = [1161, 1161, 2161, 1161].map(|port| {
            status.loaded(&document(port));
            status.configuration().restart_needed
        });
        assert_eq!(needed, [false, false, true, false]);
        assert_eq!(status.configuration().listeners.unwrap().snmp, ["127.0.0.1:1161".parse().unwrap()]);
    }

    #[test]
    fn an_error_is_told_until_the_next_document_that_can_be_used() {
        let status = Status::default();
        status.refused("it is broken".to_owned());
        assert_eq!(status.configuration().error.as_deref(), Some("it is broken"));
        assert!(!status.configuration().loaded);
        status.loaded(&document(1161));
        assert_eq!((status.configuration().error, status.errors()), (None, 1));
    }

    #[test]
    fn it_says_which_part_the_replica_has() {
        let status = Status::default();
        status.lease(LeaseStatus { holder: Some("snmp-master-0".to_owned()), transitions: 4 });
        let role = |status: &Status| serde_json::to_value(status.role()).unwrap();
        assert_eq!(
            (&role(&status)["active"], &role(&status)["lease"]["holder"]),
            (&false.into(), &"snmp-master-0".into())
        );
        for times in 1..=2 {
            status.activated(&engine());
            assert_eq!((&role(&status)["active"], &role(&status)["activations"]), (&true.into(), &times.into()));
            status.deactivated();
            assert!(!status.role().active);
        }
    }
}
