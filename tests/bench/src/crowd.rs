//! Subagents in numbers: they open, register, wait, and go.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
};

use agentx::{
    Body, ByteOrder, Context as SnmpContext, Framer, Header, Limits, Oid, Open, Pdu, PduType, Register, ResponseError,
    ResponseRef, SubId, encode,
};
use anyhow::{Context, Result, ensure};
use harness::DEADLINE;

/// The OID that a crowd's regions lie under, in net-snmp's playpen, before [`crate::objects::BASE`].
pub const BASE: [SubId; 10] = [1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 76];

/// A connection with one session that answers no request.
#[derive(Debug)]
pub struct Member {
    stream: UnixStream,
    framer: Framer,
    session_id: u32,
    /// The frames to send.
    octets: Vec<u8>,
}

impl Member {
    /// Connects, and opens a session.
    ///
    /// # Errors
    /// Where the master refuses.
    pub fn open(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket).context("the master's socket")?;
        stream.set_read_timeout(Some(DEADLINE))?;
        let limits = Limits { payload: 1 << 16, ..Limits::default() };
        let mut member = Self { stream, framer: Framer::new(limits), session_id: 0, octets: Vec::new() };
        let open = Open { timeout_s: 0, id: Oid::default(), description: b"one of many".to_vec() };
        member.session_id = member.ask(SnmpContext::default(), Body::Open(open))?;
        Ok(member)
    }

    /// Registers a subtree of [`BASE`] in a context.
    ///
    /// # Errors
    /// Where the master refuses.
    pub fn register(&mut self, context: &str, arcs: &[SubId]) -> Result<()> {
        let subtree = Oid::new([BASE.as_slice(), arcs].concat())?;
        let register =
            Register { timeout_s: 0, priority: Register::DEFAULT_PRIORITY, subtree, range: None, instance: false };
        self.ask(SnmpContext(context.as_bytes().to_vec()), Body::Register(register)).map(drop)
    }

    /// Asks the master, and gives the session that it answers for.
    fn ask(&mut self, context: SnmpContext, body: Body) -> Result<u32> {
        let asked: PduType = body.pdu_type();
        let header =
            Header { byte_order: ByteOrder::Little, session_id: self.session_id, transaction_id: 0, packet_id: 1 };
        self.octets.clear();
        encode(&Pdu { header, context, body }, &mut self.octets)?;
        self.stream.write_all(&self.octets)?;
        loop {
            if let Some(frame) = self.framer.next_frame()? {
                let response = ResponseRef::parse(frame, &Limits::default())?;
                ensure!(response.error == ResponseError::NoError, "{asked:?}: {:?}", response.error);
                return Ok(response.header.session_id);
            }
            // No more than an answer needs: there are thousands of these.
            let mut chunk = [0; 256];
            let read = self.stream.read(&mut chunk)?;
            ensure!(read > 0, "the master closed the connection");
            self.framer.feed(chunk.get(..read).unwrap_or_default());
        }
    }
}
