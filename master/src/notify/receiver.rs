//! SNMPv3 towards a target: the user, the engine that is authoritative for its messages, and their keys.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use master_config::{SecurityLevel, User};

use super::message::Times;
use crate::snmp::{Keys, UserEnvelope};

/// The longest message that answers may have, in octets.
const MAX_SIZE: usize = 65_507;
/// The longest age of an authentic message (RFC 3414 section 2.2.3).
const TIME_WINDOW_SECONDS: u64 = 150;
/// Intervals of discovery messages to a receiver that does not answer them.
const MIN_BACKOFF: Duration = Duration::from_secs(5);
const MAX_BACKOFF: Duration = Duration::from_mins(1);

/// The user of a target, and the engine that is authoritative for its messages: the master's own for traps, that of the
/// receiver for informs.
#[derive(Debug)]
pub(crate) struct Security {
    user: Arc<User>,
    name: Bytes,
    pub(crate) level: SecurityLevel,
    engine: Option<Engine>,
    /// The keys for an engine id, also while the engine is discovered anew.
    keys: Option<(Vec<u8>, Derivation)>,
    discovery: Option<Discovery>,
}

/// The keys of an engine.
#[derive(Debug)]
enum Derivation {
    /// They have to be derived.
    Needed,
    /// They are being derived.
    Running,
    /// They are derived. `None` for a user without authentication.
    Done(Option<Arc<Keys>>),
}

/// An engine that is authoritative for messages.
#[derive(Debug)]
struct Engine {
    id: Vec<u8>,
    times: Times,
    /// When the engine had these times.
    at: Instant,
    /// Whether nothing was sent to it since it was discovered.
    is_fresh: bool,
}

/// The search for the engine of a receiver.
#[derive(Debug)]
struct Discovery {
    id: i32,
    attempts: u32,
    due: Instant,
}

/// What to do next in order to learn the engine.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DiscoveryStep {
    /// Send a discovery message with this msgID.
    Send(i32),
    /// The receiver does not answer.
    NoAnswer(i32),
    /// Wait.
    Wait,
}

impl Security {
    pub(crate) fn new(user: &User, level: SecurityLevel) -> Self {
        let name = Bytes::copy_from_slice(user.name.as_bytes());
        Self { user: Arc::new(user.clone()), name, level, engine: None, keys: None, discovery: None }
    }

    /// Sets the authoritative engine to one that had `times` at `at`.
    pub(crate) fn set_engine(&mut self, id: &[u8], times: Times, at: Instant) {
        if self.keys.as_ref().is_none_or(|(of, _)| of != id) {
            let is_needed = self.level >= SecurityLevel::AuthNoPriv;
            let keys = if is_needed { Derivation::Needed } else { Derivation::Done(None) };
            self.keys = Some((id.to_vec(), keys));
        }
        self.engine = Some(Engine { id: id.to_vec(), times, at, is_fresh: true });
        self.discovery = None;
    }

    /// Forgets the engine unless nothing was sent to it yet, so that it is discovered anew. Its keys are kept.
    pub(crate) fn rediscover(&mut self) {
        self.engine.take_if(|engine| !engine.is_fresh);
    }

    /// Returns the user and the engine id for which keys have to be derived now. It returns them once.
    pub(crate) fn start_derivation(&mut self) -> Option<(Arc<User>, Vec<u8>)> {
        match &mut self.keys {
            Some((engine_id, keys @ Derivation::Needed)) => {
                *keys = Derivation::Running;
                Some((Arc::clone(&self.user), engine_id.clone()))
            }
            _ => None,
        }
    }

    /// Sets the keys for an engine.
    pub(crate) fn derived(&mut self, engine_id: &[u8], derived: Option<Arc<Keys>>) {
        if let Some((of, keys)) = &mut self.keys
            && of == engine_id
        {
            *keys = Derivation::Done(derived);
        }
    }

    /// Returns whether keys are being derived.
    pub(crate) fn is_deriving(&self) -> bool {
        matches!(self.keys, Some((_, Derivation::Running)))
    }

    /// Returns whether the engine is known.
    pub(crate) fn has_engine(&self) -> bool {
        self.engine.is_some()
    }

