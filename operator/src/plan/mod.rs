//! From the API's objects to the documents of sidecars and masters: the only translator between the two. Pure.

mod access;
mod api_path;
mod context;
mod credential;
mod endpoint;
mod oid_space;
mod secret;
mod selector;
mod source;
mod subtree;
mod trap_target;
mod usm;
mod value;
mod write;

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::Arc,
};

use crds::{SnmpContext, SnmpSubtree, SnmpTrapTarget};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use master_config::{Document, Grant, Limits, Listeners, Oid};

pub use context::DEFAULT_CONTEXT;
pub(crate) use context::{built_in, snmp_name};
pub use credential::{Credentials, Origin};
pub use secret::Secrets;
pub use selector::selects;

use access::Access;
use context::Contexts;
use oid_space::OidSpace;

/// Everything there is to plan, each list from the oldest to the youngest where no creation time says otherwise.
#[derive(Debug, Clone, Default)]
pub struct Objects {
    /// SnmpSubtrees.
    pub subtrees: Vec<Arc<SnmpSubtree>>,
    /// SnmpContexts.
    pub contexts: Vec<Arc<SnmpContext>>,
    /// SnmpTrapTargets.
    pub trap_targets: Vec<Arc<SnmpTrapTarget>>,
    /// Labels of namespaces. A namespace that is not listed has its name as its one label.
    pub namespaces: BTreeMap<String, BTreeMap<String, String>>,
    /// Secrets of the operator's own namespace, at least.
    pub secrets: Secrets,
}

/// What the operator is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The fewest arcs of a subtree's OID, so that no one claims a whole enterprise by accident.
    pub minimum_arcs: usize,
    /// The operator's own namespace, in which the Secrets of SnmpContexts are.
    pub system_namespace: String,
    /// Whether there is an SnmpContext [`DEFAULT_CONTEXT`] where nobody made one.
    pub default_context: bool,
    /// The most SnmpSubtrees of a namespace. The youngest over it are refused.
    pub subtrees_per_namespace: usize,
    /// The most SnmpTrapTargets of a namespace. The youngest over it are refused.
    pub targets_per_namespace: usize,
    /// Whether the operator writes ConfigMaps for sidecars; objects that need it are refused otherwise.
    pub writes: bool,
}

/// The operator's own namespace, unless it is told otherwise.
pub const SYSTEM_NAMESPACE: &str = "snmp-system";

impl Default for Settings {
    fn default() -> Self {
        Self {
            minimum_arcs: 8,
            system_namespace: SYSTEM_NAMESPACE.to_owned(),
            default_context: true,
            subtrees_per_namespace: 64,
            targets_per_namespace: 16,
            writes: false,
        }
    }
}

/// An object's kind: of the API, and what its objects refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "names of kinds")]
pub enum Kind {
    Secret,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// It can never work as it stands.
    Invalid,
    /// The API has it, and nothing serves it yet.
    NotServed,
    /// A context that it names is not there.
    NoSuchContext,
    /// A Secret that it names, or a key of it, is not there.
    NoSuchSecret,
    /// A context does not admit the namespace or the OID.
    NotAllowed,
    /// Another object holds what it asks for.
    Conflict,
    /// The namespace's configuration would be too large with it.
    TooLarge,
    /// The namespace has as many older ones as it may have.
    QuotaExceeded,
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
    pub document: sidecar_config::Valid,
    /// Files that must lie beside it.
    pub credentials: Credentials,
}

/// What comes of the objects.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The subtrees that are served, from the oldest to the youngest.
    pub subtrees: Vec<Planned>,
    /// The contexts, sorted by name, without grants: who may read what is in them.
    pub contexts: Vec<master_config::Context>,
    /// The users of all contexts, sorted by name.
    pub users: Vec<master_config::User>,
    /// The trap targets that could be delivered to.
    pub trap_targets: Vec<ObjectId>,
    /// All that is refused: contexts first, then subtrees, then trap targets.
    pub refusals: Vec<Refusal>,
}

