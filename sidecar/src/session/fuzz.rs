//! What must hold of a session whatever a master does: for the fuzz target, and for the tests that replay its corpus.

mod script;
mod settle;
mod witness;
mod world;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use agentx::{Body, ByteOrder, Context, Header, Pdu, Response, ResponseError, encode};

use self::{
    script::Script,
    witness::{Phase, Witness},
    world::{CONTEXTS, World},
};
use super::{
    Counters, End, Input, Jitter, Session, State,
    answer::LONGEST_ANSWER,
    machine::{BACKLOG_FULL, OUTPUT_FULL},
};

/// The session's number, where the master does not choose another.
const SESSION: u32 = 7;
/// Octets that are read at a time, at most.
const READ: usize = 32 << 10;
const SILENCE: Duration = Duration::from_secs(8);
const STALLED: Duration = Duration::from_secs(10);
const CLOSING: Duration = Duration::from_millis(800);
/// The longest that a session waits for anything.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// Octets that a trial sends, at most: what it costs is bounded.
const MOST_SENT: usize = 12 << 20;
/// How time passes, in milliseconds: also as it does for a machine that slept.
const TIMES: [u64; 11] = [0, 1, 100, 799, 1000, 3000, 4999, 5000, 8000, 10_000, 3_600_000];

/// Plays what `input` says to a session: a master's PDUs, well-formed or not, in any pieces; time, other exports, the
/// end. Then the master behaves, and everything must be as it should be.
///
/// # Panics
/// If the session does anything else than it must.
#[doc(hidden)]
pub fn fuzz(input: &[u8]) {
    let mut script = Script::new(input);
    let mut trial = Trial::new(script.octet());
    trial.begin(&mut script);
    while !script.is_over() && !trial.is_over() && trial.sent < MOST_SENT {
        trial.act(&mut script);
    }
    trial.settle();
}

/// A session, a master that does as it is told, and a witness.
struct Trial {
    session: Session,
    witness: Witness,
    world: World,
    now: Instant,
    /// What the master sent, and the session has not received.
    wire: Vec<u8>,
    /// What the session is to send.
    pending: Vec<u8>,
    /// When the master last took some of that, or there was nothing.
    taken: Instant,
    packet_id: u32,
    /// Octets that the master has sent.
    sent: usize,
}

impl Trial {
    fn new(mask: u8) -> Self {
        let (world, now) = (World::new(mask), Instant::now());
        let session = Session::new("fuzz", &world.exports(), Jitter::new(1), Arc::<Counters>::default(), now);
        let witness = Witness::new(now);
        let (wire, pending) = (Vec::new(), Vec::new());
        let mut trial = Self { session, witness, world, now, wire, pending, taken: now, packet_id: 1000, sent: 0 };
        trial.look(false, now);
        trial
    }

    fn is_over(&self) -> bool {
        matches!(self.witness.phase, Phase::Over(_))
    }

    /// Most masters open a session and grant what they are asked for.
    fn begin(&mut self, script: &mut Script<'_>) {
        if script.rarely() {
            return;
        }
        self.answer_all();
        if !script.rarely() {
            self.answer_all();
        }
    }

