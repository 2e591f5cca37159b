//! Asks subagents for what is to be read, and goes on from what they answer (RFC 2741 section 7.2).

use std::time::{Duration, Instant};

use agentx::{Body, GetBulk, Oid, PduType, ResponseError, SearchRange, SubId, ValueRef};

use super::{
    Dispatcher, Outcome, PDU_VARBINDS, Request, Transaction,
    packet::{Asked, AskedRead, Packet},
    read::{Kind, Over, Read, State, Want},
    session::{Bulk, Session},
};
use crate::{
    own_objects::{self, OwnObjects},
    registry::{Owner, Serving, SessionId},
};

/// Who has asked for this long has given up: nothing more is asked for it. Longer than any subagent may take.
const GIVEN_UP: Duration = Duration::from_mins(5);
/// Varbinds that are asked for at once, at most, where one is wanted that comes after others to be passed by.
const MOST_PASSED_BY: usize = 64;
/// Requests whose memory is kept for those to come.
const KEPT_READS: usize = 16;
/// Search ranges whose memory is kept.
const KEPT_RANGES: usize = 256;

/// A search range that a session is to be asked for.
#[derive(Debug)]
pub(super) struct Ask {
    session: SessionId,
    timeout_s: u8,
    repetitions: usize,
    column: u32,
    piece: u32,
}

impl<O: OwnObjects> Dispatcher<O> {
    pub(super) fn begin_read(&mut self, request: Request, now: Instant) {
        let mut read = self.spare_reads.pop().unwrap_or_else(|| Box::new(Read::new(now)));
        read.begin(request, now);
        let id = self.next_transaction();
        for column in 0..read.columns() {
            self.ask(&mut read, column, now);
        }
        self.go_on(id, read, now);
    }

    /// Takes what came of a packet of a request to read.
    pub(super) fn resolve_read(
        &mut self,
        id: u32,
        mut read: Box<Read>,
        packet: (SessionId, &AskedRead),
        outcome: &Outcome<'_, '_>,
        now: Instant,
    ) {
        let (session, asked) = packet;
        read.outstanding = read.outstanding.saturating_sub(1);
        match outcome {
            Outcome::Answered(response) if outcome.is_refusal(asked) => refuse(&mut read, asked, response.index),
            Outcome::Answered(response) => {
                if let Err(wrong) = read.take(asked, response, &mut self.scratch) {
                    tracing::debug!(session = session.0, %wrong, "an answer is dropped");
                    if let Some(session) = self.sessions.get_mut(session) {
                        session.counts.dropped += 1;
                        self.totals.dropped += 1;
                    }
                }
            }
            Outcome::Unreadable | Outcome::Missed => fail(&mut read, asked),
            Outcome::Lost => {
                for &(column, piece) in &asked.pieces {
                    read.lose_piece(column, piece);
                }
            }
        }
        // A Get is asked again only where nobody is left who could answer it.
        let is_unasked = read.kind != Kind::Get || matches!(outcome, Outcome::Lost);
        let mut last = None;
        for &(column, _) in asked.pieces.iter().filter(|_| is_unasked) {
            if last != Some(column) && read.over.is_none() {
                self.ask(&mut read, column as usize, now);
            }
            last = Some(column);
        }
        self.go_on(id, read, now);
    }

    /// Lets out what has come, asks for what is missing, and answers when nothing is.
    fn go_on(&mut self, id: u32, mut read: Box<Read>, now: Instant) {
        read.pump();
        if read.over.is_none() {
            self.send_asks(id, &mut read, now);
            read.pump();
        }
        self.asks.clear();
        if read.over.is_none() && read.outstanding == 0 {
            // Nothing is awaited and something is missing: it can only be said so.
            let at = read.at();
            read.fail(at);
        }
        let result = match read.over {
            None => {
                self.transactions.insert(id, Transaction::Read(read));
                return;
            }
            Some(Over::Done) => Ok(read.take_out()),
            Some(Over::TooBig) => Err((ResponseError::TooBig, 0)),
            Some(Over::Failed(column)) => Err((ResponseError::GenErr, u32::try_from(column + 1).unwrap_or_default())),
        };
        self.answer(read.token, result);
        if self.spare_reads.len() < KEPT_READS {
            read.rest();
            self.spare_reads.push(read);
        }
    }

