//! A Get, GetNext or GetBulk on its way: what has come of it, and in which order it goes out.

mod answer;
mod column;

use std::time::Instant;

use agentx::{Context, Oid, SubId, ValueRef};

use self::column::{Column, Next};
pub(super) use self::column::{Piece, State};
use super::{Operation, Request, Token};
use crate::varbind_list::VarBindList;

/// The most regions that one column asks at once.
const WIDEST: usize = 64;
/// The most regions that one request asks at once, where it has fewer columns.
const MOST_PIECES: usize = 4_096;
/// Octets that any varbind takes in BER at least: four headers, and one octet of name.
const LEAST_VARBIND: usize = 7;
/// The most memory of a request that is kept for the next one: so many columns.
const KEPT_COLUMNS: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Get,
    Next,
    Bulk,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// What is to be answered is complete.
    Done,
    /// It is longer than there is room for.
    TooBig,
    /// The variable in this column cannot be read.
    Failed(usize),
}

/// What a column needs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// Nothing, or what it has been asked for already.
    Nothing,
    /// More of a piece that has answered.
    More { piece: usize, count: usize },
    /// What follows all its pieces: so many varbinds, where it holds so many octets of them.
    Further { due: usize, octets: usize },
}

/// A request to read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) token: Token,
    pub(super) context: Context,
    pub(super) kind: Kind,
    /// Ask one thing at a time and nothing ahead: a subagent has refused more.
    pub(super) is_cautious: bool,
    pub(super) begun: Instant,
    pub(super) over: Option<Over>,
    /// Answers that are awaited.
    pub(super) outstanding: usize,
    room: usize,
    without_counter64: bool,
    columns: Vec<Column>,
    spare: Vec<Column>,
    non_repeaters: usize,
    rows: usize,
    /// What goes out, in order; and where the next varbind of it belongs.
    out: VarBindList,
    row: usize,
    at: usize,
    /// Whether any repeated column has yet had an instance in this row.
    is_live: bool,
}

