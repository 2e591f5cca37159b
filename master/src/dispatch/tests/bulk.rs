//! GetBulk.

use agentx::{Body, GetBulk, Oid, Pdu, ResponseError, SubId, Value, VarBind};
use rstest::rstest;

use super::{
    model::{Model, ask, settle},
    rig::{ROOM, Rig, get_bulk, int, oid, range, ranged, ranges, region, varbind},
};
use crate::varbind_list::VarBindList;

const A: &str = "1.3.6.1.4.1.99999.1";
const B: &str = "1.3.6.1.4.1.99999.2";

/// Two columns of so many rows below a base.
fn table(base: &str, rows: i32) -> Vec<VarBind> {
    [1, 2].iter().flat_map(|c| (1..=rows).map(move |r| int(&format!("{base}.{c}.{r}"), c * 100 + r))).collect()
}

fn bulks(model: &Model) -> Vec<&GetBulk> {
    let bulk = |pdu: &'_ Pdu| matches!(pdu.body, Body::GetBulk(_));
    model
        .asked
        .iter()
        .filter(|pdu| bulk(pdu))
        .filter_map(|pdu| match &pdu.body {
            Body::GetBulk(bulk) => Some(bulk),
            _ => None,
        })
        .collect()
}

fn octets(varbinds: &[VarBind]) -> usize {
    let mut list = VarBindList::default();
    for varbind in varbinds {
        list.push(&varbind.name, varbind.value.as_ref());
    }
    list.octets().len()
}

#[test]
fn one_getbulk_brings_all_rows_of_all_columns() {
    let mut rig = Rig::new();
    let mut models = [Model::with(rig.serving(&[A]), table(A, 20))];
    let names = [&format!("{A}.1")[..], &format!("{A}.1.19"), &format!("{A}.2.2")];
    let result = ask(&mut rig, &mut models, get_bulk(1, 3, &names)).unwrap();
    let due = [(1, 1), (1, 20), (2, 3), (2, 1), (2, 4), (2, 2), (2, 5)];
    assert_eq!(result, due.map(|(c, r)| int(&format!("{A}.{c}.{r}"), c * 100 + r)));
    let [asked] = &models[0].asked[..] else { panic!("{:?}", models[0].asked) };
    let due = names.map(|name| range(name, false, B)).to_vec();
    let bulk = GetBulk { non_repeaters: 1, max_repetitions: 3, ranges: due };
    assert_eq!(asked.body, Body::GetBulk(bulk));
}

#[rstest]
#[case(A, "1.3.6.1.4.1.99999.0", true)]
#[case("1.3.6.1.4.1.99999.0", "1.3.6.1.4.1.99999", false)]
fn it_names_the_last_that_can_be_before_a_region(#[case] region: &str, #[case] start: &str, #[case] is_filled: bool) {
    let mut rig = Rig::new();
    let a = rig.serving(&[region]);
    let token = rig.request(get_bulk(0, 2, &["1.3.6.1.4.1.99998"]));
    let asked = rig.asked_once(a);
    let mut last = oid(start).to_vec();
    if is_filled {
        last.resize(Oid::MAX_LEN, SubId::MAX);
    }
    assert_eq!((ranges(&asked)[0].start.as_slice(), ranges(&asked)[0].include), (&last[..], false));
    let due = [int(region, 1), int(&format!("{region}.1"), 2)];
    rig.answer(&asked, a, due.to_vec());
    assert_eq!(rig.result(token).unwrap(), due);
}

#[test]
fn names_behind_the_end_of_its_range_are_no_answer_and_no_fault() {
    let mut rig = Rig::new();
    let (a, b) = (rig.serving(&[A]), rig.serving(&[B]));
    let token = rig.request(get_bulk(0, 3, &[&format!("{A}.1")]));
    let asked = rig.asked_once(a);
    // What it has under B in another context, say.
    let (own, behind) = (int(&format!("{A}.2"), 2), int(&format!("{B}.7"), 666));
    rig.answer(&asked, a, vec![own.clone(), behind.clone(), behind]);
    let asked = rig.asked_once(b);
    let due = [int(&format!("{B}.1"), 3), int(&format!("{B}.2"), 4)];
    rig.answer(&asked, b, due.to_vec());
    assert_eq!(rig.result(token).unwrap(), [&[own][..], &due].concat());
}

