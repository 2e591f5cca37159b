//! Which part this replica has: the active one answers managers, the others stand by. Alone, a master is active.

use std::collections::BTreeMap;

use serde::Serialize;

/// The role, and how it came about.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Role {
    /// Whether it answers managers.
    pub active: bool,
    /// How often it became active.
    pub activations: u64,
    /// The Lease by which replicas elect; none where there is one master.
    pub lease: Option<LeaseStatus>,
    /// What does not work now of what has to do with the cluster, and why.
    pub troubles: BTreeMap<Trouble, String>,
}

/// What was last seen of the Lease.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaseStatus {
    /// Who holds it.
    pub holder: Option<String>,
    /// How often it went from one to another.
    pub transitions: u32,
}

/// What can fail for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Trouble {
    /// To watch the document's Secrets.
    Watch,
    /// To read and renew the Lease.
    Lease,
    /// To read and store the engine.
    Engine,
    /// To label pods.
    Label,
}

impl Trouble {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Watch, Self::Lease, Self::Engine, Self::Label];

    /// Its name, as a label of metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Watch => "watch",
            Self::Lease => "lease",
            Self::Engine => "engine",
            Self::Label => "label",
        }
    }
}

impl Role {
    /// Notes that something does not work, or does again. Told in the log when it begins and when it ends: not each
    /// time that it is tried.
    pub fn trouble(&mut self, trouble: Trouble, reason: Option<String>) {
        let what = trouble.name();
        match reason {
            Some(reason) => {
                if self.troubles.contains_key(&trouble) {
                    tracing::debug!(what, "it still fails: {reason}");
                } else if trouble == Trouble::Engine {
                    tracing::error!(what, "there is no engine to answer with: {reason}");
                } else {
                    tracing::warn!(what, "the cluster does not do its part, and what there is stays: {reason}");
                }
                self.troubles.insert(trouble, reason);
            }
            None => {
                if self.troubles.remove(&trouble).is_some() {
                    tracing::info!(what, "the cluster does its part again");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_stands_until_it_is_over_and_says_what_was_last_wrong() {
        let mut role = Role::default();
        role.trouble(Trouble::Lease, Some("refused".to_owned()));
        role.trouble(Trouble::Label, Some("forbidden".to_owned()));
        role.trouble(Trouble::Lease, Some("no answer".to_owned()));
        let json = serde_json::to_value(&role).unwrap();
        assert_eq!(json["troubles"], serde_json::json!({"lease": "no answer", "label": "forbidden"}));
        role.trouble(Trouble::Lease, None);
        role.trouble(Trouble::Lease, None);
        assert_eq!(role.troubles.len(), 1);
    }
}
