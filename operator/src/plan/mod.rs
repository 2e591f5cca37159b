//! From the API's objects to the documents of the sidecars: the only translator between the two. Pure.

mod api_path;
mod context;
mod credential;
mod oid_space;
mod source;
mod subtree;
mod value;

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
};

use crds::{SnmpContext, SnmpSubtree, SnmpTrapTarget};
use sidecar_config::Valid;

pub use context::DEFAULT_CONTEXT;
pub use credential::{Credentials, Origin};

use context::Contexts;
use oid_space::OidSpace;

/// Everything there is to plan, each list from the oldest to the youngest where no creation time says otherwise.
#[derive(Debug, Clone, Default)]
pub struct Objects {
    /// SnmpSubtrees.
    pub subtrees: Vec<SnmpSubtree>,
    /// SnmpContexts.
    pub contexts: Vec<SnmpContext>,
    /// SnmpTrapTargets.
    pub trap_targets: Vec<SnmpTrapTarget>,
    /// Labels of namespaces. A namespace that is not listed has its name as its one label.
    pub namespaces: BTreeMap<String, BTreeMap<String, String>>,
}

/// What the operator is set to.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The fewest arcs of a subtree's OID, so that no one claims a whole enterprise by accident.
    pub minimum_arcs: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { minimum_arcs: 8 }
    }
}

/// An object's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(clippy::enum_variant_names, missing_docs, reason = "the kinds of the API")]
pub enum Kind {
    SnmpContext,
    SnmpSubtree,
    SnmpTrapTarget,
}

/// Names an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; empty for a kind without.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, namespace, name } = self;
        write!(f, "{kind:?} {namespace}{}{name}", if namespace.is_empty() { "" } else { "/" })
    }
}

impl From<&SnmpSubtree> for ObjectId {
    fn from(subtree: &SnmpSubtree) -> Self {
        let namespace = subtree.metadata.namespace.clone().unwrap_or_default();
        Self { kind: Kind::SnmpSubtree, namespace, name: subtree.metadata.name.clone().unwrap_or_default() }
    }
}

impl From<&SnmpContext> for ObjectId {
    fn from(context: &SnmpContext) -> Self {
        let name = context.metadata.name.clone().unwrap_or_default();
        Self { kind: Kind::SnmpContext, namespace: String::new(), name }
    }
}

impl From<&SnmpTrapTarget> for ObjectId {
    fn from(target: &SnmpTrapTarget) -> Self {
        let namespace = target.metadata.namespace.clone().unwrap_or_default();
        Self { kind: Kind::SnmpTrapTarget, namespace, name: target.metadata.name.clone().unwrap_or_default() }
    }
}

/// Why something is refused, in one word: the reason of the condition `Accepted`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It can never work as it stands.
    Invalid,
    /// The API has it, and nothing serves it yet.
    NotServed,
    /// A context that it names is not there.
    NoSuchContext,
    /// A context does not admit the namespace or the OID.
    NotAllowed,
    /// Another object holds what it asks for.
    Conflict,
    /// The namespace's configuration would be too large with it.
    TooLarge,
}

/// One reason for which an object is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The object.
    pub object: ObjectId,
    /// Why, in one word.
    pub reason: Reason,
    /// The field, as `spec.scalars[3].value.source`.
    pub path: String,
    /// Why, in a sentence.
    pub message: String,
}

/// A field's refusal, of an object that the caller knows.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FieldRefusal {
    reason: Reason,
    path: String,
    message: String,
}

impl FieldRefusal {
    fn new(reason: Reason, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason, path: path.into(), message: message.into() }
    }

    /// A field that the API has and nothing serves yet.
    fn not_served(path: impl Into<String>, what: &str) -> Self {
        Self::new(Reason::NotServed, path, format!("{what} not served yet"))
    }

    fn of(self, object: &ObjectId) -> Refusal {
        let Self { reason, path, message } = self;
        Refusal { object: object.clone(), reason, path, message }
    }
}

/// A subtree that is served.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// The document that the namespace's sidecars get.
    pub document: Valid,
    /// Files that must lie beside it.
    pub credentials: Credentials,
}

/// What comes of the objects.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The subtrees that are served, from the oldest to the youngest.
    pub subtrees: Vec<Planned>,
    /// All that is refused: contexts first, then subtrees, then trap targets.
    pub refusals: Vec<Refusal>,
}

/// Plans the configuration of all sidecars.
#[must_use]
pub fn plan(objects: &Objects, settings: Settings) -> Plan {
    let mut plan = Plan::default();
    let contexts = Contexts::new(objects, &mut plan.refusals);
    let mut space = OidSpace::default();
    let mut subtrees: Vec<_> = objects.subtrees.iter().collect();
    // Stable: where no time tells, the order of the input does. What has no time yet is the youngest.
    subtrees.sort_by_key(|subtree| {
        subtree.metadata.creation_timestamp.as_ref().map_or((true, None), |time| (false, Some(time.0)))
    });
    let mut known = HashSet::new();
    for subtree in subtrees {
        let id = ObjectId::from(subtree);
        if !known.insert(id.clone()) {
            continue;
        }
        match subtree::plan(subtree, &contexts, &mut space, settings) {
            Ok(planned) => plan.subtrees.push(planned),
            Err(refusals) => plan.refusals.extend(refusals.into_iter().map(|refusal| refusal.of(&id))),
        }
    }
    for target in &objects.trap_targets {
        plan.refusals.push(FieldRefusal::not_served("spec", "trap targets are").of(&ObjectId::from(target)));
    }
    plan
}
