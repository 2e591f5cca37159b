//! A model of the registry by brute force: a list of all registrations, and a queue for each subtree.

use std::collections::BTreeMap;

use super::*;

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) own: Vec<Oid>,
    pub(super) registered: Vec<(Vec<u8>, Registration)>,
    /// The queue of registrations by context, subtree and priority. The first one serves.
    pub(super) queues: BTreeMap<(Vec<u8>, Vec<SubId>, u8), Vec<Registration>>,
}

fn of_namespace(registration: &Registration) -> Option<&str> {
    registration.member.as_ref().map(|member| &*member.namespace)
}

fn of_pod(registration: &Registration) -> Option<(&str, &str)> {
    let member = registration.member.as_ref()?;
    Some((&*member.namespace, &*member.pod_uid)).filter(|(_, pod)| !pod.is_empty())
}

/// The server of a name, its timeout, and whether it is a row.
pub(super) type Served = (Owner, u8, bool);

/// Returns the position, from 0, of the range, with its first and last arc.
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

/// Returns all subtrees of a registration.
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
    /// Adds a registration. Returns whether it is allowed.
    pub(super) fn register(&mut self, context: &[u8], new: Registration) -> bool {
        let subtrees_of_new = subtrees(&new);
        let denied = subtrees_of_new.iter().any(|subtree| self.own.iter().any(|own| subtree.starts_with(own)))
            || self.registered.iter().any(|(other_context, other)| {
                other_context == context
                    && other.priority == new.priority
                    && (other.session == new.session
                        || of_namespace(other).is_none()
                        || of_namespace(other) != of_namespace(&new))
                    && subtrees(other).iter().any(|subtree| subtrees_of_new.contains(subtree))
            });
        if !denied {
            for subtree in subtrees_of_new {
                let queue = self.queues.entry((context.to_vec(), subtree, new.priority)).or_default();
                let of_same_pod =
                    queue.iter().rposition(|other| of_pod(&new).is_some() && of_pod(other) == of_pod(&new));
                queue.insert(of_same_pod.map_or(queue.len(), |at| at + 1), new.clone());
            }
            self.registered.push((context.to_vec(), new));
        }
        !denied
    }

    /// Removes a registration. Returns whether it existed.
    pub(super) fn unregister(&mut self, context: &[u8], old: &Registration) -> bool {
        let before = self.registered.len();
        let matches = |(of, other): &(Vec<u8>, Registration)| {
            of == context
                && (other.session, other.priority) == (old.session, old.priority)
                && subtrees(other) == subtrees(old)
        };
        if self.registered.iter().any(matches) {
            for subtree in subtrees(old) {
                let queue = self.queues.get_mut(&(context.to_vec(), subtree, old.priority)).expect("it exists");
                queue.retain(|other| other.session != old.session);
            }
        }
        self.registered.retain(|(other_context, other)| {
            other_context != context
                || (other.session, other.priority) != (old.session, old.priority)
                || subtrees(other) != subtrees(old)
        });
        self.registered.len() < before
    }

    pub(super) fn withdraw(&mut self, session: SessionId) {
        self.registered.retain(|(_, registration)| registration.session != session);
        self.queues.values_mut().for_each(|queue| queue.retain(|other| other.session != session));
    }

    /// Returns whether another registration takes precedence for a subtree of the region.
    pub(super) fn stands_by(&self, session: u32, registered: &Registered<'_>) -> bool {
        let Registered { context, subtree, range, priority, .. } = registered;
        let alike = |(of, other): &&(Vec<u8>, Registration)| {
            **of == ***context
                && (other.session, other.priority) == (SessionId(session), *priority)
                && other.subtree == *subtree
                && subtrees(other) == subtrees(&Registration { range: *range, ..other.clone() })
        };
        let (_, registration) = self.registered.iter().find(alike).expect("a registration");
        subtrees(registration).into_iter().any(|subtree| {
            let best = (0..=u8::MAX)
                .find_map(|priority| self.queues.get(&(context.to_vec(), subtree.clone(), priority))?.first());
            best.expect("it exists").session != registration.session
                || best.expect("it exists").priority != registration.priority
        })
    }

    pub(super) fn serving(&self, context: &[u8], name: &[SubId]) -> Option<Served> {
        if self.own.iter().any(|own| name.starts_with(own)) {
            return Some((Owner::Master, 0, false));
        }
        let here = self.registered.iter().filter(|(other, _)| other == context).map(|(_, registration)| registration);
        let best = here
            .filter(|registration| covers(registration, name))
            .min_by_key(|registration| (usize::MAX - registration.subtree.len(), registration.priority))?;
        let subtree = name[..best.subtree.len()].to_vec();
        let best = self.queues[&(context.to_vec(), subtree, best.priority)].first().expect("it exists");
        Some((Owner::Session(best.session), best.timeout_s, best.instance || best.range.is_some()))
    }

    /// Returns all names at which the server may change, in ascending order.
    pub(super) fn edges(&self, context: &[u8]) -> Vec<Vec<SubId>> {
        let here = self.registered.iter().filter(|(other, _)| other == context);
        let starts = here.flat_map(|(_, registration)| subtrees(registration));
        let starts: Vec<_> = starts.chain(self.own.iter().map(|own| own.to_vec())).collect();
        let mut edges: Vec<_> = starts.iter().filter_map(|start| after(start)).chain(starts.iter().cloned()).collect();
        edges.sort_unstable();
        edges.dedup();
        edges
    }

    /// Returns the first served name at or after `first`, and its server.
    pub(super) fn serving_next(&self, context: &[u8], first: &[SubId]) -> Option<(Vec<SubId>, Served)> {
        let edges = self.edges(context).into_iter().filter(|edge| edge.as_slice() > first);
        std::iter::once(first.to_vec()).chain(edges).find_map(|name| {
            let served = self.serving(context, &name)?;
            Some((name, served))
        })
    }
}

/// Returns the first name after a subtree.
fn after(subtree: &[SubId]) -> Option<Vec<SubId>> {
    let at = subtree.iter().rposition(|arc| *arc < SubId::MAX)?;
    let mut after = subtree[..=at].to_vec();
    after[at] += 1;
    Some(after)
}