    /// Notes what is to be asked for a column.
    fn ask(&mut self, read: &mut Read, column: usize, now: Instant) {
        if read.kind == Kind::Get {
            return self.ask_instance(read, column, now);
        }
        loop {
            match read.want(column) {
                Want::Nothing => return,
                Want::Further { due, octets } => return self.ask_further(read, column, due, octets, now),
                Want::More { piece, count } => {
                    if self.ask_more(read, column, piece, count) {
                        return;
                    }
                }
            }
        }
    }

    fn ask_instance(&mut self, read: &mut Read, index: usize, now: Instant) {
        let mut name = std::mem::take(&mut self.name);
        read.name_into(index, &mut name);
        match self.registry.serving(&read.context.0, &name) {
            None => read.put(index, &name, ValueRef::NoSuchObject),
            Some(Serving { owner: Owner::Session(session), timeout_s, .. }) => {
                if let Some(column) = read.column_mut(index) {
                    let piece = column.add(&name, false, &[]).id;
                    self.asks.push(Ask { session, timeout_s, repetitions: 1, column: narrow(index), piece });
                }
            }
            Some(Serving { owner: Owner::Master, .. }) => {
                let after = [name.as_slice(), &[0]].concat();
                match self.own.next(self.asked(&read.context.0, now), &name, true, &after) {
                    Some((_, value)) => read.put(index, &name, value.as_ref()),
                    None if self.own.knows(&name) => read.put(index, &name, ValueRef::NoSuchInstance),
                    None => read.put(index, &name, ValueRef::NoSuchObject),
                }
            }
        }
        self.name = name;
    }

    /// Asks for more of a piece; or cuts it, where it is no longer served as it was.
    fn ask_more(&mut self, read: &mut Read, index: usize, piece: usize, count: usize) -> bool {
        let context = std::mem::take(&mut read.context);
        let mut is_asked = false;
        if let Some(column) = read.column_mut(index) {
            let passed_by = column.passed_by;
            if let Some(piece) = column.piece_mut(piece) {
                let id = piece.id;
                match self.registry.serving_next(&context.0, &piece.from, piece.include) {
                    Some(Serving { owner: Owner::Session(session), timeout_s, start, end, .. })
                        if end == piece.end.as_slice() && start <= piece.from.as_slice() =>
                    {
                        piece.state = State::Asked;
                        let repetitions = count.max(reach(passed_by));
                        self.asks.push(Ask { session, timeout_s, repetitions, column: narrow(index), piece: id });
                        is_asked = true;
                    }
                    _ => read.lose_piece(narrow(index), id),
                }
            }
        }
        read.context = context;
        is_asked
    }

    /// Asks the regions that follow: one, or two, four and so on once one has turned out to be used up; rows of a table
    /// as many at once as are wanted.
    fn ask_further(&mut self, read: &mut Read, index: usize, mut due: usize, mut octets: usize, now: Instant) {
        let context = std::mem::take(&mut read.context);
        let (widest, mut asked) = (read.widest(), 0);
        while due > 0 {
            let (gallop, passed_by) = read.column_mut(index).map_or((1, 0), |c| (c.gallop, c.passed_by));
            let Some(column) = read.column_mut(index).filter(|column| !column.is_ended) else { break };
            let (from, include) = column.cursor();
            let Some(serving) = self.registry.serving_next(&context.0, from, include) else {
                column.is_ended = true;
                break;
            };
            let Serving { owner, timeout_s, start, end, row } = serving;
            let wide = if row { due.max(gallop) } else { gallop };
            if asked >= wide.min(widest) || asked > 0 && owner == Owner::Master {
                break;
            }
            let (from, include) = if start > from { (start, true) } else { (from, include) };
            // What is in a column or in the registry has no more arcs than an OID may have.
            let _ = self.name.assign(from);
            let piece = column.add(&self.name, include, end);
            let (id, common) = (piece.id, piece.common_arcs());
            let count = read.fitting(index, octets, common).clamp(1, due);
            match owner {
                Owner::Session(session) => {
                    let repetitions = count.max(reach(passed_by));
                    self.asks.push(Ask { session, timeout_s, repetitions, column: narrow(index), piece: id });
                    asked += 1;
                }
                Owner::Master => {
                    let (found, taken) = self.own_instances(read, index, id, &context.0, count, now);
                    due -= found.min(due);
                    octets += taken;
                    if found == count {
                        break;
                    }
                }
            }
        }
        if let Some(column) = read.column_mut(index).filter(|_| asked > 0) {
            column.gallop = (column.gallop * 2).min(widest);
        }
        read.context = context;
    }

