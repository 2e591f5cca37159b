//! The invariants of the dispatcher for any behavior of subagents: for the fuzz target, and for the test that replays
//! its corpus.

mod answer_check;
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

use identity::Identity;

use self::script::Script;
use super::{Dispatcher, connection::ConnectionId, session::MAX_OUTSTANDING};
use crate::{
    pdu::{
        Request, Token,
        own_objects::{Environment, OwnObjects},
    },
    subagents::authority::{Grants, Peer, Transport},
};

/// The maximum pending output of a connection, in octets: the limit, and one request beyond it.
const MAX_OUTPUT: usize = (1 << 20) + (1 << 18);
const MAX_CONNECTIONS: usize = 6;
/// The maximum number of pending requests. The SNMP engine limits them.
const MAX_REQUESTS: usize = 16;
/// Steps of the time, in milliseconds.
const TIME_STEPS: [u64; 8] = [0, 1, 99, 100, 1000, 2000, 10_000, 400_000];
/// Maximum lengths of answers, in octets.
const ROOMS: [usize; 4] = [1400, 65_000, 100, 0];

/// Plays the script in `input`: peers that connect and disconnect, PDUs, malformed data, requests of an NMS, and time.
/// Then all subagents stop responding, and all requests must be answered.
///
/// # Panics
/// Panics if the dispatcher violates an invariant.
pub fn run(input: &[u8]) {
    let mut script = Script::new(input);
    let mut simulation = Simulation::new();
    while !script.is_over() {
        simulation.act(&mut script);
        simulation.check();
    }
    simulation.finish();
}

/// Own objects of the master, whose OIDs lie between those of the subagents.
struct TestObjects([Oid; 1]);

impl OwnObjects for TestObjects {
    fn subtrees(&self) -> &[Oid] {
        &self.0
    }

    fn next(&self, _: Environment<'_>, from: &[SubId], include: bool, end: &[SubId]) -> Option<(Oid, Value)> {
        let [subtree] = &self.0;
        [0, 1].iter().filter_map(|arc| Some((subtree.join(&[*arc]).ok()?, Value::Counter64(7)))).find(|(name, _)| {
            let name = name.as_slice();
            (name > from || include && name == from) && (end.is_empty() || name < end)
        })
    }

    fn has_object(&self, name: &[SubId]) -> bool {
        self.0.iter().any(|subtree| name.starts_with(subtree))
    }
}

/// The peer of a connection.
struct PeerState {
    framer: Framer,
    sessions: Vec<u32>,
    /// PDUs that it has received and not responded to.
    received: Vec<Pdu>,
    /// The number of its own PDUs that have not been responded to, by packetID.
    sent: BTreeMap<u32, usize>,
}

/// A dispatcher with simulated subagents and a simulated NMS.
struct Simulation {
    master: Dispatcher<TestObjects>,
    now: Instant,
    peers: BTreeMap<ConnectionId, PeerState>,
    requests: HashMap<Token, Request>,
    last_id: u32,
}

impl Simulation {
    fn new() -> Self {
        let limits = master_config::Limits {
            sessions: 8,
            sessions_per_connection: 3,
            registrations: 400,
            registrations_per_session: 300,
            subagent_timeout_ms: 100,
            ..master_config::Limits::default()
        };
        let now = Instant::now();
        let own = TestObjects([Oid::new(vec![1, 3, 6, 1, 2, 1]).unwrap_or_default()]);
        let (peers, requests) = (BTreeMap::new(), HashMap::new());
        let mut simulation = Self { master: Dispatcher::new(own, &limits, now), now, peers, requests, last_id: 0 };
        simulation.grant(0b10_1011);
        simulation
    }

    /// Picks a connection.
    fn connection(&self, script: &mut Script<'_>) -> Option<ConnectionId> {
        self.peers.keys().nth(script.below(self.peers.len())).copied()
    }

