//! The AgentX protocol, version 1 (RFC 2741): object identifiers, values, PDUs and their codec.
//!
//! The crate does no I/O, reads no clock and is not async. No input makes it panic.
//!
//! | To | Use |
//! |---|---|
//! | split a stream into frames | [`Framer`] |
//! | keep octets until they are sent | [`Output`] |
//! | identify a frame | [`FrameHeader`] |
//! | read or write any PDU, owned | [`decode()`], [`encode()`] |
//! | answer Get, GetNext, GetBulk without an allocation per varbind | [`RequestRef`], [`ResponseEncoder`] |
//! | read a Response without an allocation per varbind | [`ResponseRef`] |
//!
//! Decoding ignores octets without meaning: reserved fields and flags, padding, and the `include` field of an OID that does
//! not start a search range. It checks everything else: each length against the frame and [`Limits`], and that the PDU ends
//! at the end of the frame. Encoding writes zeros for octets without meaning.
//!
//! ```
//! use agentx::{Framer, Limits, RequestRef, ResponseEncoder, ResponseError, SearchRange, ValueRef};
//! # use agentx::{Body, ByteOrder, Context, Header, Pdu};
//!
//! /// Answers a GetNext. Each range contains one instance.
//! fn answer(frame: &[u8], output: &mut Vec<u8>) -> Result<(), Box<dyn std::error::Error>> {
//!     let request = RequestRef::parse(frame, &Limits::default())?;
//!     let mut response = ResponseEncoder::begin(output, request.header, 0);
//!     let (mut ranges, mut range) = (request.ranges(), SearchRange::default());
//!     while ranges.next_into(&mut range) {
//!         response.varbind(&range.start.join(&[0])?, ValueRef::Gauge32(42))?;
//!     }
//!     Ok(response.finish(ResponseError::NoError, 0)?)
//! }
//! # let header = Header { byte_order: ByteOrder::Big, session_id: 1, transaction_id: 2, packet_id: 3 };
//! # let range = SearchRange { start: "1.3.6.1.4.1.99999.1".parse()?, ..SearchRange::default() };
//! # let mut octets = Vec::new();
//! # agentx::encode(&Pdu { header, context: Context::default(), body: Body::GetNext(vec![range]) }, &mut octets)?;
//!
//! let mut framer = Framer::new(Limits::default());
//! framer.feed(&octets);
//! let mut output = Vec::new();
//! while let Some(frame) = framer.next_frame()? {
//!     answer(frame, &mut output)?;
//! }
//! # assert_eq!(agentx::ResponseRef::parse(&output, &Limits::default())?.varbinds().remaining(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod code;
pub mod decode;
pub mod encode;
pub mod error;
pub mod frame;
pub mod header;
pub mod limits;
pub mod oid;
pub mod output;
pub mod pdu;
mod reader;
pub mod request;
pub mod response;
pub mod value;

pub use code::PduType;
pub use decode::decode;
pub use encode::encode;
pub use error::{DecodeError, DecodeErrorKind, EncodeError};
pub use frame::Framer;
pub use header::{ByteOrder, FrameHeader, Header};
pub use limits::Limits;
pub use oid::{DisplayArcs, Oid, OidError, SubId};
pub use output::Output;
pub use pdu::{
    AddAgentCaps, Body, CloseReason, Context, GetBulk, IndexAllocate, Open, Pdu, Range, Register, RemoveAgentCaps,
    Response, ResponseError, SearchRange, Unregister, VarBind,
};
pub use request::{RequestKind, RequestRef, SearchRanges};
pub use response::{ResponseEncoder, ResponseRef, VarBindRef, VarBindScratch, VarBinds};
pub use value::{Value, ValueRef};
