//! SNMPv3.

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
    nms::{User, discovery},
    world::{BOOTS, ENGINE_ID, TIME, World, contract, filler, list, nms},
};
use crate::{
    dispatch::Operation,
    snmp::{Engine, EngineIdentity, Received, fault::Fault},
    statistics::{Counter, Statistics},
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

/// A user of the contract, who knows engine and time.
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

/// Error-status, error-index and how many variable bindings.
fn said(scoped: &ScopedPdu) -> (i32, i32, usize) {
    assert_eq!((scoped.pdu.pdu_type(), scoped.pdu.request_id()), (PduType::Response, 7));
    (scoped.pdu.error_status(), scoped.pdu.error_index(), scoped.pdu.varbinds().len())
}

#[rstest]
fn a_request_is_asked_and_its_answer_sent(#[values("guest", "md5", "sha1", "noc", "des")] name: &'static str) {
    let (mut world, mut user) = (World::new(), user(name));
    let bulk = GetBulkPdu::new(Version::V3, 7, 1, 50, vec![VarBind::null(oid!(1, 3, 6)), VarBind::null(self::name())]);
    let bulk = bulk.unwrap();
    let mut sealed = Vec::new();
    for pdu in [Pdu::from(get()), bulk.into_raw()] {
        let request = world.request(&user.request(pdu.clone()));
        assert_eq!((&request.context[..], request.without_counter64), (&b""[..], false));
        match request.operation {
            Operation::Get(ref names) => assert_eq!(names.len(), 1),
            Operation::GetBulk { non_repeaters: 1, max_repetitions: 50, ref names } => assert_eq!(names.len(), 2),
            ref other => panic!("{other:?}"),
        }
        let answer = world.answer(&request, Ok(list(&[(&[1, 3, 6], V::Counter64(1 << 40))]))).unwrap();
        let (level, scoped) = user.answer(&answer);
        assert_eq!((level, said(&scoped)), (user.level, (0, 0, 1)));
        assert_eq!((&scoped.context_engine_id[..], &scoped.context_name[..]), (ENGINE_ID, &b""[..]));
        assert_eq!(scoped.pdu.varbinds()[0].value, Value::Counter64(1 << 40));
        user.msg_id += 1;
        sealed.push(answer);
    }
    assert_ne!(sealed[0], sealed[1]);
    assert_eq!((world.statistics.requests.v3.get(), world.statistics.answers.v3.get()), (2, 2));
}

#[test]
fn an_engine_is_discovered_and_its_time_learned() {
    let mut world = World::new();
    let report = world.reply(&discovery(1));
    let anyone = User { name: "", ..user("guest") };
    let (level, scoped) = anyone.answer(&report);
    assert_eq!((level, scoped.pdu.pdu_type()), (SecurityLevel::NoAuthNoPriv, PduType::Report));
    let unknown_engine_ids = VarBind::new(oid!(1, 3, 6, 1, 6, 3, 15, 1, 1, 4, 0), Value::Counter32(1));
    assert_eq!(scoped.pdu.varbinds(), [unknown_engine_ids]);
    let message = async_snmp::message::RawV3Message::decode(Bytes::from(report), async_snmp::DecodeConfig::STRICT);
    let discovered = parse_discovery_response(message.unwrap().value.security_params()).unwrap();
    assert_eq!(&discovered.engine_id()[..], ENGINE_ID);

    let stale = User { boots: 0, time: 0, ..user("noc") };
    let (level, scoped) = stale.answer(&world.reply(&stale.request(get())));
    assert_eq!((level, scoped.pdu.pdu_type()), (SecurityLevel::AuthNoPriv, PduType::Report));
    let not_in_time_windows = VarBind::new(oid!(1, 3, 6, 1, 6, 3, 15, 1, 1, 2, 0), Value::Counter32(1));
    assert_eq!(scoped.pdu.varbinds(), [not_in_time_windows]);
    world.request(&user("noc").request(get()));
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
#[case::other_engine(other_engine(b"\x80\x00\x1f\x88\x04other"), Fault::UnknownEngineId, NO_AUTH)]
#[case::no_engine(other_engine(b""), Fault::UnknownEngineId, NO_AUTH)]
#[case::engine_that_cannot_be(other_engine(&[7; 40]), Fault::UnknownEngineId, NO_AUTH)]
#[case::unknown_user(User { name: "nobody", ..user("noc") }, Fault::UnknownUserName, NO_AUTH)]
#[case::nameless_user(User { name: "", ..user("guest") }, Fault::UnknownUserName, NO_AUTH)]
#[case::no_keys(User { name: "guest", ..user("md5") }, Fault::UnsupportedSecurityLevel, NO_AUTH)]
#[case::no_privacy(User { name: "md5", ..user("des") }, Fault::UnsupportedSecurityLevel, NO_AUTH)]
#[case::wrong_passphrase(noc_with("wrong-auth-pass", "noc-priv-pass"), Fault::WrongDigest, NO_AUTH)]
#[case::shorter_digest(User { auth: user("md5").auth, ..user("noc") }, Fault::WrongDigest, NO_AUTH)]
#[case::no_digest(User { auth: None, ..user("noc") }, Fault::WrongDigest, NO_AUTH)]
#[case::too_old(User { time: TIME - 151, ..user("noc") }, Fault::NotInTimeWindow, AUTH)]
#[case::too_new(User { time: TIME + 151, ..user("noc") }, Fault::NotInTimeWindow, AUTH)]
#[case::boot_before(User { boots: BOOTS - 1, ..user("noc") }, Fault::NotInTimeWindow, AUTH)]
#[case::boot_after(User { boots: BOOTS + 1, ..user("sha1") }, Fault::NotInTimeWindow, AUTH)]
#[case::wrong_priv_passphrase(noc_with("noc-auth-pass", "wrong-priv-pass"), Fault::DecryptionError, NO_AUTH)]
#[case::des_instead_of_aes(User { privacy: user("des").privacy, ..user("noc") }, Fault::DecryptionError, NO_AUTH)]
#[case::context_of_others(context("other"), Fault::UnknownContext, PRIV)]
#[case::no_such_context(context("no such"), Fault::UnknownContext, PRIV)]
#[case::no_such_context_in_clear(User { context: "no such", ..user("guest") }, Fault::UnknownContext, NO_AUTH)]
#[case::context_of_another_engine(
    User { context_engine_id: b"\x80\x00\x1f\x88\x04other".to_vec(), ..user("noc") },
    Fault::UnknownPduHandler,
    PRIV
)]
fn what_is_wrong_is_counted_and_reported(#[case] user: User, #[case] fault: Fault, #[case] level: SecurityLevel) {
    let mut world = World::new();
    for count in 1..=2 {
        let (at, scoped) = user.answer(&world.reply(&user.request(get())));
        assert_eq!((at, scoped.pdu.pdu_type(), scoped.pdu.error_status()), (level, PduType::Report, 0));
        assert_eq!((&scoped.context_engine_id[..], &scoped.context_name[..]), (ENGINE_ID, &b""[..]));
        assert_eq!(fault.counter(&world.statistics).get(), count);
        let [varbind] = scoped.pdu.varbinds() else { panic!("{scoped:?}") };
        assert_eq!(varbind.value, Value::Counter32(u32::try_from(count).unwrap()));
        let expected = fault.varbinds(&world.statistics);
        let mut written = async_snmp::ber::EncodeBuf::new();
        varbind.encode(&mut written).unwrap();
        assert_eq!(&written.finish()[..], expected.octets());
        // What could be read of the request tells its request-id.
        let is_known = user.level != PRIV || level == PRIV;
        assert_eq!(scoped.pdu.request_id(), if is_known { 7 } else { 0 });
    }
    let failed = matches!(fault, Fault::UnknownUserName | Fault::WrongDigest);
    assert_eq!(world.statistics.failed_attempts.all(), if failed { 2 } else { 0 });
    // Whoever wants no Report gets none, and is counted all the same.
    let user = User { reportable: false, ..user };
    assert_eq!(world.receive(nms(), &user.request(get())), Received::Nothing);
    assert_eq!((fault.counter(&world.statistics).get(), world.statistics.reports.get()), (3, 2));
}

