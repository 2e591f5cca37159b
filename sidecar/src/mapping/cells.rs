//! The values of one object, one cell per row, stored compactly for its syntax.

use agentx::{Value, ValueRef};
use sidecar_config::Syntax;

use super::{retention::Renumbering, syntax};

/// One value per row, and the result of the latest scrape for the row.
#[derive(Debug)]
pub(super) struct Cells {
    syntax: Syntax,
    entries: Vec<Cell>,
    values: Values,
}

#[derive(Debug)]
enum Values {
    /// The bits of an Integer32, Unsigned32, Gauge32, TimeTicks, TruthValue or IpAddress.
    Words(Vec<u32>),
    /// The totals of counters before they wrap.
    Counts(Vec<i128>),
    /// Values of all other syntaxes.
    Owned(Vec<Value>),
}

/// The result of the latest scrape for a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum CellState {
    /// No sample.
    #[default]
    Absent,
    /// A sample that does not make a value yet: the row exists, and `onMissing` applies.
    Missing,
    /// A sample that the syntax cannot represent.
    Withheld,
    /// A value.
    Value,
}

#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    state: CellState,
    /// Whether the row ever had a value.
    has_value: bool,
}

impl Cells {
    pub(super) fn new(syntax: Syntax) -> Self {
        let values = match syntax {
            Syntax::Counter32 | Syntax::Counter64 => Values::Counts(Vec::new()),
            Syntax::OctetString | Syntax::DisplayString | Syntax::ObjectIdentifier => Values::Owned(Vec::new()),
            _ => Values::Words(Vec::new()),
        };
        Self { syntax, entries: Vec::new(), values }
    }

    /// Begins a scrape: no row has a sample.
    pub(super) fn begin(&mut self) {
        for cell in &mut self.entries {
            cell.state = CellState::Absent;
        }
    }

    /// Returns the result of the latest scrape for the row.
    pub(super) fn state(&self, row: u32) -> CellState {
        self.entries.get(row as usize).map_or(CellState::Absent, |cell| cell.state)
    }

    /// Sets the result of this scrape for a row without a value.
    pub(super) fn set_state(&mut self, row: u32, state: CellState) {
        self.grow(row);
        if let Some(cell) = self.entries.get_mut(row as usize) {
            cell.state = state;
        }
    }

    fn grow(&mut self, row: u32) {
        let rows = row as usize + 1;
        if self.entries.len() < rows {
            self.entries.resize(rows, Cell::default());
            match &mut self.values {
                Values::Words(words) => words.resize(rows, 0),
                Values::Counts(counts) => counts.resize(rows, 0),
                Values::Owned(values) => values.resize(rows, Value::Null),
            }
        }
    }

    fn mark_value(&mut self, row: u32) {
        self.grow(row);
        if let Some(cell) = self.entries.get_mut(row as usize) {
            *cell = Cell { state: CellState::Value, has_value: true };
        }
    }

    /// Sets the value of the row. It must have the syntax of this object.
    pub(super) fn set(&mut self, row: u32, value: Value) {
        self.mark_value(row);
        let row = row as usize;
        match (&mut self.values, value) {
            (Values::Words(words), value) => put(words, row, word(&value)),
            (Values::Counts(counts), Value::Counter64(v)) => put(counts, row, v.into()),
            (Values::Counts(counts), Value::Counter32(v)) => put(counts, row, v.into()),
            (Values::Counts(_), _) => {}
            (Values::Owned(values), value) => put(values, row, value),
        }
    }

    /// Sets the total of a counter before it wraps.
    pub(super) fn set_count(&mut self, row: u32, count: i128) {
        self.mark_value(row);
        if let Values::Counts(counts) = &mut self.values {
            put(counts, row as usize, count);
        }
    }

    /// Returns the last total of a counter's row, before it wraps.
    pub(super) fn last_count(&self, row: u32) -> Option<i128> {
        let Values::Counts(counts) = &self.values else { return None };
        self.entries.get(row as usize).filter(|cell| cell.has_value)?;
        counts.get(row as usize).copied()
    }

