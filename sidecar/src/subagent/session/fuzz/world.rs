//! The exports of a trial, and a model that computes the required responses.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
};

use agentx::{Body, GetBulk, Oid, Pdu, Response, ResponseError, SearchRange, SubId, Value, VarBind, encode};
use arc_swap::ArcSwap;

use crate::{
    mapping::Region,
    subagent::session::{
        answer::{MAX_RESPONSE, MAX_VALUE, SUFFICIENT_BULK},
        capabilities::Capability,
        registrations::Registration,
    },
    view::{
        MibView,
        exports::{Export, Exports},
    },
};

/// The kind of instances of an export.
#[derive(Clone, Copy)]
enum Content {
    Scalars,
    Rows,
    EveryType,
    /// The deepest and the largest OIDs.
    Edges,
    /// Values of the maximum length and longer ones.
    LongValues,
}

/// The possible exports: context, base, content and number of regions.
const SLOTS: [(&str, &[SubId], Content, u32); 8] = [
    ("", &[1, 3, 6, 1, 4, 1, 9999, 1], Content::Scalars, 1),
    ("", &[1, 3, 6, 1, 4, 1, 9999, 2], Content::Rows, 1),
    // Within the previous one.
    ("", &[1, 3, 6, 1, 4, 1, 9999, 2, 1, 1, 2], Content::Scalars, 1),
    ("acme", &[1, 3, 6, 1, 4, 1, 9999, 1], Content::Rows, 1),
    ("acme", &[1, 3, 6, 1, 4, 1, 9999, 3], Content::EveryType, 3),
    ("", &[2, SubId::MAX], Content::Edges, 1),
    ("", &[1, 3, 6, 1, 4, 1, 9999, 7], Content::LongValues, 1),
    ("Grüße / of-a-name_that.is long", &[1], Content::Scalars, 100),
];

/// The names of the contexts, and one without exports.
pub(super) const CONTEXTS: [&str; 4] = ["", "acme", "Grüße / of-a-name_that.is long", "nowhere"];

type Instances = BTreeMap<Vec<SubId>, Value>;

pub(super) struct World {
    /// The exported slots as bits.
    mask: u8,
    slots: Vec<Slot>,
    /// The instances of each context. Where bases overlap, those of the longest base.
    model: BTreeMap<&'static str, Instances>,
}

struct Slot {
    context: &'static str,
    base: &'static [SubId],
    content: Content,
    regions: u32,
    view: Arc<ArcSwap<MibView>>,
    instances: Instances,
}

fn oid(arcs: &[SubId]) -> Oid {
    Oid::try_from(arcs).unwrap_or_default()
}

impl Content {
    /// Returns the objects below the base.
    fn objects(self) -> Vec<Vec<SubId>> {
        match self {
            Self::Scalars => vec![vec![1], vec![2]],
            Self::Rows => vec![vec![1, 1, 1], vec![1, 1, 2], vec![1, 1, 3]],
            Self::EveryType => (1..10).map(|arc| vec![arc]).collect(),
            Self::Edges => vec![vec![0]],
            Self::LongValues => vec![vec![1]],
        }
    }

    /// Returns the instances below the base, which differ from version to version.
    fn instances(self, version: u8) -> Instances {
        let number = u32::from(version);
        let text = |len| Value::OctetString(vec![version; len]);
        match self {
            Self::Scalars => {
                let mut instances = Instances::from([(vec![1, 0], Value::Integer(version.into()))]);
                if !version.is_multiple_of(2) {
                    instances.insert(vec![2, 0], text(3));
                }
                instances
            }
            Self::Rows => {
                let cells = (1..4).flat_map(|column| (0..number % 64).map(move |row| vec![1, 1, column, row]));
                cells.map(|cell| (cell, Value::Gauge32(number))).collect()
            }
            Self::EveryType => {
                let values = [
                    Value::Integer(i32::MIN),
                    text(version.into()),
                    Value::ObjectIdentifier(oid(&[1, 3, number])),
                    Value::IpAddress([127, 0, 0, version]),
                    Value::Counter32(number),
                    Value::Gauge32(u32::MAX),
                    Value::TimeTicks(number),
                    Value::Opaque(vec![version; 7]),
                    Value::Counter64(u64::MAX),
                ];
                (1..).map(|arc| vec![arc, 0]).zip(values).collect()
            }
            Self::Edges => {
                let names = [vec![0], vec![0; Oid::MAX_LEN - 2], vec![SubId::MAX], vec![SubId::MAX; Oid::MAX_LEN - 2]];
                names.into_iter().map(|name| (name, Value::Counter32(number))).collect()
            }
            Self::LongValues => {
                let lens = [MAX_VALUE, MAX_VALUE + 1, 60_000, 0];
                (0..20).map(|arc| vec![1, arc]).zip(lens.into_iter().cycle().map(text)).collect()
            }
        }
    }
}

