//! PDUs with their octets, derived by hand from the diagrams of RFC 2741 sections 5 and 6.

use agentx::{
    AddAgentCaps, Body, ByteOrder, CloseReason, Context, GetBulk, Header, IndexAllocate, Oid, Open, Pdu, Range,
    Register, RemoveAgentCaps, Response, ResponseError, SearchRange, Unregister, Value, VarBind,
};

pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) pdu: Pdu,
    pub(crate) octets: Vec<u8>,
}

/// Returns a header with session 1, transaction 2 and packet 3.
pub(crate) const fn header(byte_order: ByteOrder) -> Header {
    Header { byte_order, session_id: 1, transaction_id: 2, packet_id: 3 }
}

pub(crate) fn oid(text: &str) -> Oid {
    text.parse().unwrap()
}

/// Parses hexadecimal digits. Spaces and `|` are ignored.
pub(crate) fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// Returns a frame with type and flags from `head`, and the payload with its length.
pub(crate) fn frame(head: &str, payload: &str) -> Vec<u8> {
    frame_of(octets(head).try_into().unwrap(), &octets(payload))
}

/// Returns a frame like [`frame`], from octets.
pub(crate) fn frame_of(head: [u8; 2], payload: &[u8]) -> Vec<u8> {
    let big = head[1] & 0x10 != 0;
    let number = |n: u32| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    let len = u32::try_from(payload.len()).unwrap();
    let numbers = [number(1), number(2), number(3), number(len)];
    [&[1], head.as_slice(), &[0], numbers.as_flattened(), payload].concat()
}

fn big(name: &'static str, context: &str, body: Body, octets: Vec<u8>) -> Sample {
    Sample { name, pdu: Pdu { header: header(ByteOrder::Big), context: context.into(), body }, octets }
}

fn little(name: &'static str, body: Body, octets: Vec<u8>) -> Sample {
    Sample { name, pdu: Pdu { header: header(ByteOrder::Little), context: Context::default(), body }, octets }
}

fn varbind(name: &str, value: Value) -> VarBind {
    VarBind { name: oid(name), value }
}

pub(crate) fn samples() -> Vec<Sample> {
    [administration(), requests(), sets(), indexes(), responses()].into_iter().flatten().collect()
}

fn administration() -> Vec<Sample> {
    let enterprise = oid("1.3.6.1.4.1.8072");
    vec![
        big(
            "open",
            "",
            Body::Open(Open { timeout_s: 5, id: enterprise.clone(), description: b"snmp".to_vec() }),
            octets(
                "01 01 10 00 | 00000001 00000002 00000003 | 00000018
                 05 00 00 00 | 02 04 00 00 00000001 00001f88 | 00000004 736e6d70",
            ),
        ),
        little(
            "open-null-id",
            Body::Open(Open { timeout_s: 0, id: Oid::default(), description: b"abcde".to_vec() }),
            octets(
                "01 01 00 00 | 01000000 02000000 03000000 | 14000000
                 00 00 00 00 | 00 00 00 00 | 05000000 6162636465 000000",
            ),
        ),
        big("close", "", Body::Close(CloseReason::Shutdown), frame("02 10", "05 000000")),
        big("ping", "", Body::Ping, frame("0d 10", "")),
        big("ping-context", "ctx", Body::Ping, frame("0d 18", "00000003 637478 00")),
        big(
            "register-range",
            "ctx",
            Body::Register(Register {
                timeout_s: 10,
                priority: 127,
                subtree: oid("1.3.6.1.2.1.2.2.1.1.1"),
                range: Some(Range { position: 11, upper_bound: 42 }),
                instance: true,
            }),
            octets(
                "01 03 19 00 | 00000001 00000002 00000003 | 0000002c
                 00000003 637478 00 | 0a 7f 0b 00
                 06 02 00 00 00000001 00000002 00000002 00000001 00000001 00000001 | 0000002a",
            ),
        ),
        little(
            "register",
            Body::Register(Register {
                timeout_s: 0,
                priority: 127,
                subtree: oid("1.3.6.1.4.1.99999"),
                range: None,
                instance: false,
            }),
            frame("03 00", "00 7f 00 00 | 02 04 00 00 01000000 9f860100"),
        ),
        big(
            "unregister",
            "",
            Body::Unregister(Unregister { priority: 127, subtree: oid("1.3.6.1.4.1.99999"), range: None }),
            frame("04 10", "00 7f 00 00 | 02 04 00 00 00000001 0001869f"),
        ),
        little(
            "unregister-range",
            Body::Unregister(Unregister {
                priority: 1,
                subtree: oid("1.3.6.1.4.1"),
                range: Some(Range { position: 6, upper_bound: 9 }),
            }),
            frame("04 00", "00 01 06 00 | 01 04 00 00 01000000 | 09000000"),
        ),
        big(
            "add-agent-caps",
            "",
            Body::AddAgentCaps(AddAgentCaps { id: enterprise.clone(), description: Vec::new() }),
            frame("10 10", "02 04 00 00 00000001 00001f88 | 00000000"),
        ),
        big(
            "remove-agent-caps",
            "",
            Body::RemoveAgentCaps(RemoveAgentCaps { id: enterprise }),
            frame("11 10", "02 04 00 00 00000001 00001f88"),
        ),
    ]
}

