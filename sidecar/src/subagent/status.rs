//! What the sessions with a master are doing, for people and metrics.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use serde::Serialize;
use tokio::sync::Notify;

use crate::session::{Counters, Counts, Progress, Registration, Session, State};

/// What happens with one master URL. Cheap to clone; reading it never makes a request wait.
#[derive(Debug, Clone)]
pub struct MasterStatus(Arc<Master>);

#[derive(Debug)]
struct Master {
    url: String,
    /// Locked when an address comes or goes and when someone looks.
    links: Mutex<BTreeMap<String, LinkStatus>>,
    resolve_error: Mutex<Option<String>>,
}

/// One connection to an address of a master, and what happens there.
#[derive(Debug, Clone)]
pub(super) struct LinkStatus(Arc<Link>);

#[derive(Debug)]
struct Link {
    /// Of the address, whichever connection it has.
    counters: Arc<Counters>,
    /// Locked when the state or a registration changes and when someone looks.
    seen: Mutex<Seen>,
    changed: Notify,
}

/// What a session was when it last changed.
#[derive(Debug, Default)]
struct Seen {
    state: SessionState,
    open_since: Option<Instant>,
    last_error: Option<String>,
    registrations: Vec<RegistrationStatus>,
}

/// How far the session with one address has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SessionState {
    /// There is no connection yet.
    #[default]
    Connecting,
    /// The master has not opened the session yet.
    Opening,
    /// The master may ask.
    Open,
    /// We are ending it.
    Closing,
}

/// The session with one address of a master.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionStatus {
    /// The socket's path, or the IP address and port.
    pub address: String,
    /// How far it has come.
    pub state: SessionState,
    /// For how many seconds it has been open.
    pub open_seconds: Option<u64>,
    /// Why the last connection ended or could not be made; none before anything went wrong.
    pub last_error: Option<String>,
    /// What it registers.
    pub registrations: Vec<RegistrationStatus>,
    /// What was counted at this address.
    pub counts: Counts,
}

/// One region at one master.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RegistrationStatus {
    /// The context; empty is the default context.
    pub context: String,
    /// The region, in dotted decimals; with a range in it as `[1-5]`.
    pub region: String,
    /// How far it has come.
    pub state: RegistrationState,
    /// Why the master refused it.
    pub reason: Option<String>,
}

/// How far a registration has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum RegistrationState {
    /// To be sent, or not answered yet.
    Pending,
    /// The master asks us for it.
    Registered,
    /// Another session holds it: this one takes over when that one goes.
    StandingBy,
    /// The master refused it; it is asked again now and then.
    Refused,
    /// Being taken back.
    Unregistering,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MasterStatus {
    pub(super) fn new(url: String) -> Self {
        Self(Arc::new(Master { url, links: Mutex::default(), resolve_error: Mutex::default() }))
    }

    /// The master's URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// Why the host's addresses are not known, if that is so.
    #[must_use]
    pub fn resolve_error(&self) -> Option<String> {
        lock(&self.0.resolve_error).clone()
    }

    /// One session for each address that the master has.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionStatus> {
        lock(&self.0.links).iter().map(|(address, link)| link.status(address)).collect()
    }

    /// Whether a session is open and the master has answered all that it registers, with success or not: nothing
    /// more will happen by waiting.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let answered = |r: &RegistrationStatus| r.state != RegistrationState::Pending;
        let settled = |link: &LinkStatus| {
            let seen = lock(&link.0.seen);
            seen.state == SessionState::Open && seen.registrations.iter().all(answered)
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

    /// Another connection is what counts at this address from now on, if the address still does.
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
        Self(Arc::new(Link { counters, seen: Mutex::default(), changed: Notify::new() }))
    }

    /// For another connection to the same address, which nobody sees until it takes this one's place.
    pub(super) fn successor(&self) -> Self {
        Self::new(Arc::clone(&self.0.counters))
    }

    pub(super) fn counters(&self) -> &Arc<Counters> {
        &self.0.counters
    }

    /// There is no connection, for this reason.
    pub(super) fn disconnected(&self, error: String) {
        *lock(&self.0.seen) = Seen { last_error: Some(error), ..Seen::default() };
    }

    pub(super) fn last_error(&self) -> Option<String> {
        lock(&self.0.seen).last_error.clone()
    }

    pub(super) fn set_last_error(&self, error: String) {
        lock(&self.0.seen).last_error = Some(error);
    }

    /// Waits until the session is shown anew. One waits at a time.
    pub(super) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// Looks at what is registered, and how far the session has come.
    pub(super) fn read<T>(&self, look: impl FnOnce(&[RegistrationStatus], SessionState) -> T) -> T {
        let seen = lock(&self.0.seen);
        look(&seen.registrations, seen.state)
    }

    /// The session is so now. Returns what it was.
    pub(super) fn show(&self, session: &Session) -> SessionState {
        let (state, open_since) = match session.state() {
            State::Opening => (SessionState::Opening, None),
            State::Open { since } => (SessionState::Open, Some(since)),
            State::Closing { .. } | State::Ended(_) => (SessionState::Closing, None),
        };
        let registrations = session.registrations().map(RegistrationStatus::from).collect();
        let mut seen = lock(&self.0.seen);
        let before = seen.state;
        *seen = Seen { state, open_since, last_error: seen.last_error.take(), registrations };
        drop(seen);
        self.0.changed.notify_one();
        before
    }

    fn status(&self, address: &str) -> SessionStatus {
        let seen = lock(&self.0.seen);
        SessionStatus {
            address: address.to_owned(),
            state: seen.state,
            open_seconds: seen.open_since.map(|since| since.elapsed().as_secs()),
            last_error: seen.last_error.clone(),
            registrations: seen.registrations.clone(),
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
