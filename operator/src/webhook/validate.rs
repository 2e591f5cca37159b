//! Validation of API objects, by the same code that plans them. Pure.
//!
//! An object that can never work is refused. A problem that can go away, such as a missing context, is a warning, because
//! manifests can be applied in any order.

use std::{collections::BTreeSet, fmt::Display, sync::Arc};

use crds::{GROUP, SnmpContext, SnmpSubtree, SnmpTrapTarget};
use serde_json::{Value as Json, json};

use super::review::{AdmissionRequest, AdmissionResponse};
use crate::plan::{self, Kind, ObjectId, Objects, Reason, Refusal, Settings};

/// The maximum number of causes in a refusal.
const CAUSES: usize = 64;
/// The maximum number of other objects that a warning names.
const AFFECTED: usize = 8;

/// The outcome of a validation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// The object is allowed.
    Allowed,
    /// The object is allowed with warnings.
    Warned,
    /// The object is refused.
    Refused,
    /// The spec has not changed, or the object is being deleted.
    Unchanged,
    /// The request is not about an object that this webhook validates.
    NotApplicable,
    /// The validation failed, and the object is allowed.
    Failed,
}

impl Outcome {
    /// Returns the name of the outcome in metrics.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Warned => "warned",
            Self::Refused => "refused",
            Self::Unchanged => "unchanged",
            Self::NotApplicable => "not_applicable",
            Self::Failed => "failed",
        }
    }
}

/// Validates the object of the request together with all existing `objects`.
pub(crate) fn validate(
    review: &AdmissionRequest<'_>,
    objects: impl FnOnce() -> Objects,
    settings: &Settings,
) -> (Outcome, AdmissionResponse) {
    let AdmissionRequest { object, old_object, .. } = review;
    if !matches!(review.operation, "CREATE" | "UPDATE") || !review.sub_resource.is_empty() {
        return (Outcome::NotApplicable, AdmissionResponse::default());
    }
    let is_being_deleted = object.pointer("/metadata/deletionTimestamp").is_some_and(|time| !time.is_null());
    if is_being_deleted || (review.operation == "UPDATE" && object.get("spec") == old_object.get("spec")) {
        // An invalid spec must not prevent users from changing labels or removing finalizers.
        return (Outcome::Unchanged, AdmissionResponse::default());
    }
    let mut object = (*object).clone();
    complete(&mut object, review.namespace);
    let findings = match review.kind {
        "SnmpSubtree" => read(object).map(|subtree: SnmpSubtree| check(subtree, objects(), settings)),
        "SnmpContext" => read(object).map(|context: SnmpContext| check(context, objects(), settings)),
        "SnmpTrapTarget" => read(object).map(|target: SnmpTrapTarget| check(target, objects(), settings)),
        _ => return (Outcome::NotApplicable, AdmissionResponse::default()),
    };
    let Findings { refused, warnings } =
        findings.unwrap_or_else(|cause| Findings { refused: vec![cause], warnings: Vec::new() });
    let refusal = (!refused.is_empty()).then(|| status(review, &refused));
    let outcome = match (&refusal, warnings.is_empty()) {
        (Some(_), _) => Outcome::Refused,
        (None, false) => Outcome::Warned,
        (None, true) => Outcome::Allowed,
    };
    (outcome, AdmissionResponse { patch: Vec::new(), warnings, refusal })
}

/// The path of a field, and what is wrong with it.
type Cause = (String, String);

/// What a validation found.
struct Findings {
    refused: Vec<Cause>,
    warnings: Vec<String>,
}

/// Adds what the API server adds before it stores the object: a generated name, and the namespace.
fn complete(object: &mut Json, namespace: &str) {
    let Some(metadata) = object.get_mut("metadata").and_then(Json::as_object_mut) else { return };
    if !metadata.contains_key("name") {
        let stem = metadata.get("generateName").and_then(Json::as_str).unwrap_or_default();
        metadata.insert("name".to_owned(), format!("{stem}xxxxx").into());
    }
    if !namespace.is_empty() {
        metadata.insert("namespace".to_owned(), namespace.into());
    }
}

fn read<T: serde::de::DeserializeOwned>(object: Json) -> Result<T, Cause> {
    serde_path_to_error::deserialize(object).map_err(|error| (error.path().to_string(), error.inner().to_string()))
}

