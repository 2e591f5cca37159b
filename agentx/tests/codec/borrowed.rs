//! Borrowed and owned forms give the same result.

use crate::{
    arbitrary::{header, pdu, varbinds},
    samples::{frame, header as any_header, oid, samples},
};
use agentx::{
    Body, ByteOrder, Context, DecodeErrorKind, EncodeError, GetBulk, Limits, Oid, Pdu, PduType, RequestKind,
    RequestRef, Response, ResponseEncoder, ResponseError, ResponseRef, SearchRange, ValueRef, VarBind, VarBindScratch,
    decode, encode,
};
use proptest::prelude::*;

fn owned_varbinds(response: &ResponseRef<'_>) -> Vec<VarBind> {
    let mut scratch = VarBindScratch::default();
    let mut varbinds = response.varbinds();
    let mut owned = Vec::new();
    while let Some(varbind) = varbinds.next_in(&mut scratch) {
        let name = Oid::try_from(varbind.name).unwrap();
        owned.push(VarBind { name, value: varbind.value.to_value().unwrap() });
    }
    owned
}

proptest! {
    #[test]
    fn a_borrowed_request_equals_the_owned_one(pdu in pdu()) {
        let mut buf = Vec::new();
        encode(&pdu, &mut buf).unwrap();
        let (kind, ranges) = match &pdu.body {
            Body::Get(ranges) => (RequestKind::Get, ranges),
            Body::GetNext(ranges) => (RequestKind::GetNext, ranges),
            Body::GetBulk(GetBulk { non_repeaters, max_repetitions, ranges }) => {
                let (non_repeaters, max_repetitions) = (*non_repeaters, *max_repetitions);
                (RequestKind::GetBulk { non_repeaters, max_repetitions }, ranges)
            }
            other => {
                let unexpected = DecodeErrorKind::UnexpectedPduType(other.pdu_type());
                prop_assert_eq!(RequestRef::parse(&buf, &Limits::default()).unwrap_err().kind, unexpected);
                return Ok(());
            }
        };
        let request = RequestRef::parse(&buf, &Limits::default()).unwrap();
        prop_assert_eq!(request.header, pdu.header);
        prop_assert_eq!(request.context, &pdu.context.0);
        prop_assert_eq!(request.kind, kind);
        prop_assert_eq!(request.ranges().remaining(), ranges.len());
        prop_assert_eq!(&request.ranges().collect::<Vec<_>>(), ranges);
    }

    #[test]
    fn a_borrowed_response_equals_the_owned_one(pdu in pdu()) {
        let mut buf = Vec::new();
        encode(&pdu, &mut buf).unwrap();
        let Body::Response(Response { sys_up_time, error, index, varbinds }) = &pdu.body else {
            let unexpected = DecodeErrorKind::UnexpectedPduType(pdu.body.pdu_type());
            prop_assert_eq!(ResponseRef::parse(&buf, &Limits::default()).unwrap_err().kind, unexpected);
            return Ok(());
        };
        let response = ResponseRef::parse(&buf, &Limits::default()).unwrap();
        prop_assert_eq!(response.header, pdu.header);
        prop_assert_eq!((response.sys_up_time, response.error, response.index), (*sys_up_time, *error, *index));
        prop_assert_eq!(response.varbinds().remaining(), varbinds.len());
        prop_assert_eq!(&owned_varbinds(&response), varbinds);
    }

    #[test]
    fn a_response_written_varbind_by_varbind_equals_one_written_at_once(header in header(), varbinds in varbinds()) {
        let mut by_varbind = Vec::new();
        let mut encoder = ResponseEncoder::begin(&mut by_varbind, header, 9);
        for varbind in &varbinds {
            encoder.varbind(&varbind.name, varbind.value.as_ref()).unwrap();
        }
        prop_assert_eq!(encoder.len(), varbinds.len());
        let octets = encoder.octets();
        encoder.finish(ResponseError::NoError, 0).unwrap();

        let response = Response { sys_up_time: 9, error: ResponseError::NoError, index: 0, varbinds };
        let mut whole = Vec::new();
        encode(&Pdu { header, context: Context::default(), body: Body::Response(response) }, &mut whole).unwrap();
        prop_assert_eq!(octets, whole.len());
        prop_assert_eq!(by_varbind, whole);
    }
}

