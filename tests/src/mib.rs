//! Variables in a map: what a scripted subagent serves, and the truth about it.

use std::{collections::BTreeMap, ops::Bound};

use agentx::{Body, GetBulk, Oid, Pdu, ResponseError, SearchRange, Value, VarBind};
use anyhow::Result;

use crate::{Row, Subagent};

/// Variables by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mib(BTreeMap<Oid, Value>);

impl FromIterator<(Oid, Value)> for Mib {
    fn from_iter<T: IntoIterator<Item = (Oid, Value)>>(variables: T) -> Self {
        Self(variables.into_iter().collect())
    }
}

impl Mib {
    /// A table of this many rows of one column under `base`: integers, each its own index.
    pub fn column(base: &Oid, rows: u32) -> Result<Self> {
        (1..=rows).map(|row| Ok((base.join(&[1, row])?, Value::Integer(i32::try_from(row)?)))).collect()
    }

    /// What a walk of it shows.
    pub fn rows(&self) -> Vec<Row> {
        self.0.iter().map(|(oid, value)| Row { oid: oid.clone(), value: value.clone() }).collect()
    }

    /// Answers a request of a master's as RFC 2741 section 7.2.3 asks; a write of anything is refused.
    pub fn serve(&self, subagent: &mut Subagent, pdu: &Pdu) -> Result<()> {
        match &pdu.body {
            Body::Get(_) | Body::GetNext(_) | Body::GetBulk(_) => {
                subagent.respond(pdu.header, ResponseError::NoError, self.answer(&pdu.body))
            }
            Body::TestSet(_) => subagent.respond(pdu.header, ResponseError::NotWritable, Vec::new()),
            _ => Ok(()),
        }
    }

    /// The variables that answer a request.
    pub fn answer(&self, request: &Body) -> Vec<VarBind> {
        match request {
            Body::Get(ranges) => ranges.iter().map(|range| self.get(&range.start)).collect(),
            Body::GetNext(ranges) => ranges.iter().map(|range| self.next(range)).collect(),
            Body::GetBulk(GetBulk { non_repeaters, max_repetitions, ranges }) => {
                let (once, repeated) = ranges.split_at(usize::from(*non_repeaters).min(ranges.len()));
                let mut varbinds: Vec<VarBind> = once.iter().map(|range| self.next(range)).collect();
                let mut repeated = repeated.to_vec();
                for _ in 0..*max_repetitions {
                    let start = varbinds.len();
                    varbinds.extend(repeated.iter().map(|range| self.next(range)));
                    for (range, found) in repeated.iter_mut().zip(varbinds.iter().skip(start)) {
                        (range.start, range.include) = (found.name.clone(), false);
                    }
                }
                varbinds
            }
            _ => Vec::new(),
        }
    }

    fn get(&self, name: &Oid) -> VarBind {
        let value = self.0.get(name).cloned().unwrap_or(Value::NoSuchInstance);
        VarBind { name: name.clone(), value }
    }

    fn next(&self, range: &SearchRange) -> VarBind {
        let start = if range.include { Bound::Included(&range.start) } else { Bound::Excluded(&range.start) };
        let found = self.0.range((start, Bound::Unbounded)).next();
        match found.filter(|(name, _)| range.end.is_empty() || **name < range.end) {
            Some((name, value)) => VarBind { name: name.clone(), value: value.clone() },
            None => VarBind { name: range.start.clone(), value: Value::EndOfMibView },
        }
    }
}
