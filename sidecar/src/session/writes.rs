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
    use agentx::ByteOrder;

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
}
