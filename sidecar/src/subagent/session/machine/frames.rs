//! Handling of the PDUs of the master.

use std::time::Instant;

use agentx::{
    Body, CloseReason, FrameHeader, Framer, Header, Pdu, PduType, RequestRef, ResponseEncoder, ResponseError, decode,
};

use super::{End, LIMITS, OUTPUT_FULL, Session, State};
use crate::{
    set::{SetStep, StepResult},
    subagent::session::read_only::ReadOnlyStep,
};

/// The most PDUs of the master that are handled for one input.
const FRAMES_PER_INPUT: usize = 64;

impl Session {
    /// Handles the PDUs that have been received.
    pub(super) fn handle_frames(&mut self, now: Instant) {
        if matches!(self.state, State::Ended(_)) {
            return;
        }
        // A frame borrows from the framer while the session changes, so the framer is taken out.
        let mut framer = std::mem::replace(&mut self.framer, Framer::new(LIMITS));
        self.behind = true;
        for _ in 0..FRAMES_PER_INPUT {
            if matches!(self.state, State::Ended(_)) || self.output.pending().len() >= OUTPUT_FULL {
                break;
            }
            match framer.next_frame() {
                Ok(Some(frame)) => {
                    self.backlog = self.backlog.saturating_sub(frame.len());
                    self.handle_frame(frame, now);
                }
                Ok(None) => {
                    self.behind = false;
                    break;
                }
                Err(error) => {
                    self.counters.decode_errors.one();
                    self.end(End::Garbage(error));
                }
            }
        }
        self.framer = framer;
    }

    fn handle_frame(&mut self, frame: &[u8], now: Instant) {
        let Ok(FrameHeader { header, pdu_type, .. }) = FrameHeader::parse(frame) else { return };
        let ours = header.session_id == self.id && !matches!(self.state, State::Opening);
        match pdu_type {
            PduType::Response => self.receive_response(header, frame, now),
            // After a Close the master waits for no responses to its earlier requests.
            _ if matches!(self.state, State::Closing { .. }) => {}
            PduType::Close | PduType::CleanupSet if !ours => self.counters.unexpected.one(),
            PduType::Close => self.end(End::Closed(match decode(frame, &LIMITS) {
                Ok(Pdu { body: Body::Close(reason), .. }) => reason,
                _ => CloseReason::Other,
            })),
            _ if !ours => {
                self.counters.unexpected.one();
                self.respond(header, ResponseError::NotOpen, 0);
            }
            PduType::Get | PduType::GetNext | PduType::GetBulk => match RequestRef::parse(frame, &LIMITS) {
                Ok(request) => {
                    self.count_request(header);
                    self.responder.answer(&self.catalogue, &request, self.output.buf(), &self.counters);
                }
                Err(_) => self.refuse_unreadable(header),
            },
            PduType::TestSet | PduType::CommitSet | PduType::UndoSet | PduType::CleanupSet => {
                self.handle_set_step(header, pdu_type, frame, now);
            }
            PduType::Ping => self.respond(header, ResponseError::NoError, 0),
            PduType::Unknown(_) => self.refuse_unreadable(header),
            _ => {
                self.counters.unexpected.one();
                self.respond(header, ResponseError::ProcessingError, 0);
            }
        }
    }

    fn count_request(&mut self, header: Header) {
        self.counters.requests.one();
        if self.recent.record(header.packet_id) {
            self.counters.resends.one();
        }
    }

    fn handle_set_step(&mut self, header: Header, pdu_type: PduType, frame: &[u8], now: Instant) {
        let Ok(Pdu { context, body, .. }) = decode(frame, &LIMITS) else {
            // A CleanupSet has no response, even if it is malformed.
            return match pdu_type {
                PduType::CleanupSet => self.counters.decode_errors.one(),
                _ => self.refuse_unreadable(header),
            };
        };
        self.count_request(header);
        let forwarded = match &body {
            Body::TestSet(varbinds) => self.writable && !varbinds.is_empty(),
            _ => false,
        } || self.forwarded.has_transaction(header);
        let result = if forwarded {
            let step = match body {
                Body::TestSet(varbinds) => SetStep::Test { context: context.0, varbinds },
                Body::CommitSet => SetStep::Commit,
                Body::UndoSet => SetStep::Undo,
                _ => SetStep::Cleanup,
            };
            self.forwarded.forward(header, step, now)
        } else {
            let step = match body {
                Body::TestSet(varbinds) => ReadOnlyStep::Test(varbinds.len()),
                Body::CommitSet => ReadOnlyStep::Commit,
                Body::UndoSet => ReadOnlyStep::Undo,
                _ => ReadOnlyStep::Cleanup,
            };
            self.read_only.handle(header, step)
        };
        if let Some(result) = result {
            self.respond_to_step(header, result);
        }
    }

    /// Sends the response to a step of a SET.
    pub(super) fn respond_to_step(&mut self, header: Header, result: StepResult) {
        if matches!(self.state, State::Open { .. }) {
            self.respond(header, result.error, result.index);
            self.counters.answers.one();
        }
    }

    /// Responds to a PDU of which only the header could be decoded (RFC 2741 section 7.1).
    fn refuse_unreadable(&mut self, header: Header) {
        self.counters.decode_errors.one();
        self.respond(header, ResponseError::ParseError, 0);
    }

    fn respond(&mut self, header: Header, error: ResponseError, index: u16) {
        // A Response without varbinds is shorter than any limit.
        _ = ResponseEncoder::begin(self.output.buf(), header, 0).finish(error, index);
    }
}
