//! Walks of the table with AgentX GetNext requests. They are encoded in advance, so that sending them costs very little.

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
    peers::objects::{BASE, Objects},
    requests::link::Link,
};

/// The number of sub-identifiers in the OID of a cell.
const NAME: usize = BASE.len() + 4;

/// A walk of the table: requests, and the OIDs of the right responses.
#[derive(Debug)]
pub struct Walk {
    objects: Objects,
    /// The number of search ranges in each request.
    width: usize,
    requests: Vec<u8>,
    /// The position of each request in `requests`.
    positions: Vec<Range<usize>>,
    /// The OIDs of the right responses, one after the other.
    names: Vec<SubId>,
    cells: Vec<(u32, u32)>,
    scratch: VarBindScratch,
}

impl Walk {
    /// Returns a walk with one search range in each request, column after column.
    ///
    /// # Errors
    /// Returns an error if a request cannot be encoded.
    pub fn by_cell(objects: Objects, link: &Link) -> Result<Self> {
        let cells = (0..objects.columns).flat_map(|column| (1..=objects.rows).map(move |row| (column, row)));
        Self::new(objects, link, 1, cells.collect())
    }

    /// Returns a walk with a search range for each column in each request, row after row.
    ///
    /// # Errors
    /// Returns an error if a request cannot be encoded.
    pub fn by_row(objects: Objects, link: &Link) -> Result<Self> {
        let cells = (1..=objects.rows).flat_map(|row| (0..objects.columns).map(move |column| (column, row)));
        Self::new(objects, link, objects.columns.try_into()?, cells.collect())
    }

    fn new(objects: Objects, link: &Link, width: usize, cells: Vec<(u32, u32)>) -> Result<Self> {
        let mut end = BASE.to_vec();
        *end.last_mut().context("the base OID is empty")? += 1;
        let end = Oid::new(end)?;
        let (mut requests, mut positions) = (Vec::new(), Vec::new());
        for (number, chunk) in cells.chunks(width).enumerate() {
            let range = |&(column, row): &(u32, u32)| {
                // The search starts after the cell before, or, for the first row, after the OID of the column.
                let start = if row == 1 { Objects::column(column) } else { Objects::cell(column, row - 1) };
                Ok(SearchRange { start: Oid::new(start)?, include: false, end: end.clone() })
            };
            let body = Body::GetNext(chunk.iter().map(range).collect::<Result<_>>()?);
            let header = link.header(packet_id(number)?);
            let start = requests.len();
            encode(&Pdu { header, context: SnmpContext::default(), body }, &mut requests)?;
            positions.push(start..requests.len());
        }
        let names = cells.iter().flat_map(|(column, row)| Objects::cell(*column, *row)).collect();
        Ok(Self { objects, width, requests, positions, names, cells, scratch: VarBindScratch::default() })
    }

    /// Returns the number of requests.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.positions.len()
    }

    /// Returns the number of varbinds in each request.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Sends one request and checks the OIDs of the response.
    ///
    /// # Errors
    /// Returns an error if a response is wrong.
    pub fn step(&mut self, link: &mut Link, number: usize) -> Result<()> {
        self.ask(link, number, false)
    }

    /// Sends these requests and checks the OIDs of the responses and, if they are constant, the values.
    ///
    /// # Errors
    /// Returns an error if a response is wrong.
    pub fn check(&mut self, link: &mut Link, mut numbers: Range<usize>, values: bool) -> Result<()> {
        numbers.try_for_each(|number| self.ask(link, number, values))
    }

    /// Returns the numbers of the requests in one of several equal parts.
    #[must_use]
    pub fn part(&self, part: usize, of: usize) -> Range<usize> {
        self.requests() * part / of..self.requests() * (part + 1) / of
    }

    /// Requests the last cells until they are served.
    ///
    /// # Errors
    /// Returns an error if the deadline passes.
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
        let position = self.positions.get(number).context("no such request")?.clone();
        let frame = link.exchange(self.requests.get(position).context("no such request")?)?;
        let response = ResponseRef::parse(frame, &Limits::default())?;
        ensure!(
            response.error == ResponseError::NoError,
            "the response to request {number} has the error {:?}",
            response.error
        );
        ensure!(response.header.packet_id == packet_id(number)?, "the response is not to request {number}");
        let first = number * self.width;
        let mut varbinds = response.varbinds();
        ensure!(
            varbinds.remaining() == self.width,
            "the response has {} varbinds, not {}",
            varbinds.remaining(),
            self.width
        );
        for at in first..first + self.width {
            let varbind = varbinds.next_in(&mut self.scratch).context("a varbind is missing")?;
            let right = self.names.get(at * NAME..(at + 1) * NAME).context("no such cell")?;
            ensure!(varbind.name == right, "the response has {:?} instead of {right:?}", varbind.name);
            if values {
                let (column, row) = *self.cells.get(at).context("no such cell")?;
                let right = self.objects.cell_value(column, row);
                ensure!(
                    varbind.value == right.as_ref(),
                    "{:?} has the value {:?}, not {right:?}",
                    varbind.name,
                    varbind.value
                );
            }
        }
        Ok(())
    }
}

/// Returns the packet id of a request. Packet ids start at 1, because net-snmp's library does not accept 0.
fn packet_id(number: usize) -> Result<u32> {
    Ok(u32::try_from(number)? + 1)
}
