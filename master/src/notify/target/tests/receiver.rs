//! Simulated receivers of notifications. They decode with async-snmp.

use std::time::Instant;

use async_snmp::{
    AuthProtocol, DecodeConfig, Pdu, PrivProtocol, Value, VarBind,
    ber::Decoder,
    message::{CommunityMessage, RawMsgData, RawV3Message, ScopedPdu, SecurityLevel},
    pdu::PduType,
    v3::{UsmSecurityParams, auth::verify_message, in_authoritative_time_window},
};
use bytes::Bytes;
use notification::oids::{SNMP_TRAP_OID, detail};

use crate::snmp::tests::nms::{self, User};

/// A receiver of notifications.
pub(super) trait Receiver {
    /// Receives a datagram. Returns the answer.
    fn receive(&mut self, datagram: &[u8], now: Instant) -> Option<Vec<u8>>;

    /// Returns the sequence numbers of the notifications about alarms, in the order of their first arrival.
    fn sequences(&self) -> Vec<u32>;
}

/// Returns the sequence number and the value of snmpTrapOID.0.
fn read(varbinds: &[VarBind]) -> (Option<u32>, Vec<u32>) {
    let value = |name: &[u32]| varbinds.iter().find(|varbind| varbind.oid.arcs() == name).map(|varbind| &varbind.value);
    let sequence = match value(&detail(3)) {
        Some(Value::Gauge32(sequence)) => Some(*sequence),
        _ => None,
    };
    match value(&SNMP_TRAP_OID) {
        Some(Value::ObjectIdentifier(oid)) => (sequence, oid.arcs().to_vec()),
        other => panic!("snmpTrapOID.0 is {other:?}"),
    }
}

fn add(sequences: &mut Vec<u32>, sequence: Option<u32>) {
    if let Some(sequence) = sequence.filter(|sequence| !sequences.contains(sequence)) {
        sequences.push(sequence);
    }
}

fn response(pdu: &Pdu) -> Option<async_snmp::ResponsePdu> {
    (pdu.pdu_type() == PduType::InformRequest).then(|| {
        async_snmp::ResponsePdu::success(async_snmp::Version::V2c, pdu.request_id(), pdu.varbinds().to_vec()).unwrap()
    })
}

/// A receiver of SNMPv1 and SNMPv2c.
#[derive(Default)]
pub(super) struct CommunityReceiver {
    pub(super) is_silent: bool,
    pub(super) request_ids: Vec<i32>,
    pub(super) oids: Vec<Vec<u32>>,
    pub(super) sequences: Vec<u32>,
}

impl Receiver for CommunityReceiver {
    fn receive(&mut self, datagram: &[u8], _: Instant) -> Option<Vec<u8>> {
        let datagram = Bytes::copy_from_slice(datagram);
        let (_, community, pdu) = CommunityMessage::decode(datagram, DecodeConfig::STRICT).unwrap().value.into_parts();
        assert_eq!(community.as_bytes(), b"public");
        let pdu = pdu.standard()?.clone();
        self.request_ids.push(pdu.request_id());
        if self.is_silent {
            return None;
        }
        let (sequence, oid) = read(pdu.varbinds());
        add(&mut self.sequences, sequence);
        self.oids.push(oid);
        let response = CommunityMessage::v2c(community, response(&pdu)?).unwrap();
        Some(response.encode().unwrap().to_vec())
    }

    fn sequences(&self) -> Vec<u32> {
        self.sequences.clone()
    }
}

/// A receiver of SNMPv3, as RFC 3414 section 3.2 defines it.
pub(super) struct UsmReceiver {
    user: User,
    started: Option<Instant>,
    pub(super) sequences: Vec<u32>,
    contexts: Vec<Vec<u8>>,
}

