//! The rows that a session adds to the master's sysORTable (RFC 2741 sections 6.2.14 and 6.2.15).

use std::collections::{BTreeMap, VecDeque};

use agentx::{Oid, ResponseError, SubId};

/// The key of a row: the context and the sysORID.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Capability {
    /// The SNMP context; empty is the default context.
    pub(crate) context: String,
    /// The subtree's base OID.
    pub(crate) id: Oid,
}

/// A number that distinguishes several additions of the same row.
pub(super) type AdditionNumber = u64;

/// A change to send to the master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CapabilityChange {
    /// An agentx-AddAgentCaps-PDU with this description.
    Add(Capability, String, AdditionNumber),
    /// An agentx-RemoveAgentCaps-PDU for the row that was added with this number.
    Remove(Capability, AdditionNumber),
}

/// A row as it was last sent or queued.
#[derive(Debug)]
struct Row {
    description: String,
    number: AdditionNumber,
    /// Whether the master denied it.
    denied: bool,
}

/// The rows of one session.
///
/// Each row is sent once, and nothing depends on it: a row that the master refuses stays away. requestDenied and
/// unsupportedContext mean that the grant has not reached the master yet, as for a region. Such a row is sent again when the
/// master accepts a region of its subtree.
#[derive(Debug, Default)]
pub(super) struct Capabilities {
    declared: BTreeMap<Capability, Row>,
    queue: VecDeque<CapabilityChange>,
    last: AdditionNumber,
}

impl Capabilities {
    /// Sets the rows that the master should have, and their descriptions. A row whose description changed is removed and
    /// added.
    pub(super) fn set_wanted(&mut self, wanted: BTreeMap<Capability, String>) {
        let is_same = |row: &Row, description: &String| row.description == *description;
        let queue = &mut self.queue;
        self.declared.retain(|capability, row| {
            let stays = wanted.get(capability).is_some_and(|description| is_same(row, description));
            if !stays && !row.denied {
                queue.push_back(CapabilityChange::Remove(capability.clone(), row.number));
            }
            stays
        });
        for (capability, description) in wanted {
            if !self.declared.contains_key(&capability) {
                self.add(capability, description);
            }
        }
    }

    fn add(&mut self, capability: Capability, description: String) {
        self.last += 1;
        let number = self.last;
        self.queue.push_back(CapabilityChange::Add(capability.clone(), description.clone(), number));
        self.declared.insert(capability, Row { description, number, denied: false });
    }

    /// Removes and returns the next change. The caller must send it.
    pub(super) fn next(&mut self) -> Option<CapabilityChange> {
        self.queue.pop_front()
    }

    /// Records the master's response to an addition.
    pub(super) fn add_answered(&mut self, capability: &Capability, number: AdditionNumber, error: ResponseError) {
        if !matches!(error, ResponseError::RequestDenied | ResponseError::UnsupportedContext) {
            return;
        }
        match self.declared.get_mut(capability).filter(|row| row.number == number) {
            Some(row) => row.denied = true,
            // The row is no longer wanted. The master does not have it, so its removal is not sent.
            None => self.queue.retain(|next| !matches!(next, CapabilityChange::Remove(_, gone) if *gone == number)),
        }
    }

