//! Check of the fuzz target `decode`. `cargo test` also runs it on the committed corpus.

use agentx::{
    Body, DecodeError, DecodeErrorKind, GetBulk, Limits, RequestRef, ResponseRef, SearchRange, VarBindScratch, decode,
    encode,
};

/// Checks any octets as one frame: decoding does not panic, an error is inside the frame, a decoded PDU survives a round
/// trip, and borrowed and owned decoding give the same result.
pub(crate) fn check(frame: &[u8]) {
    let tight = Limits { payload: 64, varbinds: 2, octets: 8 };
    for limits in [Limits::default(), tight] {
        let decoded = decode(frame, &limits);
        if let Err(DecodeError { offset, .. }) = &decoded {
            assert!(*offset <= frame.len(), "error at {offset} in a frame of {}", frame.len());
        }
        if let Ok(pdu) = &decoded {
            let mut written = Vec::new();
            let context_has_no_field = !pdu.context.is_default() && !pdu.body.pdu_type().has_context();
            assert_eq!(encode(pdu, &mut written).is_err(), context_has_no_field, "{pdu:?}");
            assert!(context_has_no_field || decode(&written, &limits).as_ref() == Ok(pdu), "{pdu:?}");
        }
        check_request(frame, &limits);
        check_response(frame, &limits);
    }
}

fn check_request(frame: &[u8], limits: &Limits) {
    let decoded = decode(frame, limits);
    let request = match RequestRef::parse(frame, limits) {
        Ok(request) => request,
        Err(DecodeError { kind: DecodeErrorKind::UnexpectedPduType(_), .. }) => return,
        Err(error) => return assert_eq!(decoded, Err(error)),
    };
    let body = decoded.map(|pdu| pdu.body);
    let Ok(Body::Get(owned) | Body::GetNext(owned) | Body::GetBulk(GetBulk { ranges: owned, .. })) = body else {
        unreachable!("{body:?}")
    };
    let mut borrowed = Vec::new();
    let (mut ranges, mut range) = (request.ranges(), SearchRange::default());
    while ranges.next_into(&mut range) {
        borrowed.push(range.clone());
    }
    assert_eq!(borrowed, owned);
}

fn check_response(frame: &[u8], limits: &Limits) {
    let decoded = decode(frame, limits);
    let response = match ResponseRef::parse(frame, limits) {
        Ok(response) => response,
        Err(DecodeError { kind: DecodeErrorKind::UnexpectedPduType(_), .. }) => return,
        Err(error) => return assert_eq!(decoded, Err(error)),
    };
    let body = decoded.map(|pdu| pdu.body);
    let Ok(Body::Response(owned)) = body else { unreachable!("{body:?}") };
    assert_eq!((response.error, response.index), (owned.error, owned.index));
    let (mut varbinds, mut scratch, mut read) = (response.varbinds(), VarBindScratch::default(), 0);
    while let Some(varbind) = varbinds.next_in(&mut scratch) {
        let owned = owned.varbinds.get(read);
        assert!(
            owned.is_some_and(|owned| varbind.name == owned.name.as_slice() && varbind.value == owned.value.as_ref())
        );
        read += 1;
    }
    assert_eq!(read, owned.varbinds.len());
}
