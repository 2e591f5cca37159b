//! Asks the sidecar as a master does, at random, and checks every answer.

use std::{collections::BTreeMap, sync::Arc};

use agentx::{Body, Context, GetBulk, Oid, Response, ResponseError, SearchRange, SubId, Value, VarBind};
use anyhow::{Context as _, Result, ensure};

use super::{
    clock::Moment,
    layout::COLUMNS,
    tally::Tally,
    truth::{Seen, Span, Truth},
};
use crate::{Master, Random};

/// Asks, and remembers what it has seen: moments do not go back.
pub(super) struct Asker {
    truth: Arc<Truth>,
    tally: Arc<Tally>,
    random: Random,
    /// Who asks, for those who read of a wrong answer.
    name: &'static str,
    /// The instances of each subtree.
    instances: Vec<Vec<Oid>>,
    newest: BTreeMap<usize, Moment>,
}

/// How much of a question is told when its answer was wrong, in octets.
const TOLD: usize = 500;

/// A question, and what it found: one varbind for each.
type Found<'a> = (&'a SearchRange, &'a VarBind);

impl Asker {
    pub(super) fn new(name: &'static str, truth: Arc<Truth>, tally: Arc<Tally>, random: Random) -> Self {
        let mut instances = vec![Vec::new(); truth.subtrees.len()];
        for (name, instance) in &truth.instances {
            if let Some(own) = instances.get_mut(instance.subtree) {
                own.push(name.clone());
            }
        }
        Self { truth, tally, random, name, instances, newest: BTreeMap::new() }
    }

    /// Asks for something, and checks the answer. That none comes is an error; that it is wrong is noted.
    pub(super) fn ask(&mut self, master: &mut Master) -> Result<()> {
        let subtree = self.random.below(self.truth.subtrees.len());
        let contexts = self.truth.subtrees.get(subtree).map(|subtree| subtree.contexts.clone()).unwrap_or_default();
        let context = self.random.pick(&contexts).cloned().unwrap_or_default();
        let mut row = None;
        let body = match self.random.below(10) {
            0..3 => Body::Get(self.some_names(subtree)),
            3..5 => {
                row = self.row(subtree);
                Body::Get(row.clone().unwrap_or_else(|| self.some_names(subtree)))
            }
            5..7 => Body::GetNext(self.some_ranges(subtree, 10)),
            _ => {
                let ranges = self.some_ranges(subtree, 4);
                let non_repeaters = u16::try_from(self.random.below(3).min(ranges.len()))?;
                let max_repetitions = u16::try_from(1 + self.random.below(50))?;
                Body::GetBulk(GetBulk { non_repeaters, max_repetitions, ranges })
            }
        };
        let asked = self.truth.clock.now();
        let response = master.ask(&Context::from(context.as_str()), body.clone())?;
        let span = Span { asked, answered: self.truth.clock.now() };
        self.tally.checked(response.varbinds.len());
        let checked = self.check(&body, &response, &context, span);
        if let Err(error) = checked.and_then(|()| row.map_or(Ok(()), |_| check_row(&response.varbinds))) {
            let mut question = format!("{body:?}");
            question.truncate(question.floor_char_boundary(TOLD));
            self.tally.wrong(&format!("{}: {error:#}; context {context:?}, {question}", self.name));
        }
        Ok(())
    }

    fn some_name(&mut self, subtree: usize) -> Oid {
        let names = self.instances.get(subtree).map_or(&[][..], Vec::as_slice);
        self.random.pick(names).cloned().unwrap_or_default()
    }

    /// Instances of a subtree, and some that there are not.
    fn some_names(&mut self, subtree: usize) -> Vec<SearchRange> {
        let count = 1 + self.random.below(20);
        let mut names = Vec::new();
        for _ in 0..count {
            let name = self.some_name(subtree);
            names.push(if self.random.chance(10) { below(&name, &[7]) } else { name });
        }
        names.into_iter().map(|start| SearchRange { start, include: true, end: Oid::default() }).collect()
    }