/// A kind of the API, and its list in [`Objects`].
trait Listed: Sized {
    const KIND: Kind;
    fn list(objects: &mut Objects) -> &mut Vec<Arc<Self>>;
}

macro_rules! listed {
    ($($kind:ident $list:ident;)*) => {
        $(impl Listed for $kind {
            const KIND: Kind = Kind::$kind;
            fn list(objects: &mut Objects) -> &mut Vec<Arc<Self>> {
                &mut objects.$list
            }
        })*
    };
}

listed! {
    SnmpSubtree subtrees;
    SnmpContext contexts;
    SnmpTrapTarget trap_targets;
}

fn check<T: Listed>(object: T, mut objects: Objects, settings: &Settings) -> Findings
where
    for<'t> ObjectId: From<&'t T>,
{
    let id = ObjectId::from(&object);
    // Only a change of a context can affect other objects. Of two subtrees, the older one has precedence.
    let before = (T::KIND == Kind::SnmpContext).then(|| plan::check(&objects, settings));
    let list = T::list(&mut objects);
    match list.iter_mut().find(|other| ObjectId::from(&***other) == id) {
        Some(existing) => *existing = Arc::new(object),
        None => list.push(Arc::new(object)),
    }
    let after = plan::check(&objects, settings);
    let mut findings = Findings { refused: Vec::new(), warnings: Vec::new() };
    for refusal in after.iter().filter(|refusal| refusal.object == id) {
        let Refusal { path, message, .. } = refusal;
        if is_permanent(refusal) {
            findings.refused.push((path.clone(), message.clone()));
        } else {
            findings.warnings.push(format!("{path}: {message}"));
        }
    }
    if let Some(before) = before {
        findings.warnings.extend(newly_refused(&id, &before, &after));
    }
    findings
}

/// Returns whether only a change of the object itself can remove the cause.
fn is_permanent(refusal: &Refusal) -> bool {
    match refusal.reason {
        // An invalid Secret can be corrected without a change of the object.
        Reason::Invalid => !refusal.path.ends_with("secretRef"),
        Reason::NotServed => true,
        _ => false,
    }
}

/// Returns warnings for other objects that are refused because of the change.
fn newly_refused(id: &ObjectId, before: &[Refusal], after: &[Refusal]) -> Vec<String> {
    let refused = |refusals: &[Refusal]| refusals.iter().map(|refusal| refusal.object.clone()).collect::<BTreeSet<_>>();
    let affected: Vec<_> = refused(after).difference(&refused(before)).filter(|other| *other != id).cloned().collect();
    let warning = |other: &ObjectId| {
        let refusal = after.iter().find(|refusal| refusal.object == *other);
        let message = refusal.map_or("", |refusal| refusal.message.as_str());
        format!("{other} will no longer be served: {message}")
    };
    let mut warnings: Vec<_> = affected.iter().take(AFFECTED).map(warning).collect();
    if let Some(more) = affected.len().checked_sub(AFFECTED).filter(|more| *more > 0) {
        warnings.push(format!("and {more} more objects will no longer be served"));
    }
    warnings
}

/// Returns the Status of a refusal, in the form of the API server's own validation, so that `kubectl` shows each field.
fn status(review: &AdmissionRequest<'_>, refused: &[Cause]) -> Json {
    let name = review.object.pointer("/metadata/name").and_then(Json::as_str).unwrap_or_default();
    let cause = |(path, message): &Cause| json!({"reason": "FieldValueInvalid", "message": message, "field": path});
    let mut causes: Vec<_> = refused.iter().take(CAUSES).map(cause).collect();
    let mut lines: Vec<_> = refused.iter().take(CAUSES).map(|(path, message)| field(path, message)).collect();
    if let Some(more) = refused.len().checked_sub(CAUSES).filter(|more| *more > 0) {
        let message = format!("{more} more reasons");
        causes.push(json!({"reason": "FieldValueInvalid", "message": message, "field": ""}));
        lines.push(message);
    }
    json!({
        "status": "Failure",
        "code": 422,
        "reason": "Invalid",
        "message": format!("{} {name:?} is invalid: {}", review.kind, lines.join(", ")),
        "details": {"group": GROUP, "kind": review.kind, "name": name, "causes": causes},
    })
}

fn field(path: &str, message: impl Display) -> String {
    if path.is_empty() { message.to_string() } else { format!("{path}: {message}") }
}

#[cfg(test)]
mod tests;
