//! The alarm table and the scalars beside it, as the engine serves them in each context.
//!
//! The book publishes immutable tables; the agent thread reads them without locks.

use std::{collections::HashMap, sync::Arc, time::Instant};

use agentx::{Oid, SubId, Value};
use arc_swap::ArcSwap;
use notification::{
    AlarmId, Severity,
    oids::{ALARM_MODULE, ALARM_TABLE, COUNTS},
};

use crate::pdu::time_ticks::time_ticks;

/// A row of the alarm table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// Its index, eight octets as arcs.
    pub(crate) index: [SubId; 8],
    /// The notification that raises the alarm.
    pub(crate) alarm_type: Oid,
    /// The instance that raised it.
    pub(crate) object: Oid,
    /// Value of the instance, as text.
    pub(crate) value: String,
    /// Its severity.
    pub(crate) severity: Severity,
    /// Number of its state.
    pub(crate) state: i32,
    /// Its sequence.
    pub(crate) sequence: u32,
    /// When it was raised, a DateAndTime.
    pub(crate) raised: Vec<u8>,
    /// When it changed last, a DateAndTime.
    pub(crate) changed: Vec<u8>,
    /// What it is about.
    pub(crate) resource: String,
    /// Meaning of the alarm.
    pub(crate) text: String,
}

/// The alarms of one context.
#[derive(Debug, Default)]
pub(crate) struct ContextTable {
    /// Its rows, by index.
    pub(crate) rows: Vec<Arc<Row>>,
    /// Number of rows by severity, in the order of [`Severity::ALL`].
    pub(crate) by_severity: [u32; 5],
    /// Alarms whose sessions are lost.
    pub(crate) lost: u32,
    /// Alarms that were not kept because of a limit.
    pub(crate) overflow: u32,
    /// When an alarm was raised, changed or cleared last.
    pub(crate) last_change: Option<Instant>,
}

/// The tables of all contexts.
pub(crate) type Tables = HashMap<Arc<[u8]>, Arc<ContextTable>>;

/// The current tables, shared between threads.
#[derive(Debug, Clone, Default)]
pub struct AlarmTables(Arc<ArcSwap<Tables>>);

/// Columns of the table. The first one, the index, is not accessible.
const COLUMNS: std::ops::RangeInclusive<SubId> = 2..=11;
/// Scalars below [`COUNTS`].
const SCALARS: std::ops::RangeInclusive<SubId> = 1..=8;
/// The entry of the table, whose columns are below it.
const ENTRY: SubId = 1;

impl Row {
    /// Returns the index of an alarm.
    pub(crate) fn index_of(id: AlarmId) -> [SubId; 8] {
        id.0.map(SubId::from)
    }

    fn value(&self, column: SubId) -> Option<Value> {
        let text = |text: &str| Value::OctetString(text.as_bytes().to_vec());
        Some(match column {
            2 => Value::ObjectIdentifier(self.alarm_type.clone()),
            3 => Value::ObjectIdentifier(self.object.clone()),
            4 => text(&self.value),
            5 => Value::Integer(self.severity.number()),
            6 => Value::Integer(self.state),
            7 => Value::Gauge32(self.sequence),
            8 => Value::OctetString(self.raised.clone()),
            9 => Value::OctetString(self.changed.clone()),
            10 => text(&self.resource),
            11 => text(&self.text),
            _ => return None,
        })
    }
}

impl ContextTable {
    /// Returns the first instance after `from`, or at `from` if `include`.
    fn next(&self, from: &[SubId], include: bool, started: Instant) -> Option<(Oid, Value)> {
        self.next_cell(from, include).or_else(|| self.next_scalar(from, include, started))
    }

    fn next_cell(&self, from: &[SubId], include: bool) -> Option<(Oid, Value)> {
        let (column, index) = match strip(from, &ALARM_TABLE) {
            Position::Within([ENTRY, column, index @ ..]) if COLUMNS.contains(column) => (*column, index),
            Position::Before | Position::Within([] | [0, ..] | [ENTRY] | [ENTRY, 0 | 1, ..]) => {
                (*COLUMNS.start(), &[][..])
            }
            Position::Within(_) | Position::After => return None,
        };
        let at =
            self.rows.partition_point(|row| row.index.as_slice() < index || !include && row.index.as_slice() == index);
        let (column, row) = match self.rows.get(at) {
            Some(row) => (column, row),
            None => (column + 1, self.rows.first()?),
        };
        let name = [&ALARM_TABLE[..], &[ENTRY, column], &row.index].concat();
        Some((Oid::new(name).ok()?, row.value(column)?))
    }

    fn next_scalar(&self, from: &[SubId], include: bool, started: Instant) -> Option<(Oid, Value)> {
        let arc = match strip(from, &COUNTS) {
            Position::Before | Position::Within([]) => *SCALARS.start(),
            Position::After => return None,
            Position::Within([arc]) => *arc,
            Position::Within([arc, 0]) if include => *arc,
            Position::Within([arc, ..]) => arc.checked_add(1)?,
        };
        let arc = arc.max(*SCALARS.start());
        let name = [&COUNTS[..], &[arc, 0]].concat();
        Some((Oid::new(name).ok()?, self.scalar(arc, started)?))
    }

    fn scalar(&self, arc: SubId, started: Instant) -> Option<Value> {
        Some(match arc {
            1..=5 => Value::Gauge32(*self.by_severity.get(usize::try_from(arc).ok()? - 1)?),
            6 => Value::TimeTicks(self.last_change.map_or(0, |at| time_ticks(started, at))),
            7 => Value::Gauge32(self.lost),
            8 => Value::Counter32(self.overflow),
            _ => return None,
        })
    }
}

/// Where a name is, seen from a subtree.
enum Position<'a> {
    Before,
    /// With the arcs below the subtree.
    Within(&'a [SubId]),
    After,
}

fn strip<'a>(name: &'a [SubId], subtree: &[SubId]) -> Position<'a> {
    match name.strip_prefix(subtree) {
        Some(rest) => Position::Within(rest),
        None if name < subtree => Position::Before,
        None => Position::After,
    }
}

impl AlarmTables {
    /// Replaces the tables.
    pub(crate) fn publish(&self, tables: Tables) {
        self.0.store(Arc::new(tables));
    }

    /// Returns the first instance in a context after `from`, or at `from` if `include`. sysUpTime counts from `started`.
    pub(crate) fn next(&self, context: &[u8], from: &[SubId], include: bool, started: Instant) -> Option<(Oid, Value)> {
        if matches!(strip(from, &ALARM_MODULE), Position::After) {
            return None;
        }
        match self.0.load().get(context) {
            Some(table) => table.next(from, include, started),
            None => ContextTable::default().next(from, include, started),
        }
    }

    /// Returns whether an object with this name exists.
    pub(crate) fn has_object(name: &[SubId]) -> bool {
        match (strip(name, &ALARM_TABLE), strip(name, &COUNTS)) {
            (Position::Within([ENTRY, column, ..]), _) => COLUMNS.contains(column),
            (_, Position::Within([arc, ..])) => SCALARS.contains(arc),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
