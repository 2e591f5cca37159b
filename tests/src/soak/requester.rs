//! Random requests of a scripted master to the sidecar, with a check of every response.

use std::{collections::BTreeMap, sync::Arc};

use agentx::{Body, Context, GetBulk, Oid, Response, ResponseError, SearchRange, SubId, Value, VarBind};
use anyhow::{Context as _, Result, ensure};

use super::{
    clock::Moment,
    layout::COLUMNS,
    tally::Tally,
    truth::{Observation, Span, Truth},
};
use crate::{Random, ScriptedMaster};

/// Sends requests and remembers the newest moment of each source, because moments must never go back.
pub(super) struct Requester {
    truth: Arc<Truth>,
    tally: Arc<Tally>,
    random: Random,
    /// The name of the actor, for reports of wrong responses.
    name: &'static str,
    /// The instances of each subtree.
    instances: Vec<Vec<Oid>>,
    newest: BTreeMap<usize, Moment>,
}

/// How much of a request is reported if its response is wrong, in octets.
const REPORTED: usize = 500;

/// A search range and the varbind that the response has for it.
type Found<'a> = (&'a SearchRange, &'a VarBind);

impl Requester {
    pub(super) fn new(name: &'static str, truth: Arc<Truth>, tally: Arc<Tally>, random: Random) -> Self {
        let mut instances = vec![Vec::new(); truth.subtrees.len()];
        for (name, instance) in &truth.instances {
            if let Some(own) = instances.get_mut(instance.subtree) {
                own.push(name.clone());
            }
        }
        Self { truth, tally, random, name, instances, newest: BTreeMap::new() }
    }

    /// Sends a random request and checks the response. A wrong response is recorded.
    ///
    /// # Errors
    /// Returns an error if there is no response.
    pub(super) fn send_request(&mut self, master: &mut ScriptedMaster) -> Result<()> {
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
        let requested = self.truth.clock.now();
        let response = master.request(&Context::from(context.as_str()), body.clone())?;
        let span = Span { requested, responded: self.truth.clock.now() };
        self.tally.count_varbinds(response.varbinds.len());
        let checked = self.check(&body, &response, &context, span);
        if let Err(error) = checked.and_then(|()| row.map_or(Ok(()), |_| check_row(&response.varbinds))) {
            let mut request = format!("{body:?}");
            request.truncate(request.floor_char_boundary(REPORTED));
            self.tally.record_wrong(&format!("{}: {error:#}; context {context:?}, {request}", self.name));
        }
        Ok(())
    }

    fn some_name(&mut self, subtree: usize) -> Oid {
        let names = self.instances.get(subtree).map_or(&[][..], Vec::as_slice);
        self.random.pick(names).cloned().unwrap_or_default()
    }

    /// Returns instances of a subtree, some of which do not exist.
    fn some_names(&mut self, subtree: usize) -> Vec<SearchRange> {
        let count = 1 + self.random.below(20);
        let mut names = Vec::new();
        for _ in 0..count {
            let name = self.some_name(subtree);
            names.push(if self.random.chance(10) { below(&name, &[7]) } else { name });
        }
        names.into_iter().map(|start| SearchRange { start, include: true, end: Oid::default() }).collect()
    }

    /// Returns all cells of a random row, or `None` if the random instance is a scalar.
    fn row(&mut self, subtree: usize) -> Option<Vec<SearchRange>> {
        let name = self.some_name(subtree);
        let base = self.truth.subtrees.get(subtree)?.base.len();
        let (entry, index) = (name.get(..base + 3)?, name.get(base + 4..)?);
        let cell =
            |column| Some(SearchRange { start: cell(entry, column, index)?, include: true, end: Oid::default() });
        COLUMNS.into_iter().map(cell).collect()
    }

    /// Returns random search ranges that end with the subtree.
    fn some_ranges(&mut self, subtree: usize, most: usize) -> Vec<SearchRange> {
        let base = self.truth.subtrees.get(subtree).map(|subtree| subtree.base.clone()).unwrap_or_default();
        let end = after_subtree(&base);
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
        let mut observations = Vec::new();
        match body {
            Body::Get(names) => {
                ensure!(response.varbinds.len() == names.len(), "{} varbinds", response.varbinds.len());
                for (range, varbind) in names.iter().zip(&response.varbinds) {
                    ensure!(
                        varbind.name == range.start,
                        "the response has {} instead of {}",
                        varbind.name,
                        range.start
                    );
                    let checked = self.truth.check(&varbind.name, &varbind.value, span);
                    observations.extend(checked.with_context(|| describe(varbind))?);
                }
            }
            Body::GetNext(ranges) => {
                ensure!(response.varbinds.len() == ranges.len(), "{} varbinds", response.varbinds.len());
                for found in ranges.iter().zip(&response.varbinds) {
                    observations.extend(self.check_found(found, context, span)?);
                }
            }
            Body::GetBulk(bulk) => observations = self.check_bulk(bulk, &response.varbinds, context, span)?,
            _ => {}
        }
        self.check_observations(&observations)
    }

