//! SETs (RFC 2741 section 7.2.4, RFC 3416 section 4.2.5): checks and writes the values that a manager sets, and
//! restores the previous values if necessary.
//!
//! Sessions hand every step to the [`SetCoordinator`] on the main thread and keep answering reads. Each connection has
//! one task that carries out the steps in order: a test checks everything and changes nothing, a commit writes all
//! objects or none, an undo restores the previous values. Before it writes, a commit records the previous values in the
//! journal in the state directory, so that they can be restored after a crash.

mod backend;
mod coordinator;
mod counts;
mod journal;
mod overlay;
mod recovery;
mod shared;
mod step;
mod target;
#[cfg(test)]
mod tests;
mod text;
mod transaction;

pub(crate) use backend::{Backends, OperatorEndpoint, OperatorUrl};
pub(crate) use coordinator::SetCoordinator;
pub(crate) use counts::SetCounts;
pub(crate) use overlay::Overlay;
pub(crate) use shared::WritableSubtree;
pub(crate) use step::{SetStep, StepRequest, StepResult};
pub(crate) use target::Target;
