//! Executes a SET as one transaction over all sessions that serve its varbinds (RFC 2741 sections 7.2.4.2 to 7.2.4.4).

use std::{collections::HashMap, time::Instant};

use agentx::{Body, Context, Header, Pdu, ResponseError, VarBind, encode};

use super::state::{Part, Step, Write};
use crate::{
    pdu::{Answer, Operation, Request, Token, own_objects::OwnObjects, varbind_list::VarBindList},
    subagents::{
        dispatch::{
            Dispatcher, Transaction,
            packet::{Outcome, Packet, Query},
        },
        registry::{Owner, Serving},
    },
};

impl<O: OwnObjects> Dispatcher<O> {
    pub(in crate::subagents::dispatch) fn begin_write(&mut self, request: Request, now: Instant) {
        let Request { token, context, operation, room, without_counter64: _ } = request;
        let varbinds = if let Operation::Set(varbinds) = operation { varbinds } else { Vec::new() };
        let mut encoded = VarBindList::default();
        for varbind in &varbinds {
            encoded.push(&varbind.name, varbind.value.as_ref());
        }
        // This must be known before anything is written.
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
                    outstanding: 0,
                    failed: None,
                    undo_failed: false,
                };
                let id = self.next_transaction();
                self.test(id, &mut write, now);
                self.advance_write(id, Box::new(write), now);
            }
            Err(varbind) => self.answer(token, Err((ResponseError::NotWritable, error_index(varbind)))),
        }
    }

    /// Assigns the varbinds to sessions. Returns the index of the first varbind that no session serves, if there is
    /// one.
    fn parts(&self, context: &[u8], varbinds: &[VarBind]) -> Result<Vec<Part>, usize> {
        let (mut parts, mut part_of_session) = (Vec::<Part>::new(), HashMap::new());
        for (index, varbind) in varbinds.iter().enumerate() {
            let Some(Serving { owner: Owner::Session(session), timeout_s, .. }) =
                self.registry.serving(context, &varbind.name)
            else {
                return Err(index);
            };
            let number = *part_of_session.entry(session).or_insert(parts.len());
            if number == parts.len() {
                let (is_tested, is_committed) = (false, false);
                parts.push(Part { session, timeout_s: 0, varbinds: Vec::new(), is_tested, is_committed });
            }
            if let Some(part) = parts.get_mut(number) {
                part.varbinds.push(index);
                part.timeout_s = part.timeout_s.max(timeout_s);
            }
        }
        Ok(parts)
    }

    /// Continues a SET with the outcome of a step in one session.
    pub(in crate::subagents::dispatch) fn resolve_write(
        &mut self,
        id: u32,
        mut write: Box<Write>,
        part: usize,
        outcome: &Outcome<'_, '_>,
        now: Instant,
    ) {
        write.record(part, outcome);
        self.advance_write(id, write, now);
    }

    /// Takes the next step once all sessions have completed this one.
    fn advance_write(&mut self, id: u32, mut write: Box<Write>, now: Instant) {
        while write.outstanding == 0 {
            match (write.step, write.failed) {
                (Step::Test, None) => {
                    write.step = Step::Commit;
                    self.commit(id, &mut write, now);
                }
                (Step::Test, Some((varbind, error))) => {
                    self.clean_up(id, &write, now);
                    return self.answer(write.token, Err((error, error_index(varbind))));
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
                    let index = failed.map_or(0, |(varbind, _)| error_index(varbind));
                    return self.answer(write.token, Err((ResponseError::CommitFailed, index)));
                }
            }
        }
        self.transactions.insert(id, Transaction::Write(write));
    }

    /// Sends a TestSet to all sessions.
    fn test(&mut self, id: u32, write: &mut Write, now: Instant) {
        let mut context = std::mem::take(&mut write.context);
        for number in 0..write.parts.len() {
            let Some(part) = write.parts.get(number) else { continue };
            let varbinds = part.varbinds.iter().filter_map(|index| write.varbinds.get(*index)).cloned().collect();
            if self.send_step(id, write, number, &mut context, Body::TestSet(varbinds), now) {
                if let Some(part) = write.parts.get_mut(number) {
                    part.is_tested = true;
                }
            } else {
                let varbind = write.parts.get(number).and_then(|part| part.varbinds.first()).copied();
                write.fail(varbind.unwrap_or_default(), ResponseError::GenErr);
            }
        }
        write.context = context;
    }

    /// Sends a CommitSet to all sessions.
    fn commit(&mut self, id: u32, write: &mut Write, now: Instant) {
        for number in 0..write.parts.len() {
            if self.send_step(id, write, number, &mut Context::default(), Body::CommitSet, now) {
                if let Some(part) = write.parts.get_mut(number) {
                    part.is_committed = true;
                }
            } else {
                let varbind = write.parts.get(number).and_then(|part| part.varbinds.first()).copied();
                write.fail(varbind.unwrap_or_default(), ResponseError::CommitFailed);
            }
        }
    }

    /// Sends an UndoSet to the sessions that were sent a CommitSet. The undo fails if one of them has ended.
    fn undo(&mut self, id: u32, write: &mut Write, now: Instant) {
        for number in 0..write.parts.len() {
            if write.parts.get(number).is_some_and(|part| part.is_committed)
                && !self.send_step(id, write, number, &mut Context::default(), Body::UndoSet, now)
            {
                write.undo_failed = true;
            }
        }
        // Sessions that were only tested have nothing to undo.
        for part in write.parts.iter().filter(|part| !part.is_committed) {
            self.send_clean_up(id, part, now);
        }
    }

    /// Sends the PDU of a step to the session of a part. Returns whether it was sent.
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
        let deadline = now + session.timeout(part.timeout_s, self.default_timeout);
        let query = Query::Set { part: number };
        let packet = Packet { session: part.session, transaction: id, sent: now, deadline, query };
        let (is_sent, _) = self.send(context, body, packet, now);
        write.outstanding += usize::from(is_sent);
        is_sent
    }

    /// Sends a CleanupSet to all sessions that were sent a TestSet. It has no response (RFC 2741 section 6.2.9).
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

    /// Answers a request.
    pub(in crate::subagents::dispatch) fn answer(
        &mut self,
        token: Token,
        result: Result<VarBindList, (ResponseError, u32)>,
    ) {
        self.answers.push_back(Answer { token, result });
    }
}

/// Returns the error-index of a varbind, which counts from 1.
fn error_index(varbind: usize) -> u32 {
    u32::try_from(varbind + 1).unwrap_or_default()
}
