//! Shards: the masters' configuration, split into eight Secrets because one is too small for a large cluster. Pure.

use std::collections::BTreeSet;

use master_config::{Document, Listeners};

use super::{
    draft::Draft,
    object::{Kind, ObjectId},
    refusal::{Reason, Refusal},
    settings::MAX_OBJECT_OCTETS,
    subtree::Planned,
};
use crate::fingerprint::Fingerprint;

/// The prefix of the names of the masters' Secrets. Also their label, and the name of their folder in a render.
pub(crate) const NAME: &str = "snmp-master";
/// The key of a document in its Secret. Also the name of its file in a mounted render.
pub(crate) const KEY: &str = "master.json";
/// The number of shards.
pub(crate) const COUNT: usize = 8;
/// Octets that are reserved in a shard for everything but contexts and users.
const FRAME: usize = 1024;

/// Returns the name of a shard's Secret.
#[must_use]
pub(crate) fn secret_name(shard: usize) -> String {
    format!("{NAME}-{shard}")
}

/// Returns the shard of a context or user. It depends only on the name, in every version of the operator.
#[must_use]
pub(crate) fn shard_of(name: &str) -> usize {
    let number = Fingerprint::default().octets(name.as_bytes()).number();
    usize::try_from(number % COUNT as u64).unwrap_or(0)
}

/// Splits the document into shards. The first shard also has the listeners and limits.
#[must_use]
pub(crate) fn split(document: Document) -> Vec<Document> {
    let empty = Document {
        version: document.version,
        listeners: Listeners::default(),
        limits: master_config::Limits::default(),
        contexts: Vec::new(),
        users: Vec::new(),
        targets: Vec::new(),
    };
    let mut shards = vec![empty; COUNT];
    for context in document.contexts {
        if let Some(shard) = shards.get_mut(shard_of(&context.name)) {
            shard.contexts.push(context);
        }
    }
    for user in document.users {
        if let Some(shard) = shards.get_mut(shard_of(&user.name)) {
            shard.users.push(user);
        }
    }
    if let Some(first) = shards.first_mut() {
        (first.listeners, first.limits) = (document.listeners, document.limits);
    }
    shards
}

/// Returns the text of a shard.
///
/// # Errors
/// Returns an error if the shard cannot be written as JSON.
pub(crate) fn text(shard: &Document) -> Result<String, serde_json::Error> {
    serde_json::to_string(shard).map(|text| text + "\n")
}

/// Returns the shards. If a shard would be too large for its Secret, the youngest subtrees in its contexts are refused, and
/// if there are none, its contexts.
///
/// # Errors
/// Returns the violations if the listeners are invalid.
pub(super) fn fit(draft: &mut Draft, listeners: &Listeners) -> Result<Vec<Document>, Vec<master_config::Violation>> {
    loop {
        let shards = split(draft.master(listeners.clone())?);
        let sizes = shards.iter().map(|shard| text(shard).map_or(usize::MAX, |text| KEY.len() + text.len() + FRAME));
        let over = sizes.enumerate().find(|(_, octets)| *octets > MAX_OBJECT_OCTETS);
        let Some((number, octets)) = over else { return Ok(shards) };
        let contexts: BTreeSet<_> = shards
            .get(number)
            .into_iter()
            .flat_map(|shard| &shard.contexts)
            .map(|context| context.name.clone())
            .collect();
        if !refuse_subtrees(draft, &contexts, number, octets) && !refuse_context(draft, &contexts, number, octets) {
            // Only users are left. The shard is written as it is, and the API server refuses it.
            return Ok(shards);
        }
    }
}

fn refusal(kind: Kind, namespace: &str, name: &str, number: usize, octets: usize) -> Refusal {
    let message = format!(
        "with it, the Secret {} would have {octets} octets; the limit is {MAX_OBJECT_OCTETS}",
        secret_name(number)
    );
    let object = ObjectId { kind, namespace: namespace.to_owned(), name: name.to_owned() };
    Refusal { object, reason: Reason::TooLarge, path: "spec".to_owned(), message }
}

