//! Values of variables, owned ([`Value`]) and borrowed ([`ValueRef`]).

use crate::{Oid, OidError, SubId};

/// An owned value of a variable (RFC 2741 section 5.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// INTEGER, Integer32.
    Integer(i32),
    /// OCTET STRING.
    OctetString(Vec<u8>),
    /// Null, used in the varbinds of requests.
    Null,
    /// OBJECT IDENTIFIER.
    ObjectIdentifier(Oid),
    /// IpAddress: four octets in network order.
    IpAddress([u8; 4]),
    /// Counter32.
    Counter32(u32),
    /// Gauge32, Unsigned32.
    Gauge32(u32),
    /// TimeTicks, in hundredths of a second.
    TimeTicks(u32),
    /// Opaque: the wrapped octets.
    Opaque(Vec<u8>),
    /// Counter64.
    Counter64(u64),
    /// The object does not exist (RFC 3416 section 4.2.1).
    NoSuchObject,
    /// The object exists, but this instance does not.
    NoSuchInstance,
    /// The search range contains no further instance.
    EndOfMibView,
}

/// A borrowed value of a variable. The variants have the meaning of those of [`Value`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ValueRef<'a> {
    Integer(i32),
    OctetString(&'a [u8]),
    Null,
    ObjectIdentifier(&'a [SubId]),
    IpAddress([u8; 4]),
    Counter32(u32),
    Gauge32(u32),
    TimeTicks(u32),
    Opaque(&'a [u8]),
    Counter64(u64),
    NoSuchObject,
    NoSuchInstance,
    EndOfMibView,
}

impl Value {
    /// Returns the value in borrowed form.
    #[must_use]
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Integer(v) => ValueRef::Integer(*v),
            Self::OctetString(v) => ValueRef::OctetString(v),
            Self::Null => ValueRef::Null,
            Self::ObjectIdentifier(v) => ValueRef::ObjectIdentifier(v),
            Self::IpAddress(v) => ValueRef::IpAddress(*v),
            Self::Counter32(v) => ValueRef::Counter32(*v),
            Self::Gauge32(v) => ValueRef::Gauge32(*v),
            Self::TimeTicks(v) => ValueRef::TimeTicks(*v),
            Self::Opaque(v) => ValueRef::Opaque(v),
            Self::Counter64(v) => ValueRef::Counter64(*v),
            Self::NoSuchObject => ValueRef::NoSuchObject,
            Self::NoSuchInstance => ValueRef::NoSuchInstance,
            Self::EndOfMibView => ValueRef::EndOfMibView,
        }
    }
}

impl ValueRef<'_> {
    /// Returns the value in owned form.
    ///
    /// # Errors
    /// Returns [`OidError::TooLong`] if an OID has more than [`Oid::MAX_LEN`] arcs.
    pub fn to_value(&self) -> Result<Value, OidError> {
        Ok(match *self {
            Self::Integer(v) => Value::Integer(v),
            Self::OctetString(v) => Value::OctetString(v.to_vec()),
            Self::Null => Value::Null,
            Self::ObjectIdentifier(v) => Value::ObjectIdentifier(Oid::try_from(v)?),
            Self::IpAddress(v) => Value::IpAddress(v),
            Self::Counter32(v) => Value::Counter32(v),
            Self::Gauge32(v) => Value::Gauge32(v),
            Self::TimeTicks(v) => Value::TimeTicks(v),
            Self::Opaque(v) => Value::Opaque(v.to_vec()),
            Self::Counter64(v) => Value::Counter64(v),
            Self::NoSuchObject => Value::NoSuchObject,
            Self::NoSuchInstance => Value::NoSuchInstance,
            Self::EndOfMibView => Value::EndOfMibView,
        })
    }

    /// Returns the code of the value's type: `v.type` (RFC 2741 section 5.4).
    #[must_use]
    pub const fn type_code(&self) -> u16 {
        match self {
            Self::Integer(_) => 2,
            Self::OctetString(_) => 4,
            Self::Null => 5,
            Self::ObjectIdentifier(_) => 6,
            Self::IpAddress(_) => 64,
            Self::Counter32(_) => 65,
            Self::Gauge32(_) => 66,
            Self::TimeTicks(_) => 67,
            Self::Opaque(_) => 68,
            Self::Counter64(_) => 70,
            Self::NoSuchObject => 128,
            Self::NoSuchInstance => 129,
            Self::EndOfMibView => 130,
        }
    }
}
