//! The same by brute force: a list of registrations, each asked whether it knows a name.

use super::*;

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) own: Vec<Oid>,
    pub(super) registered: Vec<(Vec<u8>, Registration)>,
}

/// Who serves a name, its timeout, and whether it is a row.
pub(super) type Served = (Owner, u8, bool);

/// Position, from 0, and arcs of what a registration stands for.
fn arcs_of(registration: &Registration) -> (usize, SubId, SubId) {
    let position = registration.range.map_or(registration.subtree.len(), |range| range.position.into()) - 1;
    let first = registration.subtree[position];
    (position, first, registration.range.map_or(first, |range| range.upper_bound))
}

fn covers(registration: &Registration, name: &[SubId]) -> bool {
    let (position, first, last) = arcs_of(registration);
    let subtree = &registration.subtree;
    name.len() >= subtree.len()
        && (0..subtree.len())
            .all(|at| if at == position { (first..=last).contains(&name[at]) } else { name[at] == subtree[at] })
}

/// Every subtree of it.
pub(super) fn subtrees(registration: &Registration) -> Vec<Vec<SubId>> {
    let (position, first, last) = arcs_of(registration);
    let with = |arc| {
        let mut subtree = registration.subtree.to_vec();
        subtree[position] = arc;
        subtree
    };
    (first..=last).map(with).collect()
}

impl Model {
    /// Whether it may; if so it is done.
    pub(super) fn register(&mut self, context: &[u8], new: Registration) -> bool {
        let subtrees_of_new = subtrees(&new);
        let denied = subtrees_of_new.iter().any(|subtree| self.own.iter().any(|own| subtree.starts_with(own)))
            || self.registered.iter().any(|(other_context, other)| {
                other_context == context
                    && other.priority == new.priority
                    && subtrees(other).iter().any(|subtree| subtrees_of_new.contains(subtree))
            });
        if !denied {
            self.registered.push((context.to_vec(), new));
        }
        !denied
    }

    /// Whether there was one; if so it is gone.
    pub(super) fn unregister(&mut self, context: &[u8], old: &Registration) -> bool {
        let before = self.registered.len();
        self.registered.retain(|(other_context, other)| {
            other_context != context
                || (other.session, other.priority) != (old.session, old.priority)
                || subtrees(other) != subtrees(old)
        });
        self.registered.len() < before
    }

    pub(super) fn withdraw(&mut self, session: SessionId) {
        self.registered.retain(|(_, registration)| registration.session != session);
    }

    pub(super) fn serving(&self, context: &[u8], name: &[SubId]) -> Option<Served> {
        if self.own.iter().any(|own| name.starts_with(own)) {
            return Some((Owner::Master, 0, false));
        }
        let here = self.registered.iter().filter(|(other, _)| other == context).map(|(_, registration)| registration);
        let best = here
            .filter(|registration| covers(registration, name))
            .min_by_key(|registration| (usize::MAX - registration.subtree.len(), registration.priority))?;
        Some((Owner::Session(best.session), best.timeout_s, best.instance || best.range.is_some()))
    }

    /// Every name at which another may begin to serve, in order.
    pub(super) fn edges(&self, context: &[u8]) -> Vec<Vec<SubId>> {
        let here = self.registered.iter().filter(|(other, _)| other == context);
        let starts = here.flat_map(|(_, registration)| subtrees(registration));
        let starts: Vec<_> = starts.chain(self.own.iter().map(|own| own.to_vec())).collect();
        let mut edges: Vec<_> = starts.iter().filter_map(|start| after(start)).chain(starts.iter().cloned()).collect();
        edges.sort_unstable();
        edges.dedup();
        edges
    }

    /// Who serves the first served name at or after `first`, and that name.
    pub(super) fn serving_next(&self, context: &[u8], first: &[SubId]) -> Option<(Vec<SubId>, Served)> {
        let edges = self.edges(context).into_iter().filter(|edge| edge.as_slice() > first);
        std::iter::once(first.to_vec()).chain(edges).find_map(|name| {
            let served = self.serving(context, &name)?;
            Some((name, served))
        })
    }
}

/// The first name after a subtree.
fn after(subtree: &[SubId]) -> Option<Vec<SubId>> {
    let at = subtree.iter().rposition(|arc| *arc < SubId::MAX)?;
    let mut after = subtree[..=at].to_vec();
    after[at] += 1;
    Some(after)
}
