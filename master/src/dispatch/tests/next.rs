//! GetNext.

use agentx::{Body, ResponseError, Value};

use super::rig::{Rig, get_next, int, range, ranges, varbind};

const A: &str = "1.3.6.1.4.1.99999.1";
const B: &str = "1.3.6.1.4.1.99999.2";

#[test]
fn the_search_is_for_what_follows_up_to_the_end_of_the_region() {
    let mut rig = Rig::new();
    let a = rig.serving(&[A]);
    let token = rig.request(get_next(&["1.3.6.1.4.1.99999.1.5"]));
    let asked = rig.asked_once(a);
    assert!(matches!(asked.body, Body::GetNext(_)));
    assert_eq!(ranges(&asked), [range("1.3.6.1.4.1.99999.1.5", false, B)]);
    rig.answer(&asked, a, vec![int("1.3.6.1.4.1.99999.1.6", 6)]);
    assert_eq!(rig.result(token), Ok(vec![int("1.3.6.1.4.1.99999.1.6", 6)]));
}

#[test]
fn the_start_of_a_region_after_the_name_is_included() {
    let mut rig = Rig::new();
    let a = rig.serving(&[A]);
    let token = rig.request(get_next(&["1.3.6.1.4.1.5"]));
    let asked = rig.asked_once(a);
    assert_eq!(ranges(&asked), [range(A, true, B)]);
    rig.answer(&asked, a, vec![int(A, 6)]);
    assert_eq!(rig.result(token), Ok(vec![int(A, 6)]));
}

#[test]
fn the_search_goes_on_in_the_next_region_of_whomever_it_is() {
    let mut rig = Rig::new();
    let (a, b) = (rig.serving(&[A]), rig.serving(&[B]));
    let token = rig.request(get_next(&["1.3.6.1.4.1.99999.1.5", "1.3.6.1.4.1.99999.1.1"]));
    let asked = rig.asked_once(a);
    let (end, found) = (varbind("1.3.6.1.4.1.99999.1.5", Value::EndOfMibView), int("1.3.6.1.4.1.99999.1.2", 2));
    rig.answer(&asked, a, vec![end, found.clone()]);
    assert!(rig.asked(a).is_empty());
    let asked = rig.asked_once(b);
    assert_eq!(ranges(&asked), [range(B, true, "1.3.6.1.4.1.99999.3")]);
    rig.answer(&asked, b, vec![int("1.3.6.1.4.1.99999.2.1", 1)]);
    assert_eq!(rig.result(token), Ok(vec![int("1.3.6.1.4.1.99999.2.1", 1), found]));
}

#[test]
fn a_region_within_a_region_is_left_out_of_the_search_around_it() {
    let mut rig = Rig::new();
    let (wide, narrow) = (rig.serving(&["1.3.6.1.4.1.99999"]), rig.serving(&[B]));
    let token = rig.request(get_next(&["1.3.6.1.4.1.99999.1"]));
    let asked = rig.asked_once(wide);
    assert_eq!(ranges(&asked), [range("1.3.6.1.4.1.99999.1", false, B)]);
    rig.answer(&asked, wide, vec![varbind("1.3.6.1.4.1.99999.1", Value::EndOfMibView)]);
    let asked = rig.asked_once(narrow);
    rig.answer(&asked, narrow, vec![varbind(B, Value::EndOfMibView)]);
    let asked = rig.asked_once(wide);
    assert_eq!(ranges(&asked), [range("1.3.6.1.4.1.99999.3", true, "1.3.6.1.4.1.100000")]);
    rig.answer(&asked, wide, vec![int("1.3.6.1.4.1.99999.4", 4)]);
    assert_eq!(rig.result(token), Ok(vec![int("1.3.6.1.4.1.99999.4", 4)]));
}

#[test]
fn after_the_last_region_is_the_end_of_the_mib_view() {
    let mut rig = Rig::new();
    let a = rig.serving(&[A]);
    let token = rig.request(get_next(&["1.3.6.1.4.1.99999.1.5", "1.3.6.1.5"]));
    let asked = rig.asked_once(a);
    rig.answer(&asked, a, vec![varbind("1.3.6.1.4.1.99999.1.5", Value::EndOfMibView)]);
    let end = |name| varbind(name, Value::EndOfMibView);
    assert_eq!(rig.result(token), Ok(vec![end("1.3.6.1.4.1.99999.1.5"), end("1.3.6.1.5")]));
}

