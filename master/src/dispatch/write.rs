//! A SET: one transaction over all sessions that it concerns (RFC 2741 sections 7.2.4.2 to 7.2.4.4).

use std::{collections::HashMap, time::Instant};

use agentx::{Body, Context, Header, Pdu, ResponseError, VarBind, encode};

use super::{
    Answer, Dispatcher, Operation, Outcome, Request, Token, Transaction,
    packet::{Asked, Packet},
};
use crate::{
    own_objects::OwnObjects,
    registry::{Owner, Serving, SessionId},
    varbind_list::VarBindList,
};

/// How far a SET has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Test,
    Commit,
    Undo,
}

/// What one session is to write.
#[derive(Debug)]
struct Part {
    session: SessionId,
    timeout_s: u8,
    /// Its varbinds: their places in the request, in order.
    varbinds: Vec<usize>,
    /// It was sent a TestSet.
    is_tested: bool,
    /// It was sent a CommitSet.
    is_committed: bool,
}

/// A SET.
#[derive(Debug)]
pub(super) struct Write {
    token: Token,
    context: Context,
    varbinds: Vec<VarBind>,
    encoded: VarBindList,
    parts: Vec<Part>,
    step: Step,
    /// Answers to this step that are awaited.
    awaited: usize,
    /// What failed first, by the order of varbinds: its place, and why.
    failed: Option<(usize, ResponseError)>,
    undo_failed: bool,
}

impl Write {
    fn fail(&mut self, place: usize, error: ResponseError) {
        if self.failed.is_none_or(|(first, _)| place < first) {
            self.failed = Some((place, error));
        }
    }

    /// One session has done this step, or not.
    fn note(&mut self, part: usize, outcome: &Outcome<'_, '_>) {
        self.awaited = self.awaited.saturating_sub(1);
        let (error, index) = match outcome {
            Outcome::Answered(response) => (response.error, response.index),
            Outcome::Unreadable | Outcome::Missed | Outcome::Lost => (ResponseError::GenErr, 0),
        };
        if error == ResponseError::NoError {
            return;
        }
        let varbinds = self.parts.get(part).map(|part| part.varbinds.as_slice()).unwrap_or_default();
        let named = usize::from(index).checked_sub(1).and_then(|named| varbinds.get(named));
        let place = named.or(varbinds.first()).copied().unwrap_or_default();
        match self.step {
            Step::Test => self.fail(place, snmp_error(error)),
            Step::Commit => self.fail(place, ResponseError::CommitFailed),
            Step::Undo => self.undo_failed = true,
        }
    }
}

/// An error that SNMP has too (RFC 3416 section 4.2.5); those of SNMPv1 and of AgentX alone say no more than genErr.
fn snmp_error(error: ResponseError) -> ResponseError {
    match error.code() {
        6..=18 | 1 => error,
        _ => ResponseError::GenErr,
    }
}

impl<O: OwnObjects> Dispatcher<O> {
    pub(super) fn begin_write(&mut self, request: Request, now: Instant) {
        let Request { token, context, operation, room, without_counter64: _ } = request;
        let varbinds = if let Operation::Set(varbinds) = operation { varbinds } else { Vec::new() };
        let mut encoded = VarBindList::default();
        for varbind in &varbinds {
            encoded.push(&varbind.name, varbind.value.as_ref());
        }
        // Too late to be said once it is done.
        if encoded.octets().len() > room {
            return self.answer(token, Err((ResponseError::TooBig, 0)));
        }
        match self.parts(&context, &varbinds) {
            Ok(parts) => {
                let mut write = Write {
                    token,
                    context: Context(context),
                    varbinds,
                    encoded,
                    parts,
                    step: Step::Test,
                    awaited: 0,
                    failed: None,
                    undo_failed: false,
                };
                let id = self.next_transaction();
                self.test(id, &mut write, now);
                self.go_on_writing(id, Box::new(write), now);
            }
            Err(place) => self.answer(token, Err((ResponseError::NotWritable, index(place)))),
        }
    }

    /// Which sessions write which varbinds; or the place of the first that none does.
    fn parts(&self, context: &[u8], varbinds: &[VarBind]) -> Result<Vec<Part>, usize> {
        let (mut parts, mut known) = (Vec::<Part>::new(), HashMap::new());
        for (place, varbind) in varbinds.iter().enumerate() {
            let Some(Serving { owner: Owner::Session(session), timeout_s, .. }) =
                self.registry.serving(context, &varbind.name)
            else {
                return Err(place);
            };
            let number = *known.entry(session).or_insert(parts.len());
            if number == parts.len() {
                let (is_tested, is_committed) = (false, false);
                parts.push(Part { session, timeout_s: 0, varbinds: Vec::new(), is_tested, is_committed });
            }
            if let Some(part) = parts.get_mut(number) {
                part.varbinds.push(place);
                part.timeout_s = part.timeout_s.max(timeout_s);
            }
        }
        Ok(parts)
    }

