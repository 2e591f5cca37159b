//! A simulated NMS: it encodes requests and decodes responses with async-snmp.

use async_snmp::{
    DecodeConfig, DesSaltState, LocalizedKey, MasterKeys, MessageSize, Pdu, PrivProtocol, Version,
    ber::Decoder,
    message::{
        CommunityMessage, MsgFlags, MsgGlobalData, RawMsgData, RawV3Message, ScopedPdu, SecurityLevel, V3Message,
    },
    v3::{
        AuthProtocol, PrivKey, SaltCounter, UsmSecurityParams,
        auth::{authenticate_message, verify_message},
    },
};
use bytes::Bytes;

/// Encodes a request of SNMPv1 or SNMPv2c.
pub(super) fn community_request(version: Version, community: &str, pdu: impl Into<Pdu>) -> Vec<u8> {
    let message = match version {
        Version::V1 => CommunityMessage::v1(Bytes::copy_from_slice(community.as_bytes()), pdu),
        _ => CommunityMessage::v2c(Bytes::copy_from_slice(community.as_bytes()), pdu),
    };
    message.unwrap().encode().unwrap().to_vec()
}

/// Decodes the PDU of a response of SNMPv1 or SNMPv2c.
pub(super) fn community_response(version: Version, community: &str, octets: &[u8]) -> Pdu {
    let message = CommunityMessage::decode(Bytes::copy_from_slice(octets), DecodeConfig::STRICT).unwrap().value;
    let (response_version, response_community, pdu) = message.into_parts();
    assert_eq!((response_version, response_community.as_bytes()), (version, community.as_bytes()));
    pdu.standard().unwrap().clone()
}

/// An SNMPv3 user, and what it knows about the engine.
#[derive(Clone)]
pub(super) struct User {
    pub(super) name: &'static str,
    pub(super) level: SecurityLevel,
    pub(super) auth: Option<LocalizedKey>,
    pub(super) privacy: Option<PrivKey>,
    pub(super) engine_id: Vec<u8>,
    pub(super) boots: u32,
    pub(super) time: u32,
    pub(super) context_engine_id: Vec<u8>,
    pub(super) context: &'static str,
    pub(super) msg_id: i32,
    pub(super) max_size: usize,
    pub(super) reportable: bool,
}

impl User {
    /// Creates a user with the highest security level that its passphrases allow.
    pub(super) fn new(
        name: &'static str,
        engine_id: &[u8],
        auth: Option<(AuthProtocol, &str)>,
        privacy: Option<(PrivProtocol, &str)>,
    ) -> Self {
        let keys = auth.map(|(protocol, passphrase)| {
            let keys = MasterKeys::new(protocol, passphrase.as_bytes()).unwrap();
            let keys = match privacy {
                Some((protocol, passphrase)) => keys.with_privacy(protocol, passphrase.as_bytes()).unwrap(),
                None => keys,
            };
            keys.localize(engine_id).unwrap()
        });
        let (auth, privacy) = keys.map_or((None, None), |(auth, privacy)| (Some(auth), privacy));
        let level = match (&auth, &privacy) {
            (None, _) => SecurityLevel::NoAuthNoPriv,
            (_, None) => SecurityLevel::AuthNoPriv,
            _ => SecurityLevel::AuthPriv,
        };
        Self {
            name,
            level,
            auth,
            privacy,
            engine_id: engine_id.to_vec(),
            boots: 1,
            time: 0,
            context_engine_id: engine_id.to_vec(),
            context: "",
            msg_id: 1,
            max_size: 65_507,
            reportable: true,
        }
    }

    /// Encodes a request with this PDU.
    pub(super) fn request(&self, pdu: impl Into<Pdu>) -> Vec<u8> {
        let scoped = ScopedPdu::new(self.context_engine_id.clone(), self.context.as_bytes(), pdu);
        self.seal(&scoped.encode_to_bytes().unwrap())
    }

