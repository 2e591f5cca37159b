//! SNMPv3 requests.

use std::time::Duration;

use agentx::{ResponseError as E, ValueRef as V};
use async_snmp::{
    AuthProtocol, GetBulkPdu, Pdu, PduBody, PduType, PrivProtocol, RequestPdu, StandardPduType, Value, VarBind,
    Version,
    message::{ScopedPdu, SecurityLevel},
    oid,
    v3::parse_discovery_response,
};
use bytes::Bytes;
use rstest::rstest;
use serde_json::json;

use super::{
    engine_harness::{BOOTS, ENGINE_ID, EngineHarness, TIME, document, filler, list, nms},
    nms::{User, discovery},
};
use crate::{
    pdu::Operation,
    snmp::{
        Engine, EngineIdentity, Received,
        report::ReportReason,
        statistics::{Counter, Statistics},
    },
};

fn name() -> async_snmp::Oid {
    oid!(1, 3, 6, 1, 2, 1, 1, 3, 0)
}

fn get() -> RequestPdu {
    RequestPdu::get(Version::V3, 7, &[name()]).unwrap()
}

fn set() -> RequestPdu {
    RequestPdu::set(Version::V3, 7, vec![VarBind::new(name(), Value::Integer(1))]).unwrap()
}

/// Returns a user of the document who knows the engine and its time.
fn user(name: &'static str) -> User {
    use AuthProtocol::{Md5, Sha1, Sha256};
    use PrivProtocol::{Aes128, Des};
    let (auth, privacy) = match name {
        "noc" => (Some((Sha256, "noc-auth-pass")), Some((Aes128, "noc-priv-pass"))),
        "md5" => (Some((Md5, "md5-auth-pass")), None),
        "sha1" => (Some((Sha1, "sha1-auth-pass")), None),
        "des" => (Some((Sha1, "des-auth-pass")), Some((Des, "des-priv-pass"))),
        _ => (None, None),
    };
    User { boots: BOOTS, time: TIME, ..User::new(name, ENGINE_ID, auth, privacy) }
}

/// Returns error-status, error-index and the number of varbinds of a Response.
fn status(scoped: &ScopedPdu) -> (i32, i32, usize) {
    assert_eq!((scoped.pdu.pdu_type(), scoped.pdu.request_id()), (PduType::Response, 7));
    (scoped.pdu.error_status(), scoped.pdu.error_index(), scoped.pdu.varbinds().len())
}

#[rstest]
fn a_request_is_passed_on_and_its_answer_is_sent(#[values("guest", "md5", "sha1", "noc", "des")] name: &'static str) {
    let (mut harness, mut user) = (EngineHarness::new(), user(name));
    let bulk = GetBulkPdu::new(Version::V3, 7, 1, 50, vec![VarBind::null(oid!(1, 3, 6)), VarBind::null(self::name())]);
    let bulk = bulk.unwrap();
    let mut sealed = Vec::new();
    for pdu in [Pdu::from(get()), bulk.into_raw()] {
        let request = harness.request(&user.request(pdu.clone()));
        assert_eq!((&request.context[..], request.without_counter64), (&b""[..], false));
        match request.operation {
            Operation::Get(ref names) => assert_eq!(names.len(), 1),
            Operation::GetBulk { non_repeaters: 1, max_repetitions: 50, ref names } => assert_eq!(names.len(), 2),
            ref other => panic!("{other:?}"),
        }
        let answer = harness.answer(&request, Ok(list(&[(&[1, 3, 6], V::Counter64(1 << 40))]))).unwrap();
        let (level, scoped) = user.decode_response(&answer);
        assert_eq!((level, status(&scoped)), (user.level, (0, 0, 1)));
        assert_eq!((&scoped.context_engine_id[..], &scoped.context_name[..]), (ENGINE_ID, &b""[..]));
        assert_eq!(scoped.pdu.varbinds()[0].value, Value::Counter64(1 << 40));
        user.msg_id += 1;
        sealed.push(answer);
    }
    assert_ne!(sealed[0], sealed[1]);
    assert_eq!((harness.statistics.requests.v3.get(), harness.statistics.answers.v3.get()), (2, 2));
}

