//! Who may ask for what: the contract in the form that each request is judged by. It never changes; a new contract is a
//! new one of these.

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

/// The longest message on UDP over IPv4, in octets.
const UDP_OCTETS: usize = 65_507;
/// The least that every engine takes (RFC 3412 section 6.3), in octets.
const LEAST_OCTETS: usize = 484;

/// Who may ask for what. Made from the contract off the request path, and swapped in whole.
pub struct Access {
    /// Sorted by hash.
    communities: Vec<CommunityAccess>,
    hasher: RandomState,
    users: HashMap<Vec<u8>, User>,
    systems: HashMap<Vec<u8>, System>,
    message_octets: usize,
    requests: usize,
}

/// What a community of SNMPv1 and SNMPv2c reaches.
pub(crate) struct CommunityAccess {
    pub(crate) hash: u64,
    pub(crate) community: Community,
    pub(crate) context: Vec<u8>,
    pub(crate) permission: Permission,
    sources: Vec<IpNet>,
}

/// A user of SNMPv3.
pub(crate) struct User {
    pub(crate) hash: u64,
    pub(crate) keys: Option<Arc<Keys>>,
    contexts: HashMap<Vec<u8>, Grant>,
}

/// What a user may do in a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grant {
    /// The least security of its requests.
    pub(crate) level: SecurityLevel,
    pub(crate) permission: Permission,
}

impl Access {
    /// Takes a contract in. Slow: a key takes some milliseconds of hashing, but for what `keys` holds already; what it
    /// holds and the contract no longer has is forgotten.
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
        let mut keys = keys.renew(engine_id);
        let mut users: HashMap<_, _> = document
            .users
            .iter()
            .filter_map(|user| {
                let keys = keys.of(user).inspect_err(|error| {
                    tracing::error!(user = user.name, %error, "a user is left out");
                });
                let name = user.name.clone().into_bytes();
                Some((name.clone(), User { hash: hasher.hash_one(&name), keys: keys.ok()?, contexts: HashMap::new() }))
            })
            .collect();
        for context in &document.contexts {
            for granted in &context.users {
                if let Some(user) = users.get_mut(granted.name.as_bytes()) {
                    let grant = Grant { level: granted.security_level, permission: granted.access };
                    user.contexts.insert(context.name.clone().into_bytes(), grant);
                }
            }
        }
        let systems =
            document.contexts.iter().map(|context| (context.name.clone().into_bytes(), context.system.clone()));
        let message_octets = usize::try_from(document.limits.snmp_message_octets).unwrap_or(UDP_OCTETS);
        Self {
            communities,
            hasher,
            users,
            systems: systems.collect(),
            message_octets: message_octets.clamp(LEAST_OCTETS, UDP_OCTETS),
            requests: usize::try_from(document.limits.snmp_requests).unwrap_or(usize::MAX),
        }
    }

    /// What this community reaches from that address; `None` for one that is not known, or not there.
    ///
    /// How long it takes tells nothing of any community: where to look is told by a keyed hash of the whole, and what
    /// is found there is compared in constant time.
    pub(crate) fn community(&self, community: &[u8], from: IpAddr) -> Option<&CommunityAccess> {
        let hash = self.hasher.hash_one(community);
        let start = self.communities.partition_point(|access| access.hash < hash);
        let from = from.to_canonical();
        let candidates = self.communities.get(start..)?.iter().take_while(|access| access.hash == hash);
        candidates.filter(|access| access.community.matches(community)).find(|access| access.takes(from))
    }

    /// The user of this name.
    pub(crate) fn user(&self, name: &[u8]) -> Option<&User> {
        self.users.get(name)
    }

    /// What the system group of a context says.
    pub(crate) fn system(&self, context: &[u8]) -> Option<&System> {
        self.systems.get(context)
    }

    /// The longest message that is sent or taken, in octets: snmpEngineMaxMessageSize.
    pub(crate) fn message_octets(&self) -> usize {
        self.message_octets
    }

    /// How many requests are answered at once.
    pub(crate) fn requests(&self) -> usize {
        self.requests
    }
}

impl CommunityAccess {
    fn takes(&self, from: IpAddr) -> bool {
        self.sources.is_empty() || self.sources.iter().any(|network| network.contains(&from))
    }
}

impl User {
    /// What the user may do in a context; `None` for one that is not his, whether it exists or not.
    pub(crate) fn grant(&self, context: &[u8]) -> Option<Grant> {
        self.contexts.get(context).copied()
    }

    /// The highest level that the user has keys for.
    pub(crate) fn highest_level(&self) -> SecurityLevel {
        match self.keys.as_deref() {
            None => SecurityLevel::NoAuthNoPriv,
            Some(Keys { privacy: None, .. }) => SecurityLevel::AuthNoPriv,
            Some(_) => SecurityLevel::AuthPriv,
        }
    }
}

impl fmt::Debug for Access {
    /// How much there is of each; no name, no secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("communities", &self.communities.len())
            .field("users", &self.users.len())
            .field("contexts", &self.systems.len())
            .finish_non_exhaustive()
    }
}
