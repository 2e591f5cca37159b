//! Tenants: which namespaces may publish under which OIDs, and in which SNMP context.

use std::collections::{BTreeMap, HashMap};

use crds::{FromNamespaces, LabelOperator, LabelRequirement, LabelSelector, SnmpContext, SnmpContextSpec};
use sidecar_config::Oid;

use super::{FieldRefusal, ObjectId, Objects, Reason, Refusal};

/// The SnmpContext that is there unless a manifest takes its place: the default SNMP context (RFC 3411), for all
/// namespaces, under `enterprises`.
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
    snmp_name: String,
    from: FromNamespaces,
    selector: LabelSelector,
    allowed_subtrees: Vec<Oid>,
}

impl<'a> Contexts<'a> {
    pub(super) fn new(objects: &'a Objects, refusals: &mut Vec<Refusal>) -> Self {
        let mut by_name = BTreeMap::new();
        let mut holders: HashMap<String, String> = HashMap::new();
        for context in &objects.contexts {
            let id = ObjectId::from(context);
            if by_name.contains_key(&id.name) {
                continue;
            }
            let (context, mut refused) = read(context, &id.name);
            if let Some(other) = holders.get(&context.snmp_name) {
                let message = format!("{:?} is the context of SnmpContext {other} already", context.snmp_name);
                refused.push(FieldRefusal::new(Reason::Conflict, "spec.contextName", message));
            } else {
                holders.insert(context.snmp_name.clone(), id.name.clone());
            }
            refusals.extend(refused.into_iter().map(|refusal| refusal.of(&id)));
            by_name.insert(id.name, context);
        }
        by_name.entry(DEFAULT_CONTEXT.to_owned()).or_insert_with(|| Context {
            snmp_name: String::new(),
            from: FromNamespaces::All,
            selector: LabelSelector::default(),
            allowed_subtrees: ENTERPRISES.parse().into_iter().collect(),
        });
        Self { by_name, namespaces: &objects.namespaces }
    }

    /// The SNMP name of the context `name`, for a subtree at `oid` of `namespace`.
    ///
    /// # Errors
    /// The context is not there, or does not admit the namespace or the OID.
    pub(super) fn admit(&self, name: &str, namespace: &str, oid: &Oid) -> Result<&str, (Reason, String)> {
        let Some(context) = self.by_name.get(name) else {
            return Err((Reason::NoSuchContext, format!("there is no SnmpContext {name}")));
        };
        let admitted = match context.from {
            FromNamespaces::All => true,
            FromNamespaces::None => false,
            FromNamespaces::Selector => self.selects(&context.selector, namespace),
        };
        if !admitted {
            return Err((Reason::NotAllowed, format!("SnmpContext {name} does not admit the namespace {namespace}")));
        }
        // Arc by arc: 1.3.6.1.4.1.1 is not above 1.3.6.1.4.1.12.
        if !context.allowed_subtrees.iter().any(|allowed| oid.starts_with(allowed)) {
            let allowed: Vec<_> = context.allowed_subtrees.iter().map(ToString::to_string).collect();
            let allowed = if allowed.is_empty() { "nothing".to_owned() } else { allowed.join(", ") };
            return Err((Reason::NotAllowed, format!("{oid} is not below what SnmpContext {name} allows: {allowed}")));
        }
        Ok(&context.snmp_name)
    }

    fn selects(&self, selector: &LabelSelector, namespace: &str) -> bool {
        let label = |key: &str| match key {
            NAME_LABEL => Some(namespace),
            key => self.namespaces.get(namespace).and_then(|labels| labels.get(key)).map(String::as_str),
        };
        let requirement = |LabelRequirement { key, operator, values }: &LabelRequirement| {
            let value = label(key);
            let among = value.is_some_and(|value| values.iter().any(|one| one.0 == value));
            match operator {
                LabelOperator::In => among,
                LabelOperator::NotIn => !among,
                LabelOperator::Exists => value.is_some(),
                LabelOperator::DoesNotExist => value.is_none(),
            }
        };
        selector.match_labels.iter().all(|(key, value)| label(key) == Some(value))
            && selector.match_expressions.iter().all(requirement)
    }
}

/// What of a context concerns subtrees, and what of it is refused.
fn read(context: &SnmpContext, name: &str) -> (Context, Vec<FieldRefusal>) {
    let SnmpContextSpec {
        context_name,
        allowed_namespaces,
        allowed_subtrees,
        communities,
        allowed_targets,
        system,
        users,
    } = &context.spec;
    let mut refusals = Vec::new();
    let not_served = [
        ("spec.allowedTargets", "targets are", !allowed_targets.is_empty()),
        ("spec.communities", "communities are", !communities.is_empty()),
        ("spec.system", "a context's own system group is", system.is_some()),
        ("spec.users", "users are", !users.is_empty()),
    ];
    for (path, what, _) in not_served.into_iter().filter(|(.., set)| *set) {
        refusals.push(FieldRefusal::not_served(path, what));
    }
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
        snmp_name: context_name.as_ref().map_or_else(|| name.to_owned(), |name| name.0.clone()),
        from: allowed_namespaces.from,
        selector: allowed_namespaces.selector.clone().unwrap_or_default(),
        allowed_subtrees: oids,
    };
    (context, refusals)
}
