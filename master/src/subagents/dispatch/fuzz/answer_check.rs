//! Checks that answers match their requests.

use agentx::{Oid, ResponseError, SubId};
use async_snmp::{Value, VarBind, ber::Decoder};

use crate::pdu::{Operation, Request, varbind_list::VarBindList};

/// Checks an answer as far as possible without knowing the instances of the subagents.
///
/// # Panics
/// Panics if the answer does not match the request.
pub(super) fn check(request: &Request, result: &Result<VarBindList, (ResponseError, u32)>) {
    let list = match result {
        Ok(list) => list,
        Err((error, index)) => return check_error(request, *error, *index),
    };
    assert!(list.octets().len() <= request.room, "{} octets exceed the room", list.octets().len());
    let varbinds = read(list);
    match &request.operation {
        Operation::Get(names) => {
            assert_eq!(varbinds.len(), names.len());
            for (varbind, name) in varbinds.iter().zip(names) {
                assert_eq!(varbind.oid.arcs(), name.as_slice());
                assert!(!matches!(varbind.value, Value::Null | Value::EndOfMibView), "{varbind:?}");
            }
        }
        Operation::GetNext(names) => {
            assert_eq!(varbinds.len(), names.len());
            for (varbind, name) in varbinds.iter().zip(names) {
                check_next(varbind, name);
            }
        }
        Operation::GetBulk { non_repeaters, max_repetitions, names } => {
            let non_repeaters = usize::try_from(*non_repeaters).unwrap_or(usize::MAX).min(names.len());
            let repeated = names.len() - non_repeaters;
            let max = non_repeaters + repeated * usize::try_from(*max_repetitions).unwrap_or(usize::MAX);
            assert!(varbinds.len() <= max, "{} varbinds", varbinds.len());
            for (at, varbind) in varbinds.iter().enumerate() {
                let before = at.checked_sub(repeated).filter(|before| *before >= non_repeaters && at >= non_repeaters);
                match before.and_then(|before| varbinds.get(before)) {
                    Some(before) => check_next(varbind, before.oid.arcs()),
                    None => check_next(varbind, names.get(at).map(Oid::as_slice).unwrap_or_default()),
                }
            }
        }
        Operation::Set(written) => assert_eq!(varbinds.len(), written.len()),
    }
    if request.without_counter64 {
        assert!(!varbinds.iter().any(|varbind| matches!(varbind.value, Value::Counter64(_))), "{varbinds:?}");
    }
}

fn check_next(varbind: &VarBind, after: &[SubId]) {
    match varbind.value {
        Value::EndOfMibView => assert_eq!(varbind.oid.arcs(), after),
        Value::Null | Value::NoSuchObject | Value::NoSuchInstance => unreachable!("{varbind:?}"),
        _ => assert!(varbind.oid.arcs() > after, "{varbind:?} after {after:?}"),
    }
}

fn check_error(request: &Request, error: ResponseError, index: u32) {
    let names = match &request.operation {
        Operation::Get(names) | Operation::GetNext(names) | Operation::GetBulk { names, .. } => names.len(),
        Operation::Set(varbinds) => varbinds.len(),
    };
    assert!(usize::try_from(index).is_ok_and(|index| index <= names), "error-index {index} with {names} names");
    let is_write = matches!(request.operation, Operation::Set(_));
    let is_expected = match error {
        ResponseError::GenErr | ResponseError::TooBig => true,
        error => is_write && (6..=18).contains(&error.code()),
    };
    assert!(is_expected, "unexpected error {error:?}");
}

fn read(list: &VarBindList) -> Vec<VarBind> {
    let mut decoder = Decoder::from_slice(list.octets());
    let mut varbinds = Vec::new();
    while !decoder.is_empty() {
        match VarBind::decode(&mut decoder) {
            Ok(varbind) => varbinds.push(varbind),
            Err(error) => unreachable!("the answer is not valid BER: {error}"),
        }
    }
    assert_eq!(varbinds.len(), list.len());
    varbinds
}