impl UsmReceiver {
    pub(super) fn new(user: &master_config::User, engine_id: &[u8], boots: u32) -> Self {
        use master_config::{AuthProtocol as Auth, PrivProtocol as Privacy};
        let auth = user.auth.as_ref().map(|auth| {
            let protocol = match auth.protocol {
                Auth::Md5 => AuthProtocol::Md5,
                Auth::Sha1 => AuthProtocol::Sha1,
                Auth::Sha224 => AuthProtocol::Sha224,
                Auth::Sha256 => AuthProtocol::Sha256,
                Auth::Sha384 => AuthProtocol::Sha384,
                Auth::Sha512 => AuthProtocol::Sha512,
            };
            (protocol, auth.passphrase.expose())
        });
        let privacy = user.privacy.as_ref().map(|privacy| {
            let protocol = match privacy.protocol {
                Privacy::Des => PrivProtocol::Des,
                Privacy::Aes128 => PrivProtocol::Aes128,
                Privacy::Aes192 => PrivProtocol::Aes192Blumenthal,
                Privacy::Aes256 => PrivProtocol::Aes256Blumenthal,
                Privacy::Aes192Cisco => PrivProtocol::Aes192Reeder,
                Privacy::Aes256Cisco => PrivProtocol::Aes256Reeder,
            };
            (protocol, privacy.passphrase.expose())
        });
        let name: &'static str = if user.name == "noc" { "noc" } else { "stranger" };
        let user = User { boots, reportable: false, ..User::new(name, engine_id, auth, privacy) };
        Self { user, started: None, sequences: Vec::new(), contexts: Vec::new() }
    }

    /// Starts its clock.
    pub(super) fn start(&mut self, now: Instant) {
        self.started = Some(now);
    }

    /// Returns the contexts of the notifications.
    pub(super) fn contexts(&self) -> &[Vec<u8>] {
        &self.contexts
    }

    /// Returns a Report with a counter of usmStats.
    fn report(sender: &User, arc: u32) -> Vec<u8> {
        let varbind = VarBind::new(async_snmp::oid!(1, 3, 6, 1, 6, 3, 15, 1, 1, arc, 0), Value::Counter32(1));
        sender.request(async_snmp::ResponsePdu::report(0, vec![varbind]).unwrap())
    }
}

impl Receiver for UsmReceiver {
    fn receive(&mut self, octets: &[u8], now: Instant) -> Option<Vec<u8>> {
        let datagram = Bytes::copy_from_slice(octets);
        let message = RawV3Message::decode(datagram, DecodeConfig::STRICT).unwrap().value;
        let params = UsmSecurityParams::decode(message.security_params().clone(), DecodeConfig::STRICT).unwrap().value;
        let started = *self.started.get_or_insert(now);
        let time = u32::try_from(now.duration_since(started).as_secs()).unwrap();
        let level = message.security_level();
        let secured = User { msg_id: message.msg_id(), time, level, ..self.user.clone() };
        let plain = User { level: SecurityLevel::NoAuthNoPriv, ..secured.clone() };
        if *params.engine_id() != self.user.engine_id {
            assert!(message.global_data().msg_flags().reportable);
            return Some(Self::report(&plain, 4));
        }
        if *params.username() != self.user.name.as_bytes() {
            return Some(Self::report(&plain, 3));
        }
        if level.requires_auth() {
            let (offset, len) = UsmSecurityParams::find_auth_params_offset(octets).unwrap();
            if !verify_message(self.user.auth.as_ref()?, octets, offset, len).unwrap() {
                return Some(Self::report(&plain, 5));
            }
            // A receiver of traps follows the time of their sender.
            let is_confirmed = message.global_data().msg_flags().reportable;
            let (boots, at) = (params.engine_boots(), params.engine_time());
            if is_confirmed && !in_authoritative_time_window(self.user.boots, time, boots, at) {
                return Some(Self::report(&User { level: SecurityLevel::AuthNoPriv, ..secured }, 2));
            }
        }
        let scoped = match message.msg_data() {
            RawMsgData::Plaintext { data, .. } => Some(data.clone()),
            RawMsgData::Encrypted(data) => {
                let (boots, at) = (params.engine_boots(), params.engine_time());
                self.user.privacy.as_ref()?.decrypt(data, boots, at, params.priv_params()).ok()
            }
        };
        let scoped = scoped.and_then(|scoped| {
            ScopedPdu::decode(&mut Decoder::new(scoped).with_decode_config(DecodeConfig::STRICT)).ok()
        });
        let Some(scoped) = scoped else { return Some(Self::report(&plain, 6)) };
        let (sequence, _) = read(scoped.pdu.varbinds());
        add(&mut self.sequences, sequence);
        self.contexts.push(scoped.context_name.to_vec());
        Some(secured.request(response(&scoped.pdu)?))
    }

    fn sequences(&self) -> Vec<u32> {
        self.sequences.clone()
    }
}

/// A discovery message of async-snmp is as good as one of the master.
#[test]
fn a_receiver_answers_the_discovery_of_a_peer() {
    let user = serde_json::from_value(serde_json::json!({"name": "noc"})).unwrap();
    let mut receiver = UsmReceiver::new(&user, b"\x80\0\0\0\x05receiver", 1);
    assert!(receiver.receive(&nms::discovery(7), Instant::now()).is_some());
}
