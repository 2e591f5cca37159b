//! The masters' configuration, in eight Secrets: one would not hold a large cluster's. Pure.

use std::collections::BTreeSet;

use master_config::{Context, Document, Listeners, User};

use crate::{
    fingerprint::Fingerprint,
    master_secret::{KEY, NAME},
    plan::{Kind, ObjectId, Plan, Planned, Reason, Refusal},
};

/// How many there are.
pub const COUNT: usize = 8;
/// The most that a Secret holds, in octets of keys and values.
const MAX_OCTETS: usize = 1 << 20;
/// Room for what is not contexts and users.
const FRAME: usize = 1024;

/// The name of a shard's Secret.
#[must_use]
pub fn secret(shard: usize) -> String {
    format!("{NAME}-{shard}")
}

/// The shard of a context or user, for ever.
#[must_use]
pub fn shard_of(name: &str) -> usize {
    let number = Fingerprint::default().octets(name.as_bytes()).number();
    usize::try_from(number % COUNT as u64).unwrap_or(0)
}

/// The document's contexts and users, each in its shard; listeners and limits are in the first.
#[must_use]
pub fn split(document: Document) -> Vec<Document> {
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

/// A shard as it is written.
///
/// # Errors
/// A document that cannot be written as JSON.
pub fn text(shard: &Document) -> Result<String, serde_json::Error> {
    serde_json::to_string(shard).map(|text| text + "\n")
}

/// The states to go through from `old` to `new`, each a shard for a shard, `new` the last. What the masters have joined is
/// valid after each write: first goes what is withdrawn, then users change, then what is new comes. Where a single Secret
/// changes, it changes at once.
#[must_use]
pub fn steps(old: &[Document], new: &[Document]) -> Vec<Vec<Document>> {
    let changed = new.iter().enumerate().filter(|(i, shard)| old.get(*i) != Some(*shard)).count();
    if changed <= 1 {
        return vec![new.to_vec()];
    }
    let wanted: Vec<_> = new.iter().flat_map(|shard| &shard.contexts).collect();
    let frame = |i: usize, contexts: Vec<Context>, users: Vec<User>| {
        let template = new.get(i).or(new.first()).cloned();
        template.map(|template| Document { contexts, users, ..template })
    };
    let remains = |i: usize| {
        let contexts = old.get(i).map(|shard| shard.contexts.as_slice()).unwrap_or_default();
        let kept = contexts
            .iter()
            .filter_map(|context| wanted.iter().find(|new| new.name == context.name).map(|new| common(context, new)));
        kept.collect::<Vec<_>>()
    };
    let old_users = |i: usize| old.get(i).map(|shard| shard.users.clone()).unwrap_or_default();
    let new_users = |i: usize| new.get(i).map(|shard| shard.users.clone()).unwrap_or_default();
    let withdrawn = (0..COUNT).filter_map(|i| frame(i, remains(i), old_users(i))).collect();
    let users = (0..COUNT).filter_map(|i| frame(i, remains(i), new_users(i))).collect();
    vec![withdrawn, users, new.to_vec()]
}

/// What two states of a context have in common.
fn common(old: &Context, new: &Context) -> Context {
    let grants = old.grants.iter().filter_map(|grant| {
        let still = new.grants.iter().find(|new| new.namespace == grant.namespace)?;
        let mut grant = grant.clone();
        grant.subtrees.retain(|oid| still.subtrees.contains(oid));
        (!grant.subtrees.is_empty()).then_some(grant)
    });
    Context {
        name: old.name.clone(),
        system: new.system.clone(),
        grants: grants.collect(),
        communities: old.communities.iter().filter(|one| new.communities.contains(one)).cloned().collect(),
        users: old.users.iter().filter(|one| new.users.contains(one)).cloned().collect(),
        allowed_targets: old.allowed_targets.iter().filter(|one| new.allowed_targets.contains(one)).copied().collect(),
    }
}

/// Takes out of the plan what does not fit into the Secrets: the youngest subtrees of the contexts of a shard that would be
/// too large, and where there are none, its contexts.
///
/// # Errors
/// What is wrong with the listeners.
pub fn fit(plan: &mut Plan, listeners: &Listeners) -> Result<Vec<Document>, Vec<master_config::Violation>> {
    loop {
        let shards = split(plan.master(listeners.clone())?.into_inner());
        let sizes = shards.iter().map(|shard| text(shard).map_or(usize::MAX, |text| KEY.len() + text.len() + FRAME));
        let over = sizes.enumerate().find(|(_, octets)| *octets > MAX_OCTETS);
        let Some((number, octets)) = over else { return Ok(shards) };
        let contexts: BTreeSet<_> = shards
            .get(number)
            .into_iter()
            .flat_map(|shard| &shard.contexts)
            .map(|context| context.name.clone())
            .collect();
        if !withdraw_subtrees(plan, &contexts, number, octets) && !withdraw_context(plan, &contexts, number, octets) {
            // Users alone: what is too large is written, and refused by the API server.
            return Ok(shards);
        }
    }
}

fn refusal(kind: Kind, namespace: &str, name: &str, number: usize, octets: usize) -> Refusal {
    let message = format!("the Secret {} would hold {octets} octets with it, more than {MAX_OCTETS}", secret(number));
    let object = ObjectId { kind, namespace: namespace.to_owned(), name: name.to_owned() };
    Refusal { object, reason: Reason::TooLarge, path: "spec".to_owned(), message }
}

/// Takes out as many of the youngest subtrees in these contexts as make up what is too much. The answer is whether there
/// was one.
fn withdraw_subtrees(plan: &mut Plan, contexts: &BTreeSet<String>, number: usize, octets: usize) -> bool {
    let mut excess = octets.saturating_sub(MAX_OCTETS);
    let mut gone = BTreeSet::new();
    for (i, Planned { document, .. }) in plan.subtrees.iter().enumerate().rev() {
        if excess == 0 && !gone.is_empty() {
            break;
        }
        let times = document.contexts.iter().filter(|context| contexts.contains(*context)).count();
        if times > 0 {
            // An OID in quotes and the comma after it.
            excess = excess.saturating_sub(times * (document.oid.to_string().len() + 3));
            plan.refusals.push(refusal(Kind::SnmpSubtree, &document.namespace, &document.name, number, octets));
            gone.insert(i);
        }
    }
    let mut place = 0..;
    plan.subtrees.retain(|_| place.next().is_none_or(|i| !gone.contains(&i)));
    !gone.is_empty()
}

/// Takes out one context of these, the last by name. The answer is whether there was one.
fn withdraw_context(plan: &mut Plan, contexts: &BTreeSet<String>, number: usize, octets: usize) -> bool {
    let Some(name) = contexts.last() else { return false };
    plan.refusals.push(refusal(Kind::SnmpContext, "", name, number, octets));
    plan.contexts.retain(|context| context.name != *name);
    true
}

#[cfg(test)]
mod tests {
    use master_config::{Community, Grant, Limits, Secret, SecurityLevel, UserAccess, VERSION};

    use super::*;

    fn context(name: &str, grants: &[(&str, &str)], communities: &[&str], users: &[&str]) -> Context {
        let grant = |(namespace, oid): &(&str, &str)| Grant {
            namespace: (*namespace).to_owned(),
            subtrees: vec![oid.parse().unwrap()],
        };
        let community = |text: &&str| Community {
            community: Secret::new(*text),
            access: master_config::Access::ReadOnly,
            sources: Vec::new(),
        };
        let user = |name: &&str| UserAccess {
            name: (*name).to_owned(),
            security_level: SecurityLevel::NoAuthNoPriv,
            access: master_config::Access::ReadOnly,
        };
        Context {
            name: name.to_owned(),
            system: master_config::System::default(),
            grants: grants.iter().map(grant).collect(),
            communities: communities.iter().map(community).collect(),
            users: users.iter().map(user).collect(),
            allowed_targets: Vec::new(),
        }
    }

    fn document(contexts: Vec<Context>, users: &[&str]) -> Document {
        let user = |name: &&str| User { name: (*name).to_owned(), auth: None, privacy: None };
        let users = users.iter().map(user).collect();
        let (listeners, limits) = (Listeners::default(), Limits::default());
        Document { version: VERSION, listeners, limits, contexts, users, targets: Vec::new() }
    }

    fn joined(shards: &[Document]) -> Document {
        let mut shards = shards.iter().cloned();
        shards.next().unwrap().join(shards)
    }

    /// Names of contexts that are in different shards.
    fn apart() -> (&'static str, &'static str) {
        assert_ne!(shard_of("acme"), shard_of("globex"));
        ("acme", "globex")
    }

    #[test]
    fn a_name_is_in_the_same_shard_for_ever() {
        let shards: Vec<_> = ["", "acme", "globex", "initech", "noc"].into_iter().map(shard_of).collect();
        assert_eq!(shards, [5, 7, 6, 1, 3]);
    }

    #[test]
    fn shards_joined_are_the_whole() {
        let names: Vec<_> = (0..50).map(|i| format!("tenant-{i:02}")).collect();
        let contexts: Vec<_> = names.iter().map(|name| context(name, &[], &[], &[])).collect();
        let whole = document(contexts, &["alice", "bob"]);
        let shards = split(whole.clone());
        assert_eq!(shards.len(), COUNT);
        assert!(shards.iter().all(|shard| !shard.contexts.is_empty()), "fifty are spread over all");
        let mut joined = joined(&shards);
        joined.contexts.sort_by(|a, b| a.name.cmp(&b.name));
        joined.users.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(joined, whole);
    }

    #[test]
    fn a_shard_as_it_is_written_is_read_again() {
        let shard = document(vec![context("acme", &[("a", "1.3.6.1.4.1.1.5")], &["public"], &[])], &[]);
        let text = text(&shard).unwrap();
        assert_eq!(master_config::read(text.as_bytes()).unwrap(), shard);
    }

    /// Goes through the steps write by write, in both orders, and asserts that all the masters could see is valid.
    fn assert_always_valid(old: &[Document], new: &[Document]) -> Vec<Vec<Document>> {
        let steps = steps(old, new);
        for backwards in [false, true] {
            let mut now = old.to_vec();
            for step in &steps {
                let mut order: Vec<_> = (0..COUNT).collect();
                if backwards {
                    order.reverse();
                }
                for i in order {
                    now[i] = step[i].clone();
                    joined(&now).validate().unwrap_or_else(|violations| panic!("{violations:?}"));
                }
            }
            assert_eq!(now, new);
        }
        steps
    }

    #[test]
    fn a_community_that_moves_is_withdrawn_before_it_comes_again() {
        let (a, b) = apart();
        let old = split(document(vec![context(a, &[], &["secret"], &[]), context(b, &[], &[], &[])], &[]));
        let new = split(document(vec![context(a, &[], &[], &[]), context(b, &[], &["secret"], &[])], &[]));
        let steps = assert_always_valid(&old, &new);
        assert!(joined(&steps[0]).contexts.iter().all(|context| context.communities.is_empty()));
    }

    #[test]
    fn a_user_is_there_before_it_is_let_in_and_goes_after_it_is_shut_out() {
        let (a, b) = apart();
        let old = split(document(
            vec![context(a, &[], &[], &["alice", "carol"]), context(b, &[], &[], &["alice"])],
            &["alice", "carol"],
        ));
        let new = split(document(
            vec![context(a, &[], &[], &["bob"]), context(b, &[], &[], &["bob", "alice"])],
            &["bob", "alice"],
        ));
        assert_always_valid(&old, &new);
    }

    #[test]
    fn a_grant_that_passes_to_another_is_withdrawn_first() {
        let (a, b) = apart();
        let oid = "1.3.6.1.4.1.12345.5";
        let old =
            split(document(vec![context(a, &[("one", oid)], &[], &[]), context(b, &[("one", oid)], &[], &[])], &[]));
        let new =
            split(document(vec![context(a, &[("two", oid)], &[], &[]), context(b, &[("two", oid)], &[], &[])], &[]));
        let steps = assert_always_valid(&old, &new);
        assert!(joined(&steps[0]).contexts.iter().all(|context| context.grants.is_empty()));
    }

    #[test]
    fn a_single_shard_changes_at_once() {
        let old = split(document(vec![context("acme", &[], &["one"], &[])], &[]));
        let new = split(document(vec![context("acme", &[], &["two"], &[])], &[]));
        assert_eq!(steps(&old, &new), vec![new]);
    }

    #[test]
    fn a_context_that_goes_takes_all_with_it_at_the_first_step() {
        let (a, b) = apart();
        let old = split(document(vec![context(a, &[], &["one"], &[]), context(b, &[], &["two"], &[])], &[]));
        let new = split(document(vec![context("initech", &[], &["one"], &[])], &[]));
        let steps = assert_always_valid(&old, &new);
        assert!(joined(&steps[0]).contexts.is_empty());
    }
}
