//! Access rules: which communities and users may access which contexts, in a form that is fast to look up.
//!
//! The rules are immutable. A new configuration document makes new rules.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::Arc,
};

use async_snmp::Community;
use ipnet::IpNet;
use master_config::{Access as Permission, Document, SecurityLevel, System};

use super::keys::{KeyCache, Keys};

/// The maximum length of a message over UDP and IPv4, in octets.
const MAX_MESSAGE_OCTETS: usize = 65_507;
/// The message length that every engine must accept (RFC 3412 section 6.3), in octets.
const MIN_MESSAGE_OCTETS: usize = 484;

/// The access rules. They are made from the configuration document outside the request path, and replaced as a whole.
pub struct Access {
    /// Sorted by hash.
    communities: Vec<CommunityAccess>,
    hasher: RandomState,
    users: HashMap<Vec<u8>, User>,
    systems: HashMap<Vec<u8>, System>,
    message_octets: usize,
    max_requests: usize,
}

/// The access of an SNMPv1 or SNMPv2c community.
pub(crate) struct CommunityAccess {
    pub(crate) hash: u64,
    pub(crate) community: Community,
    pub(crate) context: Vec<u8>,
    pub(crate) permission: Permission,
    /// The networks from which the community may be used. Empty: all networks.
    sources: Vec<IpNet>,
}

/// An SNMPv3 user.
pub(crate) struct User {
    pub(crate) hash: u64,
    pub(crate) keys: Option<Arc<Keys>>,
    contexts: HashMap<Vec<u8>, UserAccess>,
}

/// The access of a user to a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UserAccess {
    /// The minimum security level of requests.
    pub(crate) level: SecurityLevel,
    pub(crate) permission: Permission,
}

impl Access {
    /// Makes the access rules of a configuration document.
    ///
    /// Deriving a key takes some milliseconds of hashing. Keys that `keys` already holds are reused, and keys that the
    /// document no longer needs are removed from it. A user whose keys cannot be derived gets no access.
    pub fn new(document: &Document, engine_id: &[u8], keys: &mut KeyCache) -> Self {
        let hasher = RandomState::new();
        let mut communities: Vec<_> = document
            .contexts
            .iter()
            .flat_map(|context| context.communities.iter().map(move |community| (context, community)))
            .map(|(context, community)| {
                let octets = community.community.expose().as_bytes();
                CommunityAccess {
                    hash: hasher.hash_one(octets),
                    community: Community::from(octets.to_vec()),
                    context: context.name.clone().into_bytes(),
                    permission: community.access,
                    sources: community.sources.clone(),
                }
            })
            .collect();
        communities.sort_by_key(|access| access.hash);
        let mut keys = keys.start_generation(engine_id);
        let mut users: HashMap<_, _> = document
            .users
            .iter()
            .filter_map(|user| {
                let keys = keys.derive_for(user).inspect_err(|error| {
                    tracing::error!(user = user.name, %error, "failed to derive the keys of an SNMPv3 user; the user has no access");
                });
                let name = user.name.clone().into_bytes();
                Some((name.clone(), User { hash: hasher.hash_one(&name), keys: keys.ok()?, contexts: HashMap::new() }))
            })
            .collect();
        for context in &document.contexts {
            for configured in &context.users {
                if let Some(user) = users.get_mut(configured.name.as_bytes()) {
                    let access = UserAccess { level: configured.security_level, permission: configured.access };
                    user.contexts.insert(context.name.clone().into_bytes(), access);
                }
            }
        }
        let systems =
            document.contexts.iter().map(|context| (context.name.clone().into_bytes(), context.system.clone()));
        let message_octets = usize::try_from(document.limits.snmp_message_octets).unwrap_or(MAX_MESSAGE_OCTETS);
        Self {
            communities,
            hasher,
            users,
            systems: systems.collect(),
            message_octets: message_octets.clamp(MIN_MESSAGE_OCTETS, MAX_MESSAGE_OCTETS),
            max_requests: usize::try_from(document.limits.snmp_requests).unwrap_or(usize::MAX),
        }
    }

    /// Returns the access of a community from a source address. Returns `None` if the community is unknown or not
    /// allowed from there.
    ///
    /// The time that this takes reveals nothing about communities: candidates are found by a keyed hash, and compared
    /// in constant time.
    pub(crate) fn community(&self, community: &[u8], from: IpAddr) -> Option<&CommunityAccess> {
        let hash = self.hasher.hash_one(community);
        let start = self.communities.partition_point(|access| access.hash < hash);
        let from = from.to_canonical();
        let candidates = self.communities.get(start..)?.iter().take_while(|access| access.hash == hash);
        candidates.filter(|access| access.community.matches(community)).find(|access| access.allows(from))
    }

    /// Returns the user with this name.
    pub(crate) fn user(&self, name: &[u8]) -> Option<&User> {
        self.users.get(name)
    }

    /// Returns the configured objects of the system group of a context.
    pub(crate) fn system(&self, context: &[u8]) -> Option<&System> {
        self.systems.get(context)
    }

    /// Returns the maximum length of sent and received messages, in octets: snmpEngineMaxMessageSize.
    pub(crate) fn message_octets(&self) -> usize {
        self.message_octets
    }

    /// Returns how many requests may be answered at the same time.
    pub(crate) fn max_requests(&self) -> usize {
        self.max_requests
    }
}

impl CommunityAccess {
    fn allows(&self, from: IpAddr) -> bool {
        self.sources.is_empty() || self.sources.iter().any(|network| network.contains(&from))
    }
}

impl User {
    /// Returns the user's access to a context. Returns `None` if the user has none, whether or not the context exists.
    pub(crate) fn access_to(&self, context: &[u8]) -> Option<UserAccess> {
        self.contexts.get(context).copied()
    }

    /// Returns the highest security level that the user has keys for.
    pub(crate) fn highest_level(&self) -> SecurityLevel {
        match self.keys.as_deref() {
            None => SecurityLevel::NoAuthNoPriv,
            Some(Keys { privacy: None, .. }) => SecurityLevel::AuthNoPriv,
            Some(_) => SecurityLevel::AuthPriv,
        }
    }
}

impl fmt::Debug for Access {
    /// Shows numbers only, no names and no secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("communities", &self.communities.len())
            .field("users", &self.users.len())
            .field("contexts", &self.systems.len())
            .finish_non_exhaustive()
    }
}
