//! What subagents ask of the master (RFC 2741 section 7.1).

use std::time::Instant;

use agentx::{
    Body, CloseReason, Context, FrameHeader, Header, Open, Pdu, PduType, Register, Response, ResponseError, Unregister,
    VarBind, decode, encode,
};

use super::{ConnectionId, Dispatcher, session::Session};
use crate::{
    authority::{Act, Denial, is_notification},
    index_allocation,
    own_objects::OwnObjects,
    registry::{Registration, SessionId},
    time_ticks::time_ticks,
};

/// Octets that are kept of a session's description, a DisplayString (RFC 2741 section 6.2.1).
const DESCRIPTION_OCTETS: usize = 255;
/// How much that was denied the log is told of in a second.
const DENIALS_TOLD: u32 = 10;

/// What a PDU is answered with: the varbinds of those that have some, or what is wrong.
type Done = Result<Vec<VarBind>, Failure>;

/// What is wrong, and with which varbind, from 1; 0: none.
struct Failure {
    error: ResponseError,
    index: u16,
}

impl From<ResponseError> for Failure {
    fn from(error: ResponseError) -> Self {
        Self { error, index: 0 }
    }
}

impl<O: OwnObjects> Dispatcher<O> {
    /// Does what a PDU other than a Response asks for, and answers it.
    pub(super) fn administer(&mut self, connection: ConnectionId, header: FrameHeader, frame: &[u8], now: Instant) {
        let FrameHeader { mut header, pdu_type, .. } = header;
        let is_known = self.sessions.of(connection, SessionId(header.session_id)).is_some();
        let done = if pdu_type != PduType::Open && !is_known {
            self.totals.not_open += 1;
            Err(ResponseError::NotOpen.into())
        } else {
            match decode(frame, &self.pdu_limits) {
                Ok(pdu) => self.act(connection, &mut header, pdu, now),
                Err(error) => {
                    tracing::debug!(session = header.session_id, %error, "a PDU does not parse");
                    self.totals.pdus_refused += 1;
                    Err(ResponseError::ParseError.into())
                }
            }
        };
        // It has no response (RFC 2741 section 6.2.9).
        if pdu_type != PduType::CleanupSet {
            self.respond(connection, header, done, now);
        }
    }

    fn act(&mut self, connection: ConnectionId, header: &mut Header, pdu: Pdu, now: Instant) -> Done {
        let (session, context) = (SessionId(header.session_id), pdu.context.0);
        match pdu.body {
            Body::Open(open) => {
                header.session_id = self.open(connection, header, open, now)?.0;
            }
            Body::Close(_) => {
                self.totals.sessions_closed += 1;
                self.end_sessions(&[session], now);
            }
            Body::Register(register) => self.register(connection, session, &context, register, now)?,
            Body::Unregister(Unregister { priority, subtree, range }) => {
                if !self.withdrawn.unregister(session, &context, priority, &subtree, range) {
                    self.may(connection, Act::Refer { context: &context }, now)?;
                    let unregistered = self.registry.unregister(&context, session, priority, &subtree, range);
                    unregistered.map_err(ResponseError::from)?;
                }
            }
            Body::Ping => self.may(connection, Act::Refer { context: &context }, now)?,
            Body::Notify(varbinds) => self.notify(connection, &context, &varbinds, now)?,
            Body::IndexAllocate(request) => {
                self.may(connection, Act::AllocateIndexes { context: &context, varbinds: &request.varbinds }, now)?;
                return self.indexes.allocate(&context, session, &request).map_err(|refused| self.refuse(refused));
            }
            Body::IndexDeallocate(varbinds) => {
                self.may(connection, Act::Refer { context: &context }, now)?;
                let deallocated = self.indexes.deallocate(&context, session, &varbinds);
                return deallocated.map(|()| varbinds).map_err(|refused| self.refuse(refused));
            }
            Body::AddAgentCaps(capabilities) => {
                self.may(connection, Act::AddCapabilities { context: &context, id: &capabilities.id }, now)?;
                let added = self.capabilities.add(&context, session, capabilities, now);
                added.map_err(ResponseError::from)?;
            }
            Body::RemoveAgentCaps(capabilities) => {
                if !self.withdrawn.remove_capability(session, &context, &capabilities.id) {
                    self.may(connection, Act::Refer { context: &context }, now)?;
                    let removed = self.capabilities.remove(&context, session, &capabilities.id, now);
                    removed.map_err(ResponseError::from)?;
                }
            }
            Body::Get(_)
            | Body::GetNext(_)
            | Body::GetBulk(_)
            | Body::TestSet(_)
            | Body::CommitSet
            | Body::UndoSet
            | Body::CleanupSet
            | Body::Response(_) => {
                self.totals.pdus_refused += 1;
                return Err(ResponseError::ProcessingError.into());
            }
        }
        Ok(Vec::new())
    }

