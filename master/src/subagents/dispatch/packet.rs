//! PDUs that were sent to subagents and have not been answered.

use std::{
    collections::{BTreeSet, HashMap},
    time::Instant,
};

use agentx::{PduType, ResponseError, ResponseRef};

use super::memory::shrink_sparse;
use crate::subagents::registry::SessionId;

/// A PDU that awaits its Response.
#[derive(Debug)]
pub(super) struct Packet {
    pub(super) session: SessionId,
    /// h.transactionID.
    pub(super) transaction: u32,
    pub(super) sent: Instant,
    pub(super) deadline: Instant,
    pub(super) query: Query,
}

/// The purpose of a PDU.
#[derive(Debug)]
pub(super) enum Query {
    /// Get, GetNext or GetBulk.
    Read(ReadQuery),
    /// A step of a SET.
    Set {
        /// The index of the part of the SET that the session writes.
        part: usize,
    },
}

/// A Get, GetNext or GetBulk.
#[derive(Debug)]
pub(super) struct ReadQuery {
    pub(super) pdu_type: PduType,
    /// The search ranges, each as a column of the request and the id of a piece of it.
    pub(super) pieces: Vec<(u32, u32)>,
    /// The number of leading ranges that are answered once.
    pub(super) non_repeaters: u16,
    /// The maximum number of varbinds for each of the other ranges.
    pub(super) repetitions: u16,
}

impl ReadQuery {
    /// Returns the index of the range that the varbind at this index of the response belongs to.
    pub(super) fn range_of(&self, varbind: usize) -> usize {
        let non_repeaters = usize::from(self.non_repeaters);
        match varbind.checked_sub(non_repeaters) {
            None => varbind,
            Some(repeated) => {
                non_repeaters + repeated.checked_rem(self.pieces.len() - non_repeaters).unwrap_or_default()
            }
        }
    }

    /// Returns the maximum number of varbinds of the response.
    pub(super) fn max_varbinds(&self) -> usize {
        let non_repeaters = usize::from(self.non_repeaters);
        non_repeaters + (self.pieces.len() - non_repeaters) * usize::from(self.repetitions)
    }
}

/// The outcome of a PDU that was sent to a subagent.
#[derive(Debug)]
pub(super) enum Outcome<'r, 'a> {
    /// The subagent responded, with or without an error.
    Response(&'r ResponseRef<'a>),
    /// The subagent responded, but the Response cannot be decoded.
    Malformed,
    /// The subagent did not respond in time.
    TimedOut,
    /// The session ended.
    SessionEnded,
}

impl Outcome<'_, '_> {
    /// Returns whether the subagent responded with an error. An empty response to a GetBulk counts as one.
    pub(super) fn is_error_response(&self, query: &ReadQuery) -> bool {
        let Self::Response(response) = self else { return false };
        response.error != ResponseError::NoError
            || query.pdu_type == PduType::GetBulk && response.varbinds().remaining() == 0
    }
}

/// All outstanding packets, by packetID.
#[derive(Debug, Default)]
pub(super) struct Packets {
    outstanding: HashMap<u32, Packet>,
    deadlines: BTreeSet<(Instant, u32)>,
    last: u32,
}

impl Packets {
    /// Returns a packetID that is not in use.
    pub(super) fn next_id(&mut self) -> u32 {
        loop {
            self.last = self.last.wrapping_add(1);
            if !self.outstanding.contains_key(&self.last) {
                return self.last;
            }
        }
    }

    pub(super) fn add(&mut self, id: u32, packet: Packet) {
        self.deadlines.insert((packet.deadline, id));
        self.outstanding.insert(id, packet);
    }

    /// Removes and returns a packet.
    pub(super) fn take(&mut self, id: u32) -> Option<Packet> {
        let packet = self.outstanding.remove(&id)?;
        shrink_sparse(&mut self.outstanding);
        self.deadlines.remove(&(packet.deadline, id));
        Some(packet)
    }

    pub(super) fn get(&self, id: u32) -> Option<&Packet> {
        self.outstanding.get(&id)
    }

    /// Returns a packet whose deadline has passed.
    pub(super) fn overdue(&self, now: Instant) -> Option<u32> {
        self.deadlines.first().filter(|(deadline, _)| *deadline <= now).map(|(_, id)| *id)
    }

    /// Returns the earliest deadline.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    pub(super) fn len(&self) -> usize {
        self.outstanding.len()
    }
}
