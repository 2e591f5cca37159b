//! What must hold of the dispatcher whatever subagents do: for the fuzz target, and for the test that replays its corpus.

mod asked;
mod script;

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use agentx::{
    Body, Context, FrameHeader, Framer, GetBulk, Header, Limits, Oid, Pdu, PduType, Response, ResponseError,
    SearchRange, SubId, Value, VarBind, decode, encode,
};

use self::script::Script;
use super::{ConnectionId, Dispatcher, Request, Token};
use crate::{
    authority::{Grants, Peer, Transport},
    identity::Identity,
    own_objects::{Asked, OwnObjects},
};

/// Octets that a connection may have to send: what fills it, and a request beyond.
const MOST_OUTPUT: usize = (1 << 20) + (1 << 18);
const MOST_CONNECTIONS: usize = 6;
/// How time passes, in milliseconds.
const TIMES: [u64; 8] = [0, 1, 99, 100, 1000, 2000, 10_000, 400_000];
/// Room for an answer, in octets.
const ROOMS: [usize; 4] = [1400, 65_000, 100, 0];

/// Plays what `input` says: peers that come and go, PDUs well-formed or not, requests of an NMS, time. Then all fall
/// silent, and whatever was asked must have been answered.
///
/// # Panics
/// If the dispatcher does anything else than it must.
#[doc(hidden)]
pub fn fuzz(input: &[u8]) {
    let mut script = Script::new(input);
    let mut trial = Trial::new();
    while !script.is_over() {
        trial.act(&mut script);
        trial.look();
    }
    trial.settle();
}

/// An object of the master's own between those of subagents.
struct Own([Oid; 1]);

impl OwnObjects for Own {
    fn subtrees(&self) -> &[Oid] {
        &self.0
    }

    fn next(&self, _: Asked<'_>, from: &[SubId], include: bool, end: &[SubId]) -> Option<(Oid, Value)> {
        let [subtree] = &self.0;
        [0, 1].iter().filter_map(|arc| Some((subtree.join(&[*arc]).ok()?, Value::Counter64(7)))).find(|(name, _)| {
            let name = name.as_slice();
            (name > from || include && name == from) && (end.is_empty() || name < end)
        })
    }

    fn knows(&self, name: &[SubId]) -> bool {
        self.0.iter().any(|subtree| name.starts_with(subtree))
    }
}

/// A connection, seen from its peer.
struct Wire {
    framer: Framer,
    sessions: Vec<u32>,
    /// What it was asked and has not answered.
    asked: Vec<Pdu>,
    /// Its own questions that have not been answered, by packetID: how often that was used.
    questions: BTreeMap<u32, usize>,
}

struct Trial {
    master: Dispatcher<Own>,
    now: Instant,
    wires: BTreeMap<ConnectionId, Wire>,
    requests: HashMap<Token, Request>,
    last: u32,
}

impl Trial {
    fn new() -> Self {
        let limits = master_config::Limits {
            sessions: 8,
            sessions_per_connection: 3,
            registrations: 400,
            registrations_per_session: 300,
            snmp_requests: 16,
            subagent_timeout_ms: 100,
            ..master_config::Limits::default()
        };
        let now = Instant::now();
        let own = Own([Oid::new(vec![1, 3, 6, 1, 2, 1]).unwrap_or_default()]);
        let (wires, requests) = (BTreeMap::new(), HashMap::new());
        let mut trial = Self { master: Dispatcher::new(own, &limits, now), now, wires, requests, last: 0 };
        trial.grant(0b10_1011);
        trial
    }

    fn connection(&self, script: &mut Script<'_>) -> Option<ConnectionId> {
        self.wires.keys().nth(script.below(self.wires.len())).copied()
    }

