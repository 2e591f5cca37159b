//! Refusals: why an object, or a part of it, is not served.

use super::object::ObjectId;

/// Why an object is refused, in one word: the reason of the condition `Accepted`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The object can never work as it is.
    Invalid,
    /// The API has the field, but no program serves it yet.
    NotServed,
    /// The object refers to an SnmpContext that does not exist.
    NoSuchContext,
    /// The object refers to a Secret, or a key of a Secret, that does not exist.
    NoSuchSecret,
    /// An SnmpContext does not admit the namespace or the OID.
    NotAllowed,
    /// Another object holds what this one requests.
    Conflict,
    /// The configuration would be too large for its ConfigMap or Secret.
    TooLarge,
    /// The namespace already has as many older objects as its quota allows.
    QuotaExceeded,
}

/// One reason why an object is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The object.
    pub object: ObjectId,
    /// The reason, in one word.
    pub reason: Reason,
    /// The path of the field, such as `spec.scalars[3].value.source`.
    pub path: String,
    /// The reason, in a sentence.
    pub message: String,
}

/// A refusal of a field, without the object, which the caller knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FieldRefusal {
    pub(super) reason: Reason,
    pub(super) path: String,
    pub(super) message: String,
}

impl FieldRefusal {
    pub(super) fn new(reason: Reason, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason, path: path.into(), message: message.into() }
    }

    /// Refuses a field that the API has but no program serves yet.
    pub(super) fn not_served(path: impl Into<String>, what: &str) -> Self {
        Self::new(Reason::NotServed, path, format!("{what} not served yet"))
    }

    /// Returns this as a refusal of `object`.
    pub(super) fn of(self, object: &ObjectId) -> Refusal {
        let Self { reason, path, message } = self;
        Refusal { object: object.clone(), reason, path, message }
    }
}
