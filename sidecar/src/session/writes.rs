//! Steps of SETs that are decided elsewhere: handed over, and answered when the verdict comes.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use agentx::{Header, ResponseError};

use super::Verdict;
use crate::write::{Asked, Doing};

/// How long a verdict may take: snmpd gives up a session after some 6 s.
const DEADLINE: Duration = Duration::from_secs(4);
/// How much longer it is waited for. Whoever decides keeps the deadline, unless the thread is busy.
const GRACE: Duration = Duration::from_millis(500);
/// How many steps may wait for their verdicts. A master waits for each answer.
const MAX_PENDING: usize = 16;

/// The steps of a session that wait for verdicts.
#[derive(Debug, Default)]
pub struct Writes {
    /// The transaction that was handed over last.
    transaction: Option<u32>,
    pending: VecDeque<Pending>,
    /// The last that was answered: a master that repeats a PDU gets the same answer, and nothing is done twice.
    last: Option<(Header, Verdict)>,
    asked: VecDeque<Asked>,
}

#[derive(Debug)]
struct Pending {
    header: Header,
    overdue: Instant,
    /// What is answered when no verdict comes.
    otherwise: ResponseError,
}

impl Writes {
    /// Whether the step is of the transaction that was handed over.
    #[must_use]
    pub fn has(&self, header: Header) -> bool {
        self.transaction == Some(header.transaction_id)
    }

    /// Hands a step over. The answer, where there is one at once.
    pub fn take(&mut self, header: Header, doing: Doing, now: Instant) -> Option<Verdict> {
        if let Some((last, verdict)) = self.last
            && last == header
        {
            return Some(verdict);
        }
        if self.pending.iter().any(|pending| pending.header == header) {
            return None;
        }
        let otherwise = match doing {
            Doing::Test { .. } => Some(ResponseError::GenErr),
            Doing::Commit => Some(ResponseError::CommitFailed),
            Doing::Undo => Some(ResponseError::UndoFailed),
            Doing::Cleanup => None,
        };
        if let Some(otherwise) = otherwise {
            if self.pending.len() >= MAX_PENDING {
                return Some(Verdict { error: otherwise, index: 0 });
            }
            self.pending.push_back(Pending { header, overdue: now + DEADLINE + GRACE, otherwise });
        }
        self.transaction = Some(header.transaction_id);
        self.asked.push_back(Asked { header, doing, until: now + DEADLINE });
        None
    }

    /// The next step that is to be decided.
    pub fn next_asked(&mut self) -> Option<Asked> {
        self.asked.pop_front()
    }

    /// Takes a verdict. Whether it is to be answered: not if that was overdue.
    pub fn decide(&mut self, header: Header, verdict: Verdict) -> bool {
        let waiting = self.pending.iter().position(|pending| pending.header == header);
        if let Some(at) = waiting {
            self.pending.remove(at);
            self.last = Some((header, verdict));
        }
        waiting.is_some()
    }

    /// A step whose verdict has not come in time, and the answer to it.
    pub fn overdue(&mut self, now: Instant) -> Option<(Header, Verdict)> {
        let Pending { header, otherwise, .. } = self.pending.pop_front_if(|pending| now >= pending.overdue)?;
        let verdict = Verdict { error: otherwise, index: 0 };
        self.last = Some((header, verdict));
        Some((header, verdict))
    }

    /// When to look for [`Self::overdue`] ones.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.pending.front().map(|pending| pending.overdue)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use agentx::ByteOrder;
    use proptest::prelude::*;

    use super::*;

    fn header(packet_id: u32) -> Header {
        Header { byte_order: ByteOrder::Big, session_id: 1, transaction_id: 9, packet_id }
    }

    const ACCEPTED: Verdict = Verdict { error: ResponseError::NoError, index: 0 };

    #[test]
    fn a_repeated_packet_is_handed_over_once_and_answered_alike() {
        let (mut writes, now) = (Writes::default(), Instant::now());
        assert!(!writes.has(header(1)));
        for _ in 0..2 {
            assert_eq!(writes.take(header(1), Doing::Commit, now), None);
        }
        assert!(writes.has(header(1)) && writes.next_asked().is_some() && writes.next_asked().is_none());
        assert!(writes.decide(header(1), ACCEPTED));
        assert!(!writes.decide(header(1), ACCEPTED), "it was answered");
        assert_eq!(writes.take(header(1), Doing::Commit, now), Some(ACCEPTED));
        assert!(writes.next_asked().is_none());
    }

