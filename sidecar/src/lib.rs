//! The sidecar: an AgentX subagent in the application's pod.
//!
//! [`source`]s yield [`sample`]s. `mapping` turns samples into the instances of a `view`. `subagent` answers the
//! master from views, and `set` writes what the master sets.

pub mod cli;
mod commands;
mod config;
mod mapping;
mod observability;
pub mod run;
pub mod sample;
mod set;
pub mod source;
mod state;
mod subagent;
mod subtree;
mod task;
mod view;

#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub use subagent::session::fuzz::fuzz as fuzz_session;
