//! Rows of the master's sysORTable: what each subtree says that it implements (RFC 2741 sections 6.2.14 and 6.2.15).

use std::collections::{BTreeMap, VecDeque};

use agentx::Oid;

/// One row: the context and the sysORID that it is known by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Capability {
    /// In which context; empty is the default context.
    pub context: String,
    /// The subtree's base.
    pub id: Oid,
}

/// What to tell the master next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Declaration {
    /// An agentx-AddAgentCaps-PDU with this description.
    Add(Capability, String),
    /// An agentx-RemoveAgentCaps-PDU.
    Remove(Capability),
}

/// The rows of one session. They are told once; what the master answers changes nothing, as no one depends on them.
#[derive(Debug, Default)]
pub struct Capabilities {
    declared: BTreeMap<Capability, String>,
    queue: VecDeque<Declaration>,
}

impl Capabilities {
    /// Makes `wanted` what the master should have: rows and their descriptions. A row whose description changed is
    /// removed and added.
    pub fn want(&mut self, wanted: BTreeMap<Capability, String>) {
        for (row, description) in &self.declared {
            if wanted.get(row) != Some(description) {
                self.queue.push_back(Declaration::Remove(row.clone()));
            }
        }
        for (row, description) in &wanted {
            if self.declared.get(row) != Some(description) {
                self.queue.push_back(Declaration::Add(row.clone(), description.clone()));
            }
        }
        self.declared = wanted;
    }

    /// What to tell next; it counts as told.
    pub fn next(&mut self) -> Option<Declaration> {
        self.queue.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str) -> Capability {
        Capability { context: "acme".to_owned(), id: id.parse().unwrap() }
    }

    fn wanted(rows: &[(&str, &str)]) -> BTreeMap<Capability, String> {
        rows.iter().map(|(id, description)| (row(id), (*description).to_owned())).collect()
    }

    fn told(capabilities: &mut Capabilities) -> Vec<Declaration> {
        std::iter::from_fn(|| capabilities.next()).collect()
    }

    #[test]
    fn only_what_changed_is_told() {
        let mut capabilities = Capabilities::default();
        capabilities.want(wanted(&[("1.1", "one"), ("1.2", "two")]));
        assert_eq!(
            told(&mut capabilities),
            [Declaration::Add(row("1.1"), "one".to_owned()), Declaration::Add(row("1.2"), "two".to_owned())]
        );
        capabilities.want(wanted(&[("1.1", "one"), ("1.2", "zwei")]));
        assert_eq!(
            told(&mut capabilities),
            [Declaration::Remove(row("1.2")), Declaration::Add(row("1.2"), "zwei".to_owned())]
        );
        capabilities.want(wanted(&[("1.2", "zwei")]));
        assert_eq!(told(&mut capabilities), [Declaration::Remove(row("1.1"))]);
    }
}
