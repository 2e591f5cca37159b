//! Whatever is registered by whom: a walk is the sorted union of what each session serves.

use agentx::{Oid, Register, SubId, Value, VarBind};
use proptest::prelude::*;

use super::{
    model::{Instances, Model, ask, settle},
    rig::{Own, ROOM, Rig, oid},
};
use crate::{
    dispatch::{Operation, Request, Token},
    registry::{Owner, SessionId},
    varbind_list::VarBindList,
};

/// A session: its regions, the instances behind them, and how much it answers at once.
#[derive(Debug, Clone)]
struct Plan {
    registers: Vec<Register>,
    names: Vec<Vec<SubId>>,
    cut: usize,
    has_no_bulk: bool,
}

const BASE: [SubId; 6] = [1, 3, 6, 1, 2, 1];

fn below_base(arcs: &[SubId]) -> Vec<SubId> {
    [&BASE, arcs].concat()
}

fn arcs(len: std::ops::Range<usize>) -> impl Strategy<Value = Vec<SubId>> {
    prop::collection::vec(prop_oneof![0..4_u32, Just(SubId::MAX)], len)
}

fn register() -> impl Strategy<Value = Register> {
    (arcs(0..4), prop::option::weighted(0.3, 0..4_u32), any::<bool>(), 0..3_u8).prop_map(
        |(arcs, upper, instance, priority)| {
            let subtree = Oid::new(below_base(&arcs)).unwrap();
            let range = upper
                .filter(|upper| arcs.last().is_some_and(|last| last <= upper))
                .map(|upper_bound| agentx::Range { position: u8::try_from(subtree.len()).unwrap(), upper_bound });
            Register { timeout_s: 0, priority, subtree, range, instance }
        },
    )
}

fn plan() -> impl Strategy<Value = Plan> {
    let names = prop::collection::vec(arcs(1..6).prop_map(|arcs| below_base(&arcs)), 0..25);
    let cut = prop_oneof![Just(usize::MAX), 1..6_usize];
    (prop::collection::vec(register(), 0..6), names, cut, prop::bool::weighted(0.2))
        .prop_map(|(registers, names, cut, has_no_bulk)| Plan { registers, names, cut, has_no_bulk })
}

/// The sessions of a plan, and what the registry's rules make of them.
fn build(rig: &mut Rig, plans: &[Plan]) -> (Vec<Model>, Instances) {
    let mut models = Vec::new();
    for (plan, number) in plans.iter().zip(0_u32..) {
        let subagent = rig.open();
        for register in &plan.registers {
            rig.try_register(subagent, "", register.clone());
        }
        // Who answers is in the value.
        let instances = plan.names.iter().map(|name| {
            let value =
                if name.last() == Some(&3) { Value::Counter64(number.into()) } else { Value::Counter32(number) };
            VarBind { name: Oid::new(name.clone()).unwrap(), value }
        });
        let mut model = Model::with(subagent, instances);
        (model.cut, model.has_no_bulk) = (plan.cut, plan.has_no_bulk);
        models.push(model);
    }
    let union = union(rig, &models);
    (models, union)
}

/// What there is to be seen, as the registry says who serves what.
fn union(rig: &Rig, models: &[Model]) -> Instances {
    let mut union: Instances =
        Own::objects().into_iter().map(|varbind| (varbind.name.to_vec(), varbind.value)).collect();
    for model in models {
        for (name, value) in &model.instances[&Vec::new()] {
            let owner = rig.master.registry.serving(b"", name).map(|serving| serving.owner);
            if owner == Some(Owner::Session(SessionId(model.subagent.session))) {
                union.insert(name.clone(), value.clone());
            }
        }
    }
    union
}

/// What follows each name, so many times.
fn rows(union: &Instances, names: &[Oid], times: usize) -> Vec<VarBind> {
    let mut at = names.to_vec();
    let mut found = Vec::new();
    for _ in 0..times {
        let mut is_over = true;
        for name in &mut at {
            let next = union.range((std::ops::Bound::Excluded(name.to_vec()), std::ops::Bound::Unbounded)).next();
            let value = match next {
                Some((next, value)) => {
                    is_over = false;
                    *name = Oid::new(next.clone()).unwrap();
                    value.clone()
                }
                None => Value::EndOfMibView,
            };
            found.push(VarBind { name: name.clone(), value });
        }
        if is_over {
            break;
        }
    }
    found
}

fn octets(varbinds: &[VarBind]) -> usize {
    let mut list = VarBindList::default();
    for varbind in varbinds {
        list.push(&varbind.name, varbind.value.as_ref());
    }
    list.octets().len()
}