#[test]
fn it_ends_with_the_row_in_which_all_columns_have_ended() {
    let mut rig = Rig::new();
    let mut models = [Model::with(rig.serving(&[A]), table(A, 2))];
    let names = [&format!("{A}.1.2")[..], &format!("{A}.2.1")];
    let result = ask(&mut rig, &mut models, get_bulk(0, 50, &names)).unwrap();
    let end = varbind(&format!("{A}.2.2"), Value::EndOfMibView);
    let at = |c, r| int(&format!("{A}.{c}.{r}"), c * 100 + r);
    assert_eq!(result, [at(2, 1), at(2, 2), at(2, 2), end.clone(), end.clone(), end]);
}

#[rstest]
#[case::nothing_at_all(0, 0, 2, 0)]
#[case::non_repeaters_alone(1, 0, 2, 1)]
#[case::more_non_repeaters_than_names(7, 5, 2, 2)]
#[case::no_names(0, 5, 0, 0)]
fn odd_requests_are_answered(#[case] once: u32, #[case] times: u32, #[case] names: usize, #[case] due: usize) {
    let mut rig = Rig::new();
    let mut models = [Model::with(rig.serving(&[A]), table(A, 9))];
    let result = ask(&mut rig, &mut models, get_bulk(once, times, &[A, A][..names])).unwrap();
    assert_eq!(result, vec![int(&format!("{A}.1.1"), 101); due]);
}

#[test]
fn no_more_is_asked_for_than_can_find_room_and_the_answer_is_cut_to_it() {
    let mut rig = Rig::new();
    let mut models = [Model::with(rig.serving(&[A]), table(A, 400))];
    let names = [&format!("{A}.1")[..], &format!("{A}.2")];
    let token = rig.request_in("", get_bulk(0, 10_000, &names), 1000);
    settle(&mut rig, &mut models);
    let result = rig.result(token).unwrap();
    let whole = ask(&mut rig, &mut models, get_bulk(0, 100, &names)).unwrap();
    assert_eq!(result, whole[..result.len()]);
    assert!(octets(&result) <= 1000 && octets(&whole[..=result.len()]) > 1000);
    let [asked, _] = bulks(&models[0])[..] else { panic!("{:?}", models[0].asked) };
    assert!((20..100).contains(&asked.max_repetitions), "{asked:?}");
}

#[test]
fn what_has_no_room_for_a_single_varbind_is_too_big() {
    let mut rig = Rig::new();
    let mut models = [Model::with(rig.serving(&[A]), table(A, 4))];
    let token = rig.request_in("", get_bulk(0, 10, &[A]), 10);
    settle(&mut rig, &mut models);
    assert_eq!(rig.result(token), Err((ResponseError::TooBig, 0)));
}

#[rstest]
#[case(1)]
#[case(2)]
#[case(3)]
#[case(7)]
fn a_subagent_that_cuts_its_answers_is_asked_on(#[case] cut: usize) {
    let mut rig = Rig::new();
    let mut models = [Model::with(rig.serving(&[A]), table(A, 12))];
    let names = [&format!("{A}.1")[..], &format!("{A}.2")];
    let whole = ask(&mut rig, &mut models, get_bulk(0, 15, &names)).unwrap();
    assert_eq!(models[0].asked.len(), 1);
    models[0].cut = cut;
    assert_eq!(ask(&mut rig, &mut models, get_bulk(0, 15, &names)).unwrap(), whole);
    assert!(models[0].asked.len() > 3);
}