    /// Encodes a request with these octets as its scoped PDU.
    pub(super) fn seal(&self, scoped: &[u8]) -> Vec<u8> {
        let (data, salt) = match (self.level, &self.privacy) {
            (SecurityLevel::AuthPriv, Some(key)) if key.protocol() == PrivProtocol::Des => {
                key.encrypt_des_family(scoped, &des_salts()).unwrap()
            }
            (SecurityLevel::AuthPriv, Some(key)) => {
                key.encrypt_aes(scoped, self.boots, self.time, &SaltCounter::new().unwrap()).unwrap()
            }
            _ => (Bytes::copy_from_slice(scoped), Bytes::new()),
        };
        let auth = self.auth.as_ref().filter(|_| self.level.requires_auth());
        let mut params = Vec::new();
        crate::pdu::ber::push_octets(&mut params, 0x04, &self.engine_id);
        crate::pdu::ber::push_unsigned(&mut params, 0x02, self.boots.into());
        crate::pdu::ber::push_unsigned(&mut params, 0x02, self.time.into());
        crate::pdu::ber::push_octets(&mut params, 0x04, self.name.as_bytes());
        crate::pdu::ber::push_octets(&mut params, 0x04, &vec![0; auth.map_or(0, LocalizedKey::mac_len)]);
        crate::pdu::ber::push_octets(&mut params, 0x04, &salt);
        let mut sequence = Vec::new();
        crate::pdu::ber::push_octets(&mut sequence, 0x30, &params);
        let mut global = Vec::new();
        crate::pdu::ber::push_integer(&mut global, self.msg_id);
        crate::pdu::ber::push_unsigned(&mut global, 0x02, self.max_size as u64);
        let flags = MsgFlags::new(self.level, self.reportable).to_byte();
        crate::pdu::ber::push_octets(&mut global, 0x04, &[flags]);
        crate::pdu::ber::push_integer(&mut global, 3);
        let mut content = Vec::new();
        crate::pdu::ber::push_integer(&mut content, 3);
        crate::pdu::ber::push_octets(&mut content, 0x30, &global);
        crate::pdu::ber::push_octets(&mut content, 0x04, &sequence);
        if self.level == SecurityLevel::AuthPriv {
            crate::pdu::ber::push_octets(&mut content, 0x04, &data);
        } else {
            content.extend_from_slice(&data);
        }
        let mut message = Vec::new();
        crate::pdu::ber::push_octets(&mut message, 0x30, &content);
        if let Some(key) = auth {
            let (offset, len) = UsmSecurityParams::find_auth_params_offset(&message).unwrap();
            authenticate_message(key, &mut message, offset, len).unwrap();
        }
        message
    }

    /// Decodes a response and checks it as a manager does. Returns its security level and scoped PDU.
    pub(super) fn decode_response(&self, octets: &[u8]) -> (SecurityLevel, ScopedPdu) {
        let datagram = Bytes::copy_from_slice(octets);
        let message = RawV3Message::decode(datagram, DecodeConfig::STRICT).unwrap().value;
        assert_eq!(message.msg_id(), self.msg_id);
        assert!(!message.global_data().msg_flags().reportable);
        let level = message.security_level();
        let params = UsmSecurityParams::decode(message.security_params().clone(), DecodeConfig::STRICT).unwrap().value;
        params.validate_for_security_level(level).unwrap();
        assert_eq!(params.username(), self.name.as_bytes());
        if let Some(key) = self.auth.as_ref().filter(|_| level.requires_auth()) {
            let (offset, len) = UsmSecurityParams::find_auth_params_offset(octets).unwrap();
            assert!(verify_message(key, octets, offset, len).unwrap(), "the digest does not match");
        }
        let scoped = match message.msg_data() {
            RawMsgData::Plaintext { data, .. } => data.clone(),
            RawMsgData::Encrypted(data) => {
                let key = self.privacy.as_ref().unwrap();
                let (boots, time) = (params.engine_boots(), params.engine_time());
                key.decrypt(data, boots, time, params.priv_params()).unwrap()
            }
        };
        let mut decoder = Decoder::new(scoped).with_decode_config(DecodeConfig::STRICT);
        (level, ScopedPdu::decode(&mut decoder).unwrap())
    }
}

/// Encodes the request that async-snmp sends to discover an engine (RFC 3414 section 4).
pub(super) fn discovery(msg_id: i32) -> Vec<u8> {
    let size = MessageSize::new(65_507).unwrap();
    V3Message::discovery_request(msg_id, size).unwrap().encode().unwrap().to_vec()
}

fn des_salts() -> DesSaltState {
    DesSaltState::install(|_| Ok::<_, std::convert::Infallible>(())).unwrap()
}

#[test]
fn requests_are_encoded_as_async_snmp_does() {
    let pdu = async_snmp::RequestPdu::get(Version::V3, 7, &[async_snmp::oid!(1, 3, 6)]).unwrap();
    let user = User::new("someone", b"\x80engine", None, None);
    let size = MessageSize::new(user.max_size).unwrap();
    let global = MsgGlobalData::new(1, size, MsgFlags::new(SecurityLevel::NoAuthNoPriv, true)).unwrap();
    let params = UsmSecurityParams::new(user.engine_id.clone(), 1, 0, user.name.as_bytes()).unwrap();
    let scoped = ScopedPdu::new(user.engine_id.clone(), Bytes::new(), pdu.clone());
    let theirs = V3Message::new(global, params.encode().unwrap(), scoped).unwrap().encode().unwrap();
    assert_eq!(user.request(pdu), theirs);
}
