//! One index object of one context.

use std::{
    collections::HashSet,
    mem::{Discriminant, discriminant},
};

use agentx::{Oid, Value};

use super::{Reason, runs::Runs};

/// A value of an index (RFC 2578 section 7.7).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum IndexValue {
    Integer(i32),
    Unsigned(u32),
    OctetString(Vec<u8>),
    ObjectIdentifier(Oid),
    IpAddress([u8; 4]),
}

/// The allocated and the previously used values of an index.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// The allocated values, all of one type.
    values: HashSet<IndexValue>,
    kind: Option<Discriminant<IndexValue>>,
    /// The numbers of the allocated values that have one.
    allocated: Runs,
    /// The numbers of all values that were ever allocated, of any type.
    used: Runs,
}

/// Whether a value was allocated before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Usage {
    First,
    Again,
}

impl IndexValue {
    /// # Errors
    /// Returns [`Reason::WrongType`] if indexes have no values of this type, and [`Reason::NoInstance`] if the value is
    /// too long.
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

    /// Returns the value of this type for a number, if there is one.
    fn numbered(&self, number: u32) -> Option<Self> {
        Some(match self {
            Self::Integer(_) => Self::Integer(i32::try_from(number).ok()?),
            Self::Unsigned(_) => Self::Unsigned(number),
            Self::OctetString(_) => Self::OctetString(number.to_string().into_bytes()),
            Self::ObjectIdentifier(_) => Self::ObjectIdentifier(Oid::new(vec![0, 0, number]).ok()?),
            Self::IpAddress(_) => Self::IpAddress(number.to_be_bytes()),
        })
    }

    /// Returns the number of this value, from 1, if it has one.
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
    /// Limit of the runs of used numbers. If there are more, the lowest gaps between them count as used too. This
    /// bounds the memory, and NEW_INDEX skips the numbers in these gaps.
    const MAX_RUNS: usize = 256;

    /// Returns whether no value is allocated or recorded as used.
    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty() && self.used.is_empty()
    }

    /// Allocates this value.
    pub(super) fn allocate(&mut self, value: IndexValue) -> Result<(IndexValue, Usage), Reason> {
        let kind = discriminant(&value);
        if !self.values.is_empty() && self.kind != Some(kind) {
            return Err(Reason::WrongType);
        }
        if !self.values.insert(value.clone()) {
            return Err(Reason::AlreadyAllocated);
        }
        self.kind = Some(kind);
        let mut usage = Usage::Again;
        if let Some(number) = value.number() {
            self.allocated.insert(number);
            if self.used.insert(number) {
                usage = Usage::First;
            }
        }
        Ok((value, usage))
    }

    /// Allocates a value of the type of `like` that was never allocated.
    pub(super) fn allocate_new(&mut self, like: &IndexValue) -> Result<(IndexValue, Usage), Reason> {
        let number = self.used.first_absent();
        self.allocate_numbered(number, like)
    }

    /// Allocates a value of the type of `like` that is not allocated now.
    pub(super) fn allocate_any(&mut self, like: &IndexValue) -> Result<(IndexValue, Usage), Reason> {
        let number = self.allocated.first_absent();
        self.allocate_numbered(number, like)
    }

    fn allocate_numbered(&mut self, number: Option<u32>, like: &IndexValue) -> Result<(IndexValue, Usage), Reason> {
        if !self.values.is_empty() && self.kind != Some(discriminant(like)) {
            return Err(Reason::WrongType);
        }
        self.allocate(number.and_then(|number| like.numbered(number)).ok_or(Reason::NoneAvailable)?)
    }

    /// Releases a value. With [`Usage::First`], its use is forgotten too.
    pub(super) fn release(&mut self, value: &IndexValue, usage: Usage) {
        self.values.remove(value);
        if let Some(number) = value.number() {
            self.allocated.remove(number);
            if usage == Usage::First {
                self.used.remove(number);
            }
        }
    }

    /// Limits the memory of used numbers.
    pub(super) fn limit_memory(&mut self) {
        self.used.fill_to(Self::MAX_RUNS);
    }

    #[cfg(test)]
    pub(super) fn runs(&self) -> usize {
        self.used.len()
    }
}
