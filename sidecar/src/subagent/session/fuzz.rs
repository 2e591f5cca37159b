//! The fuzz oracle of a session: properties that hold for any master. The fuzz target and the corpus test use it.

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
    answer::MAX_RESPONSE,
    counters::Counters,
    machine::{BACKLOG_FULL, End, Input, OUTPUT_FULL, Session, State},
};
use crate::subagent::jitter::Jitter;

/// The sessionID that the master assigns, unless the input chooses another.
const SESSION: u32 = 7;
/// The largest read, in octets.
const READ: usize = 32 << 10;
const SILENCE: Duration = Duration::from_secs(8);
const STALLED: Duration = Duration::from_secs(10);
const CLOSING: Duration = Duration::from_millis(800);
/// The longest wait of a session.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// The most octets that a trial sends, so that its cost is bounded.
const MAX_SENT: usize = 12 << 20;
/// The steps of time in milliseconds. The longest one is that of a machine that slept.
const TIMES: [u64; 11] = [0, 1, 100, 799, 1000, 3000, 4999, 5000, 8000, 10_000, 3_600_000];

/// Runs a session with the events that `input` encodes: well-formed and malformed PDUs of a master in pieces of any length, the
/// passing of time, changed exports and shutdown. Afterwards the master behaves correctly, and the session must recover.
///
/// # Panics
/// Panics if the session deviates from the required behaviour.
pub fn fuzz(input: &[u8]) {
    let mut script = Script::new(input);
    let mut trial = Trial::new(script.octet());
    trial.begin(&mut script);
    while !script.is_over() && !trial.is_over() && trial.sent < MAX_SENT {
        trial.act(&mut script);
    }
    trial.settle();
}

/// A session, a master that follows the input, and a witness that checks the session.
struct Trial {
    session: Session,
    witness: Witness,
    world: World,
    now: Instant,
    /// The octets that the master has sent and the session has not received.
    wire: Vec<u8>,
    /// The pending output of the session.
    pending: Vec<u8>,
    /// When the master last read output, or when there was none.
    last_read: Instant,
    packet_id: u32,
    /// The number of octets that the master has sent.
    sent: usize,
}

impl Trial {
    fn new(mask: u8) -> Self {
        let (world, now) = (World::new(mask), Instant::now());
        let session = Session::new("fuzz", &world.exports(), Jitter::new(1), Arc::<Counters>::default(), now);
        let witness = Witness::new(now);
        let (wire, pending) = (Vec::new(), Vec::new());
        let mut trial = Self { session, witness, world, now, wire, pending, last_read: now, packet_id: 1000, sent: 0 };
        trial.check(false, now);
        trial
    }

    fn is_over(&self) -> bool {
        matches!(self.witness.phase, Phase::Over(_))
    }

