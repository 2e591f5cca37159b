//! The state of a Get, GetNext or GetBulk that is being answered. It puts the varbinds of all subagents into the order
//! of the response.

use std::time::Instant;

use agentx::{Context, Oid, SubId, ValueRef};

use super::column::{Column, Next, Piece, PieceState};
use crate::{
    pdu::{Operation, Request, Token, varbind_list::VarBindList},
    subagents::registry::SessionId,
};

/// The maximum number of regions that one column queries at once.
const MAX_WIDTH: usize = 64;
/// The maximum number of regions that one request queries at once, if it has fewer columns.
const MAX_PIECES: usize = 4_096;
/// The minimum length of an encoded varbind, in octets: three headers of two octets and a name of one octet.
const MIN_VARBIND_OCTETS: usize = 7;
/// The maximum number of columns whose memory is kept for the next request.
const KEPT_COLUMNS: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::subagents::dispatch) enum Kind {
    Get,
    GetNext,
    GetBulk,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::subagents::dispatch) enum Completion {
    /// The response is complete.
    Complete,
    /// The response exceeds the room.
    TooBig,
    /// The variable of the column at this index cannot be read.
    Failed(usize),
}

/// What a column must query next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::subagents::dispatch) enum Need {
    /// Nothing, or the query is outstanding.
    Nothing,
    /// More varbinds of a piece whose subagent has responded.
    MoreOfPiece {
        /// The index of the piece.
        piece: usize,
        /// The number of varbinds.
        count: usize,
    },
    /// Varbinds of the regions that follow all pieces.
    NextRegions {
        /// The number of varbinds.
        count: usize,
        /// The number of octets that the column buffers already.
        octets: usize,
    },
}

/// A search range to query from a session.
#[derive(Debug)]
pub(in crate::subagents::dispatch) struct RangeQuery {
    pub(super) session: SessionId,
    pub(super) timeout_s: u8,
    pub(super) repetitions: usize,
    /// The index of the column.
    pub(super) column: u32,
    /// The id of the piece.
    pub(super) piece: u32,
}

/// A request to read.
#[derive(Debug)]
pub(in crate::subagents::dispatch) struct Read {
    pub(in crate::subagents::dispatch) token: Token,
    pub(in crate::subagents::dispatch) context: Context,
    pub(in crate::subagents::dispatch) kind: Kind,
    /// Whether to query single instances only, because a subagent has answered a larger query with an error.
    pub(in crate::subagents::dispatch) is_cautious: bool,
    pub(in crate::subagents::dispatch) begun: Instant,
    pub(in crate::subagents::dispatch) completion: Option<Completion>,
    /// The number of outstanding packets.
    pub(in crate::subagents::dispatch) outstanding: usize,
    /// The maximum length of the response's varbinds, in octets.
    room: usize,
    without_counter64: bool,
    pub(super) columns: Vec<Column>,
    spare: Vec<Column>,
    non_repeaters: usize,
    /// The number of rows: the repetitions of a GetBulk, 1 for others.
    rows: usize,
    /// The varbinds of the response so far.
    pub(super) out: VarBindList,
    /// The row of the next varbind of the response.
    row: usize,
    /// The column of the next varbind of the response.
    column: usize,
    /// Whether a repeated column has had an instance in this row.
    row_has_instance: bool,
}

impl Read {
    pub(in crate::subagents::dispatch) fn new(now: Instant) -> Self {
        Self {
            token: Token(0),
            context: Context::default(),
            kind: Kind::Get,
            is_cautious: false,
            begun: now,
            completion: None,
            outstanding: 0,
            room: 0,
            without_counter64: false,
            columns: Vec::new(),
            spare: Vec::new(),
            non_repeaters: 0,
            rows: 1,
            out: VarBindList::default(),
            row: 0,
            column: 0,
            row_has_instance: false,
        }
    }

    /// Resets the state for another request and reuses its memory. A Set reads nothing.
    pub(in crate::subagents::dispatch) fn reset(&mut self, request: Request, now: Instant) {
        let Request { token, context, operation, room, without_counter64 } = request;
        let (kind, names, non_repeaters, rows) = match operation {
            Operation::Get(names) => (Kind::Get, names, usize::MAX, 1),
            Operation::GetNext(names) => (Kind::GetNext, names, usize::MAX, 1),
            Operation::GetBulk { non_repeaters, max_repetitions, mut names } => {
                let non_repeaters = usize::try_from(non_repeaters).unwrap_or(usize::MAX);
                if max_repetitions == 0 {
                    names.truncate(non_repeaters);
                }
                (Kind::GetBulk, names, non_repeaters, usize::try_from(max_repetitions).unwrap_or(usize::MAX).max(1))
            }
            Operation::Set(_) => (Kind::Get, Vec::new(), 0, 1),
        };
        self.spare.append(&mut self.columns);
        self.spare.truncate(names.len().max(KEPT_COLUMNS));
        self.non_repeaters = non_repeaters.min(names.len());
        for name in names {
            let mut column = self.spare.pop().unwrap_or_default();
            column.reset(name);
            self.columns.push(column);
        }
        (self.token, self.context, self.kind, self.rows) = (token, Context(context), kind, rows);
        (self.room, self.without_counter64, self.begun) = (room, without_counter64, now);
        (self.is_cautious, self.completion, self.outstanding) = (false, None, 0);
        (self.row, self.column, self.row_has_instance) = (0, 0, false);
        self.out.clear();
    }

