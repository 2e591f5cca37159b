//! The replicas of a master in a Kubernetes cluster. Document and engine are in Secrets, and one replica is active.
//!
//! | module | content |
//! |---|---|
//! | `names` | names of the Secrets, the Lease and the pods of this master |
//! | `client`, `call` | the API client, and a timeout for each call |
//! | `shards`, `secret_source` | the document: joins its parts; watches its Secrets |
//! | `engine_record` | the persistent state of the SNMP engine: its format |
//! | `engine_store`, `engine_secret` | that state in a state directory; in a Secret |
//! | `leader` | the election of the active replica, by a Lease |
//! | `pod_label` | the label by which the Service finds the active replica |
//! | `replica` | combines these: notifies the main loop when this replica becomes active or standby |
//!
//! `shards`, `engine_record` and the decisions of `engine_secret` and `pod_label` do no I/O.

mod call;
mod client;
pub(crate) mod engine_record;
mod engine_secret;
pub(crate) mod engine_store;
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

pub(crate) use client::{ClientError, connect};
pub(crate) use engine_secret::EngineSecret;
pub(crate) use names::Names;
pub(crate) use names::pod_name;
pub(crate) use replica::engine;
pub(crate) use replica::{Replica, RoleChange};
pub(crate) use secret_source::SecretSource;
