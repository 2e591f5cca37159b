//! A test harness for the engine: an engine with a configuration document, and its clock.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use agentx::{ResponseError, ValueRef};
use arc_swap::ArcSwap;
use serde_json::{Value, json};

use crate::{
    pdu::{Answer, Request, varbind_list::VarBindList},
    snmp::{Access, Datagram, Engine, EngineIdentity, KeyCache, Received, Source, statistics::Statistics},
};

pub(super) const ENGINE_ID: &[u8] = b"\x80\x00\x1f\x88\x04engine";
pub(super) const BOOTS: u32 = 7;
/// snmpEngineTime at the initial [`EngineHarness::now`].
pub(super) const TIME: u32 = 1_000;

/// An engine and the current time.
pub(super) struct EngineHarness {
    pub(super) engine: Engine,
    pub(super) statistics: Arc<Statistics>,
    pub(super) access: Arc<ArcSwap<Access>>,
    pub(super) now: Instant,
}

/// Returns the configuration document of most tests.
pub(super) fn document() -> Value {
    json!({
        "version": 1,
        "contexts": [
            {
                "name": "",
                "communities": [{"community": "public"}, {"community": "private", "access": "ReadWrite"}],
                "users": [
                    {"name": "guest", "securityLevel": "NoAuthNoPriv"},
                    {"name": "noc", "securityLevel": "AuthPriv", "access": "ReadWrite"},
                    {"name": "md5", "securityLevel": "AuthNoPriv"},
                    {"name": "sha1", "securityLevel": "AuthNoPriv"},
                    {"name": "des", "securityLevel": "AuthPriv"},
                ],
            },
            {
                "name": "acme",
                "communities": [{"community": "acme", "sources": ["192.0.2.0/24", "2001:db8::/32"]}],
                "users": [{"name": "noc", "securityLevel": "AuthNoPriv"}],
            },
            {"name": "other"},
        ],
        "users": [
            {"name": "guest"},
            {
                "name": "noc",
                "auth": {"protocol": "SHA-256", "passphrase": "noc-auth-pass"},
                "priv": {"protocol": "AES-128", "passphrase": "noc-priv-pass"},
            },
            {"name": "md5", "auth": {"protocol": "MD5", "passphrase": "md5-auth-pass"}},
            {"name": "sha1", "auth": {"protocol": "SHA-1", "passphrase": "sha1-auth-pass"}},
            {
                "name": "des",
                "auth": {"protocol": "SHA-1", "passphrase": "des-auth-pass"},
                "priv": {"protocol": "DES", "passphrase": "des-priv-pass"},
            },
        ],
    })
}

/// Returns the address of the NMS of most tests.
pub(super) fn nms() -> Source {
    from("192.0.2.7:40000")
}

pub(super) fn from(address: &str) -> Source {
    Source { address: address.parse().unwrap(), listener: 3, local: None }
}

impl EngineHarness {
    /// Creates an engine with the document of most tests, whose keys are derived only once.
    pub(super) fn new() -> Self {
        static KEYS: Mutex<Option<KeyCache>> = Mutex::new(None);
        Self::with_keys(document(), KEYS.lock().unwrap().get_or_insert_default())
    }

    pub(super) fn with(document: Value) -> Self {
        Self::with_keys(document, &mut KeyCache::default())
    }

    fn with_keys(document: Value, keys: &mut KeyCache) -> Self {
        let document = serde_json::from_value(document).unwrap();
        let access = Arc::new(ArcSwap::from_pointee(Access::new(&document, ENGINE_ID, keys)));
        let statistics = Arc::new(Statistics::default());
        let started = Instant::now();
        let identity = EngineIdentity { engine_id: ENGINE_ID.to_vec(), boots: BOOTS };
        let engine = Engine::new(identity, access.clone(), statistics.clone(), started).unwrap();
        Self { engine, statistics, access, now: started + Duration::from_secs(TIME.into()) }
    }

    /// Replaces the configuration document.
    pub(super) fn reload(&mut self, document: Value) {
        let document = serde_json::from_value(document).unwrap();
        self.access.store(Arc::new(Access::new(&document, ENGINE_ID, &mut KeyCache::default())));
    }

    pub(super) fn receive(&mut self, from: Source, datagram: &[u8]) -> Received {
        self.engine.receive(from, datagram, self.now)
    }

    /// Receives a datagram that must be accepted as a request.
    #[track_caller]
    pub(super) fn request(&mut self, datagram: &[u8]) -> Request {
        match self.receive(nms(), datagram) {
            Received::Request(request) => request,
            other => panic!("expected a request, not {other:?}"),
        }
    }

    /// Receives a datagram that the engine must reply to by itself.
    #[track_caller]
    pub(super) fn reply(&mut self, datagram: &[u8]) -> Vec<u8> {
        match self.receive(nms(), datagram) {
            Received::Reply(Datagram { to, octets }) => {
                assert_eq!(to, nms());
                octets
            }
            other => panic!("expected a reply, not {other:?}"),
        }
    }

    pub(super) fn answer(
        &mut self,
        request: &Request,
        result: Result<VarBindList, (ResponseError, u32)>,
    ) -> Option<Vec<u8>> {
        let datagram = self.engine.answer(Answer { token: request.token, result }, self.now)?;
        assert_eq!(datagram.to, nms());
        Some(datagram.octets)
    }
}

/// Returns varbinds that take exactly `octets` octets, which must be at least 20.
pub(super) fn filler(octets: usize) -> VarBindList {
    let mut list = VarBindList::default();
    for len in (0..octets).rev() {
        list.clear();
        list.push(&[1, 3, 6, 1], ValueRef::OctetString(&vec![7; len]));
        if list.octets().len() == octets {
            return list;
        }
        if list.octets().len() < octets {
            break;
        }
    }
    // One string cannot have this length, because its header grows by two octets here. Two strings can.
    let mut two = filler(octets - 20);
    two.push_encoded(filler(20).octets());
    two
}

pub(super) fn list(varbinds: &[(&[u32], ValueRef<'_>)]) -> VarBindList {
    let mut list = VarBindList::default();
    for (name, value) in varbinds {
        list.push(name, *value);
    }
    list
}

#[test]
fn fillers_have_the_requested_length() {
    for octets in (20..600).chain(65_000..65_200) {
        assert_eq!(filler(octets).octets().len(), octets);
    }
}