#[test]
fn a_subagent_without_getbulk_is_asked_by_getnext_from_then_on() {
    let mut rig = Rig::new();
    let mut models = [Model::with(rig.serving(&[A]), table(A, 12))];
    models[0].has_no_bulk = true;
    let due: Vec<_> = (1..=4).map(|row| int(&format!("{A}.1.{row}"), 100 + row)).collect();
    for _ in 0..2 {
        assert_eq!(ask(&mut rig, &mut models, get_bulk(0, 4, &[A])).unwrap(), due);
    }
    assert_eq!((bulks(&models[0]).len(), models[0].asked.len()), (1, 9));
}

#[test]
fn the_answer_goes_on_in_the_next_session_and_in_the_masters_own_objects() {
    let mut rig = Rig::new();
    let mut models = [
        Model::with(rig.serving(&["1.3.6.1.2.1.0"]), [int("1.3.6.1.2.1.0.1", 1), int("1.3.6.1.2.1.0.2", 2)]),
        Model::with(rig.serving(&["1.3.6.1.2.1.2"]), [int("1.3.6.1.2.1.2.1", 3)]),
    ];
    let result = ask(&mut rig, &mut models, get_bulk(0, 20, &["1.3"])).unwrap();
    let mut due = vec![int("1.3.6.1.2.1.0.1", 1), int("1.3.6.1.2.1.0.2", 2)];
    due.extend(super::rig::Own::objects());
    due.extend([int("1.3.6.1.2.1.2.1", 3), varbind("1.3.6.1.2.1.2.1", Value::EndOfMibView)]);
    assert_eq!(result, due);
}

#[test]
fn one_large_region_is_asked_without_speculation() {
    let mut rig = Rig::new();
    let mut models = [Model::with(rig.serving(&[A]), table(A, 400)), Model::with(rig.serving(&[B]), table(B, 4))];
    let result = ask(&mut rig, &mut models, get_bulk(0, 50, &[A])).unwrap();
    assert_eq!(result.len(), 50);
    assert_eq!((models[0].asked.len(), models[1].asked.len()), (1, 0));
}

/// Sessions that share a table: each holds one row of its two columns.
fn pods(rig: &mut Rig, number: i32) -> Vec<Model> {
    let pod = |row: i32| {
        let subagent = rig.open();
        rig.register_as(subagent, "", ranged(&format!("{A}.1.{row}"), 9, 2));
        let rows = [1, 2].map(|column| int(&format!("{A}.{column}.{row}"), column * 100 + row));
        Model::with(subagent, rows)
    };
    (1..=number).map(pod).collect()
}

#[test]
fn a_table_shared_by_sessions_takes_one_round() {
    let mut rig = Rig::new();
    let mut models = pods(&mut rig, 30);
    let names = [&format!("{A}.1")[..], &format!("{A}.2")];
    let result = ask(&mut rig, &mut models, get_bulk(0, 25, &names)).unwrap();
    let due = (1..=25).flat_map(|row| [1, 2].map(|c| int(&format!("{A}.{c}.{row}"), c * 100 + row)));
    assert_eq!(result, due.collect::<Vec<_>>());
    let asked: Vec<_> = models.iter().map(|model| model.asked.len()).collect();
    assert_eq!(asked, [[1; 25].as_slice(), &[0; 5]].concat());
}

#[test]
fn later_pieces_that_are_not_needed_are_not_waited_for() {
    let mut rig = Rig::new();
    let mut models = pods(&mut rig, 8);
    models[0] = Model::with(models[0].subagent, (1..=9).map(|row| int(&format!("{A}.1.1.{row}"), row)));
    let token = rig.request(get_bulk(0, 5, &[&format!("{A}.1")]));
    let asked = rig.asked_once(models[0].subagent);
    models[0].answer(&mut rig, &asked);
    let due = (1..=5).map(|row| int(&format!("{A}.1.1.{row}"), row));
    assert_eq!(rig.result(token).unwrap(), due.collect::<Vec<_>>());
    assert!(rig.master.outstanding() > 0);
    settle(&mut rig, &mut models);
    assert_eq!((rig.answers(), rig.master.outstanding()), (vec![], 0));
}

