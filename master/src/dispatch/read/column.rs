//! One name of a request to read, and what follows it: found in pieces of the tree, each served by one subagent.

use std::collections::VecDeque;

use agentx::{Oid, SubId, ValueRef};

use crate::varbind_list::VarBindList;

/// Octets of found varbinds for which a piece keeps its memory.
const KEPT: usize = 2 << 10;

/// How far a piece has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dispatch) enum State {
    /// A subagent has been asked.
    Asked,
    /// It has answered, and there may be more.
    Open,
    /// There is no more.
    Exhausted,
    /// It will not be answered, for the sake of what was asked in this column.
    Failed {
        /// The column.
        culprit: usize,
    },
}

/// Which name is the last that a piece shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    /// It has shown none.
    None,
    /// The one where the search stands.
    AtFrom,
    /// One before that: what was found since is passed by.
    Before,
}

/// Part of the tree that one subagent serves.
#[derive(Debug)]
pub(in crate::dispatch) struct Piece {
    /// Its number in its column.
    pub(in crate::dispatch) id: u32,
    /// Where the search stands, and whether an instance of this very name is still to be found.
    pub(in crate::dispatch) from: Oid,
    pub(in crate::dispatch) include: bool,
    /// The first name that does not belong to it. Empty: there is no end.
    pub(in crate::dispatch) end: Oid,
    pub(in crate::dispatch) state: State,
    last: Last,
    /// The last name that is shown, where those found since are passed by.
    shown: Oid,
    /// It ends where it stands, and not at its end: another goes on from there.
    is_cut: bool,
    /// What has been found and not let out yet.
    found: VarBindList,
    let_out: usize,
    octets_let_out: usize,
}

impl Piece {
    fn new() -> Self {
        Self {
            id: 0,
            from: Oid::default(),
            include: false,
            end: Oid::default(),
            state: State::Asked,
            last: Last::None,
            shown: Oid::default(),
            is_cut: false,
            found: VarBindList::default(),
            let_out: 0,
            octets_let_out: 0,
        }
    }

    /// How many varbinds it holds.
    pub(super) fn held(&self) -> usize {
        self.found.len() - self.let_out
    }

    /// How many octets they take.
    pub(in crate::dispatch) fn held_octets(&self) -> usize {
        self.found.octets().len() - self.octets_let_out
    }

    pub(super) fn hold(&mut self, name: &[SubId], value: ValueRef<'_>) {
        self.found.push(name, value);
    }

    /// How many it holds or has held, to come back to.
    pub(super) fn mark(&self) -> usize {
        self.found.len()
    }

    /// Forgets what it came to hold after the mark, as far as that is still here.
    pub(super) fn forget_after(&mut self, mark: usize) {
        self.found.truncate(mark.max(self.let_out));
    }

    /// An instance of this name has been found.
    pub(super) fn has_found(&mut self, name: &[SubId]) {
        self.last = Last::AtFrom;
        self.go_on_after(name);
    }

    /// An instance of this name has been found, and is not shown.
    pub(super) fn has_passed_by(&mut self, name: &[SubId]) {
        if self.last == Last::AtFrom {
            self.shown.clone_from(&self.from);
            self.last = Last::Before;
        }
        self.go_on_after(name);
    }

    /// The last name that was found and is shown.
    fn last_shown(&self) -> Option<&Oid> {
        match self.last {
            Last::None => None,
            Last::AtFrom => Some(&self.from),
            Last::Before => Some(&self.shown),
        }
    }

    fn go_on_after(&mut self, name: &[SubId]) {
        // A name that came in a PDU has no more arcs than an OID may have.
        if self.from.assign(name).is_ok() {
            self.include = false;
        }
    }

    /// How many arcs all names in it begin with.
    pub(in crate::dispatch) fn common_arcs(&self) -> usize {
        self.from.iter().zip(self.end.iter()).take_while(|(from, end)| from == end).count()
    }
}

/// What a column has to give next.
#[derive(Debug)]
pub(super) enum Next<'a> {
    /// Nothing yet.
    Waiting,
    /// This varbind, in BER.
    Held(&'a [u8]),
    /// endOfMibView.
    Ended,
    /// An error.
    Failed { culprit: usize },
}

/// A name of a request to read.
#[derive(Debug, Default)]
pub(in crate::dispatch) struct Column {
    /// The name in the request, and once something has been found after it, the last name that was.
    pub(super) name: Oid,
    /// Where the search goes on once all pieces are used up.
    cursor: Oid,
    include: bool,
    /// Nothing follows the pieces.
    pub(in crate::dispatch) is_ended: bool,
    /// How many regions are asked at once, once one has turned out to be used up.
    pub(in crate::dispatch) gallop: usize,
    /// Instances that were found and passed by.
    pub(in crate::dispatch) passed_by: usize,
    pieces: VecDeque<Piece>,
    spare: Option<Piece>,
    last_id: u32,
}

