//! A column of a request to read: one requested name and the instances that follow it. They are found in pieces of the
//! OID tree, each served by one subagent.

use std::collections::VecDeque;

use agentx::{Oid, SubId, ValueRef};

use crate::pdu::varbind_list::VarBindList;

/// A piece with at most this many octets of varbinds is kept for reuse.
const KEPT_OCTETS: usize = 2 << 10;

/// The state of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::subagents::dispatch) enum PieceState {
    /// A query is outstanding.
    Queried,
    /// The subagent has responded, and there may be more instances.
    Open,
    /// There are no more instances.
    Exhausted,
    /// The piece cannot be read because the query of this column failed.
    Failed {
        /// The index of the column whose query failed.
        column: usize,
    },
}

/// The position of the last visible instance of a piece. Instances that SNMPv1 does not support are not visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LastVisible {
    /// No visible instance was found.
    None,
    /// It is at the position of the search.
    AtPosition,
    /// It is before that; the instances found since were skipped.
    Before,
}

/// A part of the OID tree that one subagent serves.
#[derive(Debug)]
pub(in crate::subagents::dispatch) struct Piece {
    /// The id of the piece, unique in its column.
    pub(in crate::subagents::dispatch) id: u32,
    /// The position of the search.
    pub(in crate::subagents::dispatch) from: Oid,
    /// Whether the search includes an instance at `from` itself.
    pub(in crate::subagents::dispatch) include: bool,
    /// The end of the piece, exclusive. Empty if it has no end.
    pub(in crate::subagents::dispatch) end: Oid,
    pub(in crate::subagents::dispatch) state: PieceState,
    last_visible: LastVisible,
    /// The name of the last visible instance, if it is [`LastVisible::Before`].
    last_visible_name: Oid,
    /// Whether the piece ends at the position of its search instead of its end. The next piece continues from there.
    is_cut: bool,
    /// The varbinds found so far.
    found: VarBindList,
    /// How many varbinds of `found` were emitted.
    emitted: usize,
    emitted_octets: usize,
}

impl Piece {
    fn new() -> Self {
        Self {
            id: 0,
            from: Oid::default(),
            include: false,
            end: Oid::default(),
            state: PieceState::Queried,
            last_visible: LastVisible::None,
            last_visible_name: Oid::default(),
            is_cut: false,
            found: VarBindList::default(),
            emitted: 0,
            emitted_octets: 0,
        }
    }

    /// Returns the number of varbinds that were found but not emitted.
    pub(super) fn buffered(&self) -> usize {
        self.found.len() - self.emitted
    }

    /// Returns the length of the buffered varbinds, in octets.
    pub(in crate::subagents::dispatch) fn buffered_octets(&self) -> usize {
        self.found.octets().len() - self.emitted_octets
    }

    /// Appends a varbind to the buffer.
    pub(super) fn buffer(&mut self, name: &[SubId], value: ValueRef<'_>) {
        self.found.push(name, value);
    }

    /// Returns the number of varbinds found so far, as a mark for [`Self::truncate_to`].
    pub(super) fn mark(&self) -> usize {
        self.found.len()
    }

    /// Removes the varbinds found after the mark that were not emitted.
    pub(super) fn truncate_to(&mut self, mark: usize) {
        self.found.truncate(mark.max(self.emitted));
    }

    /// Advances the search after a visible instance was found.
    pub(super) fn advance_visible(&mut self, name: &[SubId]) {
        self.last_visible = LastVisible::AtPosition;
        self.advance(name);
    }

    /// Advances the search after an instance was skipped.
    pub(super) fn advance_skipped(&mut self, name: &[SubId]) {
        if self.last_visible == LastVisible::AtPosition {
            self.last_visible_name.clone_from(&self.from);
            self.last_visible = LastVisible::Before;
        }
        self.advance(name);
    }

    /// Returns the name of the last visible instance.
    fn last_visible(&self) -> Option<&Oid> {
        match self.last_visible {
            LastVisible::None => None,
            LastVisible::AtPosition => Some(&self.from),
            LastVisible::Before => Some(&self.last_visible_name),
        }
    }

    fn advance(&mut self, name: &[SubId]) {
        // This cannot fail: a name from a PDU is not longer than an OID may be.
        if self.from.assign(name).is_ok() {
            self.include = false;
        }
    }

    /// Returns how many leading arcs all names in the piece have in common.
    pub(in crate::subagents::dispatch) fn common_arcs(&self) -> usize {
        self.from.iter().zip(self.end.iter()).take_while(|(from, end)| from == end).count()
    }
}

/// What a column emits next.
#[derive(Debug)]
pub(super) enum Next<'a> {
    /// Not known yet.
    Pending,
    /// This encoded varbind.
    Varbind(&'a [u8]),
    /// endOfMibView.
    EndOfMibView,
    /// An error.
    Failed {
        /// The index of the column whose query failed.
        column: usize,
    },
}

