//! Contexts: which namespaces can publish which OIDs in which SNMP context.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crds::{AllowedNamespaces, FromNamespaces, LabelSelector, SnmpContext, SnmpContextSpec};
use master_config::IpNet;
use sidecar_config::Oid;

use super::{
    object::{ObjectId, Objects, age},
    refusal::{FieldRefusal, Reason, Refusal},
    selector::selects,
};

/// The name of the built-in SnmpContext. It stands for the default SNMP context (RFC 3411) and admits all namespaces below
/// `enterprises`. It grants nobody access.
pub(crate) const DEFAULT_CONTEXT: &str = "default";
const ENTERPRISES: &str = "1.3.6.1.4.1";
/// The label that Kubernetes sets on every namespace.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// All contexts.
pub(super) struct Contexts<'a> {
    by_name: BTreeMap<String, Context>,
    namespaces: &'a BTreeMap<String, BTreeMap<String, String>>,
}

struct Context {
    /// `None` if an older SnmpContext has the same name.
    snmp_name: Option<String>,
    from: FromNamespaces,
    selector: LabelSelector,
    allowed_subtrees: Vec<Oid>,
    allowed_targets: Vec<IpNet>,
}

/// A context that the masters serve.
pub(super) struct Served {
    pub(super) id: ObjectId,
    pub(super) snmp_name: String,
    pub(super) spec: SnmpContextSpec,
}

impl<'a> Contexts<'a> {
    /// Returns the contexts, and those that are served from the oldest to the youngest. With `default`, they include the
    /// built-in context, unless another SnmpContext has its name or stands for the same SNMP context.
    pub(super) fn new(objects: &'a Objects, default: bool, refusals: &mut Vec<Refusal>) -> (Self, Vec<Served>) {
        let mut contexts: Vec<_> = objects.contexts.iter().map(Arc::as_ref).collect();
        contexts.sort_by_key(|context| age(&context.metadata));
        let built_in = built_in();
        if default && !contexts.iter().any(|context| snmp_name(context).is_empty()) {
            // As the youngest, it never conflicts with another.
            contexts.push(&built_in);
        }
        let mut by_name = BTreeMap::new();
        let mut served: Vec<Served> = Vec::new();
        let mut holders: HashMap<String, String> = HashMap::new();
        for context in contexts {
            let id = ObjectId::from(context);
            if by_name.contains_key(&id.name) {
                continue;
            }
            let snmp_name = snmp_name(context);
            let (mut read, mut refused) = read(context);
            if let Some(other) = holders.get(&snmp_name) {
                let message = format!("SnmpContext {other} already has the context name {snmp_name:?}");
                refused.push(FieldRefusal::new(Reason::Conflict, "spec.contextName", message));
            } else {
                holders.insert(snmp_name.clone(), id.name.clone());
                served.push(Served { id: id.clone(), snmp_name: snmp_name.clone(), spec: context.spec.clone() });
                read.snmp_name = Some(snmp_name);
            }
            refusals.extend(refused.into_iter().map(|refusal| refusal.of(&id)));
            by_name.insert(id.name, read);
        }
        (Self { by_name, namespaces: &objects.namespaces }, served)
    }

    /// Returns the SNMP name of the context `name`, for a subtree of `namespace` at `oid`.
    ///
    /// # Errors
    /// Returns a refusal if the context does not exist, or does not admit the namespace or the OID.
    pub(super) fn admit(&self, name: &str, namespace: &str, oid: &Oid) -> Result<&str, (Reason, String)> {
        let context = self.admitting(name, Some(namespace))?;
        // OIDs are compared arc by arc: 1.3.6.1.4.1.1 does not contain 1.3.6.1.4.1.12.
        if !context.allowed_subtrees.iter().any(|allowed| oid.starts_with(allowed)) {
            let allowed: Vec<_> = context.allowed_subtrees.iter().map(ToString::to_string).collect();
            let allowed = if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
            let message = format!("{oid} is not at or below a subtree that SnmpContext {name} allows: {allowed}");
            return Err((Reason::NotAllowed, message));
        }
        context.snmp_name.as_deref().ok_or_else(|| context_refused(name))
    }

    /// Returns the networks that trap targets of the context `name` can be in. With `None`, the namespace is not checked.
    ///
    /// # Errors
    /// Returns a refusal if the context does not exist, or does not admit the namespace.
    pub(super) fn targets(&self, name: &str, namespace: Option<&str>) -> Result<&[IpNet], (Reason, String)> {
        let context = self.admitting(name, namespace)?;
        if context.snmp_name.is_none() {
            return Err(context_refused(name));
        }
        Ok(&context.allowed_targets)
    }

    /// Returns the context `name` if it admits `namespace`.
    fn admitting(&self, name: &str, namespace: Option<&str>) -> Result<&Context, (Reason, String)> {
        let Some(context) = self.by_name.get(name) else {
            return Err((Reason::NoSuchContext, format!("there is no SnmpContext {name}")));
        };
        let Some(namespace) = namespace else { return Ok(context) };
        let admitted = match context.from {
            FromNamespaces::All => true,
            FromNamespaces::None => false,
            FromNamespaces::Selector => self.selects(&context.selector, namespace),
        };
        let denied = || (Reason::NotAllowed, format!("SnmpContext {name} does not admit the namespace {namespace}"));
        if admitted { Ok(context) } else { Err(denied()) }
    }

    fn selects(&self, selector: &LabelSelector, namespace: &str) -> bool {
        let label = |key: &str| match key {
            NAME_LABEL => Some(namespace),
            key => self.namespaces.get(namespace).and_then(|labels| labels.get(key)).map(String::as_str),
        };
        selects(selector, label)
    }
}

fn context_refused(name: &str) -> (Reason, String) {
    (Reason::NotAllowed, format!("SnmpContext {name} is refused: see its conditions"))
}

/// Returns the built-in context, to which nobody has access.
pub(crate) fn built_in() -> SnmpContext {
    let spec = SnmpContextSpec {
        context_name: Some("".into()),
        allowed_namespaces: AllowedNamespaces { from: FromNamespaces::All, selector: None },
        allowed_subtrees: vec![ENTERPRISES.into()],
        ..SnmpContextSpec::default()
    };
    SnmpContext::new(DEFAULT_CONTEXT, spec)
}

/// Returns the name of the SNMP context that `context` stands for.
pub(crate) fn snmp_name(context: &SnmpContext) -> String {
    let name = || context.metadata.name.clone().unwrap_or_default();
    context.spec.context_name.as_ref().map_or_else(name, |name| name.0.clone())
}

/// Reads the parts of a context that concern subtrees and trap targets. Returns the refused parts as well.
fn read(context: &SnmpContext) -> (Context, Vec<FieldRefusal>) {
    let SnmpContextSpec { allowed_namespaces, allowed_subtrees, .. } = &context.spec;
    let mut refusals = Vec::new();
    let mut oids = Vec::new();
    for (i, text) in allowed_subtrees.iter().enumerate() {
        match text.parse() {
            Ok(oid) => oids.push(oid),
            Err(error) => {
                let path = format!("spec.allowedSubtrees[{i}]");
                refusals.push(FieldRefusal::new(Reason::Invalid, path, format!("{error}")));
            }
        }
    }
    let context = Context {
        snmp_name: None,
        from: allowed_namespaces.from,
        selector: allowed_namespaces.selector.clone().unwrap_or_default(),
        allowed_subtrees: oids,
        // An invalid network is refused where the access to the context is translated.
        allowed_targets: context.spec.allowed_targets.iter().filter_map(|network| network.parse().ok()).collect(),
    };
    (context, refusals)
}