    fn act(&mut self, script: &mut Script<'_>) {
        match script.below(32) {
            0..=8 => self.send(script, Self::request),
            9 => self.send(script, |trial, script| {
                let step = script.set_step(&trial.world);
                trial.pdu(script, Context::default(), step)
            }),
            10 => self.send(script, |trial, script| {
                let other = script.other(&trial.world);
                trial.pdu(script, Context::default(), other)
            }),
            11..=14 => {
                // Also to what was never asked.
                let asked = self.witness.questions.keys().nth(script.below(64)).copied();
                let response = script.response();
                let mut header = self.header(script.byte_order(), asked.unwrap_or(script.number()));
                if script.rarely() {
                    header.session_id = script.number();
                }
                self.put(&[Pdu { header, context: Context::default(), body: response }]);
                self.deliver(script);
            }
            15 | 16 => self.answer_all(),
            17 => self.send(script, |trial, script| {
                let mut octets = Self::request(trial, script);
                if let Some(octet) = octets.get_mut(script.below(64)) {
                    *octet = script.octet();
                }
                octets
            }),
            18 => self.send(script, |_, script| {
                let len = script.below(64);
                script.octets(len).to_vec()
            }),
            19 => self.send(script, |trial, script| {
                let mut octets = Self::request(trial, script);
                octets.truncate(script.below(256));
                octets
            }),
            20 => self.send(script, |trial, script| {
                let mut frame = Self::request(trial, script);
                let len = script.below(16) * 4;
                frame.truncate(16);
                frame.extend(u32::try_from(len).unwrap_or_default().to_be_bytes());
                frame.extend(script.octets(len));
                if let [_, pdu_type, flags, ..] = frame.as_mut_slice() {
                    (*pdu_type, *flags) = (script.octet() % 20, 0x10);
                }
                frame
            }),
            21 => self.send(script, |trial, script| {
                let one = if script.rarely() { script.set_step(&trial.world) } else { Body::Ping };
                let pdu = if one == Body::Ping {
                    Self::request(trial, script)
                } else {
                    trial.pdu(script, Context::default(), one)
                };
                pdu.repeat(script.below(80))
            }),
            22 => {
                let len = usize::from(script.octet()) * script.pick(&[1, 16, 4096]);
                self.drain(len);
            }
            23 | 24 => self.drain(usize::MAX),
            25 => {
                self.now += Duration::from_millis(script.pick(&TIMES));
                self.handle(Input::Time);
            }
            26 => self.wake(),
            27 | 28 => {
                self.world.export(script.octet());
                self.handle(Input::Exports(self.world.exports()));
            }
            29 => {
                let (slot, version) = (script.below(8), script.octet());
                self.world.change(slot, version);
            }
            30 => self.catch_up(),
            _ if script.rarely() => self.handle(Input::Shutdown),
            _ => self.handle(Input::Time),
        }
    }

