//! What holds of any octets, any values and any answer.

use std::sync::LazyLock;

use agentx::Value;
use async_snmp::{AuthProtocol, GetBulkPdu, PrivProtocol, RequestPdu, VarBind, Version, ber::EncodeBuf, oid};
use proptest::{collection::vec, prelude::*, sample::Index};

use super::{
    nms::{User, community_answer, community_request},
    world::{BOOTS, ENGINE_ID, TIME, World, nms},
};
use crate::{
    ber::tests::value,
    snmp::{Received, fuzz::trial},
    varbind_list::VarBindList,
};

fn get(version: Version) -> RequestPdu {
    RequestPdu::get(version, 7, &[oid!(1, 3, 6, 1)]).unwrap()
}

/// One of each level.
static USERS: LazyLock<[User; 3]> = LazyLock::new(|| {
    let user = |name, auth, privacy| User { boots: BOOTS, time: TIME, ..User::new(name, ENGINE_ID, auth, privacy) };
    let (auth, privacy) = ((AuthProtocol::Sha256, "noc-auth-pass"), (PrivProtocol::Aes128, "noc-priv-pass"));
    [
        user("guest", None, None),
        user("sha1", Some((AuthProtocol::Sha1, "sha1-auth-pass")), None),
        user("noc", Some(auth), Some(privacy)),
    ]
});

/// A change to a datagram.
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
    fn any_octets_are_taken(input in vec(any::<u8>(), 0..600)) {
        trial(&input);
    }

    #[test]
    fn no_octets_without_credentials_are_a_request(mut octets in vec(any::<u8>(), 0..200), version in 0_u8..4) {
        let mut world = World::new();
        let start = [0x30, u8::try_from(octets.len().min(120) + 3).unwrap(), 2, 1, version];
        octets.truncate(120);
        for datagram in [octets.clone(), [&start[..], &octets].concat()] {
            prop_assert!(!matches!(world.receive(nms(), &datagram), Received::Request(_)));
        }
    }

    #[test]
    fn what_is_done_to_an_authentic_message_makes_it_no_request(edits in vec(edit(), 1..6), which in 1_usize..3) {
        let user = &USERS[which];
        let original = user.request(get(Version::V3));
        let mut forged = original.clone();
        for edit in &edits {
            apply(&mut forged, edit);
        }
        let received = World::new().receive(nms(), &forged);
        prop_assert_eq!(matches!(received, Received::Request(_)), forged == original);
    }

    #[test]
    fn what_is_done_to_a_message_never_changes_who_asks(edits in vec(edit(), 1..6)) {
        let bulk = GetBulkPdu::new(Version::V2c, 7, 0, 9, vec![VarBind::null(oid!(1, 3))]).unwrap();
        let mut datagram = community_request(Version::V2c, "public", bulk);
        for edit in &edits {
            apply(&mut datagram, edit);
        }
        if let Received::Request(request) = World::new().receive(nms(), &datagram) {
            prop_assert!(request.context.is_empty());
            prop_assert!(datagram.windows(8).any(|octets| octets == b"\x04\x06public"));
        }
    }

    #[test]
    fn every_answer_is_read_as_it_was_given(
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
        let mut world = World::new();
        for version in [Version::V1, Version::V2c] {
            let request = world.request(&community_request(version, "public", get(version)));
            let answer = world.answer(&request, Ok(list.clone())).unwrap();
            let pdu = community_answer(version, "public", &answer);
            let unfit = values.iter().position(|(_, value)| {
                matches!(value, Value::Counter64(_) | Value::NoSuchObject | Value::NoSuchInstance | Value::EndOfMibView)
            });
            if let Some(at) = unfit.filter(|_| version == Version::V1) {
                let index = i32::try_from(at).unwrap() + 1;
                prop_assert_eq!((pdu.error_status(), pdu.error_index()), (2, index));
            } else {
                prop_assert_eq!(written(pdu.varbinds()), list.octets());
            }
        }
        for user in USERS.iter() {
            let request = world.request(&user.request(get(Version::V3)));
            let answer = world.answer(&request, Ok(list.clone())).unwrap();
            prop_assert_eq!(written(user.answer(&answer).1.pdu.varbinds()), list.octets());
        }
    }
}

#[test]
fn the_fuzz_corpus_holds() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/messages");
    let mut inputs = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        let entry = entry.unwrap();
        let asked = trial(&std::fs::read(entry.path()).unwrap());
        let name = entry.file_name().into_string().unwrap();
        let is_request = ["get-", "bulk-", "set-v", "many-", "no-"].iter().any(|start| name.starts_with(start));
        assert!(!is_request || asked == 3, "{name} is asked {asked} times");
        inputs += 1;
    }
    assert!(inputs >= 30, "{inputs} files in the corpus");
}
