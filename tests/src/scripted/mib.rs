//! The objects of a scripted subagent, in a map that also determines the right responses.

use std::{collections::BTreeMap, ops::Bound};

use agentx::{Body, GetBulk, Oid, Pdu, ResponseError, SearchRange, Value, VarBind};
use anyhow::Result;

use crate::{Row, ScriptedSubagent};

/// Instances with their values, by OID.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mib(BTreeMap<Oid, Value>);

impl FromIterator<(Oid, Value)> for Mib {
    fn from_iter<T: IntoIterator<Item = (Oid, Value)>>(variables: T) -> Self {
        Self(variables.into_iter().collect())
    }
}

impl Mib {
    /// Returns a table with one column under `base`. Each of its rows holds its own index as an integer.
    pub fn column(base: &Oid, rows: u32) -> Result<Self> {
        (1..=rows).map(|row| Ok((base.join(&[1, row])?, Value::Integer(i32::try_from(row)?)))).collect()
    }

    /// Returns the rows that a walk of it shows.
    pub fn rows(&self) -> Vec<Row> {
        self.0.iter().map(|(oid, value)| Row { oid: oid.clone(), value: value.clone() }).collect()
    }

    /// Responds to a request of the master as RFC 2741 section 7.2.3 requires. It refuses every SET.
    pub fn serve(&self, subagent: &mut ScriptedSubagent, pdu: &Pdu) -> Result<()> {
        match &pdu.body {
            Body::Get(_) | Body::GetNext(_) | Body::GetBulk(_) => {
                subagent.respond(pdu.header, ResponseError::NoError, self.varbinds(&pdu.body))
            }
            Body::TestSet(_) => subagent.respond(pdu.header, ResponseError::NotWritable, Vec::new()),
            _ => Ok(()),
        }
    }

    /// Returns the varbinds of the right response to a request.
    pub fn varbinds(&self, request: &Body) -> Vec<VarBind> {
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
