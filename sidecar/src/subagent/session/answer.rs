//! Responses to Get, GetNext and GetBulk, from memory (RFC 2741 section 7.2.3).

use agentx::{EncodeError, RequestKind, RequestRef, ResponseEncoder, ResponseError, SearchRange, SubId, ValueRef};

use super::{
    catalogue::{Catalogue, Cursor, LoadedViews, Snapshot},
    counters::Counters,
};
use crate::view::Instance;

/// The longest value that is sent, in octets. Longer values are cut. An SNMP message over UDP cannot hold much more.
pub(super) const MAX_VALUE: usize = 65_000;
/// The longest response, in octets. Requests for more get genErr. Requests that fit into an SNMP message over UDP stay
/// far below it, unless every value is very long.
pub(super) const MAX_RESPONSE: u32 = 1 << 20;
/// A GetBulk gets no more repetitions once its response is this long, in octets. Its varbinds fill any SNMP message over UDP
/// by then.
pub(super) const SUFFICIENT_BULK: usize = 256 << 10;
/// The number of repeaters whose memory is kept for the next request: more than an SNMP message over UDP usually has.
const KEPT_REPEATERS: usize = 128;

/// A responder to requests. It reuses its memory from request to request.
#[derive(Default)]
pub(super) struct Responder {
    loaded: LoadedViews,
    range: SearchRange,
    repeaters: Vec<Repeater>,
    name: Vec<SubId>,
}

/// The position of a repeating range of a GetBulk.
#[derive(Default)]
struct Repeater {
    cursor: Cursor,
    /// The name of its last varbind, or the start of the range.
    name: Vec<SubId>,
    end: Vec<SubId>,
}

/// The response to a request while it is being written.
struct ResponseWriter<'a> {
    encoder: ResponseEncoder<'a>,
    counters: &'a Counters,
}

impl Responder {
    /// Appends the response to `request` to `output`. All varbinds are from one moment, because the view of an export is loaded
    /// once for the whole request.
    ///
    /// A context without exports is answered like a context without objects.
    pub(super) fn answer(
        &mut self,
        catalogue: &Catalogue,
        request: &RequestRef<'_>,
        output: &mut Vec<u8>,
        counters: &Counters,
    ) {
        let encoder = ResponseEncoder::begin(output, request.header, 0).with_payload_limit(MAX_RESPONSE);
        let mut response = ResponseWriter { encoder, counters };
        let snapshot = catalogue.snapshot(request.context, &mut self.loaded);
        let (range, name) = (&mut self.range, &mut self.name);
        let mut ranges = request.ranges();
        let written = match request.kind {
            RequestKind::Get => response.each(&mut ranges, usize::MAX, range, |response, range| {
                response.put(&range.start, snapshot.get(&range.start))
            }),
            RequestKind::GetNext => response.each(&mut ranges, usize::MAX, range, |response, range| {
                response.put_next(snapshot.next(&range.start, range.include, &range.end), &range.start, name)
            }),
            RequestKind::GetBulk { non_repeaters, max_repetitions } => response
                .each(&mut ranges, non_repeaters.into(), range, |response, range| {
                    response.put_next(snapshot.next(&range.start, range.include, &range.end), &range.start, name)
                })
                .and_then(|()| {
                    let count = ranges.remaining();
                    self.repeaters.resize_with(count.max(self.repeaters.len()), Repeater::default);
                    let repeaters = self.repeaters.get_mut(..count).unwrap_or_default();
                    for repeater in &mut *repeaters {
                        ranges.next_into(range);
                        repeater.begin(snapshot, range);
                    }
                    response.repeat(snapshot, repeaters, max_repetitions)
                }),
        };
        response.finish(written);
        self.loaded.clear();
        self.repeaters.truncate(KEPT_REPEATERS);
        self.repeaters.shrink_to(KEPT_REPEATERS);
    }
}

impl ResponseWriter<'_> {
    /// Calls `put` for each of the first `count` ranges.
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
            ValueRef::OctetString(octets) => octets.get(..MAX_VALUE).map(ValueRef::OctetString),
            ValueRef::Opaque(octets) => octets.get(..MAX_VALUE).map(ValueRef::Opaque),
            _ => None,
        };
        // A value of exactly the maximum length is not cut.
        let cut = cut.filter(|cut| *cut != value);
        if cut.is_some() {
            self.counters.cut_values.one();
        }
        self.encoder.varbind(name, cut.unwrap_or(value))
    }

    /// Writes the instance that was found, or endOfMibView with the name that the search started at.
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

    /// Writes the repetitions of a GetBulk (RFC 2741 section 7.2.3.3), each with one varbind per repeater. Stops when all
    /// repeaters are at their end or the response is long enough.
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
                if self.encoder.octets() >= SUFFICIENT_BULK {
                    return Ok(());
                }
            }
            if !found_any {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Completes the response, with genErr for the varbind that could not be written, if any.
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
