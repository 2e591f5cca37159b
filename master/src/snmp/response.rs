//! Error-status and error-index of a Response, depending on the SNMP version.

use agentx::ResponseError;

use super::{
    message::{Pdu, Version},
    tlv::Elements,
};
use crate::pdu::{ber::tag, varbind_list::VarBindList};

/// The error-status and error-index of a Response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ResponseStatus {
    /// error-status, as the version defines it.
    pub(crate) error: ResponseError,
    /// error-index: the varbind, from 1; 0 if the error concerns none of them.
    pub(crate) index: i32,
}

impl ResponseStatus {
    /// No error.
    pub(crate) const NO_ERROR: Self = Self { error: ResponseError::NoError, index: 0 };
    /// The response does not fit into a message.
    pub(crate) const TOO_BIG: Self = Self { error: ResponseError::TooBig, index: 0 };

    /// Returns the status of `result` in a response of `version`.
    pub(crate) fn new(version: Version, result: &Result<VarBindList, (ResponseError, u32)>) -> Self {
        let (error, index) = match result {
            Ok(varbinds) if version == Version::V1 => match first_unsupported_in_v1(varbinds) {
                Some(index) => (ResponseError::NoSuchName, index),
                None => (ResponseError::NoError, 0),
            },
            Ok(_) => (ResponseError::NoError, 0),
            Err((error, index)) if version == Version::V1 => (error_for_v1(*error), *index),
            Err((error, index)) => (error_for_v2(*error), *index),
        };
        // RFC 3416 section 4.2.1: the error-index of tooBig is 0.
        let index = if error == ResponseError::TooBig { 0 } else { i32::try_from(index).unwrap_or(0) };
        Self { error, index }
    }

    /// Returns the Response PDU with this status.
    pub(crate) fn pdu(self, request_id: i32, varbinds: &[u8]) -> Pdu<'_> {
        let error_status = i32::from(self.error.code());
        Pdu { tag: tag::RESPONSE, request_id, error_status, error_index: self.index, varbinds }
    }
}

/// Returns the index, from 1, of the first varbind that SNMPv1 does not support: an exception or a Counter64.
/// SNMPv1 returns noSuchName for it (RFC 3584 sections 4.2.2.1 and 4.2.2.2).
fn first_unsupported_in_v1(varbinds: &VarBindList) -> Option<u32> {
    let mut list = Elements(varbinds.octets());
    (1..).zip(std::iter::from_fn(|| list.expect(tag::SEQUENCE))).find_map(|(index, varbind)| {
        let mut fields = Elements(varbind);
        fields.next();
        let is_unsupported = matches!(
            fields.next()?.0,
            tag::NO_SUCH_OBJECT | tag::NO_SUCH_INSTANCE | tag::END_OF_MIB_VIEW | tag::COUNTER64
        );
        is_unsupported.then_some(index)
    })
}

/// Maps an error to SNMPv1 (RFC 3584 section 4.4). AgentX errors become genErr.
fn error_for_v1(error: ResponseError) -> ResponseError {
    use ResponseError as E;
    match error {
        E::NoError | E::TooBig | E::NoSuchName | E::BadValue => error,
        E::WrongValue | E::WrongEncoding | E::WrongType | E::WrongLength | E::InconsistentValue => E::BadValue,
        E::ReadOnly | E::NoAccess | E::NotWritable | E::NoCreation | E::InconsistentName | E::AuthorizationError => {
            E::NoSuchName
        }
        _ => E::GenErr,
    }
}

/// Maps an error to RFC 3416, where errors of SNMPv1 exist only for proxies. AgentX errors become genErr.
fn error_for_v2(error: ResponseError) -> ResponseError {
    use ResponseError as E;
    match error {
        E::NoSuchName => E::NoAccess,
        E::BadValue => E::WrongValue,
        E::ReadOnly => E::NotWritable,
        error if error.code() <= E::InconsistentName.code() => error,
        _ => E::GenErr,
    }
}

#[cfg(test)]
mod tests {
    use ResponseError as E;
    use agentx::{ValueRef, ValueRef as V};
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(E::NoError, E::NoError, E::NoError)]
    #[case(E::TooBig, E::TooBig, E::TooBig)]
    #[case(E::NoSuchName, E::NoSuchName, E::NoAccess)]
    #[case(E::BadValue, E::BadValue, E::WrongValue)]
    #[case(E::ReadOnly, E::NoSuchName, E::NotWritable)]
    #[case(E::GenErr, E::GenErr, E::GenErr)]
    #[case(E::NoAccess, E::NoSuchName, E::NoAccess)]
    #[case(E::WrongType, E::BadValue, E::WrongType)]
    #[case(E::WrongLength, E::BadValue, E::WrongLength)]
    #[case(E::WrongEncoding, E::BadValue, E::WrongEncoding)]
    #[case(E::WrongValue, E::BadValue, E::WrongValue)]
    #[case(E::NoCreation, E::NoSuchName, E::NoCreation)]
    #[case(E::InconsistentValue, E::BadValue, E::InconsistentValue)]
    #[case(E::ResourceUnavailable, E::GenErr, E::ResourceUnavailable)]
    #[case(E::CommitFailed, E::GenErr, E::CommitFailed)]
    #[case(E::UndoFailed, E::GenErr, E::UndoFailed)]
    #[case(E::AuthorizationError, E::NoSuchName, E::AuthorizationError)]
    #[case(E::NotWritable, E::NoSuchName, E::NotWritable)]
    #[case(E::InconsistentName, E::NoSuchName, E::InconsistentName)]
    #[case(E::OpenFailed, E::GenErr, E::GenErr)]
    #[case(E::ParseError, E::GenErr, E::GenErr)]
    #[case(E::Unknown(19), E::GenErr, E::GenErr)]
    #[case(E::Unknown(0xFFFF), E::GenErr, E::GenErr)]
    fn errors_are_mapped_to_the_version(#[case] error: E, #[case] v1: E, #[case] v2: E) {
        for (version, expected) in [(Version::V1, v1), (Version::V2c, v2), (Version::V3, v2)] {
            let index = if expected == E::TooBig { 0 } else { 3 };
            assert_eq!(
                ResponseStatus::new(version, &Err((error, 3))),
                ResponseStatus { error: expected, index },
                "{version:?}"
            );
        }
    }

    #[rstest]
    #[case::all_supported(&[V::Null, V::Integer(1), V::TimeTicks(7)], 0)]
    #[case::exception(&[V::Integer(1), V::NoSuchObject, V::EndOfMibView], 2)]
    #[case::no_such_instance(&[V::NoSuchInstance], 1)]
    #[case::end_of_mib_view(&[V::OctetString(&[0x82; 200]), V::Integer(1), V::EndOfMibView], 3)]
    #[case::counter64(&[V::Counter32(1), V::Counter64(1)], 2)]
    #[case::empty(&[], 0)]
    fn v1_returns_no_such_name_for_unsupported_values(#[case] values: &[ValueRef<'_>], #[case] index: i32) {
        let mut varbinds = VarBindList::default();
        for value in values {
            varbinds.push(&[1, 3, 6, 1], *value);
        }
        let error = if index == 0 { E::NoError } else { E::NoSuchName };
        assert_eq!(ResponseStatus::new(Version::V1, &Ok(varbinds.clone())), ResponseStatus { error, index });
        assert_eq!(ResponseStatus::new(Version::V2c, &Ok(varbinds)), ResponseStatus { error: E::NoError, index: 0 });
    }
}
