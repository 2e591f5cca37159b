//! The draft of a plan: what the rules accept, before sizes are checked.

use std::collections::BTreeMap;

use master_config::{Document, Grant, Limits, Listeners, Oid, Violation};

use super::{
    access::Access,
    context::Contexts,
    object::{ObjectId, Objects, by_age},
    oid_space::OidSpace,
    quota::Quota,
    refusal::{FieldRefusal, Refusal},
    settings::Settings,
    subtree::{self, Planned},
    trap_target,
};

/// What the rules accept and refuse.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// The accepted subtrees, from the oldest to the youngest.
    pub(super) subtrees: Vec<Planned>,
    /// The contexts, sorted by name, without grants.
    pub(super) contexts: Vec<master_config::Context>,
    /// The users of all contexts, sorted by name.
    pub(super) users: Vec<master_config::User>,
    /// The accepted trap targets.
    pub(super) trap_targets: Vec<ObjectId>,
    /// The refusals: of contexts first, then of subtrees, then of trap targets.
    pub(super) refusals: Vec<Refusal>,
}

impl Draft {
    pub(super) fn new(objects: &Objects, settings: &Settings) -> Self {
        let mut draft = Self::default();
        let (contexts, served) = Contexts::new(objects, settings.default_context, &mut draft.refusals);
        let mut access = Access::new(&objects.secrets, &settings.system_namespace);
        for context in served {
            let (planned, refusals) = access.context(&context.id.name, &context.snmp_name, &context.spec);
            draft.contexts.push(planned);
            draft.refuse(&context.id, refusals);
        }
        draft.contexts.sort_by(|a, b| a.name.cmp(&b.name));
        draft.users = access.into_users();
        let mut space = OidSpace::default();
        let mut quota = Quota::new("SnmpSubtrees", settings.subtrees_per_namespace);
        for (id, subtree) in by_age(&objects.subtrees) {
            let admitted = quota.acquire(&id.namespace).map_err(|refusal| vec![refusal]);
            match admitted.and_then(|()| subtree::plan(subtree, &contexts, &mut space, settings)) {
                Ok(planned) => draft.subtrees.push(planned),
                Err(refusals) => draft.refuse(&id, refusals),
            }
        }
        let mut quota = Quota::new("SnmpTrapTargets", settings.targets_per_namespace);
        for (id, target) in by_age(&objects.trap_targets) {
            let admitted = quota.acquire(&id.namespace).map_err(|refusal| vec![refusal]);
            match admitted.and_then(|()| trap_target::check(target, &contexts, &settings.system_namespace)) {
                Ok(()) => draft.trap_targets.push(id),
                Err(refusals) => draft.refuse(&id, refusals),
            }
        }
        draft
    }

    fn refuse(&mut self, object: &ObjectId, refusals: Vec<FieldRefusal>) {
        self.refusals.extend(refusals.into_iter().map(|refusal| refusal.of(object)));
    }

    /// Refuses all trap targets, because nothing delivers to them yet.
    pub(super) fn refuse_trap_targets(&mut self) {
        for target in std::mem::take(&mut self.trap_targets) {
            self.refusals.push(FieldRefusal::not_served("spec", "trap targets are").of(&target));
        }
    }

    /// Returns the master's configuration as one document. Each accepted subtree has a grant in each of its contexts.
    ///
    /// # Errors
    /// Returns the violations if `listeners` is invalid; everything else was checked before.
    pub(super) fn master(&self, listeners: Listeners) -> Result<Document, Vec<Violation>> {
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
        document.validate().map(master_config::Valid::into_inner)
    }
}
