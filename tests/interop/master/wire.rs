//! SNMP messages that no client library sends, built field by field.

use std::net::UdpSocket;

use anyhow::{Context as _, Result, bail, ensure};
use async_snmp::{
    CommunityVersion, DecodeConfig, MessageSize, Oid, SecurityLevel, VarBind, Version,
    message::{CommunityMessage, MsgFlags, MsgGlobalData, ScopedPdu, V3Message, V3MessageData},
    pdu::{GetBulkPdu, Pdu, PduType, RequestPdu},
    v3::UsmSecurityParams,
};
use bytes::Bytes;
use harness::{COMMUNITY, DEADLINE, SnmpAgent};

use super::{SYS_UP_TIME, async_snmp_client::name};

/// A UDP socket that exchanges messages with one agent.
pub(super) struct Wire {
    socket: UdpSocket,
}

/// The identity of an SNMP engine, which a message within the time window must repeat (RFC 3414 section 2.2.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Engine {
    pub(super) id: Bytes,
    pub(super) boots: u32,
    pub(super) time: u32,
}

impl Wire {
    pub(super) fn new(agent: &dyn SnmpAgent) -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(("127.0.0.1", agent.port()))?;
        socket.set_read_timeout(Some(DEADLINE))?;
        Ok(Self { socket })
    }

    /// Sends a message without waiting for a response.
    pub(super) fn send(&self, message: &[u8]) -> Result<()> {
        let sent = self.socket.send(message)?;
        ensure!(sent == message.len(), "{sent} octets of {}", message.len());
        Ok(())
    }

    /// Returns the next message.
    pub(super) fn receive(&self) -> Result<Bytes> {
        let mut buffer = vec![0; 65_535];
        let len = self.socket.recv(&mut buffer).context("the agent did not respond")?;
        buffer.truncate(len);
        Ok(buffer.into())
    }

    /// Sends a message and returns the next one.
    pub(super) fn exchange(&self, message: &[u8]) -> Result<Bytes> {
        self.send(message)?;
        self.receive()
    }

    /// Checks that the agent does not respond to a message: the response to a later request must come first.
    pub(super) fn expect_ignored(&self, message: &[u8]) -> Result<()> {
        const PROBE: i32 = 7_654_321;
        self.send(message)?;
        let probe = RequestPdu::get(Version::V2c, PROBE, &[name(SYS_UP_TIME)?])?.into_raw();
        let (_, pdu) = decode_community_message(self.exchange(&community(Version::V2c, COMMUNITY, probe)?)?)?;
        let (request_id, ..) = pdu.clone().into_raw_parts();
        ensure!(request_id == PROBE, "the agent responded to a message that it must ignore: {pdu:?}");
        Ok(())
    }

    /// Discovers the engine (RFC 3414 section 4).
    pub(super) fn discover(&self) -> Result<Engine> {
        let discovery = V3Message::discovery_request(1, MessageSize::new(65_507)?)?.encode()?;
        let (engine, ..) = decode_report(self.exchange(&discovery)?)?;
        Ok(engine)
    }
}

/// Encodes a message of SNMPv1 or SNMPv2c.
pub(super) fn community(version: Version, community: &str, pdu: Pdu) -> Result<Bytes> {
    let version = if version == Version::V1 { CommunityVersion::V1 } else { CommunityVersion::V2c };
    Ok(CommunityMessage::new(version, community.as_bytes().to_vec(), pdu)?.encode()?)
}

/// Decodes the version and the PDU of a message of SNMPv1 or SNMPv2c.
pub(super) fn decode_community_message(message: Bytes) -> Result<(Version, Pdu)> {
    let (version, _, pdu) = CommunityMessage::decode(message, DecodeConfig::default())?.value.into_parts();
    Ok((version, pdu.standard().cloned().context("the message is a trap")?))
}

/// Returns a Get of these OIDs.
pub(super) fn get(version: Version, request_id: i32, oids: &[&str]) -> Result<Pdu> {
    let names: Vec<Oid> = oids.iter().map(|oid| name(oid)).collect::<async_snmp::Result<_>>()?;
    Ok(RequestPdu::get(version, request_id, &names)?.into_raw())
}

/// Returns a GetBulk of one OID.
pub(super) fn get_bulk(version: Version, request_id: i32, max_repetitions: u32, oid: &str) -> Result<Pdu> {
    let names = vec![VarBind::null(name(oid)?)];
    Ok(GetBulkPdu::new(version, request_id, 0, max_repetitions, names)?.into_raw())
}

/// Encodes a message of SNMPv3 without authentication and privacy, whose maximum message size is `room`.
pub(super) fn unauthenticated(engine: &Engine, user: &str, context: &str, room: usize, pdu: Pdu) -> Result<Bytes> {
    let flags = MsgFlags::new(SecurityLevel::NoAuthNoPriv, true);
    let header = MsgGlobalData::new(1, MessageSize::new(room)?, flags)?;
    let security = UsmSecurityParams::new(engine.id.clone(), engine.boots, engine.time, user.as_bytes().to_vec())?;
    let scoped = ScopedPdu::new(engine.id.clone(), context.as_bytes().to_vec(), pdu);
    Ok(V3Message::new(header, security.encode()?, scoped)?.encode()?)
}

/// Decodes the engine and the PDU of a message of SNMPv3 that is not encrypted.
pub(super) fn decode_plain_message(message: Bytes) -> Result<(Engine, Pdu)> {
    let message = V3Message::decode(message, DecodeConfig::default())?.value;
    let security = UsmSecurityParams::decode(message.security_params().clone(), DecodeConfig::default())?.value;
    let engine =
        Engine { id: security.engine_id().clone(), boots: security.engine_boots(), time: security.engine_time() };
    let V3MessageData::Plaintext(scoped) = message.data() else { bail!("the message is encrypted") };
    Ok((engine, scoped.pdu.clone()))
}

/// Decodes the engine, and the counter with its value, of a Report.
pub(super) fn decode_report(message: Bytes) -> Result<(Engine, String, u32)> {
    let (engine, pdu) = decode_plain_message(message)?;
    ensure!(pdu.pdu_type() == PduType::Report, "expected a Report, received {pdu:?}");
    match pdu.varbinds() {
        [VarBind { oid, value: async_snmp::Value::Counter32(count), .. }] => Ok((engine, oid.to_string(), *count)),
        other => bail!("the Report has the varbinds {other:?}"),
    }
}