impl Read {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            token: Token(0),
            context: Context::default(),
            kind: Kind::Get,
            is_cautious: false,
            begun: now,
            over: None,
            outstanding: 0,
            room: 0,
            without_counter64: false,
            columns: Vec::new(),
            spare: Vec::new(),
            non_repeaters: 0,
            rows: 1,
            out: VarBindList::default(),
            row: 0,
            at: 0,
            is_live: false,
        }
    }

    /// Begins anew with another request, in the memory that there is. A Set is none to read: it asks for nothing.
    pub(super) fn begin(&mut self, request: Request, now: Instant) {
        let Request { token, context, operation, room, without_counter64 } = request;
        let (kind, names, once, rows) = match operation {
            Operation::Get(names) => (Kind::Get, names, usize::MAX, 1),
            Operation::GetNext(names) => (Kind::Next, names, usize::MAX, 1),
            Operation::GetBulk { non_repeaters, max_repetitions, mut names } => {
                let once = usize::try_from(non_repeaters).unwrap_or(usize::MAX);
                if max_repetitions == 0 {
                    names.truncate(once);
                }
                (Kind::Bulk, names, once, usize::try_from(max_repetitions).unwrap_or(usize::MAX).max(1))
            }
            Operation::Set(_) => (Kind::Get, Vec::new(), 0, 1),
        };
        self.spare.append(&mut self.columns);
        self.spare.truncate(names.len().max(KEPT_COLUMNS));
        self.non_repeaters = once.min(names.len());
        for name in names {
            let mut column = self.spare.pop().unwrap_or_default();
            column.begin(name);
            self.columns.push(column);
        }
        (self.token, self.context, self.kind, self.rows) = (token, Context(context), kind, rows);
        (self.room, self.without_counter64, self.begun) = (room, without_counter64, now);
        (self.is_cautious, self.over, self.outstanding) = (false, None, 0);
        (self.row, self.at, self.is_live) = (0, 0, false);
        self.out.clear();
    }

    /// Gives back what an unusual request took.
    pub(super) fn rest(&mut self) {
        self.columns.truncate(KEPT_COLUMNS);
        self.spare.truncate(KEPT_COLUMNS.saturating_sub(self.columns.len()));
        for column in self.columns.iter_mut().chain(&mut self.spare) {
            column.rest();
        }
    }

    pub(super) fn take_out(&mut self) -> VarBindList {
        std::mem::take(&mut self.out)
    }

    pub(super) fn columns(&self) -> usize {
        self.columns.len()
    }

    /// Copies the name of a column.
    pub(super) fn name_into(&self, column: usize, name: &mut Oid) {
        if let Some(column) = self.columns.get(column) {
            name.clone_from(&column.name);
        }
    }

    /// Which piece of a column it is, from the first.
    pub(super) fn place(&self, column: usize, id: u32) -> Option<usize> {
        self.columns.get(column)?.pieces().position(|piece| piece.id == id)
    }

    /// Whether the asker is not shown such a value.
    pub(super) fn passes_by(&self, value: ValueRef<'_>) -> bool {
        self.without_counter64 && matches!(value, ValueRef::Counter64(_))
    }

    pub(super) fn column_mut(&mut self, column: usize) -> Option<&mut Column> {
        self.columns.get_mut(column)
    }

    /// The piece of a column, unless nobody waits for it any more.
    pub(super) fn piece(&self, column: u32, piece: u32) -> Option<&Piece> {
        self.columns.get(column as usize)?.pieces().find(|known| known.id == piece)
    }

    /// The column where the next varbind that goes out belongs.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// How many regions a column may ask at once.
    pub(super) fn widest(&self) -> usize {
        if self.is_cautious { 1 } else { (MOST_PIECES / self.columns.len().max(1)).clamp(1, WIDEST) }
    }

    /// What a column has to be asked next.
    pub(super) fn want(&self, index: usize) -> Want {
        let Some(column) = self.columns.get(index) else { return Want::Nothing };
        let rows = if index < self.non_repeaters { 1 } else { self.rows };
        let given = self.row + usize::from(self.at > index);
        let (mut held, mut octets) = (0, 0);
        for (number, piece) in column.pieces().enumerate() {
            held += piece.held();
            octets += piece.held_octets();
            let due = rows.saturating_sub(given + held);
            match piece.state {
                State::Asked | State::Failed { .. } => return Want::Nothing,
                State::Exhausted => {}
                State::Open => {
                    return match self.fitting(index, octets, piece.common_arcs()).min(due) {
                        0 => Want::Nothing,
                        count => Want::More { piece: number, count },
                    };
                }
            }
        }
        match rows.saturating_sub(given + held) {
            due @ 1.. if !column.is_ended => Want::Further { due, octets },
            _ => Want::Nothing,
        }
    }

    /// How many more varbinds of a column can find room, where it already holds `octets` of them and the names of those
    /// that are to come have so many arcs in common: each takes these, and the other columns some in each row.
    pub(super) fn fitting(&self, index: usize, octets: usize, common_arcs: usize) -> usize {
        let others = if index < self.non_repeaters { 0 } else { self.repeaters() - 1 };
        let room = self.room.saturating_sub(self.out.octets().len());
        room.checked_sub(octets).map_or(0, |room| 1 + room / (LEAST_VARBIND + common_arcs + others * LEAST_VARBIND))
    }

    fn repeaters(&self) -> usize {
        self.columns.len() - self.non_repeaters
    }

    /// Answers a column of a Get.
    pub(super) fn put(&mut self, column: usize, name: &[SubId], value: ValueRef<'_>) {
        let value = if self.passes_by(value) { ValueRef::NoSuchInstance } else { value };
        if self.over.is_none() && self.at == column {
            self.emit(name, value);
            self.pump();
        } else if let Some(column) = self.columns.get_mut(column) {
            column.hold(name, value);
        }
    }

    /// Takes an instance that was found in a piece. The caller has checked that it belongs there.
    pub(super) fn found(&mut self, index: usize, piece: usize, name: &[SubId], value: ValueRef<'_>) {
        let is_next = self.over.is_none() && self.at == index && piece == 0;
        let passes_by = self.passes_by(value);
        let Some(column) = self.columns.get_mut(index) else { return };
        column.passed_by += usize::from(passes_by);
        let Some(piece) = column.piece_mut(piece) else { return };
        if passes_by {
            return piece.has_passed_by(name);
        }
        piece.has_found(name);
        if is_next && piece.held() == 0 {
            self.emit(name, value);
            self.pump();
        } else if piece.held_octets() <= self.room {
            // What comes after more than there is room for is not needed.
            piece.hold(name, value);
        }
    }

    fn emit(&mut self, name: &[SubId], value: ValueRef<'_>) {
        self.out.push(name, value);
        if self.out.octets().len() > self.room {
            self.out.truncate(self.out.len() - 1);
            return self.fill();
        }
        self.is_live |= self.at >= self.non_repeaters && value != ValueRef::EndOfMibView;
        self.at += 1;
    }

    /// There is no room for more.
    fn fill(&mut self) {
        let is_cut = self.kind == Kind::Bulk && !self.out.is_empty();
        self.over = Some(if is_cut { Over::Done } else { Over::TooBig });
    }

    /// Lets out what has come and is next.
    pub(super) fn pump(&mut self) {
        while self.over.is_none() {
            if self.at >= self.columns.len() {
                self.next_row();
                continue;
            }
            let Some(column) = self.columns.get_mut(self.at) else { return };
            match column.next() {
                Next::Waiting => return,
                Next::Failed { culprit } => self.fail(culprit),
                Next::Ended => {
                    let name = std::mem::take(&mut column.name);
                    let at = self.at;
                    self.emit(&name, ValueRef::EndOfMibView);
                    if let Some(column) = self.columns.get_mut(at) {
                        column.name = name;
                    }
                }
                Next::Held(varbind) => {
                    if self.out.octets().len() + varbind.len() > self.room {
                        return self.fill();
                    }
                    self.out.push_encoded(varbind);
                    column.let_out();
                    self.is_live |= self.at >= self.non_repeaters;
                    self.at += 1;
                }
            }
        }
    }

    fn next_row(&mut self) {
        self.row += 1;
        if self.row >= self.rows || self.repeaters() == 0 || !self.is_live {
            self.over = Some(Over::Done);
        }
        (self.at, self.is_live) = (self.non_repeaters, false);
    }

    /// A variable that was due cannot be read. Rows that are whole are answered all the same: RFC 3416 section 4.2.3
    /// lets a GetBulk end early once it has one, and whoever goes on from there learns of the error.
    pub(super) fn fail(&mut self, column: usize) {
        let beyond_first = self.out.len().checked_sub(self.columns.len());
        match beyond_first.filter(|_| self.kind == Kind::Bulk && !self.columns.is_empty()) {
            Some(repeated) => {
                let partial = repeated.checked_rem(self.repeaters()).unwrap_or_default();
                self.out.truncate(self.out.len() - partial);
                self.over = Some(Over::Done);
            }
            None => self.over = Some(Over::Failed(column)),
        }
    }

    /// A piece will not be answered: what it would have said cannot be read.
    pub(super) fn fail_piece(&mut self, column: u32, piece: u32, culprit: u32) {
        if let Some(piece) = self.asked_mut(column, piece) {
            piece.state = State::Failed { culprit: culprit as usize };
        }
    }

    /// A piece will not be answered by whom it was asked of: others are, from where it stands.
    pub(super) fn lose_piece(&mut self, column: u32, piece: u32) {
        if let Some(column) = self.columns.get_mut(column as usize) {
            column.cut(piece);
        }
    }

    fn asked_mut(&mut self, column: u32, piece: u32) -> Option<&mut Piece> {
        let column = self.columns.get_mut(column as usize)?;
        column.pieces_mut().find(|known| known.id == piece && known.state == State::Asked)
    }
}
