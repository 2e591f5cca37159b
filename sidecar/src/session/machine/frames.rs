//! What a master sends: each PDU taken from the stream, and answered.

use std::time::Instant;

use agentx::{
    Body, CloseReason, FrameHeader, Framer, Header, Pdu, PduType, RequestRef, ResponseEncoder, ResponseError, decode,
};

use super::{LIMITS, OUTPUT_FULL, Session, State};
use crate::{
    session::{End, Step, Verdict},
    write::Doing,
};

/// How many PDUs of the master are handled in one step.
const FRAMES_PER_STEP: usize = 64;

/// The packetIDs of the last requests.
#[derive(Debug, Default)]
pub(super) struct Recent {
    ids: [Option<u32>; 16],
    next: usize,
}

impl Recent {
    /// Whether it was there already; it is then.
    fn repeats(&mut self, packet_id: u32) -> bool {
        if self.ids.contains(&Some(packet_id)) {
            return true;
        }
        if let Some(id) = self.ids.get_mut(self.next) {
            *id = Some(packet_id);
        }
        self.next = (self.next + 1) % self.ids.len();
        false
    }
}

impl Session {
    pub(super) fn take_frames(&mut self, now: Instant) {
        if matches!(self.state, State::Ended(_)) {
            return;
        }
        // The framer is set aside, as a frame borrows from it while the session changes.
        let mut framer = std::mem::replace(&mut self.framer, Framer::new(LIMITS));
        self.behind = true;
        for _ in 0..FRAMES_PER_STEP {
            if matches!(self.state, State::Ended(_)) || self.output.pending().len() >= OUTPUT_FULL {
                break;
            }
            match framer.next_frame() {
                Ok(Some(frame)) => {
                    self.backlog = self.backlog.saturating_sub(frame.len());
                    self.take_frame(frame, now);
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

    fn take_frame(&mut self, frame: &[u8], now: Instant) {
        let Ok(FrameHeader { header, pdu_type, .. }) = FrameHeader::parse(frame) else { return };
        let ours = header.session_id == self.id && !matches!(self.state, State::Opening);
        match pdu_type {
            PduType::Response => self.take_response(header, frame, now),
            // After our Close the master waits for no answer to what it asked before.
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
                self.take_set_step(header, pdu_type, frame, now);
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
        if self.recent.repeats(header.packet_id) {
            self.counters.resends.one();
        }
    }

    fn take_set_step(&mut self, header: Header, pdu_type: PduType, frame: &[u8], now: Instant) {
        let Ok(Pdu { context, body, .. }) = decode(frame, &LIMITS) else {
            // A CleanupSet has no response, whatever is wrong with it.
            return match pdu_type {
                PduType::CleanupSet => self.counters.decode_errors.one(),
                _ => self.refuse_unreadable(header),
            };
        };
        self.count_request(header);
        let handed_over = match &body {
            Body::TestSet(varbinds) => self.writable && !varbinds.is_empty(),
            _ => false,
        } || self.writes.has(header);
        let verdict = if handed_over {
            let doing = match body {
                Body::TestSet(varbinds) => Doing::Test { context: context.0, varbinds },
                Body::CommitSet => Doing::Commit,
                Body::UndoSet => Doing::Undo,
                _ => Doing::Cleanup,
            };
            self.writes.take(header, doing, now)
        } else {
            let step = match body {
                Body::TestSet(varbinds) => Step::Test(varbinds.len()),
                Body::CommitSet => Step::Commit,
                Body::UndoSet => Step::Undo,
                _ => Step::Cleanup,
            };
            self.set.take(header, step)
        };
        if let Some(verdict) = verdict {
            self.answer_step(header, verdict);
        }
    }

    pub(super) fn answer_step(&mut self, header: Header, verdict: Verdict) {
        if matches!(self.state, State::Open { .. }) {
            self.respond(header, verdict.error, verdict.index);
            self.counters.answers.one();
        }
    }

    /// A PDU whose header can be read, and nothing else (RFC 2741 section 7.1).
    fn refuse_unreadable(&mut self, header: Header) {
        self.counters.decode_errors.one();
        self.respond(header, ResponseError::ParseError, 0);
    }

    fn respond(&mut self, header: Header, error: ResponseError, index: u16) {
        // A Response without varbinds is shorter than any limit.
        _ = ResponseEncoder::begin(self.output.buf(), header, 0).finish(error, index);
    }
}
