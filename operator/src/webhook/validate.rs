//! Whether an object of the API could ever work, judged by the very code that plans it. Pure.
//!
//! What may come right later, as a context that is not there yet, is told and allowed: manifests come in any order.

use std::{collections::BTreeSet, fmt::Display, sync::Arc};

use crds::{GROUP, SnmpContext, SnmpSubtree, SnmpTrapTarget};
use serde_json::{Value as Json, json};

use super::review::{Review, Verdict};
use crate::plan::{self, Kind, ObjectId, Objects, Plan, Reason, Refusal, Settings};

/// Most reasons that a refusal lists.
const CAUSES: usize = 64;
/// Most others that are named which a change takes something from.
const LOSERS: usize = 8;

/// What became of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// All is well.
    Allowed,
    /// Allowed, with something to tell.
    Warned,
    /// Refused.
    Refused,
    /// What it asks for is what it asked for before.
    Unchanged,
    /// It is not about an object that this program judges.
    NotApplicable,
    /// Something failed here, and it was allowed.
    Failed,
}

impl Outcome {
    /// As metrics show it.
    #[must_use]
    pub fn name(self) -> &'static str {
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

/// Judges the object that is asked about among those that there are.
pub fn validate(review: &Review<'_>, objects: impl FnOnce() -> Objects, settings: &Settings) -> (Outcome, Verdict) {
    let Review { object, old_object, .. } = review;
    if !matches!(review.operation, "CREATE" | "UPDATE") || !review.sub_resource.is_empty() {
        return (Outcome::NotApplicable, Verdict::default());
    }
    let is_going = object.pointer("/metadata/deletionTimestamp").is_some_and(|time| !time.is_null());
    if is_going || (review.operation == "UPDATE" && object.get("spec") == old_object.get("spec")) {
        // Whoever takes away a finalizer or sets a label is kept from it by nothing that stands there already.
        return (Outcome::Unchanged, Verdict::default());
    }
    let mut object = (*object).clone();
    complete(&mut object, review.namespace);
    let judged = match review.kind {
        "SnmpSubtree" => read(object).map(|subtree: SnmpSubtree| judge(subtree, objects(), settings)),
        "SnmpContext" => read(object).map(|context: SnmpContext| judge(context, objects(), settings)),
        "SnmpTrapTarget" => read(object).map(|target: SnmpTrapTarget| judge(target, objects(), settings)),
        _ => return (Outcome::NotApplicable, Verdict::default()),
    };
    let Judged { refused, told } = judged.unwrap_or_else(|cause| Judged { refused: vec![cause], told: Vec::new() });
    let refusal = (!refused.is_empty()).then(|| status(review, &refused));
    let outcome = match (&refusal, told.is_empty()) {
        (Some(_), _) => Outcome::Refused,
        (None, false) => Outcome::Warned,
        (None, true) => Outcome::Allowed,
    };
    (outcome, Verdict { patch: Vec::new(), warnings: told, refusal })
}

/// A field, and what is wrong with it.
type Cause = (String, String);

struct Judged {
    refused: Vec<Cause>,
    told: Vec<String>,
}

/// Gives the object what it will have once it is stored: a name, where it is to be made up, and a namespace.
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

/// A kind of the API, as its list among the objects.
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

fn judge<T: Listed>(object: T, mut objects: Objects, settings: &Settings) -> Judged
where
    for<'t> ObjectId: From<&'t T>,
{
    let id = ObjectId::from(&object);
    // Only a context takes something from others: subtrees come after those that were there before.
    let before = (T::KIND == Kind::SnmpContext).then(|| plan::plan(&objects, settings));
    let list = T::list(&mut objects);
    match list.iter_mut().find(|other| ObjectId::from(&***other) == id) {
        Some(place) => *place = Arc::new(object),
        None => list.push(Arc::new(object)),
    }
    let after = plan::plan(&objects, settings);
    let mut judged = Judged { refused: Vec::new(), told: Vec::new() };
    for refusal in after.refusals.iter().filter(|refusal| refusal.object == id) {
        let Refusal { path, message, .. } = refusal;
        if is_lasting(refusal) {
            judged.refused.push((path.clone(), message.clone()));
        } else {
            judged.told.push(format!("{path}: {message}"));
        }
    }
    if let Some(before) = before {
        judged.told.extend(lost(&id, &before, &after));
    }
    judged
}

/// Whether nothing but a change of the object itself could help.
fn is_lasting(refusal: &Refusal) -> bool {
    match refusal.reason {
        // What is wrong with a Secret is put right there.
        Reason::Invalid => !refusal.path.ends_with("secretRef"),
        Reason::NotServed => true,
        _ => false,
    }
}

/// What others lose by the change.
fn lost(id: &ObjectId, before: &Plan, after: &Plan) -> Vec<String> {
    let refused = |plan: &Plan| plan.refusals.iter().map(|refusal| refusal.object.clone()).collect::<BTreeSet<_>>();
    let losers: Vec<_> = refused(after).difference(&refused(before)).filter(|other| *other != id).cloned().collect();
    let reason = |loser: &ObjectId| {
        let refusal = after.refusals.iter().find(|refusal| refusal.object == *loser);
        let message = refusal.map_or("", |refusal| refusal.message.as_str());
        format!("{loser} will not be served any more: {message}")
    };
    let mut told: Vec<_> = losers.iter().take(LOSERS).map(reason).collect();
    if let Some(more) = losers.len().checked_sub(LOSERS).filter(|more| *more > 0) {
        told.push(format!("and {more} more objects will not be served any more"));
    }
    told
}

/// The Status of a refusal, as the API server's own validation makes it, so that `kubectl` shows each field.
fn status(review: &Review<'_>, refused: &[Cause]) -> Json {
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
