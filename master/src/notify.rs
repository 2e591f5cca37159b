//! Notifications: from the Notify of a subagent to the traps and informs of the targets.
//!
//! | module | does |
//! |---|---|
//! | `book` | the alarms, and which sessions have raised them; without I/O |
//! | `table` | the alarm table, which the engine serves in each context |
//! | `record` | the alarms that survive a restart |
//! | `driver` | the thread `notify` |
//! | `event` | what the book hands to the targets |
//! | `status` | the state of the targets, for `/status`, metrics and the operator |

mod book;
pub mod driver;
pub(crate) mod event;
pub(crate) mod record;
pub(crate) mod status;
pub mod table;