    fn refuse(&mut self, index_allocation::Refused { index, reason }: index_allocation::Refused) -> Failure {
        tracing::debug!(index, %reason, "index values are refused");
        self.totals.indexes_refused += 1;
        Failure { error: reason.into(), index }
    }

    fn open(
        &mut self,
        connection: ConnectionId,
        header: &Header,
        mut open: Open,
        now: Instant,
    ) -> Result<SessionId, ResponseError> {
        self.may(connection, Act::Open, now)?;
        let on_connection = self.connections.get(connection).map_or(0, |connection| connection.sessions.len());
        let member = self.connections.get(connection).and_then(|connection| connection.peer.identity()).cloned();
        let of_namespace = member.as_ref().map_or(0, |member| self.tenants.sessions(&member.namespace));
        let is_over = |count: usize, limit: u32| usize::try_from(limit).is_ok_and(|limit| count >= limit);
        if is_over(self.sessions.len(), self.limits.sessions)
            || is_over(on_connection, self.limits.sessions_per_connection)
            || is_over(of_namespace, self.limits.sessions_per_namespace)
        {
            self.totals.opens_refused += 1;
            return Err(ResponseError::OpenFailed);
        }
        open.description.truncate(DESCRIPTION_OCTETS);
        let description = String::from_utf8_lossy(&open.description).into_owned();
        if let Some(member) = &member {
            self.tenants.opened(&member.namespace);
        }
        let id = self.sessions.add(Session::new(connection, member, header.byte_order, open, now));
        if let Some(connection) = self.connections.get_mut(connection) {
            connection.sessions.push(id);
            tracing::info!(session = id.0, peer = %connection.peer, description, "a session is open");
        }
        self.totals.sessions_opened += 1;
        Ok(id)
    }

    fn register(
        &mut self,
        connection: ConnectionId,
        session: SessionId,
        context: &[u8],
        register: Register,
        now: Instant,
    ) -> Result<(), ResponseError> {
        let Register { timeout_s, priority, subtree, range, instance } = register;
        self.may(connection, Act::Register { context, subtree: &subtree, range }, now)?;
        let member = self.sessions.get(session).and_then(|session| session.member.clone());
        let registration = Registration { session, subtree, range, priority, timeout_s, instance, member };
        self.registry.register(context, registration).map_err(|refused| {
            tracing::debug!(session = session.0, %refused, "a registration is refused");
            self.totals.registrations_refused += 1;
            ResponseError::from(refused)
        })
    }

    fn notify(
        &mut self,
        connection: ConnectionId,
        context: &[u8],
        varbinds: &[VarBind],
        now: Instant,
    ) -> Result<(), ResponseError> {
        if !is_notification(varbinds) {
            self.totals.notifications_refused += 1;
            return Err(ResponseError::ProcessingError);
        }
        self.may(connection, Act::Notify { context, varbinds }, now)?;
        self.totals.notifications += 1;
        Ok(())
    }

    /// Whether the peer may.
    pub(super) fn may(&mut self, connection: ConnectionId, act: Act<'_>, now: Instant) -> Result<(), ResponseError> {
        let Some(connection) = self.connections.get_mut(connection) else { return Err(ResponseError::NotOpen) };
        self.authority.decide(&connection.peer, act).map_err(|denial| {
            connection.denials = connection.denials.saturating_add(1);
            // Neither who goes on asking nor who connects again and again fills the log.
            if connection.denials.is_power_of_two() && self.denials.read_after(now).is_none() {
                self.denials.take(DENIALS_TOLD, now);
                tracing::warn!(peer = %connection.peer, %act, %denial, denials = connection.denials, "denied");
            }
            match denial {
                Denial::Reserved(_) => self.totals.denied_reserved += 1,
                Denial::Context => self.totals.denied_context += 1,
                Denial::Outside(_) => self.totals.denied_outside += 1,
            }
            ResponseError::from(&denial)
        })
    }

    /// Tells a subagent that its session is over.
    pub(super) fn say_close(&mut self, id: SessionId, reason: CloseReason, now: Instant) {
        let packet_id = self.packets.next_id();
        let Some(session) = self.sessions.get(id) else { return };
        let byte_order = session.byte_order;
        let header = Header { byte_order, session_id: id.0, transaction_id: 0, packet_id };
        let pdu = Pdu { header, context: Context::default(), body: Body::Close(reason) };
        self.connections.write(session.connection, now, |buf| encode(&pdu, buf));
    }

    fn respond(&mut self, connection: ConnectionId, header: Header, done: Done, now: Instant) {
        let (Failure { error, index }, varbinds) = match done {
            Ok(varbinds) => (ResponseError::NoError.into(), varbinds),
            Err(failure) => (failure, Vec::new()),
        };
        let sys_up_time = time_ticks(self.started, now);
        let body = Body::Response(Response { sys_up_time, error, index, varbinds });
        let pdu = Pdu { header, context: Context::default(), body };
        self.connections.write(connection, now, |buf| encode(&pdu, buf));
    }
}
