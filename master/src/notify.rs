//! Notifications: from the Notify of a subagent to the traps and informs of the targets.
//!
//! | module | does |
//! |---|---|
//! | `event` | what the book hands to the targets |
//! | `delivery` | sockets, name resolution and timers of the targets |
//! | `target` | a target: what it hears, its queue, and what is sent to it when |
//! | `queue`, `inform` | the notifications that wait; retransmission of informs |
//! | `receiver` | SNMPv3 towards a target: engine discovery, times, keys |
//! | `message` | encoding of notifications, decoding of answers |
//! | `status` | the state of the targets, for `/status`, metrics and the operator |

pub(crate) mod event;
mod inform;
mod message;
mod queue;
mod receiver;
pub(crate) mod status;
mod target;