    /// Usually opens the session as the master does, and accepts all registrations.
    fn begin(&mut self, script: &mut Script<'_>) {
        if script.rarely() {
            return;
        }
        self.accept_all();
        if !script.rarely() {
            self.accept_all();
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
                // Responses without a request as well.
                let packet_id = self.witness.requests.keys().nth(script.below(64)).copied();
                let response = script.response();
                let mut header = self.header(script.byte_order(), packet_id.unwrap_or(script.number()));
                if script.rarely() {
                    header.session_id = script.number();
                }
                self.put(&[Pdu { header, context: Context::default(), body: response }]);
                self.deliver(script);
            }
            15 | 16 => self.accept_all(),
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

    /// Sends the octets that `make` returns, or keeps them to be sent with the next ones.
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
        // Some PDUs repeat the packetID of the previous one.
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

    /// Passes the sent octets to the session, complete or in pieces of any length.
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
            self.handle_waiting();
            self.witness.receive(piece, self.now);
            self.handle(Input::Received(piece));
        }
    }

    /// Lets the session handle waiting PDUs, as its driver must before it reads more.
    fn handle_waiting(&mut self) {
        while self.session.is_behind() {
            let waiting = self.witness.backlog();
            self.handle(Input::Time);
            assert!(self.witness.backlog() < waiting || !self.session.is_behind(), "the session makes no progress");
        }
    }

    /// Accepts all requests of the session.
    fn accept_all(&mut self) {
        self.drain(usize::MAX);
        let responses: Vec<Pdu> = self
            .witness
            .requests
            .keys()
            .map(|packet_id| {
                let (sys_up_time, error, index) = (1, ResponseError::NoError, 0);
                let body = Body::Response(Response { sys_up_time, error, index, varbinds: Vec::new() });
                Pdu { header: self.header(ByteOrder::Big, *packet_id), context: Context::default(), body }
            })
            .collect();
        self.put(&responses);
        self.deliver_in(READ);
    }

    /// Reads as the master until the session sends nothing more.
    fn catch_up(&mut self) {
        while self.session.is_behind() || self.session.is_held_back() {
            self.drain(usize::MAX);
            self.handle_waiting();
        }
        self.drain(usize::MAX);
    }

    /// Advances the clock to the session's wakeup.
    fn wake(&mut self) {
        if let Some(wakeup) = self.session.wakeup() {
            self.now = self.now.max(wakeup);
        }
        self.handle(Input::Time);
    }

    /// Reads up to `len` octets as the master.
    fn drain(&mut self, len: usize) {
        let output = self.session.output();
        let len = len.min(output.pending().len());
        assert_eq!(output.pending().get(..len), self.pending.get(..len), "the pending output has changed");
        self.pending.drain(..len);
        output.advance(len);
        if len > 0 || self.pending.is_empty() {
            self.last_read = self.now;
        }
    }

    fn handle(&mut self, input: Input<'_>) {
        let shut_down = matches!(input, Input::Shutdown);
        self.session.handle(input, self.now);
        self.check(shut_down, self.now);
    }

    /// Compares the actions of the session with the required ones.
    fn check(&mut self, shut_down: bool, now: Instant) {
        let before = self.pending.len();
        let all = self.session.output().pending();
        assert!(all.len() < OUTPUT_FULL + MAX_RESPONSE as usize + (128 << 10), "{} octets are pending", all.len());
        let Some(new) = all.get(before..) else { unreachable!("some pending output is missing") };
        self.pending.extend_from_slice(new);
        let new = self.pending.get(before..).unwrap_or_default();
        if before == 0 {
            self.last_read = now;
        }
        if matches!(self.witness.phase, Phase::Over(_)) {
            return assert!(new.is_empty(), "sent after the end: {new:?}");
        }
        let behind = self.witness.follow(&self.world, before, new, shut_down, now);
        let full = self.pending.len() >= OUTPUT_FULL;
        self.check_state(now);
        if !self.is_over() {
            assert_eq!((self.session.is_behind(), self.session.is_held_back()), (behind && !full, behind && full));
            let wakeup = self.session.wakeup();
            assert!(wakeup.is_none_or(|wakeup| wakeup > now && wakeup <= now + LONGEST_WAIT), "{wakeup:?} at {now:?}");
            assert!(wakeup.is_some() || self.session.is_behind(), "the session has no wakeup");
        }
    }

    fn check_state(&mut self, now: Instant) {
        let state = self.session.state();
        match (self.witness.phase, state) {
            (Phase::Over(End::Garbage(_)), State::Ended(End::Garbage(_))) => {}
            (Phase::Over(due), State::Ended(end)) => assert_eq!(end, due),
            (phase, State::Ended(end)) => {
                let plausible = match end {
                    End::Shutdown => phase == Phase::Closing,
                    End::Silent => !self.witness.requests.is_empty() && now >= self.witness.last_heard + SILENCE,
                    End::NotReading => self.witness.backlog() > BACKLOG_FULL || now >= self.last_read + STALLED,
                    _ => false,
                };
                assert!(plausible, "the session ended with {end:?} in {phase:?}");
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
