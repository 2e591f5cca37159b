//! Errors of registrations.

use agentx::{Oid, ResponseError, SubId};

use super::Registry;

/// Why a region cannot be registered or unregistered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    /// The name of the context is too long.
    #[error("the name of the context has {len} octets; at most {} are allowed", Registry::MAX_CONTEXT_LEN)]
    ContextTooLong {
        /// The length in octets.
        len: usize,
    },
    /// The region is the null OID.
    #[error("the region is the null object identifier")]
    Null,
    /// The range is at a position that the subtree does not have.
    #[error("the range is at sub-identifier {position}, but the subtree has {len}")]
    RangePosition {
        /// The position, from 1.
        position: u8,
        /// The number of sub-identifiers of the subtree.
        len: usize,
    },
    /// The upper bound of the range is less than the lower bound.
    #[error("the upper bound {last} of the range is less than the lower bound {first}")]
    RangeReversed {
        /// The lower bound.
        first: SubId,
        /// The upper bound.
        last: SubId,
    },
    /// The range is not at the last sub-identifier, and consists of too many subtrees.
    #[error("the range consists of {subtrees} separate subtrees; at most {} are allowed", Registry::MAX_SUBTREES_APART)]
    RangeTooWide {
        /// The number of subtrees.
        subtrees: u64,
    },
    /// The region lies in a subtree of the master itself.
    #[error("{subtree} is served by the master itself")]
    Own {
        /// The subtree of the master.
        subtree: Oid,
    },
    /// A subtree of the region is already registered at the same priority.
    #[error("the region, or a part of it, is already registered at the same priority")]
    Duplicate,
    /// The total limit is exceeded.
    #[error("the limit of {limit} registrations in total is exceeded")]
    TooMany {
        /// [`super::Limits::registrations`].
        limit: u64,
    },
    /// The limit of the session is exceeded.
    #[error("the limit of {limit} registrations of a session is exceeded")]
    TooManyOfSession {
        /// [`super::Limits::registrations_per_session`].
        limit: u64,
    },
    /// The limit of the namespace is exceeded.
    #[error("the limit of {limit} registrations of a namespace is exceeded")]
    TooManyOfNamespace {
        /// [`super::Limits::registrations_per_namespace`].
        limit: u64,
    },
    /// The session has no such registration.
    #[error("the session has not registered this region at this priority in this context")]
    Unknown,
}

/// Maps to `res.error` (RFC 2741 sections 7.1.4 and 7.1.5).
impl From<&RegistrationError> for ResponseError {
    fn from(error: &RegistrationError) -> Self {
        match error {
            RegistrationError::ContextTooLong { .. } => Self::UnsupportedContext,
            RegistrationError::RangePosition { .. } => Self::ParseError,
            RegistrationError::Null
            | RegistrationError::RangeReversed { .. }
            | RegistrationError::RangeTooWide { .. }
            | RegistrationError::Own { .. }
            | RegistrationError::TooMany { .. }
            | RegistrationError::TooManyOfSession { .. }
            | RegistrationError::TooManyOfNamespace { .. } => Self::RequestDenied,
            RegistrationError::Duplicate => Self::DuplicateRegistration,
            RegistrationError::Unknown => Self::UnknownRegistration,
        }
    }
}

impl From<RegistrationError> for ResponseError {
    fn from(error: RegistrationError) -> Self {
        Self::from(&error)
    }
}