    fn check_found(&self, (range, varbind): Found<'_>, context: &str, span: Span) -> Result<Option<Observation>> {
        let found = match &varbind.value {
            Value::EndOfMibView => {
                ensure!(varbind.name == range.start, "endOfMibView under {}, not {}", varbind.name, range.start);
                None
            }
            value => Some((&varbind.name, value)),
        };
        let search = (&range.start, range.include, &range.end);
        self.truth.check_next(search, found, context, span).with_context(|| format!("{range:?}: {}", describe(varbind)))
    }

    fn check_bulk(&self, bulk: &GetBulk, varbinds: &[VarBind], context: &str, span: Span) -> Result<Vec<Observation>> {
        let (once, repeated) = bulk.ranges.split_at(usize::from(bulk.non_repeaters).min(bulk.ranges.len()));
        ensure!(varbinds.len() >= once.len(), "{} varbinds", varbinds.len());
        let (first, rest) = varbinds.split_at(once.len());
        let mut observations = Vec::new();
        for found in once.iter().zip(first) {
            observations.extend(self.check_found(found, context, span)?);
        }
        if repeated.is_empty() {
            ensure!(rest.is_empty(), "{} varbinds too many", rest.len());
            return Ok(observations);
        }
        let repetitions = rest.chunks(repeated.len());
        ensure!(repetitions.len() <= usize::from(bulk.max_repetitions), "{} repetitions", repetitions.len());
        let mut ranges = repeated.to_vec();
        for repetition in repetitions.clone() {
            ensure!(repetition.len() == ranges.len(), "the last repetition is incomplete");
            for (range, varbind) in ranges.iter_mut().zip(repetition) {
                observations.extend(self.check_found((range, varbind), context, span)?);
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
        Ok(observations)
    }

    /// Checks that all values of a source are of one page, and of none older than in the last response.
    fn check_observations(&mut self, observations: &[Observation]) -> Result<()> {
        let mut pages = BTreeMap::new();
        for Observation { source, moment } in observations {
            let page = *pages.entry(*source).or_insert(*moment);
            ensure!(page == *moment, "one response has values of source {source} from the pages {page} and {moment}");
        }
        for (source, moment) in pages {
            let newest = self.newest.entry(source).or_default();
            ensure!(moment >= *newest, "values of source {source} went back from {newest} to {moment}");
            *newest = moment;
        }
        Ok(())
    }

    /// Walks all subtrees and checks that the walk is complete, with values from `since` or later.
    pub(super) fn walk_everything(&mut self, master: &mut ScriptedMaster, since: Moment) -> Result<()> {
        let bases: Vec<Oid> = self.truth.subtrees.iter().map(|subtree| subtree.base.clone()).collect();
        let mut rows = Vec::new();
        for base in bases {
            let end = after_subtree(&base);
            let mut start = base;
            loop {
                let range = SearchRange { start: start.clone(), include: false, end: end.clone() };
                let bulk = GetBulk { non_repeaters: 0, max_repetitions: 50, ranges: vec![range] };
                let response = master.request(&Context::default(), Body::GetBulk(bulk))?;
                ensure!(!response.varbinds.is_empty(), "a response without varbinds");
                let at_end = response.varbinds.iter().any(|varbind| varbind.value == Value::EndOfMibView);
                rows.extend(response.varbinds.into_iter().filter(|varbind| varbind.value != Value::EndOfMibView));
                match rows.last() {
                    Some(last) if !at_end => start.clone_from(&last.name),
                    _ => break,
                }
            }
        }
        self.truth.check_complete(rows.iter().map(|varbind| (&varbind.name, &varbind.value)), since)
    }
}

fn cell(entry: &[SubId], column: SubId, index: &[SubId]) -> Option<Oid> {
    Oid::new([entry, &[column], index].concat()).ok()
}

/// Checks that a row is complete or absent. If its numbers are not valid, its text may exist without them.
fn check_row(cells: &[VarBind]) -> Result<()> {
    let is_there = |cell: &&VarBind| !matches!(cell.value, Value::NoSuchInstance | Value::NoSuchObject);
    let numbers = cells.iter().take(2).filter(is_there).count();
    ensure!(
        numbers == 0 || cells.iter().filter(is_there).count() == cells.len(),
        "only part of a row exists: {cells:?}"
    );
    Ok(())
}

fn describe(varbind: &VarBind) -> String {
    format!("{} = {:?}", varbind.name, varbind.value)
}

fn below(name: &Oid, arcs: &[SubId]) -> Oid {
    name.join(arcs).unwrap_or_default()
}

/// Returns the first OID after the subtree `base`.
fn after_subtree(base: &Oid) -> Oid {
    let mut arcs = base.to_vec();
    if let Some(last) = arcs.last_mut() {
        *last += 1;
    }
    Oid::new(arcs).unwrap_or_default()
}