impl Slot {
    fn put(&mut self, version: u8) {
        let (objects, instances) = (self.content.objects(), self.content.instances(version));
        let mut view = MibView::new(oid(self.base), objects.iter().map(|object| oid(object)).collect());
        for (suffix, value) in &instances {
            assert_eq!(view.push(&[], suffix, value.as_ref()), Ok(()));
        }
        self.view.store(Arc::new(view));
        self.instances = instances;
    }

    /// Returns its regions. Several regions are ranges of subtrees.
    fn regions(&self) -> Vec<Region> {
        let base = oid(self.base);
        if self.regions == 1 {
            return vec![Region { subtree: base, range: None }];
        }
        let region = |first: u32| {
            let subtree = oid(&[self.base, &[first]].concat());
            let position = u8::try_from(subtree.len()).unwrap_or_default();
            Region { subtree, range: (first > 1).then_some((position, first + 4)) }
        };
        (0..self.regions).map(|number| region(1 + number * 5)).collect()
    }
}

impl World {
    pub(super) fn new(mask: u8) -> Self {
        let slots = SLOTS.into_iter().map(|(context, base, content, regions)| {
            let (view, instances) = (Arc::default(), Instances::new());
            Slot { context, base, content, regions, view, instances }
        });
        let mut world = Self { mask: 0, slots: slots.collect(), model: BTreeMap::new() };
        world.export(mask);
        world
    }

    /// Sets the exported slots.
    pub(super) fn export(&mut self, mask: u8) {
        self.mask = mask;
        for (bit, slot) in self.slots.iter_mut().enumerate() {
            // The first export of the slot.
            if mask & (1 << bit) != 0 && slot.view.load().base().is_empty() {
                slot.put(3);
            }
        }
        self.remodel();
    }

