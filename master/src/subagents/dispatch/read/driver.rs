//! Queries subagents for a request to read, and continues it with their responses (RFC 2741 section 7.2).

use std::time::{Duration, Instant};

use agentx::{Body, GetBulk, Oid, PduType, ResponseError, SearchRange, SubId, ValueRef};

use super::{
    column::PieceState,
    state::{Completion, Kind, Need, RangeQuery, Read},
};
use crate::{
    pdu::{
        Request,
        own_objects::{self, OwnObjects},
    },
    subagents::{
        dispatch::{
            Dispatcher, MAX_PDU_VARBINDS, Transaction,
            packet::{Outcome, Packet, Query, ReadQuery},
            session::{BulkSupport, Session},
        },
        registry::{Owner, Serving, SessionId},
    },
};

/// No more queries are sent for a request of this age, because its manager has given up. It is longer than the longest
/// timeout of a subagent.
const MAX_AGE: Duration = Duration::from_mins(5);
/// The maximum number of varbinds of a query that needs only one, but expects to skip others before it.
const MAX_SKIP_REPETITIONS: usize = 64;
/// The number of finished reads whose memory is kept.
const KEPT_READS: usize = 16;
/// The number of search ranges whose memory is kept.
const KEPT_RANGES: usize = 256;

impl<O: OwnObjects> Dispatcher<O> {
    pub(in crate::subagents::dispatch) fn begin_read(&mut self, request: Request, now: Instant) {
        let mut read = self.spare_reads.pop().unwrap_or_else(|| Box::new(Read::new(now)));
        read.reset(request, now);
        let id = self.next_transaction();
        for column in 0..read.columns() {
            self.query_column(&mut read, column, now);
        }
        self.advance_read(id, read, now);
    }

    /// Continues a request to read with the outcome of one of its packets.
    pub(in crate::subagents::dispatch) fn resolve_read(
        &mut self,
        id: u32,
        mut read: Box<Read>,
        packet: (SessionId, &ReadQuery),
        outcome: &Outcome<'_, '_>,
        now: Instant,
    ) {
        let (session, query) = packet;
        read.outstanding = read.outstanding.saturating_sub(1);
        match outcome {
            Outcome::Response(response) if outcome.is_error_response(query) => {
                handle_error_response(&mut read, query, response.index);
            }
            Outcome::Response(response) => {
                if let Err(error) = read.add_response(query, response, &mut self.scratch) {
                    tracing::debug!(session = session.0, %error, "dropped an invalid Response");
                    if let Some(session) = self.sessions.get_mut(session) {
                        session.counts.dropped += 1;
                        self.totals.dropped += 1;
                    }
                }
            }
            Outcome::Malformed | Outcome::TimedOut => fail_query(&mut read, query),
            Outcome::SessionEnded => {
                for &(column, piece) in &query.pieces {
                    read.cut_piece(column, piece);
                }
            }
        }
        // A Get is repeated only if its session ended, to query the session that serves the name now.
        let may_continue = read.kind != Kind::Get || matches!(outcome, Outcome::SessionEnded);
        let mut last = None;
        for &(column, _) in query.pieces.iter().filter(|_| may_continue) {
            if last != Some(column) && read.completion.is_none() {
                self.query_column(&mut read, column as usize, now);
            }
            last = Some(column);
        }
        self.advance_read(id, read, now);
    }

    /// Adds to the response what is available, sends the collected queries, and answers the request once it is
    /// complete.
    fn advance_read(&mut self, id: u32, mut read: Box<Read>, now: Instant) {
        read.emit_buffered();
        if read.completion.is_none() {
            self.send_queries(id, &mut read, now);
            read.emit_buffered();
        }
        self.range_queries.clear();
        if read.completion.is_none() && read.outstanding == 0 {
            // The response is incomplete, and no query is outstanding.
            let column = read.next_column();
            read.fail(column);
        }
        let result = match read.completion {
            None => {
                self.transactions.insert(id, Transaction::Read(read));
                return;
            }
            Some(Completion::Complete) => Ok(read.take_out()),
            Some(Completion::TooBig) => Err((ResponseError::TooBig, 0)),
            Some(Completion::Failed(column)) => {
                Err((ResponseError::GenErr, u32::try_from(column + 1).unwrap_or_default()))
            }
        };
        self.answer(read.token, result);
        if self.spare_reads.len() < KEPT_READS {
            read.shrink();
            self.spare_reads.push(read);
        }
    }

