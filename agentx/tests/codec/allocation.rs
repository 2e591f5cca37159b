//! The request path allocates no memory when its buffers have enough capacity.

use crate::samples::{header, oid};
use agentx::{
    Body, ByteOrder, Context, Framer, Limits, Oid, Pdu, RequestRef, ResponseEncoder, ResponseError, ResponseRef,
    SearchRange, ValueRef, VarBindScratch, encode,
};

/// Returns a GetNext with 100 ranges.
fn request() -> Vec<u8> {
    let ranges = (1..=100).map(|row| SearchRange {
        start: oid("1.3.6.1.4.1.8072.9999.1.2.1.3").join(&[row]).unwrap(),
        include: row % 2 == 0,
        end: oid("1.3.6.1.4.1.8073"),
    });
    let body = Body::GetNext(ranges.collect());
    let mut buf = Vec::new();
    encode(&Pdu { header: header(ByteOrder::Big), context: Context::from("tenant"), body }, &mut buf).unwrap();
    buf
}

/// Answers a GetNext. Each name gets one more arc; the values have all types in turn.
fn answer(frame: &[u8], range: &mut SearchRange, name: &mut Vec<u32>, out: &mut Vec<u8>) {
    let values = [
        ValueRef::Counter64(7),
        ValueRef::OctetString(b"sixteen octets !"),
        ValueRef::ObjectIdentifier(&[1, 3, 6, 1, 4, 1, 8072]),
        ValueRef::IpAddress([192, 0, 2, 1]),
        ValueRef::EndOfMibView,
    ];
    let request = RequestRef::parse(frame, &Limits::default()).unwrap();
    let mut ranges = request.ranges();
    let mut response = ResponseEncoder::begin(out, request.header, 0);
    for value in values.iter().cycle() {
        if !ranges.next_into(range) {
            break;
        }
        name.clear();
        name.extend_from_slice(&range.start);
        name.push(1);
        response.varbind(name, *value).unwrap();
    }
    response.finish(ResponseError::NoError, 0).unwrap();
}

#[test]
fn answering_a_request_allocates_nothing() {
    let request = request();
    let mut framer = Framer::new(Limits::default());
    framer.space();
    let (mut range, mut name, mut out) = (SearchRange::default(), Vec::with_capacity(Oid::MAX_LEN), Vec::new());
    answer(&request, &mut range, &mut name, &mut out);
    out.clear();

    let counted = allocation_counter::measure(|| {
        let space = framer.space();
        space[..request.len()].copy_from_slice(&request);
        framer.filled(request.len());
        let frame = framer.next_frame().unwrap().unwrap();
        answer(frame, &mut range, &mut name, &mut out);
    });
    assert_eq!(counted.count_total, 0, "{counted:?}");
    assert_eq!(ResponseRef::parse(&out, &Limits::default()).unwrap().varbinds().remaining(), 100);
}

#[test]
fn reading_a_response_allocates_nothing() {
    let mut response = Vec::new();
    answer(&request(), &mut SearchRange::default(), &mut Vec::new(), &mut response);
    let mut scratch = VarBindScratch::default();
    let mut read = |times: usize| {
        for _ in 0..times {
            let mut varbinds = ResponseRef::parse(&response, &Limits::default()).unwrap().varbinds();
            while varbinds.next_in(&mut scratch).is_some() {}
        }
    };
    read(1);
    let counted = allocation_counter::measure(|| read(10));
    assert_eq!(counted.count_total, 0, "{counted:?}");
}

#[test]
fn encoding_allocates_only_the_buffer() {
    let pdu = agentx::decode(&request(), &Limits::default()).unwrap();
    let mut buf = Vec::with_capacity(16 << 10);
    let counted = allocation_counter::measure(|| encode(&pdu, &mut buf).unwrap());
    assert_eq!(counted.count_total, 0, "{counted:?}");
}

#[test]
fn the_memory_of_a_stream_does_not_grow_with_its_length() {
    let request = request();
    let counted = allocation_counter::measure(|| {
        let mut framer = Framer::new(Limits::default());
        for _ in 0..100 {
            // One and a half frames, then the other half.
            let (first, second) = request.split_at(request.len() / 2);
            framer.feed(&request);
            framer.feed(first);
            assert!(framer.next_frame().unwrap().is_some() && framer.next_frame().unwrap().is_none());
            framer.feed(second);
            assert!(framer.next_frame().unwrap().is_some() && framer.next_frame().unwrap().is_none());
        }
    });
    assert!(counted.bytes_max < 64 << 10, "{counted:?}");
}
