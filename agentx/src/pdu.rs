//! The PDUs, owned (RFC 2741 section 6.2).

use crate::{Header, Oid, PduType, SubId, Value, code::coded};

/// One PDU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pdu {
    /// Byte order, session, transaction and packet.
    pub header: Header,
    /// The SNMP context that it is about. It is read wherever its flag is set, and written only where the RFC has a field
    /// for it ([`PduType::has_context`]).
    pub context: Context,
    /// What it says.
    pub body: Body,
}

/// The name of an SNMP context. Empty is the default context, and then the PDU has no context field.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Context(pub Vec<u8>);

impl Context {
    /// Whether this is the default context.
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

/// What a PDU says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A subagent asks for a session.
    Open(Open),
    /// Either side ends the session.
    Close(CloseReason),
    /// A subagent claims a region.
    Register(Register),
    /// A subagent gives a region up.
    Unregister(Unregister),
    /// Read the instance that each range starts with.
    Get(Vec<SearchRange>),
    /// Read the first instance in each range.
    GetNext(Vec<SearchRange>),
    /// Read the first instances in each range.
    GetBulk(GetBulk),
    /// First step of a SET: check and reserve.
    TestSet(Vec<VarBind>),
    /// Second step of a SET: write.
    CommitSet,
    /// Put back what CommitSet wrote.
    UndoSet,
    /// Last step of a SET: release. It has no response.
    CleanupSet,
    /// A notification: optionally sysUpTime.0, then snmpTrapOID.0, then its objects (RFC 2741 section 6.2.10).
    Notify(Vec<VarBind>),
    /// Is the master there?
    Ping,
    /// Reserve index values.
    IndexAllocate(IndexAllocate),
    /// Release index values: one varbind per value.
    IndexDeallocate(Vec<VarBind>),
    /// Add a row to sysORTable.
    AddAgentCaps(AddAgentCaps),
    /// Remove the row from sysORTable.
    RemoveAgentCaps(RemoveAgentCaps),
    /// The answer to any of the others.
    Response(Response),
}

impl Body {
    /// The PDU's type on the wire.
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

/// Asks for a session (RFC 2741 section 6.2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// How long the master waits for this subagent's answers, in seconds; 0: as it likes.
    pub timeout_s: u8,
    /// Identifies the subagent; null: not given.
    pub id: Oid,
    /// Describes the subagent: a DisplayString.
    pub description: Vec<u8>,
}

coded! {
    /// Why a session ends (RFC 2741 section 6.2.2).
    pub enum CloseReason: u8 {
        /// None of the other reasons.
        Other = 1,
        /// Too many PDUs that do not parse.
        ParseError = 2,
        /// Too many errors of protocol.
        ProtocolError = 3,
        /// Too many answers that did not come.
        Timeouts = 4,
        /// The sender ends.
        Shutdown = 5,
        /// A manager asked for it: masters only.
        ByManager = 6,
    }
}

/// A range in place of one sub-identifier of a subtree: from that sub-identifier to `upper_bound`, both included
/// (RFC 2741 section 6.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Range {
    /// Which sub-identifier of the subtree, from 1. At most the subtree's length.
    pub position: u8,
    /// The last value of that sub-identifier. That it is not before the first is for the reader to check.
    pub upper_bound: SubId,
}

/// Claims a region (RFC 2741 section 6.2.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Register {
    /// How long the master waits for answers about this region, in seconds; 0: as for the session.
    pub timeout_s: u8,
    /// Of two registrations of the same region, the one of the lower priority answers. The default is 127.
    pub priority: u8,
    /// The region, or its first subtree if there is a range.
    pub subtree: Oid,
    /// The range, if the region is several subtrees.
    pub range: Option<Range>,
    /// Whether the subtree is one whole instance name: the INSTANCE_REGISTRATION flag.
    pub instance: bool,
}

impl Register {
    /// The priority of those that do not choose (RFC 2741 section 6.2.3).
    pub const DEFAULT_PRIORITY: u8 = 127;
}

/// Gives a region up (RFC 2741 section 6.2.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unregister {
    /// The priority that the region was registered with.
    pub priority: u8,
    /// The region as it was registered.
    pub subtree: Oid,
    /// The range that it was registered with.
    pub range: Option<Range>,
}