    #[test]
    fn a_verdict_that_does_not_come_in_time_is_a_failure() {
        let (mut writes, now) = (Writes::default(), Instant::now());
        assert_eq!(writes.take(header(1), Doing::Commit, now), None);
        assert_eq!(writes.take(header(2), Doing::Cleanup, now), None);
        let deadline = writes.deadline().unwrap();
        assert_eq!(writes.overdue(now), None);
        let failed = Verdict { error: ResponseError::CommitFailed, index: 0 };
        assert_eq!(writes.overdue(deadline), Some((header(1), failed)));
        assert!(!writes.decide(header(1), ACCEPTED), "too late");
        assert_eq!(writes.take(header(1), Doing::Commit, deadline), Some(failed));
        assert_eq!(writes.deadline(), None, "a cleanup has no answer");
    }

    #[test]
    fn no_more_wait_than_may() {
        let (mut writes, now) = (Writes::default(), Instant::now());
        for packet in 0..16 {
            assert_eq!(writes.take(header(packet), Doing::Undo, now), None);
        }
        let failed = Verdict { error: ResponseError::UndoFailed, index: 0 };
        assert_eq!(writes.take(header(16), Doing::Undo, now), Some(failed));
    }

    /// What happens to a session's steps.
    #[derive(Debug, Clone)]
    enum Event {
        /// A step comes: of this packet, which may have come before.
        Step(u32, Doing),
        /// A verdict comes, to the packet or to one that nobody asked about.
        Verdict(u32),
        /// Milliseconds pass.
        Time(u64),
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let step = prop_oneof![
            Just(Doing::Test { context: Vec::new(), varbinds: Vec::new() }),
            Just(Doing::Commit),
            Just(Doing::Undo),
            Just(Doing::Cleanup),
        ];
        let event = prop_oneof![
            3 => (0..40_u32, step).prop_map(|(packet, doing)| Event::Step(packet, doing)),
            2 => (0..40_u32).prop_map(Event::Verdict),
            1 => (0..5_000_u64).prop_map(Event::Time),
        ];
        prop::collection::vec(event, 0..200)
    }

    proptest! {
        #[test]
        fn every_step_is_handed_over_once_and_answered_once(events in events()) {
            let (mut writes, mut now) = (Writes::default(), Instant::now());
            // The packets that wait for an answer, and since when; and the one that was answered last.
            let (mut waiting, mut last) = (BTreeMap::new(), None);
            let mut handed_over = 0;
            for event in events {
                match event {
                    Event::Step(packet, doing) => {
                        let is_cleanup = matches!(doing, Doing::Cleanup);
                        let answer = writes.take(header(packet), doing, now);
                        if last == Some(packet) {
                            prop_assert!(answer.is_some(), "as before");
                        } else if waiting.contains_key(&packet) {
                            prop_assert_eq!(answer, None);
                        } else if is_cleanup {
                            prop_assert_eq!(answer, None);
                            handed_over += 1;
                        } else if waiting.len() < MAX_PENDING {
                            prop_assert_eq!(answer, None);
                            waiting.insert(packet, now);
                            handed_over += 1;
                        } else {
                            prop_assert!(answer.is_some_and(|verdict| verdict.error != ResponseError::NoError));
                        }
                        prop_assert!(writes.has(header(packet)) || answer.is_some());
                    }
                    Event::Verdict(packet) => {
                        let is_awaited = waiting.remove(&packet).is_some();
                        prop_assert_eq!(writes.decide(header(packet), ACCEPTED), is_awaited);
                        if is_awaited {
                            last = Some(packet);
                        }
                    }
                    Event::Time(ms) => now += Duration::from_millis(ms),
                }
                while let Some((header, verdict)) = writes.overdue(now) {
                    let since = waiting.remove(&header.packet_id);
                    prop_assert!(since.is_some_and(|since| now >= since + DEADLINE + GRACE));
                    prop_assert!(verdict.error != ResponseError::NoError);
                    last = Some(header.packet_id);
                }
                prop_assert!(writes.deadline().is_none_or(|deadline| deadline > now));
                prop_assert_eq!(writes.deadline().is_some(), !waiting.is_empty());
                while let Some(asked) = writes.next_asked() {
                    handed_over -= 1;
                    prop_assert!(asked.until + Duration::from_secs(5) > now);
                }
                prop_assert_eq!(handed_over, 0);
            }
        }
    }
}