    fn act(&mut self, script: &mut Script<'_>) {
        let Some(connection) = self.connection(script) else { return self.connect() };
        match script.below(32) {
            0 if self.wires.len() < MOST_CONNECTIONS => self.connect(),
            1 if script.rarely() => {
                self.wires.remove(&connection);
                self.master.disconnect(connection, self.now);
            }
            0..=9 => self.question(connection, script),
            10..=17 => self.read_and_answer(connection, script),
            18 => self.read(connection),
            19 => {
                let len = script.below(80);
                let octets = script.octets(len).to_vec();
                self.feed(connection, &octets);
            }
            20 => {
                let mut frame = self.pdu(connection, script, Body::Ping);
                let len = script.below(12) * 4;
                frame.truncate(FrameHeader::LEN - 4);
                // The length is the same in both orders.
                frame.extend([0; 4]);
                if let ([_, pdu_type, _, _, .., last], true) = (frame.as_mut_slice(), len == 0) {
                    (*pdu_type, *last) = (script.octet() % 20, 0);
                }
                self.feed(connection, &frame);
            }
            21..=23 => {
                self.now += Duration::from_millis(script.pick(&TIMES));
                self.master.tick(self.now);
            }
            24 if script.rarely() => self.grant(script.octet()),
            _ => self.request(script),
        }
    }

    /// Peers of two namespaces and of nobody, so that they queue and do not.
    fn connect(&mut self) {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let namespace = [None, Some("acme"), Some("acme"), Some("globex")].get(self.wires.len() % 4).copied().flatten();
        let transport = namespace.map_or(Transport::Tcp { address }, |namespace| {
            let pod = Arc::from(self.wires.len().to_string());
            let (service_account, pod_uid) = ("default".into(), Arc::clone(&pod));
            let identity = Arc::new(Identity { namespace: namespace.into(), service_account, pod, pod_uid });
            Transport::Tls { address, identity, expires: self.now + Duration::from_mins(5) }
        });
        let connection = self.master.connect(Peer { transport }, self.now);
        let (sessions, asked, questions) = (Vec::new(), Vec::new(), BTreeMap::new());
        self.wires.insert(connection, Wire { framer: Framer::new(Limits::default()), sessions, asked, questions });
    }

    /// Other grants, one of each kind for each bit.
    fn grant(&mut self, bits: u8) {
        let subtrees = |from: u8| {
            let granted = [0, 1, 3].into_iter().zip(0..).filter(|(_, bit)| bits & (1 << (from + bit)) != 0);
            granted.filter_map(|(arc, _)| Oid::new(vec![1, 3, 6, 1, arc]).ok()).collect::<Vec<_>>()
        };
        let (acme, mut globex) = (subtrees(0), subtrees(3));
        globex.retain(|subtree| !acme.contains(subtree));
        let grants = [("acme", acme), ("globex", globex)]
            .map(|(namespace, subtrees)| master_config::Grant { namespace: namespace.to_owned(), subtrees });
        let context = master_config::Context {
            name: String::new(),
            system: master_config::System::default(),
            grants: grants.to_vec(),
            communities: Vec::new(),
            users: Vec::new(),
            allowed_targets: Vec::new(),
        };
        self.master.grant(Grants::new(&[context]), self.now);
    }

    /// A PDU of a session of the connection, or rarely of another.
    fn pdu(&mut self, connection: ConnectionId, script: &mut Script<'_>, body: Body) -> Vec<u8> {
        self.last = self.last.wrapping_add(1);
        let sessions = self.wires.get(&connection).map(|wire| wire.sessions.as_slice()).unwrap_or_default();
        let session_id = sessions.get(script.below(sessions.len())).copied().unwrap_or_default();
        let session_id = if script.rarely() { script.octet().into() } else { session_id };
        let header = Header { byte_order: script.byte_order(), session_id, transaction_id: 0, packet_id: self.last };
        let context = if body.pdu_type().has_context() { Context(script.context()) } else { Context::default() };
        encoded(&Pdu { header, context, body })
    }

    fn question(&mut self, connection: ConnectionId, script: &mut Script<'_>) {
        let question = script.question();
        let frame = self.pdu(connection, script, question);
        self.feed(connection, &frame);
    }

