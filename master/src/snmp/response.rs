//! What an answer says, by version: error-status, error-index, and whose variable bindings it carries.

use agentx::ResponseError;

use super::{
    message::{Pdu, Version},
    tlv::Elements,
};
use crate::{ber::tag, varbind_list::VarBindList};

/// What a Response says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// What went wrong, in the terms of the version.
    pub(crate) error: ResponseError,
    /// With which variable binding, from 1; 0 for none of them.
    pub(crate) index: i32,
}

impl Verdict {
    /// Nothing went wrong.
    pub(crate) const NO_ERROR: Self = Self { error: ResponseError::NoError, index: 0 };
    /// The answer does not fit into a message.
    pub(crate) const TOO_BIG: Self = Self { error: ResponseError::TooBig, index: 0 };

    /// What is said of `result` in `version`.
    pub(crate) fn new(version: Version, result: &Result<VarBindList, (ResponseError, u32)>) -> Self {
        let (error, index) = match result {
            Ok(varbinds) if version == Version::V1 => match unfit_for_v1(varbinds) {
                Some(index) => (ResponseError::NoSuchName, index),
                None => (ResponseError::NoError, 0),
            },
            Ok(_) => (ResponseError::NoError, 0),
            Err((error, index)) if version == Version::V1 => (in_v1(*error), *index),
            Err((error, index)) => (in_v2(*error), *index),
        };
        // RFC 3416 section 4.2.1: tooBig is about none of them.
        let index = if error == ResponseError::TooBig { 0 } else { i32::try_from(index).unwrap_or(0) };
        Self { error, index }
    }

    /// The Response that says so.
    pub(crate) fn pdu(self, request_id: i32, varbinds: &[u8]) -> Pdu<'_> {
        let error_status = i32::from(self.error.code());
        Pdu { tag: tag::RESPONSE, request_id, error_status, error_index: self.index, varbinds }
    }
}

/// The first variable binding, from 1, that SNMPv1 cannot carry: an exception or a Counter64. It is a noSuchName there
/// (RFC 3584 sections 4.2.2.1 and 4.2.2.2).
fn unfit_for_v1(varbinds: &VarBindList) -> Option<u32> {
    let mut list = Elements(varbinds.octets());
    (1..).zip(std::iter::from_fn(|| list.expect(tag::SEQUENCE))).find_map(|(index, varbind)| {
        let mut fields = Elements(varbind);
        fields.next();
        let unfit = matches!(
            fields.next()?.0,
            tag::NO_SUCH_OBJECT | tag::NO_SUCH_INSTANCE | tag::END_OF_MIB_VIEW | tag::COUNTER64
        );
        unfit.then_some(index)
    })
}

/// An error in SNMPv1's terms (RFC 3584 section 4.4). AgentX's own say nothing to an NMS.
fn in_v1(error: ResponseError) -> ResponseError {
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

/// An error in the terms of RFC 3416, which has SNMPv1's only for proxies.
fn in_v2(error: ResponseError) -> ResponseError {
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
    fn errors_are_said_in_the_versions_terms(#[case] error: E, #[case] v1: E, #[case] v2: E) {
        for (version, said) in [(Version::V1, v1), (Version::V2c, v2), (Version::V3, v2)] {
            let index = if said == E::TooBig { 0 } else { 3 };
            assert_eq!(Verdict::new(version, &Err((error, 3))), Verdict { error: said, index }, "{version:?}");
        }
    }

    #[rstest]
    #[case::all_fit(&[V::Null, V::Integer(1), V::TimeTicks(7)], 0)]
    #[case::exception(&[V::Integer(1), V::NoSuchObject, V::EndOfMibView], 2)]
    #[case::instance(&[V::NoSuchInstance], 1)]
    #[case::end(&[V::OctetString(&[0x82; 200]), V::Integer(1), V::EndOfMibView], 3)]
    #[case::counter64(&[V::Counter32(1), V::Counter64(1)], 2)]
    #[case::nothing(&[], 0)]
    fn what_v1_cannot_carry_is_no_such_name(#[case] values: &[ValueRef<'_>], #[case] index: i32) {
        let mut varbinds = VarBindList::default();
        for value in values {
            varbinds.push(&[1, 3, 6, 1], *value);
        }
        let error = if index == 0 { E::NoError } else { E::NoSuchName };
        assert_eq!(Verdict::new(Version::V1, &Ok(varbinds.clone())), Verdict { error, index });
        assert_eq!(Verdict::new(Version::V2c, &Ok(varbinds)), Verdict { error: E::NoError, index: 0 });
    }
}
