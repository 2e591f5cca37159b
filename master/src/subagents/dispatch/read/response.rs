//! Validation of subagents' responses to Get, GetNext and GetBulk.

use agentx::{PduType, ResponseRef, SubId, ValueRef, VarBindRef, VarBindScratch};

use super::{
    column::{Piece, PieceState},
    state::Read,
};
use crate::subagents::dispatch::packet::ReadQuery;

/// The error of a response that violates RFC 2741.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::subagents::dispatch) enum InvalidResponseError {
    /// The response has too few or too many varbinds.
    #[error("{varbinds} varbinds in the response to {ranges} search ranges")]
    Count {
        /// The number of varbinds.
        varbinds: usize,
        /// The number of search ranges.
        ranges: usize,
    },
    /// A name is not the queried one, out of order or out of range.
    #[error("varbind {varbind} has a name that was not queried")]
    Name {
        /// The varbind, from 1.
        varbind: usize,
    },
    /// A value is of a type that a response must not contain.
    #[error("varbind {varbind} has a value of an invalid type")]
    Type {
        /// The varbind, from 1.
        varbind: usize,
    },
}

impl Read {
    /// Adds the varbinds of a response without an error.
    ///
    /// # Errors
    /// Returns an error if the response is invalid. All its varbinds are discarded then, and all queried pieces fail.
    pub(in crate::subagents::dispatch) fn add_response(
        &mut self,
        query: &ReadQuery,
        response: &ResponseRef<'_>,
        scratch: &mut VarBindScratch,
    ) -> Result<(), InvalidResponseError> {
        let mark = self.out.len();
        let marks: Vec<usize> = query.pieces.iter().map(|piece| self.mark(*piece)).collect();
        match self.try_add_response(query, response, scratch) {
            Ok(()) => {
                self.emit_buffered();
                Ok(())
            }
            Err((error, failed_column)) => {
                for (piece, mark) in query.pieces.iter().zip(marks) {
                    self.discard(*piece, mark, failed_column);
                }
                if self.out.len() > mark {
                    self.out.truncate(mark);
                    self.fail(failed_column as usize);
                } else if self.completion.is_none() {
                    self.emit_buffered();
                }
                Err(error)
            }
        }
    }

    fn mark(&self, (column, piece): (u32, u32)) -> usize {
        self.piece(column, piece).map_or(0, Piece::mark)
    }

    /// Discards the varbinds of a piece after the mark, and marks it as failed.
    fn discard(&mut self, (column, id): (u32, u32), mark: usize, failed_column: u32) {
        let Some(column) = self.columns.get_mut(column as usize) else { return };
        if let Some(piece) = column.pieces_mut().find(|piece| piece.id == id) {
            piece.truncate_to(mark);
            piece.state = PieceState::Failed { column: failed_column as usize };
        }
    }

    /// Adds varbinds until one is invalid. The error contains its column.
    fn try_add_response(
        &mut self,
        query: &ReadQuery,
        response: &ResponseRef<'_>,
        scratch: &mut VarBindScratch,
    ) -> Result<(), (InvalidResponseError, u32)> {
        let mut varbinds = response.varbinds();
        let (count, max) = (varbinds.remaining(), query.max_varbinds());
        let min = if query.pdu_type == PduType::GetBulk { 1.min(max) } else { max };
        let first = query.pieces.first().map_or(0, |(column, _)| *column);
        if !(min..=max).contains(&count) {
            return Err((InvalidResponseError::Count { varbinds: count, ranges: query.pieces.len() }, first));
        }
        for index in 0..count {
            let Some(varbind) = varbinds.next_in(scratch) else { break };
            let Some(&(column, piece)) = query.pieces.get(query.range_of(index)) else { break };
            let added = match query.pdu_type {
                PduType::Get => self.add_get_varbind(column, piece, index + 1, varbind),
                kind => self.add_next_varbind(column, piece, index + 1, varbind, kind == PduType::GetBulk),
            };
            added.map_err(|error| (error, column))?;
        }
        for &(column, piece) in &query.pieces {
            if let Some(piece) = self.queried_piece_mut(column, piece) {
                piece.state = PieceState::Open;
            }
        }
        Ok(())
    }

    fn add_get_varbind(
        &mut self,
        column: u32,
        id: u32,
        number: usize,
        varbind: VarBindRef<'_>,
    ) -> Result<(), InvalidResponseError> {
        let VarBindRef { name, value } = varbind;
        let Some(piece) = self.queried_piece_mut(column, id) else { return Ok(()) };
        if name != piece.from.as_slice() {
            return Err(InvalidResponseError::Name { varbind: number });
        }
        if matches!(value, ValueRef::Null | ValueRef::EndOfMibView) {
            return Err(InvalidResponseError::Type { varbind: number });
        }
        piece.state = PieceState::Exhausted;
        self.add_instance(column as usize, name, value);
        Ok(())
    }

    fn add_next_varbind(
        &mut self,
        column: u32,
        id: u32,
        number: usize,
        varbind: VarBindRef<'_>,
        is_bulk: bool,
    ) -> Result<(), InvalidResponseError> {
        let VarBindRef { name, value } = varbind;
        let Some(pieces) = self.columns.get_mut(column as usize) else { return Ok(()) };
        // The piece is gone if it was queried ahead and is no longer needed.
        let Some(index) = pieces.pieces().position(|piece| piece.id == id) else { return Ok(()) };
        let Some(piece) = pieces.piece_mut(index) else { return Ok(()) };
        match value {
            // net-snmp's library ignores the end of the search range of a GetBulk.
            _ if is_bulk && piece.ends_before(name) => {
                if piece.state == PieceState::Queried {
                    piece.state = PieceState::Exhausted;
                }
                return Ok(());
            }
            ValueRef::EndOfMibView => {
                if piece.state == PieceState::Queried {
                    piece.state = PieceState::Exhausted;
                }
                return Ok(());
            }
            ValueRef::Null | ValueRef::NoSuchObject | ValueRef::NoSuchInstance => {
                return Err(InvalidResponseError::Type { varbind: number });
            }
            _ => {}
        }
        if piece.state != PieceState::Queried || !piece.can_find(name) {
            return Err(InvalidResponseError::Name { varbind: number });
        }
        self.add_next(column as usize, index, name, value);
        Ok(())
    }
}

impl Piece {
    /// Returns whether this name is at or after the end of the piece.
    fn ends_before(&self, name: &[SubId]) -> bool {
        !self.end.is_empty() && name >= self.end.as_slice()
    }

    /// Returns whether the search can find this name next.
    fn can_find(&self, name: &[SubId]) -> bool {
        let from = self.from.as_slice();
        (name > from || self.include && name == from) && !self.ends_before(name)
    }
}