    /// Records that the master accepted a region at `subtree`. The rows of that subtree that it denied are sent again.
    pub(super) fn registered(&mut self, context: &str, subtree: &[SubId]) {
        let is_around = |row: &Capability| row.context == context && subtree.starts_with(&row.id);
        let again: Vec<_> = self
            .declared
            .iter()
            .filter(|(capability, row)| row.denied && is_around(capability))
            .map(|(capability, row)| (capability.clone(), row.description.clone()))
            .collect();
        for (capability, description) in again {
            self.add(capability, description);
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn row(id: &str) -> Capability {
        Capability { context: "acme".to_owned(), id: id.parse().unwrap() }
    }

    fn arcs(id: &str) -> Vec<SubId> {
        row(id).id.to_vec()
    }

    fn wanted(rows: &[(&str, &str)]) -> BTreeMap<Capability, String> {
        rows.iter().map(|(id, description)| (row(id), (*description).to_owned())).collect()
    }

    /// Returns all changes, as `+ID DESCRIPTION` or `-ID`, and the number of each.
    fn changes(capabilities: &mut Capabilities) -> Vec<(String, AdditionNumber)> {
        let changes = std::iter::from_fn(|| capabilities.next());
        let shown = changes.map(|change| match change {
            CapabilityChange::Add(row, description, number) => (format!("+{} {description}", row.id), number),
            CapabilityChange::Remove(row, number) => (format!("-{}", row.id), number),
        });
        shown.collect()
    }

    fn lines(capabilities: &mut Capabilities) -> Vec<String> {
        changes(capabilities).into_iter().map(|(line, _)| line).collect()
    }

    /// Returns capabilities with the row 1.1, which has been sent, and its number.
    fn one() -> (Capabilities, AdditionNumber) {
        let mut capabilities = Capabilities::default();
        capabilities.set_wanted(wanted(&[("1.1", "one")]));
        let number = changes(&mut capabilities)[0].1;
        (capabilities, number)
    }

    #[test]
    fn only_changes_are_sent() {
        let mut capabilities = Capabilities::default();
        capabilities.set_wanted(wanted(&[("1.1", "one"), ("1.2", "two")]));
        assert_eq!(lines(&mut capabilities), ["+1.1 one", "+1.2 two"]);
        capabilities.set_wanted(wanted(&[("1.1", "one"), ("1.2", "zwei")]));
        assert_eq!(lines(&mut capabilities), ["-1.2", "+1.2 zwei"]);
        capabilities.set_wanted(wanted(&[("1.2", "zwei")]));
        assert_eq!(lines(&mut capabilities), ["-1.1"]);
    }

    #[rstest]
    fn denied_row_is_sent_again_when_a_region_of_the_subtree_is_accepted(
        #[values(ResponseError::RequestDenied, ResponseError::UnsupportedContext)] error: ResponseError,
    ) {
        let (mut capabilities, number) = one();
        capabilities.add_answered(&row("1.1"), number, error);
        assert_eq!(lines(&mut capabilities), [""; 0], "nothing is granted");
        for (context, subtree) in [("acme", "1.2"), ("other", "1.1.7")] {
            capabilities.registered(context, &arcs(subtree));
            assert_eq!(lines(&mut capabilities), [""; 0], "{subtree} of {context} is another's");
        }
        capabilities.registered("acme", &arcs("1.1.7"));
        let again = changes(&mut capabilities);
        assert_eq!(again[0].0, "+1.1 one");
        capabilities.registered("acme", &arcs("1.1.8"));
        assert_eq!(lines(&mut capabilities), [""; 0], "it is not answered yet");
        capabilities.add_answered(&row("1.1"), again[0].1, ResponseError::NoError);
        capabilities.registered("acme", &arcs("1.1.9"));
        assert_eq!(lines(&mut capabilities), [""; 0], "it is there");
    }

    #[rstest]
    fn accepted_or_refused_row_is_not_sent_again(
        #[values(ResponseError::NoError, ResponseError::ProcessingError)] error: ResponseError,
    ) {
        let (mut capabilities, number) = one();
        capabilities.add_answered(&row("1.1"), number, error);
        capabilities.registered("acme", &arcs("1.1"));
        assert_eq!(lines(&mut capabilities), [""; 0]);
    }

    #[test]
    fn denied_row_is_not_removed() {
        let (mut capabilities, number) = one();
        capabilities.add_answered(&row("1.1"), number, ResponseError::RequestDenied);
        capabilities.set_wanted(wanted(&[("1.1", "eins")]));
        assert_eq!(lines(&mut capabilities), ["+1.1 eins"]);
        let (mut capabilities, number) = one();
        capabilities.set_wanted(wanted(&[]));
        capabilities.add_answered(&row("1.1"), number, ResponseError::RequestDenied);
        assert_eq!(lines(&mut capabilities), [""; 0], "its denial came before the removal was sent");
    }

    #[test]
    fn late_denial_does_not_affect_a_later_addition() {
        let (mut capabilities, number) = one();
        capabilities.set_wanted(wanted(&[]));
        capabilities.set_wanted(wanted(&[("1.1", "one")]));
        assert_eq!(lines(&mut capabilities), ["-1.1", "+1.1 one"]);
        capabilities.add_answered(&row("1.1"), number, ResponseError::RequestDenied);
        capabilities.registered("acme", &arcs("1.1"));
        assert_eq!(lines(&mut capabilities), [""; 0]);
    }
}