#[test]
fn managers_discover_the_engine_and_its_time() {
    let mut harness = EngineHarness::new();
    let report = harness.reply(&discovery(1));
    let anyone = User { name: "", ..user("guest") };
    let (level, scoped) = anyone.decode_response(&report);
    assert_eq!((level, scoped.pdu.pdu_type()), (SecurityLevel::NoAuthNoPriv, PduType::Report));
    let unknown_engine_ids = VarBind::new(oid!(1, 3, 6, 1, 6, 3, 15, 1, 1, 4, 0), Value::Counter32(1));
    assert_eq!(scoped.pdu.varbinds(), [unknown_engine_ids]);
    let message = async_snmp::message::RawV3Message::decode(Bytes::from(report), async_snmp::DecodeConfig::STRICT);
    let discovered = parse_discovery_response(message.unwrap().value.security_params()).unwrap();
    assert_eq!(&discovered.engine_id()[..], ENGINE_ID);

    let stale = User { boots: 0, time: 0, ..user("noc") };
    let (level, scoped) = stale.decode_response(&harness.reply(&stale.request(get())));
    assert_eq!((level, scoped.pdu.pdu_type()), (SecurityLevel::AuthNoPriv, PduType::Report));
    let not_in_time_windows = VarBind::new(oid!(1, 3, 6, 1, 6, 3, 15, 1, 1, 2, 0), Value::Counter32(1));
    assert_eq!(scoped.pdu.varbinds(), [not_in_time_windows]);
    harness.request(&user("noc").request(get()));
}

fn context(context: &'static str) -> User {
    User { context, ..user("noc") }
}

fn noc_with(auth: &str, privacy: &str) -> User {
    let auth = Some((AuthProtocol::Sha256, auth));
    let privacy = Some((PrivProtocol::Aes128, privacy));
    User { boots: BOOTS, time: TIME, ..User::new("noc", ENGINE_ID, auth, privacy) }
}

fn other_engine(engine_id: &[u8]) -> User {
    User { engine_id: engine_id.to_vec(), ..user("noc") }
}

const NO_AUTH: SecurityLevel = SecurityLevel::NoAuthNoPriv;
const AUTH: SecurityLevel = SecurityLevel::AuthNoPriv;
const PRIV: SecurityLevel = SecurityLevel::AuthPriv;

