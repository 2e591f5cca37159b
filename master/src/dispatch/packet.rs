//! What subagents have been asked and have not answered.

use std::{
    collections::{BTreeSet, HashMap},
    time::Instant,
};

use agentx::PduType;

use super::memory::give_back;
use crate::registry::SessionId;

/// A PDU that awaits its Response.
#[derive(Debug)]
pub(super) struct Packet {
    pub(super) session: SessionId,
    /// h.transactionID.
    pub(super) transaction: u32,
    pub(super) sent: Instant,
    pub(super) deadline: Instant,
    pub(super) asked: Asked,
}

/// What it asks.
#[derive(Debug)]
pub(super) enum Asked {
    /// To read.
    Read(AskedRead),
    /// A step of a SET, of one of its parts.
    Set {
        /// Which part.
        part: usize,
    },
}

/// Get, GetNext or GetBulk.
#[derive(Debug)]
pub(super) struct AskedRead {
    /// Which of the three.
    pub(super) pdu_type: PduType,
    /// The search ranges: column, and piece of it.
    pub(super) pieces: Vec<(u32, u32)>,
    /// How many of them, from the first, are answered once.
    pub(super) non_repeaters: u16,
    /// How many times the others are, at most.
    pub(super) repetitions: u16,
}

impl AskedRead {
    /// Which range the varbind at this place answers.
    pub(super) fn range_of(&self, varbind: usize) -> usize {
        let once = usize::from(self.non_repeaters);
        match varbind.checked_sub(once) {
            None => varbind,
            Some(repeated) => once + repeated.checked_rem(self.pieces.len() - once).unwrap_or_default(),
        }
    }

    /// How many varbinds its answer may have.
    pub(super) fn most_varbinds(&self) -> usize {
        let once = usize::from(self.non_repeaters);
        once + (self.pieces.len() - once) * usize::from(self.repetitions)
    }
}

/// All of them, by packetID.
#[derive(Debug, Default)]
pub(super) struct Packets {
    packets: HashMap<u32, Packet>,
    deadlines: BTreeSet<(Instant, u32)>,
    last: u32,
}

impl Packets {
    /// A packetID that is not in use.
    pub(super) fn next_id(&mut self) -> u32 {
        loop {
            self.last = self.last.wrapping_add(1);
            if !self.packets.contains_key(&self.last) {
                return self.last;
            }
        }
    }

    pub(super) fn add(&mut self, id: u32, packet: Packet) {
        self.deadlines.insert((packet.deadline, id));
        self.packets.insert(id, packet);
    }

    pub(super) fn take(&mut self, id: u32) -> Option<Packet> {
        let packet = self.packets.remove(&id)?;
        give_back(&mut self.packets);
        self.deadlines.remove(&(packet.deadline, id));
        Some(packet)
    }

    pub(super) fn get(&self, id: u32) -> Option<&Packet> {
        self.packets.get(&id)
    }

    /// One whose time is over.
    pub(super) fn overdue(&self, now: Instant) -> Option<u32> {
        self.deadlines.first().filter(|(deadline, _)| *deadline <= now).map(|(_, id)| *id)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    pub(super) fn len(&self) -> usize {
        self.packets.len()
    }
}