#[test]
fn rows_before_an_error_are_answered_and_the_error_is_when_it_comes_first() {
    let mut rig = Rig::new();
    let (a, b) = (rig.serving(&[A]), rig.serving(&[B]));
    let mut models = [Model::with(a, [int(&format!("{A}.1"), 1), int(&format!("{A}.2"), 2)])];
    for (from, due) in [
        (A.to_owned(), Ok(vec![int(&format!("{A}.1"), 1), int(&format!("{A}.2"), 2)])),
        (format!("{A}.2"), Err((ResponseError::GenErr, 1))),
    ] {
        let token = rig.request(get_bulk(0, 10, &[&from]));
        settle(&mut rig, &mut models);
        // First by GetBulk, then by GetNext.
        for asked in [rig.asked(b), rig.asked(b)].concat() {
            rig.refuse(&asked, b, ResponseError::GenErr, 1);
        }
        for asked in rig.asked(b) {
            rig.refuse(&asked, b, ResponseError::GenErr, 1);
        }
        assert_eq!(rig.result(token), due, "from {from}");
    }
}

#[test]
fn an_instance_that_fails_does_not_hide_the_rows_before_it() {
    let mut rig = Rig::new();
    let a = rig.serving(&[A]);
    let token = rig.request(get_bulk(0, 10, &[A]));
    let mut found = 0;
    while let [asked] = &rig.asked(a)[..] {
        match &asked.body {
            Body::GetNext(_) if found < 3 => {
                found += 1;
                rig.answer(asked, a, vec![int(&format!("{A}.{found}"), found)]);
            }
            _ => rig.refuse(asked, a, ResponseError::GenErr, 1),
        }
    }
    assert_eq!(rig.result(token), Ok((1..=3).map(|row| int(&format!("{A}.{row}"), row)).collect()));
}

#[test]
fn a_session_that_dies_in_the_middle_of_a_table_leaves_the_others_rows() {
    let mut rig = Rig::new();
    let mut models = pods(&mut rig, 6);
    let token = rig.request(get_bulk(0, 6, &[&format!("{A}.1")]));
    let dead = models.remove(2);
    let asked = rig.asked_once(models[0].subagent);
    models[0].answer(&mut rig, &asked);
    rig.disconnect(dead.subagent);
    settle(&mut rig, &mut models);
    let due = [(1, 1), (1, 2), (1, 4), (1, 5), (1, 6), (2, 1)].map(|(c, r)| int(&format!("{A}.{c}.{r}"), c * 100 + r));
    assert_eq!(rig.result(token).unwrap(), due);
}

#[test]
fn a_repetition_is_never_of_more_varbinds_than_a_pdu_may_have() {
    let mut rig = Rig::new();
    let a = rig.serving(&[A]);
    let names = vec![A; 2000];
    rig.request_in("", get_bulk(0, 60_000, &names), ROOM * 1000);
    let asked = rig.asked_once(a);
    let Body::GetBulk(bulk) = &asked.body else { panic!("{asked:?}") };
    assert_eq!((ranges(&asked).len(), bulk.max_repetitions), (2000, 8));
}

#[test]
fn instance_registrations_are_rows_too() {
    let mut rig = Rig::new();
    let a = rig.open();
    let rows: Vec<_> = (1..=20).map(|row| int(&format!("{A}.{}.0", row * 2), row)).collect();
    for row in &rows {
        let register = agentx::Register { instance: true, ..region(&row.name.to_string()) };
        rig.register_as(a, "", register);
    }
    let mut models = [Model::with(a, rows.clone())];
    assert_eq!(ask(&mut rig, &mut models, get_bulk(0, 20, &[A])).unwrap(), rows);
    assert_eq!(models[0].asked.len(), 1);
}