    /// A whole row of a table; none where something else was drawn.
    fn row(&mut self, subtree: usize) -> Option<Vec<SearchRange>> {
        let name = self.some_name(subtree);
        let base = self.truth.subtrees.get(subtree)?.base.len();
        let (entry, index) = (name.get(..base + 3)?, name.get(base + 4..)?);
        let cell =
            |column| Some(SearchRange { start: cell(entry, column, index)?, include: true, end: Oid::default() });
        COLUMNS.into_iter().map(cell).collect()
    }

    /// Parts of a subtree, as masters search it: each ends where the subtree does.
    fn some_ranges(&mut self, subtree: usize, most: usize) -> Vec<SearchRange> {
        let base = self.truth.subtrees.get(subtree).map(|subtree| subtree.base.clone()).unwrap_or_default();
        let end = behind(&base);
        let count = 1 + self.random.below(most);
        let mut ranges = Vec::new();
        for _ in 0..count {
            let name = self.some_name(subtree);
            let len = base.len() + self.random.below(name.len() - base.len() + 1);
            let start = Oid::try_from(name.get(..len).unwrap_or_default()).unwrap_or_default();
            ranges.push(SearchRange { start, include: self.random.chance(30), end: end.clone() });
        }
        ranges
    }

    fn check(&mut self, body: &Body, response: &Response, context: &str, span: Span) -> Result<()> {
        ensure!(response.error == ResponseError::NoError, "{:?} for varbind {}", response.error, response.index);
        let mut seen = Vec::new();
        match body {
            Body::Get(names) => {
                ensure!(response.varbinds.len() == names.len(), "{} varbinds", response.varbinds.len());
                for (range, varbind) in names.iter().zip(&response.varbinds) {
                    ensure!(varbind.name == range.start, "{} in place of {}", varbind.name, range.start);
                    let checked = self.truth.check(&varbind.name, &varbind.value, span);
                    seen.extend(checked.with_context(|| told(varbind))?);
                }
            }
            Body::GetNext(ranges) => {
                ensure!(response.varbinds.len() == ranges.len(), "{} varbinds", response.varbinds.len());
                for found in ranges.iter().zip(&response.varbinds) {
                    seen.extend(self.check_found(found, context, span)?);
                }
            }
            Body::GetBulk(bulk) => seen = self.check_bulk(bulk, &response.varbinds, context, span)?,
            _ => {}
        }
        self.check_seen(&seen)
    }

    fn check_found(&self, (range, varbind): Found<'_>, context: &str, span: Span) -> Result<Option<Seen>> {
        let found = match &varbind.value {
            Value::EndOfMibView => {
                ensure!(varbind.name == range.start, "endOfMibView under {}, not {}", varbind.name, range.start);
                None
            }
            value => Some((&varbind.name, value)),
        };
        let search = (&range.start, range.include, &range.end);
        self.truth.check_next(search, found, context, span).with_context(|| format!("{range:?}: {}", told(varbind)))
    }

