//! Decoding of complete frames into owned PDUs.

use crate::{
    AddAgentCaps, Body, CloseReason, Context, DecodeError, DecodeErrorKind, FrameHeader, GetBulk, IndexAllocate,
    Limits, Oid, Open, Pdu, PduType, Range, Register, RemoveAgentCaps, Response, ResponseError, SearchRange,
    Unregister, VarBind, header::flag, reader::Reader,
};

/// Decodes `frame`, which must be one complete PDU as returned by [`crate::Framer`].
///
/// # Errors
/// Returns the first error and its position if the frame is not a valid PDU within `limits`. Use [`FrameHeader::parse`] to
/// answer such a frame with [`ResponseError::ParseError`].
pub fn decode(frame: &[u8], limits: &Limits) -> Result<Pdu, DecodeError> {
    let (header, mut reader) = Reader::new(frame, limits)?;
    let context = Context(reader.context(&header)?.to_vec());
    let body = body(&header, reader)?;
    Ok(Pdu { header: header.header, context, body })
}

fn body(header: &FrameHeader, mut reader: Reader<'_>) -> Result<Body, DecodeError> {
    let body = match header.pdu_type {
        PduType::Open => {
            let [timeout_s, _, _, _] = reader.array()?;
            let id = reader.oid()?.to_oid();
            Body::Open(Open { timeout_s, id, description: reader.octets()?.to_vec() })
        }
        PduType::Close => {
            let [reason, _, _, _] = reader.array()?;
            Body::Close(CloseReason::from_code(reason))
        }
        PduType::Register => {
            let [timeout_s, priority, position, _] = reader.array()?;
            let (subtree, range) = region(&mut reader, position)?;
            let instance = header.flags & flag::INSTANCE_REGISTRATION != 0;
            Body::Register(Register { timeout_s, priority, subtree, range, instance })
        }
        PduType::Unregister => {
            let [_, priority, position, _] = reader.array()?;
            let (subtree, range) = region(&mut reader, position)?;
            Body::Unregister(Unregister { priority, subtree, range })
        }
        PduType::Get => return ranges(reader).map(Body::Get),
        PduType::GetNext => return ranges(reader).map(Body::GetNext),
        PduType::GetBulk => {
            let (non_repeaters, max_repetitions) = (reader.u16()?, reader.u16()?);
            return Ok(Body::GetBulk(GetBulk { non_repeaters, max_repetitions, ranges: ranges(reader)? }));
        }
        PduType::TestSet => return varbinds(reader).map(Body::TestSet),
        PduType::CommitSet => Body::CommitSet,
        PduType::UndoSet => Body::UndoSet,
        PduType::CleanupSet => Body::CleanupSet,
        PduType::Notify => return varbinds(reader).map(Body::Notify),
        PduType::Ping => Body::Ping,
        PduType::IndexAllocate => {
            let (new, any) = (header.flags & flag::NEW_INDEX != 0, header.flags & flag::ANY_INDEX != 0);
            return Ok(Body::IndexAllocate(IndexAllocate { new, any, varbinds: varbinds(reader)? }));
        }
        PduType::IndexDeallocate => return varbinds(reader).map(Body::IndexDeallocate),
        PduType::AddAgentCaps => {
            let id = reader.oid()?.to_oid();
            Body::AddAgentCaps(AddAgentCaps { id, description: reader.octets()?.to_vec() })
        }
        PduType::RemoveAgentCaps => Body::RemoveAgentCaps(RemoveAgentCaps { id: reader.oid()?.to_oid() }),
        PduType::Response => {
            let sys_up_time = reader.u32()?;
            let (error, index) = (ResponseError::from_code(reader.u16()?), reader.u16()?);
            return Ok(Body::Response(Response { sys_up_time, error, index, varbinds: varbinds(reader)? }));
        }
        PduType::Unknown(code) => {
            return Err(DecodeError { offset: 1, kind: DecodeErrorKind::UnknownPduType(code) });
        }
    };
    reader.end()?;
    Ok(body)
}

/// Reads a subtree and its optional range (RFC 2741 section 6.2.3).
fn region(reader: &mut Reader<'_>, position: u8) -> Result<(Oid, Option<Range>), DecodeError> {
    let offset = reader.offset() - 2;
    let subtree = reader.oid()?.to_oid();
    if position == 0 {
        return Ok((subtree, None));
    }
    if usize::from(position) > subtree.len() {
        return Err(DecodeError { offset, kind: DecodeErrorKind::RangePosition { position, len: subtree.len() } });
    }
    Ok((subtree, Some(Range { position, upper_bound: reader.u32()? })))
}

fn ranges(reader: Reader<'_>) -> Result<Vec<SearchRange>, DecodeError> {
    let mut ranges = Vec::new();
    reader.list(Reader::range, |range| ranges.push(range.to_range()))?;
    Ok(ranges)
}

fn varbinds(reader: Reader<'_>) -> Result<Vec<VarBind>, DecodeError> {
    let mut varbinds = Vec::new();
    reader.list(Reader::owned_varbind, |varbind| varbinds.push(varbind))?;
    Ok(varbinds)
}