#[rstest]
#[case::other_engine(other_engine(b"\x80\x00\x1f\x88\x04other"), ReportReason::UnknownEngineId, NO_AUTH)]
#[case::empty_engine_id(other_engine(b""), ReportReason::UnknownEngineId, NO_AUTH)]
#[case::invalid_engine_id(other_engine(&[7; 40]), ReportReason::UnknownEngineId, NO_AUTH)]
#[case::unknown_user(User { name: "nobody", ..user("noc") }, ReportReason::UnknownUserName, NO_AUTH)]
#[case::empty_user_name(User { name: "", ..user("guest") }, ReportReason::UnknownUserName, NO_AUTH)]
#[case::no_keys(User { name: "guest", ..user("md5") }, ReportReason::UnsupportedSecurityLevel, NO_AUTH)]
#[case::no_privacy(User { name: "md5", ..user("des") }, ReportReason::UnsupportedSecurityLevel, NO_AUTH)]
#[case::wrong_passphrase(noc_with("wrong-auth-pass", "noc-priv-pass"), ReportReason::WrongDigest, NO_AUTH)]
#[case::shorter_digest(User { auth: user("md5").auth, ..user("noc") }, ReportReason::WrongDigest, NO_AUTH)]
#[case::no_digest(User { auth: None, ..user("noc") }, ReportReason::WrongDigest, NO_AUTH)]
#[case::too_old(User { time: TIME - 151, ..user("noc") }, ReportReason::NotInTimeWindow, AUTH)]
#[case::too_new(User { time: TIME + 151, ..user("noc") }, ReportReason::NotInTimeWindow, AUTH)]
#[case::previous_boot(User { boots: BOOTS - 1, ..user("noc") }, ReportReason::NotInTimeWindow, AUTH)]
#[case::future_boot(User { boots: BOOTS + 1, ..user("sha1") }, ReportReason::NotInTimeWindow, AUTH)]
#[case::wrong_priv_passphrase(noc_with("noc-auth-pass", "wrong-priv-pass"), ReportReason::DecryptionError, NO_AUTH)]
#[case::des_instead_of_aes(User { privacy: user("des").privacy, ..user("noc") }, ReportReason::DecryptionError, NO_AUTH)]
#[case::context_without_access(context("other"), ReportReason::UnknownContext, PRIV)]
#[case::no_such_context(context("no such"), ReportReason::UnknownContext, PRIV)]
#[case::no_such_context_unencrypted(User { context: "no such", ..user("guest") }, ReportReason::UnknownContext, NO_AUTH)]
#[case::context_of_another_engine(
    User { context_engine_id: b"\x80\x00\x1f\x88\x04other".to_vec(), ..user("noc") },
    ReportReason::UnknownPduHandler,
    PRIV
)]
fn errors_are_counted_and_reported(#[case] user: User, #[case] reason: ReportReason, #[case] level: SecurityLevel) {
    let mut harness = EngineHarness::new();
    for count in 1..=2 {
        let (at, scoped) = user.decode_response(&harness.reply(&user.request(get())));
        assert_eq!((at, scoped.pdu.pdu_type(), scoped.pdu.error_status()), (level, PduType::Report, 0));
        assert_eq!((&scoped.context_engine_id[..], &scoped.context_name[..]), (ENGINE_ID, &b""[..]));
        assert_eq!(reason.counter(&harness.statistics).get(), count);
        let [varbind] = scoped.pdu.varbinds() else { panic!("{scoped:?}") };
        assert_eq!(varbind.value, Value::Counter32(u32::try_from(count).unwrap()));
        let expected = reason.varbinds(&harness.statistics);
        let mut written = async_snmp::ber::EncodeBuf::new();
        varbind.encode(&mut written).unwrap();
        assert_eq!(&written.finish()[..], expected.octets());
        // The request-id is known if the PDU could be decoded.
        let is_known = user.level != PRIV || level == PRIV;
        assert_eq!(scoped.pdu.request_id(), if is_known { 7 } else { 0 });
    }
    let failed = matches!(reason, ReportReason::UnknownUserName | ReportReason::WrongDigest);
    assert_eq!(harness.statistics.failed_attempts.all(), if failed { 2 } else { 0 });
    // Without the reportable flag there is no Report, but the error is counted.
    let user = User { reportable: false, ..user };
    assert_eq!(harness.receive(nms(), &user.request(get())), Received::Nothing);
    assert_eq!((reason.counter(&harness.statistics).get(), harness.statistics.reports.get()), (3, 2));
}

#[test]
fn a_context_without_access_is_reported_like_a_missing_one() {
    let mut harness = EngineHarness::new();
    let mut reports = ["other", "no such"].map(|name| {
        let user = User { context: name, level: AUTH, ..user("noc") };
        let (_, scoped) = user.decode_response(&harness.reply(&user.request(get())));
        scoped
    });
    // Only the counter differs, because each Report advances it.
    for report in &mut reports {
        let (id, body, varbinds) = report.pdu.clone().into_raw_parts();
        report.pdu = Pdu::from_raw_parts(id, body, vec![VarBind::new(varbinds[0].oid.clone(), Value::Null)]);
    }
    assert_eq!(reports[0], reports[1]);
}

