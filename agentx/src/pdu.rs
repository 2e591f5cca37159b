//! Owned PDUs (RFC 2741 section 6.2).

use crate::{Header, Oid, PduType, SubId, Value, code::coded};

/// One PDU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pdu {
    /// Byte order, session, transaction and packet.
    pub header: Header,
    /// SNMP context. It is decoded whenever its flag is set, and can be encoded only if the PDU type has a context field
    /// ([`PduType::has_context`]).
    pub context: Context,
    /// Content of the PDU.
    pub body: Body,
}

/// The name of an SNMP context. The default context has an empty name and no context field in the PDU.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Context(pub Vec<u8>);

impl Context {
    /// Returns whether this is the default context.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&str> for Context {
    fn from(name: &str) -> Self {
        Self(name.as_bytes().to_vec())
    }
}

/// Content of a PDU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Opens a session.
    Open(Open),
    /// Closes a session.
    Close(CloseReason),
    /// Registers a region.
    Register(Register),
    /// Unregisters a region.
    Unregister(Unregister),
    /// Reads the instance at the start of each range.
    Get(Vec<SearchRange>),
    /// Reads the first instance in each range.
    GetNext(Vec<SearchRange>),
    /// Reads the first instances in each range.
    GetBulk(GetBulk),
    /// First step of a SET: checks the values and reserves resources.
    TestSet(Vec<VarBind>),
    /// Second step of a SET: writes the values.
    CommitSet,
    /// Restores the values from before a CommitSet.
    UndoSet,
    /// Last step of a SET: releases resources. It has no response.
    CleanupSet,
    /// Sends a notification: optional sysUpTime.0, snmpTrapOID.0, and the objects (RFC 2741 section 6.2.10).
    Notify(Vec<VarBind>),
    /// Checks whether the master is available.
    Ping,
    /// Reserves index values.
    IndexAllocate(IndexAllocate),
    /// Releases index values, one per varbind.
    IndexDeallocate(Vec<VarBind>),
    /// Adds a row to sysORTable.
    AddAgentCaps(AddAgentCaps),
    /// Removes a row from sysORTable.
    RemoveAgentCaps(RemoveAgentCaps),
    /// The response to any other PDU.
    Response(Response),
}

impl Body {
    /// Returns the type of the PDU.
    #[must_use]
    pub const fn pdu_type(&self) -> PduType {
        match self {
            Self::Open(_) => PduType::Open,
            Self::Close(_) => PduType::Close,
            Self::Register(_) => PduType::Register,
            Self::Unregister(_) => PduType::Unregister,
            Self::Get(_) => PduType::Get,
            Self::GetNext(_) => PduType::GetNext,
            Self::GetBulk(_) => PduType::GetBulk,
            Self::TestSet(_) => PduType::TestSet,
            Self::CommitSet => PduType::CommitSet,
            Self::UndoSet => PduType::UndoSet,
            Self::CleanupSet => PduType::CleanupSet,
            Self::Notify(_) => PduType::Notify,
            Self::Ping => PduType::Ping,
            Self::IndexAllocate(_) => PduType::IndexAllocate,
            Self::IndexDeallocate(_) => PduType::IndexDeallocate,
            Self::AddAgentCaps(_) => PduType::AddAgentCaps,
            Self::RemoveAgentCaps(_) => PduType::RemoveAgentCaps,
            Self::Response(_) => PduType::Response,
        }
    }
}

/// Content of an Open PDU (RFC 2741 section 6.2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Timeout for responses of this subagent, in seconds. 0: the master's default.
    pub timeout_s: u8,
    /// OID that identifies the subagent. Null: unspecified.
    pub id: Oid,
    /// Description of the subagent, a DisplayString.
    pub description: Vec<u8>,
}

coded! {
    /// Reason for closing a session (RFC 2741 section 6.2.2).
    pub enum CloseReason: u8 {
        /// None of the other reasons.
        Other = 1,
        /// Too many PDUs could not be parsed.
        ParseError = 2,
        /// Too many protocol errors.
        ProtocolError = 3,
        /// Too many timeouts.
        Timeouts = 4,
        /// The sender shuts down.
        Shutdown = 5,
        /// A manager requested it. Sent by masters only.
        ByManager = 6,
    }
}

/// A range of values for one sub-identifier of a subtree, from the sub-identifier's value to `upper_bound`, inclusive (RFC 2741
/// section 6.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Range {
    /// Position of the sub-identifier in the subtree, from 1. At most the subtree's length.
    pub position: u8,
    /// Last value of the sub-identifier. The codec does not check that it is not less than the first value.
    pub upper_bound: SubId,
}

/// Content of a Register PDU (RFC 2741 section 6.2.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Register {
    /// Timeout for responses about this region, in seconds. 0: the session's timeout.
    pub timeout_s: u8,
    /// Priority. If two registrations have the same region, the one with the lower number is used. The default is 127.
    pub priority: u8,
    /// The region's subtree, or its first subtree if there is a range.
    pub subtree: Oid,
    /// The range, if the region consists of several subtrees.
    pub range: Option<Range>,
    /// Whether the subtree is the complete name of an instance: the INSTANCE_REGISTRATION flag.
    pub instance: bool,
}

