//! The AgentX session (RFC 2741 section 7) without I/O: [`Session`] takes octets and the time, and yields octets.
//!
//! A session answers requests only from the [`MibView`](crate::view::MibView)s of its exports, within the call that
//! delivered them. [`crate::subagent`] drives sessions over sockets.

mod answer;
mod capabilities;
mod catalogue;
mod counters;
mod forward;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod machine;
mod read_only;
mod registrations;
#[cfg(test)]
mod tests;

pub(crate) use counters::{Counters, Counts};
pub(crate) use machine::{End, Input, Session, State};
pub(crate) use registrations::{Progress, Registration};
