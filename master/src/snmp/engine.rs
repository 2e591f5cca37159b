//! The SNMP engine: it turns datagrams into requests, and answers into datagrams.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use agentx::ResponseError;
use arc_swap::ArcSwap;

use super::{
    access::Access,
    community,
    datagram::{Datagram, Source},
    engine_identity::{EngineError, EngineIdentity},
    envelope::Envelope,
    exchange::{AuthenticatedRequest, Exchange},
    message::{Pdu, Version, room},
    pending::{PendingError, PendingRequests},
    receive_error::{DropReason, ReceiveError},
    report::ReportReason,
    response::ResponseStatus,
    tlv::Elements,
    usm::Usm,
};
use crate::{
    pdu::{Answer, Request, Token, ber::tag, varbind_list::VarBindList},
    snmp::statistics::Statistics,
};

/// The result of receiving a datagram.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// A request for the dispatcher. Its answer goes to [`Engine::answer`].
    Request(Request),
    /// A datagram to send at once.
    Reply(Datagram),
    /// The datagram was dropped and counted.
    Nothing,
}

/// The SNMP engine. It performs no I/O.
#[derive(Debug)]
pub struct Engine {
    access: Arc<ArcSwap<Access>>,
    statistics: Arc<Statistics>,
    pending: PendingRequests,
    usm: Usm,
    last_warning: Option<Instant>,
}

impl Engine {
    /// The minimum time between two warnings about failed authentication.
    const WARNING_INTERVAL: Duration = Duration::from_secs(10);

    /// Creates an engine that started at `started`.
    ///
    /// # Errors
    /// Returns an error if the identity is invalid, or if the system provides no random octets.
    pub fn new(
        identity: EngineIdentity,
        access: Arc<ArcSwap<Access>>,
        statistics: Arc<Statistics>,
        started: Instant,
    ) -> Result<Self, EngineError> {
        let usm = Usm::new(identity, started)?;
        Ok(Self { access, statistics, pending: PendingRequests::default(), usm, last_warning: None })
    }

    /// Lets the tokens of this engine begin after `last`, the last token of the engine that this one replaces. Answers
    /// to requests of the previous engine are then ignored.
    #[must_use]
    pub(crate) fn with_tokens_after(mut self, last: Token) -> Self {
        self.pending = PendingRequests::after(last);
        self
    }

    /// Returns the token of the last request.
    pub(crate) fn last_token(&self) -> Token {
        self.pending.last_token()
    }

    /// Processes a received datagram.
    pub(crate) fn receive(&mut self, from: Source, datagram: &[u8], now: Instant) -> Received {
        self.statistics.in_packets.increment();
        let access = self.access.load_full();
        let request = self.authenticate(&access, from, datagram, now);
        let received = request.and_then(|request| Ok(self.accept(&access, request, now)?));
        received.unwrap_or_else(|error| match error {
            ReceiveError::Dropped(reason) => {
                self.count_dropped(reason, from, now);
                Received::Nothing
            }
            ReceiveError::Reported(reason, report) => self.report(reason, report, from, now),
        })
    }

    /// Encodes the response to a request. Returns `None` if no request with this token is pending, or if not even an
    /// error fits into a message.
    pub(crate) fn answer(&mut self, answer: Answer, now: Instant) -> Option<Datagram> {
        let Answer { token, result } = answer;
        let (exchange, began) = self.pending.end(token)?;
        self.statistics.latency.observe(now.saturating_duration_since(began));
        self.respond(&exchange, &result, now)
    }

    /// Returns the number of requests that are being answered.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Decodes a message and authenticates its sender.
    fn authenticate(
        &self,
        access: &Access,
        from: Source,
        datagram: &[u8],
        now: Instant,
    ) -> Result<AuthenticatedRequest, ReceiveError> {
        if datagram.len() > access.message_octets() {
            return Err(DropReason::TooLong.into());
        }
        let mut outer = Elements(datagram);
        let mut message = Elements(outer.expect(tag::SEQUENCE).ok_or(DropReason::Malformed)?);
        outer.end().ok_or(DropReason::Malformed)?;
        let version = message.integer().ok_or(DropReason::Malformed)?;
        match Version::from_wire(version).ok_or(DropReason::BadVersion)? {
            Version::V3 => self.usm.process(access, from, datagram, now),
            version => Ok(community::authenticate(access, from, version, message)?),
        }
    }

    /// Adds a request to the pending requests, or answers it at once if its operation is an error.
    fn accept(&mut self, access: &Access, request: AuthenticatedRequest, now: Instant) -> Result<Received, DropReason> {
        let AuthenticatedRequest { key, context, operation, exchange } = request;
        let version = exchange.envelope.version();
        let operation = match operation {
            Ok(operation) => operation,
            Err(error) => {
                self.statistics.requests.of(version).increment();
                if error.0 == ResponseError::NoAccess && version != Version::V3 {
                    self.statistics.bad_community_uses.increment();
                }
                let reply = self.respond(&exchange, &Err(error), now);
                return Ok(reply.map_or(Received::Nothing, Received::Reply));
            }
        };
        let room = self.room(&exchange, now);
        let token = self.pending.begin(key, exchange, access.max_requests(), now).map_err(|error| match error {
            PendingError::Duplicate => DropReason::Duplicate,
            PendingError::OverLimit => DropReason::OverLimit,
        })?;
        self.statistics.requests.of(version).increment();
        let without_counter64 = version == Version::V1;
        Ok(Received::Request(Request { token, context, operation, room, without_counter64 }))
    }

