//! Why a registration is refused, or cannot be taken back.

use agentx::{Oid, ResponseError, SubId};

use super::Registry;

/// Why a registration is refused, or cannot be taken back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The context's name is longer than any that is asked for.
    #[error("the context's name has {len} octets, but at most {} can be", Registry::MAX_CONTEXT_LEN)]
    ContextTooLong {
        /// Its octets.
        len: usize,
    },
    /// The null OID.
    #[error("the region is the null object identifier")]
    Null,
    /// The range is of a sub-identifier that the subtree does not have.
    #[error("range at sub-identifier {position} of a subtree of {len}")]
    RangePosition {
        /// The position, from 1.
        position: u8,
        /// The subtree's sub-identifiers.
        len: usize,
    },
    /// The range ends before it begins.
    #[error("the range is from {first} to {last}")]
    RangeReversed {
        /// The subtree's sub-identifier.
        first: SubId,
        /// The upper bound.
        last: SubId,
    },
    /// The range is of an inner sub-identifier, and stands for too many subtrees.
    #[error("the range is of {subtrees} subtrees that lie apart, but at most {} can be", Registry::MAX_SUBTREES_APART)]
    RangeTooWide {
        /// How many.
        subtrees: u64,
    },
    /// It is at or under a subtree of the master's own.
    #[error("the master itself serves {subtree}")]
    Own {
        /// The master's subtree.
        subtree: Oid,
    },
    /// A subtree of the region is registered already, at the same priority.
    #[error("the region, or a part of it, is registered already at the same priority")]
    Duplicate,
    /// There are as many registrations as may be.
    #[error("there would be more than {limit} registrations in all")]
    TooMany {
        /// [`super::Limits::registrations`].
        limit: u64,
    },
    /// The session has as many registrations as it may.
    #[error("there would be more than {limit} registrations of the session")]
    TooManyOfSession {
        /// [`super::Limits::registrations_per_session`].
        limit: u64,
    },
    /// The namespace has as many registrations as it may.
    #[error("there would be more than {limit} registrations of the namespace")]
    TooManyOfNamespace {
        /// [`super::Limits::registrations_per_namespace`].
        limit: u64,
    },
    /// The session has not registered this.
    #[error("the session has not registered this region at this priority in this context")]
    Unknown,
}

/// The `res.error` that says so (RFC 2741 sections 7.1.4 and 7.1.5).
impl From<&Refused> for ResponseError {
    fn from(refused: &Refused) -> Self {
        match refused {
            Refused::ContextTooLong { .. } => Self::UnsupportedContext,
            Refused::RangePosition { .. } => Self::ParseError,
            Refused::Null
            | Refused::RangeReversed { .. }
            | Refused::RangeTooWide { .. }
            | Refused::Own { .. }
            | Refused::TooMany { .. }
            | Refused::TooManyOfSession { .. }
            | Refused::TooManyOfNamespace { .. } => Self::RequestDenied,
            Refused::Duplicate => Self::DuplicateRegistration,
            Refused::Unknown => Self::UnknownRegistration,
        }
    }
}

impl From<Refused> for ResponseError {
    fn from(refused: Refused) -> Self {
        Self::from(&refused)
    }
}
