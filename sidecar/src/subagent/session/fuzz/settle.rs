//! The end of a trial: with a master that behaves correctly, the session must recover.

use agentx::{Body, ByteOrder, GetBulk, Limits, Oid, Pdu, Response, SearchRange, decode};

use super::{READ, Trial, witness::Phase, world::CONTEXTS};
use crate::subagent::session::{
    machine::{Input, State},
    registrations::Progress,
};

impl Trial {
    /// Lets the master behave correctly from now on, and checks that the session recovers and ends.
    pub(super) fn settle(&mut self) {
        self.deliver_in(READ);
        // Completes a PDU that was sent partially.
        while self.witness.missing() > 0 && !self.is_over() {
            self.wire = vec![0; self.witness.missing()];
            self.deliver_in(READ);
        }
        let mut rounds = 0;
        loop {
            self.catch_up();
            self.accept_all();
            if self.is_over() || (!self.witness.is_behind() && self.witness.is_settled(&self.world)) {
                break;
            }
            if self.witness.requests.is_empty() {
                self.wake();
            }
            rounds += 1;
            assert!(
                rounds < 1000,
                "the session does not recover: {:?}",
                self.session.registrations().collect::<Vec<_>>()
            );
        }
        if self.witness.phase == Phase::Open {
            assert!(self.session.registrations().all(|(_, progress)| progress == Progress::Registered));
            assert!(self.session.registrations().map(|(registration, _)| registration).eq(&self.world.wanted()));
            self.walk();
            self.handle(Input::Shutdown);
            self.accept_all();
        }
        assert!(matches!(self.session.state(), State::Ended(_)), "{:?}", self.session.state());
        for input in [Input::Received(b"more"), Input::Exports(self.world.exports()), Input::Shutdown, Input::Time] {
            self.handle(input);
            assert_eq!(self.session.wakeup(), None);
        }
    }

    /// Walks every context with GetBulk requests of 100 repetitions.
    fn walk(&mut self) {
        for context in CONTEXTS {
            let mut start = Oid::default();
            loop {
                let ranges = vec![SearchRange { start: start.clone(), include: false, end: Oid::default() }];
                let bulk = GetBulk { non_repeaters: 0, max_repetitions: 100, ranges };
                let header = self.header(ByteOrder::Little, 0);
                self.put(&[Pdu { header, context: context.into(), body: Body::GetBulk(bulk) }]);
                self.deliver_in(READ);
                // The witness has checked the response.
                let answer = decode(&self.pending, &Limits::default());
                self.drain(usize::MAX);
                let Ok(Pdu { body: Body::Response(Response { varbinds, .. }), .. }) = answer else { break };
                match varbinds.last() {
                    Some(last) if last.name > start => start = last.name.clone(),
                    _ => break,
                }
            }
        }
    }
}