    /// Returns the last value of the row, from whichever scrape.
    pub(super) fn last(&self, row: u32) -> Option<ValueRef<'_>> {
        let row = row as usize;
        self.entries.get(row).filter(|cell| cell.has_value)?;
        match &self.values {
            Values::Words(words) => words.get(row).map(|word| self.read(*word)),
            Values::Counts(counts) => counts.get(row).map(|count| syntax::wrap(self.syntax, *count)),
            Values::Owned(values) => values.get(row).map(Value::as_ref),
        }
    }

    fn read(&self, word: u32) -> ValueRef<'static> {
        match self.syntax {
            Syntax::Integer32 | Syntax::TruthValue => ValueRef::Integer(word.cast_signed()),
            Syntax::IpAddress => ValueRef::IpAddress(word.to_be_bytes()),
            Syntax::TimeTicks => ValueRef::TimeTicks(word),
            _ => ValueRef::Gauge32(word),
        }
    }

    /// Ends a scrape: releases unused capacity and, unless `hold` is set, the texts of absent rows.
    pub(super) fn end(&mut self, hold: bool) {
        if let (Values::Owned(values), false) = (&mut self.values, hold) {
            let cells = values.iter_mut().zip(&mut self.entries);
            for (value, cell) in cells.filter(|(_, cell)| cell.state == CellState::Absent) {
                (*value, cell.has_value) = (Value::Null, false);
            }
        }
        let capacity = self.entries.len() + self.entries.len() / 8;
        self.entries.shrink_to(capacity);
        match &mut self.values {
            Values::Words(words) => words.shrink_to(capacity),
            Values::Counts(counts) => counts.shrink_to(capacity),
            Values::Owned(values) => values.shrink_to(capacity),
        }
    }

    /// Applies the new row numbers.
    pub(super) fn renumber(&mut self, rows: &Renumbering) {
        rows.retain(&mut self.entries);
        match &mut self.values {
            Values::Words(words) => rows.retain(words),
            Values::Counts(counts) => rows.retain(counts),
            Values::Owned(values) => rows.retain(values),
        }
    }
}

fn put<T>(values: &mut [T], row: usize, value: T) {
    if let Some(cell) = values.get_mut(row) {
        *cell = value;
    }
}

fn word(value: &Value) -> u32 {
    match value {
        Value::Integer(v) => v.cast_unsigned(),
        Value::Gauge32(v) | Value::TimeTicks(v) => *v,
        Value::IpAddress(v) => u32::from_be_bytes(*v),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_each_syntax_is_stored_unchanged() {
        for (syntax, value) in [
            (Syntax::Integer32, Value::Integer(-5)),
            (Syntax::Unsigned32, Value::Gauge32(u32::MAX)),
            (Syntax::Gauge32, Value::Gauge32(7)),
            (Syntax::Counter32, Value::Counter32(u32::MAX)),
            (Syntax::Counter64, Value::Counter64(u64::MAX)),
            (Syntax::TimeTicks, Value::TimeTicks(100)),
            (Syntax::OctetString, Value::OctetString(vec![0, 255])),
            (Syntax::DisplayString, Value::OctetString(b"x".to_vec())),
            (Syntax::IpAddress, Value::IpAddress([10, 0, 0, 1])),
            (Syntax::ObjectIdentifier, Value::ObjectIdentifier("1.3.6".parse().unwrap())),
            (Syntax::TruthValue, Value::Integer(2)),
        ] {
            let mut cells = Cells::new(syntax);
            cells.set(3, value.clone());
            assert_eq!((cells.state(3), cells.last(3)), (CellState::Value, Some(value.as_ref())), "{syntax:?}");
            assert_eq!((cells.state(2), cells.last(2)), (CellState::Absent, None), "{syntax:?}");
            assert_eq!((cells.state(4), cells.last(4)), (CellState::Absent, None), "{syntax:?}");
            cells.begin();
            cells.end(true);
            assert_eq!(
                (cells.state(3), cells.last(3)),
                (CellState::Absent, Some(value.as_ref())),
                "{syntax:?} is remembered"
            );
        }
    }
}
