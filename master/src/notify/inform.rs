//! Delivery of informs: a window of unacknowledged ones, retransmissions, and probes while the receiver is down.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use notification::AlarmId;

use super::queue::{Queue, Serial};

/// Maximum number of informs that are not acknowledged.
const WINDOW: usize = 8;
/// Intervals of the probes of a receiver that is down.
const MIN_BACKOFF: Duration = Duration::from_secs(5);
const MAX_BACKOFF: Duration = Duration::from_mins(1);
/// How often an inform is sent again at once because the receiver corrected the time or the engine id.
const MAX_CORRECTIONS: u32 = 2;

/// Timeout and retries of a target.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Time to wait for an acknowledgement.
    pub(crate) timeout: Duration,
    /// How often an inform is sent again before the receiver counts as down.
    pub(crate) retries: u32,
}

/// An inform that is not acknowledged.
#[derive(Debug)]
struct Outstanding {
    request_id: i32,
    alarm: Option<AlarmId>,
    retries: u32,
    corrections: u32,
    due: Instant,
}

/// A receiver that does not answer.
#[derive(Debug)]
struct Down {
    backoff: Duration,
    probe_at: Instant,
}

/// An inform to send now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Transmission {
    pub(crate) serial: Serial,
    pub(crate) request_id: i32,
    /// Whether it was sent before.
    pub(crate) is_retry: bool,
}

/// The informs of a target.
#[derive(Debug, Default)]
pub(crate) struct Informs {
    outstanding: BTreeMap<Serial, Outstanding>,
    /// The request-ids of all informs in the queue that were sent, also before the receiver was down.
    sent: HashMap<i32, Serial>,
    /// Informs from this one on have not been sent since the receiver is up.
    cursor: Serial,
    down: Option<Down>,
}

impl Informs {
    /// Returns whether the receiver does not answer.
    pub(crate) fn is_down(&self) -> bool {
        self.down.is_some()
    }

    /// Returns the next inform to send now, and notes that it is sent. `request_id` returns the request-id of an inform.
    pub(crate) fn next(
        &mut self,
        queue: &Queue,
        patience: Patience,
        now: Instant,
        request_id: impl Fn(Serial) -> i32,
    ) -> Option<Transmission> {
        self.prune(queue);
        if self.down.is_none() {
            let overdue = self.outstanding.iter_mut().find(|(_, inform)| inform.due <= now);
            match overdue {
                Some((_, inform)) if inform.retries >= patience.retries => self.fail(now),
                Some((serial, inform)) => {
                    inform.retries += 1;
                    inform.due = now + patience.timeout;
                    return Some(Transmission { serial: *serial, request_id: inform.request_id, is_retry: true });
                }
                None => return self.first_send(queue, patience, now, request_id),
            }
        }
        let down = self.down.as_mut().filter(|down| down.probe_at <= now)?;
        let (serial, _) = queue.first_from(0)?;
        down.probe_at = now + down.backoff;
        down.backoff = (down.backoff * 2).min(MAX_BACKOFF);
        let request_id = request_id(serial);
        let is_retry = self.sent.insert(request_id, serial).is_some();
        Some(Transmission { serial, request_id, is_retry })
    }

    fn first_send(
        &mut self,
        queue: &Queue,
        patience: Patience,
        now: Instant,
        request_id: impl Fn(Serial) -> i32,
    ) -> Option<Transmission> {
        if self.outstanding.len() >= WINDOW {
            return None;
        }
        let (serial, entry) = queue.first_from(self.cursor)?;
        let (alarm, request_id) = (entry.alarm(), request_id(serial));
        let conflicts =
            |other: &Outstanding| other.request_id == request_id || (other.alarm.is_some() && other.alarm == alarm);
        if self.outstanding.values().any(conflicts) {
            return None;
        }
        let due = now + patience.timeout;
        self.outstanding.insert(serial, Outstanding { request_id, alarm, retries: 0, corrections: 0, due });
        self.cursor = serial + 1;
        let is_retry = self.sent.insert(request_id, serial).is_some();
        Some(Transmission { serial, request_id, is_retry })
    }

    /// Returns when [`Self::next`] has something to do, if nothing else happens.
    pub(crate) fn deadline(&self, queue: &Queue) -> Option<Instant> {
        match &self.down {
            Some(down) => (!queue.is_empty()).then_some(down.probe_at),
            None => self.outstanding.values().map(|inform| inform.due).min(),
        }
    }

    /// Notes an acknowledgement. Returns the position of the inform, which the caller removes from the queue; `None` if no
    /// inform has this request-id.
    pub(crate) fn acknowledged(&mut self, request_id: i32) -> Option<Serial> {
        let serial = self.sent.remove(&request_id)?;
        self.outstanding.remove(&serial);
        if self.down.take().is_some() {
            self.cursor = 0;
        }
        Some(serial)
    }

    /// Returns an inform to send again at once, because the receiver told the right time or engine id. Returns `None` if this
    /// happens too often: the inform then waits for its timeout.
    pub(crate) fn corrected(&mut self, request_id: i32, patience: Patience, now: Instant) -> Option<Transmission> {
        let serial = *self.sent.get(&request_id)?;
        if let Some(inform) = self.outstanding.get_mut(&serial) {
            inform.corrections += 1;
            if inform.corrections > MAX_CORRECTIONS {
                return None;
            }
            inform.due = now + patience.timeout;
        } else {
            // A probe: the next one may follow at once, but only once.
            let down = self.down.as_mut().filter(|down| down.probe_at > now)?;
            if down.probe_at.saturating_duration_since(now) < Duration::from_secs(1) {
                return None;
            }
            down.probe_at = now + Duration::from_secs(1);
        }
        Some(Transmission { serial, request_id, is_retry: true })
    }

    /// Returns whether an inform with this request-id was sent and is not acknowledged.
    pub(crate) fn is_sent(&self, request_id: i32) -> bool {
        self.sent.contains_key(&request_id)
    }

    /// Notes that the receiver does not accept informs: from now on it is only probed.
    pub(crate) fn fail(&mut self, now: Instant) {
        self.outstanding.clear();
        self.down.get_or_insert(Down { backoff: MIN_BACKOFF, probe_at: now + MIN_BACKOFF });
    }

    /// Sends all informs again from the first: the receiver has another address or other credentials.
    pub(crate) fn restart(&mut self) {
        self.outstanding.clear();
        self.cursor = 0;
        self.down = None;
    }

    /// Forgets the informs that are no longer in the queue.
    fn prune(&mut self, queue: &Queue) {
        self.outstanding.retain(|serial, _| queue.get(*serial).is_some());
        if self.sent.len() > 2 * queue.len() + WINDOW {
            self.sent.retain(|_, serial| queue.get(*serial).is_some());
        }
    }

    /// Returns whether the receiver is down and is to be probed now.
    pub(crate) fn is_probe_due(&self, now: Instant) -> bool {
        self.down.as_ref().is_some_and(|down| down.probe_at <= now)
    }

    /// Allows the next probe now: the receiver was heard.
    pub(crate) fn probe_now(&mut self, now: Instant) {
        if let Some(down) = &mut self.down {
            down.probe_at = now;
        }
    }
}
