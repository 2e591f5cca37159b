//! The responses to random requests, compared with a sorted map.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use agentx::{
    Body, ByteOrder, GetBulk, Header, Limits, Oid, Pdu, RequestRef, SearchRange, SubId, Value, ValueRef, VarBind,
    decode, encode,
};
use arc_swap::ArcSwap;
use proptest::{collection::btree_map, collection::btree_set, collection::vec, prelude::*, sample::select};

use super::rig::ARCS;
use crate::{
    subagent::session::{answer::Responder, catalogue::Catalogue, counters::Counters},
    view::{MibView, exports::Export},
};

/// Bases, some of them within others, with suffixes and values.
type Tree = BTreeMap<Vec<SubId>, BTreeMap<Vec<SubId>, i32>>;

fn arcs(len: std::ops::Range<usize>) -> impl Strategy<Value = Vec<SubId>> {
    vec(select(&ARCS), len)
}

fn trees() -> impl Strategy<Value = Tree> {
    btree_map(arcs(1..4), btree_map(arcs(1..4), any::<i32>(), 0..12), 0..6)
}

fn ranges() -> impl Strategy<Value = Vec<SearchRange>> {
    let range = (arcs(0..6), any::<bool>(), prop_oneof![Just(Vec::new()), arcs(1..5)]);
    let range = range.prop_map(|(start, include, end)| SearchRange {
        start: Oid::new(start).unwrap(),
        include,
        end: Oid::new(end).unwrap(),
    });
    vec(range, 0..6)
}

fn catalogue(tree: &Tree) -> Catalogue {
    let exports = tree.iter().map(|(base, instances)| {
        let base = Oid::new(base.clone()).unwrap();
        let mut view = MibView::new(base.clone(), Vec::new());
        for (suffix, value) in instances {
            view.push(&[], suffix, ValueRef::Integer(*value)).unwrap();
        }
        let view = Arc::new(ArcSwap::from_pointee(view));
        Export { context: "c".to_owned(), base, regions: Vec::new(), view, capabilities: None, writable: false }
    });
    Catalogue::new(&exports.collect::<Vec<_>>())
}

/// Returns all instances. Where bases overlap, those of the longest base.
fn model(tree: &Tree) -> BTreeMap<Vec<SubId>, i32> {
    let mut all = BTreeMap::new();
    for (base, instances) in tree {
        for (suffix, value) in instances {
            let name = [base.as_slice(), suffix].concat();
            let holder = tree.keys().filter(|base| name.starts_with(base)).max_by_key(|base| base.len());
            if holder == Some(base) {
                all.insert(name, *value);
            }
        }
    }
    all
}

fn model_next(model: &BTreeMap<Vec<SubId>, i32>, range: &SearchRange) -> VarBind {
    let start = range.start.to_vec();
    let from = if range.include { Bound::Included(start) } else { Bound::Excluded(start) };
    let found = model.range((from, Bound::Unbounded)).next();
    match found.filter(|(name, _)| range.end.is_empty() || name.as_slice() < range.end.as_slice()) {
        Some((name, value)) => VarBind { name: Oid::new(name.clone()).unwrap(), value: Value::Integer(*value) },
        None => VarBind { name: range.start.clone(), value: Value::EndOfMibView },
    }
}

fn ask(catalogue: &Catalogue, responder: &mut Responder, body: Body) -> Vec<VarBind> {
    let header = Header { byte_order: ByteOrder::Big, session_id: 1, transaction_id: 2, packet_id: 3 };
    let (mut request, mut answer) = (Vec::new(), b"before".to_vec());
    encode(&Pdu { header, context: "c".into(), body }, &mut request).unwrap();
    let request = RequestRef::parse(&request, &Limits::default()).unwrap();
    responder.answer(catalogue, &request, &mut answer, &Counters::default());
    match decode(answer.strip_prefix(b"before").unwrap(), &Limits::default()).unwrap() {
        Pdu { body: Body::Response(response), header: same, .. } if same == header => response.varbinds,
        pdu => panic!("{pdu:?}"),
    }
}

