//! Notifications: from the Notify of a subagent to the traps and informs of the targets.
//!
//! | module | does |
//! |---|---|
//! | `book` | the alarms, and which sessions have raised them; without I/O |
//! | `table` | the alarm table, which the engine serves in each context |
//! | `record` | the alarms that survive a restart |
//! | `driver` | the thread `notify` |
//! | `counts` | counters of targets |
//! | `event` | what the book hands to the targets |
//! | `delivery` | sockets, name resolution and timers of the targets |
//! | `target` | a target: what it hears, its queue, and what is sent to it when |
//! | `queue`, `inform` | the notifications that wait; retransmission of informs |
//! | `receiver` | SNMPv3 towards a target: engine discovery, times, keys |
//! | `message` | encoding of notifications, decoding of answers |
//! | `status` | the state of the targets, for `/status`, metrics and the operator |

mod book;
pub(crate) mod counts;
mod delivery;
pub mod driver;
pub(crate) mod event;
mod inform;
mod message;
mod queue;
mod receiver;
pub(crate) mod record;
pub(crate) mod status;
pub mod table;
mod target;
