//! Subagents against masters that tests play.

mod heartbeat;
mod links;
mod masters;
mod peer;
