//! Frames that net-snmp's snmpd 5.9.3 sent to subagents.

use crate::samples::{octets, oid};
use agentx::{Body, Context, Limits, Pdu, Response, ResponseError, Value, VarBind, decode};

fn read(hex: &str) -> Pdu {
    decode(&octets(hex), &Limits::default()).unwrap()
}

fn varbind(name: &str, value: Value) -> VarBind {
    VarBind { name: oid(name), value }
}

#[test]
fn responses_to_administrative_pdus_repeat_the_request_as_varbinds() {
    let cases = [
        (
            "Open with a null id, little-endian",
            "01120000 07000000 00000000 01000000 20000000 | 06000000 00000000
             04000000 02000000 00000000 00000000 04000000 74657374",
            ResponseError::NoError,
            varbind("0.0", Value::OctetString(b"test".to_vec())),
        ),
        (
            "Register in a context",
            "01121000 00000005 00000000 00000002 00000018 | 00000006 00000000 | 00050000 02040000 00000001 0001869f",
            ResponseError::NoError,
            varbind("1.3.6.1.4.1.99999", Value::Null),
        ),
        (
            "Register of a range: the end has its include set",
            "01121000 00000005 00000000 00000016 00000024 | 00000009 00000000
             00060000 02040000 00000001 0000004d 02040100 00000001 00000050",
            ResponseError::NoError,
            varbind("1.3.6.1.4.1.77", Value::ObjectIdentifier(oid("1.3.6.1.4.1.80"))),
        ),
        (
            "Register again",
            "01121000 00000005 00000000 00000016 00000024 | 00000009 01070000
             00060000 02040000 00000001 0000004d 02040100 00000001 00000050",
            ResponseError::DuplicateRegistration,
            varbind("1.3.6.1.4.1.77", Value::ObjectIdentifier(oid("1.3.6.1.4.1.80"))),
        ),
        (
            "IndexAllocate: its flag comes back too",
            "01121400 00000005 00000000 0000001a 00000028 | 00000009 00000000
             00020000 05020000 00000001 00000002 00000002 00000001 00000001 00000001",
            ResponseError::NoError,
            varbind("1.3.6.1.2.1.2.2.1.1", Value::Integer(1)),
        ),
    ];
    for (what, hex, error, varbind) in cases {
        let Body::Response(response) = read(hex).body else { panic!("{what}") };
        let sys_up_time = response.sys_up_time;
        assert_eq!(response, Response { sys_up_time, error, index: 0, varbinds: vec![varbind] }, "{what}");
    }
}

#[test]
fn responses_without_varbinds_are_decoded() {
    let ping = read("01121000 00000005 00000000 00000003 00000008 | 00000006 00000000");
    let nothing = Response { sys_up_time: 6, error: ResponseError::NoError, index: 0, varbinds: Vec::new() };
    assert_eq!(ping.body, Body::Response(nothing));
}

#[test]
fn only_the_first_step_of_a_set_has_the_context() {
    let test_set = read(
        "01081800 00000005 00000001 00000002 00000024 | 00000003 63747800
         00020000 04040000 00000001 0001869f 00000001 00000000 00000005",
    );
    assert_eq!(test_set.context, Context::from("ctx"));
    let wanted = varbind("1.3.6.1.4.1.99999.1.0", Value::Integer(5));
    assert_eq!(test_set.body, Body::TestSet(vec![wanted]));
    let commit_set = read("01091000 00000005 00000001 00000003 00000000");
    assert_eq!((commit_set.context, commit_set.body), (Context::default(), Body::CommitSet));
    assert_eq!(read("010b1000 00000005 00000001 00000004 00000000").body, Body::CleanupSet);
}
