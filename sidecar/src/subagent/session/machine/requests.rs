//! The session's own requests to the master, and the master's responses.

use std::time::Instant;

use agentx::{
    AddAgentCaps, Body, ByteOrder, Context, Header, Pdu, Range, Register, RemoveAgentCaps, ResponseError, ResponseRef,
    Unregister,
};

use super::{
    End, IDLE, LIMITS, OUTPUT_FULL, Session, State,
    outstanding::{Outstanding, SubagentRequest},
};
use crate::{
    mapping::Region,
    subagent::session::{
        capabilities::{Capability, CapabilityChange},
        registrations::{Registration, RegistrationChange},
    },
};

/// The most unanswered requests at a time.
const WINDOW: usize = 64;

impl Session {
    /// Returns whether another request may be sent now.
    pub(super) fn can_send(&self) -> bool {
        matches!(self.state, State::Open { .. })
            && self.outstanding.len() < WINDOW
            && self.output.pending().len() < OUTPUT_FULL
    }

    /// Sends the next requests: changes of capabilities, then changes of registrations; a Ping if there are none and the
    /// master has been silent.
    pub(super) fn send_requests(&mut self, now: Instant) {
        while self.can_send() {
            if let Some(change) = self.capabilities.next() {
                let (context, body, request) = match change {
                    CapabilityChange::Add(capability, description, number) => {
                        let Capability { context, id } = capability.clone();
                        let body = Body::AddAgentCaps(AddAgentCaps { id, description: description.into_bytes() });
                        (context, body, SubagentRequest::AddCapability(capability, number))
                    }
                    CapabilityChange::Remove(Capability { context, id }, _) => {
                        (context, Body::RemoveAgentCaps(RemoveAgentCaps { id }), SubagentRequest::RemoveCapability)
                    }
                };
                self.send_request(context.as_str().into(), body, request, now);
                continue;
            }
            let Some(change) = self.registrations.next(now) else { break };
            self.revision += 1;
            let context = |registration: &Registration| registration.context.as_str().into();
            match change {
                RegistrationChange::Register(wanted) => {
                    self.send_request(
                        context(&wanted),
                        register(&wanted.region),
                        SubagentRequest::Register(wanted),
                        now,
                    );
                }
                RegistrationChange::Unregister(gone) => {
                    self.send_request(context(&gone), unregister(&gone.region), SubagentRequest::Unregister(gone), now);
                }
            }
        }
        if self.can_send() && self.outstanding.is_empty() && now >= self.last_heard + IDLE {
            self.send_request(Context::default(), Body::Ping, SubagentRequest::Ping, now);
        }
    }

    /// Sends a request and records it until the master responds.
    pub(super) fn send_request(&mut self, context: Context, body: Body, request: SubagentRequest, now: Instant) {
        self.packet_id = self.packet_id.wrapping_add(1);
        let packet_id = self.packet_id;
        let header = Header { byte_order: ByteOrder::Big, session_id: self.id, transaction_id: packet_id, packet_id };
        match agentx::encode(&Pdu { header, context, body }, self.output.buf()) {
            Ok(()) => self.outstanding.push_back(Outstanding { packet_id, sent: now, request }),
            // A PDU that cannot be encoded (a range outside its subtree) counts as refused.
            Err(_) => self.handle_response(request, ResponseError::ProcessingError, self.id, now),
        }
    }

    pub(super) fn receive_response(&mut self, header: Header, frame: &[u8], now: Instant) {
        let error = ResponseRef::parse(frame, &LIMITS).map_or_else(
            |_| {
                self.counters.decode_errors.one();
                ResponseError::ParseError
            },
            |response| response.error,
        );
        let position = self.outstanding.iter().position(|outstanding| outstanding.packet_id == header.packet_id);
        match position.and_then(|position| self.outstanding.remove(position)) {
            Some(Outstanding { request, .. }) => self.handle_response(request, error, header.session_id, now),
            None => self.counters.unexpected.one(),
        }
    }

    pub(super) fn handle_response(
        &mut self,
        request: SubagentRequest,
        error: ResponseError,
        session_id: u32,
        now: Instant,
    ) {
        match (request, error) {
            (SubagentRequest::Open, ResponseError::NoError) => {
                self.id = session_id;
                self.state = State::Open { since: now };
            }
            (SubagentRequest::Open, error) => self.end(End::Refused(error)),
            (SubagentRequest::Close, _) => self.end(End::Shutdown),
            (_, ResponseError::NotOpen) => self.end(End::Unknown),
            (SubagentRequest::Register(registration), error) => {
                if !matches!(error, ResponseError::NoError | ResponseError::DuplicateRegistration) {
                    self.counters.refusals.one();
                }
                if error == ResponseError::NoError {
                    self.capabilities.registered(&registration.context, &registration.region.subtree);
                }
                self.registrations.register_answered(registration, error, now, &mut self.jitter);
            }
            (SubagentRequest::Unregister(registration), _) => self.registrations.unregister_answered(registration),
            (SubagentRequest::AddCapability(capability, number), error) if error != ResponseError::NoError => {
                self.counters.refusals.one();
                self.capabilities.add_answered(&capability, number, error);
            }
            (SubagentRequest::RemoveCapability, error) if error != ResponseError::NoError => {
                self.counters.refusals.one();
            }
            (SubagentRequest::AddCapability(..) | SubagentRequest::RemoveCapability | SubagentRequest::Ping, _) => {
                return;
            }
        }
        self.revision += 1;
    }
}

fn range(region: &Region) -> Option<Range> {
    region.range.map(|(position, upper_bound)| Range { position, upper_bound })
}

/// Returns a Register PDU with the default priority. A better priority would take the region from the pod that holds it, and
/// values would jump between pods.
fn register(region: &Region) -> Body {
    Body::Register(Register {
        timeout_s: 0,
        priority: Register::DEFAULT_PRIORITY,
        subtree: region.subtree.clone(),
        range: range(region),
        instance: false,
    })
}

fn unregister(region: &Region) -> Body {
    Body::Unregister(Unregister {
        priority: Register::DEFAULT_PRIORITY,
        subtree: region.subtree.clone(),
        range: range(region),
    })
}
