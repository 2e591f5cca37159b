//! Requests of subagents to the master (RFC 2741 section 7.1).

use std::time::Instant;

use agentx::{
    Body, CloseReason, Context, FrameHeader, Header, Open, Pdu, PduType, Register, Response, ResponseError, Unregister,
    VarBind, decode, encode,
};

use super::{Dispatcher, connection::ConnectionId, session::Session};
use crate::{
    pdu::{own_objects::OwnObjects, time_ticks::time_ticks},
    subagents::{
        authority::{Action, Denial, is_notification},
        index_allocation::AllocationError,
        registry::{Registration, SessionId},
    },
};

/// The maximum length of a session's description in octets, a DisplayString (RFC 2741 section 6.2.1). Longer ones are
/// truncated.
const MAX_DESCRIPTION_OCTETS: usize = 255;
/// The maximum rate of logged denials.
const DENIAL_LOGS_PER_SECOND: u32 = 10;

/// The result of a PDU: the varbinds of its Response, or an error.
type PduResult = Result<Vec<VarBind>, PduError>;

/// The error of a PDU.
struct PduError {
    error: ResponseError,
    /// The varbind that the error concerns, from 1; 0 if it concerns none.
    index: u16,
}

impl From<ResponseError> for PduError {
    fn from(error: ResponseError) -> Self {
        Self { error, index: 0 }
    }
}

impl<O: OwnObjects> Dispatcher<O> {
    /// Executes a PDU other than a Response, and responds to it.
    pub(super) fn administer(&mut self, connection: ConnectionId, header: FrameHeader, frame: &[u8], now: Instant) {
        let FrameHeader { mut header, pdu_type, .. } = header;
        let is_open = self.sessions.on_connection(connection, SessionId(header.session_id)).is_some();
        let result = if pdu_type != PduType::Open && !is_open {
            self.totals.not_open += 1;
            Err(ResponseError::NotOpen.into())
        } else {
            match decode(frame, &self.pdu_limits) {
                Ok(pdu) => self.execute(connection, &mut header, pdu, now),
                Err(error) => {
                    tracing::debug!(session = header.session_id, %error, "refused a PDU that cannot be decoded");
                    self.totals.pdus_refused += 1;
                    Err(ResponseError::ParseError.into())
                }
            }
        };
        // A CleanupSet has no response (RFC 2741 section 6.2.9).
        if pdu_type != PduType::CleanupSet {
            self.respond(connection, header, result, now);
        }
    }

