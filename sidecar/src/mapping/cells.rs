//! The values of one object, a cell per row, in as few bytes as its syntax allows.

use agentx::{Value, ValueRef};
use sidecar_config::Syntax;

use super::{rows::Renumbering, syntax};

/// One value per row, and whether the latest scrape had it.
#[derive(Debug)]
pub(super) struct Cells {
    syntax: Syntax,
    states: Vec<State>,
    values: Values,
}

#[derive(Debug)]
enum Values {
    /// The bits of an Integer32, Unsigned32, Gauge32, TimeTicks, TruthValue or IpAddress.
    Words(Vec<u32>),
    /// Counters before they wrap.
    Counts(Vec<i128>),
    /// Anything else.
    Owned(Vec<Value>),
}

/// What the latest scrape had for a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Now {
    /// No sample.
    #[default]
    Absent,
    /// A sample that makes no value yet: the row is there, and onMissing applies.
    Missing,
    /// A sample that the syntax cannot show.
    Withheld,
    /// A value.
    Value,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    now: Now,
    /// Whether there was ever a value.
    ever: bool,
}

impl Cells {
    pub(super) fn new(syntax: Syntax) -> Self {
        let values = match syntax {
            Syntax::Counter32 | Syntax::Counter64 => Values::Counts(Vec::new()),
            Syntax::OctetString | Syntax::DisplayString | Syntax::ObjectIdentifier => Values::Owned(Vec::new()),
            _ => Values::Words(Vec::new()),
        };
        Self { syntax, states: Vec::new(), values }
    }

    /// Begins a scrape: no row has a sample so far.
    pub(super) fn begin(&mut self) {
        for state in &mut self.states {
            state.now = Now::Absent;
        }
    }

    /// What the latest scrape had for the row.
    pub(super) fn now(&self, row: u32) -> Now {
        self.states.get(row as usize).map_or(Now::Absent, |state| state.now)
    }

    /// Notes what this scrape has for the row, short of a value.
    pub(super) fn mark(&mut self, row: u32, now: Now) {
        self.grow(row);
        if let Some(state) = self.states.get_mut(row as usize) {
            state.now = now;
        }
    }

    fn grow(&mut self, row: u32) {
        let rows = row as usize + 1;
        if self.states.len() < rows {
            self.states.resize(rows, State::default());
            match &mut self.values {
                Values::Words(words) => words.resize(rows, 0),
                Values::Counts(counts) => counts.resize(rows, 0),
                Values::Owned(values) => values.resize(rows, Value::Null),
            }
        }
    }

    fn note(&mut self, row: u32) {
        self.grow(row);
        if let Some(state) = self.states.get_mut(row as usize) {
            *state = State { now: Now::Value, ever: true };
        }
    }

    /// Sets the row's value, one of this object's syntax.
    pub(super) fn set(&mut self, row: u32, value: Value) {
        self.note(row);
        let row = row as usize;
        match (&mut self.values, value) {
            (Values::Words(words), value) => put(words, row, word(&value)),
            (Values::Counts(counts), Value::Counter64(v)) => put(counts, row, v.into()),
            (Values::Counts(counts), Value::Counter32(v)) => put(counts, row, v.into()),
            (Values::Counts(_), _) => {}
            (Values::Owned(values), value) => put(values, row, value),
        }
    }

    /// Sets a counter before it wraps.
    pub(super) fn set_count(&mut self, row: u32, count: i128) {
        self.note(row);
        if let Values::Counts(counts) = &mut self.values {
            put(counts, row as usize, count);
        }
    }

    /// The last count that a counter's row had, before it wraps.
    pub(super) fn last_count(&self, row: u32) -> Option<i128> {
        let Values::Counts(counts) = &self.values else { return None };
        self.states.get(row as usize).filter(|state| state.ever)?;
        counts.get(row as usize).copied()
    }

    /// The last value that the row had, whenever that was.
    pub(super) fn last(&self, row: u32) -> Option<ValueRef<'_>> {
        let row = row as usize;
        self.states.get(row).filter(|state| state.ever)?;
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

    /// Ends a scrape: gives back the room that growing has left over.
    pub(super) fn end(&mut self) {
        let room = self.states.len() + self.states.len() / 8;
        self.states.shrink_to(room);
        match &mut self.values {
            Values::Words(words) => words.shrink_to(room),
            Values::Counts(counts) => counts.shrink_to(room),
            Values::Owned(values) => values.shrink_to(room),
        }
    }

    /// Follows the rows to their new numbers.
    pub(super) fn renumber(&mut self, rows: &Renumbering) {
        rows.keep(&mut self.states);
        match &mut self.values {
            Values::Words(words) => rows.keep(words),
            Values::Counts(counts) => rows.keep(counts),
            Values::Owned(values) => rows.keep(values),
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
    fn a_value_of_any_syntax_comes_back_as_it_was_set() {
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
            assert_eq!((cells.now(3), cells.last(3)), (Now::Value, Some(value.as_ref())), "{syntax:?}");
            assert_eq!((cells.now(2), cells.last(2)), (Now::Absent, None), "{syntax:?}");
            assert_eq!((cells.now(4), cells.last(4)), (Now::Absent, None), "{syntax:?}");
            cells.begin();
            assert_eq!((cells.now(3), cells.last(3)), (Now::Absent, Some(value.as_ref())), "{syntax:?} is remembered");
        }
    }
}
