//! The engine: a datagram in, a request or a reply out; an answer in, a datagram out.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use agentx::ResponseError;
use arc_swap::ArcSwap;
use async_snmp::v3::compute_engine_boots_time;

use super::{
    access::Access,
    community,
    exchange::{Dropped, Envelope, Exchange, Known, Refusal},
    fault::Fault,
    message::{Pdu, Version, room},
    pending::{Pending, Refused},
    response::Verdict,
    tlv::Elements,
    usm::Usm,
};
use crate::{
    ber::tag,
    dispatch::{Answer, Request, Token},
    statistics::Statistics,
    varbind_list::VarBindList,
};

/// Where a datagram came from, and where its answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source {
    /// Whose it is.
    pub address: SocketAddr,
    /// Which of the listeners got it, and is to send the answer.
    pub listener: usize,
    /// To which address of ours it came, and the answer leaves from, where the listener is bound to all of them.
    pub local: Option<IpAddr>,
}

/// A datagram to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram {
    /// To whom.
    pub to: Source,
    /// Its octets.
    pub octets: Vec<u8>,
}

/// What comes of a datagram.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// To be asked of whoever serves the objects; the answer goes to [`Engine::answer`].
    Request(Request),
    /// To be sent at once.
    Reply(Datagram),
    /// It was dropped, and counted.
    Nothing,
}

/// Who this engine is to others (RFC 3411 section 3.1.1), as it is kept on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineIdentity {
    /// snmpEngineID: 5 to 32 octets, never another's, and the same for good.
    pub engine_id: Vec<u8>,
    /// snmpEngineBoots: how often it has started, this time included; from 1 to 2³¹ − 1.
    pub boots: u32,
}

impl EngineIdentity {
    /// snmpEngineBoots and snmpEngineTime, in seconds, of an engine that started at `started`.
    pub(super) fn boots_and_time(&self, started: Instant, now: Instant) -> (u32, u32) {
        compute_engine_boots_time(self.boots, now.saturating_duration_since(started).as_secs())
    }
}

/// The engine.
#[derive(Debug)]
pub struct Engine {
    access: Arc<ArcSwap<Access>>,
    statistics: Arc<Statistics>,
    pending: Pending,
    usm: Usm,
    warned: Option<Instant>,
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// An snmpEngineID of another length, or of zeros or ones alone (RFC 3411 section 5).
    #[error("{0:02x?} cannot be an snmpEngineID: that is 5 to 32 octets, not all 0 and not all 255")]
    EngineId(Vec<u8>),
    /// Another snmpEngineBoots (RFC 3414 section 2.2.2).
    #[error("{0} cannot be snmpEngineBoots: that is from 1 to 2147483647")]
    Boots(u32),
    /// The system has no random octets.
    #[error(transparent)]
    Random(Box<async_snmp::Error>),
}

impl Engine {
    /// How often failed attempts are logged as a warning, at most.
    const WARNINGS: Duration = Duration::from_secs(10);

    /// An engine that nothing was asked of yet, and that started at `started`.
    ///
    /// # Errors
    /// An identity that no engine can have.
    pub fn new(
        identity: EngineIdentity,
        access: Arc<ArcSwap<Access>>,
        statistics: Arc<Statistics>,
        started: Instant,
    ) -> Result<Self, EngineError> {
        let usm = Usm::new(identity, started)?;
        Ok(Self { access, statistics, pending: Pending::default(), usm, warned: None })
    }

    /// The same in the place of an engine whose last request had this token. What it was asked is not answered any more,
    /// and never taken for an answer to this one's.
    #[must_use]
    pub fn after(mut self, last: Token) -> Self {
        self.pending = Pending::after(last);
        self
    }

    /// The token of the last request.
    pub fn last_token(&self) -> Token {
        self.pending.last()
    }

