//! Rows of the master's sysORTable: what each subtree says that it implements (RFC 2741 sections 6.2.14 and 6.2.15).

use std::collections::{BTreeMap, VecDeque};

use agentx::{Oid, ResponseError, SubId};

/// One row: the context and the sysORID that it is known by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Capability {
    /// In which context; empty is the default context.
    pub context: String,
    /// The subtree's base.
    pub id: Oid,
}

/// Tells one addition from another of the same row.
pub type Number = u64;

/// What to tell the master next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Declaration {
    /// An agentx-AddAgentCaps-PDU with this description.
    Add(Capability, String, Number),
    /// An agentx-RemoveAgentCaps-PDU for the row that was added with this number.
    Remove(Capability, Number),
}

/// A row as it was last told, or is about to be.
#[derive(Debug)]
struct Row {
    description: String,
    number: Number,
    /// The master did not want it.
    denied: bool,
}

/// The rows of one session. They are told once, and no one depends on them: what the master refuses for good stays
/// away. What our master denies has not been granted yet, as a region that it denies: such a row is told again when the
/// master takes a region of its subtree.
#[derive(Debug, Default)]
pub struct Capabilities {
    declared: BTreeMap<Capability, Row>,
    queue: VecDeque<Declaration>,
    last: Number,
}

impl Capabilities {
    /// Makes `wanted` what the master should have: rows and their descriptions. A row whose description changed is
    /// removed and added.
    pub fn want(&mut self, wanted: BTreeMap<Capability, String>) {
        let is_same = |row: &Row, description: &String| row.description == *description;
        let queue = &mut self.queue;
        self.declared.retain(|capability, row| {
            let stays = wanted.get(capability).is_some_and(|description| is_same(row, description));
            if !stays && !row.denied {
                queue.push_back(Declaration::Remove(capability.clone(), row.number));
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
        self.queue.push_back(Declaration::Add(capability.clone(), description.clone(), number));
        self.declared.insert(capability, Row { description, number, denied: false });
    }

    /// What to tell next; it counts as told.
    pub fn take(&mut self) -> Option<Declaration> {
        self.queue.pop_front()
    }

    /// The master answered the addition of this number.
    pub fn add_answered(&mut self, capability: &Capability, number: Number, error: ResponseError) {
        if !matches!(error, ResponseError::RequestDenied | ResponseError::UnsupportedContext) {
            return;
        }
        match self.declared.get_mut(capability).filter(|row| row.number == number) {
            Some(row) => row.denied = true,
            // It is not wanted any more, and what is not there is not to be taken back.
            None => self.queue.retain(|next| !matches!(next, Declaration::Remove(_, gone) if *gone == number)),
        }
    }

    /// The master took a region at `subtree`: rows around it that it denied before are told again.
    pub fn region_taken(&mut self, context: &str, subtree: &[SubId]) {
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

    /// All that is to be told, as `+ID DESCRIPTION` and `-ID`, and the number of each.
    fn told(capabilities: &mut Capabilities) -> Vec<(String, Number)> {
        let told = std::iter::from_fn(|| capabilities.take());
        let shown = told.map(|declaration| match declaration {
            Declaration::Add(row, description, number) => (format!("+{} {description}", row.id), number),
            Declaration::Remove(row, number) => (format!("-{}", row.id), number),
        });
        shown.collect()
    }

    fn lines(capabilities: &mut Capabilities) -> Vec<String> {
        told(capabilities).into_iter().map(|(line, _)| line).collect()
    }

    /// The row 1.1 wanted and told; its number.
    fn one() -> (Capabilities, Number) {
        let mut capabilities = Capabilities::default();
        capabilities.want(wanted(&[("1.1", "one")]));
        let number = told(&mut capabilities)[0].1;
        (capabilities, number)
    }

    #[test]
    fn only_what_changed_is_told() {
        let mut capabilities = Capabilities::default();
        capabilities.want(wanted(&[("1.1", "one"), ("1.2", "two")]));
        assert_eq!(lines(&mut capabilities), ["+1.1 one", "+1.2 two"]);
        capabilities.want(wanted(&[("1.1", "one"), ("1.2", "zwei")]));
        assert_eq!(lines(&mut capabilities), ["-1.2", "+1.2 zwei"]);
        capabilities.want(wanted(&[("1.2", "zwei")]));
        assert_eq!(lines(&mut capabilities), ["-1.1"]);
    }

    #[rstest]
    fn what_is_denied_is_told_again_when_a_region_of_the_subtree_is_taken(
        #[values(ResponseError::RequestDenied, ResponseError::UnsupportedContext)] error: ResponseError,
    ) {
        let (mut capabilities, number) = one();
        capabilities.add_answered(&row("1.1"), number, error);
        assert_eq!(lines(&mut capabilities), [""; 0], "nothing is granted");
        for (context, subtree) in [("acme", "1.2"), ("other", "1.1.7")] {
            capabilities.region_taken(context, &arcs(subtree));
            assert_eq!(lines(&mut capabilities), [""; 0], "{subtree} of {context} is another's");
        }
        capabilities.region_taken("acme", &arcs("1.1.7"));
        let again = told(&mut capabilities);
        assert_eq!(again[0].0, "+1.1 one");
        capabilities.region_taken("acme", &arcs("1.1.8"));
        assert_eq!(lines(&mut capabilities), [""; 0], "it is not answered yet");
        capabilities.add_answered(&row("1.1"), again[0].1, ResponseError::NoError);
        capabilities.region_taken("acme", &arcs("1.1.9"));
        assert_eq!(lines(&mut capabilities), [""; 0], "it is there");
    }

    #[rstest]
    fn what_is_taken_or_refused_for_good_is_not_told_again(
        #[values(ResponseError::NoError, ResponseError::ProcessingError)] error: ResponseError,
    ) {
        let (mut capabilities, number) = one();
        capabilities.add_answered(&row("1.1"), number, error);
        capabilities.region_taken("acme", &arcs("1.1"));
        assert_eq!(lines(&mut capabilities), [""; 0]);
    }

    #[test]
    fn what_was_denied_is_not_taken_back() {
        let (mut capabilities, number) = one();
        capabilities.add_answered(&row("1.1"), number, ResponseError::RequestDenied);
        capabilities.want(wanted(&[("1.1", "eins")]));
        assert_eq!(lines(&mut capabilities), ["+1.1 eins"]);
        let (mut capabilities, number) = one();
        capabilities.want(wanted(&[]));
        capabilities.add_answered(&row("1.1"), number, ResponseError::RequestDenied);
        assert_eq!(lines(&mut capabilities), [""; 0], "its denial came before the removal was sent");
    }

    #[test]
    fn a_late_denial_says_nothing_of_a_later_addition() {
        let (mut capabilities, number) = one();
        capabilities.want(wanted(&[]));
        capabilities.want(wanted(&[("1.1", "one")]));
        assert_eq!(lines(&mut capabilities), ["-1.1", "+1.1 one"]);
        capabilities.add_answered(&row("1.1"), number, ResponseError::RequestDenied);
        capabilities.region_taken("acme", &arcs("1.1"));
        assert_eq!(lines(&mut capabilities), [""; 0]);
    }
}
