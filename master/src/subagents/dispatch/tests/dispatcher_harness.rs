//! A test harness for the dispatcher: a dispatcher, subagents that the test controls, and a clock.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use agentx::{
    Body, ByteOrder, CloseReason, Framer, Header, Limits, Oid, Open, Pdu, Range, Register, Response, ResponseError,
    SearchRange, SubId, Value, VarBind, decode, encode,
};

use crate::{
    pdu::{
        Answer, Operation, Request, Token,
        own_objects::{Environment, OwnObjects},
        varbind_list::VarBindList,
    },
    subagents::{
        authority::{Peer, Transport},
        dispatch::{ConnectionId, Dispatcher},
    },
};
use identity::Identity;

pub(super) fn oid(text: &str) -> Oid {
    if text.is_empty() { Oid::default() } else { text.parse().unwrap() }
}

pub(super) fn varbind(name: &str, value: Value) -> VarBind {
    VarBind { name: oid(name), value }
}

/// Returns a varbind with an Integer.
pub(super) fn int(name: &str, value: i32) -> VarBind {
    varbind(name, Value::Integer(value))
}

pub(super) fn range(start: &str, include: bool, end: &str) -> SearchRange {
    SearchRange { start: oid(start), include, end: oid(end) }
}

pub(super) fn get(names: &[&str]) -> Operation {
    Operation::Get(names.iter().map(|name| oid(name)).collect())
}

pub(super) fn get_next(names: &[&str]) -> Operation {
    Operation::GetNext(names.iter().map(|name| oid(name)).collect())
}

pub(super) fn get_bulk(non_repeaters: u32, max_repetitions: u32, names: &[&str]) -> Operation {
    Operation::GetBulk { non_repeaters, max_repetitions, names: names.iter().map(|name| oid(name)).collect() }
}

/// The master's own subtree in these tests. It has three objects, one of them a Counter64.
pub(super) const OWN: &str = "1.3.6.1.2.1.1";

/// The master's own objects in these tests.
pub(super) struct TestObjects(Vec<Oid>);

impl TestObjects {
    pub(super) fn new() -> Self {
        Self(vec![oid(OWN)])
    }

    pub(super) fn objects() -> Vec<VarBind> {
        vec![
            int("1.3.6.1.2.1.1.1.0", 11),
            varbind("1.3.6.1.2.1.1.2.0", Value::Counter64(12)),
            int("1.3.6.1.2.1.1.3.0", 13),
        ]
    }
}

impl OwnObjects for TestObjects {
    fn subtrees(&self) -> &[Oid] {
        &self.0
    }

    fn next(&self, _: Environment<'_>, from: &[SubId], include: bool, end: &[SubId]) -> Option<(Oid, Value)> {
        let is_in = |name: &[SubId]| (name > from || include && name == from) && (end.is_empty() || name < end);
        Self::objects().into_iter().find(|varbind| is_in(&varbind.name)).map(|varbind| (varbind.name, varbind.value))
    }

    fn has_object(&self, name: &[SubId]) -> bool {
        Self::objects().iter().any(|varbind| name.starts_with(&varbind.name[..8]))
    }
}

/// A session of a simulated subagent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subagent {
    pub(super) connection: ConnectionId,
    pub(super) session: u32,
    pub(super) byte_order: ByteOrder,
}

/// A dispatcher with simulated connections, and the current time.
pub(super) struct DispatcherHarness {
    pub(super) master: Dispatcher<TestObjects>,
    pub(super) now: Instant,
    framers: HashMap<ConnectionId, Framer>,
    /// PDUs that were read from a connection, but are for another session than the one that was read.
    unread: Vec<(ConnectionId, Pdu)>,
    last_packet: u32,
    tokens: u64,
}

/// The maximum length of answers in most tests, in octets.
pub(super) const ROOM: usize = 60_000;

impl DispatcherHarness {
    pub(super) fn new() -> Self {
        Self::with(&master_config::Limits::default())
    }

    pub(super) fn with(limits: &master_config::Limits) -> Self {
        let now = Instant::now();
        let master = Dispatcher::new(TestObjects::new(), limits, now);
        Self { master, now, framers: HashMap::new(), unread: Vec::new(), last_packet: 0, tokens: 0 }
    }

    pub(super) fn connect(&mut self) -> ConnectionId {
        let connection = self.master.connect(Peer { transport: Transport::Unix { pid: None, uid: None } }, self.now);
        self.framers.insert(connection, Framer::new(Limits::default()));
        connection
    }

    /// Connects a pod over TLS with a token that expires after `life`. The pod's UID is its name.
    pub(super) fn connect_as(&mut self, namespace: &str, pod: &str, life: Duration) -> ConnectionId {
        let identity = Identity {
            namespace: namespace.into(),
            service_account: "default".into(),
            pod: pod.into(),
            pod_uid: pod.into(),
        };
        let (address, expires) = (([10, 0, 0, 1], 40_000).into(), self.now + life);
        let transport = Transport::Tls { address, identity: Arc::new(identity), expires };
        let connection = self.master.connect(Peer { transport }, self.now);
        self.framers.insert(connection, Framer::new(Limits::default()));
        connection
    }

