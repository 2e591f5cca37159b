//! The lower bound of a subagent's work: it reads a request, searches a sorted array, and writes the response.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
};

use agentx::{
    Body, ByteOrder, Context as SnmpContext, Framer, Header, Limits, Oid, Open, Pdu, PduType, Register, RequestRef,
    ResponseEncoder, ResponseError, ResponseRef, SearchRange, SubId, Value, ValueRef, encode,
};
use anyhow::{Context, Result, ensure};

use crate::peers::objects::{BASE, Objects};

/// Serves the table on a connection until the master closes it.
///
/// # Errors
/// Returns an error if the master refuses a request, or sends anything but GetNext.
pub fn serve(mut stream: UnixStream) -> Result<()> {
    let objects = Objects::BIG;
    let cells = (0..objects.columns).flat_map(|column| (1..=objects.rows).map(move |row| (column, row)));
    let cells: Vec<(Vec<SubId>, Value)> =
        cells.map(|(column, row)| (Objects::cell(column, row), objects.cell_value(column, row))).collect();
    let mut framer = Framer::new(Limits::default());
    let open = Open { timeout_s: 0, id: Oid::default(), description: b"bare".to_vec() };
    let session_id = ask(&mut stream, &mut framer, 0, Body::Open(open))?;
    let subtree = Oid::try_from(BASE.as_slice())?;
    let register =
        Register { timeout_s: 0, priority: Register::DEFAULT_PRIORITY, subtree, range: None, instance: false };
    ask(&mut stream, &mut framer, session_id, Body::Register(register))?;

    let (mut range, mut output) = (SearchRange::default(), Vec::new());
    loop {
        while let Some(frame) = framer.next_frame()? {
            let request = RequestRef::parse(frame, &Limits::default())?;
            ensure!(request.header.session_id == session_id, "the request is for another session");
            let mut ranges = request.ranges();
            let mut response = ResponseEncoder::begin(&mut output, request.header, 0);
            while ranges.next_into(&mut range) {
                let at = cells.partition_point(|(name, _)| name.as_slice() <= range.start.as_slice());
                match cells.get(at) {
                    Some((name, value)) => response.varbind(name, value.as_ref())?,
                    None => response.varbind(&range.start, ValueRef::EndOfMibView)?,
                }
            }
            response.finish(ResponseError::NoError, 0)?;
        }
        stream.write_all(&output)?;
        output.clear();
        let read = stream.read(framer.space())?;
        if read == 0 {
            return Ok(());
        }
        framer.filled(read);
    }
}

/// Sends a request to the master, and returns the session id of the response.
fn ask(stream: &mut UnixStream, framer: &mut Framer, session_id: u32, body: Body) -> Result<u32> {
    let header = Header { byte_order: ByteOrder::Little, session_id, transaction_id: 0, packet_id: 0 };
    let asked: PduType = body.pdu_type();
    let mut octets = Vec::new();
    encode(&Pdu { header, context: SnmpContext::default(), body }, &mut octets)?;
    stream.write_all(&octets)?;
    loop {
        if let Some(frame) = framer.next_frame()? {
            let response = ResponseRef::parse(frame, &Limits::default()).context("the response of the master")?;
            ensure!(response.error == ResponseError::NoError, "{asked:?}: {:?}", response.error);
            return Ok(response.header.session_id);
        }
        let read = stream.read(framer.space())?;
        ensure!(read > 0, "the master closed the connection");
        framer.filled(read);
    }
}