#[test]
fn a_search_range_replaces_the_previous_one() {
    let octets = frame(
        "06 00",
        "03 00 01 00 01000000 02000000 03000000 | 01 00 00 00 02000000
         01 00 00 00 09000000 | 00 00 00 00",
    );
    let mut ranges = RequestRef::parse(&octets, &Limits::default()).unwrap().ranges();
    let mut range = SearchRange::default();
    assert!(ranges.next_into(&mut range));
    assert_eq!(range, SearchRange { start: oid("1.2.3"), include: true, end: oid("2") });
    let memory = range.start.as_ptr();
    assert!(ranges.next_into(&mut range));
    let last = SearchRange { start: oid("9"), include: false, end: Oid::default() };
    assert_eq!(range, last);
    assert_eq!(range.start.as_ptr(), memory);
    assert!(ranges.remaining() == 0 && !ranges.next_into(&mut range));
    assert_eq!(range, last);
}

#[test]
fn an_error_removes_the_varbinds() {
    let mut buf = b"before".to_vec();
    let mut encoder = ResponseEncoder::begin(&mut buf, any_header(ByteOrder::Big), 0);
    encoder.varbind(&[1, 3], ValueRef::Null).unwrap();
    encoder.finish(ResponseError::GenErr, 2).unwrap();
    assert_eq!(buf[6..], frame("12 10", "00000000 0005 0002"));
}

#[test]
fn dropping_an_encoder_leaves_the_buffer_unchanged() {
    let mut buf = b"before".to_vec();
    let mut encoder = ResponseEncoder::begin(&mut buf, any_header(ByteOrder::Big), 0);
    encoder.varbind(&[1, 3], ValueRef::Null).unwrap();
    drop(encoder);
    assert_eq!(buf, b"before");
}

#[test]
fn a_failed_varbind_keeps_the_earlier_ones() {
    let mut buf = Vec::new();
    let mut encoder = ResponseEncoder::begin(&mut buf, any_header(ByteOrder::Little), 0).with_payload_limit(28);
    encoder.varbind(&[1, 3], ValueRef::Integer(1)).unwrap();
    let too_long = [0; 129];
    assert_eq!(encoder.varbind(&too_long, ValueRef::Null), Err(EncodeError::OidTooLong { len: 129 }));
    let value = ValueRef::ObjectIdentifier(&too_long);
    assert_eq!(encoder.varbind(&[1], value), Err(EncodeError::OidTooLong { len: 129 }));
    assert_eq!(encoder.varbind(&[], ValueRef::Null), Err(EncodeError::PayloadOverLimit { len: 36, limit: 28 }));
    assert_eq!(encoder.len(), 1);
    encoder.finish(ResponseError::NoError, 0).unwrap();
    assert_eq!(buf, frame("12 00", "00000000 0000 0000 | 0200 0000 | 02 00 00 00 01000000 03000000 | 01000000"));
}

#[test]
fn a_response_over_its_payload_limit_is_an_error() {
    let mut buf = b"before".to_vec();
    let encoder = ResponseEncoder::begin(&mut buf, any_header(ByteOrder::Big), 0).with_payload_limit(4);
    let too_long = EncodeError::PayloadOverLimit { len: 8, limit: 4 };
    assert_eq!(encoder.finish(ResponseError::NoError, 0), Err(too_long));
    assert_eq!(buf, b"before");
}

#[test]
fn owned_and_borrowed_decoding_return_the_same_error() {
    for sample in samples() {
        for cut in (20..sample.octets.len()).step_by(4) {
            let mut octets = sample.octets[..cut].to_vec();
            let len = u32::try_from(cut - 20).unwrap();
            let big = sample.pdu.header.byte_order == ByteOrder::Big;
            octets[16..20].copy_from_slice(&if big { len.to_be_bytes() } else { len.to_le_bytes() });
            let limits = Limits::default();
            let owned = decode(&octets, &limits).map(|_| ());
            match sample.pdu.body.pdu_type() {
                PduType::Get | PduType::GetNext | PduType::GetBulk => {
                    assert_eq!(RequestRef::parse(&octets, &limits).map(|_| ()), owned);
                }
                PduType::Response => assert_eq!(ResponseRef::parse(&octets, &limits).map(|_| ()), owned),
                _ => {}
            }
        }
    }
}
