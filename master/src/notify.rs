//! Notifications: from the Notify of a subagent to the traps and informs of the targets.
//!
//! | module | does |
//! |---|---|
//! | `event` | what the book hands to the targets |
//! | `status` | the state of the targets, for `/status`, metrics and the operator |

pub(crate) mod event;
pub(crate) mod status;