    /// Collects the queries that a column needs.
    fn query_column(&mut self, read: &mut Read, column: usize, now: Instant) {
        if read.kind == Kind::Get {
            return self.query_instance(read, column, now);
        }
        loop {
            match read.need(column) {
                Need::Nothing => return,
                Need::NextRegions { count, octets } => {
                    return self.query_next_regions(read, column, count, octets, now);
                }
                Need::MoreOfPiece { piece, count } => {
                    if self.query_more(read, column, piece, count) {
                        return;
                    }
                }
            }
        }
    }

    /// Collects the query of a Get, or adds the instance if it needs no query.
    fn query_instance(&mut self, read: &mut Read, index: usize, now: Instant) {
        let mut name = std::mem::take(&mut self.name);
        read.name_into(index, &mut name);
        match self.registry.serving(&read.context.0, &name) {
            None => read.add_instance(index, &name, ValueRef::NoSuchObject),
            Some(Serving { owner: Owner::Session(session), timeout_s, .. }) => {
                if let Some(column) = read.column_mut(index) {
                    let piece = column.add(&name, false, &[]).id;
                    let column = narrow(index);
                    self.range_queries.push(RangeQuery { session, timeout_s, repetitions: 1, column, piece });
                }
            }
            Some(Serving { owner: Owner::Master, .. }) => {
                let after = [name.as_slice(), &[0]].concat();
                match self.own.next(self.environment(&read.context.0, now), &name, true, &after) {
                    Some((_, value)) => read.add_instance(index, &name, value.as_ref()),
                    None if self.own.has_object(&name) => read.add_instance(index, &name, ValueRef::NoSuchInstance),
                    None => read.add_instance(index, &name, ValueRef::NoSuchObject),
                }
            }
        }
        self.name = name;
    }

    /// Collects a query for more of a piece. If the registration of its region has changed, cuts the piece instead and
    /// returns false.
    fn query_more(&mut self, read: &mut Read, index: usize, piece: usize, count: usize) -> bool {
        let context = std::mem::take(&mut read.context);
        let mut is_queried = false;
        if let Some(column) = read.column_mut(index) {
            let skipped = column.skipped;
            if let Some(piece) = column.piece_mut(piece) {
                let id = piece.id;
                match self.registry.serving_next(&context.0, &piece.from, piece.include) {
                    Some(Serving { owner: Owner::Session(session), timeout_s, start, end, .. })
                        if end == piece.end.as_slice() && start <= piece.from.as_slice() =>
                    {
                        piece.state = PieceState::Queried;
                        let repetitions = count.max(skip_repetitions(skipped));
                        let column = narrow(index);
                        self.range_queries.push(RangeQuery { session, timeout_s, repetitions, column, piece: id });
                        is_queried = true;
                    }
                    _ => read.cut_piece(narrow(index), id),
                }
            }
        }
        read.context = context;
        is_queried
    }

    /// Collects queries for the regions that follow: first one, then two, four and so on while they turn out to be
    /// exhausted. Rows of a table are queried together, as many as are needed.
    fn query_next_regions(
        &mut self,
        read: &mut Read,
        index: usize,
        mut missing: usize,
        mut octets: usize,
        now: Instant,
    ) {
        let context = std::mem::take(&mut read.context);
        let (max_width, mut queried) = (read.max_width(), 0);
        while missing > 0 {
            let (width, skipped) = read.column_mut(index).map_or((1, 0), |column| (column.width, column.skipped));
            let Some(column) = read.column_mut(index).filter(|column| !column.is_ended) else { break };
            let (from, include) = column.cursor();
            let Some(serving) = self.registry.serving_next(&context.0, from, include) else {
                column.is_ended = true;
                break;
            };
            let Serving { owner, timeout_s, start, end, row } = serving;
            let width = if row { missing.max(width) } else { width };
            if queried >= width.min(max_width) || queried > 0 && owner == Owner::Master {
                break;
            }
            let (from, include) = if start > from { (start, true) } else { (from, include) };
            // This cannot fail: names in a column or in the registry are not longer than an OID may be.
            let _ = self.name.assign(from);
            let piece = column.add(&self.name, include, end);
            let (id, common_arcs) = (piece.id, piece.common_arcs());
            let count = read.max_fitting(index, octets, common_arcs).clamp(1, missing);
            match owner {
                Owner::Session(session) => {
                    let repetitions = count.max(skip_repetitions(skipped));
                    let column = narrow(index);
                    self.range_queries.push(RangeQuery { session, timeout_s, repetitions, column, piece: id });
                    queried += 1;
                }
                Owner::Master => {
                    let (found, found_octets) = self.add_own_instances(read, index, id, &context.0, count, now);
                    missing -= found.min(missing);
                    octets += found_octets;
                    if found == count {
                        break;
                    }
                }
            }
        }
        if let Some(column) = read.column_mut(index).filter(|_| queried > 0) {
            column.width = (column.width * 2).min(max_width);
        }
        read.context = context;
    }