/// Refuses as many of the youngest subtrees in these contexts as exceed the limit. Returns whether there was one.
fn refuse_subtrees(draft: &mut Draft, contexts: &BTreeSet<String>, number: usize, octets: usize) -> bool {
    let mut excess = octets.saturating_sub(MAX_OBJECT_OCTETS);
    let mut refused = BTreeSet::new();
    for (i, Planned { document, .. }) in draft.subtrees.iter().enumerate().rev() {
        if excess == 0 && !refused.is_empty() {
            break;
        }
        let times = document.contexts.iter().filter(|context| contexts.contains(*context)).count();
        if times > 0 {
            // The OID in quotes, and a comma.
            excess = excess.saturating_sub(times * (document.oid.to_string().len() + 3));
            draft.refusals.push(refusal(Kind::SnmpSubtree, &document.namespace, &document.name, number, octets));
            refused.insert(i);
        }
    }
    let mut index = 0..;
    draft.subtrees.retain(|_| index.next().is_none_or(|i| !refused.contains(&i)));
    !refused.is_empty()
}

/// Refuses the last of these contexts by name. Returns whether there was one.
fn refuse_context(draft: &mut Draft, contexts: &BTreeSet<String>, number: usize, octets: usize) -> bool {
    let Some(name) = contexts.last() else { return false };
    draft.refusals.push(refusal(Kind::SnmpContext, "", name, number, octets));
    draft.contexts.retain(|context| context.name != *name);
    true
}

#[cfg(test)]
mod tests {
    use master_config::{Community, Context, Grant, Limits, Secret, User, VERSION};

    use super::*;

    fn context(name: &str) -> Context {
        Context {
            name: name.to_owned(),
            system: master_config::System::default(),
            grants: Vec::new(),
            communities: Vec::new(),
            users: Vec::new(),
            allowed_targets: Vec::new(),
        }
    }

    fn document(contexts: Vec<Context>, users: &[&str]) -> Document {
        let user = |name: &&str| User { name: (*name).to_owned(), auth: None, privacy: None };
        let users = users.iter().map(user).collect();
        let (listeners, limits) = (Listeners::default(), Limits::default());
        Document { version: VERSION, listeners, limits, contexts, users, targets: Vec::new() }
    }

    #[test]
    fn the_shard_of_a_name_never_changes() {
        let shards: Vec<_> = ["", "acme", "globex", "initech", "noc"].into_iter().map(shard_of).collect();
        assert_eq!(shards, [5, 7, 6, 1, 3]);
    }

    #[test]
    fn joined_shards_are_the_whole_document() {
        let names: Vec<_> = (0..50).map(|i| format!("tenant-{i:02}")).collect();
        let contexts: Vec<_> = names.iter().map(|name| context(name)).collect();
        let whole = document(contexts, &["alice", "bob"]);
        let shards = split(whole.clone());
        assert_eq!(shards.len(), COUNT);
        assert!(shards.iter().all(|shard| !shard.contexts.is_empty()), "fifty contexts leave a shard empty");
        let mut parts = shards.into_iter();
        let mut joined = parts.next().unwrap().join(parts);
        joined.contexts.sort_by(|a, b| a.name.cmp(&b.name));
        joined.users.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(joined, whole);
    }

    #[test]
    fn a_written_shard_can_be_read() {
        let mut acme = context("acme");
        acme.grants.push(Grant { namespace: "a".to_owned(), subtrees: vec!["1.3.6.1.4.1.1.5".parse().unwrap()] });
        acme.communities.push(Community {
            community: Secret::new("public"),
            access: master_config::Access::ReadOnly,
            sources: Vec::new(),
        });
        let shard = document(vec![acme], &[]);
        let text = text(&shard).unwrap();
        assert_eq!(master_config::read(text.as_bytes()).unwrap(), shard);
    }
}