    /// Performs one action of the script.
    fn act(&mut self, script: &mut Script<'_>) {
        let Some(connection) = self.connection(script) else { return self.connect() };
        match script.below(32) {
            0 if self.peers.len() < MAX_CONNECTIONS => self.connect(),
            1 if script.rarely() => {
                self.peers.remove(&connection);
                self.master.disconnect(connection, self.now);
            }
            0..=9 => self.send_request(connection, script),
            10..=17 => self.read_and_respond(connection, script),
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
                // The length is the same in both byte orders.
                frame.extend([0; 4]);
                if let ([_, pdu_type, _, _, .., last], true) = (frame.as_mut_slice(), len == 0) {
                    (*pdu_type, *last) = (script.octet() % 20, 0);
                }
                self.feed(connection, &frame);
            }
            21..=23 => {
                self.now += Duration::from_millis(script.pick(&TIME_STEPS));
                self.master.tick(self.now);
            }
            24 if script.rarely() => self.grant(script.octet()),
            _ => self.request(script),
        }
    }

    /// Connects a peer: without a namespace, of a namespace with two peers, whose registrations queue, or of one with a
    /// single peer.
    fn connect(&mut self) {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let namespace = [None, Some("acme"), Some("acme"), Some("globex")].get(self.peers.len() % 4).copied().flatten();
        let transport = namespace.map_or(Transport::Tcp { address }, |namespace| {
            let pod = Arc::from(self.peers.len().to_string());
            let (service_account, pod_uid) = ("default".into(), Arc::clone(&pod));
            let identity = Arc::new(Identity { namespace: namespace.into(), service_account, pod, pod_uid });
            Transport::Tls { address, identity, expires: self.now + Duration::from_mins(5) }
        });
        let connection = self.master.connect(Peer { transport }, self.now);
        let (sessions, received, sent) = (Vec::new(), Vec::new(), BTreeMap::new());
        self.peers.insert(connection, PeerState { framer: Framer::new(Limits::default()), sessions, received, sent });
    }

    /// Replaces the grants. Each bit is the grant of one subtree to one namespace.
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
        self.master.set_grants(Grants::new(&[context]), self.now);
    }

    /// Encodes a PDU for a session of the connection, or rarely for another.
    fn pdu(&mut self, connection: ConnectionId, script: &mut Script<'_>, body: Body) -> Vec<u8> {
        self.last_id = self.last_id.wrapping_add(1);
        let sessions = self.peers.get(&connection).map(|peer| peer.sessions.as_slice()).unwrap_or_default();
        let session_id = sessions.get(script.below(sessions.len())).copied().unwrap_or_default();
        let session_id = if script.rarely() { script.octet().into() } else { session_id };
        let header = Header { byte_order: script.byte_order(), session_id, transaction_id: 0, packet_id: self.last_id };
        let context = if body.pdu_type().has_context() { Context(script.context()) } else { Context::default() };
        encoded(&Pdu { header, context, body })
    }

    fn send_request(&mut self, connection: ConnectionId, script: &mut Script<'_>) {
        let body = script.subagent_request();
        let frame = self.pdu(connection, script, body);
        self.feed(connection, &frame);
    }

    /// Passes octets of a connection to the dispatcher, as the agent does.
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
                Err(_) => return self.master.close_malformed(connection, self.now),
            }
        }
    }

    /// Records that a frame must be responded to.
    fn expect(&mut self, connection: ConnectionId, frame: &[u8]) {
        let is_closing = self.master.output(connection).is_none_or(|output| output.closes());
        let (Ok(header), Some(peer)) = (FrameHeader::parse(frame), self.peers.get_mut(&connection)) else { return };
        if !is_closing && !matches!(header.pdu_type, PduType::Response | PduType::CleanupSet) {
            *peer.sent.entry(header.header.packet_id).or_default() += 1;
        }
    }

    /// Reads all output of a connection.
    fn read(&mut self, connection: ConnectionId) {
        let (Some(output), Some(peer)) = (self.master.output(connection), self.peers.get_mut(&connection)) else {
            return;
        };
        peer.framer.feed(output.pending());
        let len = output.pending().len();
        output.advance(len);
        loop {
            let frame = match peer.framer.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => return,
                Err(error) => unreachable!("the output is not AgentX: {error}"),
            };
            let pdu = match decode(frame, &Limits::default()) {
                Ok(pdu) => pdu,
                Err(error) => unreachable!("the output cannot be decoded: {error}"),
            };
            match &pdu.body {
                Body::Response(response) => {
                    let expected = peer.sent.get_mut(&pdu.header.packet_id);
                    assert!(expected.as_ref().is_some_and(|expected| **expected > 0), "unexpected response: {pdu:?}");
                    if let Some(expected) = expected {
                        *expected -= 1;
                    }
                    let is_new = pdu.header.session_id != 0 && !peer.sessions.contains(&pdu.header.session_id);
                    if is_new && response.error == ResponseError::NoError {
                        peer.sessions.push(pdu.header.session_id);
                    }
                }
                Body::Close(_) => peer.sessions.retain(|session| *session != pdu.header.session_id),
                Body::CleanupSet => {}
                _ => peer.received.push(pdu),
            }
        }
    }

    /// Responds to one of the PDUs that a peer has received, correctly or not.
    fn read_and_respond(&mut self, connection: ConnectionId, script: &mut Script<'_>) {
        self.read(connection);
        let Some(peer) = self.peers.get_mut(&connection).filter(|peer| !peer.received.is_empty()) else { return };
        let pdu = peer.received.remove(script.below(peer.received.len()));
        let response = if script.rarely() { script.response() } else { valid_response(&pdu.body, script) };
        let header = pdu.header;
        let frame = encoded(&Pdu { header, context: Context::default(), body: Body::Response(response) });
        self.feed(connection, &frame);
        if script.rarely() {
            self.feed(connection, &frame);
        }
    }

    /// Sends a request of the NMS, unless as many as allowed are pending.
    fn request(&mut self, script: &mut Script<'_>) {
        if self.requests.len() >= MAX_REQUESTS {
            return;
        }
        self.last_id = self.last_id.wrapping_add(1);
        let request = Request {
            token: Token(self.last_id.into()),
            context: script.context(),
            operation: script.operation(),
            room: script.pick(&ROOMS),
            without_counter64: script.rarely(),
        };
        self.requests.insert(request.token, request.clone());
        self.master.request(request, self.now);
    }

    /// Checks what must hold after each action.
    fn check(&mut self) {
        while let Some(answer) = self.master.next_answer() {
            match self.requests.remove(&answer.token) {
                Some(request) => answer_check::check(&request, &answer.result),
                None => unreachable!("an answer to no pending request: {answer:?}"),
            }
        }
        assert_eq!(self.master.request_count(), self.requests.len());
        assert!(self.requests.len() <= MAX_REQUESTS && self.master.session_count() <= 8);
        assert!(self.master.outstanding() <= 8 * MAX_OUTSTANDING);
        assert!(
            self.requests.is_empty() || self.master.outstanding() > 0,
            "a request is pending and no packet is outstanding"
        );
        assert!(
            self.master.outstanding() == 0 || self.master.deadline().is_some(),
            "a packet is outstanding and has no deadline"
        );
        while let Some(connection) = self.master.next_ready() {
            let pending = self.master.output(connection).map_or(0, |output| output.pending().len());
            assert!(pending <= MAX_OUTPUT, "{pending} octets of pending output");
        }
    }

    /// Lets all peers stop responding, and lets time pass until nothing is pending.
    fn finish(&mut self) {
        for connection in self.peers.keys().copied().collect::<Vec<_>>() {
            self.read(connection);
            // A peer that is disconnected because it did not read may have missed responses.
            if self.master.output(connection).is_none_or(|output| output.closes()) {
                continue;
            }
            let questions = self.peers.get(&connection).into_iter().flat_map(|peer| peer.sent.values());
            assert_eq!(questions.sum::<usize>(), 0, "a PDU of a subagent was not responded to");
        }
        for _ in 0..10_000 {
            let Some(deadline) = self.master.deadline() else { break };
            self.now = self.now.max(deadline);
            self.master.tick(self.now);
            self.check();
            assert!(self.master.deadline().is_none_or(|next| next > self.now), "the deadline does not advance");
        }
        assert_eq!((self.master.deadline(), self.requests.len(), self.master.outstanding()), (None, 0, 0));
        for connection in std::mem::take(&mut self.peers).into_keys() {
            self.master.disconnect(connection, self.now);
        }
        let master = &self.master;
        assert_eq!((master.session_count(), master.connection_count(), master.registration_count()), (0, 0, 0));
    }
}

