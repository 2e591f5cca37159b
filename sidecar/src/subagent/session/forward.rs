//! Steps of SETs: the session forwards each one to the coordinator, and responds when the result arrives.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use agentx::{Header, ResponseError};

use crate::set::{SetStep, StepRequest, StepResult};

/// How long the coordinator may take for a step. snmpd gives up a session after about 6 s.
const STEP_TIMEOUT: Duration = Duration::from_secs(4);
/// How much longer the session waits. The coordinator keeps the deadline unless its thread is busy.
const GRACE: Duration = Duration::from_millis(500);
/// The most steps that wait for a result. A master waits for each response, so there are few in practice.
const MAX_PENDING: usize = 16;

/// The forwarded steps of a session that have no result yet.
#[derive(Debug, Default)]
pub(super) struct ForwardedSteps {
    /// The transaction of the last forwarded step.
    transaction: Option<u32>,
    pending: VecDeque<Pending>,
    /// The last step that was answered. A master that repeats the PDU gets the same response, and nothing is done twice.
    last: Option<(Header, StepResult)>,
    requests: VecDeque<StepRequest>,
}

#[derive(Debug)]
struct Pending {
    header: Header,
    expires: Instant,
    /// The error of the response if no result arrives.
    timeout_error: ResponseError,
}

impl ForwardedSteps {
    /// Returns whether the step belongs to the transaction that was forwarded last.
    pub(super) fn has_transaction(&self, header: Header) -> bool {
        self.transaction == Some(header.transaction_id)
    }

    /// Forwards a step. Returns the result if it is known at once.
    pub(super) fn forward(&mut self, header: Header, step: SetStep, now: Instant) -> Option<StepResult> {
        if let Some((last, result)) = self.last
            && last == header
        {
            return Some(result);
        }
        if self.pending.iter().any(|pending| pending.header == header) {
            return None;
        }
        let timeout_error = match step {
            SetStep::Test { .. } => Some(ResponseError::GenErr),
            SetStep::Commit => Some(ResponseError::CommitFailed),
            SetStep::Undo => Some(ResponseError::UndoFailed),
            SetStep::Cleanup => None,
        };
        if let Some(timeout_error) = timeout_error {
            if self.pending.len() >= MAX_PENDING {
                return Some(StepResult::failed(timeout_error));
            }
            self.pending.push_back(Pending { header, expires: now + STEP_TIMEOUT + GRACE, timeout_error });
        }
        self.transaction = Some(header.transaction_id);
        self.requests.push_back(StepRequest { header, step, deadline: now + STEP_TIMEOUT });
        None
    }

    /// Returns the next step for the coordinator.
    pub(super) fn next_request(&mut self) -> Option<StepRequest> {
        self.requests.pop_front()
    }

    /// Records a result. Returns whether to send the response; not if the step has expired.
    pub(super) fn complete(&mut self, header: Header, result: StepResult) -> bool {
        let waiting = self.pending.iter().position(|pending| pending.header == header);
        if let Some(at) = waiting {
            self.pending.remove(at);
            self.last = Some((header, result));
        }
        waiting.is_some()
    }

    /// Returns an expired step and its result. Call it until it returns `None`.
    pub(super) fn expire(&mut self, now: Instant) -> Option<(Header, StepResult)> {
        let Pending { header, timeout_error, .. } = self.pending.pop_front_if(|pending| now >= pending.expires)?;
        let result = StepResult::failed(timeout_error);
        self.last = Some((header, result));
        Some((header, result))
    }

    /// Returns when the next step expires.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.pending.front().map(|pending| pending.expires)
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

    #[test]
    fn repeated_packet_is_forwarded_once_and_gets_the_same_response() {
        let (mut steps, now) = (ForwardedSteps::default(), Instant::now());
        assert!(!steps.has_transaction(header(1)));
        for _ in 0..2 {
            assert_eq!(steps.forward(header(1), SetStep::Commit, now), None);
        }
        assert!(steps.has_transaction(header(1)) && steps.next_request().is_some() && steps.next_request().is_none());
        assert!(steps.complete(header(1), StepResult::OK));
        assert!(!steps.complete(header(1), StepResult::OK), "answered already");
        assert_eq!(steps.forward(header(1), SetStep::Commit, now), Some(StepResult::OK));
        assert!(steps.next_request().is_none());
    }

