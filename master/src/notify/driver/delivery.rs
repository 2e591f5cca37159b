//! The place of the delivery to targets, which does not exist yet: events are counted and dropped.

use std::{sync::Arc, time::Instant};

use master_config::{Context, Target};

use crate::{
    notify::{event::Event, status::TargetStatuses},
    snmp::EngineIdentity,
};

/// Delivers nothing.
pub(super) struct Delivery {
    _statuses: TargetStatuses,
}

#[allow(clippy::unused_self, clippy::unused_async, reason = "the interface of the delivery")]
impl Delivery {
    pub(super) fn new(statuses: TargetStatuses) -> Self {
        Self { _statuses: statuses }
    }

    pub(super) fn apply(&mut self, _targets: &[Target], _contexts: &[Context], _engine: &EngineIdentity) {}

    pub(super) fn set_active(&mut self, _active: bool, _uptime_of: Instant) {}

    pub(super) fn offer(&mut self, event: &Arc<Event>) {
        tracing::debug!(notification = %event.notification.oid, "there is no delivery of notifications yet");
    }

    pub(super) async fn run(&mut self) {
        std::future::pending::<()>().await;
    }
}
