//! The role of this replica: active or standby. A standalone master is always active.

use std::collections::BTreeMap;

use serde::Serialize;

/// The role of this replica, the Lease, and current failures.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Role {
    /// Whether this replica answers managers.
    pub active: bool,
    /// How often this replica became active.
    pub activations: u64,
    /// The Lease of the election. `None` for a standalone master.
    pub lease: Option<LeaseStatus>,
    /// Functions of the cluster that fail now, and why.
    pub troubles: BTreeMap<Trouble, String>,
}

/// The Lease as last observed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LeaseStatus {
    /// The holder.
    pub holder: Option<String>,
    /// How often the holder changed.
    pub transitions: u32,
}

/// A function that depends on the API server and fails now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Trouble {
    /// Watching the Secrets of the document.
    Watch,
    /// Reading and renewing the Lease.
    Lease,
    /// Reading and storing the engine.
    Engine,
    /// Labelling pods.
    Label,
}

impl Trouble {
    /// All troubles.
    pub(crate) const ALL: [Self; 4] = [Self::Watch, Self::Lease, Self::Engine, Self::Label];

    /// Returns the name, which is also the label value of the metric.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Watch => "watch",
            Self::Lease => "lease",
            Self::Engine => "engine",
            Self::Label => "label",
        }
    }
}

impl Role {
    /// Records why a function fails, or that it works. Logs when a failure begins and when it ends, but not each retry.
    pub(crate) fn trouble(&mut self, trouble: Trouble, reason: Option<String>) {
        let what = trouble.name();
        match reason {
            Some(reason) => {
                if self.troubles.contains_key(&trouble) {
                    tracing::debug!(what, "still failing: {reason}");
                } else if trouble == Trouble::Engine {
                    tracing::error!(
                        what,
                        "managers get no response, because the SNMP engine cannot be read or stored; trying again: {reason}"
                    );
                } else {
                    tracing::warn!(
                        what,
                        "Kubernetes API call failed; keeping the current state and trying again: {reason}"
                    );
                }
                self.troubles.insert(trouble, reason);
            }
            None => {
                if self.troubles.remove(&trouble).is_some() {
                    tracing::info!(what, "Kubernetes API calls work again");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_lasts_until_it_is_resolved_and_has_the_latest_reason() {
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
