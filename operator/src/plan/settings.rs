//! Settings of a plan.

use master_config::Listeners;

/// The namespace of the operator if it is not configured.
pub const SYSTEM_NAMESPACE: &str = "snmp-system";

/// The largest total size of the keys and values in a ConfigMap or Secret, in octets. The API server refuses more.
pub(crate) const MAX_OBJECT_OCTETS: usize = 1 << 20;

/// The rules by which objects are accepted or refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The minimum number of arcs in a subtree's base OID, so that nobody claims a whole enterprise by accident.
    pub minimum_arcs: usize,
    /// The operator's own namespace, which holds the Secrets that SnmpContexts refer to.
    pub system_namespace: String,
    /// Whether the built-in SnmpContext `default` exists if nobody created one.
    pub default_context: bool,
    /// The maximum number of SnmpSubtrees in a namespace. The youngest above it are refused.
    pub subtrees_per_namespace: usize,
    /// The maximum number of SnmpTrapTargets in a namespace. The youngest above it are refused.
    pub targets_per_namespace: usize,
    /// Whether the operator writes ConfigMaps for sidecars. If not, objects that need it are refused.
    pub writes: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            minimum_arcs: 8,
            system_namespace: SYSTEM_NAMESPACE.to_owned(),
            default_context: true,
            subtrees_per_namespace: 64,
            targets_per_namespace: 16,
            writes: false,
        }
    }
}

/// Where the documents of a plan are written, which decides how large they can be.
#[derive(Debug, Clone, PartialEq)]
pub enum Delivery {
    /// Files: one document for the master. Trap targets are refused, because nothing delivers to them yet.
    Files {
        /// Where the master listens.
        listeners: Listeners,
    },
    /// A cluster: a ConfigMap for each namespace, and a Secret for each shard of the masters' configuration. Trap
    /// targets stay in the plan; their conditions say that nothing delivers to them yet.
    Cluster {
        /// Where the masters listen.
        listeners: Listeners,
        /// How many octets of each ConfigMap are reserved for something else.
        reserved: usize,
    },
}