    /// Octets come on a connection, as a driver would have them.
    fn feed(&mut self, connection: ConnectionId, octets: &[u8]) {
        let mut framer = Framer::new(Limits::default());
        framer.feed(octets);
        loop {
            match framer.next_frame() {
                Ok(Some(frame)) => {
                    self.expect(connection, frame);
                    self.master.receive(connection, frame, self.now);
                }
                Ok(None) => return,
                Err(_) => return self.master.malformed(connection, self.now),
            }
        }
    }

    /// Notes that a frame has to be answered.
    fn expect(&mut self, connection: ConnectionId, frame: &[u8]) {
        let is_left = self.master.output(connection).is_none_or(|output| output.closes());
        let (Ok(header), Some(wire)) = (FrameHeader::parse(frame), self.wires.get_mut(&connection)) else { return };
        if !is_left && !matches!(header.pdu_type, PduType::Response | PduType::CleanupSet) {
            *wire.questions.entry(header.header.packet_id).or_default() += 1;
        }
    }

    /// Reads all that was sent on a connection.
    fn read(&mut self, connection: ConnectionId) {
        let (Some(output), Some(wire)) = (self.master.output(connection), self.wires.get_mut(&connection)) else {
            return;
        };
        wire.framer.feed(output.pending());
        let len = output.pending().len();
        output.advance(len);
        loop {
            let frame = match wire.framer.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => return,
                Err(error) => unreachable!("it is no AgentX: {error}"),
            };
            let pdu = match decode(frame, &Limits::default()) {
                Ok(pdu) => pdu,
                Err(error) => unreachable!("it does not parse: {error}"),
            };
            match &pdu.body {
                Body::Response(response) => {
                    let expected = wire.questions.get_mut(&pdu.header.packet_id);
                    assert!(expected.as_ref().is_some_and(|expected| **expected > 0), "nobody asked: {pdu:?}");
                    if let Some(expected) = expected {
                        *expected -= 1;
                    }
                    let is_new = pdu.header.session_id != 0 && !wire.sessions.contains(&pdu.header.session_id);
                    if is_new && response.error == ResponseError::NoError {
                        wire.sessions.push(pdu.header.session_id);
                    }
                }
                Body::Close(_) => wire.sessions.retain(|session| *session != pdu.header.session_id),
                Body::CleanupSet => {}
                _ => wire.asked.push(pdu),
            }
        }
    }

    /// Answers one of the PDUs that a connection was asked, well or not.
    fn read_and_answer(&mut self, connection: ConnectionId, script: &mut Script<'_>) {
        self.read(connection);
        let Some(wire) = self.wires.get_mut(&connection).filter(|wire| !wire.asked.is_empty()) else { return };
        let pdu = wire.asked.remove(script.below(wire.asked.len()));
        let response = if script.rarely() { script.response() } else { plausible(&pdu.body, script) };
        let header = pdu.header;
        let frame = encoded(&Pdu { header, context: Context::default(), body: Body::Response(response) });
        self.feed(connection, &frame);
        if script.rarely() {
            self.feed(connection, &frame);
        }
    }

    fn request(&mut self, script: &mut Script<'_>) {
        self.last = self.last.wrapping_add(1);
        let request = Request {
            token: Token(self.last.into()),
            context: script.context(),
            operation: script.operation(),
            room: script.pick(&ROOMS),
            without_counter64: script.rarely(),
        };
        self.requests.insert(request.token, request.clone());
        self.master.request(request, self.now);
    }

    /// What must hold at any time.
    fn look(&mut self) {
        while let Some(answer) = self.master.next_answer() {
            match self.requests.remove(&answer.token) {
                Some(request) => asked::check(&request, &answer.result),
                None => unreachable!("answered, but not asked, or twice: {answer:?}"),
            }
        }
        assert_eq!(self.master.request_count(), self.requests.len());
        assert!(self.requests.len() <= 16 && self.master.session_count() <= 8);
        assert!(self.master.outstanding() <= 8 * super::OUTSTANDING);
        assert!(self.requests.is_empty() || self.master.outstanding() > 0, "nothing is awaited");
        assert!(self.master.outstanding() == 0 || self.master.deadline().is_some(), "it would wait for ever");
        while let Some(connection) = self.master.next_ready() {
            let pending = self.master.output(connection).map_or(0, |output| output.pending().len());
            assert!(pending <= MOST_OUTPUT, "{pending} octets are to be sent");
        }
    }

    /// All fall silent. Time does the rest.
    fn settle(&mut self) {
        for connection in self.wires.keys().copied().collect::<Vec<_>>() {
            self.read(connection);
            // Who is left for not reading has not read the answers.
            if self.master.output(connection).is_none_or(|output| output.closes()) {
                continue;
            }
            let questions = self.wires.get(&connection).into_iter().flat_map(|wire| wire.questions.values());
            assert_eq!(questions.sum::<usize>(), 0, "a subagent was not answered");
        }
        for _ in 0..10_000 {
            let Some(deadline) = self.master.deadline() else { break };
            self.now = self.now.max(deadline);
            self.master.tick(self.now);
            self.look();
            assert!(self.master.deadline().is_none_or(|next| next > self.now), "it would be woken for ever");
        }
        assert_eq!((self.master.deadline(), self.requests.len(), self.master.outstanding()), (None, 0, 0));
        for connection in std::mem::take(&mut self.wires).into_keys() {
            self.master.disconnect(connection, self.now);
        }
        let master = &self.master;
        assert_eq!((master.session_count(), master.connection_count(), master.registration_count()), (0, 0, 0));
    }
}