impl Plan {
    /// The document of the masters. A subtree is granted what it was planned for; one that was taken out of the plan,
    /// nothing.
    ///
    /// # Errors
    /// What is wrong with `listeners`: the rest was checked as it was planned.
    pub fn master(&self, listeners: Listeners) -> Result<master_config::Valid, Vec<master_config::Violation>> {
        let mut granted = BTreeMap::<&str, BTreeMap<&str, Vec<Oid>>>::new();
        for Planned { document, .. } in &self.subtrees {
            for context in &document.contexts {
                let namespaces = granted.entry(context).or_default();
                namespaces.entry(&document.namespace).or_default().push(document.oid.clone());
            }
        }
        let grant = |(namespace, mut subtrees): (&str, Vec<Oid>)| {
            subtrees.sort_unstable();
            Grant { namespace: namespace.to_owned(), subtrees }
        };
        let mut contexts = self.contexts.clone();
        for context in &mut contexts {
            let namespaces = granted.remove(context.name.as_str()).unwrap_or_default();
            context.grants = namespaces.into_iter().map(grant).collect();
        }
        let document = Document {
            version: master_config::VERSION,
            listeners,
            limits: Limits::default(),
            contexts,
            users: self.users.clone(),
            targets: Vec::new(),
        };
        document.validate()
    }

    /// Refuses the trap targets: nothing delivers to them yet.
    pub fn refuse_targets(&mut self) {
        for target in std::mem::take(&mut self.trap_targets) {
            self.refusals.push(FieldRefusal::not_served("spec", "trap targets are").of(&target));
        }
    }
}

/// From the oldest to the youngest. What has no time yet is the youngest; where no time tells, the order of the input
/// does (sorting is stable).
fn age(metadata: &ObjectMeta) -> impl Ord + use<> {
    metadata.creation_timestamp.as_ref().map_or((true, None), |time| (false, Some(time.0)))
}

/// Plans the configuration of all sidecars and masters.
#[must_use]
pub fn plan(objects: &Objects, settings: &Settings) -> Plan {
    let mut plan = Plan::default();
    let (contexts, served) = Contexts::new(objects, settings.default_context, &mut plan.refusals);
    let mut access = Access::new(&objects.secrets, &settings.system_namespace);
    for context in served {
        let (planned, refusals) = access.context(&context.id.name, &context.snmp_name, &context.spec);
        plan.contexts.push(planned);
        plan.refusals.extend(refusals.into_iter().map(|refusal| refusal.of(&context.id)));
    }
    plan.contexts.sort_by(|a, b| a.name.cmp(&b.name));
    plan.users = access.into_users();
    let mut space = OidSpace::default();
    let mut quota = Quota::new("SnmpSubtrees", settings.subtrees_per_namespace);
    for (id, subtree) in by_age(&objects.subtrees) {
        let planned = quota.take(&id.namespace).map_err(|refusal| vec![refusal]);
        match planned.and_then(|()| subtree::plan(subtree, &contexts, &mut space, settings)) {
            Ok(planned) => plan.subtrees.push(planned),
            Err(refusals) => plan.refusals.extend(refusals.into_iter().map(|refusal| refusal.of(&id))),
        }
    }
    let mut quota = Quota::new("SnmpTrapTargets", settings.targets_per_namespace);
    for (id, target) in by_age(&objects.trap_targets) {
        let checked = quota.take(&id.namespace).map_err(|refusal| vec![refusal]);
        match checked.and_then(|()| trap_target::check(target, &contexts, &settings.system_namespace)) {
            Ok(()) => plan.trap_targets.push(id),
            Err(refusals) => plan.refusals.extend(refusals.into_iter().map(|refusal| refusal.of(&id))),
        }
    }
    plan
}

/// The objects from the oldest to the youngest, each once.
fn by_age<T: kube::ResourceExt>(objects: &[Arc<T>]) -> impl Iterator<Item = (ObjectId, &T)>
where
    for<'t> ObjectId: From<&'t T>,
{
    let mut objects: Vec<_> = objects.iter().map(Arc::as_ref).collect();
    objects.sort_by_key(|object| age(object.meta()));
    let mut known = HashSet::new();
    objects.into_iter().filter_map(move |object| {
        let id = ObjectId::from(object);
        known.insert(id.clone()).then_some((id, object))
    })
}

/// How many objects of a kind a namespace may have, so that none takes up all the room there is.
struct Quota {
    what: &'static str,
    most: usize,
    taken: BTreeMap<String, usize>,
}

impl Quota {
    fn new(what: &'static str, most: usize) -> Self {
        Self { what, most, taken: BTreeMap::new() }
    }

    fn take(&mut self, namespace: &str) -> Result<(), FieldRefusal> {
        let taken = self.taken.entry(namespace.to_owned()).or_default();
        if *taken >= self.most {
            let Self { what, most, .. } = self;
            let message = format!("the namespace {namespace} has {most} older {what}, as many as it may have");
            return Err(FieldRefusal::new(Reason::QuotaExceeded, "metadata.namespace", message));
        }
        *taken += 1;
        Ok(())
    }
}
