//! Who may do what towards the master: the one place where that is decided.

use std::{fmt, net::SocketAddr};

use agentx::{DisplayArcs, Oid, Range, ResponseError, SubId, VarBind};

use crate::registry::reaches_into;

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
}

/// Why a peer may not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// These are objects of the master's own.
    #[error("what is under {0} is the master's own")]
    Reserved(Oid),
}

impl From<&Denial> for ResponseError {
    fn from(denial: &Denial) -> Self {
        match denial {
            Denial::Reserved(_) => Self::RequestDenied,
        }
    }
}

/// Decides what peers may do.
///
/// A peer on the Unix socket or on TCP is the platform team's, and may do anything but answer in the master's place.
#[derive(Debug, Clone)]
pub struct Authority {
    /// The master's own subtrees.
    reserved: Vec<Oid>,
}

impl Authority {
    /// `own` are the master's own subtrees.
    pub fn new(own: &[Oid]) -> Self {
        Self { reserved: own.to_vec() }
    }

    /// Whether `peer` may do this.
    ///
    /// # Errors
    /// Why it may not.
    pub fn decide(&self, peer: &Peer, act: Act<'_>) -> Result<(), Denial> {
        match peer.transport {
            Transport::Unix { .. } | Transport::Tcp { .. } => match act {
                Act::Register { context: _, subtree, range } => self.unreserved(subtree, range),
                Act::AllocateIndexes { context: _, varbinds } => {
                    varbinds.iter().try_for_each(|varbind| self.unreserved(&varbind.name, None))
                }
                Act::Open | Act::AddCapabilities { .. } | Act::Notify { .. } => Ok(()),
            },
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
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn oid(text: &str) -> Oid {
        text.parse().expect("an OID")
    }

    #[rstest]
    #[case::elsewhere("1.3.6.1.4.1.99999", None, true)]
    #[case::an_own_subtree("1.3.6.1.2.1.1", None, false)]
    #[case::in_an_own_subtree("1.3.6.1.2.1.1.9.1", None, false)]
    #[case::above_an_own_subtree("1.3.6.1.2.1", None, true)]
    #[case::a_range_over_an_own_subtree("1.3.6.1.2.1.0", Some((7, 5)), false)]
    #[case::a_range_beside_an_own_subtree("1.3.6.1.2.1.2", Some((7, 5)), true)]
    #[case::a_range_below_an_own_subtree("1.3.6.1.2.1.1.3", Some((8, 5)), false)]
    #[case::a_range_above_and_a_part_that_differs("1.3.6.1.1.1.2", Some((5, 5)), true)]
    #[case::in_another_own_subtree("1.3.6.1.4.1.8072.9999.9999.2741.1", None, false)]
    #[case::beside_it("1.3.6.1.4.1.8072.9999.9999.1", None, true)]
    fn the_masters_own_objects_are_nobody_elses(
        #[case] subtree: &str,
        #[case] range: Option<(u8, SubId)>,
        #[case] allowed: bool,
    ) {
        let authority = Authority::new(&["1.3.6.1.2.1.1", "1.3.6.1.4.1.8072.9999.9999.2741"].map(oid));
        let range = range.map(|(position, upper_bound)| Range { position, upper_bound });
        for transport in [
            Transport::Unix { pid: Some(7), uid: None },
            Transport::Tcp { address: SocketAddr::from(([127, 0, 0, 1], 705)) },
        ] {
            let act = Act::Register { context: b"", subtree: &oid(subtree), range };
            let decided = authority.decide(&Peer { transport }, act);
            assert_eq!(decided.is_ok(), allowed, "{decided:?}");
        }
    }
}
