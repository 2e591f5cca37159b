//! The octets of every PDU match the diagrams of RFC 2741.

use crate::samples::{Sample, frame, header, oid, samples};
use agentx::{
    Body, ByteOrder, CloseReason, Context, EncodeError, FrameHeader, Limits, Oid, Pdu, PduType, Range, Register,
    Response, ResponseError, SearchRange, Unregister, Value, VarBind, decode, encode,
};

#[test]
fn every_pdu_is_encoded_like_the_diagrams() {
    for Sample { name, pdu, octets } in samples() {
        let mut buf = b"before".to_vec();
        encode(&pdu, &mut buf).unwrap();
        assert_eq!(buf[6..], octets, "{name}");
        assert_eq!(&buf[..6], b"before", "{name}");
    }
}

#[test]
fn every_pdu_is_decoded_like_the_diagrams() {
    for Sample { name, pdu, octets } in samples() {
        assert_eq!(decode(&octets, &Limits::default()), Ok(pdu), "{name}");
    }
}

#[test]
fn there_is_a_sample_of_every_pdu_type() {
    let types: Vec<PduType> = samples().iter().map(|sample| sample.pdu.body.pdu_type()).collect();
    for code in 1..=18 {
        assert!(types.contains(&PduType::from_code(code)), "{:?}", PduType::from_code(code));
    }
}

#[test]
fn octets_without_meaning_are_ignored() {
    let get = |start, include, end| Body::Get(vec![SearchRange { start, include, end }]);
    let cases = [
        (
            "an OID that could be compressed and is not",
            frame("05 10", "07 00 00 00 00000001 00000003 00000006 00000001 00000002 00000001 00000001 | 00000000"),
            get(oid("1.3.6.1.2.1.1"), false, Oid::default()),
        ),
        ("the prefix alone", frame("05 10", "00 02 01 00 | 00000000"), get(oid("1.3.6.1.2"), true, Oid::default())),
        (
            "any include but 0, reserved octets of OIDs, include of an end",
            frame("05 10", "01 02 ff ee 00000001 | 01 00 01 ff 00000002"),
            get(oid("1.3.6.1.2.1"), true, oid("2")),
        ),
        ("reserved flags", frame("0d f7", ""), Body::Ping),
        (
            "reserved octets of a Close, a reason without a name",
            frame("02 00", "63 ffffff"),
            Body::Close(CloseReason::Unknown(99)),
        ),
        (
            "the reserved octet of an Unregister where a Register has its timeout",
            frame("04 10", "ff 01 00 ff | 01 00 00 00 00000001"),
            Body::Unregister(Unregister { priority: 1, subtree: oid("1"), range: None }),
        ),
        (
            "reserved octets of a varbind, padding of an octet string",
            frame("08 10", "0004 ffff | 00 00 00 00 | 00000001 41 ffffff"),
            Body::TestSet(vec![VarBind { name: Oid::default(), value: Value::OctetString(b"A".to_vec()) }]),
        ),
    ];
    for (what, octets, body) in cases {
        assert_eq!(decode(&octets, &Limits::default()).unwrap().body, body, "{what}");
    }
}

#[test]
fn the_reserved_octet_of_the_header_is_ignored() {
    let mut octets = frame("0d 10", "");
    octets[3] = 0xff;
    assert_eq!(decode(&octets, &Limits::default()).unwrap().body, Body::Ping);
}

#[test]
fn a_context_is_decoded_whenever_its_flag_is_set() {
    let pdu = decode(&frame("12 18", "00000003 637478 00 | 00000000 0000 0000"), &Limits::default()).unwrap();
    assert_eq!(pdu.context, Context::from("ctx"));
    assert!(matches!(pdu.body, Body::Response(Response { error: ResponseError::NoError, .. })));

    let pdu = decode(&frame("0d 18", "00000000"), &Limits::default()).unwrap();
    assert!(pdu.context.is_default());
}

#[test]
fn a_context_is_encoded_only_in_pdus_with_a_context_field() {
    for Sample { name, mut pdu, .. } in samples() {
        pdu.context = Context::from("ctx");
        let pdu_type = pdu.body.pdu_type();
        let mut buf = vec![1, 2, 3];
        let written = encode(&pdu, &mut buf);
        if pdu_type.has_context() {
            assert_eq!(decode(&buf[3..], &Limits::default()), Ok(pdu), "{name}");
        } else {
            assert_eq!(written, Err(EncodeError::NoContextField(pdu_type)), "{name}");
            assert_eq!(buf, [1, 2, 3], "{name}");
        }
    }
}

#[test]
fn a_pdu_that_cannot_be_encoded_leaves_the_buffer_unchanged() {
    let register = |position| {
        let range = Some(Range { position, upper_bound: 1 });
        let body =
            Body::Register(Register { timeout_s: 0, priority: 127, subtree: oid("1.2.3"), range, instance: false });
        Pdu { header: header(ByteOrder::Big), context: Context::default(), body }
    };
    for position in [0, 4] {
        let mut buf = vec![1, 2, 3];
        assert_eq!(encode(&register(position), &mut buf), Err(EncodeError::RangePosition { position, len: 3 }));
        assert_eq!(buf, [1, 2, 3]);
    }
}

#[test]
fn the_header_of_an_invalid_pdu_can_be_parsed() {
    let header_of = FrameHeader::parse(&frame("63 10", "ffffffff")).unwrap();
    assert_eq!(header_of.pdu_type, PduType::Unknown(99));
    assert_eq!(header_of.header, header(ByteOrder::Big));
    assert_eq!(header_of.payload_len, 4);
}

#[test]
fn every_code_on_the_wire_survives_a_round_trip() {
    for code in 0..=u16::MAX {
        assert_eq!(ResponseError::from_code(code).code(), code);
    }
    for code in 0..=u8::MAX {
        assert_eq!(PduType::from_code(code).code(), code);
        assert_eq!(CloseReason::from_code(code).code(), code);
    }
    let named = |code| !matches!(ResponseError::from_code(code), ResponseError::Unknown(_));
    assert!((0..=18).chain(256..=268).all(named));
    assert!(!named(19) && !named(255) && !named(269));
}

#[test]
fn the_longest_oid_is_encoded_and_decoded() {
    let arcs = |len: usize, prefix: &[u32]| {
        let mut arcs = prefix.to_vec();
        arcs.resize(len, u32::MAX);
        Oid::new(arcs).unwrap()
    };
    for subtree in [arcs(128, &[1, 3, 6, 1, 4]), arcs(128, &[])] {
        let body = Body::Unregister(Unregister { priority: 1, subtree, range: None });
        let pdu = Pdu { header: header(ByteOrder::Little), context: Context::default(), body };
        let mut buf = Vec::new();
        encode(&pdu, &mut buf).unwrap();
        assert_eq!(decode(&buf, &Limits::default()), Ok(pdu));
    }
}