    /// Changes the instances of a slot.
    pub(super) fn change(&mut self, slot: usize, version: u8) {
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.put(version);
        }
        self.remodel();
    }

    fn exported(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().enumerate().filter(|(bit, _)| self.mask & (1 << bit) != 0).map(|(_, slot)| slot)
    }

    fn remodel(&mut self) {
        let mut model: BTreeMap<&str, Instances> = BTreeMap::new();
        for slot in self.exported() {
            for (suffix, value) in &slot.instances {
                let name = [slot.base, suffix].concat();
                if self.holder(slot.context, &name).is_some_and(|holder| holder.base == slot.base) {
                    model.entry(slot.context).or_default().insert(name, value.clone());
                }
            }
        }
        self.model = model;
    }

    /// Returns the slot that serves a name: the one with the longest base that contains the name.
    fn holder(&self, context: &str, name: &[SubId]) -> Option<&Slot> {
        let around = self.exported().filter(|slot| slot.context == context && name.starts_with(slot.base));
        around.max_by_key(|slot| slot.base.len())
    }

    pub(super) fn exports(&self) -> Exports {
        let export = |slot: &Slot| Export {
            context: slot.context.to_owned(),
            base: oid(slot.base),
            regions: slot.regions(),
            view: Arc::clone(&slot.view),
            writable: false,
            capabilities: Some("TEST-MIB".to_owned()).filter(|_| slot.regions == 1),
        };
        Arc::new(self.exported().map(export).collect())
    }

    pub(super) fn wanted(&self) -> BTreeSet<Registration> {
        let of = |slot: &Slot| {
            let context = slot.context.to_owned();
            slot.regions().into_iter().map(move |region| Registration { region, context: context.clone() })
        };
        self.exported().flat_map(of).collect()
    }

    pub(super) fn capabilities(&self) -> BTreeSet<Capability> {
        let declared = self.exported().filter(|slot| slot.regions == 1);
        declared.map(|slot| Capability { context: slot.context.to_owned(), id: oid(slot.base) }).collect()
    }

    pub(super) fn base(&self, number: usize) -> Vec<SubId> {
        self.slots.get(number % self.slots.len().max(1)).map(|slot| slot.base.to_vec()).unwrap_or_default()
    }

    /// Returns the name of an instance in the context, if there is one.
    pub(super) fn instance(&self, context: &str, number: usize) -> Vec<SubId> {
        let Some(instances) = self.model.get(context).filter(|instances| !instances.is_empty()) else {
            return Vec::new();
        };
        instances.keys().nth(number % instances.len()).cloned().unwrap_or_default()
    }

    fn get(&self, context: &str, name: &Oid) -> VarBind {
        let value = self.model.get(context).and_then(|instances| instances.get(name.as_slice()));
        let value = value.map_or_else(|| self.exception(context, name), cut);
        VarBind { name: name.clone(), value }
    }

    /// Returns the exception for a Get of a name without an instance.
    fn exception(&self, context: &str, name: &Oid) -> Value {
        let Some(holder) = self.holder(context, name) else { return Value::NoSuchObject };
        let below = name.get(holder.base.len()..).unwrap_or_default();
        let is_declared = holder.content.objects().iter().any(|object| below.starts_with(object));
        if is_declared { Value::NoSuchInstance } else { Value::NoSuchObject }
    }

    fn next(&self, context: &str, range: &SearchRange) -> VarBind {
        let start = range.start.to_vec();
        let from = if range.include { Bound::Included(start) } else { Bound::Excluded(start) };
        let found = self.model.get(context).and_then(|instances| instances.range((from, Bound::Unbounded)).next());
        match found.filter(|(name, _)| range.end.is_empty() || name.as_slice() < range.end.as_slice()) {
            Some((name, value)) => VarBind { name: oid(name), value: cut(value) },
            None => VarBind { name: range.start.clone(), value: Value::EndOfMibView },
        }
    }

    /// Returns the first `max` varbinds of the response to a request (RFC 2741 section 7.2.3).
    fn answer(&self, context: &str, request: &Body, max: usize) -> Vec<VarBind> {
        let next = |range: &SearchRange| self.next(context, range);
        let (once, repeated, repetitions) = match request {
            Body::Get(ranges) => {
                return ranges.iter().take(max).map(|range| self.get(context, &range.start)).collect();
            }
            Body::GetNext(ranges) => (ranges.as_slice(), &[][..], 0),
            Body::GetBulk(GetBulk { non_repeaters, max_repetitions, ranges }) => {
                let (once, repeated) = ranges.split_at(ranges.len().min((*non_repeaters).into()));
                (once, repeated, *max_repetitions)
            }
            other => unreachable!("{other:?} is not a request"),
        };
        let mut varbinds: Vec<VarBind> = once.iter().take(max).map(next).collect();
        let mut repeated = repeated.to_vec();
        for _ in 0..repetitions {
            let mut over = true;
            for range in &mut repeated {
                if varbinds.len() >= max {
                    return varbinds;
                }
                let varbind = self.next(context, range);
                if varbind.value != Value::EndOfMibView {
                    over = false;
                    (range.start, range.include) = (varbind.name.clone(), false);
                }
                varbinds.push(varbind);
            }
            if over {
                break;
            }
        }
        varbinds
    }

    /// Checks the response to a well-formed request; `octets` is its length.
    pub(super) fn check(&self, request: &Pdu, answer: &Response, octets: usize) {
        // Context names are octets. All exported contexts have names in UTF-8.
        let context = str::from_utf8(&request.context.0).unwrap_or("nowhere");
        if answer.error == ResponseError::GenErr {
            return self.check_oversized(context, request, answer);
        }
        assert_eq!((answer.error, answer.index), (ResponseError::NoError, 0), "to {request:?}");
        let given = answer.varbinds.len();
        let due = self.answer(context, &request.body, given + 1);
        let is_cut = matches!(&request.body, Body::GetBulk(bulk)
            if octets >= SUFFICIENT_BULK && given >= bulk.ranges.len().min(bulk.non_repeaters.into()));
        assert!(due.len() == given || is_cut, "{given} varbinds in {octets} octets are too few for {request:?}");
        for (number, (given, due)) in answer.varbinds.iter().zip(&due).enumerate() {
            assert_eq!(given, due, "varbind {number} of the answer to {request:?}");
        }
    }

    /// Checks that a response would be too long from the varbind on that its index names.
    fn check_oversized(&self, context: &str, request: &Pdu, answer: &Response) {
        assert!(answer.varbinds.is_empty() && answer.index > 0, "{answer:?}");
        let varbinds = self.answer(context, &request.body, answer.index.into());
        assert_eq!(varbinds.len(), usize::from(answer.index));
        let len = |varbinds: &[VarBind]| {
            let (sys_up_time, error, index) = (0, ResponseError::NoError, 0);
            let body = Body::Response(Response { sys_up_time, error, index, varbinds: varbinds.to_vec() });
            let mut octets = Vec::new();
            let written = encode(&Pdu { header: request.header, context: "".into(), body }, &mut octets);
            assert_eq!(written, Ok(()));
            octets.len() - agentx::FrameHeader::LEN
        };
        let (_, without) = varbinds.split_last().unwrap_or_else(|| unreachable!("the index is at least 1"));
        let longest = MAX_RESPONSE as usize;
        assert!(len(&varbinds) > longest && len(without) <= longest, "{answer:?} to {request:?}");
    }
}

/// Returns a value in the form that is sent: cut to the maximum length.
fn cut(value: &Value) -> Value {
    let longest = |octets: &[u8]| octets.get(..MAX_VALUE).unwrap_or(octets).to_vec();
    match value {
        Value::OctetString(octets) => Value::OctetString(longest(octets)),
        Value::Opaque(octets) => Value::Opaque(longest(octets)),
        other => other.clone(),
    }
}