    /// Adds up to `count` of the master's own instances to a piece. Returns how many were found, and how many octets
    /// the piece buffers.
    fn add_own_instances(
        &self,
        read: &mut Read,
        index: usize,
        id: u32,
        context: &[u8],
        count: usize,
        now: Instant,
    ) -> (usize, usize) {
        let environment = self.environment(context, now);
        let mut found = 0;
        let Some(piece_index) = read.piece_index(index, id) else { return (0, 0) };
        while found < count {
            let next = read.column_mut(index).and_then(|column| column.piece_mut(piece_index)).and_then(|piece| {
                let next = self.own.next(environment, &piece.from, piece.include, &piece.end);
                piece.state = if next.is_some() { PieceState::Open } else { PieceState::Exhausted };
                next
            });
            let Some((name, value)) = next else { break };
            found += usize::from(!read.skips(value.as_ref()));
            read.add_next(index, piece_index, &name, value.as_ref());
        }
        let piece = read.column_mut(index).and_then(|column| column.piece_mut(piece_index));
        (found, piece.map_or(0, |piece| piece.buffered_octets()))
    }

    /// Returns the state that the master's own objects in a context are read with.
    fn environment<'a>(&'a self, context: &'a [u8], now: Instant) -> own_objects::Environment<'a> {
        own_objects::Environment {
            context,
            capabilities: self.capabilities.of(context),
            capabilities_changed: self.capabilities.changed(context),
            now,
        }
    }

    /// Sends the collected queries, as one PDU for each session.
    fn send_queries(&mut self, id: u32, read: &mut Read, now: Instant) {
        let mut queries = std::mem::take(&mut self.range_queries);
        let is_too_old = now.saturating_duration_since(read.begun) > MAX_AGE;
        queries.sort_by_key(|query| (query.session, query.repetitions > 1));
        for queries in queries.chunk_by(|a, b| a.session == b.session) {
            if is_too_old || !self.send_query(id, read, queries, now) {
                for query in queries {
                    read.fail_piece(query.column, query.piece, query.column);
                }
            }
        }
        queries.clear();
        queries.shrink_to(KEPT_RANGES);
        self.range_queries = queries;
    }

