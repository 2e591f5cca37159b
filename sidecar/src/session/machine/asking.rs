//! What a session asks of its master, and the answers.

use std::time::Instant;

use agentx::{
    AddAgentCaps, Body, ByteOrder, Context, Header, Pdu, Range, Register, RemoveAgentCaps, ResponseError, ResponseRef,
    Unregister,
};

use super::{IDLE, LIMITS, OUTPUT_FULL, Session, State};
use crate::{
    mapping::Region,
    session::{Capability, Command, Declaration, End, Number, Registration},
};

/// How many PDUs of ours may be unanswered at a time.
const WINDOW: usize = 64;

/// A PDU of ours that the master has not answered.
#[derive(Debug)]
pub(super) struct Awaited {
    pub(super) packet_id: u32,
    pub(super) sent: Instant,
    pub(super) asked: Asked,
}

/// What it was.
#[derive(Debug)]
pub(super) enum Asked {
    Open,
    Register(Registration),
    Unregister(Registration),
    AddCapability(Capability, Number),
    RemoveCapability,
    Ping,
    Close,
}

impl Session {
    /// Whether another PDU of ours may be sent now.
    pub(super) fn may_ask(&self) -> bool {
        matches!(self.state, State::Open { .. })
            && self.awaited.len() < WINDOW
            && self.output.pending().len() < OUTPUT_FULL
    }

    /// Sends what is to be told: capabilities, what is no longer wanted, what is; a Ping if there is nothing else.
    pub(super) fn send_commands(&mut self, now: Instant) {
        while self.may_ask() {
            if let Some(declaration) = self.capabilities.take() {
                let (context, body, asked) = match declaration {
                    Declaration::Add(capability, description, number) => {
                        let Capability { context, id } = capability.clone();
                        let body = Body::AddAgentCaps(AddAgentCaps { id, description: description.into_bytes() });
                        (context, body, Asked::AddCapability(capability, number))
                    }
                    Declaration::Remove(Capability { context, id }, _) => {
                        (context, Body::RemoveAgentCaps(RemoveAgentCaps { id }), Asked::RemoveCapability)
                    }
                };
                self.ask(context.as_str().into(), body, asked, now);
                continue;
            }
            let Some(command) = self.registrations.next(now) else { break };
            self.revision += 1;
            let context = |registration: &Registration| registration.context.as_str().into();
            match command {
                Command::Register(wanted) => {
                    self.ask(context(&wanted), register(&wanted.region), Asked::Register(wanted), now);
                }
                Command::Unregister(gone) => {
                    self.ask(context(&gone), unregister(&gone.region), Asked::Unregister(gone), now);
                }
            }
        }
        if self.may_ask() && self.awaited.is_empty() && now >= self.last_heard + IDLE {
            self.ask(Context::default(), Body::Ping, Asked::Ping, now);
        }
    }

    /// Sends a PDU of ours, and remembers it until it is answered.
    pub(super) fn ask(&mut self, context: Context, body: Body, asked: Asked, now: Instant) {
        self.packet_id = self.packet_id.wrapping_add(1);
        let packet_id = self.packet_id;
        let header = Header { byte_order: ByteOrder::Big, session_id: self.id, transaction_id: packet_id, packet_id };
        match agentx::encode(&Pdu { header, context, body }, self.output.buf()) {
            Ok(()) => self.awaited.push_back(Awaited { packet_id, sent: now, asked }),
            // What cannot even be written (a range outside its subtree) is as good as refused.
            Err(_) => self.answered(asked, ResponseError::ProcessingError, self.id, now),
        }
    }

    pub(super) fn take_response(&mut self, header: Header, frame: &[u8], now: Instant) {
        let error = ResponseRef::parse(frame, &LIMITS).map_or_else(
            |_| {
                self.counters.decode_errors.one();
                ResponseError::ParseError
            },
            |response| response.error,
        );
        let position = self.awaited.iter().position(|awaited| awaited.packet_id == header.packet_id);
        match position.and_then(|position| self.awaited.remove(position)) {
            Some(Awaited { asked, .. }) => self.answered(asked, error, header.session_id, now),
            None => self.counters.unexpected.one(),
        }
    }

    pub(super) fn answered(&mut self, asked: Asked, error: ResponseError, session_id: u32, now: Instant) {
        match (asked, error) {
            (Asked::Open, ResponseError::NoError) => {
                self.id = session_id;
                self.state = State::Open { since: now };
            }
            (Asked::Open, error) => self.end(End::Refused(error)),
            (Asked::Close, _) => self.end(End::Shutdown),
            (_, ResponseError::NotOpen) => self.end(End::Unknown),
            (Asked::Register(registration), error) => {
                if !matches!(error, ResponseError::NoError | ResponseError::DuplicateRegistration) {
                    self.counters.refusals.one();
                }
                if error == ResponseError::NoError {
                    self.capabilities.region_taken(&registration.context, &registration.region.subtree);
                }
                self.registrations.register_answered(registration, error, now, &mut self.jitter);
            }
            (Asked::Unregister(registration), _) => self.registrations.unregister_answered(registration),
            (Asked::AddCapability(capability, number), error) if error != ResponseError::NoError => {
                self.counters.refusals.one();
                self.capabilities.add_answered(&capability, number, error);
            }
            (Asked::RemoveCapability, error) if error != ResponseError::NoError => self.counters.refusals.one(),
            (Asked::AddCapability(..) | Asked::RemoveCapability | Asked::Ping, _) => return,
        }
        self.revision += 1;
    }
}

fn range(region: &Region) -> Option<Range> {
    region.range.map(|(position, upper_bound)| Range { position, upper_bound })
}

/// Always at the default priority: a better one would take the region from the pod that holds it, and values would
/// jump between pods.
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
