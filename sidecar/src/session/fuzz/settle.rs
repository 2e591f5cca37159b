//! The end of a trial: whatever has been, a session and a master that behaves come to terms.

use agentx::{Body, ByteOrder, GetBulk, Limits, Oid, Pdu, Response, SearchRange, decode};

use super::{READ, Trial, witness::Phase, world::CONTEXTS};
use crate::session::{Input, Progress, State};

impl Trial {
    /// From now on the master does what it should: the session does, too.
    pub(super) fn settle(&mut self) {
        self.deliver_in(READ);
        // A PDU that was begun is ended.
        while self.witness.lacks() > 0 && !self.is_over() {
            self.wire = vec![0; self.witness.lacks()];
            self.deliver_in(READ);
        }
        let mut rounds = 0;
        loop {
            self.catch_up();
            self.answer_all();
            if self.is_over() || (!self.witness.is_behind() && self.witness.is_settled(&self.world)) {
                break;
            }
            if self.witness.questions.is_empty() {
                self.wake();
            }
            rounds += 1;
            assert!(rounds < 1000, "it never settles: {:?}", self.session.registrations().collect::<Vec<_>>());
        }
        if self.witness.phase == Phase::Open {
            assert!(self.session.registrations().all(|(_, progress)| progress == Progress::Registered));
            assert!(self.session.registrations().map(|(registration, _)| registration).eq(&self.world.wanted()));
            self.walk();
            self.handle(Input::Shutdown);
            self.answer_all();
        }
        assert!(matches!(self.session.state(), State::Ended(_)), "{:?}", self.session.state());
        for input in [Input::Received(b"more"), Input::Exports(self.world.exports()), Input::Shutdown, Input::Time] {
            self.handle(input);
            assert_eq!(self.session.wakeup(), None);
        }
    }

    /// Asks for everything in every context, a hundred at a time.
    fn walk(&mut self) {
        for context in CONTEXTS {
            let mut start = Oid::default();
            loop {
                let ranges = vec![SearchRange { start: start.clone(), include: false, end: Oid::default() }];
                let bulk = GetBulk { non_repeaters: 0, max_repetitions: 100, ranges };
                let header = self.header(ByteOrder::Little, 0);
                self.put(&[Pdu { header, context: context.into(), body: Body::GetBulk(bulk) }]);
                self.deliver_in(READ);
                // That the answer is right, the witness has seen.
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