    /// Takes a datagram.
    pub fn receive(&mut self, from: Source, datagram: &[u8], now: Instant) -> Received {
        self.statistics.in_packets.increment();
        let access = self.access.load_full();
        let known = self.read(&access, from, datagram, now);
        let received = known.and_then(|known| Ok(self.take_on(&access, known, now)?));
        received.unwrap_or_else(|refusal| match refusal {
            Refusal::Dropped(dropped) => {
                self.count_dropped(dropped, from, now);
                Received::Nothing
            }
            Refusal::Fault(fault, report) => self.report(fault, report, from, now),
        })
    }

    /// Takes the answer to a request. `None` where there is nothing to send: no request was of that token, or not even
    /// an error fits into a message.
    pub fn answer(&mut self, answer: Answer, now: Instant) -> Option<Datagram> {
        let Answer { token, result } = answer;
        let (exchange, began) = self.pending.end(token)?;
        self.statistics.latency.observe(now.saturating_duration_since(began));
        self.respond(&exchange, &result, now)
    }

    /// How many requests are being answered.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Finds who asks for what.
    fn read(&self, access: &Access, from: Source, datagram: &[u8], now: Instant) -> Result<Known, Refusal> {
        if datagram.len() > access.message_octets() {
            return Err(Dropped::TooLong.into());
        }
        let mut outer = Elements(datagram);
        let mut message = Elements(outer.expect(tag::SEQUENCE).ok_or(Dropped::Malformed)?);
        outer.end().ok_or(Dropped::Malformed)?;
        let version = message.integer().ok_or(Dropped::Malformed)?;
        match Version::from_wire(version).ok_or(Dropped::BadVersion)? {
            Version::V3 => self.usm.read(access, from, datagram, now),
            version => Ok(community::read(access, from, version, message)?),
        }
    }

    /// Takes on what a known asker asks for.
    fn take_on(&mut self, access: &Access, known: Known, now: Instant) -> Result<Received, Dropped> {
        let Known { identity, context, operation, exchange } = known;
        let version = exchange.envelope.version();
        let operation = match operation {
            Ok(operation) => operation,
            Err(refused) => {
                self.statistics.requests.of(version).increment();
                if refused.0 == ResponseError::NoAccess && version != Version::V3 {
                    self.statistics.bad_community_uses.increment();
                }
                let reply = self.respond(&exchange, &Err(refused), now);
                return Ok(reply.map_or(Received::Nothing, Received::Reply));
            }
        };
        let room = self.room(&exchange, now);
        let token =
            self.pending.begin(identity, exchange, access.requests(), now).map_err(|refused| match refused {
                Refused::Duplicate => Dropped::Duplicate,
                Refused::OverLimit => Dropped::OverLimit,
            })?;
        self.statistics.requests.of(version).increment();
        let without_counter64 = version == Version::V1;
        Ok(Received::Request(Request { token, context, operation, room, without_counter64 }))
    }

    /// How many octets of variable bindings an answer without an error can hold.
    fn room(&self, exchange: &Exchange, now: Instant) -> usize {
        let pdu = Verdict::NO_ERROR.pdu(exchange.request_id, &[]);
        // In SNMPv3 the answer tells its time, which may be longer by an octet by then.
        let latest = now + Pending::LONGEST;
        room(exchange.limit, |varbinds| self.message_len(&exchange.envelope, pdu.len_with(varbinds), latest))
    }

    fn message_len(&self, envelope: &Envelope, pdu: usize, at: Instant) -> usize {
        match envelope {
            Envelope::Community(envelope) => envelope.message_len(pdu),
            Envelope::User(envelope) => self.usm.message_len(envelope, pdu, at),
        }
    }

