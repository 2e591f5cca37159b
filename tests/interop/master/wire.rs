//! Messages octet by octet, as no client sends them.

use std::net::UdpSocket;

use anyhow::{Context as _, Result, bail, ensure};
use async_snmp::{
    CommunityVersion, DecodeConfig, MessageSize, Oid, SecurityLevel, VarBind, Version,
    message::{CommunityMessage, MsgFlags, MsgGlobalData, ScopedPdu, V3Message, V3MessageData},
    pdu::{GetBulkPdu, Pdu, PduType, RequestPdu},
    v3::UsmSecurityParams,
};
use bytes::Bytes;
use harness::{Agent, COMMUNITY, DEADLINE};

use super::{SYS_UP_TIME, nms::name};

/// A socket that asks one agent.
pub(super) struct Wire {
    socket: UdpSocket,
}

/// What an engine says of itself, as a message in the time window has to repeat it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Engine {
    pub(super) id: Bytes,
    pub(super) boots: u32,
    pub(super) time: u32,
}

impl Wire {
    pub(super) fn new(agent: &dyn Agent) -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(("127.0.0.1", agent.port()))?;
        socket.set_read_timeout(Some(DEADLINE))?;
        Ok(Self { socket })
    }

    /// Sends a message, and does not wait.
    pub(super) fn send(&self, message: &[u8]) -> Result<()> {
        let sent = self.socket.send(message)?;
        ensure!(sent == message.len(), "{sent} octets of {}", message.len());
        Ok(())
    }

    /// The next message.
    pub(super) fn receive(&self) -> Result<Bytes> {
        let mut buffer = vec![0; 65_535];
        let len = self.socket.recv(&mut buffer).context("no answer")?;
        buffer.truncate(len);
        Ok(buffer.into())
    }

    /// Asks, and gives what comes next.
    pub(super) fn exchange(&self, message: &[u8]) -> Result<Bytes> {
        self.send(message)?;
        self.receive()
    }

    /// Sends a message that must get no answer: that to one sent after it comes first.
    pub(super) fn is_ignored(&self, message: &[u8]) -> Result<()> {
        const PROBE: i32 = 7_654_321;
        self.send(message)?;
        let probe = RequestPdu::get(Version::V2c, PROBE, &[name(SYS_UP_TIME)?])?.into_raw();
        let (_, pdu) = community_answer(self.exchange(&community(Version::V2c, COMMUNITY, probe)?)?)?;
        let (request_id, ..) = pdu.clone().into_raw_parts();
        ensure!(request_id == PROBE, "it was answered: {pdu:?}");
        Ok(())
    }

    /// What the engine says of itself (RFC 3414 section 4).
    pub(super) fn discover(&self) -> Result<Engine> {
        let discovery = V3Message::discovery_request(1, MessageSize::new(65_507)?)?.encode()?;
        let (engine, ..) = report(self.exchange(&discovery)?)?;
        Ok(engine)
    }
}

/// A message of version 1 or 2c.
pub(super) fn community(version: Version, community: &str, pdu: Pdu) -> Result<Bytes> {
    let version = if version == Version::V1 { CommunityVersion::V1 } else { CommunityVersion::V2c };
    Ok(CommunityMessage::new(version, community.as_bytes().to_vec(), pdu)?.encode()?)
}

/// The version and PDU of such a message.
pub(super) fn community_answer(message: Bytes) -> Result<(Version, Pdu)> {
    let (version, _, pdu) = CommunityMessage::decode(message, DecodeConfig::default())?.value.into_parts();
    Ok((version, pdu.standard().cloned().context("a trap")?))
}

/// A Get of these names.
pub(super) fn get(version: Version, request_id: i32, oids: &[&str]) -> Result<Pdu> {
    let names: Vec<Oid> = oids.iter().map(|oid| name(oid)).collect::<async_snmp::Result<_>>()?;
    Ok(RequestPdu::get(version, request_id, &names)?.into_raw())
}

/// A GetBulk of one name.
pub(super) fn get_bulk(version: Version, request_id: i32, max_repetitions: u32, oid: &str) -> Result<Pdu> {
    let names = vec![VarBind::null(name(oid)?)];
    Ok(GetBulkPdu::new(version, request_id, 0, max_repetitions, names)?.into_raw())
}

/// A message of version 3 with neither authentication nor privacy, from an asker that takes so many octets.
pub(super) fn unauthenticated(engine: &Engine, user: &str, context: &str, room: usize, pdu: Pdu) -> Result<Bytes> {
    let flags = MsgFlags::new(SecurityLevel::NoAuthNoPriv, true);
    let header = MsgGlobalData::new(1, MessageSize::new(room)?, flags)?;
    let security = UsmSecurityParams::new(engine.id.clone(), engine.boots, engine.time, user.as_bytes().to_vec())?;
    let scoped = ScopedPdu::new(engine.id.clone(), context.as_bytes().to_vec(), pdu);
    Ok(V3Message::new(header, security.encode()?, scoped)?.encode()?)
}

/// The engine and the PDU of a message of version 3 that is not encrypted.
pub(super) fn plain_answer(message: Bytes) -> Result<(Engine, Pdu)> {
    let message = V3Message::decode(message, DecodeConfig::default())?.value;
    let security = UsmSecurityParams::decode(message.security_params().clone(), DecodeConfig::default())?.value;
    let engine =
        Engine { id: security.engine_id().clone(), boots: security.engine_boots(), time: security.engine_time() };
    let V3MessageData::Plaintext(scoped) = message.data() else { bail!("an encrypted message") };
    Ok((engine, scoped.pdu.clone()))
}

/// The engine, and the counter with its value, of a Report.
pub(super) fn report(message: Bytes) -> Result<(Engine, String, u32)> {
    let (engine, pdu) = plain_answer(message)?;
    ensure!(pdu.pdu_type() == PduType::Report, "{pdu:?}, not a Report");
    match pdu.varbinds() {
        [VarBind { oid, value: async_snmp::Value::Counter32(count), .. }] => Ok((engine, oid.to_string(), *count)),
        other => bail!("a Report of {other:?}"),
    }
}
