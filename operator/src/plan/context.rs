//! Tenants: which namespaces may publish under which OIDs, and in which SNMP context.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crds::{AllowedNamespaces, FromNamespaces, LabelSelector, SnmpContext, SnmpContextSpec};
use master_config::IpNet;
use sidecar_config::Oid;

use super::{FieldRefusal, ObjectId, Objects, Reason, Refusal, age, selector::selects};

/// The SnmpContext that is there unless another takes its name or its place: the default SNMP context (RFC 3411), for
/// all namespaces, under `enterprises`. No one may read it.
pub const DEFAULT_CONTEXT: &str = "default";
const ENTERPRISES: &str = "1.3.6.1.4.1";
/// The label that Kubernetes gives to every namespace.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// The contexts there are.
pub(super) struct Contexts<'a> {
    by_name: BTreeMap<String, Context>,
    namespaces: &'a BTreeMap<String, BTreeMap<String, String>>,
}

struct Context {
    /// `None` where another SnmpContext has the name.
    snmp_name: Option<String>,
    from: FromNamespaces,
    selector: LabelSelector,
    allowed_subtrees: Vec<Oid>,
    allowed_targets: Vec<IpNet>,
}

/// A context that there is.
pub(super) struct Served {
    pub(super) id: ObjectId,
    pub(super) snmp_name: String,
    pub(super) spec: SnmpContextSpec,
}

impl<'a> Contexts<'a> {
    /// The contexts, also as a list from the oldest to the youngest. With `default`, the context [`DEFAULT_CONTEXT`] is
    /// there unless another is in its place.
    pub(super) fn new(objects: &'a Objects, default: bool, refusals: &mut Vec<Refusal>) -> (Self, Vec<Served>) {
        let mut contexts: Vec<_> = objects.contexts.iter().map(Arc::as_ref).collect();
        contexts.sort_by_key(|context| age(&context.metadata));
        let built_in = built_in();
        if default && !contexts.iter().any(|context| snmp_name(context).is_empty()) {
            // The youngest, and so no one's rival.
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
                let message = format!("{snmp_name:?} is the context of SnmpContext {other} already");
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

    /// The SNMP name of the context `name`, for a subtree at `oid` of `namespace`.
    ///
    /// # Errors
    /// The context is not there, or does not admit the namespace or the OID.
    pub(super) fn admit(&self, name: &str, namespace: &str, oid: &Oid) -> Result<&str, (Reason, String)> {
        let context = self.joined(name, Some(namespace))?;
        // Arc by arc: 1.3.6.1.4.1.1 is not above 1.3.6.1.4.1.12.
        if !context.allowed_subtrees.iter().any(|allowed| oid.starts_with(allowed)) {
            let allowed: Vec<_> = context.allowed_subtrees.iter().map(ToString::to_string).collect();
            let allowed = if allowed.is_empty() { "nothing".to_owned() } else { allowed.join(", ") };
            return Err((Reason::NotAllowed, format!("{oid} is not below what SnmpContext {name} allows: {allowed}")));
        }
        context.snmp_name.as_deref().ok_or_else(|| itself_refused(name))
    }

    /// The networks in which targets of the context `name` may be, for one of `namespace`, or of the operator's own.
    ///
    /// # Errors
    /// The context is not there, or does not admit the namespace.
    pub(super) fn targets(&self, name: &str, namespace: Option<&str>) -> Result<&[IpNet], (Reason, String)> {
        let context = self.joined(name, namespace)?;
        if context.snmp_name.is_none() {
            return Err(itself_refused(name));
        }
        Ok(&context.allowed_targets)
    }

    /// The context `name`, if it admits `namespace`.
    fn joined(&self, name: &str, namespace: Option<&str>) -> Result<&Context, (Reason, String)> {
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

fn itself_refused(name: &str) -> (Reason, String) {
    (Reason::NotAllowed, format!("SnmpContext {name} is itself refused"))
}

/// The context that there is unless another takes its name or its place. No one may read it.
pub(crate) fn built_in() -> SnmpContext {
    let spec = SnmpContextSpec {
        context_name: Some("".into()),
        allowed_namespaces: AllowedNamespaces { from: FromNamespaces::All, selector: None },
        allowed_subtrees: vec![ENTERPRISES.into()],
        ..SnmpContextSpec::default()
    };
    SnmpContext::new(DEFAULT_CONTEXT, spec)
}

/// The name of the SNMP context that `context` stands for.
pub(crate) fn snmp_name(context: &SnmpContext) -> String {
    let name = || context.metadata.name.clone().unwrap_or_default();
    context.spec.context_name.as_ref().map_or_else(name, |name| name.0.clone())
}

/// What of a context concerns subtrees, and what of that is refused.
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
        // One that cannot be read is refused with the rest of who may read the context.
        allowed_targets: context.spec.allowed_targets.iter().filter_map(|network| network.parse().ok()).collect(),
    };
    (context, refusals)
}
