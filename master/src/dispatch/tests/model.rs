//! A subagent that answers as it should, or nearly so, from a map of instances.

use std::{collections::BTreeMap, ops::Bound};

use agentx::{Body, Oid, Pdu, ResponseError, SearchRange, SubId, Value, VarBind};

use super::rig::{Rig, Subagent};
use crate::dispatch::{Operation, Token};

/// Instances by name.
pub(super) type Instances = BTreeMap<Vec<SubId>, Value>;

/// A session with what is behind it.
pub(super) struct Model {
    pub(super) subagent: Subagent,
    /// By context.
    pub(super) instances: BTreeMap<Vec<u8>, Instances>,
    /// The most varbinds of an answer to a GetBulk.
    pub(super) cut: usize,
    /// It knows no GetBulk.
    pub(super) has_no_bulk: bool,
    /// What it was asked.
    pub(super) asked: Vec<Pdu>,
}

impl Model {
    pub(super) fn new(subagent: Subagent) -> Self {
        Self { subagent, instances: BTreeMap::new(), cut: usize::MAX, has_no_bulk: false, asked: Vec::new() }
    }

    /// With these instances in the default context.
    pub(super) fn with(subagent: Subagent, instances: impl IntoIterator<Item = VarBind>) -> Self {
        let mut model = Self::new(subagent);
        let instances = instances.into_iter().map(|varbind| (varbind.name.to_vec(), varbind.value)).collect();
        model.instances.insert(Vec::new(), instances);
        model
    }

    /// Answers one PDU.
    pub(super) fn answer(&mut self, rig: &mut Rig, pdu: &Pdu) {
        self.asked.push(pdu.clone());
        let none = Instances::new();
        let instances = self.instances.get(&pdu.context.0).unwrap_or(&none);
        match &pdu.body {
            Body::GetBulk(_) if self.has_no_bulk => rig.refuse(pdu, self.subagent, ResponseError::ProcessingError, 0),
            body => {
                let varbinds = answer(instances, body, self.cut);
                rig.answer(pdu, self.subagent, varbinds);
            }
        }
    }
}

fn next(instances: &Instances, range: &SearchRange) -> VarBind {
    let start = range.start.to_vec();
    let from = if range.include { Bound::Included(start) } else { Bound::Excluded(start) };
    match instances.range((from, Bound::Unbounded)).next() {
        Some((name, value)) if range.end.is_empty() || name.as_slice() < range.end.as_slice() => {
            VarBind { name: Oid::new(name.clone()).unwrap(), value: value.clone() }
        }
        _ => VarBind { name: range.start.clone(), value: Value::EndOfMibView },
    }
}

/// As RFC 2741 section 7.2.3 has it.
pub(super) fn answer(instances: &Instances, body: &Body, cut: usize) -> Vec<VarBind> {
    match body {
        Body::Get(ranges) => {
            let get = |range: &SearchRange| {
                let value = instances.get(range.start.as_slice()).cloned().unwrap_or(Value::NoSuchInstance);
                VarBind { name: range.start.clone(), value }
            };
            ranges.iter().map(get).collect()
        }
        Body::GetNext(ranges) => ranges.iter().map(|range| next(instances, range)).collect(),
        Body::GetBulk(bulk) => {
            let (once, repeated) = bulk.ranges.split_at(bulk.non_repeaters.into());
            let mut varbinds: Vec<_> = once.iter().map(|range| next(instances, range)).collect();
            let mut repeated = repeated.to_vec();
            for _ in 0..bulk.max_repetitions {
                let row: Vec<_> = repeated.iter().map(|range| next(instances, range)).collect();
                for (range, varbind) in repeated.iter_mut().zip(&row) {
                    if varbind.value != Value::EndOfMibView {
                        (range.start, range.include) = (varbind.name.clone(), false);
                    }
                }
                let is_over = row.iter().all(|varbind| varbind.value == Value::EndOfMibView);
                varbinds.extend(row);
                if is_over || varbinds.len() >= cut {
                    break;
                }
            }
            varbinds.truncate(cut);
            varbinds
        }
        body => panic!("{body:?} is no request to read"),
    }
}

/// Lets all subagents answer until there is nothing more to be answered.
pub(super) fn settle(rig: &mut Rig, models: &mut [Model]) {
    for _ in 0..10_000 {
        let mut is_quiet = true;
        for model in models.iter_mut() {
            for pdu in rig.asked(model.subagent) {
                is_quiet = false;
                model.answer(rig, &pdu);
            }
        }
        if is_quiet {
            return;
        }
    }
    panic!("it asks for ever");
}

/// Asks, lets all subagents answer, and takes the answer.
pub(super) fn ask(
    rig: &mut Rig,
    models: &mut [Model],
    operation: Operation,
) -> Result<Vec<VarBind>, (ResponseError, u32)> {
    let token: Token = rig.request(operation);
    settle(rig, models);
    rig.result(token)
}
