//! The AgentX protocol, version 1 (RFC 2741): object identifiers, values, PDUs and their codec.
//!
//! Nothing here does I/O, reads a clock or is async, and no bytes make it panic.
//!
//! | to | use |
//! |---|---|
//! | cut a stream into frames | [`Framer`] |
//! | see what a frame is | [`FrameHeader`] |
//! | read or write any PDU, owned | [`decode()`], [`encode()`] |
//! | answer Get, GetNext, GetBulk without an allocation per varbind | [`RequestRef`], [`ResponseEncoder`] |
//! | read a Response without an allocation per varbind | [`ResponseRef`] |
//!
//! Reading is as liberal as the RFC lets it be and no more: reserved fields, reserved flags, padding and the `include`
//! field of an OID that starts no search range are ignored, as section 6 wants of fields "reserved for future use";
//! every length is checked against the frame and [`Limits`]. Writing puts zeros there.

mod code;
pub mod decode;
pub mod encode;
pub mod error;
pub mod frame;
pub mod header;
pub mod oid;
pub mod pdu;
mod reader;
pub mod request;
pub mod response;
pub mod value;

pub use decode::{Limits, decode};
pub use encode::encode;
pub use error::{DecodeError, DecodeErrorKind, EncodeError};
pub use frame::Framer;
pub use header::{ByteOrder, FrameHeader, Header, PduType};
pub use oid::{DisplayArcs, Oid, OidError, SubId};
pub use pdu::{
    AddAgentCaps, Body, CloseReason, Context, GetBulk, IndexAllocate, Open, Pdu, Range, Register, RemoveAgentCaps,
    Response, ResponseError, SearchRange, Unregister, VarBind,
};
pub use request::{RequestKind, RequestRef, SearchRanges};
pub use response::{ResponseEncoder, ResponseRef, VarBindRef, VarBindScratch, VarBinds};
pub use value::{Value, ValueRef};
