//! Events: notifications on their way to the targets.

use std::{sync::Arc, time::SystemTime};

use notification::{Notification, Severity};

/// A notification that targets may receive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// The namespace that sent it. `None` for the master's own events and for subagents without a namespace.
    pub(crate) namespace: Option<Arc<str>>,
    /// The name of its context.
    pub(crate) context: Arc<[u8]>,
    /// The notification.
    pub(crate) notification: Notification,
    /// The severity that decides whether a target receives it: for a clear, the severity of the raise.
    pub(crate) severity: Option<Severity>,
    /// sysUpTime when the master received it.
    pub(crate) uptime: u32,
    /// When the master received it.
    pub(crate) at: SystemTime,
}
