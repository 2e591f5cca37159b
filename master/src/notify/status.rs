//! The state of the targets of notifications.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::counts::Counts;

/// Whether a target receives notifications, in one word: the reason of the condition `Ready`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Readiness {
    /// Nothing has been sent yet.
    Unknown,
    /// Traps are sent. Whether they arrive is unknown.
    SentUnconfirmed,
    /// The last inform was acknowledged.
    Acknowledged,
    /// No process listens at the port (ICMP).
    PortUnreachable,
    /// Informs are not acknowledged.
    NoAnswer,
    /// The receiver refuses the credentials.
    AuthenticationFailed,
    /// The address is outside of the networks that the contexts allow.
    AddressNotAllowed,
    /// The host name cannot be resolved.
    NameNotResolved,
}

/// The state of a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TargetStatus {
    /// Namespace of the SnmpTrapTarget.
    pub(crate) namespace: String,
    /// Name of the SnmpTrapTarget.
    pub(crate) name: String,
    /// Whether it receives notifications.
    pub(crate) readiness: Readiness,
    /// Details of the readiness, for people. Empty if there are none.
    pub(crate) message: String,
    /// The address that its host was resolved to.
    pub(crate) address: Option<SocketAddr>,
    /// Notifications that wait.
    pub(crate) queued: u64,
    /// Traps sent and informs acknowledged, since the start of the master.
    pub(crate) delivered: u64,
    /// Notifications dropped since the start of the master.
    pub(crate) lost: u64,
    /// Whether nothing was dropped since the target was last told of dropped notifications.
    pub(crate) complete: bool,
}

/// The state of all targets, shared between threads.
#[derive(Debug, Clone, Default)]
pub struct TargetStatuses(Arc<Mutex<(Vec<TargetStatus>, Counts)>>);

impl TargetStatuses {
    /// Returns the state of all targets.
    pub(crate) fn get(&self) -> Vec<TargetStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Returns the counters of all targets together, also of those that were removed.
    pub(crate) fn totals(&self) -> Counts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    /// Replaces the state of all targets, and the counters.
    pub(crate) fn set(&self, statuses: Vec<TargetStatus>, totals: Counts) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (statuses, totals);
    }
}
