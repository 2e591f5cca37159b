//! Access rules, and secrecy of keys and communities.

use std::{sync::Arc, time::Instant};

use async_snmp::{AuthProtocol, PrivProtocol, RequestPdu, Version, oid};
use master_config::Document;
use rstest::rstest;
use serde_json::{Value, json};

use super::{
    engine_harness::{BOOTS, ENGINE_ID, EngineHarness, TIME, document, from, list},
    nms::{User, community_request},
};
use crate::snmp::{Access, Engine, EngineError, EngineIdentity, KeyCache, Received};

fn access(document: Value, keys: &mut KeyCache) -> Access {
    let document: Document = serde_json::from_value(document).unwrap();
    Access::new(&document, ENGINE_ID, keys)
}

fn get() -> RequestPdu {
    RequestPdu::get(Version::V3, 7, &[oid!(1, 3, 6)]).unwrap()
}

#[test]
fn only_new_keys_are_derived_and_removed_ones_are_dropped() {
    let mut keys = KeyCache::default();
    let keys_of = |access: &Access, user: &str| access.user(user.as_bytes()).unwrap().keys.clone();
    let first = access(document(), &mut keys);
    assert_eq!(keys.len(), 4);

    let mut changed = document();
    changed["users"][1]["auth"]["passphrase"] = "another-auth-pass".into();
    changed["users"][2]["name"] = "renamed".into();
    changed["users"].as_array_mut().unwrap().pop();
    let second = access(changed, &mut keys);
    assert_eq!(keys.len(), 3);
    let (sha1, md5) = (keys_of(&first, "sha1").unwrap(), keys_of(&first, "md5").unwrap());
    assert!(Arc::ptr_eq(&sha1, &keys_of(&second, "sha1").unwrap()));
    assert!(Arc::ptr_eq(&md5, &keys_of(&second, "renamed").unwrap()), "keys depend on passphrases, not on names");
    let noc = keys_of(&first, "noc").unwrap();
    assert_ne!(noc.auth.as_bytes(), keys_of(&second, "noc").unwrap().auth.as_bytes());
    assert!(keys_of(&second, "guest").is_none());

    let gone = Arc::downgrade(&noc);
    drop((noc, first));
    assert!(gone.upgrade().is_none(), "something still holds the old keys");
    access(json!({"version": 1}), &mut keys);
    assert!(keys.is_empty());
}

#[test]
fn keys_are_localized_to_the_engine() {
    let mut keys = KeyCache::default();
    let document: Document = serde_json::from_value(document()).unwrap();
    let [ours, theirs] = [ENGINE_ID, b"\x80\x00\x1f\x88\x04other"].map(|engine_id| {
        let access = Access::new(&document, engine_id, &mut keys);
        access.user(b"noc").unwrap().keys.clone().unwrap()
    });
    assert_ne!(ours.auth.as_bytes(), theirs.auth.as_bytes());
}

#[rstest]
fn all_protocols_are_supported(
    #[values(
        ("MD5", AuthProtocol::Md5),
        ("SHA-1", AuthProtocol::Sha1),
        ("SHA-224", AuthProtocol::Sha224),
        ("SHA-256", AuthProtocol::Sha256),
        ("SHA-384", AuthProtocol::Sha384),
        ("SHA-512", AuthProtocol::Sha512)
    )]
    auth: (&str, AuthProtocol),
    #[values(
        ("DES", PrivProtocol::Des),
        ("AES-128", PrivProtocol::Aes128),
        ("AES-192", PrivProtocol::Aes192Blumenthal),
        ("AES-256", PrivProtocol::Aes256Blumenthal),
        ("AES-192-C", PrivProtocol::Aes192Reeder),
        ("AES-256-C", PrivProtocol::Aes256Reeder)
    )]
    privacy: (&str, PrivProtocol),
    #[values("priv-passphrase", "auth-passphrase")] priv_passphrase: &str,
) {
    let mut harness = EngineHarness::with(json!({
        "version": 1,
        "contexts": [{"name": "", "users": [{"name": "someone"}]}],
        "users": [{
            "name": "someone",
            "auth": {"protocol": auth.0, "passphrase": "auth-passphrase"},
            "priv": {"protocol": privacy.0, "passphrase": priv_passphrase},
        }],
    }));
    let (auth, privacy) = (Some((auth.1, "auth-passphrase")), Some((privacy.1, priv_passphrase)));
    let user = User { boots: BOOTS, time: TIME, ..User::new("someone", ENGINE_ID, auth, privacy) };
    let request = harness.request(&user.request(get()));
    let (level, scoped) = user.decode_response(&harness.answer(&request, Ok(list(&[]))).unwrap());
    assert_eq!((level, scoped.pdu.error_status()), (user.level, 0));
}