    #[test]
    fn step_without_a_result_expires_with_an_error() {
        let (mut steps, now) = (ForwardedSteps::default(), Instant::now());
        assert_eq!(steps.forward(header(1), SetStep::Commit, now), None);
        assert_eq!(steps.forward(header(2), SetStep::Cleanup, now), None);
        let deadline = steps.deadline().unwrap();
        assert_eq!(steps.expire(now), None);
        let failed = StepResult::failed(ResponseError::CommitFailed);
        assert_eq!(steps.expire(deadline), Some((header(1), failed)));
        assert!(!steps.complete(header(1), StepResult::OK), "the step has expired");
        assert_eq!(steps.forward(header(1), SetStep::Commit, deadline), Some(failed));
        assert_eq!(steps.deadline(), None, "a cleanup has no response");
    }

    #[test]
    fn steps_beyond_the_limit_fail_at_once() {
        let (mut steps, now) = (ForwardedSteps::default(), Instant::now());
        for packet in 0..16 {
            assert_eq!(steps.forward(header(packet), SetStep::Undo, now), None);
        }
        let failed = StepResult::failed(ResponseError::UndoFailed);
        assert_eq!(steps.forward(header(16), SetStep::Undo, now), Some(failed));
    }

    /// What happens to a session's steps.
    #[derive(Debug, Clone)]
    enum Event {
        /// A step arrives in this packet, which may be a repetition.
        Step(u32, SetStep),
        /// A result arrives for this packet, which may be unknown.
        Result(u32),
        /// This many milliseconds pass.
        Time(u64),
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let step = prop_oneof![
            Just(SetStep::Test { context: Vec::new(), varbinds: Vec::new() }),
            Just(SetStep::Commit),
            Just(SetStep::Undo),
            Just(SetStep::Cleanup),
        ];
        let event = prop_oneof![
            3 => (0..40_u32, step).prop_map(|(packet, step)| Event::Step(packet, step)),
            2 => (0..40_u32).prop_map(Event::Result),
            1 => (0..5_000_u64).prop_map(Event::Time),
        ];
        prop::collection::vec(event, 0..200)
    }

    proptest! {
        #[test]
        fn every_step_is_forwarded_once_and_answered_once(events in events()) {
            let (mut steps, mut now) = (ForwardedSteps::default(), Instant::now());
            // The packets without a response and when they arrived; the packet that was answered last.
            let (mut waiting, mut last) = (BTreeMap::new(), None);
            let mut forwarded = 0;
            for event in events {
                match event {
                    Event::Step(packet, step) => {
                        let is_cleanup = matches!(step, SetStep::Cleanup);
                        let answer = steps.forward(header(packet), step, now);
                        if last == Some(packet) {
                            prop_assert!(answer.is_some(), "a repetition");
                        } else if waiting.contains_key(&packet) {
                            prop_assert_eq!(answer, None);
                        } else if is_cleanup {
                            prop_assert_eq!(answer, None);
                            forwarded += 1;
                        } else if waiting.len() < MAX_PENDING {
                            prop_assert_eq!(answer, None);
                            waiting.insert(packet, now);
                            forwarded += 1;
                        } else {
                            prop_assert!(answer.is_some_and(|result| result.error != ResponseError::NoError));
                        }
                        prop_assert!(steps.has_transaction(header(packet)) || answer.is_some());
                    }
                    Event::Result(packet) => {
                        let is_awaited = waiting.remove(&packet).is_some();
                        prop_assert_eq!(steps.complete(header(packet), StepResult::OK), is_awaited);
                        if is_awaited {
                            last = Some(packet);
                        }
                    }
                    Event::Time(ms) => now += Duration::from_millis(ms),
                }
                while let Some((header, result)) = steps.expire(now) {
                    let since = waiting.remove(&header.packet_id);
                    prop_assert!(since.is_some_and(|since| now >= since + STEP_TIMEOUT + GRACE));
                    prop_assert!(result.error != ResponseError::NoError);
                    last = Some(header.packet_id);
                }
                prop_assert!(steps.deadline().is_none_or(|deadline| deadline > now));
                prop_assert_eq!(steps.deadline().is_some(), !waiting.is_empty());
                while let Some(request) = steps.next_request() {
                    forwarded -= 1;
                    prop_assert!(request.deadline + Duration::from_secs(5) > now);
                }
                prop_assert_eq!(forwarded, 0);
            }
        }
    }
}