/// Returns the response to a GetBulk, computed with one GetNext at a time (RFC 2741 section 7.2.3.3).
fn model_bulk(model: &BTreeMap<Vec<SubId>, i32>, bulk: &GetBulk) -> Vec<VarBind> {
    let (once, repeated) = bulk.ranges.split_at(bulk.ranges.len().min(bulk.non_repeaters.into()));
    let mut varbinds: Vec<VarBind> = once.iter().map(|range| model_next(model, range)).collect();
    let mut repeated = repeated.to_vec();
    for _ in 0..bulk.max_repetitions {
        let row: Vec<VarBind> = repeated.iter().map(|range| model_next(model, range)).collect();
        let over = row.iter().all(|varbind| varbind.value == Value::EndOfMibView);
        for (range, varbind) in repeated.iter_mut().zip(&row) {
            if varbind.value != Value::EndOfMibView {
                *range = SearchRange { start: varbind.name.clone(), include: false, end: range.end.clone() };
            }
        }
        varbinds.extend(row);
        if over {
            break;
        }
    }
    varbinds
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn get_next_returns_the_next_entry_of_the_map(tree in trees(), ranges in ranges()) {
        let (catalogue, model) = (catalogue(&tree), model(&tree));
        let expected: Vec<VarBind> = ranges.iter().map(|range| model_next(&model, range)).collect();
        prop_assert_eq!(ask(&catalogue, &mut Responder::default(), Body::GetNext(ranges)), expected);
    }

    #[test]
    fn walk_returns_everything_once_and_in_order(tree in trees()) {
        let (catalogue, model, mut responder) = (catalogue(&tree), model(&tree), Responder::default());
        let mut seen = Vec::new();
        let mut start = Oid::default();
        while let Some(varbind) = ask(&catalogue, &mut responder, Body::GetNext(vec![SearchRange {
            start: start.clone(), include: false, end: Oid::default(),
        }])).pop().filter(|varbind| varbind.value != Value::EndOfMibView) {
            start = varbind.name.clone();
            seen.push(varbind.name.to_vec());
        }
        prop_assert_eq!(seen, model.into_keys().collect::<Vec<_>>());
    }

    #[test]
    fn get_returns_the_entry_of_the_map(tree in trees(), names in btree_set(arcs(0..7), 0..8)) {
        let (catalogue, model) = (catalogue(&tree), model(&tree));
        // Existing names as well, because few random names exist.
        let names: Vec<Vec<SubId>> = names.into_iter().chain(model.keys().take(5).cloned()).collect();
        let ranges = names.iter().map(|name| SearchRange { start: Oid::new(name.clone()).unwrap(), ..SearchRange::default() });
        let varbinds = ask(&catalogue, &mut Responder::default(), Body::Get(ranges.collect()));
        prop_assert_eq!(varbinds.len(), names.len());
        for (varbind, name) in varbinds.iter().zip(&names) {
            let expected = model.get(name).map_or(Value::NoSuchObject, |value| Value::Integer(*value));
            prop_assert_eq!((varbind.name.as_slice(), &varbind.value), (name.as_slice(), &expected));
        }
    }

    #[test]
    fn get_bulk_equals_repeated_get_next(
        tree in trees(), ranges in ranges(), non_repeaters in 0..4_u16, max_repetitions in 0..40_u16,
    ) {
        let (catalogue, model, mut responder) = (catalogue(&tree), model(&tree), Responder::default());
        let bulk = GetBulk { non_repeaters, max_repetitions, ranges };
        let expected = model_bulk(&model, &bulk);
        // The responder keeps nothing from an earlier request.
        ask(&catalogue, &mut responder, Body::GetBulk(GetBulk { max_repetitions: 3, ..bulk.clone() }));
        prop_assert_eq!(ask(&catalogue, &mut responder, Body::GetBulk(bulk)), expected);
    }
}