    /// Releases the memory of an unusually large request.
    pub(in crate::subagents::dispatch) fn shrink(&mut self) {
        self.columns.truncate(KEPT_COLUMNS);
        self.spare.truncate(KEPT_COLUMNS.saturating_sub(self.columns.len()));
        for column in self.columns.iter_mut().chain(&mut self.spare) {
            column.shrink();
        }
    }

    /// Removes and returns the varbinds of the response.
    pub(in crate::subagents::dispatch) fn take_out(&mut self) -> VarBindList {
        std::mem::take(&mut self.out)
    }

    /// Returns the number of columns.
    pub(in crate::subagents::dispatch) fn columns(&self) -> usize {
        self.columns.len()
    }

    /// Copies the name of a column.
    pub(in crate::subagents::dispatch) fn name_into(&self, column: usize, name: &mut Oid) {
        if let Some(column) = self.columns.get(column) {
            name.clone_from(&column.name);
        }
    }

    /// Returns the index of a piece in its column.
    pub(in crate::subagents::dispatch) fn piece_index(&self, column: usize, id: u32) -> Option<usize> {
        self.columns.get(column)?.pieces().position(|piece| piece.id == id)
    }

    /// Returns whether instances with this value are skipped.
    pub(in crate::subagents::dispatch) fn skips(&self, value: ValueRef<'_>) -> bool {
        self.without_counter64 && matches!(value, ValueRef::Counter64(_))
    }

    pub(in crate::subagents::dispatch) fn column_mut(&mut self, column: usize) -> Option<&mut Column> {
        self.columns.get_mut(column)
    }

    /// Returns a piece of a column, unless it is no longer needed.
    pub(in crate::subagents::dispatch) fn piece(&self, column: u32, id: u32) -> Option<&Piece> {
        self.columns.get(column as usize)?.pieces().find(|piece| piece.id == id)
    }

    /// Returns the column of the next varbind of the response.
    pub(in crate::subagents::dispatch) fn next_column(&self) -> usize {
        self.column
    }

    /// Returns how many regions a column may query at once.
    pub(in crate::subagents::dispatch) fn max_width(&self) -> usize {
        if self.is_cautious { 1 } else { (MAX_PIECES / self.columns.len().max(1)).clamp(1, MAX_WIDTH) }
    }

    /// Returns what a column must query next.
    pub(in crate::subagents::dispatch) fn need(&self, index: usize) -> Need {
        let Some(column) = self.columns.get(index) else { return Need::Nothing };
        let rows = if index < self.non_repeaters { 1 } else { self.rows };
        let emitted = self.row + usize::from(self.column > index);
        let (mut buffered, mut octets) = (0, 0);
        for (number, piece) in column.pieces().enumerate() {
            buffered += piece.buffered();
            octets += piece.buffered_octets();
            let missing = rows.saturating_sub(emitted + buffered);
            match piece.state {
                PieceState::Queried | PieceState::Failed { .. } => return Need::Nothing,
                PieceState::Exhausted => {}
                PieceState::Open => {
                    return match self.max_fitting(index, octets, piece.common_arcs()).min(missing) {
                        0 => Need::Nothing,
                        count => Need::MoreOfPiece { piece: number, count },
                    };
                }
            }
        }
        match rows.saturating_sub(emitted + buffered) {
            count @ 1.. if !column.is_ended => Need::NextRegions { count, octets },
            _ => Need::Nothing,
        }
    }

    /// Returns an upper bound for the number of further varbinds of a column that fit into the response.
    ///
    /// The column buffers `octets` already, and the names to come have `common_arcs` arcs in common. Each varbind takes
    /// at least these octets, and each row also takes varbinds of the other columns.
    pub(in crate::subagents::dispatch) fn max_fitting(&self, index: usize, octets: usize, common_arcs: usize) -> usize {
        let others = if index < self.non_repeaters { 0 } else { self.repeaters() - 1 };
        let room = self.room.saturating_sub(self.out.octets().len());
        let row_octets = MIN_VARBIND_OCTETS + common_arcs + others * MIN_VARBIND_OCTETS;
        room.checked_sub(octets).map_or(0, |room| 1 + room / row_octets)
    }

    fn repeaters(&self) -> usize {
        self.columns.len() - self.non_repeaters
    }