#[test]
fn a_user_with_a_short_passphrase_is_omitted_and_others_are_not() {
    let mut short = document();
    short["users"][2]["auth"]["passphrase"] = "short".into();
    let access = access(short, &mut KeyCache::default());
    assert!(access.user(b"md5").is_none() && access.user(b"sha1").is_some());
}

#[test]
fn the_source_address_selects_the_context_of_a_community() {
    let community = |network: &str| json!([{"community": "shared", "sources": [network]}]);
    let mut harness = EngineHarness::with(json!({
        "version": 1,
        "contexts": [
            {"name": "a", "communities": community("10.0.0.0/8")},
            {"name": "b", "communities": community("192.0.2.7/32")},
        ],
    }));
    let datagram = community_request(Version::V2c, "shared", RequestPdu::get(Version::V2c, 7, &[]).unwrap());
    for (source, context) in [("10.1.2.3:1", "a"), ("192.0.2.7:1", "b")] {
        let received = harness.receive(from(source), &datagram);
        assert!(matches!(received, Received::Request(request) if request.context == context.as_bytes()));
    }
    assert_eq!(harness.receive(from("192.0.2.8:1"), &datagram), Received::Nothing);
}

#[test]
fn debug_output_contains_no_secrets() {
    let mut harness = EngineHarness::new();
    let auth = Some((AuthProtocol::Sha256, "noc-auth-pass"));
    let privacy = Some((PrivProtocol::Aes128, "noc-priv-pass"));
    let noc = User { boots: BOOTS, time: TIME, ..User::new("noc", ENGINE_ID, auth, privacy) };
    harness.request(&noc.request(get()));
    harness.request(&community_request(Version::V2c, "private", RequestPdu::get(Version::V2c, 7, &[]).unwrap()));
    let mut keys = KeyCache::default();
    let access = access(document(), &mut keys);
    let shown = format!("{:?} {access:?} {keys:?} {:?}", harness.engine, access.user(b"noc").unwrap().keys);
    assert!(shown.contains("REDACTED"), "{shown}");
    let key = noc.auth.unwrap();
    for secret in ["private".to_owned(), "pass".to_owned(), format!("{:?}", key.as_bytes())] {
        assert!(!shown.contains(&secret), "{shown} contains {secret}");
    }
    assert_eq!(harness.engine.pending(), 2);
}

#[rstest]
#[case::too_short(b"1234", 1)]
#[case::too_long(&[1; 33], 1)]
#[case::all_zeros(&[0; 8], 1)]
#[case::all_ones(&[255; 8], 1)]
#[case::zero_boots(ENGINE_ID, 0)]
#[case::too_many_boots(ENGINE_ID, 1 << 31)]
fn an_invalid_identity_is_rejected(#[case] engine_id: &[u8], #[case] boots: u32) {
    let identity = EngineIdentity { engine_id: engine_id.to_vec(), boots };
    let error = Engine::new(identity, EngineHarness::new().access, Arc::default(), Instant::now()).unwrap_err();
    match error {
        EngineError::EngineId(rejected) => assert_eq!(rejected, engine_id),
        EngineError::Boots(rejected) => assert_eq!((rejected, engine_id), (boots, ENGINE_ID)),
        EngineError::Random(error) => panic!("{error}"),
    }
}

#[rstest]
fn valid_boots_are_accepted(#[values(1, 2, 0x7FFF_FFFF)] boots: u32) {
    let identity = EngineIdentity { engine_id: ENGINE_ID.to_vec(), boots };
    Engine::new(identity, EngineHarness::new().access, Arc::default(), Instant::now()).unwrap();
}