#[test]
fn the_masters_own_objects_come_in_their_order() {
    let mut rig = Rig::new();
    let a = rig.serving(&["1.3.6.1.2.1"]);
    let token = rig.request(get_next(&["1.3.6.1.2", "1.3.6.1.2.1.1.1.0", "1.3.6.1.2.1.1.3.0"]));
    let asked = rig.asked_once(a);
    let due = [range("1.3.6.1.2.1", true, "1.3.6.1.2.1.1"), range("1.3.6.1.2.1.2", true, "1.3.6.1.2.2")];
    assert_eq!(ranges(&asked), due);
    let found = int("1.3.6.1.2.1.2.1.0", 21);
    rig.answer(&asked, a, vec![varbind("1.3.6.1.2.1", Value::EndOfMibView), found.clone()]);
    let counter = varbind("1.3.6.1.2.1.1.2.0", Value::Counter64(12));
    assert_eq!(rig.result(token), Ok(vec![int("1.3.6.1.2.1.1.1.0", 11), counter, found]));
}

#[test]
fn more_regions_are_asked_at_once_the_longer_nothing_is_found() {
    let mut rig = Rig::new();
    let subtrees: Vec<_> = (1..20).map(|arc| format!("1.3.6.1.4.1.99999.1.{}", arc * 2)).collect();
    let a = rig.serving(&subtrees.iter().map(String::as_str).collect::<Vec<_>>());
    let token = rig.request(get_next(&["1.3.6.1.4.1.99999"]));
    let mut widths = Vec::new();
    while let [asked] = &rig.asked(a)[..] {
        widths.push(ranges(asked).len());
        let end =
            |range: &agentx::SearchRange| agentx::VarBind { name: range.start.clone(), value: Value::EndOfMibView };
        rig.answer(asked, a, ranges(asked).iter().map(end).collect());
    }
    assert_eq!(widths, [1, 2, 4, 8, 4]);
    assert_eq!(rig.result(token), Ok(vec![varbind("1.3.6.1.4.1.99999", Value::EndOfMibView)]));
}

#[test]
fn an_error_names_the_varbind_and_keeps_the_others_from_nobody() {
    let mut rig = Rig::new();
    let a = rig.serving(&[A]);
    let token = rig.request(get_next(&["1.3.6.1.2.1.1.1.0", "1.3.6.1.4.1.99999.1.1", "1.3.6.1.4.1.99999.1.2"]));
    let asked = rig.asked_once(a);
    rig.refuse(&asked, a, ResponseError::GenErr, 2);
    assert_eq!(rig.result(token), Err((ResponseError::GenErr, 3)));
}

#[test]
fn snmpv1_passes_by_counters_of_64_bits() {
    let mut rig = Rig::new();
    let a = rig.serving(&[A]);
    let token = rig.request_v1(get_next(&[A, "1.3.6.1.2.1.1.1.0"]));
    let mut next = 0;
    let mut asked_for = Vec::new();
    while let [asked] = &rig.asked(a)[..] {
        let count = match &asked.body {
            Body::GetBulk(bulk) => bulk.max_repetitions,
            _ => 1,
        };
        asked_for.push(count);
        let found = (0..count).map(|_| {
            next += 1;
            let value = if next < 20 { Value::Counter64(next) } else { Value::Integer(20) };
            varbind(&format!("{A}.{next}"), value)
        });
        let found = found.collect();
        rig.answer(asked, a, found);
    }
    assert_eq!(asked_for, [1, 2, 6, 18]);
    assert_eq!(rig.result(token), Ok(vec![int("1.3.6.1.4.1.99999.1.20", 20), int("1.3.6.1.2.1.1.3.0", 13)]));
}

#[test]
fn the_search_goes_on_without_a_session_that_is_lost() {
    let mut rig = Rig::new();
    let (a, b) = (rig.serving(&[A]), rig.serving(&[B]));
    let token = rig.request(get_next(&[A]));
    rig.asked_once(a);
    rig.disconnect(a);
    let asked = rig.asked_once(b);
    assert_eq!(ranges(&asked), [range(B, true, "1.3.6.1.4.1.99999.3")]);
    rig.answer(&asked, b, vec![int("1.3.6.1.4.1.99999.2.1", 1)]);
    assert_eq!(rig.result(token), Ok(vec![int("1.3.6.1.4.1.99999.2.1", 1)]));
}
