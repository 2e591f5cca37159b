//! What an NMS asked, and whether that is what it is answered.

use agentx::{Oid, ResponseError, SubId};
use async_snmp::{Value, VarBind, ber::Decoder};

use crate::{
    dispatch::{Operation, Request},
    varbind_list::VarBindList,
};

/// Checks an answer, as far as it can be known without knowing what subagents have.
pub(super) fn check(request: &Request, result: &Result<VarBindList, (ResponseError, u32)>) {
    let list = match result {
        Ok(list) => list,
        Err((error, index)) => return check_error(request, *error, *index),
    };
    assert!(list.octets().len() <= request.room, "{} octets are too many", list.octets().len());
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
            let once = usize::try_from(*non_repeaters).unwrap_or(usize::MAX).min(names.len());
            let repeated = names.len() - once;
            let most = once + repeated * usize::try_from(*max_repetitions).unwrap_or(usize::MAX);
            assert!(varbinds.len() <= most, "{} varbinds", varbinds.len());
            for (at, varbind) in varbinds.iter().enumerate() {
                let before = at.checked_sub(repeated).filter(|before| *before >= once && at >= once);
                match before.and_then(|before| varbinds.get(before)) {
                    Some(before) => check_next(varbind, before.oid.arcs()),
                    None => check_next(varbind, names.get(at).map(Oid::as_slice).unwrap_or_default()),
                }
            }
        }
        Operation::Set(due) => assert_eq!(varbinds.len(), due.len()),
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
    assert!(usize::try_from(index).is_ok_and(|index| index <= names), "{index} of {names}");
    let is_write = matches!(request.operation, Operation::Set(_));
    let is_due = match error {
        ResponseError::GenErr | ResponseError::TooBig => true,
        error => is_write && (6..=18).contains(&error.code()),
    };
    assert!(is_due, "{error:?}");
}

fn read(list: &VarBindList) -> Vec<VarBind> {
    let mut decoder = Decoder::from_slice(list.octets());
    let mut varbinds = Vec::new();
    while !decoder.is_empty() {
        match VarBind::decode(&mut decoder) {
            Ok(varbind) => varbinds.push(varbind),
            Err(error) => unreachable!("it is no BER: {error}"),
        }
    }
    assert_eq!(varbinds.len(), list.len());
    varbinds
}
