//! Notifications: rules over the view of a subtree, and what they send to the masters.
//!
//! [`Rules`] decides which alarms are raised, without I/O. [`Outbox`] passes its transitions to the sessions.

mod outbox;
mod phase;
mod rule;
mod rules;
mod saved;
mod transition;

pub(crate) use outbox::{Acknowledged, Entry, Outbox, Sender, Served, Transitions};
pub(crate) use rules::{Now, Rules, RulesStatus};
#[cfg(test)]
pub(crate) use saved::SavedAlarms;

/// Maximum number of raised alarms of a pod.
pub(crate) const MAX_RAISED: usize = 256;
/// Maximum number of transitions of a subtree that are kept for the masters.
pub(crate) const MAX_WAITING: usize = 256;