impl Register {
    /// Default priority (RFC 2741 section 6.2.3).
    pub const DEFAULT_PRIORITY: u8 = 127;
}

/// Content of an Unregister PDU (RFC 2741 section 6.2.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unregister {
    /// Priority of the registration.
    pub priority: u8,
    /// Subtree of the registration.
    pub subtree: Oid,
    /// Range of the registration.
    pub range: Option<Range>,
}

/// A part of the tree to search (RFC 2741 section 5.2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchRange {
    /// Start of the range.
    pub start: Oid,
    /// Whether `start` itself is part of the range.
    pub include: bool,
    /// End of the range, not part of it. Null: no end.
    pub end: Oid,
}

/// Content of a GetBulk PDU (RFC 2741 section 6.2.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetBulk {
    /// Number of ranges, from the first, that are read once.
    pub non_repeaters: u16,
    /// Maximum number of instances to read in each of the other ranges.
    pub max_repetitions: u16,
    /// Ranges to search.
    pub ranges: Vec<SearchRange>,
}

/// A variable binding: name and value (RFC 2741 section 5.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VarBind {
    /// OID of the instance.
    pub name: Oid,
    /// Value of the instance.
    pub value: Value,
}

/// Content of an IndexAllocate PDU (RFC 2741 section 6.2.12).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexAllocate {
    /// Request any value that was never used before: the NEW_INDEX flag.
    pub new: bool,
    /// Request any value that is not in use: the ANY_INDEX flag.
    pub any: bool,
    /// Index objects and requested values.
    pub varbinds: Vec<VarBind>,
}

/// Content of an AddAgentCaps PDU (RFC 2741 section 6.2.14).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddAgentCaps {
    /// sysORID of the row.
    pub id: Oid,
    /// sysORDescr of the row, a DisplayString.
    pub description: Vec<u8>,
}

/// Content of a RemoveAgentCaps PDU (RFC 2741 section 6.2.15).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoveAgentCaps {
    /// sysORID of the row.
    pub id: Oid,
}

/// Content of a Response PDU (RFC 2741 section 6.2.16).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The master's sysUpTime in hundredths of a second. Without meaning in Responses of subagents.
    pub sys_up_time: u32,
    /// Error, or [`ResponseError::NoError`].
    pub error: ResponseError,
    /// Position of the varbind or search range with the error, from 1. 0: none.
    pub index: u16,
    /// Result of a Get, GetNext, GetBulk, IndexAllocate or IndexDeallocate. In Responses to other PDUs, varbinds have no
    /// meaning; net-snmp's master repeats the request there.
    pub varbinds: Vec<VarBind>,
}

coded! {
    /// Error of a Response: `res.error` (RFC 2741 section 6.2.16; codes below 256: RFC 3416 section 3).
    pub enum ResponseError: u16 {
        /// No error.
        NoError = 0,
        /// The response would be too long.
        TooBig = 1,
        /// SNMPv1 only.
        NoSuchName = 2,
        /// SNMPv1 only.
        BadValue = 3,
        /// SNMPv1 only.
        ReadOnly = 4,
        /// Any other error.
        GenErr = 5,
        /// The variable is not accessible.
        NoAccess = 6,
        /// The type of the value is wrong.
        WrongType = 7,
        /// The length of the value is wrong.
        WrongLength = 8,
        /// The encoding of the value contradicts its type.
        WrongEncoding = 9,
        /// The variable can never have this value.
        WrongValue = 10,
        /// The variable does not exist and cannot be created.
        NoCreation = 11,
        /// The variable cannot have this value now.
        InconsistentValue = 12,
        /// A resource that is needed to write the variable is not available.
        ResourceUnavailable = 13,
        /// CommitSet failed.
        CommitFailed = 14,
        /// UndoSet failed.
        UndoFailed = 15,
        /// The requester is not authorized.
        AuthorizationError = 16,
        /// The variable can never be written.
        NotWritable = 17,
        /// The variable does not exist and cannot be created now.
        InconsistentName = 18,
        /// The master cannot open a session.
        OpenFailed = 256,
        /// The session is not open.
        NotOpen = 257,
        /// The index object has values of another type.
        IndexWrongType = 258,
        /// The index value is in use.
        IndexAlreadyAllocated = 259,
        /// No index value is available.
        IndexNoneAvailable = 260,
        /// The session has not reserved this index value.
        IndexNotAllocated = 261,
        /// The context does not exist.
        UnsupportedContext = 262,
        /// The region is already registered at this priority.
        DuplicateRegistration = 263,
        /// The session has not registered this region.
        UnknownRegistration = 264,
        /// The session has not added this row to sysORTable.
        UnknownAgentCaps = 265,
        /// The PDU cannot be parsed.
        ParseError = 266,
        /// The master does not allow the request.
        RequestDenied = 267,
        /// The PDU cannot be processed.
        ProcessingError = 268,
    }
}