    /// Takes what came of a step in one session.
    pub(super) fn resolve_write(
        &mut self,
        id: u32,
        mut write: Box<Write>,
        part: usize,
        outcome: &Outcome<'_, '_>,
        now: Instant,
    ) {
        write.note(part, outcome);
        self.go_on_writing(id, write, now);
    }

    /// Takes the next step once all sessions have done this one.
    fn go_on_writing(&mut self, id: u32, mut write: Box<Write>, now: Instant) {
        while write.awaited == 0 {
            match (write.step, write.failed) {
                (Step::Test, None) => {
                    write.step = Step::Commit;
                    self.commit(id, &mut write, now);
                }
                (Step::Test, Some((place, error))) => {
                    self.clean_up(id, &write, now);
                    return self.answer(write.token, Err((error, index(place))));
                }
                (Step::Commit, None) => {
                    self.clean_up(id, &write, now);
                    return self.answer(write.token, Ok(write.encoded));
                }
                (Step::Commit, Some(_)) => {
                    write.step = Step::Undo;
                    self.undo(id, &mut write, now);
                }
                (Step::Undo, _) if write.undo_failed => {
                    return self.answer(write.token, Err((ResponseError::UndoFailed, 0)));
                }
                (Step::Undo, failed) => {
                    let place = failed.map_or(0, |(place, _)| index(place));
                    return self.answer(write.token, Err((ResponseError::CommitFailed, place)));
                }
            }
        }
        self.transactions.insert(id, Transaction::Write(write));
    }

    fn test(&mut self, id: u32, write: &mut Write, now: Instant) {
        let mut context = std::mem::take(&mut write.context);
        for number in 0..write.parts.len() {
            let Some(part) = write.parts.get(number) else { continue };
            let varbinds = part.varbinds.iter().filter_map(|place| write.varbinds.get(*place)).cloned().collect();
            if self.send_step(id, write, number, &mut context, Body::TestSet(varbinds), now) {
                if let Some(part) = write.parts.get_mut(number) {
                    part.is_tested = true;
                }
            } else {
                let place = write.parts.get(number).and_then(|part| part.varbinds.first()).copied();
                write.fail(place.unwrap_or_default(), ResponseError::GenErr);
            }
        }
        write.context = context;
    }

    fn commit(&mut self, id: u32, write: &mut Write, now: Instant) {
        for number in 0..write.parts.len() {
            if self.send_step(id, write, number, &mut Context::default(), Body::CommitSet, now) {
                if let Some(part) = write.parts.get_mut(number) {
                    part.is_committed = true;
                }
            } else {
                let place = write.parts.get(number).and_then(|part| part.varbinds.first()).copied();
                write.fail(place.unwrap_or_default(), ResponseError::CommitFailed);
            }
        }
    }

    /// Whoever was told to write has to take it back; one that has gone since cannot.
    fn undo(&mut self, id: u32, write: &mut Write, now: Instant) {
        for number in 0..write.parts.len() {
            if write.parts.get(number).is_some_and(|part| part.is_committed)
                && !self.send_step(id, write, number, &mut Context::default(), Body::UndoSet, now)
            {
                write.undo_failed = true;
            }
        }
        // Those that were only tested have nothing to take back.
        for part in write.parts.iter().filter(|part| !part.is_committed) {
            self.send_clean_up(id, part, now);
        }
    }

    fn send_step(
        &mut self,
        id: u32,
        write: &mut Write,
        number: usize,
        context: &mut Context,
        body: Body,
        now: Instant,
    ) -> bool {
        let Some(part) = write.parts.get(number) else { return false };
        let Some(session) = self.sessions.get(part.session) else { return false };
        let deadline = now + session.patience(part.timeout_s, self.patience);
        let asked = Asked::Set { part: number };
        let packet = Packet { session: part.session, transaction: id, sent: now, deadline, asked };
        let (is_sent, _) = self.send(context, body, packet, now);
        write.awaited += usize::from(is_sent);
        is_sent
    }

    /// Releases what was reserved. It has no response (RFC 2741 section 6.2.9).
    fn clean_up(&mut self, id: u32, write: &Write, now: Instant) {
        for part in &write.parts {
            self.send_clean_up(id, part, now);
        }
    }

    fn send_clean_up(&mut self, id: u32, part: &Part, now: Instant) {
        let packet_id = self.packets.next_id();
        let Some(session) = self.sessions.get(part.session).filter(|_| part.is_tested) else { return };
        let (byte_order, session_id) = (session.byte_order, part.session.0);
        let header = Header { byte_order, session_id, transaction_id: id, packet_id };
        let pdu = Pdu { header, context: Context::default(), body: Body::CleanupSet };
        self.connections.write(session.connection, now, |buf| encode(&pdu, buf));
    }

    pub(super) fn answer(&mut self, token: Token, result: Result<VarBindList, (ResponseError, u32)>) {
        self.answers.push_back(Answer { token, result });
    }
}

/// An error index: places from 1.
fn index(place: usize) -> u32 {
    u32::try_from(place + 1).unwrap_or_default()
}