    /// Returns how many octets of varbinds a response without an error can hold.
    fn room(&self, exchange: &Exchange, now: Instant) -> usize {
        let pdu = ResponseStatus::NO_ERROR.pdu(exchange.request_id, &[]);
        // An SNMPv3 response contains the time at which it is sent, whose encoding may be longer by then.
        let latest = now + PendingRequests::MAX_AGE;
        room(exchange.limit, |varbinds| self.message_len(&exchange.envelope, pdu.len_with(varbinds), latest))
    }

    fn message_len(&self, envelope: &Envelope, pdu: usize, at: Instant) -> usize {
        match envelope {
            Envelope::Community(envelope) => envelope.message_len(pdu),
            Envelope::User(envelope) => self.usm.message_len(envelope, pdu, at),
        }
    }

    /// Encodes the Response to a request (RFC 3416 section 4.2). A response that is too long is replaced by tooBig.
    /// Returns `None` if that is too long, too.
    fn respond(
        &mut self,
        exchange: &Exchange,
        result: &Result<VarBindList, (ResponseError, u32)>,
        now: Instant,
    ) -> Option<Datagram> {
        let version = exchange.envelope.version();
        let status = ResponseStatus::new(version, result);
        let varbinds = match result {
            Ok(varbinds) if status.error == ResponseError::NoError => varbinds.octets(),
            _ => &exchange.varbinds[..],
        };
        // tooBig repeats the varbinds of the request in RFC 1157 section 4.1.2, and has none in RFC 3416 section
        // 4.2.1.
        let alternate = if version == Version::V1 { &exchange.varbinds[..] } else { &[] };
        let responses = [(status, varbinds), (ResponseStatus::TOO_BIG, alternate)];
        for (status, varbinds) in responses.into_iter().skip(usize::from(status == ResponseStatus::TOO_BIG)) {
            if let Some(octets) = self.seal(exchange, &status.pdu(exchange.request_id, varbinds), now) {
                let Statistics { answers, errors, .. } = &*self.statistics;
                let counters = if status == ResponseStatus::NO_ERROR { answers } else { errors };
                counters.of(version).increment();
                return Some(Datagram { to: exchange.from, octets });
            }
        }
        self.statistics.silent_drops.increment();
        None
    }

    /// Counts the error of an SNMPv3 message, and encodes its Report if there is one.
    fn report(&mut self, reason: ReportReason, report: Option<Box<Exchange>>, from: Source, now: Instant) -> Received {
        tracing::debug!(from = %from.address, ?reason, "SNMPv3 message rejected");
        reason.counter(&self.statistics).increment();
        if reason.is_authentication_failure() {
            self.count_failed_attempt(from, now);
        }
        let Some(exchange) = report else { return Received::Nothing };
        let varbinds = reason.varbinds(&self.statistics);
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

    /// Encodes the message with this PDU. Returns `None` if it is too long.
    fn seal(&mut self, exchange: &Exchange, pdu: &Pdu<'_>, now: Instant) -> Option<Vec<u8>> {
        if self.message_len(&exchange.envelope, pdu.len(), now) > exchange.limit {
            return None;
        }
        match &exchange.envelope {
            Envelope::Community(envelope) => Some(envelope.seal(pdu)),
            Envelope::User(envelope) => self.usm.seal(envelope, pdu, now),
        }
    }

    fn count_dropped(&mut self, reason: DropReason, from: Source, now: Instant) {
        tracing::debug!(from = %from.address, ?reason, "SNMP datagram dropped");
        let counter = match reason {
            DropReason::TooLong => &self.statistics.too_long,
            DropReason::Malformed => &self.statistics.asn_parse_errors,
            DropReason::BadVersion => &self.statistics.bad_versions,
            DropReason::BadCommunity => &self.statistics.bad_community_names,
            DropReason::UnknownSecurityModel => &self.statistics.unknown_security_models,
            DropReason::InvalidFlags => &self.statistics.invalid_messages,
            DropReason::UnexpectedPdu => &self.statistics.unexpected_pdus,
            DropReason::Duplicate => &self.statistics.duplicates,
            DropReason::OverLimit => &self.statistics.over_limit,
        };
        counter.increment();
        if reason == DropReason::BadCommunity {
            self.count_failed_attempt(from, now);
        }
    }

    /// Counts a failed authentication. Warnings are rate-limited, so that a flood of requests does not flood the log.
    fn count_failed_attempt(&mut self, from: Source, now: Instant) {
        let attempts = &self.statistics.failed_attempts;
        attempts.count(from.address.ip().to_canonical());
        if self.last_warning.is_none_or(|last| now.saturating_duration_since(last) >= Self::WARNING_INTERVAL) {
            self.last_warning = Some(now);
            tracing::warn!(
                from = %from.address,
                attempts = attempts.all(),
                "SNMP authentication failed: unknown community or user, or wrong digest; \
                 `attempts` counts all failures since the start"
            );
        }
    }
}