fn standard(pdu_type: StandardPduType) -> Pdu {
    let body = PduBody::Standard { pdu_type, error_status: 0, error_index: 0 };
    let uptime = VarBind::new(name(), Value::TimeTicks(1));
    let trap = VarBind::new(oid!(1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0), Value::ObjectIdentifier(oid!(1, 3)));
    let notification = matches!(pdu_type, StandardPduType::TrapV2 | StandardPduType::InformRequest);
    let counter = VarBind::new(name(), Value::Counter32(1));
    Pdu::from_raw_parts(7, body, if notification { vec![uptime, trap] } else { vec![counter] })
}

fn unexpected_pdus(statistics: &Statistics) -> &Counter {
    &statistics.unexpected_pdus
}

fn unknown_pdu_handlers(statistics: &Statistics) -> &Counter {
    &statistics.unknown_pdu_handlers
}

#[rstest]
#[case(StandardPduType::Response, unexpected_pdus)]
#[case(StandardPduType::Report, unexpected_pdus)]
#[case(StandardPduType::TrapV2, unknown_pdu_handlers)]
fn pdus_that_are_not_requests_get_no_reply(
    #[case] pdu_type: StandardPduType,
    #[case] counter: fn(&Statistics) -> &Counter,
    #[values("guest", "noc")] name: &'static str,
) {
    let mut harness = EngineHarness::new();
    assert_eq!(harness.receive(nms(), &user(name).request(standard(pdu_type))), Received::Nothing);
    assert_eq!(counter(&harness.statistics).get(), 1);
    // The same holds for a message with an error. Otherwise two engines could exchange Reports forever.
    let stranger = User { name: "stranger", ..user("guest") };
    assert_eq!(harness.receive(nms(), &stranger.request(standard(pdu_type))), Received::Nothing);
    assert_eq!(harness.statistics.unknown_user_names.get(), 1);
}

#[test]
fn an_inform_is_reported_as_unknown_pdu_handler() {
    let mut harness = EngineHarness::new();
    let user = user("noc");
    let (level, scoped) = user.decode_response(&harness.reply(&user.request(standard(StandardPduType::InformRequest))));
    assert_eq!((level, scoped.pdu.pdu_type()), (PRIV, PduType::Report));
    assert_eq!(scoped.pdu.varbinds()[0].oid, oid!(1, 3, 6, 1, 6, 3, 11, 2, 1, 3, 0));
}

#[rstest]
#[case::level_below_the_minimum(User { level: AUTH, ..user("noc") }, get(), Some((E::AuthorizationError, 0)))]
#[case::no_security(User { level: NO_AUTH, ..user("noc") }, get(), Some((E::AuthorizationError, 0)))]
#[case::sufficient_in_another_context(User { level: AUTH, context: "acme", ..user("noc") }, get(), None)]
#[case::level_above_the_minimum(User { context: "acme", ..user("noc") }, get(), None)]
#[case::write_access(user("noc"), set(), None)]
#[case::read_only(user("guest"), set(), Some((E::NoAccess, 1)))]
#[case::read_only_in_this_context(User { context: "acme", ..user("noc") }, set(), Some((E::NoAccess, 1)))]
fn requests_are_authorized(#[case] user: User, #[case] pdu: RequestPdu, #[case] expected_error: Option<(E, i32)>) {
    let mut harness = EngineHarness::new();
    let datagram = user.request(pdu.clone());
    let Some((error, index)) = expected_error else {
        assert_eq!(harness.request(&datagram).context, user.context.as_bytes());
        return;
    };
    let (level, scoped) = user.decode_response(&harness.reply(&datagram));
    assert_eq!((level, status(&scoped)), (user.level, (i32::from(error.code()), index, 1)));
    assert_eq!(scoped.pdu.varbinds(), pdu.varbinds());
    assert_eq!((harness.statistics.errors.v3.get(), harness.statistics.bad_community_uses.get()), (1, 0));
}

