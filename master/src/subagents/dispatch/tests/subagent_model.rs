//! A simulated subagent that answers from a map of instances, as RFC 2741 requires or with known quirks.

use std::{collections::BTreeMap, ops::Bound};

use agentx::{Body, Oid, Pdu, ResponseError, SearchRange, SubId, Value, VarBind};

use super::dispatcher_harness::{DispatcherHarness, Subagent};
use crate::pdu::{Operation, Token};

/// Instances by name.
pub(super) type Instances = BTreeMap<Vec<SubId>, Value>;

/// A simulated subagent and its session.
pub(super) struct SubagentModel {
    pub(super) subagent: Subagent,
    /// The instances of each context.
    pub(super) instances: BTreeMap<Vec<u8>, Instances>,
    /// The maximum number of varbinds of a response to a GetBulk.
    pub(super) cut: usize,
    /// Whether it rejects GetBulk.
    pub(super) has_no_bulk: bool,
    /// The PDUs that it received.
    pub(super) received: Vec<Pdu>,
}

impl SubagentModel {
    pub(super) fn new(subagent: Subagent) -> Self {
        Self { subagent, instances: BTreeMap::new(), cut: usize::MAX, has_no_bulk: false, received: Vec::new() }
    }

    /// Creates a subagent with these instances in the default context.
    pub(super) fn with(subagent: Subagent, instances: impl IntoIterator<Item = VarBind>) -> Self {
        let mut model = Self::new(subagent);
        let instances = instances.into_iter().map(|varbind| (varbind.name.to_vec(), varbind.value)).collect();
        model.instances.insert(Vec::new(), instances);
        model
    }

    /// Responds to a PDU.
    pub(super) fn answer(&mut self, harness: &mut DispatcherHarness, pdu: &Pdu) {
        self.received.push(pdu.clone());
        let none = Instances::new();
        let instances = self.instances.get(&pdu.context.0).unwrap_or(&none);
        match &pdu.body {
            Body::GetBulk(_) if self.has_no_bulk => {
                harness.refuse(pdu, self.subagent, ResponseError::ProcessingError, 0);
            }
            body => {
                let varbinds = answer(instances, body, self.cut);
                harness.answer(pdu, self.subagent, varbinds);
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

/// Returns the varbinds of a response, as RFC 2741 section 7.2.3 requires.
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
            let (non_repeated, repeated) = bulk.ranges.split_at(bulk.non_repeaters.into());
            let mut varbinds: Vec<_> = non_repeated.iter().map(|range| next(instances, range)).collect();
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
        body => panic!("{body:?} is not a request to read"),
    }
}

/// Lets all subagents respond until they receive nothing more.
pub(super) fn settle(harness: &mut DispatcherHarness, models: &mut [SubagentModel]) {
    for _ in 0..10_000 {
        let mut is_idle = true;
        for model in models.iter_mut() {
            for pdu in harness.sent_to(model.subagent) {
                is_idle = false;
                model.answer(harness, &pdu);
            }
        }
        if is_idle {
            return;
        }
    }
    panic!("the dispatcher never stops sending queries");
}

/// Starts a request, lets all subagents respond, and returns the answer.
pub(super) fn request(
    harness: &mut DispatcherHarness,
    models: &mut [SubagentModel],
    operation: Operation,
) -> Result<Vec<VarBind>, (ResponseError, u32)> {
    let token: Token = harness.request(operation);
    settle(harness, models);
    harness.result(token)
}
