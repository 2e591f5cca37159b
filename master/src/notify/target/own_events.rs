//! The master's own notifications to a target: heartbeats, lost notifications, coldStart and warmStart.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use agentx::{Oid, SubId, Value, VarBind};
use master_config::{NotificationKind, Target, TargetScope};
use notification::{
    Notification,
    oids::{COUNTS, HEARTBEAT, NOTIFICATIONS_LOST, own_notification},
};

use super::{Local, NOTICE_INTERVAL, TargetMachine};
use crate::notify::{event::Event, queue::Namespace};

/// coldStart and warmStart (RFC 3418).
const COLD_START: [SubId; 10] = [1, 3, 6, 1, 6, 3, 1, 1, 5, 1];
const WARM_START: [SubId; 10] = [1, 3, 6, 1, 6, 3, 1, 1, 5, 2];
/// Arcs below [`COUNTS`].
const LAST_CHANGE: SubId = 6;
const LOST: SubId = 7;
const RAISED: SubId = 9;
const SENT: SubId = 10;

/// The alarms of a namespace in a context.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// The number of raised alarms.
    pub(crate) raised: u32,
    /// sysUpTime when one was last raised, changed or cleared.
    pub(crate) changed: u32,
}

/// The alarms by namespace and context.
pub(crate) type Tallies = HashMap<(Namespace, Arc<[u8]>), Tally>;

impl TargetMachine {
    /// Queues heartbeats and notifications about lost ones that are due.
    pub(super) fn push_own_events(&mut self, local: &Local, now: Instant) {
        if let Some(at) = self.next_heartbeat
            && at <= now
        {
            let interval = Duration::from_millis(self.config.heartbeat_interval_ms.unwrap_or(u64::MAX));
            self.next_heartbeat = now.checked_add(interval);
            self.push_heartbeat(local, now);
        }
        let may_tell = match self.config.kind {
            NotificationKind::Trap => self.next_notice.is_none_or(|at| at <= now),
            // When the receiver answers again.
            NotificationKind::Inform => !self.informs.is_down() && self.has_acknowledged,
        };
        if self.config.agent_events && may_tell && self.counts.lost() > self.told_or_pending() {
            self.next_notice = Some(now + NOTICE_INTERVAL);
            let objects = vec![count(LOST, counter(self.counts.lost()))];
            let event = self.own_event(NOTIFICATIONS_LOST, objects, local, now);
            let lost = self.counts.lost();
            let serial = self.push(&event, now);
            self.notices.insert(serial, lost);
        }
    }

    /// Returns the number of lost notifications that the receiver was told of, or is about to be.
    pub(super) fn told_or_pending(&self) -> u64 {
        self.notices.values().copied().max().unwrap_or_default().max(self.told)
    }

    fn push_heartbeat(&mut self, local: &Local, now: Instant) {
        // A heartbeat that waits is replaced: only the newest is of interest.
        let kind = own_notification(HEARTBEAT);
        let waiting = self
            .notices
            .keys()
            .copied()
            .find(|serial| self.queue.get(*serial).is_some_and(|entry| *entry.event.notification.oid == kind));
        if let Some(waiting) = waiting {
            self.notices.remove(&waiting);
            self.queue.remove(waiting);
        }
        let tallies = local.tallies.iter().filter(|((namespace, context), _)| covers(&self.config, namespace, context));
        let alarms = tallies.fold(Tally::default(), |sum, (_, tally)| Tally {
            raised: sum.raised.saturating_add(tally.raised),
            changed: sum.changed.max(tally.changed),
        });
        let objects = vec![
            count(RAISED, Value::Gauge32(alarms.raised)),
            count(LAST_CHANGE, Value::TimeTicks(alarms.changed)),
            count(SENT, counter(self.counts.sent)),
            count(LOST, counter(self.counts.lost())),
        ];
        let event = self.own_event(HEARTBEAT, objects, local, now);
        let lost = self.counts.lost();
        let serial = self.push(&event, now);
        self.notices.insert(serial, lost);
    }

    fn own_event(&self, arc: SubId, objects: Vec<VarBind>, local: &Local, now: Instant) -> Arc<Event> {
        let context = self.config.contexts.first().map(String::as_bytes).unwrap_or_default();
        event(&own_notification(arc), objects, context, local.started, now)
    }
}

/// Returns whether the target receives the notifications of a namespace in a context.
fn covers(config: &Target, namespace: &Namespace, context: &[u8]) -> bool {
    let is_named = config.contexts.iter().any(|name| name.as_bytes() == context);
    match config.scope {
        TargetScope::Namespace => namespace.as_deref() == Some(config.namespace.as_str()) && is_named,
        TargetScope::Cluster => config.contexts.is_empty() || is_named,
    }
}

/// Returns the notification that the agent started: coldStart in the first boot of its engine, else warmStart.
pub(crate) fn start_event(boots: u32, started: Instant, now: Instant) -> Arc<Event> {
    let oid = if boots == 1 { COLD_START } else { WARM_START };
    event(&oid, Vec::new(), &[], started, now)
}

fn event(oid: &[SubId], objects: Vec<VarBind>, context: &[u8], started: Instant, now: Instant) -> Arc<Event> {
    let hundredths = now.saturating_duration_since(started).as_millis() / 10;
    Arc::new(Event {
        namespace: None,
        context: context.into(),
        notification: Notification { oid: Oid::try_from(oid).unwrap_or_default(), objects, details: None },
        severity: None,
        #[allow(clippy::cast_possible_truncation, reason = "TimeTicks wrap around")]
        uptime: hundredths as u32,
        at: SystemTime::now(),
    })
}

fn count(arc: SubId, value: Value) -> VarBind {
    let name = [&COUNTS[..], &[arc, 0]].concat();
    VarBind { name: Oid::new(name).unwrap_or_default(), value }
}

#[allow(clippy::cast_possible_truncation, reason = "a Counter32 wraps around")]
fn counter(value: u64) -> Value {
    Value::Counter32(value as u32)
}
