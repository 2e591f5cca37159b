//! The master in a Kubernetes cluster: its documents and its engine are Secrets, and of its replicas one is active.
//!
//! | file | what |
//! |---|---|
//! | `names` | which Secrets, Lease and pods are this master's |
//! | `client`, `call` | the API server, with a bound on everything that is asked of it |
//! | `shards`, `secret_source` | the documents: joined; watched |
//! | `engine_secret` | the SNMP engine, kept in a Secret |
//! | `election`, `leader` | who is active: decided; by a Lease |
//! | `pod_label` | the label by which the Service finds the active one |
//! | `replica` | these together: when to answer managers, and when not |
//!
//! Decisions are pure (`shards`, `election`, what `engine_secret` and `pod_label` write); the rest calls.

mod call;
mod client;
mod election;
mod engine_secret;
#[cfg(test)]
mod fake_api;
mod leader;
mod names;
mod pod_label;
mod replica;
mod secret_source;
mod shards;
#[cfg(test)]
mod tests;

pub use call::CallError;
pub use client::{ClientError, connect};
pub use engine_secret::{EngineFault, EngineSecret};
pub use names::{NameError, Names, pod_name};
pub(crate) use replica::engine;
pub use replica::{Replica, Turn};
pub use secret_source::SecretSource;
