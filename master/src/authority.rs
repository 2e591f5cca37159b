//! Who may do what towards the master: the one place where that is decided.

mod grants;
mod notification;
#[cfg(test)]
mod tests;

use std::{fmt, net::SocketAddr, sync::Arc, time::Instant};

use agentx::{DisplayArcs, Oid, Range, ResponseError, SubId, VarBind};

pub use self::grants::Grants;
pub(crate) use self::notification::is_notification;
use crate::{identity::Identity, registry::reaches_into};

/// Who is at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// How it is connected.
    pub transport: Transport,
}

/// How a peer is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// By a Unix socket (RFC 2741 section 8.2).
    Unix {
        /// Its process, where the kernel says so.
        pid: Option<i32>,
        /// Whose process that is.
        uid: Option<u32>,
    },
    /// By TCP (RFC 2741 section 8.1).
    Tcp {
        /// From where.
        address: SocketAddr,
    },
    /// By TLS, with a token.
    Tls {
        /// From where.
        address: SocketAddr,
        /// Whose token it is.
        identity: Arc<Identity>,
        /// When the token ends, and the connection with it.
        expires: Instant,
    },
}

impl Peer {
    /// Whose token it came with; none if it needed none.
    pub fn identity(&self) -> Option<&Arc<Identity>> {
        match &self.transport {
            Transport::Tls { identity, .. } => Some(identity),
            Transport::Unix { .. } | Transport::Tcp { .. } => None,
        }
    }
}

/// What a peer asks for.
#[derive(Debug, Clone, Copy)]
pub enum Act<'a> {
    /// A session.
    Open,
    /// To serve a region.
    Register {
        /// In this context.
        context: &'a [u8],
        /// The region, or its first subtree if there is a range.
        subtree: &'a Oid,
        /// The range, if the region is several subtrees.
        range: Option<Range>,
    },
    /// To reserve index values.
    AllocateIndexes {
        /// In this context.
        context: &'a [u8],
        /// The index objects and their values.
        varbinds: &'a [VarBind],
    },
    /// A row in sysORTable.
    AddCapabilities {
        /// In this context.
        context: &'a [u8],
        /// The row's sysORID.
        id: &'a Oid,
    },
    /// To send a notification.
    Notify {
        /// In this context.
        context: &'a [u8],
        /// The notification.
        varbinds: &'a [VarBind],
    },
    /// To take something of its own back, or to ask whether the master is there.
    Refer {
        /// In this context.
        context: &'a [u8],
    },
}

/// Why a peer may not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// These are objects of the master's own.
    #[error("what is under {0} is the master's own")]
    Reserved(Oid),
    /// The namespace is granted nothing in this context, whether it is there or not.
    #[error("the namespace is granted nothing in this context")]
    Context,
    /// This does not lie in what the namespace is granted.
    #[error("{0} does not lie in what the namespace is granted in this context")]
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

/// Decides what peers may do.
///
/// A peer on the Unix socket or on TCP is the platform team's, and may do anything but answer in the master's place. One over
/// TLS is a tenant's, and may do what its namespace is granted.
#[derive(Debug, Clone)]
pub struct Authority {
    /// The master's own subtrees.
    reserved: Vec<Oid>,
    grants: Grants,
}

impl Authority {
    /// `own` are the master's own subtrees. Nothing is granted yet.
    pub fn new(own: &[Oid]) -> Self {
        Self { reserved: own.to_vec(), grants: Grants::default() }
    }

    /// Other grants from now on; the answer is the namespaces for which they differ.
    pub fn grant(&mut self, grants: Grants) -> Vec<Arc<str>> {
        let changed = self.grants.differing(&grants);
        self.grants = grants;
        changed
    }

    /// Whether `peer` may do this.
    ///
    /// # Errors
    /// Why it may not.
    pub fn decide(&self, peer: &Peer, act: Act<'_>) -> Result<(), Denial> {
        match &peer.transport {
            Transport::Unix { .. } | Transport::Tcp { .. } => match act {
                Act::Register { context: _, subtree, range } => self.unreserved(subtree, range),
                Act::AllocateIndexes { context: _, varbinds } => {
                    varbinds.iter().try_for_each(|varbind| self.unreserved(&varbind.name, None))
                }
                Act::Open | Act::AddCapabilities { .. } | Act::Notify { .. } | Act::Refer { .. } => Ok(()),
            },
            Transport::Tls { identity, .. } => self.decide_for(&identity.namespace, act),
        }
    }

    fn decide_for(&self, namespace: &str, act: Act<'_>) -> Result<(), Denial> {
        let granted = |context: &[u8]| self.grants.of(namespace, context).ok_or(Denial::Context);
        match act {
            // The default context is the one that is not named: a Ping is of none.
            Act::Open | Act::Refer { context: b"" } => Ok(()),
            Act::Refer { context } => granted(context).map(drop),
            Act::Register { context, subtree, range } => {
                let granted = granted(context)?;
                self.unreserved(subtree, range)?;
                granted.hold(subtree, range)
            }
            Act::AllocateIndexes { context, varbinds } => {
                let granted = granted(context)?;
                varbinds.iter().try_for_each(|varbind| {
                    self.unreserved(&varbind.name, None)?;
                    granted.hold(&varbind.name, None)
                })
            }
            Act::AddCapabilities { context, id } => granted(context)?.hold(id, None),
            Act::Notify { context, varbinds } => notification::decide(granted(context)?, varbinds),
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

impl fmt::Display for Act<'_> {
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
