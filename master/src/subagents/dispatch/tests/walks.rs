//! Property tests: for any registrations, a walk returns the sorted union of what the sessions serve.

use agentx::{Oid, Register, SubId, Value, VarBind};
use proptest::prelude::*;

use super::{
    dispatcher_harness::{DispatcherHarness, ROOM, TestObjects, oid},
    subagent_model::{Instances, SubagentModel, request, settle},
};
use crate::{
    pdu::{Operation, Request, Token, varbind_list::VarBindList},
    subagents::registry::{Owner, SessionId},
};

/// A session to open: its registrations, its instances and its quirks.
#[derive(Debug, Clone)]
struct SessionPlan {
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

fn plan() -> impl Strategy<Value = SessionPlan> {
    let names = prop::collection::vec(arcs(1..6).prop_map(|arcs| below_base(&arcs)), 0..25);
    let cut = prop_oneof![Just(usize::MAX), 1..6_usize];
    (prop::collection::vec(register(), 0..6), names, cut, prop::bool::weighted(0.2))
        .prop_map(|(registers, names, cut, has_no_bulk)| SessionPlan { registers, names, cut, has_no_bulk })
}

/// Opens the sessions. Returns them, and all instances that are visible.
fn build(harness: &mut DispatcherHarness, plans: &[SessionPlan]) -> (Vec<SubagentModel>, Instances) {
    let mut models = Vec::new();
    for (plan, number) in plans.iter().zip(0_u32..) {
        let subagent = harness.open();
        for register in &plan.registers {
            harness.try_register(subagent, "", register.clone());
        }
        // The value identifies the session.
        let instances = plan.names.iter().map(|name| {
            let value =
                if name.last() == Some(&3) { Value::Counter64(number.into()) } else { Value::Counter32(number) };
            VarBind { name: Oid::new(name.clone()).unwrap(), value }
        });
        let mut model = SubagentModel::with(subagent, instances);
        (model.cut, model.has_no_bulk) = (plan.cut, plan.has_no_bulk);
        models.push(model);
    }
    let union = union(harness, &models);
    (models, union)
}

/// Returns all visible instances: those of the sessions that the registry selects, and the own objects.
fn union(harness: &DispatcherHarness, models: &[SubagentModel]) -> Instances {
    let mut union: Instances =
        TestObjects::objects().into_iter().map(|varbind| (varbind.name.to_vec(), varbind.value)).collect();
    for model in models {
        for (name, value) in &model.instances[&Vec::new()] {
            let owner = harness.master.registry.serving(b"", name).map(|serving| serving.owner);
            if owner == Some(Owner::Session(SessionId(model.subagent.session))) {
                union.insert(name.clone(), value.clone());
            }
        }
    }
    union
}

/// Returns the expected varbinds of a GetBulk with `times` repetitions.
fn rows(union: &Instances, names: &[Oid], times: usize) -> Vec<VarBind> {
    let mut at = names.to_vec();
    let mut found = Vec::new();
    for _ in 0..times {
        let mut is_last = true;
        for name in &mut at {
            let next = union.range((std::ops::Bound::Excluded(name.to_vec()), std::ops::Bound::Unbounded)).next();
            let value = match next {
                Some((next, value)) => {
                    is_last = false;
                    *name = Oid::new(next.clone()).unwrap();
                    value.clone()
                }
                None => Value::EndOfMibView,
            };
            found.push(VarBind { name: name.clone(), value });
        }
        if is_last {
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
    fn requests_are_answered_by_the_sessions_that_the_registry_selects(
        plans in prop::collection::vec(plan(), 0..5),
        names in names(),
        times in 1..9_u32,
        once in 0..3_u32,
        room in prop_oneof![Just(ROOM), 0..300_usize],
    ) {
        let mut harness = DispatcherHarness::new();
        let (mut models, union) = build(&mut harness, &plans);

        let got = request(&mut harness, &mut models, Operation::GetNext(names.clone())).unwrap();
        prop_assert_eq!(got, rows(&union, &names, 1));

        let got = request(&mut harness, &mut models, Operation::Get(names.clone())).unwrap();
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
        let mut expected = rows(&union, first, 1);
        expected.extend(if repeated.is_empty() { vec![] } else { rows(&union, repeated, times as usize) });
        prop_assert_eq!(&request(&mut harness, &mut models, bulk.clone()).unwrap(), &expected);

        let token = harness.request_in("", bulk, room);
        settle(&mut harness, &mut models);
        match harness.result(token) {
            Ok(got) => {
                prop_assert_eq!(&got[..], &expected[..got.len()]);
                prop_assert!(octets(&got) <= room);
                prop_assert!(got.len() == expected.len() || octets(&expected[..=got.len()]) > room, "another varbind would have fit");
                prop_assert!(!got.is_empty() || expected.is_empty());
            }
            Err(error) => {
                prop_assert_eq!(error, (agentx::ResponseError::TooBig, 0));
                prop_assert!(octets(&expected[..1]) > room);
            }
        }
        prop_assert_eq!((harness.master.outstanding(), harness.master.request_count()), (0, 0));
    }

    #[test]
    fn walks_by_getnext_getbulk_and_snmpv1_return_the_sorted_union(
        plans in prop::collection::vec(plan(), 0..5),
        times in 1..30_u32,
    ) {
        let mut harness = DispatcherHarness::new();
        let (mut models, union) = build(&mut harness, &plans);
        let whole: Vec<_> = union.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let narrow: Vec<_> =
            whole.iter().filter(|(_, value)| !matches!(value, Value::Counter64(_))).cloned().collect();
        for (max_repetitions, without_counter64, expected) in [(0, false, &whole), (times, false, &whole), (0, true, &narrow)] {
            let (mut walked, mut last) = (Vec::new(), oid("1"));
            loop {
                let names = vec![last.clone()];
                let operation = match max_repetitions {
                    0 => Operation::GetNext(names),
                    _ => Operation::GetBulk { non_repeaters: 0, max_repetitions, names },
                };
                let request = Request { token: Token(0), context: Vec::new(), operation, room: ROOM, without_counter64 };
                harness.master.request(request, harness.now);
                settle(&mut harness, &mut models);
                let found = harness.result(Token(0)).unwrap();
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
            prop_assert_eq!(&walked, expected);
        }
    }

    #[test]
    fn a_session_that_ends_during_a_request_affects_only_its_own_instances(
        plans in prop::collection::vec(plan(), 1..6),
        answered in 0..6_usize,
        ends in any::<prop::sample::Index>(),
        times in 1..40_u32,
    ) {
        let mut harness = DispatcherHarness::new();
        let (mut models, before) = build(&mut harness, &plans);
        let names = vec![oid("1.3")];
        let token = harness.request(Operation::GetBulk { non_repeaters: 0, max_repetitions: times, names });
        for _ in 0..answered {
            for model in &mut models {
                for pdu in harness.sent_to(model.subagent) {
                    model.answer(&mut harness, &pdu);
                }
            }
        }
        let ended = models.remove(ends.index(models.len()));
        harness.disconnect(ended.subagent);
        let after = union(&harness, &models);
        settle(&mut harness, &mut models);

        let found = harness.result(token).unwrap();
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
                prop_assert!(before.get(passed) != Some(value), "{:?} was skipped", passed);
            }
            last = name;
        }
        prop_assert_eq!((harness.master.outstanding(), harness.master.request_count()), (0, 0));
    }
}