    /// Fills a piece with the master's own instances. How many there were, and how many octets they hold.
    fn own_instances(
        &self,
        read: &mut Read,
        index: usize,
        id: u32,
        context: &[u8],
        count: usize,
        now: Instant,
    ) -> (usize, usize) {
        let asked = self.asked(context, now);
        let mut found = 0;
        let Some(place) = read.place(index, id) else { return (0, 0) };
        while found < count {
            let next = read.column_mut(index).and_then(|column| column.piece_mut(place)).and_then(|piece| {
                let next = self.own.next(asked, &piece.from, piece.include, &piece.end);
                piece.state = if next.is_some() { State::Open } else { State::Exhausted };
                next
            });
            let Some((name, value)) = next else { break };
            found += usize::from(!read.passes_by(value.as_ref()));
            read.found(index, place, &name, value.as_ref());
        }
        let octets = read.column_mut(index).and_then(|c| c.piece_mut(place)).map_or(0, |piece| piece.held_octets());
        (found, octets)
    }

    fn asked<'a>(&'a self, context: &'a [u8], now: Instant) -> own_objects::Asked<'a> {
        own_objects::Asked {
            context,
            capabilities: self.capabilities.of(context),
            capabilities_changed: self.capabilities.changed(context),
            now,
        }
    }

    /// Sends what is to be asked: to each session one PDU.
    fn send_asks(&mut self, id: u32, read: &mut Read, now: Instant) {
        let mut asks = std::mem::take(&mut self.asks);
        let has_given_up = now.saturating_duration_since(read.begun) > GIVEN_UP;
        asks.sort_by_key(|ask| (ask.session, ask.repetitions > 1));
        for asks in asks.chunk_by(|a, b| a.session == b.session) {
            if has_given_up || !self.send_read(id, read, asks, now) {
                for ask in asks {
                    read.fail_piece(ask.column, ask.piece, ask.column);
                }
            }
        }
        asks.clear();
        asks.shrink_to(KEPT_RANGES);
        self.asks = asks;
    }

    fn send_read(&mut self, id: u32, read: &mut Read, asks: &[Ask], now: Instant) -> bool {
        let Some(session_id) = asks.first().map(|ask| ask.session) else { return true };
        let Some(session) = self.sessions.get(session_id) else { return false };
        let pieces: Vec<_> = asks.iter().map(|ask| (ask.column, ask.piece)).collect();
        let asked = shape(read, session, asks, pieces);
        let otherwise = self.patience;
        let patience = asks.iter().map(|ask| session.patience(ask.timeout_s, otherwise)).max().unwrap_or(otherwise);

        let mut ranges = std::mem::take(&mut self.ranges);
        while ranges.len() < asks.len() {
            ranges.push(self.spare_ranges.pop().unwrap_or_default());
        }
        for (range, (column, piece)) in ranges.iter_mut().zip(&asked.pieces) {
            if let Some(piece) = read.piece(*column, *piece) {
                put_range(range, &piece.from, piece.include, &piece.end);
                if asked.pdu_type == PduType::GetBulk {
                    begin_before(range);
                }
            }
        }
        let body = match asked.pdu_type {
            PduType::Get => Body::Get(ranges),
            PduType::GetNext => Body::GetNext(ranges),
            _ => Body::GetBulk(GetBulk {
                non_repeaters: asked.non_repeaters,
                max_repetitions: asked.repetitions,
                ranges,
            }),
        };
        let deadline = now + patience;
        let packet = Packet { session: session_id, transaction: id, sent: now, deadline, asked: Asked::Read(asked) };
        let (is_sent, body) = self.send(&mut read.context, body, packet, now);
        if let Body::Get(mut ranges) | Body::GetNext(mut ranges) | Body::GetBulk(GetBulk { mut ranges, .. }) = body {
            self.spare_ranges.append(&mut ranges);
            self.spare_ranges.truncate(KEPT_RANGES);
            self.spare_ranges.shrink_to(KEPT_RANGES);
            ranges.shrink_to(KEPT_RANGES);
            self.ranges = ranges;
        }
        read.outstanding += usize::from(is_sent);
        is_sent
    }
}

