//! Property tests of the engine.

use std::sync::LazyLock;

use agentx::Value;
use async_snmp::{AuthProtocol, GetBulkPdu, PrivProtocol, RequestPdu, VarBind, Version, ber::EncodeBuf, oid};
use proptest::{collection::vec, prelude::*, sample::Index};

use super::{
    engine_harness::{BOOTS, ENGINE_ID, EngineHarness, TIME, nms},
    nms::{User, community_request, community_response},
};
use crate::{
    pdu::{ber::tests::value, varbind_list::VarBindList},
    snmp::{Received, fuzz::check},
};

fn get(version: Version) -> RequestPdu {
    RequestPdu::get(version, 7, &[oid!(1, 3, 6, 1)]).unwrap()
}

/// A user of each security level.
static USERS: LazyLock<[User; 3]> = LazyLock::new(|| {
    let user = |name, auth, privacy| User { boots: BOOTS, time: TIME, ..User::new(name, ENGINE_ID, auth, privacy) };
    let (auth, privacy) = ((AuthProtocol::Sha256, "noc-auth-pass"), (PrivProtocol::Aes128, "noc-priv-pass"));
    [
        user("guest", None, None),
        user("sha1", Some((AuthProtocol::Sha1, "sha1-auth-pass")), None),
        user("noc", Some(auth), Some(privacy)),
    ]
});

/// An edit of a datagram.
#[derive(Debug, Clone)]
enum Edit {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, octet)| Edit::Set(at, octet)),
        (any::<Index>(), vec(any::<u8>(), 1..8)).prop_map(|(at, octets)| Edit::Insert(at, octets)),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Edit::Remove(from, to)),
    ]
}

fn apply(datagram: &mut Vec<u8>, edit: &Edit) {
    if datagram.is_empty() {
        return;
    }
    match edit {
        Edit::Set(at, octet) => {
            let at = at.index(datagram.len());
            datagram[at] = *octet;
        }
        Edit::Insert(at, octets) => {
            let at = at.index(datagram.len());
            datagram.splice(at..at, octets.iter().copied());
        }
        Edit::Remove(from, to) => {
            let (from, to) = (from.index(datagram.len()), to.index(datagram.len()));
            datagram.drain(from.min(to)..from.max(to));
        }
    }
}

proptest! {
    #[test]
    fn any_octets_keep_the_invariants(input in vec(any::<u8>(), 0..600)) {
        check(&input);
    }

    #[test]
    fn datagrams_without_credentials_are_never_accepted(mut octets in vec(any::<u8>(), 0..200), version in 0_u8..4) {
        let mut harness = EngineHarness::new();
        let start = [0x30, u8::try_from(octets.len().min(120) + 3).unwrap(), 2, 1, version];
        octets.truncate(120);
        for datagram in [octets.clone(), [&start[..], &octets].concat()] {
            prop_assert!(!matches!(harness.receive(nms(), &datagram), Received::Request(_)));
        }
    }

    #[test]
    fn an_edited_authentic_message_is_never_accepted(edits in vec(edit(), 1..6), which in 1_usize..3) {
        let user = &USERS[which];
        let original = user.request(get(Version::V3));
        let mut forged = original.clone();
        for edit in &edits {
            apply(&mut forged, edit);
        }
        let received = EngineHarness::new().receive(nms(), &forged);
        prop_assert_eq!(matches!(received, Received::Request(_)), forged == original);
    }

    #[test]
    fn an_edited_message_never_gets_the_access_of_another_sender(edits in vec(edit(), 1..6)) {
        let bulk = GetBulkPdu::new(Version::V2c, 7, 0, 9, vec![VarBind::null(oid!(1, 3))]).unwrap();
        let mut datagram = community_request(Version::V2c, "public", bulk);
        for edit in &edits {
            apply(&mut datagram, edit);
        }
        if let Received::Request(request) = EngineHarness::new().receive(nms(), &datagram) {
            prop_assert!(request.context.is_empty());
            prop_assert!(datagram.windows(8).any(|octets| octets == b"\x04\x06public"));
        }
    }

    #[test]
    fn responses_carry_exactly_the_given_varbinds(
        values in vec((vec(any::<u32>(), 0..20), value()), 0..20),
    ) {
        let mut list = VarBindList::default();
        for (arcs, value) in &values {
            list.push(&[&[1, 3, 6], &arcs[..]].concat(), value.as_ref());
        }
        let written = |varbinds: &[VarBind]| {
            let octets = varbinds.iter().map(|varbind| {
                let mut buf = EncodeBuf::new();
                varbind.encode(&mut buf).unwrap();
                buf.finish().to_vec()
            });
            octets.collect::<Vec<_>>().concat()
        };
        let mut harness = EngineHarness::new();
        for version in [Version::V1, Version::V2c] {
            let request = harness.request(&community_request(version, "public", get(version)));
            let answer = harness.answer(&request, Ok(list.clone())).unwrap();
            let pdu = community_response(version, "public", &answer);
            let unsupported = values.iter().position(|(_, value)| {
                matches!(value, Value::Counter64(_) | Value::NoSuchObject | Value::NoSuchInstance | Value::EndOfMibView)
            });
            if let Some(at) = unsupported.filter(|_| version == Version::V1) {
                let index = i32::try_from(at).unwrap() + 1;
                prop_assert_eq!((pdu.error_status(), pdu.error_index()), (2, index));
            } else {
                prop_assert_eq!(written(pdu.varbinds()), list.octets());
            }
        }
        for user in USERS.iter() {
            let request = harness.request(&user.request(get(Version::V3)));
            let answer = harness.answer(&request, Ok(list.clone())).unwrap();
            prop_assert_eq!(written(user.decode_response(&answer).1.pdu.varbinds()), list.octets());
        }
    }
}

#[test]
fn the_fuzz_corpus_keeps_the_invariants() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/messages");
    let mut inputs = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        let entry = entry.unwrap();
        let requests = check(&std::fs::read(entry.path()).unwrap());
        let name = entry.file_name().into_string().unwrap();
        let is_request = ["get-", "bulk-", "set-v", "many-", "no-"].iter().any(|start| name.starts_with(start));
        assert!(!is_request || requests == 3, "{name} caused {requests} requests instead of 3");
        inputs += 1;
    }
    assert!(inputs >= 30, "only {inputs} files in the corpus");
}