/// A name of a request to read.
#[derive(Debug, Default)]
pub(in crate::subagents::dispatch) struct Column {
    /// The requested name; later the name of the last visible instance.
    pub(super) name: Oid,
    /// Where the search continues when no pieces are left.
    cursor: Oid,
    include: bool,
    /// Whether nothing follows the pieces.
    pub(in crate::subagents::dispatch) is_ended: bool,
    /// How many regions are queried at once. It doubles each time that the regions so far were not enough.
    pub(in crate::subagents::dispatch) width: usize,
    /// The number of skipped instances.
    pub(in crate::subagents::dispatch) skipped: usize,
    pieces: VecDeque<Piece>,
    spare: Option<Piece>,
    last_id: u32,
}

impl Column {
    /// Resets the column for a new request.
    pub(super) fn reset(&mut self, name: Oid) {
        self.retire_after(0);
        self.cursor.clear();
        // This cannot fail: a name of a request is not longer than an OID may be.
        let _ = self.cursor.assign(&name);
        self.name = name;
        (self.include, self.is_ended, self.width, self.skipped) = (false, false, 1, 0);
    }

    /// Releases the memory of an unusually large request.
    pub(super) fn shrink(&mut self) {
        self.retire_after(0);
        self.pieces.shrink_to(4);
    }

    pub(super) fn pieces(&self) -> impl DoubleEndedIterator<Item = &Piece> {
        self.pieces.iter()
    }

    pub(super) fn pieces_mut(&mut self) -> impl Iterator<Item = &mut Piece> {
        self.pieces.iter_mut()
    }

    /// Returns the piece at this index.
    pub(in crate::subagents::dispatch) fn piece_mut(&mut self, index: usize) -> Option<&mut Piece> {
        self.pieces.get_mut(index)
    }

    /// Returns where the search continues after all pieces, and whether that name itself is included.
    pub(in crate::subagents::dispatch) fn cursor(&self) -> (&[SubId], bool) {
        match self.pieces.back() {
            None => (&self.cursor, self.include),
            Some(last) if last.is_cut => (&last.from, last.include),
            Some(last) => (&last.end, true),
        }
    }

    /// Adds a piece that is about to be queried.
    pub(in crate::subagents::dispatch) fn add(&mut self, from: &[SubId], include: bool, end: &[SubId]) -> &mut Piece {
        let mut piece = self.spare.take().unwrap_or_else(Piece::new);
        self.last_id = self.last_id.wrapping_add(1);
        piece.id = self.last_id;
        // This cannot fail: names in the registry are not longer than an OID may be.
        let _ = (piece.from.assign(from), piece.end.assign(end));
        (piece.include, piece.state) = (include, PieceState::Queried);
        (piece.last_visible, piece.is_cut) = (LastVisible::None, false);
        (piece.emitted, piece.emitted_octets) = (0, 0);
        piece.found.clear();
        self.is_ended |= end.is_empty();
        self.pieces.push_back_mut(piece)
    }

    /// Ends a piece at the position of its search, and removes all pieces after it.
    pub(super) fn cut(&mut self, id: u32) {
        let Some(index) = self.pieces.iter().position(|piece| piece.id == id) else { return };
        self.retire_after(index + 1);
        if let Some(piece) = self.pieces.get_mut(index) {
            (piece.state, piece.is_cut) = (PieceState::Exhausted, true);
        }
        self.is_ended = false;
    }

    fn retire_after(&mut self, len: usize) {
        while self.pieces.len() > len {
            let Some(piece) = self.pieces.pop_back() else { return };
            self.retire(piece);
        }
    }

    /// Keeps a removed piece for reuse.
    fn retire(&mut self, piece: Piece) {
        if piece.found.octets().len() <= KEPT_OCTETS {
            self.spare = Some(piece);
        }
    }

    /// Buffers the varbind of a Get.
    pub(super) fn buffer(&mut self, name: &[SubId], value: ValueRef<'_>) {
        if self.pieces.is_empty() {
            self.add(&[], false, &[]);
        }
        if let Some(piece) = self.pieces.front_mut() {
            piece.buffer(name, value);
            piece.state = PieceState::Exhausted;
        }
    }

    /// Returns what the column emits next, and removes exhausted pieces.
    pub(super) fn next(&mut self) -> Next<'_> {
        loop {
            match self.pieces.front().map(|piece| (piece.buffered(), piece.state)) {
                None if self.is_ended => return Next::EndOfMibView,
                None | Some((0, PieceState::Queried | PieceState::Open)) => return Next::Pending,
                Some((0, PieceState::Failed { column })) => return Next::Failed { column },
                Some((0, PieceState::Exhausted)) => self.remove_front(),
                Some(_) => break,
            }
        }
        let front = self.pieces.front();
        front.and_then(|piece| piece.found.get(piece.emitted)).map_or(Next::Pending, Next::Varbind)
    }

    /// Records that the varbind that [`Self::next`] returned was emitted.
    pub(super) fn mark_emitted(&mut self) {
        if let Some(piece) = self.pieces.front_mut() {
            piece.emitted_octets += piece.found.get(piece.emitted).map_or(0, <[u8]>::len);
            piece.emitted += 1;
        }
    }

    fn remove_front(&mut self) {
        let Some(mut piece) = self.pieces.pop_front() else { return };
        if let Some(name) = piece.last_visible() {
            let _ = self.name.assign(name);
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
