//! Leader election: the replica that holds a Lease (coordination.k8s.io/v1) leads.
//!
//! [`Candidate`] takes part in the election on a separate task. [`Leadership`] shows at any time whether this replica
//! leads. The rules are in the `election` module, a state machine without I/O; [`Policy`] holds their durations.

mod candidate;
mod election;
mod leadership;
mod policy;
mod request;

pub use candidate::{Candidate, Observer};
pub use election::Record;
pub use leadership::{Leadership, Term};
pub use policy::{OnRenewalFailure, Policy};
pub use request::{RequestError, Verb};