/// Returns a valid response: instances at some of the names in the ranges.
fn valid_response(request: &Body, script: &mut Script<'_>) -> Response {
    let mut varbinds = Vec::new();
    match request {
        Body::Get(ranges) => varbinds.extend(ranges.iter().map(|range| VarBind {
            name: range.start.clone(),
            value: if script.rarely() { Value::NoSuchObject } else { Value::Integer(1) },
        })),
        Body::GetNext(ranges) => varbinds.extend(ranges.iter().map(|range| next(range, script))),
        Body::GetBulk(GetBulk { non_repeaters, max_repetitions, ranges }) => {
            let (non_repeated, repeated) = ranges.split_at(ranges.len().min((*non_repeaters).into()));
            varbinds.extend(non_repeated.iter().map(|range| next(range, script)));
            let mut repeated = repeated.to_vec();
            for _ in 0..(*max_repetitions).min(8) {
                for range in &mut repeated {
                    let varbind = next(range, script);
                    if varbind.value == Value::EndOfMibView {
                        // Make the range empty, so that the following rows end, too.
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

/// Returns an instance right after the start of the range, or endOfMibView.
fn next(range: &SearchRange, script: &mut Script<'_>) -> VarBind {
    let name = if range.include { range.start.clone() } else { range.start.join(&[0]).unwrap_or_default() };
    let is_in_range = name.as_slice() >= range.start.as_slice() && (range.end.is_empty() || *name < *range.end);
    if !is_in_range || script.octet() >= 160 {
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
