//! Takes what a subagent answers, and only what it may answer.

use agentx::{PduType, ResponseRef, SubId, ValueRef, VarBindRef, VarBindScratch};

use super::{Piece, Read, State};
use crate::dispatch::packet::AskedRead;

/// Why an answer is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::dispatch) enum Wrong {
    #[error("{given} varbinds for {asked} search ranges")]
    Number { given: usize, asked: usize },
    #[error("varbind {varbind} has a name that was not asked for")]
    Name { varbind: usize },
    #[error("varbind {varbind} has a value of a type that is no answer")]
    Type { varbind: usize },
}

impl Read {
    /// Takes an answer without error.
    ///
    /// # Errors
    /// What is wrong with it. Nothing of it is kept then, and all that it was to answer has failed.
    pub(in crate::dispatch) fn take(
        &mut self,
        asked: &AskedRead,
        response: &ResponseRef<'_>,
        scratch: &mut VarBindScratch,
    ) -> Result<(), Wrong> {
        let mark = self.out.len();
        let marks: Vec<usize> = asked.pieces.iter().map(|piece| self.mark(*piece)).collect();
        match self.try_take(asked, response, scratch) {
            Ok(()) => {
                self.pump();
                Ok(())
            }
            Err((wrong, culprit)) => {
                for (piece, mark) in asked.pieces.iter().zip(marks) {
                    self.forget(*piece, mark, culprit);
                }
                if self.out.len() > mark {
                    self.out.truncate(mark);
                    self.fail(culprit as usize);
                } else if self.over.is_none() {
                    self.pump();
                }
                Err(wrong)
            }
        }
    }

    fn mark(&self, (column, piece): (u32, u32)) -> usize {
        self.piece(column, piece).map_or(0, Piece::mark)
    }

    fn forget(&mut self, (column, piece): (u32, u32), mark: usize, culprit: u32) {
        let Some(column) = self.columns.get_mut(column as usize) else { return };
        if let Some(piece) = column.pieces_mut().find(|known| known.id == piece) {
            piece.forget_after(mark);
            piece.state = State::Failed { culprit: culprit as usize };
        }
    }

    fn try_take(
        &mut self,
        asked: &AskedRead,
        response: &ResponseRef<'_>,
        scratch: &mut VarBindScratch,
    ) -> Result<(), (Wrong, u32)> {
        let mut varbinds = response.varbinds();
        let (given, most) = (varbinds.remaining(), asked.most_varbinds());
        let fewest = if asked.pdu_type == PduType::GetBulk { 1.min(most) } else { most };
        let first = asked.pieces.first().map_or(0, |(column, _)| *column);
        if !(fewest..=most).contains(&given) {
            return Err((Wrong::Number { given, asked: asked.pieces.len() }, first));
        }
        for number in 0..given {
            let Some(varbind) = varbinds.next_in(scratch) else { break };
            let Some(&(column, piece)) = asked.pieces.get(asked.range_of(number)) else { break };
            let taken = match asked.pdu_type {
                PduType::Get => self.take_instance(column, piece, number + 1, varbind),
                kind => self.take_next(column, piece, number + 1, varbind, kind == PduType::GetBulk),
            };
            taken.map_err(|wrong| (wrong, column))?;
        }
        for &(column, piece) in &asked.pieces {
            if let Some(piece) = self.asked_mut(column, piece) {
                piece.state = State::Open;
            }
        }
        Ok(())
    }

    fn take_instance(&mut self, column: u32, piece: u32, number: usize, varbind: VarBindRef<'_>) -> Result<(), Wrong> {
        let VarBindRef { name, value } = varbind;
        let Some(piece) = self.asked_mut(column, piece) else { return Ok(()) };
        if name != piece.from.as_slice() {
            return Err(Wrong::Name { varbind: number });
        }
        if matches!(value, ValueRef::Null | ValueRef::EndOfMibView) {
            return Err(Wrong::Type { varbind: number });
        }
        piece.state = State::Exhausted;
        self.put(column as usize, name, value);
        Ok(())
    }

    fn take_next(
        &mut self,
        column: u32,
        id: u32,
        number: usize,
        varbind: VarBindRef<'_>,
        is_bulk: bool,
    ) -> Result<(), Wrong> {
        let VarBindRef { name, value } = varbind;
        let Some(known) = self.columns.get_mut(column as usize) else { return Ok(()) };
        // Nobody waits for what was asked ahead and is not needed.
        let Some(place) = known.pieces().position(|piece| piece.id == id) else { return Ok(()) };
        let Some(piece) = known.piece_mut(place) else { return Ok(()) };
        match value {
            // net-snmp's library does not mind where the range of a GetBulk ends.
            _ if is_bulk && piece.is_behind(name) => {
                if piece.state == State::Asked {
                    piece.state = State::Exhausted;
                }
                return Ok(());
            }
            ValueRef::EndOfMibView => {
                if piece.state == State::Asked {
                    piece.state = State::Exhausted;
                }
                return Ok(());
            }
            ValueRef::Null | ValueRef::NoSuchObject | ValueRef::NoSuchInstance => {
                return Err(Wrong::Type { varbind: number });
            }
            _ => {}
        }
        if piece.state != State::Asked || !piece.is_next(name) {
            return Err(Wrong::Name { varbind: number });
        }
        self.found(column as usize, place, name, value);
        Ok(())
    }
}

impl Piece {
    /// Whether this name comes after all that belong to it.
    fn is_behind(&self, name: &[SubId]) -> bool {
        !self.end.is_empty() && name >= self.end.as_slice()
    }

    /// Whether a search that stands here can find this name.
    fn is_next(&self, name: &[SubId]) -> bool {
        let from = self.from.as_slice();
        (name > from || self.include && name == from) && !self.is_behind(name)
    }
}