fn requests() -> Vec<Sample> {
    let range = |start, include, end| SearchRange { start: oid(start), include, end };
    vec![
        big(
            "get",
            "",
            Body::Get(vec![
                range("1.3.6.1.2.1.1.1.0", false, Oid::default()),
                range("1.3.6.1.2.1.1.2.0", false, Oid::default()),
            ]),
            frame(
                "05 10",
                "04 02 00 00 00000001 00000001 00000001 00000000 | 00 00 00 00
                 04 02 00 00 00000001 00000001 00000002 00000000 | 00 00 00 00",
            ),
        ),
        little(
            "get-next",
            Body::GetNext(vec![range("1.3.6.1.2.1.1", true, oid("1.3.6.1.2.1.2"))]),
            frame("06 00", "02 02 01 00 01000000 01000000 | 02 02 00 00 01000000 02000000"),
        ),
        big(
            "get-bulk",
            "a tenant",
            Body::GetBulk(GetBulk {
                non_repeaters: 1,
                max_repetitions: 16,
                ranges: vec![range("2.3", false, oid("1.3.6.1"))],
            }),
            frame(
                "07 18",
                "00000008 6120 7465 6e61 6e74 | 0001 0010
                 02 00 00 00 00000002 00000003 | 04 00 00 00 00000001 00000003 00000006 00000001",
            ),
        ),
        // The prefix field is one octet that is not 0, so 0 and 256 cannot be prefixes.
        little(
            "get-next-no-prefix",
            Body::GetNext(vec![
                range("1.3.6.1.0", false, oid("1.3.6.1.256")),
                range("1.3.6.1.1", false, oid("1.3.6.1.255")),
            ]),
            frame(
                "06 00",
                "05 00 00 00 01000000 03000000 06000000 01000000 00000000
                 05 00 00 00 01000000 03000000 06000000 01000000 00010000
                 00 01 00 00 | 00 ff 00 00",
            ),
        ),
    ]
}

fn sets() -> Vec<Sample> {
    vec![
        big(
            "test-set",
            "",
            Body::TestSet(vec![varbind("1.3.6.1.4.1.1", Value::Integer(-1))]),
            frame("08 10", "0002 0000 | 02 04 00 00 00000001 00000001 | ffffffff"),
        ),
        big("commit-set", "", Body::CommitSet, frame("09 10", "")),
        big("undo-set", "", Body::UndoSet, frame("0a 10", "")),
        little("cleanup-set", Body::CleanupSet, frame("0b 00", "")),
        little(
            "notify",
            Body::Notify(vec![
                varbind("1.3.6.1.2.1.1.3.0", Value::TimeTicks(100)),
                varbind("1.3.6.1.6.3.1.1.4.1.0", Value::ObjectIdentifier(oid("1.3.6.1.6.3.1.1.5.1"))),
            ]),
            frame(
                "0c 00",
                "4300 0000 | 04 02 00 00 01000000 01000000 03000000 00000000 | 64000000
                 0600 0000 | 06 06 00 00 03000000 01000000 01000000 04000000 01000000 00000000
                 05 06 00 00 03000000 01000000 01000000 05000000 01000000",
            ),
        ),
    ]
}

