//! One index object of one context.

use std::{
    collections::HashSet,
    mem::{Discriminant, discriminant},
};

use agentx::{Oid, Value};

use super::{Reason, runs::Runs};

/// A value that an index can have (RFC 2578 section 7.7).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum IndexValue {
    Integer(i32),
    Unsigned(u32),
    OctetString(Vec<u8>),
    ObjectIdentifier(Oid),
    IpAddress([u8; 4]),
}

/// What is reserved of an index, and what ever was.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// What is reserved, all of one type.
    values: HashSet<IndexValue>,
    kind: Option<Discriminant<IndexValue>>,
    /// The numbers of those values that have one.
    taken: Runs,
    /// The numbers of values that ever were reserved, of whatever type.
    used: Runs,
}

/// Whether a value was ever reserved before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    First,
    Again,
}

impl IndexValue {
    /// # Errors
    /// [`Reason::WrongType`] where no index has values of this type, [`Reason::NoInstance`] where it is too long.
    pub(super) fn new(value: &Value) -> Result<Self, Reason> {
        match value {
            Value::Integer(value) => Ok(Self::Integer(*value)),
            Value::Gauge32(value) => Ok(Self::Unsigned(*value)),
            Value::OctetString(value) if value.len() > Oid::MAX_LEN => Err(Reason::NoInstance),
            Value::OctetString(value) => Ok(Self::OctetString(value.clone())),
            Value::ObjectIdentifier(value) => Ok(Self::ObjectIdentifier(value.clone())),
            Value::IpAddress(value) => Ok(Self::IpAddress(*value)),
            _ => Err(Reason::WrongType),
        }
    }

    pub(super) fn to_value(&self) -> Value {
        match self {
            Self::Integer(value) => Value::Integer(*value),
            Self::Unsigned(value) => Value::Gauge32(*value),
            Self::OctetString(value) => Value::OctetString(value.clone()),
            Self::ObjectIdentifier(value) => Value::ObjectIdentifier(value.clone()),
            Self::IpAddress(value) => Value::IpAddress(*value),
        }
    }

    /// The value of this type that has a number, from 1, if there is one.
    fn numbered(&self, number: u32) -> Option<Self> {
        Some(match self {
            Self::Integer(_) => Self::Integer(i32::try_from(number).ok()?),
            Self::Unsigned(_) => Self::Unsigned(number),
            Self::OctetString(_) => Self::OctetString(number.to_string().into_bytes()),
            Self::ObjectIdentifier(_) => Self::ObjectIdentifier(Oid::new(vec![0, 0, number]).ok()?),
            Self::IpAddress(_) => Self::IpAddress(number.to_be_bytes()),
        })
    }

    /// The number of this value, from 1, if it has one.
    fn number(&self) -> Option<u32> {
        let number = match self {
            Self::Integer(value) => u32::try_from(*value).ok()?,
            Self::Unsigned(value) => *value,
            Self::OctetString(value) => str::from_utf8(value).ok()?.parse().ok()?,
            Self::ObjectIdentifier(value) => *value.last()?,
            Self::IpAddress(value) => u32::from_be_bytes(*value),
        };
        (number > 0 && self.numbered(number)? == *self).then_some(number)
    }
}

impl Index {
    /// Between how many runs of numbers that were used gaps are kept. Where there are more, the lowest gaps count as
    /// used too: NEW_INDEX passes them by, and memory has an end.
    const MAX_RUNS: usize = 256;

    /// Whether nothing is reserved, and nothing is to be remembered.
    pub(super) fn is_blank(&self) -> bool {
        self.values.is_empty() && self.used.is_empty()
    }

    /// Reserves this very value.
    pub(super) fn take(&mut self, value: IndexValue) -> Result<(IndexValue, Taken), Reason> {
        let kind = discriminant(&value);
        if !self.values.is_empty() && self.kind != Some(kind) {
            return Err(Reason::WrongType);
        }
        if !self.values.insert(value.clone()) {
            return Err(Reason::AlreadyAllocated);
        }
        self.kind = Some(kind);
        let mut how = Taken::Again;
        if let Some(number) = value.number() {
            self.taken.insert(number);
            if self.used.insert(number) {
                how = Taken::First;
            }
        }
        Ok((value, how))
    }

    /// Reserves a value like `like` that never was.
    pub(super) fn take_new(&mut self, like: &IndexValue) -> Result<(IndexValue, Taken), Reason> {
        let number = self.used.first_absent();
        self.take_numbered(number, like)
    }

    /// Reserves a value like `like` that is not reserved now.
    pub(super) fn take_any(&mut self, like: &IndexValue) -> Result<(IndexValue, Taken), Reason> {
        let number = self.taken.first_absent();
        self.take_numbered(number, like)
    }

    fn take_numbered(&mut self, number: Option<u32>, like: &IndexValue) -> Result<(IndexValue, Taken), Reason> {
        if !self.values.is_empty() && self.kind != Some(discriminant(like)) {
            return Err(Reason::WrongType);
        }
        self.take(number.and_then(|number| like.numbered(number)).ok_or(Reason::NoneAvailable)?)
    }

    /// Releases a value. One that was taken for the first time is as if it had never been, if `how` says so.
    pub(super) fn give_back(&mut self, value: &IndexValue, how: Taken) {
        self.values.remove(value);
        if let Some(number) = value.number() {
            self.taken.remove(number);
            if how == Taken::First {
                self.used.remove(number);
            }
        }
    }

    /// Bounds what is remembered.
    pub(super) fn bound(&mut self) {
        self.used.fill_to(Self::MAX_RUNS);
    }

    #[cfg(test)]
    pub(super) fn runs(&self) -> usize {
        self.used.len()
    }
}
