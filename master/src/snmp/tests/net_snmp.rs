//! Requests of net-snmp 5.9.3, recorded from `snmpget`, `snmpset`, `snmpgetnext` and `snmpbulkget`. The SNMPv3 commands
//! were given the engine ID, but not the engine's time.

use agentx::{Oid, Value, VarBind};
use rstest::rstest;

use super::engine_harness::{ENGINE_ID, EngineHarness, nms};
use crate::{pdu::Operation, snmp::Received};

fn octets(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn oid(text: &str) -> Oid {
    text.parse().unwrap()
}

#[rstest]
#[case::v1_get(
    "302902010004067075626c6963a01c02041a8c85cc020100020100300e300c06082b060102010103000500",
    Operation::Get(vec![oid("1.3.6.1.2.1.1.3.0")])
)]
#[case::v1_set(
    "302e020100040770726976617465a320020410457ef80201000201003012301006082b06010201010500040474657874",
    Operation::Set(vec![VarBind { name: oid("1.3.6.1.2.1.1.5.0"), value: Value::OctetString(b"text".to_vec()) }])
)]
#[case::v2c_set(
    "3075020101040770726976617465a3670204688ad9780201000201003059300b06062b06010401010201fe300e06062b0601040102040474\
     657874300b06062b060104010306012b300e06062b0601040104400401020304300c06062b06010401054302012c300f06062b0601040106\
     420500ee6b2800",
    Operation::Set(
        [
            Value::Integer(-2),
            Value::OctetString(b"text".to_vec()),
            Value::ObjectIdentifier(oid("1.3")),
            Value::IpAddress([1, 2, 3, 4]),
            Value::TimeTicks(300),
            Value::Gauge32(4_000_000_000),
        ]
        .into_iter()
        .zip(1..)
        .map(|(value, arc)| VarBind { name: oid("1.3.6.1.4.1").join(&[arc]).unwrap(), value })
        .collect()
    )
)]
#[case::v2c_get_next(
    "302202010104067075626c6963a115020453297c5b0201000201003007300506012b0500",
    Operation::GetNext(vec![oid("1.3")])
)]
#[case::v2c_get_bulk(
    "302f02010104067075626c6963a522020417dd92850201010201323014300506012b0500300b06072b0601020102020500",
    Operation::GetBulk { non_repeaters: 1, max_repetitions: 50, names: vec![oid("1.3"), oid("1.3.6.1.2.1.2.2")] }
)]
#[case::v3_no_auth(
    "30670201033011020445dce0bf020300ffe30401040201030420301e040b80001f8804656e67696e65020100020100040567756573740400\
     0400302d040b80001f8804656e67696e650400a01c0204751b8187020100020100300e300c06082b060102010103000500",
    Operation::Get(vec![oid("1.3.6.1.2.1.1.3.0")])
)]
fn requests_are_decoded(#[case] hex: &str, #[case] operation: Operation) {
    assert_eq!(EngineHarness::new().request(&octets(hex)).operation, operation);
}

#[rstest]
#[case::discovery(
    "303e0201033011020421a920c5020300ffe30401040201030410300e0400020100020100040004000400301404000400a00e0204329c6e8d\
     0201000201003000",
    4
)]
#[case::md5(
    "30710201033011020403d03754020300ffe3040105020103042a3028040b80001f8804656e67696e6502010002010004036d6435040c5f02\
     e571617c45e629eaa0bf0400302d040b80001f8804656e67696e650400a01c020439da55bb020100020100300e300c06082b060102010103\
     000500",
    2
)]
#[case::sha_1(
    "30720201033011020418b84e60020300ffe3040105020103042b3029040b80001f8804656e67696e65020100020100040473686131040c15\
     a06d2ad0fa70a6bc41db850400302d040b80001f8804656e67696e650400a01c020427769f51020100020100300e300c06082b0601020101\
     03000500",
    2
)]
#[case::sha_256_aes(
    "30818b0201033011020408e12cef020300ffe3040107020103043e303c040b80001f8804656e67696e6502010002010004036e6f6304185a\
     afe91a71d6772ea75acade0373d27fa9460f5e25e48bec040868f66e9242f1100f0433ea48cbab16e0b3f6057b6144d5b3d1521dcb9cb356\
     896f7a3724c487421497d809f6bb3799d50f7276a52c15da17852f1dbd7b",
    2
)]
#[case::sha_1_des(
    "307c020103301102044bdeafb1020300ffe304010702010304323030040b80001f8804656e67696e650201000201000403646573040cd6f6\
     5927ddd6080132ab757504080000000123bcb5960430fa36b8707afe463d551fac56703ba675b12844e1af3d2088ed0889990ee728e274ef\
     03dbeda627d8473952167723ef18",
    2
)]
fn unknown_engines_and_times_are_reported(#[case] hex: &str, #[case] usm_stats: u8) {
    let mut harness = EngineHarness::new();
    let Received::Reply(report) = harness.receive(nms(), &octets(hex)) else { panic!("expected a Report") };
    let contains = |octets: &[u8]| report.octets.windows(octets.len()).any(|window| window == octets);
    let counter = [0x06, 0x0A, 0x2B, 6, 1, 6, 3, 15, 1, 1, usm_stats, 0, 0x41, 1, 1];
    assert!(contains(&counter) && contains(ENGINE_ID), "{:02x?}", report.octets);
}