#[test]
fn a_context_that_is_not_granted_is_as_one_that_is_not() {
    let mut world = World::new();
    let mut reports = ["other", "no such"].map(|name| {
        let user = User { context: name, level: AUTH, ..user("noc") };
        let (_, scoped) = user.answer(&world.reply(&user.request(get())));
        scoped
    });
    // But for the counter, which each advances.
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
fn what_asks_for_nothing_gets_nothing(
    #[case] pdu_type: StandardPduType,
    #[case] counter: fn(&Statistics) -> &Counter,
    #[values("guest", "noc")] name: &'static str,
) {
    let mut world = World::new();
    assert_eq!(world.receive(nms(), &user(name).request(standard(pdu_type))), Received::Nothing);
    assert_eq!(counter(&world.statistics).get(), 1);
    // Nor where something is wrong with it: two engines would report to each other for ever.
    let stranger = User { name: "stranger", ..user("guest") };
    assert_eq!(world.receive(nms(), &stranger.request(standard(pdu_type))), Received::Nothing);
    assert_eq!(world.statistics.unknown_user_names.get(), 1);
}

#[test]
fn an_inform_has_nobody_here() {
    let mut world = World::new();
    let user = user("noc");
    let (level, scoped) = user.answer(&world.reply(&user.request(standard(StandardPduType::InformRequest))));
    assert_eq!((level, scoped.pdu.pdu_type()), (PRIV, PduType::Report));
    assert_eq!(scoped.pdu.varbinds()[0].oid, oid!(1, 3, 6, 1, 6, 3, 11, 2, 1, 3, 0));
}

#[rstest]
#[case::less_than_the_context_asks_for(User { level: AUTH, ..user("noc") }, get(), Some((E::AuthorizationError, 0)))]
#[case::nothing_at_all(User { level: NO_AUTH, ..user("noc") }, get(), Some((E::AuthorizationError, 0)))]
#[case::enough_for_another_context(User { level: AUTH, context: "acme", ..user("noc") }, get(), None)]
#[case::more_than_enough(User { context: "acme", ..user("noc") }, get(), None)]
#[case::may_write(user("noc"), set(), None)]
#[case::may_not_write(user("guest"), set(), Some((E::NoAccess, 1)))]
#[case::may_not_write_there(User { context: "acme", ..user("noc") }, set(), Some((E::NoAccess, 1)))]
fn who_may_what(#[case] user: User, #[case] pdu: RequestPdu, #[case] refused: Option<(E, i32)>) {
    let mut world = World::new();
    let datagram = user.request(pdu.clone());
    let Some((error, index)) = refused else {
        assert_eq!(world.request(&datagram).context, user.context.as_bytes());
        return;
    };
    let (level, scoped) = user.answer(&world.reply(&datagram));
    assert_eq!((level, said(&scoped)), (user.level, (i32::from(error.code()), index, 1)));
    assert_eq!(scoped.pdu.varbinds(), pdu.varbinds());
    assert_eq!((world.statistics.errors.v3.get(), world.statistics.bad_community_uses.get()), (1, 0));
}

#[rstest]
fn a_request_is_in_time_for_150_seconds(#[values(TIME - 150, TIME, TIME + 150)] time: u32) {
    let (mut world, user) = (World::new(), User { time, ..user("noc") });
    let datagram = user.request(get());
    // Within that time a repeat is the RFC's business.
    for _ in 0..2 {
        let request = world.request(&datagram);
        world.answer(&request, Ok(list(&[]))).unwrap();
    }
}

#[test]
fn a_repeat_is_dropped_while_the_first_is_being_answered() {
    let (mut world, user) = (World::new(), user("noc"));
    world.request(&user.request(get()));
    assert_eq!(world.receive(nms(), &user.request(get())), Received::Nothing);
    assert_eq!(world.statistics.duplicates.get(), 1);
    // With a msgID of its own it waits for an answer of its own.
    world.request(&User { msg_id: 2, ..user }.request(get()));
}

#[rstest]
fn the_longest_answer_that_fits_is_sent_and_one_octet_more_is_too_big(
    #[values("guest", "md5", "noc", "des")] name: &'static str,
    #[values(484, 1472, 65_507)] ours: usize,
    #[values(484, 1471, 65_507, 0x7FFF_FFFF)] theirs: usize,
) {
    let mut small = contract();
    small["limits"] = json!({"snmpMessageOctets": ours});
    let (mut world, user) = (World::with(small), User { max_size: theirs, ..user(name) });
    let limit = ours.min(theirs);
    let datagram = user.request(get());
    let request = world.request(&datagram);
    let answer = world.answer(&request, Ok(filler(request.room))).unwrap();
    // Where an octet more makes a length longer, or begins a block, the last octets cannot be used.
    let unused = if name == "des" { 8 } else { 3 };
    assert!((limit - unused..=limit).contains(&answer.len()), "{} octets of {limit}", answer.len());
    assert_eq!(said(&user.answer(&answer).1).0, 0);

    let request = world.request(&datagram);
    let answer = world.answer(&request, Ok(filler(request.room + 1))).unwrap();
    assert_eq!(said(&user.answer(&answer).1), (1, 0, 0));
}

#[test]
fn an_answer_fits_although_its_time_has_become_longer() {
    let mut small = contract();
    small["limits"] = json!({"snmpMessageOctets": 1472});
    let mut world = World::with(small);
    // The next hour brings 32,768 s, an octet more.
    world.now += Duration::from_secs((32_767 - TIME).into());
    let user = User { time: 32_767, ..user("noc") };
    let request = world.request(&user.request(get()));
    world.now += Duration::from_secs(1);
    let answer = world.answer(&request, Ok(filler(request.room))).unwrap();
    assert_eq!((answer.len(), said(&user.answer(&answer).1)), (1472, (0, 0, 1)));
}

#[test]
fn what_no_message_can_hold_is_dropped_silently_and_counted() {
    let long: &'static str = Box::leak("c".repeat(430).into_boxed_str());
    let mut world = World::with(json!({
        "version": 1,
        "contexts": [{"name": long, "users": [{"name": "guest", "securityLevel": "NoAuthNoPriv"}]}],
        "users": [{"name": "guest"}],
    }));
    let user = User { max_size: 484, context: long, ..user("guest") };
    let request = world.request(&user.request(get()));
    assert_eq!(request.room, 0);
    assert_eq!(world.answer(&request, Ok(list(&[]))), None);
    assert_eq!((world.statistics.silent_drops.get(), world.engine.pending()), (1, 0));
}

/// The same datagram with these octets in place of the first `old`.
fn patched(datagram: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let at = datagram.windows(old.len()).position(|octets| octets == old).unwrap();
    let mut patched = datagram.to_vec();
    patched[at..at + old.len()].copy_from_slice(new);
    patched
}

#[rstest]
#[case::security_model(&[4, 1, 4, 2, 1, 3], &[4, 1, 4, 2, 1, 2], |s: &Statistics| s.unknown_security_models.get())]
#[case::security_model_and_flags(&[4, 1, 4, 2, 1, 3], &[4, 1, 6, 2, 1, 9], |s: &Statistics| s.unknown_security_models.get())]
#[case::security_model_that_cannot_be(&[4, 1, 4, 2, 1, 3], &[4, 1, 4, 2, 1, 0], |s: &Statistics| s.asn_parse_errors.get())]
#[case::privacy_without_authentication(&[4, 1, 4, 2, 1, 3], &[4, 1, 6, 2, 1, 3], |s: &Statistics| s.invalid_messages.get())]
#[case::max_size(&[2, 3, 0, 0xFF, 0xE3], &[2, 3, 0, 1, 0xE3], |s: &Statistics| s.asn_parse_errors.get())]
#[case::msg_id(&[2, 1, 1, 2, 3], &[2, 1, 0x81, 2, 3], |s: &Statistics| s.asn_parse_errors.get())]
#[case::security_parameters(b"\x30\x1f\x04\x0b\x80", b"\x31\x1f\x04\x0b\x80", |s: &Statistics| s.asn_parse_errors.get())]
#[case::scoped_pdu(b"\x04\x00\x04\x00\x30", b"\x04\x00\x04\x00\x31", |s: &Statistics| s.asn_parse_errors.get())]
#[case::pdu(&[2, 1, 7, 2, 1, 0], &[4, 1, 7, 2, 1, 0], |s: &Statistics| s.asn_parse_errors.get())]
#[case::varbinds(&[5, 0], &[4, 1], |s: &Statistics| s.asn_parse_errors.get())]
fn what_is_no_message_is_dropped_and_counted(
    #[case] old: &[u8],
    #[case] new: &[u8],
    #[case] counter: fn(&Statistics) -> u64,
) {
    let mut world = World::new();
    let datagram = patched(&user("guest").request(get()), old, new);
    assert_eq!(world.receive(nms(), &datagram), Received::Nothing);
    assert_eq!(counter(&world.statistics), 1);
}

#[rstest]
fn an_octet_that_is_not_the_users_makes_it_no_request(#[values("md5", "noc", "des")] name: &'static str) {
    let mut world = World::new();
    let datagram = user(name).request(get());
    for at in 0..datagram.len() {
        for bit in [1, 0x10, 0x80] {
            let mut forged = datagram.clone();
            forged[at] ^= bit;
            let received = world.receive(nms(), &forged);
            assert!(!matches!(received, Received::Request(_)), "octet {at}");
        }
    }
    world.request(&datagram);
}

#[test]
fn an_engine_whose_boots_are_used_up_takes_nothing_authentic() {
    let mut world = World::new();
    let identity = EngineIdentity { engine_id: ENGINE_ID.to_vec(), boots: 0x7FFF_FFFF };
    world.engine = Engine::new(identity, world.access.clone(), world.statistics.clone(), world.now).unwrap();
    let user = User { boots: 0x7FFF_FFFF, time: 0, ..user("noc") };
    let (_, scoped) = user.answer(&world.reply(&user.request(get())));
    assert_eq!(scoped.pdu.pdu_type(), PduType::Report);
    assert_eq!(world.statistics.not_in_time_windows.get(), 1);
}

#[test]
fn a_user_keeps_its_keys_for_what_it_asked_before_a_new_contract() {
    let (mut world, user) = (World::new(), user("noc"));
    let request = world.request(&user.request(get()));
    world.reload(json!({"version": 1}));
    let answer = world.answer(&request, Ok(list(&[]))).unwrap();
    assert_eq!(said(&user.answer(&answer).1), (0, 0, 0));
    let (_, scoped) = user.answer(&world.reply(&user.request(get())));
    assert_eq!(scoped.pdu.varbinds()[0].oid, oid!(1, 3, 6, 1, 6, 3, 15, 1, 1, 3, 0));
}