    /// Adds the varbind of a column of a Get.
    pub(in crate::subagents::dispatch) fn add_instance(&mut self, column: usize, name: &[SubId], value: ValueRef<'_>) {
        let value = if self.skips(value) { ValueRef::NoSuchInstance } else { value };
        if self.completion.is_none() && self.column == column {
            self.emit(name, value);
            self.emit_buffered();
        } else if let Some(column) = self.columns.get_mut(column) {
            column.buffer(name, value);
        }
    }

    /// Adds an instance that was found in a piece. The caller has checked that it belongs to the piece.
    pub(in crate::subagents::dispatch) fn add_next(
        &mut self,
        index: usize,
        piece: usize,
        name: &[SubId],
        value: ValueRef<'_>,
    ) {
        let is_next = self.completion.is_none() && self.column == index && piece == 0;
        let skips = self.skips(value);
        let Some(column) = self.columns.get_mut(index) else { return };
        column.skipped += usize::from(skips);
        let Some(piece) = column.piece_mut(piece) else { return };
        if skips {
            return piece.advance_skipped(name);
        }
        piece.advance_visible(name);
        if is_next && piece.buffered() == 0 {
            self.emit(name, value);
            self.emit_buffered();
        } else if piece.buffered_octets() <= self.room {
            // Varbinds beyond the room are not needed.
            piece.buffer(name, value);
        }
    }

    /// Appends a varbind to the response.
    fn emit(&mut self, name: &[SubId], value: ValueRef<'_>) {
        self.out.push(name, value);
        if self.out.octets().len() > self.room {
            self.out.truncate(self.out.len() - 1);
            return self.complete_without_room();
        }
        self.row_has_instance |= self.column >= self.non_repeaters && value != ValueRef::EndOfMibView;
        self.column += 1;
    }

    /// Completes the request because the next varbind does not fit.
    fn complete_without_room(&mut self) {
        let may_truncate = self.kind == Kind::GetBulk && !self.out.is_empty();
        self.completion = Some(if may_truncate { Completion::Complete } else { Completion::TooBig });
    }

    /// Appends buffered varbinds to the response as far as its order allows.
    pub(in crate::subagents::dispatch) fn emit_buffered(&mut self) {
        while self.completion.is_none() {
            if self.column >= self.columns.len() {
                self.next_row();
                continue;
            }
            let Some(column) = self.columns.get_mut(self.column) else { return };
            match column.next() {
                Next::Pending => return,
                Next::Failed { column } => self.fail(column),
                Next::EndOfMibView => {
                    let name = std::mem::take(&mut column.name);
                    let index = self.column;
                    self.emit(&name, ValueRef::EndOfMibView);
                    if let Some(column) = self.columns.get_mut(index) {
                        column.name = name;
                    }
                }
                Next::Varbind(varbind) => {
                    if self.out.octets().len() + varbind.len() > self.room {
                        return self.complete_without_room();
                    }
                    self.out.push_encoded(varbind);
                    column.mark_emitted();
                    self.row_has_instance |= self.column >= self.non_repeaters;
                    self.column += 1;
                }
            }
        }
    }

    fn next_row(&mut self) {
        self.row += 1;
        if self.row >= self.rows || self.repeaters() == 0 || !self.row_has_instance {
            self.completion = Some(Completion::Complete);
        }
        (self.column, self.row_has_instance) = (self.non_repeaters, false);
    }

    /// Completes the request because the next variable of the response cannot be read.
    ///
    /// A GetBulk returns the complete rows, if there is at least one: RFC 3416 section 4.2.3 allows fewer rows than
    /// requested, and a manager that continues from there gets the error.
    pub(in crate::subagents::dispatch) fn fail(&mut self, column: usize) {
        let beyond_first = self.out.len().checked_sub(self.columns.len());
        match beyond_first.filter(|_| self.kind == Kind::GetBulk && !self.columns.is_empty()) {
            Some(repeated) => {
                let partial = repeated.checked_rem(self.repeaters()).unwrap_or_default();
                self.out.truncate(self.out.len() - partial);
                self.completion = Some(Completion::Complete);
            }
            None => self.completion = Some(Completion::Failed(column)),
        }
    }

    /// Marks a queried piece as failed.
    pub(in crate::subagents::dispatch) fn fail_piece(&mut self, column: u32, id: u32, failed_column: u32) {
        if let Some(piece) = self.queried_piece_mut(column, id) {
            piece.state = PieceState::Failed { column: failed_column as usize };
        }
    }

    /// Cuts a piece. The session that serves its region now is queried from the position of the search.
    pub(in crate::subagents::dispatch) fn cut_piece(&mut self, column: u32, id: u32) {
        if let Some(column) = self.columns.get_mut(column as usize) {
            column.cut(id);
        }
    }

    /// Returns a piece if its query is outstanding.
    pub(super) fn queried_piece_mut(&mut self, column: u32, id: u32) -> Option<&mut Piece> {
        let column = self.columns.get_mut(column as usize)?;
        column.pieces_mut().find(|piece| piece.id == id && piece.state == PieceState::Queried)
    }
}