    /// Passes a PDU of a connection to the dispatcher.
    pub(super) fn receive(&mut self, connection: ConnectionId, pdu: &Pdu) {
        let mut octets = Vec::new();
        encode(pdu, &mut octets).unwrap();
        self.master.receive(connection, &octets, self.now);
    }

    /// Reads all PDUs that were sent on a connection.
    pub(super) fn sent(&mut self, connection: ConnectionId) -> Vec<Pdu> {
        let Some(output) = self.master.output(connection) else { return Vec::new() };
        let framer = self.framers.get_mut(&connection).unwrap();
        framer.feed(output.pending());
        let len = output.pending().len();
        output.advance(len);
        let mut sent: Vec<_> = self.unread.extract_if(.., |(of, _)| *of == connection).map(|(_, pdu)| pdu).collect();
        while let Some(frame) = framer.next_frame().unwrap() {
            sent.push(decode(frame, &Limits::default()).unwrap());
        }
        sent
    }

    /// Sends a PDU of a subagent, and returns the Response to it.
    pub(super) fn call(&mut self, subagent: Subagent, context: &str, body: Body) -> Response {
        self.last_packet += 1;
        let Subagent { connection, session, byte_order } = subagent;
        let header = Header { byte_order, session_id: session, transaction_id: 77, packet_id: self.last_packet };
        self.receive(connection, &Pdu { header, context: context.into(), body });
        let mut responses = Vec::new();
        for pdu in self.sent(connection) {
            match pdu.body {
                Body::Response(response) if pdu.header.packet_id == header.packet_id => {
                    assert_eq!(pdu.header.transaction_id, 77);
                    assert_eq!(
                        pdu.header.byte_order, byte_order,
                        "the Response must have the byte order of the request"
                    );
                    responses.push((pdu.header.session_id, response));
                }
                body => self.unread.push((connection, Pdu { body, ..pdu })),
            }
        }
        assert_eq!(responses.len(), 1, "{responses:?}");
        let (responding_session, response) = responses.remove(0);
        assert!(responding_session == session || session == 0);
        response
    }

    /// Opens a session on a connection.
    pub(super) fn open_on(&mut self, connection: ConnectionId, byte_order: ByteOrder, timeout_s: u8) -> Subagent {
        self.last_packet += 1;
        let header = Header { byte_order, session_id: 0, transaction_id: 77, packet_id: self.last_packet };
        let open = Open { timeout_s, id: oid("1.3.6.1.4.1.99999"), description: b"test".to_vec() };
        self.receive(connection, &Pdu { header, context: "".into(), body: Body::Open(open) });
        let sent = self.sent(connection);
        let [Pdu { header, body: Body::Response(response), .. }] = &sent[..] else { panic!("{sent:?}") };
        assert_eq!(response.error, ResponseError::NoError);
        assert_eq!(header.byte_order, byte_order);
        assert_ne!(header.session_id, 0);
        Subagent { connection, session: header.session_id, byte_order }
    }

    /// Opens a session on a new connection.
    pub(super) fn open(&mut self) -> Subagent {
        let connection = self.connect();
        self.open_on(connection, ByteOrder::Big, 0)
    }

    /// Opens a session that serves these subtrees in the default context.
    pub(super) fn serving(&mut self, subtrees: &[&str]) -> Subagent {
        let subagent = self.open();
        for subtree in subtrees {
            self.register(subagent, subtree);
        }
        subagent
    }

    pub(super) fn try_register(&mut self, subagent: Subagent, context: &str, register: Register) -> ResponseError {
        self.call(subagent, context, Body::Register(register)).error
    }

    pub(super) fn register(&mut self, subagent: Subagent, subtree: &str) {
        self.register_as(subagent, "", region(subtree));
    }

    pub(super) fn register_as(&mut self, subagent: Subagent, context: &str, register: Register) {
        assert_eq!(self.try_register(subagent, context, register), ResponseError::NoError);
    }

    pub(super) fn disconnect(&mut self, subagent: Subagent) {
        self.master.disconnect(subagent.connection, self.now);
    }

    pub(super) fn request(&mut self, operation: Operation) -> Token {
        self.request_in("", operation, ROOM)
    }

    pub(super) fn request_in(&mut self, context: &str, operation: Operation, room: usize) -> Token {
        self.tokens += 1;
        let token = Token(self.tokens);
        let context = context.as_bytes().to_vec();
        self.master.request(Request { token, context, operation, room, without_counter64: false }, self.now);
        token
    }

    /// Starts a request of SNMPv1.
    pub(super) fn request_v1(&mut self, operation: Operation) -> Token {
        self.tokens += 1;
        let token = Token(self.tokens);
        let request = Request { token, context: Vec::new(), operation, room: ROOM, without_counter64: true };
        self.master.request(request, self.now);
        token
    }