    /// The Response to a request (RFC 3416 section 4.2). Where it is too long, it says tooBig; where that is too long
    /// as well, there is none.
    fn respond(
        &mut self,
        exchange: &Exchange,
        result: &Result<VarBindList, (ResponseError, u32)>,
        now: Instant,
    ) -> Option<Datagram> {
        let version = exchange.envelope.version();
        let verdict = Verdict::new(version, result);
        let varbinds = match result {
            Ok(varbinds) if verdict.error == ResponseError::NoError => varbinds.octets(),
            _ => &exchange.varbinds[..],
        };
        // RFC 1157 section 4.1.2 has the request's own in it, RFC 3416 section 4.2.1 none.
        let alternate = if version == Version::V1 { &exchange.varbinds[..] } else { &[] };
        let responses = [(verdict, varbinds), (Verdict::TOO_BIG, alternate)];
        for (verdict, varbinds) in responses.into_iter().skip(usize::from(verdict == Verdict::TOO_BIG)) {
            if let Some(octets) = self.seal(exchange, &verdict.pdu(exchange.request_id, varbinds), now) {
                let Statistics { answers, errors, .. } = &*self.statistics;
                let counters = if verdict == Verdict::NO_ERROR { answers } else { errors };
                counters.of(version).increment();
                return Some(Datagram { to: exchange.from, octets });
            }
        }
        self.statistics.silent_drops.increment();
        None
    }

    /// Says what is wrong with a message of SNMPv3.
    fn report(&mut self, fault: Fault, report: Option<Box<Exchange>>, from: Source, now: Instant) -> Received {
        tracing::debug!(from = %from.address, ?fault, "a message is refused");
        fault.counter(&self.statistics).increment();
        if fault.is_failed_attempt() {
            self.count_failed_attempt(from, now);
        }
        let Some(exchange) = report else { return Received::Nothing };
        let varbinds = fault.varbinds(&self.statistics);
        let pdu = Pdu {
            tag: tag::REPORT,
            request_id: exchange.request_id,
            error_status: 0,
            error_index: 0,
            varbinds: varbinds.octets(),
        };
        let Some(octets) = self.seal(&exchange, &pdu, now) else { return Received::Nothing };
        self.statistics.reports.increment();
        Received::Reply(Datagram { to: from, octets })
    }

    /// The message with this PDU in it; `None` if it is too long.
    fn seal(&mut self, exchange: &Exchange, pdu: &Pdu<'_>, now: Instant) -> Option<Vec<u8>> {
        if self.message_len(&exchange.envelope, pdu.len(), now) > exchange.limit {
            return None;
        }
        match &exchange.envelope {
            Envelope::Community(envelope) => Some(envelope.seal(pdu)),
            Envelope::User(envelope) => self.usm.seal(envelope, pdu, now),
        }
    }

    fn count_dropped(&mut self, dropped: Dropped, from: Source, now: Instant) {
        tracing::debug!(from = %from.address, ?dropped, "a datagram is dropped");
        let counter = match dropped {
            Dropped::TooLong => &self.statistics.too_long,
            Dropped::Malformed => &self.statistics.asn_parse_errors,
            Dropped::BadVersion => &self.statistics.bad_versions,
            Dropped::BadCommunity => &self.statistics.bad_community_names,
            Dropped::UnknownSecurityModel => &self.statistics.unknown_security_models,
            Dropped::InvalidFlags => &self.statistics.invalid_messages,
            Dropped::Unexpected => &self.statistics.unexpected_pdus,
            Dropped::Duplicate => &self.statistics.duplicates,
            Dropped::OverLimit => &self.statistics.over_limit,
        };
        counter.increment();
        if dropped == Dropped::BadCommunity {
            self.count_failed_attempt(from, now);
        }
    }

    /// Counts that someone failed to say who he is. Whoever floods the engine does not flood its log.
    fn count_failed_attempt(&mut self, from: Source, now: Instant) {
        let attempts = &self.statistics.failed_attempts;
        attempts.count(from.address.ip().to_canonical());
        if self.warned.is_none_or(|warned| now.saturating_duration_since(warned) >= Self::WARNINGS) {
            self.warned = Some(now);
            tracing::warn!(from = %from.address, attempts = attempts.all(), "failed attempts at authentication");
        }
    }
}