fn names() -> impl Strategy<Value = Vec<Oid>> {
    let name = prop_oneof![
        8 => arcs(0..6).prop_map(|arcs| Oid::new(below_base(&arcs)).unwrap()),
        1 => Just(oid("1.3")),
        1 => Just(oid("1.3.6.1.4")),
    ];
    prop::collection::vec(name, 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn each_name_is_served_by_the_session_that_the_registry_says(
        plans in prop::collection::vec(plan(), 0..5),
        names in names(),
        times in 1..9_u32,
        once in 0..3_u32,
        room in prop_oneof![Just(ROOM), 0..300_usize],
    ) {
        let mut rig = Rig::new();
        let (mut models, union) = build(&mut rig, &plans);

        let got = ask(&mut rig, &mut models, Operation::GetNext(names.clone())).unwrap();
        prop_assert_eq!(got, rows(&union, &names, 1));

        let got = ask(&mut rig, &mut models, Operation::Get(names.clone())).unwrap();
        for varbind in got {
            if let Some(value) = union.get(varbind.name.as_slice()) {
                prop_assert_eq!(&varbind.value, value);
            } else {
                prop_assert!(matches!(varbind.value, Value::NoSuchObject | Value::NoSuchInstance), "{:?}", varbind);
            }
        }

        let (non_repeaters, max_repetitions) = (once, times);
        let bulk = Operation::GetBulk { non_repeaters, max_repetitions, names: names.clone() };
        let (first, repeated) = names.split_at(names.len().min(once as usize));
        let mut due = rows(&union, first, 1);
        due.extend(if repeated.is_empty() { vec![] } else { rows(&union, repeated, times as usize) });
        prop_assert_eq!(&ask(&mut rig, &mut models, bulk.clone()).unwrap(), &due);

        let token = rig.request_in("", bulk, room);
        settle(&mut rig, &mut models);
        match rig.result(token) {
            Ok(got) => {
                prop_assert_eq!(&got[..], &due[..got.len()]);
                prop_assert!(octets(&got) <= room);
                prop_assert!(got.len() == due.len() || octets(&due[..=got.len()]) > room, "more had fitted");
                prop_assert!(!got.is_empty() || due.is_empty());
            }
            Err(error) => {
                prop_assert_eq!(error, (agentx::ResponseError::TooBig, 0));
                prop_assert!(octets(&due[..1]) > room);
            }
        }
        prop_assert_eq!((rig.master.outstanding(), rig.master.request_count()), (0, 0));
    }

    #[test]
    fn a_walk_is_the_sorted_union_by_getnext_by_getbulk_and_by_snmpv1(
        plans in prop::collection::vec(plan(), 0..5),
        times in 1..30_u32,
    ) {
        let mut rig = Rig::new();
        let (mut models, union) = build(&mut rig, &plans);
        let whole: Vec<_> = union.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let narrow: Vec<_> =
            whole.iter().filter(|(_, value)| !matches!(value, Value::Counter64(_))).cloned().collect();
        for (max_repetitions, without_counter64, due) in [(0, false, &whole), (times, false, &whole), (0, true, &narrow)] {
            let (mut walked, mut last) = (Vec::new(), oid("1"));
            loop {
                let names = vec![last.clone()];
                let operation = match max_repetitions {
                    0 => Operation::GetNext(names),
                    _ => Operation::GetBulk { non_repeaters: 0, max_repetitions, names },
                };
                let request = Request { token: Token(0), context: Vec::new(), operation, room: ROOM, without_counter64 };
                rig.master.request(request, rig.now);
                settle(&mut rig, &mut models);
                let found = rig.result(Token(0)).unwrap();
                let is_over = found.last().is_none_or(|varbind| varbind.value == Value::EndOfMibView);
                for VarBind { name, value } in found {
                    if value != Value::EndOfMibView {
                        walked.push((name.to_vec(), value));
                        last = name;
                    }
                }
                if is_over {
                    break;
                }
            }
            prop_assert_eq!(&walked, due);
        }
    }

    #[test]
    fn a_session_that_dies_in_the_middle_of_a_request_takes_only_its_own(
        plans in prop::collection::vec(plan(), 1..6),
        answered in 0..6_usize,
        dies in any::<prop::sample::Index>(),
        times in 1..40_u32,
    ) {
        let mut rig = Rig::new();
        let (mut models, before) = build(&mut rig, &plans);
        let names = vec![oid("1.3")];
        let token = rig.request(Operation::GetBulk { non_repeaters: 0, max_repetitions: times, names });
        for _ in 0..answered {
            for model in &mut models {
                for pdu in rig.asked(model.subagent) {
                    model.answer(&mut rig, &pdu);
                }
            }
        }
        let dead = models.remove(dies.index(models.len()));
        rig.disconnect(dead.subagent);
        let after = union(&rig, &models);
        settle(&mut rig, &mut models);

        let found = rig.result(token).unwrap();
        let mut last = oid("1.3");
        for VarBind { name, value } in found {
            if value == Value::EndOfMibView {
                prop_assert_eq!(&name, &last);
                let beyond = (std::ops::Bound::Excluded(name.to_vec()), std::ops::Bound::Unbounded);
                for (passed, value) in after.range(beyond) {
                    prop_assert!(before.get(passed) != Some(value), "{:?} was not found", passed);
                }
                break;
            }
            let is_known = |union: &Instances| union.get(name.as_slice()) == Some(&value);
            prop_assert!(is_known(&before) || is_known(&after), "{} = {:?}", name, value);
            let between = (std::ops::Bound::Excluded(last.to_vec()), std::ops::Bound::Excluded(name.to_vec()));
            prop_assert!(name > last);
            for (passed, value) in after.range(between) {
                prop_assert!(before.get(passed) != Some(value), "{:?} was passed by", passed);
            }
            last = name;
        }
        prop_assert_eq!((rig.master.outstanding(), rig.master.request_count()), (0, 0));
    }
}