#[rstest]
fn a_request_is_timely_within_150_seconds(#[values(TIME - 150, TIME, TIME + 150)] time: u32) {
    let (mut harness, user) = (EngineHarness::new(), User { time, ..user("noc") });
    let datagram = user.request(get());
    // RFC 3414 does not prevent replays within the time window.
    for _ in 0..2 {
        let request = harness.request(&datagram);
        harness.answer(&request, Ok(list(&[]))).unwrap();
    }
}

#[test]
fn a_duplicate_is_dropped_while_the_first_is_being_answered() {
    let (mut harness, user) = (EngineHarness::new(), user("noc"));
    harness.request(&user.request(get()));
    assert_eq!(harness.receive(nms(), &user.request(get())), Received::Nothing);
    assert_eq!(harness.statistics.duplicates.get(), 1);
    // A request with another msgID is not a duplicate.
    harness.request(&User { msg_id: 2, ..user }.request(get()));
}

#[rstest]
fn the_longest_response_that_fits_is_sent_and_one_octet_more_is_too_big(
    #[values("guest", "md5", "noc", "des")] name: &'static str,
    #[values(484, 1472, 65_507)] ours: usize,
    #[values(484, 1471, 65_507, 0x7FFF_FFFF)] theirs: usize,
) {
    let mut small = document();
    small["limits"] = json!({"snmpMessageOctets": ours});
    let (mut harness, user) = (EngineHarness::with(small), User { max_size: theirs, ..user(name) });
    let limit = ours.min(theirs);
    let datagram = user.request(get());
    let request = harness.request(&datagram);
    let answer = harness.answer(&request, Ok(filler(request.room))).unwrap();
    // The last octets cannot be used where they would make a length field longer or begin a new block.
    let unused = if name == "des" { 8 } else { 3 };
    assert!((limit - unused..=limit).contains(&answer.len()), "{} octets of {limit}", answer.len());
    assert_eq!(status(&user.decode_response(&answer).1).0, 0);

    let request = harness.request(&datagram);
    let answer = harness.answer(&request, Ok(filler(request.room + 1))).unwrap();
    assert_eq!(status(&user.decode_response(&answer).1), (1, 0, 0));
}

#[test]
fn a_response_fits_even_if_the_encoding_of_its_time_grows() {
    let mut small = document();
    small["limits"] = json!({"snmpMessageOctets": 1472});
    let mut harness = EngineHarness::with(small);
    // One second later, the engine time is 32,768 s, which needs one more octet.
    harness.now += Duration::from_secs((32_767 - TIME).into());
    let user = User { time: 32_767, ..user("noc") };
    let request = harness.request(&user.request(get()));
    harness.now += Duration::from_secs(1);
    let answer = harness.answer(&request, Ok(filler(request.room))).unwrap();
    assert_eq!((answer.len(), status(&user.decode_response(&answer).1)), (1472, (0, 0, 1)));
}

#[test]
fn a_response_that_fits_into_no_message_is_dropped_and_counted() {
    let long: &'static str = Box::leak("c".repeat(430).into_boxed_str());
    let mut harness = EngineHarness::with(json!({
        "version": 1,
        "contexts": [{"name": long, "users": [{"name": "guest", "securityLevel": "NoAuthNoPriv"}]}],
        "users": [{"name": "guest"}],
    }));
    let user = User { max_size: 484, context: long, ..user("guest") };
    let request = harness.request(&user.request(get()));
    assert_eq!(request.room, 0);
    assert_eq!(harness.answer(&request, Ok(list(&[]))), None);
    assert_eq!((harness.statistics.silent_drops.get(), harness.engine.pending()), (1, 0));
}

/// Replaces the first occurrence of `old` in a datagram.
fn patched(datagram: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let at = datagram.windows(old.len()).position(|octets| octets == old).unwrap();
    let mut patched = datagram.to_vec();
    patched[at..at + old.len()].copy_from_slice(new);
    patched
}