impl Column {
    pub(super) fn begin(&mut self, name: Oid) {
        self.retire_after(0);
        self.cursor.clear();
        // The request's names have no more arcs than an OID may have.
        let _ = self.cursor.assign(&name);
        self.name = name;
        (self.include, self.is_ended, self.gallop, self.passed_by) = (false, false, 1, 0);
    }

    /// Gives back what an unusual request took.
    pub(super) fn rest(&mut self) {
        self.retire_after(0);
        self.pieces.shrink_to(4);
    }

    pub(super) fn pieces(&self) -> impl DoubleEndedIterator<Item = &Piece> {
        self.pieces.iter()
    }

    pub(super) fn pieces_mut(&mut self) -> impl Iterator<Item = &mut Piece> {
        self.pieces.iter_mut()
    }

    pub(in crate::dispatch) fn piece_mut(&mut self, piece: usize) -> Option<&mut Piece> {
        self.pieces.get_mut(piece)
    }

    /// Where to search for what follows all pieces.
    pub(in crate::dispatch) fn cursor(&self) -> (&[SubId], bool) {
        match self.pieces.back() {
            None => (&self.cursor, self.include),
            Some(last) if last.is_cut => (&last.from, last.include),
            Some(last) => (&last.end, true),
        }
    }

    /// Adds a piece, whose subagent is being asked.
    pub(in crate::dispatch) fn add(&mut self, from: &[SubId], include: bool, end: &[SubId]) -> &mut Piece {
        let mut piece = self.spare.take().unwrap_or_else(Piece::new);
        self.last_id = self.last_id.wrapping_add(1);
        piece.id = self.last_id;
        // Names in the registry have no more arcs than an OID may have; where they had, the region is as long as all.
        let _ = (piece.from.assign(from), piece.end.assign(end));
        (piece.include, piece.state, piece.last, piece.is_cut) = (include, State::Asked, Last::None, false);
        (piece.let_out, piece.octets_let_out) = (0, 0);
        piece.found.clear();
        self.is_ended |= end.is_empty();
        self.pieces.push_back_mut(piece)
    }

    /// Ends the piece where it stands, and forgets all that follow.
    pub(super) fn cut(&mut self, id: u32) {
        let Some(at) = self.pieces.iter().position(|piece| piece.id == id) else { return };
        self.retire_after(at + 1);
        if let Some(piece) = self.pieces.get_mut(at) {
            (piece.state, piece.is_cut) = (State::Exhausted, true);
        }
        self.is_ended = false;
    }

    fn retire_after(&mut self, len: usize) {
        while self.pieces.len() > len {
            let Some(piece) = self.pieces.pop_back() else { return };
            self.retire(piece);
        }
    }

    fn retire(&mut self, piece: Piece) {
        if piece.found.octets().len() <= KEPT {
            self.spare = Some(piece);
        }
    }

    /// Answers a Get.
    pub(super) fn hold(&mut self, name: &[SubId], value: ValueRef<'_>) {
        if self.pieces.is_empty() {
            self.add(&[], false, &[]);
        }
        if let Some(piece) = self.pieces.front_mut() {
            piece.hold(name, value);
            piece.state = State::Exhausted;
        }
    }

    /// What comes next. Pieces that are used up are left behind.
    pub(super) fn next(&mut self) -> Next<'_> {
        loop {
            match self.pieces.front().map(|piece| (piece.held(), piece.state)) {
                None if self.is_ended => return Next::Ended,
                None | Some((0, State::Asked | State::Open)) => return Next::Waiting,
                Some((0, State::Failed { culprit })) => return Next::Failed { culprit },
                Some((0, State::Exhausted)) => self.leave_front(),
                Some(_) => break,
            }
        }
        let front = self.pieces.front();
        front.and_then(|piece| piece.found.get(piece.let_out)).map_or(Next::Waiting, Next::Held)
    }

    /// What [`Self::next`] gave has gone out.
    pub(super) fn let_out(&mut self) {
        if let Some(piece) = self.pieces.front_mut() {
            piece.octets_let_out += piece.found.get(piece.let_out).map_or(0, <[u8]>::len);
            piece.let_out += 1;
        }
    }

    fn leave_front(&mut self) {
        let Some(mut piece) = self.pieces.pop_front() else { return };
        if let Some(shown) = piece.last_shown() {
            let _ = self.name.assign(shown);
        }
        if piece.is_cut {
            std::mem::swap(&mut self.cursor, &mut piece.from);
            self.include = piece.include;
        } else {
            std::mem::swap(&mut self.cursor, &mut piece.end);
            self.include = true;
        }
        self.retire(piece);
    }
}