    /// Returns the engine id and its boots and time at `now`, once the engine and its keys are known.
    pub(crate) fn authority(&mut self, now: Instant) -> Option<(Vec<u8>, Times)> {
        let engine = self.engine.as_mut()?;
        if !matches!(&self.keys, Some((_, Derivation::Done(_)))) {
            return None;
        }
        engine.is_fresh = false;
        Some((engine.id.clone(), engine.times(now)))
    }

    /// Returns the envelope of a message.
    pub(crate) fn envelope(&self, msg_id: i32, is_reportable: bool, context: &[u8]) -> UserEnvelope {
        let context = Bytes::copy_from_slice(context);
        let (level, user_name) = (self.level, self.name.clone());
        UserEnvelope { msg_id, max_size: MAX_SIZE, level, is_reportable, user_name, keys: self.keys(), context }
    }

    /// Returns the envelope of a discovery message.
    pub(crate) fn discovery_envelope(msg_id: i32) -> UserEnvelope {
        UserEnvelope {
            msg_id,
            max_size: MAX_SIZE,
            level: SecurityLevel::NoAuthNoPriv,
            is_reportable: true,
            user_name: Bytes::new(),
            keys: None,
            context: Bytes::new(),
        }
    }

    /// Returns the name of the user, the engine id and the keys, for reading answers.
    pub(crate) fn expected(&self) -> (&[u8], &[u8], Option<Arc<Keys>>) {
        let engine_id = self.engine.as_ref().map(|engine| &*engine.id).unwrap_or_default();
        (&self.name, engine_id, self.keys())
    }

    fn keys(&self) -> Option<Arc<Keys>> {
        match (&self.keys, &self.engine) {
            (Some((of, Derivation::Done(keys))), Some(engine)) if *of == engine.id => keys.clone(),
            _ => None,
        }
    }

    /// Takes the times of an authentic message. Returns whether it is in the time window (RFC 3414 section 3.2 step 7b).
    pub(crate) fn synchronize(&mut self, times: Times, now: Instant) -> bool {
        let Some(engine) = &mut self.engine else { return false };
        let known = engine.times(now);
        if (times.boots, times.time) > (known.boots, known.time) {
            (engine.times, engine.at) = (times, now);
        }
        times.boots >= known.boots
            && (times.boots > known.boots || u64::from(times.time) + TIME_WINDOW_SECONDS >= u64::from(known.time))
    }

    /// Returns whether a discovery message with this msgID waits for its answer.
    pub(crate) fn is_discovering(&self, id: i32) -> bool {
        self.discovery.as_ref().is_some_and(|discovery| discovery.id == id)
    }

    /// Returns what to do now in order to learn the engine. `first_id` is the msgID of the first discovery message.
    pub(crate) fn discover(&mut self, first_id: i32, timeout: Duration, retries: u32, now: Instant) -> DiscoveryStep {
        match &mut self.discovery {
            None => {
                self.discovery = Some(Discovery { id: first_id, attempts: 1, due: now + timeout });
                DiscoveryStep::Send(first_id)
            }
            Some(discovery) if discovery.due <= now => {
                let failures = discovery.attempts.saturating_sub(retries);
                let is_down = failures > 0;
                let backoff = MIN_BACKOFF.saturating_mul(1 << failures.saturating_sub(1).min(8)).min(MAX_BACKOFF);
                discovery.attempts = discovery.attempts.saturating_add(1);
                discovery.due = now + if is_down { backoff } else { timeout };
                if is_down { DiscoveryStep::NoAnswer(discovery.id) } else { DiscoveryStep::Send(discovery.id) }
            }
            Some(_) => DiscoveryStep::Wait,
        }
    }

    /// Returns when [`Self::discover`] has something to do.
    pub(crate) fn discovery_due(&self) -> Option<Instant> {
        self.discovery.as_ref().map(|discovery| discovery.due)
    }
}

impl Engine {
    fn times(&self, now: Instant) -> Times {
        let Times { boots, time } = self.times;
        let elapsed = u32::try_from(now.saturating_duration_since(self.at).as_secs()).unwrap_or(u32::MAX);
        Times { boots, time: time.saturating_add(elapsed) }
    }
}