    /// Sends the queries of one session as one PDU. Returns whether it was sent.
    fn send_query(&mut self, id: u32, read: &mut Read, queries: &[RangeQuery], now: Instant) -> bool {
        let Some(session_id) = queries.first().map(|query| query.session) else { return true };
        let Some(session) = self.sessions.get(session_id) else { return false };
        let pieces: Vec<_> = queries.iter().map(|query| (query.column, query.piece)).collect();
        let query = read_query(read, session, queries, pieces);
        let default = self.default_timeout;
        let timeout = queries.iter().map(|query| session.timeout(query.timeout_s, default)).max().unwrap_or(default);

        let mut ranges = std::mem::take(&mut self.ranges);
        while ranges.len() < queries.len() {
            ranges.push(self.spare_ranges.pop().unwrap_or_default());
        }
        for (range, (column, piece)) in ranges.iter_mut().zip(&query.pieces) {
            if let Some(piece) = read.piece(*column, *piece) {
                set_range(range, &piece.from, piece.include, &piece.end);
                if query.pdu_type == PduType::GetBulk {
                    exclude_start(range);
                }
            }
        }
        let body = match query.pdu_type {
            PduType::Get => Body::Get(ranges),
            PduType::GetNext => Body::GetNext(ranges),
            _ => Body::GetBulk(GetBulk {
                non_repeaters: query.non_repeaters,
                max_repetitions: query.repetitions,
                ranges,
            }),
        };
        let deadline = now + timeout;
        let packet = Packet { session: session_id, transaction: id, sent: now, deadline, query: Query::Read(query) };
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

/// Returns the PDU for these queries. Those for a single varbind must come first.
fn read_query(read: &Read, session: &Session, queries: &[RangeQuery], pieces: Vec<(u32, u32)>) -> ReadQuery {
    let non_repeaters = match session.bulk_support {
        BulkSupport::Unsupported => queries.len(),
        BulkSupport::Unknown { .. } | BulkSupport::Supported if read.is_cautious => queries.len(),
        BulkSupport::Unknown { .. } | BulkSupport::Supported => {
            queries.iter().take_while(|query| query.repetitions <= 1).count()
        }
    };
    let repeated = queries.len() - non_repeaters;
    let pdu_type = match (read.kind, repeated) {
        (Kind::Get, _) => PduType::Get,
        (_, 0) => PduType::GetNext,
        _ => PduType::GetBulk,
    };
    let max = MAX_PDU_VARBINDS.saturating_sub(non_repeaters).checked_div(repeated).unwrap_or(1).max(1);
    let needed = queries.iter().map(|query| query.repetitions).max().unwrap_or(1);
    ReadQuery {
        pdu_type,
        pieces,
        non_repeaters: u16::try_from(non_repeaters).unwrap_or(u16::MAX),
        repetitions: u16::try_from(needed.min(max)).unwrap_or(u16::MAX),
    }
}

/// Marks all pieces of a query as failed.
fn fail_query(read: &mut Read, query: &ReadQuery) {
    for &(column, piece) in &query.pieces {
        read.fail_piece(column, piece, column);
    }
}

/// Handles a response with an error. If the query was for more than the next instances, they are queried again alone.
/// Otherwise the variable that the response names fails.
fn handle_error_response(read: &mut Read, query: &ReadQuery, index: u16) {
    let columns = query.pieces.chunk_by(|a, b| a.0 == b.0).count();
    if query.pdu_type == PduType::GetBulk || columns < query.pieces.len() {
        read.is_cautious = true;
        for &(column, piece) in &query.pieces {
            read.cut_piece(column, piece);
        }
        return;
    }
    let failed = usize::from(index).checked_sub(1).and_then(|range| query.pieces.get(range));
    let failed_column = failed.or(query.pieces.first()).map_or(0, |(column, _)| *column);
    for &(column, piece) in &query.pieces {
        read.fail_piece(column, piece, failed_column);
    }
}

/// Returns how many varbinds to query at once after `skipped` instances were skipped.
fn skip_repetitions(skipped: usize) -> usize {
    (skipped * 2).min(MAX_SKIP_REPETITIONS)
}

fn set_range(range: &mut SearchRange, from: &[SubId], include: bool, end: &[SubId]) {
    // This cannot fail: the names come from OIDs.
    let _ = (range.start.assign(from), range.end.assign(end));
    range.include = include;
}

/// Replaces a range that includes its start with an equivalent one that begins at the last possible name before it.
/// net-snmp's library (5.9.3) applies `include` to every repetition of a GetBulk, and finds the same instance
/// repeatedly.
fn exclude_start(range: &mut SearchRange) {
    let Some((last, parent)) = range.start.split_last().filter(|_| range.include) else { return };
    let mut before = parent.to_vec();
    if let Some(sibling) = last.checked_sub(1) {
        before.push(sibling);
        before.resize(Oid::MAX_LEN, SubId::MAX);
    }
    range.include = range.start.assign(&before).is_err();
}

/// Narrows the index of a column. It always fits, because a message of 64 KiB holds the columns.
fn narrow(column: usize) -> u32 {
    u32::try_from(column).unwrap_or(u32::MAX)
}
