//! A script of actions, read from the octets of a fuzz input.

use agentx::{
    AddAgentCaps, Body, ByteOrder, CloseReason, IndexAllocate, Oid, Open, Range, Register, RemoveAgentCaps, Response,
    ResponseError, SearchRange, SubId, Unregister, Value, VarBind,
};

use crate::pdu::Operation;

/// The base of all OIDs. There are few arcs below it, so that names, regions and the master's own objects overlap.
const BASE: [SubId; 4] = [1, 3, 6, 1];
const ARCS: [SubId; 5] = [0, 1, 2, 3, SubId::MAX];
const ERRORS: [u16; 8] = [0, 1, 5, 6, 14, 17, 257, 999];

/// A sequence of decisions. After the end of the input, each is the first choice.
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

    /// Returns true once in 16 times on average.
    pub(super) fn rarely(&mut self) -> bool {
        self.octet() >= 240
    }

    pub(super) fn pick<T: Copy + Default>(&mut self, choices: &[T]) -> T {
        choices.get(self.below(choices.len())).copied().unwrap_or_default()
    }

    /// Returns the next `len` octets of the input, or the rest.
    pub(super) fn octets(&mut self, len: usize) -> &'a [u8] {
        let (octets, rest) = self.rest.split_at(len.min(self.rest.len()));
        self.rest = rest;
        octets
    }

    pub(super) fn byte_order(&mut self) -> ByteOrder {
        if self.octet().is_multiple_of(2) { ByteOrder::Big } else { ByteOrder::Little }
    }

    pub(super) fn context(&mut self) -> Vec<u8> {
        if self.rarely() { b"other".to_vec() } else { Vec::new() }
    }

    pub(super) fn oid(&mut self) -> Oid {
        let mut arcs = BASE.to_vec();
        for _ in 0..self.below(5) {
            arcs.push(self.pick(&ARCS));
        }
        Oid::new(arcs).unwrap_or_default()
    }

    pub(super) fn value(&mut self) -> Value {
        match self.below(9) {
            0..=2 => Value::Integer(self.octet().into()),
            3 => Value::Counter64(self.octet().into()),
            4 => Value::OctetString(vec![self.octet(); usize::from(self.octet())]),
            5 => Value::ObjectIdentifier(self.oid()),
            6 => Value::NoSuchInstance,
            7 => Value::EndOfMibView,
            _ => Value::Null,
        }
    }

    fn range(&mut self) -> Option<Range> {
        let (position, upper_bound) = (self.octet() % 12, self.pick(&ARCS));
        (position > 0).then_some(Range { position, upper_bound })
    }

    pub(super) fn varbinds(&mut self) -> Vec<VarBind> {
        (0..self.below(5)).map(|_| VarBind { name: self.oid(), value: self.value() }).collect()
    }

    /// Returns the body of a PDU from a subagent to the master.
    pub(super) fn subagent_request(&mut self) -> Body {
        match self.below(24) {
            0..=3 => Body::Open(Open { timeout_s: self.octet() % 8, id: self.oid(), description: Vec::new() }),
            4..=13 => {
                let subtree = self.oid();
                let range = self.range().filter(|range| usize::from(range.position) <= subtree.len());
                let [timeout_s, priority] = [self.octet() % 4, self.octet() % 4];
                Body::Register(Register { timeout_s, priority, subtree, range, instance: self.rarely() })
            }
            14 => Body::Unregister(Unregister { priority: self.octet() % 4, subtree: self.oid(), range: None }),
            15 => Body::Close(CloseReason::from_code(self.octet())),
            16 => Body::Notify(self.varbinds()),
            17 => {
                Body::IndexAllocate(IndexAllocate { new: self.rarely(), any: self.rarely(), varbinds: self.varbinds() })
            }
            18 => Body::IndexDeallocate(self.varbinds()),
            19 => Body::AddAgentCaps(AddAgentCaps { id: self.oid(), description: b"x".to_vec() }),
            20 => Body::RemoveAgentCaps(RemoveAgentCaps { id: self.oid() }),
            21 => Body::Get(vec![SearchRange::default()]),
            22 => Body::CleanupSet,
            _ => Body::Ping,
        }
    }

    /// Returns a random response of a subagent.
    pub(super) fn response(&mut self) -> Response {
        let error = ResponseError::from_code(self.pick(&ERRORS));
        Response { sys_up_time: 0, error, index: self.octet().into(), varbinds: self.varbinds() }
    }

    /// Returns the operation of a request of an NMS.
    pub(super) fn operation(&mut self) -> Operation {
        let names: Vec<_> = (0..self.below(6)).map(|_| self.oid()).collect();
        match self.below(8) {
            0 | 1 => Operation::Get(names),
            2 | 3 => Operation::GetNext(names),
            4..=6 => {
                let (non_repeaters, max_repetitions) = (self.octet() % 4, self.octet());
                Operation::GetBulk {
                    non_repeaters: non_repeaters.into(),
                    max_repetitions: max_repetitions.into(),
                    names,
                }
            }
            _ => Operation::Set(names.into_iter().map(|name| VarBind { name, value: Value::Integer(1) }).collect()),
        }
    }
}