    /// Reads all PDUs that were sent to a session.
    pub(super) fn sent_to(&mut self, subagent: Subagent) -> Vec<Pdu> {
        let (own, others): (Vec<_>, Vec<_>) =
            self.sent(subagent.connection).into_iter().partition(|pdu| pdu.header.session_id == subagent.session);
        self.unread.extend(others.into_iter().map(|pdu| (subagent.connection, pdu)));
        for pdu in &own {
            assert_eq!(pdu.header.byte_order, subagent.byte_order, "the PDU must have the byte order of the Open");
        }
        own
    }

    /// Reads the PDUs that were sent to a session, which must be exactly one.
    pub(super) fn sent_once(&mut self, subagent: Subagent) -> Pdu {
        let mut sent = self.sent_to(subagent);
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.remove(0)
    }

    pub(super) fn respond(&mut self, to: &Pdu, subagent: Subagent, response: Response) {
        let pdu = Pdu { header: to.header, context: "".into(), body: Body::Response(response) };
        self.receive(subagent.connection, &pdu);
    }

    pub(super) fn answer(&mut self, to: &Pdu, subagent: Subagent, varbinds: Vec<VarBind>) {
        let response = Response { sys_up_time: 0, error: ResponseError::NoError, index: 0, varbinds };
        self.respond(to, subagent, response);
    }

    pub(super) fn refuse(&mut self, to: &Pdu, subagent: Subagent, error: ResponseError, index: u16) {
        self.respond(to, subagent, Response { sys_up_time: 0, error, index, varbinds: Vec::new() });
    }

    /// Takes all answers of the dispatcher.
    pub(super) fn answers(&mut self) -> Vec<Answer> {
        std::iter::from_fn(|| self.master.next_answer()).collect()
    }

    /// Takes the answers of the dispatcher, which must be exactly one, to this request.
    pub(super) fn result(&mut self, token: Token) -> Result<Vec<VarBind>, (ResponseError, u32)> {
        let mut answers = self.answers();
        assert_eq!(answers.len(), 1, "{answers:?}");
        let answer = answers.remove(0);
        assert_eq!(answer.token, token);
        answer.result.map(|list| read(&list))
    }

    /// Advances the clock, and calls `tick` at each deadline.
    pub(super) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(deadline) = self.master.deadline().filter(|deadline| *deadline <= until) {
            self.now = self.now.max(deadline);
            self.master.tick(self.now);
            assert!(self.master.deadline().is_none_or(|next| next > self.now), "the deadline does not advance");
        }
        self.now = until;
        self.master.tick(self.now);
    }

    /// Reads all PDUs that were sent to a session. Returns the reason of a Close if it is the last.
    pub(super) fn close_reason(&mut self, subagent: Subagent) -> Option<CloseReason> {
        match self.sent_to(subagent).pop()?.body {
            Body::Close(reason) => Some(reason),
            _ => None,
        }
    }
}

pub(super) fn region(subtree: &str) -> Register {
    Register { timeout_s: 0, priority: 127, subtree: oid(subtree), range: None, instance: false }
}

pub(super) fn ranged(subtree: &str, position: u8, upper_bound: SubId) -> Register {
    Register { range: Some(Range { position, upper_bound }), ..region(subtree) }
}

/// Decodes varbinds.
pub(super) fn read(list: &VarBindList) -> Vec<VarBind> {
    let mut decoder = async_snmp::ber::Decoder::from_slice(list.octets());
    let mut varbinds = Vec::new();
    while !decoder.is_empty() {
        let varbind = async_snmp::VarBind::decode(&mut decoder).unwrap();
        varbinds.push(VarBind { name: Oid::new(varbind.oid.arcs().to_vec()).unwrap(), value: convert(varbind.value) });
    }
    assert_eq!(varbinds.len(), list.len());
    varbinds
}

fn convert(value: async_snmp::Value) -> Value {
    use async_snmp::Value as Theirs;
    match value {
        Theirs::Integer(v) => Value::Integer(v),
        Theirs::OctetString(v) => Value::OctetString(v.to_vec()),
        Theirs::Counter32(v) => Value::Counter32(v),
        Theirs::Counter64(v) => Value::Counter64(v),
        Theirs::ObjectIdentifier(v) => Value::ObjectIdentifier(Oid::new(v.arcs().to_vec()).unwrap()),
        Theirs::Null => Value::Null,
        Theirs::NoSuchObject => Value::NoSuchObject,
        Theirs::NoSuchInstance => Value::NoSuchInstance,
        Theirs::EndOfMibView => Value::EndOfMibView,
        other => panic!("{other:?} is not used in these tests"),
    }
}

/// Returns the search ranges of a PDU.
pub(super) fn ranges(pdu: &Pdu) -> &[SearchRange] {
    match &pdu.body {
        Body::Get(ranges) | Body::GetNext(ranges) => ranges,
        Body::GetBulk(bulk) => &bulk.ranges,
        body => panic!("{body:?} has no ranges"),
    }
}
