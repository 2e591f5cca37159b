//! Walks over the table with AgentX GetNext requests that were encoded beforehand, so that asking costs next to nothing.

use std::{
    ops::Range,
    thread,
    time::{Duration, Instant},
};

use agentx::{
    Body, Context as SnmpContext, Limits, Oid, Pdu, ResponseError, ResponseRef, SearchRange, SubId, VarBindScratch,
    encode,
};
use anyhow::{Context, Result, ensure};
use harness::DEADLINE;

use crate::{
    link::Link,
    objects::{BASE, Objects},
};

/// The sub-identifiers of a cell's name.
const NAME: usize = BASE.len() + 4;

/// A walk over the table: requests, and the names that answer them.
#[derive(Debug)]
pub struct Walk {
    objects: Objects,
    /// Search ranges in each request.
    width: usize,
    requests: Vec<u8>,
    /// Where each request lies.
    places: Vec<Range<usize>>,
    /// The names that are right, one behind the other.
    names: Vec<SubId>,
    cells: Vec<(u32, u32)>,
    scratch: VarBindScratch,
}

impl Walk {
    /// A walk for this subagent with one search range in a request: column after column.
    ///
    /// # Errors
    /// Where a request cannot be encoded.
    pub fn by_cell(objects: Objects, link: &Link) -> Result<Self> {
        let cells = (0..objects.columns).flat_map(|column| (1..=objects.rows).map(move |row| (column, row)));
        Self::new(objects, link, 1, cells.collect())
    }

    /// A walk for this subagent with a search range for each column in a request: row after row.
    ///
    /// # Errors
    /// Where a request cannot be encoded.
    pub fn by_row(objects: Objects, link: &Link) -> Result<Self> {
        let cells = (1..=objects.rows).flat_map(|row| (0..objects.columns).map(move |column| (column, row)));
        Self::new(objects, link, objects.columns.try_into()?, cells.collect())
    }

    fn new(objects: Objects, link: &Link, width: usize, cells: Vec<(u32, u32)>) -> Result<Self> {
        let mut end = BASE.to_vec();
        *end.last_mut().context("a base")? += 1;
        let end = Oid::new(end)?;
        let (mut requests, mut places) = (Vec::new(), Vec::new());
        for (number, asked) in cells.chunks(width).enumerate() {
            let range = |&(column, row): &(u32, u32)| {
                // The cell before; for a column's first row, the column.
                let start = if row == 1 { Objects::column(column) } else { Objects::cell(column, row - 1) };
                Ok(SearchRange { start: Oid::new(start)?, include: false, end: end.clone() })
            };
            let body = Body::GetNext(asked.iter().map(range).collect::<Result<_>>()?);
            let header = link.header(packet_id(number)?);
            let start = requests.len();
            encode(&Pdu { header, context: SnmpContext::default(), body }, &mut requests)?;
            places.push(start..requests.len());
        }
        let names = cells.iter().flat_map(|(column, row)| Objects::cell(*column, *row)).collect();
        Ok(Self { objects, width, requests, places, names, cells, scratch: VarBindScratch::default() })
    }

    /// How many requests it has.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.places.len()
    }

    /// Variables asked for in one request.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Sends one request, and checks the names of the answer.
    ///
    /// # Errors
    /// Where an answer is not the right one.
    pub fn step(&mut self, link: &mut Link, number: usize) -> Result<()> {
        self.ask(link, number, false)
    }

    /// Sends these requests, and checks names and, if they stand still, values.
    ///
    /// # Errors
    /// Where an answer is not the right one.
    pub fn check(&mut self, link: &mut Link, mut numbers: Range<usize>, values: bool) -> Result<()> {
        numbers.try_for_each(|number| self.ask(link, number, values))
    }

    /// One of so many parts of the requests.
    #[must_use]
    pub fn part(&self, part: usize, of: usize) -> Range<usize> {
        self.requests() * part / of..self.requests() * (part + 1) / of
    }

    /// Asks for the last cells until they are there.
    ///
    /// # Errors
    /// Where they are not before the tests' deadline.
    pub fn wait_for_last(&mut self, link: &mut Link, values: bool) -> Result<()> {
        let deadline = Instant::now() + DEADLINE;
        let last = self.requests().saturating_sub(1);
        while let Err(error) = self.ask(link, last, values) {
            ensure!(Instant::now() < deadline, "the last cell was not served within {DEADLINE:?}: {error:#}");
            thread::sleep(Duration::from_millis(25));
        }
        Ok(())
    }

    fn ask(&mut self, link: &mut Link, number: usize, values: bool) -> Result<()> {
        let place = self.places.get(number).context("no such request")?.clone();
        let frame = link.exchange(self.requests.get(place).context("no such request")?)?;
        let response = ResponseRef::parse(frame, &Limits::default())?;
        ensure!(response.error == ResponseError::NoError, "request {number}: {:?}", response.error);
        ensure!(response.header.packet_id == packet_id(number)?, "the answer to another request than {number}");
        let first = number * self.width;
        let mut varbinds = response.varbinds();
        ensure!(varbinds.remaining() == self.width, "{} varbinds, not {}", varbinds.remaining(), self.width);
        for at in first..first + self.width {
            let varbind = varbinds.next_in(&mut self.scratch).context("a varbind")?;
            let right = self.names.get(at * NAME..(at + 1) * NAME).context("no such cell")?;
            ensure!(varbind.name == right, "{:?} where {right:?} is next", varbind.name);
            if values {
                let (column, row) = *self.cells.get(at).context("no such cell")?;
                let right = self.objects.cell_value(column, row);
                ensure!(varbind.value == right.as_ref(), "{:?} is {:?}, not {right:?}", varbind.name, varbind.value);
            }
        }
        Ok(())
    }
}

/// From 1: to net-snmp's library 0 is no number.
fn packet_id(number: usize) -> Result<u32> {
    Ok(u32::try_from(number)? + 1)
}