fn indexes() -> Vec<Sample> {
    let if_index = |value| vec![varbind("1.3.6.1.2.1.2.2.1.1", Value::Integer(value))];
    let any = IndexAllocate { new: false, any: true, varbinds: if_index(0) };
    let new = IndexAllocate { new: true, any: false, varbinds: if_index(0) };
    let payload = "0002 0000 | 05 02 00 00 00000001 00000002 00000002 00000001 00000001 | 00000000";
    vec![
        big("index-allocate-new", "", Body::IndexAllocate(new), frame("0e 12", payload)),
        big("index-allocate-any", "", Body::IndexAllocate(any), frame("0e 14", payload)),
        little(
            "index-deallocate",
            Body::IndexDeallocate(if_index(7)),
            frame("0f 00", "0200 0000 | 05 02 00 00 01000000 02000000 02000000 01000000 01000000 | 07000000"),
        ),
    ]
}

fn responses() -> Vec<Sample> {
    let failed =
        |sys_up_time, error, index| Body::Response(Response { sys_up_time, error, index, varbinds: Vec::new() });
    let values = [
        Value::Integer(i32::MIN),
        Value::OctetString(b"hi".to_vec()),
        Value::Null,
        Value::ObjectIdentifier(oid("1.3")),
        Value::IpAddress([192, 0, 2, 1]),
        Value::Counter32(u32::MAX),
        Value::Gauge32(1),
        Value::TimeTicks(0x0102_0304),
        Value::Opaque(octets("9f 78 04 3f800000")),
        Value::Counter64(0x0102_0304_0506_0708),
        Value::NoSuchObject,
        Value::NoSuchInstance,
        Value::EndOfMibView,
    ];
    let every_type = Body::Response(Response {
        sys_up_time: 7,
        error: ResponseError::NoError,
        index: 0,
        varbinds: values.into_iter().map(|value| varbind("1.3.6.1.4.1.1", value)).collect(),
    });
    vec![
        big(
            "response-duplicate",
            "",
            failed(0xabcd, ResponseError::DuplicateRegistration, 0),
            frame("12 10", "0000abcd 0107 0000"),
        ),
        little("response-wrong-value", failed(0, ResponseError::WrongValue, 2), frame("12 00", "00000000 0a00 0200")),
        big(
            "response-unknown-error",
            "",
            failed(0, ResponseError::Unknown(0xfffe), 0),
            frame("12 10", "00000000 fffe 0000"),
        ),
        big(
            "response",
            "",
            every_type.clone(),
            frame(
                "12 10",
                "00000007 0000 0000
                 0002 0000 | 02 04 00 00 00000001 00000001 | 80000000
                 0004 0000 | 02 04 00 00 00000001 00000001 | 00000002 6869 0000
                 0005 0000 | 02 04 00 00 00000001 00000001
                 0006 0000 | 02 04 00 00 00000001 00000001 | 02 00 00 00 00000001 00000003
                 0040 0000 | 02 04 00 00 00000001 00000001 | 00000004 c0000201
                 0041 0000 | 02 04 00 00 00000001 00000001 | ffffffff
                 0042 0000 | 02 04 00 00 00000001 00000001 | 00000001
                 0043 0000 | 02 04 00 00 00000001 00000001 | 01020304
                 0044 0000 | 02 04 00 00 00000001 00000001 | 00000007 9f7804 3f800000 00
                 0046 0000 | 02 04 00 00 00000001 00000001 | 0102030405060708
                 0080 0000 | 02 04 00 00 00000001 00000001
                 0081 0000 | 02 04 00 00 00000001 00000001
                 0082 0000 | 02 04 00 00 00000001 00000001",
            ),
        ),
        little(
            "response-little",
            every_type,
            frame(
                "12 00",
                "07000000 0000 0000
                 0200 0000 | 02 04 00 00 01000000 01000000 | 00000080
                 0400 0000 | 02 04 00 00 01000000 01000000 | 02000000 6869 0000
                 0500 0000 | 02 04 00 00 01000000 01000000
                 0600 0000 | 02 04 00 00 01000000 01000000 | 02 00 00 00 01000000 03000000
                 4000 0000 | 02 04 00 00 01000000 01000000 | 04000000 c0000201
                 4100 0000 | 02 04 00 00 01000000 01000000 | ffffffff
                 4200 0000 | 02 04 00 00 01000000 01000000 | 01000000
                 4300 0000 | 02 04 00 00 01000000 01000000 | 04030201
                 4400 0000 | 02 04 00 00 01000000 01000000 | 07000000 9f7804 3f800000 00
                 4600 0000 | 02 04 00 00 01000000 01000000 | 0807060504030201
                 8000 0000 | 02 04 00 00 01000000 01000000
                 8100 0000 | 02 04 00 00 01000000 01000000
                 8200 0000 | 02 04 00 00 01000000 01000000",
            ),
        ),
    ]
}
