//! Answers Get, GetNext and GetBulk from memory (RFC 2741 section 7.2.3).

use agentx::{EncodeError, RequestKind, RequestRef, ResponseEncoder, ResponseError, SearchRange, SubId, ValueRef};

use super::{
    Catalogue, Counters,
    catalogue::{Cursor, Loaded, Snapshot},
};
use crate::mib_view::Instance;

/// The longest value that is sent, in octets; longer ones are cut. An SNMP message over UDP cannot hold much more.
pub const LONGEST_VALUE: usize = 65_000;
/// The longest answer, in octets: what would be longer is genErr. Requests that fit into an SNMP message over UDP
/// come nowhere near it, except where every value is a very long one.
pub const LONGEST_ANSWER: u32 = 1 << 20;
/// A GetBulk gets no more repetitions once its answer is this long, in octets: its varbinds fill any SNMP message
/// over UDP by then.
pub const LONG_ENOUGH_BULK: usize = 256 << 10;
/// So many repeaters keep their memory for the next request: more than an SNMP message over UDP usually has.
const KEPT_REPEATERS: usize = 128;

/// Answers requests. Holds memory that is used again from request to request.
#[derive(Default)]
pub struct Responder {
    loaded: Loaded,
    range: SearchRange,
    repeaters: Vec<Repeater>,
    name: Vec<SubId>,
}

/// Where one repeating range of a GetBulk has come to.
#[derive(Default)]
struct Repeater {
    cursor: Cursor,
    /// The name of its last varbind, or where it started.
    name: Vec<SubId>,
    end: Vec<SubId>,
}

/// The answer to one request while it is being written.
struct Answer<'a> {
    encoder: ResponseEncoder<'a>,
    counters: &'a Counters,
}

impl Responder {
    /// Appends the answer to `request` to `output`. All varbinds are from one moment: an export's view is loaded
    /// once for the whole request.
    ///
    /// A context that no export is in answers as one without objects does.
    pub fn answer(
        &mut self,
        catalogue: &Catalogue,
        request: &RequestRef<'_>,
        output: &mut Vec<u8>,
        counters: &Counters,
    ) {
        let encoder = ResponseEncoder::begin(output, request.header, 0).with_payload_limit(LONGEST_ANSWER);
        let mut answer = Answer { encoder, counters };
        let snapshot = catalogue.snapshot(request.context, &mut self.loaded);
        let (range, name) = (&mut self.range, &mut self.name);
        let mut ranges = request.ranges();
        let written = match request.kind {
            RequestKind::Get => answer.each(&mut ranges, usize::MAX, range, |answer, range| {
                answer.put(&range.start, snapshot.get(&range.start))
            }),
            RequestKind::GetNext => answer.each(&mut ranges, usize::MAX, range, |answer, range| {
                answer.put_next(snapshot.next(&range.start, range.include, &range.end), &range.start, name)
            }),
            RequestKind::GetBulk { non_repeaters, max_repetitions } => answer
                .each(&mut ranges, non_repeaters.into(), range, |answer, range| {
                    answer.put_next(snapshot.next(&range.start, range.include, &range.end), &range.start, name)
                })
                .and_then(|()| {
                    let count = ranges.remaining();
                    self.repeaters.resize_with(count.max(self.repeaters.len()), Repeater::default);
                    let repeaters = self.repeaters.get_mut(..count).unwrap_or_default();
                    for repeater in &mut *repeaters {
                        ranges.next_into(range);
                        repeater.begin(snapshot, range);
                    }
                    answer.repeat(snapshot, repeaters, max_repetitions)
                }),
        };
        answer.finish(written);
        self.loaded.clear();
        self.repeaters.truncate(KEPT_REPEATERS);
        self.repeaters.shrink_to(KEPT_REPEATERS);
    }
}

impl Answer<'_> {
    /// One answer each for the first `count` of `ranges`.
    fn each(
        &mut self,
        ranges: &mut agentx::SearchRanges<'_>,
        count: usize,
        range: &mut SearchRange,
        mut put: impl FnMut(&mut Self, &SearchRange) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        for _ in 0..count {
            if !ranges.next_into(range) {
                break;
            }
            put(self, range)?;
        }
        Ok(())
    }

    fn put(&mut self, name: &[SubId], value: ValueRef<'_>) -> Result<(), EncodeError> {
        let cut = match value {
            ValueRef::OctetString(octets) => octets.get(..LONGEST_VALUE).map(ValueRef::OctetString),
            ValueRef::Opaque(octets) => octets.get(..LONGEST_VALUE).map(ValueRef::Opaque),
            _ => None,
        };
        // What is exactly as long as may be is not cut.
        let cut = cut.filter(|cut| *cut != value);
        if cut.is_some() {
            self.counters.cut_values.one();
        }
        self.encoder.varbind(name, cut.unwrap_or(value))
    }

    /// The instance that was found, or endOfMibView under the name that the search started at.
    fn put_next(
        &mut self,
        found: Option<Instance<'_>>,
        start: &[SubId],
        name: &mut Vec<SubId>,
    ) -> Result<(), EncodeError> {
        let Some(instance) = found else { return self.put(start, ValueRef::EndOfMibView) };
        instance.write_oid(name);
        self.put(name, instance.value)
    }

    /// The repetitions of a GetBulk (RFC 2741 section 7.2.3.3): one varbind per repeater in each, until all of them
    /// are at their end or the answer is long enough.
    fn repeat(
        &mut self,
        snapshot: Snapshot<'_>,
        repeaters: &mut [Repeater],
        max_repetitions: u16,
    ) -> Result<(), EncodeError> {
        for _ in 0..max_repetitions {
            let mut found_any = false;
            for Repeater { cursor, name, end } in &mut *repeaters {
                let found = snapshot.take(cursor, end);
                if let Some(instance) = found {
                    found_any = true;
                    instance.write_oid(name);
                }
                self.put(name, found.map_or(ValueRef::EndOfMibView, |instance| instance.value))?;
                if self.encoder.octets() >= LONG_ENOUGH_BULK {
                    return Ok(());
                }
            }
            if !found_any {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Completes the answer: with what was written, or with genErr for the varbind that could not be.
    fn finish(self, written: Result<(), EncodeError>) {
        let Self { encoder, counters } = self;
        let varbinds = encoder.len();
        let (error, index) = if let Ok(()) = written {
            counters.varbinds.add(varbinds as u64);
            (ResponseError::NoError, 0)
        } else {
            counters.oversized.one();
            (ResponseError::GenErr, u16::try_from(varbinds + 1).unwrap_or(u16::MAX))
        };
        if encoder.finish(error, index).is_ok() {
            counters.answers.one();
        }
    }
}

impl Repeater {
    fn begin(&mut self, snapshot: Snapshot<'_>, range: &SearchRange) {
        self.cursor = snapshot.seek(&range.start, range.include);
        range.start.as_slice().clone_into(&mut self.name);
        range.end.as_slice().clone_into(&mut self.end);
    }
}