    fn check_bulk(&self, bulk: &GetBulk, varbinds: &[VarBind], context: &str, span: Span) -> Result<Vec<Seen>> {
        let (once, repeated) = bulk.ranges.split_at(usize::from(bulk.non_repeaters).min(bulk.ranges.len()));
        ensure!(varbinds.len() >= once.len(), "{} varbinds", varbinds.len());
        let (first, rest) = varbinds.split_at(once.len());
        let mut seen = Vec::new();
        for found in once.iter().zip(first) {
            seen.extend(self.check_found(found, context, span)?);
        }
        if repeated.is_empty() {
            ensure!(rest.is_empty(), "{} varbinds too many", rest.len());
            return Ok(seen);
        }
        let repetitions = rest.chunks(repeated.len());
        ensure!(repetitions.len() <= usize::from(bulk.max_repetitions), "{} repetitions", repetitions.len());
        let mut ranges = repeated.to_vec();
        for repetition in repetitions.clone() {
            ensure!(repetition.len() == ranges.len(), "half a repetition");
            for (range, varbind) in ranges.iter_mut().zip(repetition) {
                seen.extend(self.check_found((range, varbind), context, span)?);
                if varbind.value != Value::EndOfMibView {
                    *range = SearchRange { start: varbind.name.clone(), include: false, end: range.end.clone() };
                }
            }
        }
        let at_end = |repetition: &[VarBind]| repetition.iter().all(|varbind| varbind.value == Value::EndOfMibView);
        let is_short = repetitions.len() < usize::from(bulk.max_repetitions);
        ensure!(
            !is_short || repetitions.last().is_some_and(at_end),
            "only {} repetitions",
            rest.len() / repeated.len()
        );
        Ok(seen)
    }

    /// What an answer tells of a source is of one page, and of none before the last answer's.
    fn check_seen(&mut self, seen: &[Seen]) -> Result<()> {
        let mut pages = BTreeMap::new();
        for Seen { source, moment } in seen {
            let page = *pages.entry(*source).or_insert(*moment);
            ensure!(page == *moment, "of source {source} both {page} and {moment} in one answer");
        }
        for (source, moment) in pages {
            let newest = self.newest.entry(source).or_default();
            ensure!(moment >= *newest, "of source {source} first {newest}, then {moment}");
            *newest = moment;
        }
        Ok(())
    }

    /// Walks all subtrees, and checks that they show all that there is without trouble, from `since` or later.
    pub(super) fn walk_whole(&mut self, master: &mut Master, since: Moment) -> Result<()> {
        let bases: Vec<Oid> = self.truth.subtrees.iter().map(|subtree| subtree.base.clone()).collect();
        let mut rows = Vec::new();
        for base in bases {
            let end = behind(&base);
            let mut start = base;
            loop {
                let range = SearchRange { start: start.clone(), include: false, end: end.clone() };
                let bulk = GetBulk { non_repeaters: 0, max_repetitions: 50, ranges: vec![range] };
                let response = master.ask(&Context::default(), Body::GetBulk(bulk))?;
                ensure!(!response.varbinds.is_empty(), "an answer without varbinds");
                let at_end = response.varbinds.iter().any(|varbind| varbind.value == Value::EndOfMibView);
                rows.extend(response.varbinds.into_iter().filter(|varbind| varbind.value != Value::EndOfMibView));
                match rows.last() {
                    Some(last) if !at_end => start.clone_from(&last.name),
                    _ => break,
                }
            }
        }
        self.truth.check_whole(rows.iter().map(|varbind| (&varbind.name, &varbind.value)), since)
    }
}

fn cell(entry: &[SubId], column: SubId, index: &[SubId]) -> Option<Oid> {
    Oid::new([entry, &[column], index].concat()).ok()
}

/// A row is there whole, or not at all. Where its numbers are withheld its text still shows.
fn check_row(cells: &[VarBind]) -> Result<()> {
    let is_there = |cell: &&VarBind| !matches!(cell.value, Value::NoSuchInstance | Value::NoSuchObject);
    let numbers = cells.iter().take(2).filter(is_there).count();
    ensure!(numbers == 0 || cells.iter().filter(is_there).count() == cells.len(), "part of a row: {cells:?}");
    Ok(())
}

fn told(varbind: &VarBind) -> String {
    format!("{} = {:?}", varbind.name, varbind.value)
}

fn below(name: &Oid, arcs: &[SubId]) -> Oid {
    name.join(arcs).unwrap_or_default()
}

/// The first OID that is not under `base`.
fn behind(base: &Oid) -> Oid {
    let mut arcs = base.to_vec();
    if let Some(last) = arcs.last_mut() {
        *last += 1;
    }
    Oid::new(arcs).unwrap_or_default()
}
