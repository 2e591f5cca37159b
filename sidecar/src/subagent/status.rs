//! The status of the sessions with a master, for `/status`, metrics and readiness.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use serde::Serialize;
use tokio::sync::Notify;

use super::session::{Counters, Counts, Progress, Registration, Session, State};

/// The status of one master URL. Clones share it. Reading it never delays a request.
#[derive(Debug, Clone)]
pub(crate) struct MasterStatus(Arc<Master>);

#[derive(Debug)]
struct Master {
    url: String,
    /// Locked when an address is added or removed and when the status is read.
    links: Mutex<BTreeMap<String, LinkStatus>>,
    resolve_error: Mutex<Option<String>>,
}

/// The status of one connection to an address of a master. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct LinkStatus(Arc<Link>);

#[derive(Debug)]
struct Link {
    /// The counters of the address. Successive connections share them.
    counters: Arc<Counters>,
    /// Locked when the state or a registration changes and when the status is read.
    latest: Mutex<SessionSnapshot>,
    changed: Notify,
}

/// A session at its latest change.
#[derive(Debug, Default)]
struct SessionSnapshot {
    state: SessionState,
    open_since: Option<Instant>,
    last_error: Option<String>,
    registrations: Vec<RegistrationStatus>,
}

/// The state of the session with one address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum SessionState {
    /// There is no connection.
    #[default]
    Connecting,
    /// The master has not opened the session yet.
    Opening,
    /// The session is open.
    Open,
    /// The sidecar is closing the session.
    Closing,
}

/// The session with one address of a master.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionStatus {
    /// The socket's path, or the IP address and port.
    pub(crate) address: String,
    /// Its state.
    pub(crate) state: SessionState,
    /// How long it has been open, in seconds.
    pub(crate) open_seconds: Option<u64>,
    /// Why the last connection ended or failed; `None` before the first error.
    pub(crate) last_error: Option<String>,
    /// Its registrations.
    pub(crate) registrations: Vec<RegistrationStatus>,
    /// The counters of the address.
    pub(crate) counts: Counts,
}

/// One region at one master.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RegistrationStatus {
    /// The SNMP context; empty is the default context.
    pub(crate) context: String,
    /// The region in dotted decimals, with a range as `[1-5]`.
    pub(crate) region: String,
    /// Its state.
    pub(crate) state: RegistrationState,
    /// Why the master refused it.
    pub(crate) reason: Option<String>,
}

/// The state of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum RegistrationState {
    /// Not sent or not answered yet.
    Pending,
    /// The master accepted it.
    Registered,
    /// Another session holds the region. This session takes over when that one ends.
    StandingBy,
    /// The master refused it. The session retries.
    Refused,
    /// Unregister was sent, not answered yet.
    Unregistering,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MasterStatus {
    pub(super) fn new(url: String) -> Self {
        Self(Arc::new(Master { url, links: Mutex::default(), resolve_error: Mutex::default() }))
    }

    /// Returns the master's URL.
    #[must_use]
    pub(crate) fn url(&self) -> &str {
        &self.0.url
    }

    /// Returns why the last lookup of the host failed, if it did.
    #[must_use]
    pub(crate) fn resolve_error(&self) -> Option<String> {
        lock(&self.0.resolve_error).clone()
    }

    /// Returns the session of each address.
    #[must_use]
    pub(crate) fn sessions(&self) -> Vec<SessionStatus> {
        lock(&self.0.links).iter().map(|(address, link)| link.status(address)).collect()
    }

    /// Returns whether a session is open and the master has answered all its registrations.
    #[cfg(test)]
    pub(crate) fn is_settled(&self) -> bool {
        let answered = |r: &RegistrationStatus| r.state != RegistrationState::Pending;
        let settled = |link: &LinkStatus| {
            let latest = lock(&link.0.latest);
            latest.state == SessionState::Open && latest.registrations.iter().all(answered)
        };
        lock(&self.0.links).values().any(settled)
    }

    pub(super) fn set_resolve_error(&self, error: Option<String>) {
        *lock(&self.0.resolve_error) = error;
    }

    pub(super) fn add(&self, address: String) -> LinkStatus {
        let link = LinkStatus::new(Arc::default());
        lock(&self.0.links).insert(address, link.clone());
        link
    }

    /// Replaces the connection of an address, if the address is still served.
    pub(super) fn replace(&self, address: &str, link: &LinkStatus) {
        if let Some(shown) = lock(&self.0.links).get_mut(address) {
            shown.clone_from(link);
        }
    }

    pub(super) fn remove(&self, address: &str) {
        lock(&self.0.links).remove(address);
    }
}

impl LinkStatus {
    fn new(counters: Arc<Counters>) -> Self {
        Self(Arc::new(Link { counters, latest: Mutex::default(), changed: Notify::new() }))
    }

    /// Returns the status of another connection to the same address. It is not shown until it replaces this one.
    pub(super) fn successor(&self) -> Self {
        Self::new(Arc::clone(&self.0.counters))
    }

    pub(super) fn counters(&self) -> &Arc<Counters> {
        &self.0.counters
    }

    /// Records that there is no connection, and why.
    pub(super) fn disconnected(&self, error: String) {
        *lock(&self.0.latest) = SessionSnapshot { last_error: Some(error), ..SessionSnapshot::default() };
    }

    pub(super) fn last_error(&self) -> Option<String> {
        lock(&self.0.latest).last_error.clone()
    }

    pub(super) fn set_last_error(&self, error: String) {
        lock(&self.0.latest).last_error = Some(error);
    }

    /// Waits for the next [`Self::update`]. Only one task may wait at a time.
    pub(super) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// Passes the registrations and the state to `read`.
    pub(super) fn read<T>(&self, read: impl FnOnce(&[RegistrationStatus], SessionState) -> T) -> T {
        let latest = lock(&self.0.latest);
        read(&latest.registrations, latest.state)
    }

    /// Records the session's state and registrations. Returns the previous state.
    pub(super) fn update(&self, session: &Session) -> SessionState {
        let (state, open_since) = match session.state() {
            State::Opening => (SessionState::Opening, None),
            State::Open { since } => (SessionState::Open, Some(since)),
            State::Closing { .. } | State::Ended(_) => (SessionState::Closing, None),
        };
        let registrations = session.registrations().map(RegistrationStatus::from).collect();
        let mut latest = lock(&self.0.latest);
        let before = latest.state;
        *latest = SessionSnapshot { state, open_since, last_error: latest.last_error.take(), registrations };
        drop(latest);
        self.0.changed.notify_one();
        before
    }

    fn status(&self, address: &str) -> SessionStatus {
        let latest = lock(&self.0.latest);
        SessionStatus {
            address: address.to_owned(),
            state: latest.state,
            open_seconds: latest.open_since.map(|since| since.elapsed().as_secs()),
            last_error: latest.last_error.clone(),
            registrations: latest.registrations.clone(),
            counts: self.0.counters.read(),
        }
    }
}

impl From<(&Registration, Progress)> for RegistrationStatus {
    fn from((registration, progress): (&Registration, Progress)) -> Self {
        let (state, reason) = match progress {
            Progress::Queued | Progress::Registering => (RegistrationState::Pending, None),
            Progress::Registered => (RegistrationState::Registered, None),
            Progress::StandingBy => (RegistrationState::StandingBy, None),
            Progress::Refused(error) => (RegistrationState::Refused, Some(format!("{error:?}"))),
            Progress::Unregistering => (RegistrationState::Unregistering, None),
        };
        Self { context: registration.context.clone(), region: registration.region.to_string(), state, reason }
    }
}