/// What a subagent might have: instances at some of the names that follow.
fn plausible(question: &Body, script: &mut Script<'_>) -> Response {
    let mut varbinds = Vec::new();
    match question {
        Body::Get(ranges) => varbinds.extend(ranges.iter().map(|range| VarBind {
            name: range.start.clone(),
            value: if script.rarely() { Value::NoSuchObject } else { Value::Integer(1) },
        })),
        Body::GetNext(ranges) => varbinds.extend(ranges.iter().map(|range| next(range, script))),
        Body::GetBulk(GetBulk { non_repeaters, max_repetitions, ranges }) => {
            let (once, repeated) = ranges.split_at(ranges.len().min((*non_repeaters).into()));
            varbinds.extend(once.iter().map(|range| next(range, script)));
            let mut repeated = repeated.to_vec();
            for _ in 0..(*max_repetitions).min(8) {
                for range in &mut repeated {
                    let varbind = next(range, script);
                    if varbind.value == Value::EndOfMibView {
                        // Nothing follows from then on.
                        range.end = range.start.clone();
                    } else {
                        (range.start, range.include) = (varbind.name.clone(), false);
                    }
                    varbinds.push(varbind);
                }
            }
        }
        _ => {}
    }
    Response { sys_up_time: 0, error: ResponseError::NoError, index: 0, varbinds }
}

/// An instance right after the start, if that is in the range.
fn next(range: &SearchRange, script: &mut Script<'_>) -> VarBind {
    let name = if range.include { range.start.clone() } else { range.start.join(&[0]).unwrap_or_default() };
    let is_in = name.as_slice() >= range.start.as_slice() && (range.end.is_empty() || *name < *range.end);
    if !is_in || script.octet() >= 160 {
        return VarBind { name: range.start.clone(), value: Value::EndOfMibView };
    }
    let value = if script.rarely() { Value::Counter64(1) } else { Value::Integer(1) };
    VarBind { name, value }
}

fn encoded(pdu: &Pdu) -> Vec<u8> {
    let mut octets = Vec::new();
    let written = encode(pdu, &mut octets);
    assert_eq!(written, Ok(()), "{pdu:?}");
    octets
}
