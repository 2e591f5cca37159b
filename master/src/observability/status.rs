//! The status of the master for `/status` and `/metrics`. It contains no communities and no passphrases.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Instant, SystemTime},
};

use data_encoding::HEXLOWER;
use master_config::{Listeners, Valid};
use serde::{Serialize, Serializer};

use crate::{
    agent::snapshot::Sessions,
    observability::role::{LeaseStatus, Role, Trouble},
    snmp::{EngineIdentity, statistics::Counter},
};

/// The status of the main thread's work. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Status(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    engine: Mutex<Option<EngineIdentity>>,
    role: Mutex<Role>,
    configuration: Mutex<ConfigurationStatus>,
    errors: Counter,
    reloads: Counter,
}

/// The status of the configuration.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConfigurationStatus {
    /// Whether a valid document was loaded.
    pub loaded: bool,
    /// When the current document was loaded.
    #[serde(rename = "ageSeconds", serialize_with = "age")]
    pub loaded_at: Option<(Instant, SystemTime)>,
    /// Why the latest document is not in use, if it is invalid.
    pub error: Option<String>,
    /// Whether the document has other listeners than those in use. Listeners change only with a restart.
    pub restart_needed: bool,
    /// The listeners in use.
    pub listeners: Option<Listeners>,
    /// The contexts of the document.
    pub contexts: BTreeSet<String>,
    /// The number of SNMPv3 users in the document.
    pub users: usize,
}

// serde passes fields by reference.
#[allow(clippy::ref_option)]
fn age<S: Serializer>(at: &Option<(Instant, SystemTime)>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(|(at, _)| at.elapsed().as_secs_f64()).serialize(serializer)
}

impl Status {
    /// Records the engine and its boot.
    pub(crate) fn engine(&self, engine: &EngineIdentity) {
        *lock(&self.0.engine) = Some(engine.clone());
    }

    /// Records that this replica became active, with this boot of the engine.
    pub(crate) fn activated(&self, engine: &EngineIdentity) {
        self.engine(engine);
        let mut role = lock(&self.0.role);
        role.active = true;
        role.activations += 1;
        tracing::info!(boots = engine.boots, "this replica is active and answers managers");
    }

    /// Records that this replica became standby.
    pub(crate) fn deactivated(&self) {
        if std::mem::take(&mut lock(&self.0.role).active) {
            tracing::info!("this replica is standby and no longer answers managers");
        }
    }

    /// Records the observed Lease.
    pub(crate) fn lease(&self, lease: LeaseStatus) {
        let mut role = lock(&self.0.role);
        if role.lease.as_ref().is_none_or(|before| before.holder != lease.holder) {
            tracing::info!(holder = lease.holder.as_deref().unwrap_or("nobody"), "the holder of the Lease changed");
        }
        role.lease = Some(lease);
    }

    /// Records why a function fails, or that it works.
    pub(crate) fn trouble(&self, trouble: Trouble, reason: Option<String>) {
        lock(&self.0.role).trouble(trouble, reason);
    }

    /// Returns the role of this replica.
    pub(crate) fn role(&self) -> Role {
        lock(&self.0.role).clone()
    }

    /// Records that `document` was loaded.
    pub(crate) fn loaded(&self, document: &Valid) {
        self.0.reloads.increment();
        let mut now = self.lock();
        let listeners = now.listeners.get_or_insert_with(|| document.listeners.clone());
        let restart_needed = *listeners != document.listeners;
        if restart_needed && !now.restart_needed {
            tracing::warn!("the document has other listeners than those in use; restart the master to apply them");
        }
        now.restart_needed = restart_needed;
        now.contexts = document.contexts.iter().map(|context| context.name.clone()).collect();
        now.users = document.users.len();
        now.error = None;
        now.loaded = true;
        now.loaded_at = Some((Instant::now(), SystemTime::now()));
        tracing::info!(contexts = now.contexts.len(), users = now.users, "loaded the document");
    }

    /// Records that the latest document is invalid, and why.
    pub(crate) fn refused(&self, error: String) {
        self.0.errors.increment();
        let mut now = self.lock();
        let consequence = if now.loaded { "keeping the last valid document" } else { "waiting for a valid document" };
        tracing::error!("the document is invalid; {consequence}: {error}");
        now.error = Some(error);
    }

    /// Returns the status of the configuration.
    pub(crate) fn configuration(&self) -> ConfigurationStatus {
        self.lock().clone()
    }

    /// Returns the number of invalid documents so far.
    pub(crate) fn errors(&self) -> u64 {
        self.0.errors.get()
    }

    /// Returns the number of loaded documents so far.
    pub(crate) fn reloads(&self) -> u64 {
        self.0.reloads.get()
    }

    /// Returns snmpEngineBoots, or 0 before the engine is known.
    pub(crate) fn engine_boots(&self) -> u32 {
        lock(&self.0.engine).as_ref().map_or(0, |engine| engine.boots)
    }

    /// Returns the status as JSON, with the sessions if the agent thread reported them.
    pub(crate) fn to_json(&self, sessions: Option<&Sessions>) -> String {
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
    fn the_json_has_the_document_but_no_secrets() {
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
    fn changed_listeners_need_a_restart_until_the_change_is_reverted() {
        let status = Status::default();
        let needed = [1161, 1161, 2161, 1161].map(|port| {
            status.loaded(&document(port));
            status.configuration().restart_needed
        });
        assert_eq!(needed, [false, false, true, false]);
        assert_eq!(status.configuration().listeners.unwrap().snmp, ["127.0.0.1:1161".parse().unwrap()]);
    }

    #[test]
    fn an_error_lasts_until_the_next_valid_document() {
        let status = Status::default();
        status.refused("it is invalid".to_owned());
        assert_eq!(status.configuration().error.as_deref(), Some("it is invalid"));
        assert!(!status.configuration().loaded);
        status.loaded(&document(1161));
        assert_eq!((status.configuration().error, status.errors()), (None, 1));
    }

    #[test]
    fn the_role_of_the_replica_is_shown() {
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
