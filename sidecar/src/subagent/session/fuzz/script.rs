//! The octets of a fuzz input as a sequence of decisions.

use agentx::{
    Body, ByteOrder, CloseReason, GetBulk, Oid, Register, Response, ResponseError, SearchRange, Value, VarBind,
};

use super::world::World;

/// The smallest and largest arcs and some arcs of the world, so that OIDs collide.
const ARCS: [u32; 7] = [0, 1, 2, 3, 5, 40, u32::MAX];
/// Repetitions for the longest and shortest responses and some between.
const REPETITIONS: [u16; 8] = [0, 1, 2, 3, 10, 100, 1000, u16::MAX];
const ERRORS: [u16; 12] = [0, 0, 1, 5, 256, 257, 262, 263, 264, 266, 268, 999];

/// A sequence of decisions. After its end every decision is the first choice.
pub(super) struct Script<'a> {
    rest: &'a [u8],
}

impl<'a> Script<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self { rest: input }
    }

    pub(super) fn is_over(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn octet(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        *first
    }

    /// Returns a number from 0 to `bound` - 1.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.octet()) % bound.max(1)
    }

    /// Returns `true` once in sixteen times.
    pub(super) fn rarely(&mut self) -> bool {
        self.octet() >= 240
    }

    pub(super) fn pick<T: Copy + Default>(&mut self, choices: &[T]) -> T {
        choices.get(self.below(choices.len())).copied().unwrap_or_default()
    }

    pub(super) fn number(&mut self) -> u32 {
        u32::from_le_bytes([self.octet(), self.octet(), self.octet(), self.octet()])
    }

    /// Returns the next `len` octets, or the rest.
    pub(super) fn octets(&mut self, len: usize) -> &'a [u8] {
        let (octets, rest) = self.rest.split_at(len.min(self.rest.len()));
        self.rest = rest;
        octets
    }

    pub(super) fn byte_order(&mut self) -> ByteOrder {
        if self.octet().is_multiple_of(2) { ByteOrder::Big } else { ByteOrder::Little }
    }

    /// Returns an existing OID, one near it, a base, or any OID.
    fn oid(&mut self, world: &World, context: &str) -> Oid {
        let mut arcs = match self.below(8) {
            0..=3 => world.instance(context, self.below(256)),
            4 | 5 => world.base(self.below(256)),
            _ => Vec::new(),
        };
        match self.below(8) {
            0..=3 => {}
            4 => arcs.truncate(self.below(12)),
            5 => _ = arcs.pop(),
            _ => {
                for _ in 0..self.below(6) {
                    arcs.push(self.pick(&ARCS));
                }
            }
        }
        arcs.truncate(Oid::MAX_LEN);
        Oid::new(arcs).unwrap_or_default()
    }

    fn range(&mut self, world: &World, context: &str) -> SearchRange {
        let start = self.oid(world, context);
        let include = self.octet().is_multiple_of(2);
        let end = if self.octet() < 128 { Oid::default() } else { self.oid(world, context) };
        SearchRange { start, include, end }
    }

    fn ranges(&mut self, world: &World, context: &str) -> Vec<SearchRange> {
        let (count, many) = (self.below(6), self.rarely());
        let ranges: Vec<SearchRange> = (0..count).map(|_| self.range(world, context)).collect();
        let len = if many { 1000 } else { count };
        ranges.iter().cycle().take(len).cloned().collect()
    }

    pub(super) fn request(&mut self, world: &World, context: &str) -> Body {
        match self.below(4) {
            0 => Body::Get(self.ranges(world, context)),
            1 | 2 => Body::GetNext(self.ranges(world, context)),
            _ => Body::GetBulk(GetBulk {
                non_repeaters: self.pick(&REPETITIONS),
                max_repetitions: self.pick(&REPETITIONS),
                ranges: self.ranges(world, context),
            }),
        }
    }

    /// Returns a step of a SET, sometimes with a very long value.
    pub(super) fn set_step(&mut self, world: &World) -> Body {
        match self.below(4) {
            0 => {
                let len = if self.rarely() { 60_000 } else { self.below(5) };
                let varbind = VarBind { name: self.oid(world, ""), value: Value::OctetString(vec![7; len]) };
                Body::TestSet(vec![varbind; self.below(3)])
            }
            1 => Body::CommitSet,
            2 => Body::UndoSet,
            _ => Body::CleanupSet,
        }
    }

    /// Returns a PDU that a master sends rarely or never.
    pub(super) fn other(&mut self, world: &World) -> Body {
        match self.below(8) {
            0..=2 => Body::Ping,
            3 => Body::Close(CloseReason::from_code(self.octet())),
            4 => Body::Notify(vec![VarBind { name: self.oid(world, ""), value: Value::Null }]),
            5 => Body::Register(Register {
                timeout_s: 0,
                priority: 0,
                subtree: self.oid(world, ""),
                range: None,
                instance: false,
            }),
            6 => Body::IndexDeallocate(Vec::new()),
            _ => self.response(),
        }
    }

    pub(super) fn response(&mut self) -> Body {
        let (error, index) = (ResponseError::from_code(self.pick(&ERRORS)), self.octet().into());
        Body::Response(Response { sys_up_time: 1, error, index, varbinds: Vec::new() })
    }
}