    /// Sends what `make` gives, or holds it back to go out with what comes next.
    fn send(&mut self, script: &mut Script<'_>, make: impl Fn(&mut Self, &mut Script<'_>) -> Vec<u8>) {
        let octets = make(self, script);
        self.sent += octets.len();
        self.wire.extend(octets);
        if !script.rarely() {
            self.deliver(script);
        }
    }

    fn header(&self, byte_order: ByteOrder, packet_id: u32) -> Header {
        let session_id = if self.witness.phase == Phase::Opening { SESSION } else { self.witness.id };
        Header { byte_order, session_id, transaction_id: 5, packet_id }
    }

    fn pdu(&mut self, script: &mut Script<'_>, context: Context, body: Body) -> Vec<u8> {
        // Some come again under the packetID of the one before.
        self.packet_id = self.packet_id.wrapping_add(u32::from(!script.rarely()));
        let mut header = self.header(script.byte_order(), self.packet_id);
        if script.rarely() {
            header.session_id = header.session_id.wrapping_add(1);
        }
        encoded(&Pdu { header, context, body })
    }

    fn request(&mut self, script: &mut Script<'_>) -> Vec<u8> {
        let context = script.pick(&CONTEXTS);
        let body = script.request(&self.world, context);
        self.pdu(script, context.into(), body)
    }

    fn put(&mut self, pdus: &[Pdu]) {
        for pdu in pdus {
            self.wire.extend(encoded(pdu));
        }
    }

    /// The session receives what is on the wire, whole or in pieces of any length.
    fn deliver(&mut self, script: &mut Script<'_>) {
        let piece = match script.octet() {
            small @ 1..64 if self.wire.len() < READ => small.into(),
            _ => READ,
        };
        self.deliver_in(piece);
    }

    fn deliver_in(&mut self, piece: usize) {
        let wire = std::mem::take(&mut self.wire);
        for piece in wire.chunks(piece) {
            self.go_on();
            self.witness.receive(piece, self.now);
            self.handle(Input::Received(piece));
        }
    }

    /// As whoever drives a session must before it reads on.
    fn go_on(&mut self) {
        while self.session.is_behind() {
            let waiting = self.witness.backlog();
            self.handle(Input::Time);
            assert!(self.witness.backlog() < waiting || !self.session.is_behind(), "it stays behind");
        }
    }

    /// Grants everything that the session has asked for.
    fn answer_all(&mut self) {
        self.drain(usize::MAX);
        let answers: Vec<Pdu> = self
            .witness
            .questions
            .keys()
            .map(|asked| {
                let (sys_up_time, error, index) = (1, ResponseError::NoError, 0);
                let body = Body::Response(Response { sys_up_time, error, index, varbinds: Vec::new() });
                Pdu { header: self.header(ByteOrder::Big, *asked), context: Context::default(), body }
            })
            .collect();
        self.put(&answers);
        self.deliver_in(READ);
    }

    /// The master takes all, until nothing more comes.
    fn catch_up(&mut self) {
        while self.session.is_behind() || self.session.is_held_back() {
            self.drain(usize::MAX);
            self.go_on();
        }
        self.drain(usize::MAX);
    }

    /// Waits for as long as the session would.
    fn wake(&mut self) {
        if let Some(wakeup) = self.session.wakeup() {
            self.now = self.now.max(wakeup);
        }
        self.handle(Input::Time);
    }

    /// The master reads so many octets.
    fn drain(&mut self, len: usize) {
        let output = self.session.output();
        let len = len.min(output.pending().len());
        assert_eq!(output.pending().get(..len), self.pending.get(..len), "what was to be sent has changed");
        self.pending.drain(..len);
        output.advance(len);
        if len > 0 || self.pending.is_empty() {
            self.taken = self.now;
        }
    }

    fn handle(&mut self, input: Input<'_>) {
        let shut_down = matches!(input, Input::Shutdown);
        self.session.handle(input, self.now);
        self.look(shut_down, self.now);
    }

    /// Compares what the session did with what it must do.
    fn look(&mut self, shut_down: bool, now: Instant) {
        let before = self.pending.len();
        let all = self.session.output().pending();
        assert!(all.len() < OUTPUT_FULL + LONGEST_ANSWER as usize + (128 << 10), "{} octets are to be sent", all.len());
        let Some(new) = all.get(before..) else { unreachable!("some of what was to be sent is gone") };
        self.pending.extend_from_slice(new);
        let new = self.pending.get(before..).unwrap_or_default();
        if before == 0 {
            self.taken = now;
        }
        if matches!(self.witness.phase, Phase::Over(_)) {
            return assert!(new.is_empty(), "sent after the end: {new:?}");
        }
        let behind = self.witness.follow(&self.world, before, new, shut_down, now);
        let full = self.pending.len() >= OUTPUT_FULL;
        self.look_at_state(now);
        if !self.is_over() {
            assert_eq!((self.session.is_behind(), self.session.is_held_back()), (behind && !full, behind && full));
            let wakeup = self.session.wakeup();
            assert!(wakeup.is_none_or(|wakeup| wakeup > now && wakeup <= now + LONGEST_WAIT), "{wakeup:?} at {now:?}");
            assert!(wakeup.is_some() || self.session.is_behind(), "it would never wake");
        }
    }

    fn look_at_state(&mut self, now: Instant) {
        let state = self.session.state();
        match (self.witness.phase, state) {
            (Phase::Over(End::Garbage(_)), State::Ended(End::Garbage(_))) => {}
            (Phase::Over(due), State::Ended(end)) => assert_eq!(end, due),
            (phase, State::Ended(end)) => {
                let plausible = match end {
                    End::Shutdown => phase == Phase::Closing,
                    End::Silent => !self.witness.questions.is_empty() && now >= self.witness.last_heard + SILENCE,
                    End::NotReading => self.witness.backlog() > BACKLOG_FULL || now >= self.taken + STALLED,
                    _ => false,
                };
                assert!(plausible, "it ended, {end:?}, in {phase:?}");
                self.witness.phase = Phase::Over(end);
            }
            (Phase::Opening, State::Opening) | (Phase::Open, State::Open { .. }) => {
                assert!(self.witness.backlog() <= BACKLOG_FULL, "{} octets are held", self.witness.backlog());
            }
            (Phase::Closing, State::Closing { until }) => assert!(until <= now + CLOSING),
            (phase, state) => unreachable!("{state:?}, not {phase:?}"),
        }
    }
}

fn encoded(pdu: &Pdu) -> Vec<u8> {
    let mut octets = Vec::new();
    let written = encode(pdu, &mut octets);
    assert_eq!(written, Ok(()), "{pdu:?}");
    octets
}