/// Which PDU asks for these, those that are wanted once before the others.
fn shape(read: &Read, session: &Session, asks: &[Ask], pieces: Vec<(u32, u32)>) -> AskedRead {
    let once = match session.bulk {
        Bulk::Refused => asks.len(),
        Bulk::Untried { .. } | Bulk::Works if read.is_cautious => asks.len(),
        Bulk::Untried { .. } | Bulk::Works => asks.iter().take_while(|ask| ask.repetitions <= 1).count(),
    };
    let repeated = asks.len() - once;
    let pdu_type = match (read.kind, repeated) {
        (Kind::Get, _) => PduType::Get,
        (_, 0) => PduType::GetNext,
        _ => PduType::GetBulk,
    };
    let most = PDU_VARBINDS.saturating_sub(once).checked_div(repeated).unwrap_or(1).max(1);
    let wanted = asks.iter().map(|ask| ask.repetitions).max().unwrap_or(1);
    AskedRead {
        pdu_type,
        pieces,
        non_repeaters: u16::try_from(once).unwrap_or(u16::MAX),
        repetitions: u16::try_from(wanted.min(most)).unwrap_or(u16::MAX),
    }
}

/// All that was asked cannot be read.
fn fail(read: &mut Read, asked: &AskedRead) {
    for &(column, piece) in &asked.pieces {
        read.fail_piece(column, piece, column);
    }
}

/// A subagent has answered with an error. What was more than the next instances is asked for again without; otherwise
/// it is the error of the variable that it names.
fn refuse(read: &mut Read, asked: &AskedRead, index: u16) {
    let columns = asked.pieces.chunk_by(|a, b| a.0 == b.0).count();
    if asked.pdu_type == PduType::GetBulk || columns < asked.pieces.len() {
        read.is_cautious = true;
        for &(column, piece) in &asked.pieces {
            read.lose_piece(column, piece);
        }
        return;
    }
    let culprit = usize::from(index).checked_sub(1).and_then(|range| asked.pieces.get(range));
    let culprit = culprit.or(asked.pieces.first()).map_or(0, |(column, _)| *column);
    for &(column, piece) in &asked.pieces {
        read.fail_piece(column, piece, culprit);
    }
}

/// How far to look at once after instances that are passed by.
fn reach(passed_by: usize) -> usize {
    (passed_by * 2).min(MOST_PASSED_BY)
}

fn put_range(range: &mut SearchRange, from: &[SubId], include: bool, end: &[SubId]) {
    // They are no longer than OIDs may be: they come from OIDs.
    let _ = (range.start.assign(from), range.end.assign(end));
    range.include = include;
}

/// Says the same without `include`: by the last name there can be before the start. net-snmp's library (5.9.3) minds
/// `include` in every repetition, and finds the same instance again and again.
fn begin_before(range: &mut SearchRange) {
    let Some((last, parent)) = range.start.split_last().filter(|_| range.include) else { return };
    let mut before = parent.to_vec();
    if let Some(sibling) = last.checked_sub(1) {
        before.push(sibling);
        before.resize(Oid::MAX_LEN, SubId::MAX);
    }
    range.include = range.start.assign(&before).is_err();
}

/// Columns come in a message of 64 KiB.
fn narrow(column: usize) -> u32 {
    u32::try_from(column).unwrap_or(u32::MAX)
}