    fn execute(&mut self, connection: ConnectionId, header: &mut Header, pdu: Pdu, now: Instant) -> PduResult {
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
                    self.authorize(connection, Action::Refer { context: &context }, now)?;
                    let unregistered = self.registry.unregister(&context, session, priority, &subtree, range);
                    unregistered.map_err(ResponseError::from)?;
                }
            }
            Body::Ping => self.authorize(connection, Action::Refer { context: &context }, now)?,
            Body::Notify(varbinds) => self.notify(connection, &context, &varbinds, now)?,
            Body::IndexAllocate(request) => {
                self.authorize(
                    connection,
                    Action::AllocateIndexes { context: &context, varbinds: &request.varbinds },
                    now,
                )?;
                return self.indexes.allocate(&context, session, &request).map_err(|error| self.index_error(error));
            }
            Body::IndexDeallocate(varbinds) => {
                self.authorize(connection, Action::Refer { context: &context }, now)?;
                let deallocated = self.indexes.deallocate(&context, session, &varbinds);
                return deallocated.map(|()| varbinds).map_err(|error| self.index_error(error));
            }
            Body::AddAgentCaps(capabilities) => {
                self.authorize(connection, Action::AddCapabilities { context: &context, id: &capabilities.id }, now)?;
                let added = self.capabilities.add(&context, session, capabilities, now);
                added.map_err(ResponseError::from)?;
            }
            Body::RemoveAgentCaps(capabilities) => {
                if !self.withdrawn.remove_capability(session, &context, &capabilities.id) {
                    self.authorize(connection, Action::Refer { context: &context }, now)?;
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

    fn index_error(&mut self, AllocationError { index, reason }: AllocationError) -> PduError {
        tracing::debug!(index, %reason, "index allocation or deallocation refused");
        self.totals.indexes_refused += 1;
        PduError { error: reason.into(), index }
    }

    fn open(
        &mut self,
        connection: ConnectionId,
        header: &Header,
        mut open: Open,
        now: Instant,
    ) -> Result<SessionId, ResponseError> {
        self.authorize(connection, Action::Open, now)?;
        let on_connection = self.connections.get(connection).map_or(0, |connection| connection.sessions.len());
        let identity = self.connections.get(connection).and_then(|connection| connection.peer.identity()).cloned();
        let of_namespace = identity.as_ref().map_or(0, |identity| self.namespaces.sessions(&identity.namespace));
        let is_reached = |count: usize, limit: u32| usize::try_from(limit).is_ok_and(|limit| count >= limit);
        if is_reached(self.sessions.len(), self.limits.sessions)
            || is_reached(on_connection, self.limits.sessions_per_connection)
            || is_reached(of_namespace, self.limits.sessions_per_namespace)
        {
            self.totals.opens_refused += 1;
            return Err(ResponseError::OpenFailed);
        }
        open.description.truncate(MAX_DESCRIPTION_OCTETS);
        let description = String::from_utf8_lossy(&open.description).into_owned();
        if let Some(identity) = &identity {
            self.namespaces.session_opened(&identity.namespace);
        }
        let id = self.sessions.add(Session::new(connection, identity, header.byte_order, open, now));
        if let Some(connection) = self.connections.get_mut(connection) {
            connection.sessions.push(id);
            tracing::info!(session = id.0, peer = %connection.peer, description, "AgentX session opened");
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
        self.authorize(connection, Action::Register { context, subtree: &subtree, range }, now)?;
        let member = self.sessions.get(session).and_then(|session| session.identity.clone());
        let registration = Registration { session, subtree, range, priority, timeout_s, instance, member };
        self.registry.register(context, registration).map_err(|error| {
            tracing::debug!(session = session.0, %error, "registration refused");
            self.totals.registrations_refused += 1;
            ResponseError::from(error)
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
        self.authorize(connection, Action::Notify { context, varbinds }, now)?;
        self.totals.notifications += 1;
        Ok(())
    }

    /// Returns an error if the peer is not authorized.
    fn authorize(&mut self, connection: ConnectionId, action: Action<'_>, now: Instant) -> Result<(), ResponseError> {
        let Some(connection) = self.connections.get_mut(connection) else { return Err(ResponseError::NotOpen) };
        self.authority.authorize(&connection.peer, action).map_err(|denial| {
            connection.denials = connection.denials.saturating_add(1);
            // Neither a peer that repeats its requests nor one that keeps reconnecting can fill the log.
            if connection.denials.is_power_of_two() && self.denial_logs.read_after(now).is_none() {
                self.denial_logs.count(DENIAL_LOGS_PER_SECOND, now);
                tracing::warn!(peer = %connection.peer, act = %action, %denial, denials = connection.denials, "denied a PDU of a subagent");
            }
            match denial {
                Denial::Reserved(_) => self.totals.denied_reserved += 1,
                Denial::Context => self.totals.denied_context += 1,
                Denial::Outside(_) => self.totals.denied_outside += 1,
            }
            ResponseError::from(&denial)
        })
    }

    /// Sends a Close PDU to a subagent.
    pub(super) fn send_close(&mut self, id: SessionId, reason: CloseReason, now: Instant) {
        let packet_id = self.packets.next_id();
        let Some(session) = self.sessions.get(id) else { return };
        let byte_order = session.byte_order;
        let header = Header { byte_order, session_id: id.0, transaction_id: 0, packet_id };
        let pdu = Pdu { header, context: Context::default(), body: Body::Close(reason) };
        self.connections.write(session.connection, now, |buf| encode(&pdu, buf));
    }

    fn respond(&mut self, connection: ConnectionId, header: Header, result: PduResult, now: Instant) {
        let (PduError { error, index }, varbinds) = match result {
            Ok(varbinds) => (ResponseError::NoError.into(), varbinds),
            Err(failure) => (failure, Vec::new()),
        };
        let sys_up_time = time_ticks(self.started, now);
        let body = Body::Response(Response { sys_up_time, error, index, varbinds });
        let pdu = Pdu { header, context: Context::default(), body };
        self.connections.write(connection, now, |buf| encode(&pdu, buf));
    }
}