/// Part of the tree to search (RFC 2741 section 5.2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchRange {
    /// Where to start.
    pub start: Oid,
    /// Whether `start` itself may be the answer.
    pub include: bool,
    /// Where to end: itself not part of the range. Null: the range has no end.
    pub end: Oid,
}

/// Reads the first instances in each range (RFC 2741 section 6.2.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetBulk {
    /// How many of the ranges, from the first, are answered once.
    pub non_repeaters: u16,
    /// How many times each other range is answered, at most.
    pub max_repetitions: u16,
    /// The ranges.
    pub ranges: Vec<SearchRange>,
}

/// A variable: its name and value (RFC 2741 section 5.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VarBind {
    /// The instance's OID.
    pub name: Oid,
    /// Its value.
    pub value: Value,
}

/// Reserves index values (RFC 2741 section 6.2.12).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexAllocate {
    /// Any value that was never used before will do: the NEW_INDEX flag.
    pub new: bool,
    /// Any value that is not in use will do: the ANY_INDEX flag.
    pub any: bool,
    /// The index objects and the values wanted.
    pub varbinds: Vec<VarBind>,
}

/// Adds a row to sysORTable (RFC 2741 section 6.2.14).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddAgentCaps {
    /// The row's sysORID.
    pub id: Oid,
    /// The row's sysORDescr: a DisplayString.
    pub description: Vec<u8>,
}

/// Removes a row from sysORTable (RFC 2741 section 6.2.15).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoveAgentCaps {
    /// The sysORID that the row was added with.
    pub id: Oid,
}

/// The answer to any other PDU (RFC 2741 section 6.2.16).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The master's sysUpTime in hundredths of a second; what a subagent sends here means nothing.
    pub sys_up_time: u32,
    /// What went wrong.
    pub error: ResponseError,
    /// Which varbind or search range went wrong, from 1; 0: none.
    pub index: u16,
    /// The answer to a Get, GetNext, GetBulk, IndexAllocate or IndexDeallocate. Others need none, and what they have means
    /// nothing: net-snmp's master repeats there what it was asked.
    pub varbinds: Vec<VarBind>,
}

coded! {
    /// What went wrong: `res.error` (RFC 2741 section 6.2.16; below 256 RFC 3416 section 3).
    pub enum ResponseError: u16 {
        /// Nothing.
        NoError = 0,
        /// The answer would be too long.
        TooBig = 1,
        /// SNMPv1 only.
        NoSuchName = 2,
        /// SNMPv1 only.
        BadValue = 3,
        /// SNMPv1 only.
        ReadOnly = 4,
        /// Anything that no other error says.
        GenErr = 5,
        /// The variable may not be reached.
        NoAccess = 6,
        /// The value is of another type than the variable.
        WrongType = 7,
        /// The value is of a length that the variable cannot have.
        WrongLength = 8,
        /// The value's encoding contradicts its type.
        WrongEncoding = 9,
        /// The value is one that the variable can never have.
        WrongValue = 10,
        /// The variable does not exist and cannot be created.
        NoCreation = 11,
        /// The value is one that the variable cannot have now.
        InconsistentValue = 12,
        /// The variable cannot be written for want of a resource.
        ResourceUnavailable = 13,
        /// CommitSet failed.
        CommitFailed = 14,
        /// UndoSet failed.
        UndoFailed = 15,
        /// The requester may not.
        AuthorizationError = 16,
        /// The variable can never be written.
        NotWritable = 17,
        /// The variable does not exist and cannot be created now.
        InconsistentName = 18,
        /// The master opens no session.
        OpenFailed = 256,
        /// There is no such session.
        NotOpen = 257,
        /// The index object has values of another type.
        IndexWrongType = 258,
        /// The index value is in use.
        IndexAlreadyAllocated = 259,
        /// There is no index value left.
        IndexNoneAvailable = 260,
        /// The index value is not one that this session reserved.
        IndexNotAllocated = 261,
        /// There is no such context.
        UnsupportedContext = 262,
        /// The region is registered already at this priority.
        DuplicateRegistration = 263,
        /// The region is not registered by this session.
        UnknownRegistration = 264,
        /// The session added no such row to sysORTable.
        UnknownAgentCaps = 265,
        /// The PDU does not parse.
        ParseError = 266,
        /// The master does not allow it.
        RequestDenied = 267,
        /// The PDU cannot be processed.
        ProcessingError = 268,
    }
}
