//! The order in which the shards of the masters' configuration are written. Pure.

use master_config::{Context, Document, User};

use crate::plan::shards::COUNT;

/// Returns the states between `old` and `new`, which is the last. Each state has all shards. After every single write, the
/// joined shards are a valid document: removed access is withdrawn first, then users change, then new access is added. If
/// only one Secret changes, one step is enough.
#[must_use]
pub(super) fn steps(old: &[Document], new: &[Document]) -> Vec<Vec<Document>> {
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

/// Returns what both states of a context contain.
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

#[cfg(test)]
mod tests {
    use master_config::{Community, Grant, Limits, Listeners, Secret, SecurityLevel, UserAccess, VERSION};

    use super::*;
    use crate::plan::shards::{shard_of, split};

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

    /// Returns the names of two contexts in different shards.
    fn names_in_different_shards() -> (&'static str, &'static str) {
        assert_ne!(shard_of("acme"), shard_of("globex"));
        ("acme", "globex")
    }

    /// Applies the steps write by write, in both orders, and asserts that every state that a master can read is valid.
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
    fn a_community_that_moves_is_withdrawn_first() {
        let (a, b) = names_in_different_shards();
        let old = split(document(vec![context(a, &[], &["secret"], &[]), context(b, &[], &[], &[])], &[]));
        let new = split(document(vec![context(a, &[], &[], &[]), context(b, &[], &["secret"], &[])], &[]));
        let steps = assert_always_valid(&old, &new);
        assert!(joined(&steps[0]).contexts.iter().all(|context| context.communities.is_empty()));
    }

    #[test]
    fn a_user_exists_before_it_gets_access_and_until_its_access_is_withdrawn() {
        let (a, b) = names_in_different_shards();
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
    fn a_grant_that_moves_to_another_namespace_is_withdrawn_first() {
        let (a, b) = names_in_different_shards();
        let oid = "1.3.6.1.4.1.12345.5";
        let old =
            split(document(vec![context(a, &[("one", oid)], &[], &[]), context(b, &[("one", oid)], &[], &[])], &[]));
        let new =
            split(document(vec![context(a, &[("two", oid)], &[], &[]), context(b, &[("two", oid)], &[], &[])], &[]));
        let steps = assert_always_valid(&old, &new);
        assert!(joined(&steps[0]).contexts.iter().all(|context| context.grants.is_empty()));
    }

    #[test]
    fn a_change_of_one_shard_is_one_step() {
        let old = split(document(vec![context("acme", &[], &["one"], &[])], &[]));
        let new = split(document(vec![context("acme", &[], &["two"], &[])], &[]));
        assert_eq!(steps(&old, &new), vec![new]);
    }

    #[test]
    fn a_removed_context_is_removed_in_the_first_step() {
        let (a, b) = names_in_different_shards();
        let old = split(document(vec![context(a, &[], &["one"], &[]), context(b, &[], &["two"], &[])], &[]));
        let new = split(document(vec![context("initech", &[], &["one"], &[])], &[]));
        let steps = assert_always_valid(&old, &new);
        assert!(joined(&steps[0]).contexts.is_empty());
    }
}
