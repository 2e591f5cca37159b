//! Commands that other threads send to the agent thread.

use std::time::Instant;

use master_config::Limits;
use tokio::sync::oneshot;

use super::snapshot::Sessions;
use crate::{
    snmp::{Engine, SystemObjects},
    subagents::{authority::Grants, dispatch::Published},
};

/// A command to the agent thread.
#[derive(Debug)]
pub enum Command {
    /// Replaces the limits.
    SetLimits(Box<Limits>),
    /// Replaces the grants of all namespaces.
    SetGrants(Box<Grants>),
    /// Requests all sessions.
    Sessions(oneshot::Sender<Sessions>),
    /// Starts to answer managers.
    Activate(Box<ActiveEngine>),
    /// Stops answering managers. Requests in progress get no response.
    Deactivate(oneshot::Sender<()>),
    /// Requests the registrations of sessions over TLS, unless they have not changed since `known_revision`.
    Published {
        /// The last revision that the caller has seen.
        known_revision: Option<u64>,
        /// Receives the current revision, and all registrations if it differs from `known_revision`.
        reply: oneshot::Sender<(u64, Option<Vec<Published>>)>,
    },
}

/// The SNMP engine of the active replica.
#[derive(Debug)]
pub struct ActiveEngine {
    /// The engine in its current boot.
    pub engine: Engine,
    /// The objects that the master serves itself.
    pub objects: SystemObjects,
    /// When the engine started: sysUpTime is 0.
    pub started: Instant,
}