#[rstest]
#[case::security_model(&[4, 1, 4, 2, 1, 3], &[4, 1, 4, 2, 1, 2], |s: &Statistics| s.unknown_security_models.get())]
#[case::security_model_and_flags(&[4, 1, 4, 2, 1, 3], &[4, 1, 6, 2, 1, 9], |s: &Statistics| s.unknown_security_models.get())]
#[case::invalid_security_model(&[4, 1, 4, 2, 1, 3], &[4, 1, 4, 2, 1, 0], |s: &Statistics| s.asn_parse_errors.get())]
#[case::privacy_without_authentication(&[4, 1, 4, 2, 1, 3], &[4, 1, 6, 2, 1, 3], |s: &Statistics| s.invalid_messages.get())]
#[case::max_size(&[2, 3, 0, 0xFF, 0xE3], &[2, 3, 0, 1, 0xE3], |s: &Statistics| s.asn_parse_errors.get())]
#[case::msg_id(&[2, 1, 1, 2, 3], &[2, 1, 0x81, 2, 3], |s: &Statistics| s.asn_parse_errors.get())]
#[case::security_parameters(b"\x30\x1f\x04\x0b\x80", b"\x31\x1f\x04\x0b\x80", |s: &Statistics| s.asn_parse_errors.get())]
#[case::scoped_pdu(b"\x04\x00\x04\x00\x30", b"\x04\x00\x04\x00\x31", |s: &Statistics| s.asn_parse_errors.get())]
#[case::pdu(&[2, 1, 7, 2, 1, 0], &[4, 1, 7, 2, 1, 0], |s: &Statistics| s.asn_parse_errors.get())]
#[case::varbinds(&[5, 0], &[4, 1], |s: &Statistics| s.asn_parse_errors.get())]
fn malformed_messages_are_dropped_and_counted(
    #[case] old: &[u8],
    #[case] new: &[u8],
    #[case] counter: fn(&Statistics) -> u64,
) {
    let mut harness = EngineHarness::new();
    let datagram = patched(&user("guest").request(get()), old, new);
    assert_eq!(harness.receive(nms(), &datagram), Received::Nothing);
    assert_eq!(counter(&harness.statistics), 1);
}

#[rstest]
fn a_forged_octet_makes_the_message_unacceptable(#[values("md5", "noc", "des")] name: &'static str) {
    let mut harness = EngineHarness::new();
    let datagram = user(name).request(get());
    for at in 0..datagram.len() {
        for bit in [1, 0x10, 0x80] {
            let mut forged = datagram.clone();
            forged[at] ^= bit;
            let received = harness.receive(nms(), &forged);
            assert!(!matches!(received, Received::Request(_)), "a message with a forged octet {at} was accepted");
        }
    }
    harness.request(&datagram);
}

#[test]
fn an_engine_with_exhausted_boots_accepts_no_authenticated_messages() {
    let mut harness = EngineHarness::new();
    let identity = EngineIdentity { engine_id: ENGINE_ID.to_vec(), boots: 0x7FFF_FFFF };
    harness.engine = Engine::new(identity, harness.access.clone(), harness.statistics.clone(), harness.now).unwrap();
    let user = User { boots: 0x7FFF_FFFF, time: 0, ..user("noc") };
    let (_, scoped) = user.decode_response(&harness.reply(&user.request(get())));
    assert_eq!(scoped.pdu.pdu_type(), PduType::Report);
    assert_eq!(harness.statistics.not_in_time_windows.get(), 1);
}

#[test]
fn pending_requests_keep_their_keys_when_the_document_changes() {
    let (mut harness, user) = (EngineHarness::new(), user("noc"));
    let request = harness.request(&user.request(get()));
    harness.reload(json!({"version": 1}));
    let answer = harness.answer(&request, Ok(list(&[]))).unwrap();
    assert_eq!(status(&user.decode_response(&answer).1), (0, 0, 0));
    let (_, scoped) = user.decode_response(&harness.reply(&user.request(get())));
    assert_eq!(scoped.pdu.varbinds()[0].oid, oid!(1, 3, 6, 1, 6, 3, 15, 1, 1, 3, 0));
}
