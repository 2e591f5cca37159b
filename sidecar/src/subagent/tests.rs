//! Subagents against masters that tests play.

mod hang;
mod heartbeat;
mod links;
mod masters;
mod peer;
mod renewals;
mod tls;
mod tls_master;
