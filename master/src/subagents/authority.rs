//! Authorization of subagents. All decisions are made here.

mod grants;
mod notification;
#[cfg(test)]
mod tests;

use std::{fmt, net::SocketAddr, sync::Arc, time::Instant};

use agentx::{DisplayArcs, Oid, Range, ResponseError, SubId, VarBind};
use identity::Identity;

pub use self::grants::Grants;
pub(crate) use self::notification::is_notification;
use crate::subagents::registry::reaches_into;

/// The peer of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// How the peer is connected.
    pub transport: Transport,
}

/// The transport of a connection, with what it reveals of the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// A Unix socket (RFC 2741 section 8.2).
    Unix {
        /// The process id of the peer, if the kernel reports it.
        pid: Option<i32>,
        /// The user id of the peer, if the kernel reports it.
        uid: Option<u32>,
    },
    /// TCP (RFC 2741 section 8.1).
    Tcp {
        /// The address of the peer.
        address: SocketAddr,
    },
    /// TLS, with a ServiceAccount token.
    Tls {
        /// The address of the peer.
        address: SocketAddr,
        /// The identity that the token proves.
        identity: Arc<Identity>,
        /// When the token expires. The connection is closed then.
        expires: Instant,
    },
}

impl Peer {
    /// Returns the identity that the token of the peer proves. Returns `None` for transports without tokens.
    pub fn identity(&self) -> Option<&Arc<Identity>> {
        match &self.transport {
            Transport::Tls { identity, .. } => Some(identity),
            Transport::Unix { .. } | Transport::Tcp { .. } => None,
        }
    }
}

/// An action that a peer requests.
#[derive(Debug, Clone, Copy)]
pub enum Action<'a> {
    /// Open a session.
    Open,
    /// Register a region.
    Register {
        /// The context.
        context: &'a [u8],
        /// The region, or its first subtree if there is a range.
        subtree: &'a Oid,
        /// The range, if the region consists of several subtrees.
        range: Option<Range>,
    },
    /// Allocate index values.
    AllocateIndexes {
        /// The context.
        context: &'a [u8],
        /// The index objects and their values.
        varbinds: &'a [VarBind],
    },
    /// Add a row to sysORTable.
    AddCapabilities {
        /// The context.
        context: &'a [u8],
        /// sysORID of the row.
        id: &'a Oid,
    },
    /// Send a notification.
    Notify {
        /// The context.
        context: &'a [u8],
        /// The varbinds of the notification.
        varbinds: &'a [VarBind],
    },
    /// Remove something that the peer has added, or ping the master.
    Refer {
        /// The context.
        context: &'a [u8],
    },
}

/// Why an action is denied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The objects belong to the master.
    #[error("objects under {0} are reserved for the master itself")]
    Reserved(Oid),
    /// The namespace has no grant in this context, whether the context exists or not.
    #[error("the namespace has no grant in this context")]
    Context,
    /// The OID is outside the grants of the namespace.
    #[error("{0} is outside the grants of the namespace in this context")]
    Outside(Oid),
}

impl From<&Denial> for ResponseError {
    fn from(denial: &Denial) -> Self {
        match denial {
            Denial::Reserved(_) | Denial::Outside(_) => Self::RequestDenied,
            Denial::Context => Self::UnsupportedContext,
        }
    }
}

/// Authorizes the actions of peers.
///
/// Peers on the Unix socket or TCP belong to the platform team. They may do anything except serve the objects of the
/// master. Peers over TLS belong to tenants. They may only do what is granted to their namespace.
#[derive(Debug, Clone)]
pub struct Authority {
    /// The subtrees of the master itself.
    reserved: Vec<Oid>,
    grants: Grants,
}

impl Authority {
    /// Creates an authority without grants. `own` are the subtrees of the master itself.
    pub fn new(own: &[Oid]) -> Self {
        Self { reserved: own.to_vec(), grants: Grants::default() }
    }

    /// Replaces the grants. Returns the namespaces whose grants changed.
    pub fn grant(&mut self, grants: Grants) -> Vec<Arc<str>> {
        let changed = self.grants.differing(&grants);
        self.grants = grants;
        changed
    }

    /// Authorizes an action of a peer.
    ///
    /// # Errors
    /// Returns why the action is denied.
    pub fn authorize(&self, peer: &Peer, action: Action<'_>) -> Result<(), Denial> {
        match &peer.transport {
            Transport::Unix { .. } | Transport::Tcp { .. } => match action {
                Action::Register { context: _, subtree, range } => self.unreserved(subtree, range),
                Action::AllocateIndexes { context: _, varbinds } => {
                    varbinds.iter().try_for_each(|varbind| self.unreserved(&varbind.name, None))
                }
                Action::Open | Action::AddCapabilities { .. } | Action::Notify { .. } | Action::Refer { .. } => Ok(()),
            },
            Transport::Tls { identity, .. } => self.authorize_tenant(&identity.namespace, action),
        }
    }

    fn authorize_tenant(&self, namespace: &str, action: Action<'_>) -> Result<(), Denial> {
        let granted = |context: &[u8]| self.grants.of(namespace, context).ok_or(Denial::Context);
        match action {
            // A Ping names no context, which is the default context.
            Action::Open | Action::Refer { context: b"" } => Ok(()),
            Action::Refer { context } => granted(context).map(drop),
            Action::Register { context, subtree, range } => {
                let granted = granted(context)?;
                self.unreserved(subtree, range)?;
                granted.hold(subtree, range)
            }
            Action::AllocateIndexes { context, varbinds } => {
                let granted = granted(context)?;
                varbinds.iter().try_for_each(|varbind| {
                    self.unreserved(&varbind.name, None)?;
                    granted.hold(&varbind.name, None)
                })
            }
            Action::AddCapabilities { context, id } => granted(context)?.hold(id, None),
            Action::Notify { context, varbinds } => notification::authorize(granted(context)?, varbinds),
        }
    }

    fn unreserved(&self, subtree: &[SubId], range: Option<Range>) -> Result<(), Denial> {
        match self.reserved.iter().find(|reserved| reaches_into(subtree, range, reserved)) {
            Some(reserved) => Err(Denial::Reserved(reserved.clone())),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.transport {
            Transport::Unix { pid, uid } => {
                f.write_str("unix")?;
                pid.map_or(Ok(()), |pid| write!(f, " pid {pid}"))?;
                uid.map_or(Ok(()), |uid| write!(f, " uid {uid}"))
            }
            Transport::Tcp { address } => write!(f, "tcp {address}"),
            Transport::Tls { address, identity, .. } => write!(f, "tls {identity} {address}"),
        }
    }
}

impl fmt::Display for Action<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("open"),
            Self::Register { subtree, .. } => write!(f, "register {}", DisplayArcs(subtree)),
            Self::AllocateIndexes { .. } => f.write_str("allocate indexes"),
            Self::AddCapabilities { id, .. } => write!(f, "add capabilities {}", DisplayArcs(id)),
            Self::Notify { .. } => f.write_str("notify"),
            Self::Refer { .. } => f.write_str("refer to a context"),
        }
    }
}
