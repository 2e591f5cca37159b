//! The plan: the only translation from the API's objects to the documents of sidecars and masters. Pure.
//!
//! A plan is final: it has all documents and all refusals. They include the refusals of objects that are too large.

mod access;
mod api_path;
mod context;
mod credential;
mod documents;
mod draft;
mod endpoint;
mod object;
mod oid_space;
mod quota;
mod refusal;
mod secret;
mod selector;
mod settings;
pub(crate) mod shards;
mod source;
mod subtree;
mod translation;
mod trap_target;
mod usm;
mod value;
mod write;

use std::collections::BTreeMap;

use master_config::{Document, Violation};

pub use credential::{Credentials, Origin};
pub use documents::Documents;
pub use object::{Kind, ObjectId, Objects};
pub use refusal::{Reason, Refusal};
pub use secret::Secrets;
pub use settings::{Delivery, SYSTEM_NAMESPACE, Settings};
pub use subtree::Planned;

pub(crate) use context::{DEFAULT_CONTEXT, built_in, snmp_name};
pub(crate) use documents::{CA_KEY, SIDECAR_CONFIGURATION};
pub(crate) use selector::selects;
pub(crate) use settings::MAX_OBJECT_OCTETS;

use draft::Draft;

/// The configuration of all sidecars and masters.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The subtrees that are served, from the oldest to the youngest.
    pub subtrees: Vec<Planned>,
    /// The documents of the sidecars, by namespace.
    pub documents: BTreeMap<String, Documents>,
    /// The contexts, sorted by name, without grants: who can read and write them.
    pub contexts: Vec<master_config::Context>,
    /// The configuration of the masters: one document for files, and one per shard for a cluster. An error if the
    /// listeners are invalid.
    pub master: Result<Vec<Document>, Vec<Violation>>,
    /// The trap targets that are accepted.
    pub trap_targets: Vec<ObjectId>,
    /// Everything that is refused: contexts first, then subtrees, then trap targets, then objects that are too large.
    pub refusals: Vec<Refusal>,
}

/// Plans the configuration of all sidecars and masters.
#[must_use]
pub fn plan(objects: &Objects, settings: &Settings, delivery: &Delivery) -> Plan {
    let mut draft = Draft::new(objects, settings);
    let (documents, master) = match delivery {
        Delivery::Files { listeners } => {
            let documents = documents::fit(&mut draft, 0);
            draft.refuse_trap_targets();
            (documents, draft.master(listeners.clone()).map(|document| vec![document]))
        }
        Delivery::Cluster { listeners, reserved } => {
            let shards = shards::fit(&mut draft, listeners);
            let fitting = draft.subtrees.len();
            let documents = documents::fit(&mut draft, *reserved);
            // A subtree without a document has no grant either.
            let all_fit = draft.subtrees.len() == fitting;
            (documents, if all_fit { shards } else { shards::fit(&mut draft, listeners) })
        }
    };
    let Draft { subtrees, contexts, trap_targets, refusals, users: _ } = draft;
    Plan { subtrees, documents, contexts, master, trap_targets, refusals }
}

/// Returns what the rules refuse, without checking sizes. It costs less than a [`plan`].
pub(crate) fn check(objects: &Objects, settings: &Settings) -> Vec<Refusal> {
    Draft::new(objects, settings).refusals
}
