//! The other end: a client by TLS, and a subagent behind it.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use agentx::{
    Body, ByteOrder, Context, Framer, Header, Limits, Oid, Open, Pdu, Register, Response, ResponseError, Value,
    VarBind, decode, encode,
};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::{master::Master, tokens::Claims};

/// Nothing takes longer, unless it never comes.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

/// A client by TLS that trusts the test's CA alone.
pub(crate) struct Client(StreamOwned<ClientConnection, TcpStream>);

impl Client {
    pub(crate) fn connect(master: &Master) -> Self {
        Self::try_connect(master).unwrap()
    }

    fn try_connect(master: &Master) -> std::io::Result<Self> {
        Self::at(master.tls, &master.ca())
    }

    /// A client of who listens at `address` and has a certificate of `ca`.
    pub(crate) fn at(address: SocketAddr, ca: &str) -> std::io::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let mut session = ClientConnection::new(Arc::new(config), "master.test".try_into().unwrap()).unwrap();
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_nodelay(true)?;
        session.complete_io(&mut stream)?;
        Ok(Self(StreamOwned::new(session, stream)))
    }

    /// The certificate that the master shows.
    pub(crate) fn certificate(&self) -> Vec<u8> {
        self.0.conn.peer_certificates().unwrap()[0].to_vec()
    }

    pub(crate) fn send(&mut self, octets: &[u8]) {
        // Who is refused for what came first does not read the rest.
        _ = self.try_send(octets);
    }

    pub(crate) fn try_send(&mut self, octets: &[u8]) -> std::io::Result<()> {
        self.0.write_all(octets)?;
        self.0.flush()
    }

    /// The status and the head of the answer, and what came behind it so far.
    pub(crate) fn answer(&mut self) -> (u16, String, Vec<u8>) {
        self.try_answer().expect("an answer")
    }

    fn try_answer(&mut self) -> Option<(u16, String, Vec<u8>)> {
        let mut octets = Vec::new();
        loop {
            if let Some(end) = octets.windows(4).position(|four| four == b"\r\n\r\n") {
                let rest = octets.split_off(end + 4);
                let head = String::from_utf8(octets).unwrap();
                let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                return Some((status, head, rest));
            }
            let mut one = [0];
            if self.0.read(&mut one).ok()? == 0 {
                return None;
            }
            octets.push(one[0]);
        }
    }

    /// All that follows until the connection is closed.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // However it is closed.
        _ = self.0.read_to_end(&mut rest);
        rest
    }
}

/// A subagent.
pub(crate) struct Subagent {
    client: Client,
    framer: Framer,
    session: u32,
    packet: u32,
    regions: Vec<(String, String)>,
}

/// A subagent that answers every request with one value, on a thread of its own, until this is dropped.
pub(crate) struct Serving {
    stream: TcpStream,
    thread: Option<JoinHandle<()>>,
}

impl Subagent {
    /// One that has been let in.
    pub(crate) fn enter(master: &Master, claims: &Claims<'_>) -> Self {
        Self::try_enter(master, claims).expect("it is let in")
    }

    /// Whether one is let in, and leaves.
    pub(crate) fn may_enter(master: &Master, claims: &Claims<'_>) -> bool {
        Self::try_enter(master, claims).is_some()
    }

    fn try_enter(master: &Master, claims: &Claims<'_>) -> Option<Self> {
        Self::enter_by(Client::try_connect(master).ok()?, claims)
    }

    /// One that is let in by this client, if it is.
    pub(crate) fn enter_by(mut client: Client, claims: &Claims<'_>) -> Option<Self> {
        let token = claims.signed("good");
        let head = format!(
            "GET /agentx HTTP/1.1\r\nHost: m\r\nConnection: Upgrade\r\nUpgrade: agentx\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        client.send(head.as_bytes());
        let (status, head, rest) = client.try_answer()?;
        assert!(rest.is_empty(), "nothing comes before it is asked for");
        (status == 101).then(|| {
            assert!(head.to_ascii_lowercase().contains("upgrade: agentx"), "{head}");
            Self::of(client)
        })
    }

    fn of(client: Client) -> Self {
        Self { client, framer: Framer::new(Limits::default()), session: 0, packet: 0, regions: Vec::new() }
    }

    /// One whose request is answered yet.
    pub(crate) fn behind(mut client: Client) -> Self {
        let (status, _, rest) = client.answer();
        assert_eq!(status, 101);
        let mut subagent = Self::of(client);
        subagent.framer.feed(&rest);
        subagent
    }

    /// A request for a session.
    pub(crate) fn open_frame() -> Vec<u8> {
        let header = Header { byte_order: ByteOrder::Big, session_id: 0, transaction_id: 0, packet_id: 1 };
        let open = Open { timeout_s: 0, id: Oid::default(), description: b"test".to_vec() };
        let mut octets = Vec::new();
        encode(&Pdu { header, context: Context::default(), body: Body::Open(open) }, &mut octets).unwrap();
        octets
    }

    fn send(&mut self, header: Header, context: &str, body: Body) {
        let mut octets = Vec::new();
        encode(&Pdu { header, context: context.into(), body }, &mut octets).unwrap();
        self.client.send(&octets);
    }

    /// The next PDU; none at the end of the connection, where that is said.
    pub(crate) fn receive(&mut self) -> Option<Pdu> {
        loop {
            if let Some(frame) = self.framer.next_frame().unwrap() {
                return Some(decode(frame, &Limits::default()).unwrap());
            }
            match self.client.0.read(self.framer.space()).expect("the end is said") {
                0 => return None,
                len => self.framer.filled(len),
            }
        }
    }

    fn ask(&mut self, context: &str, body: Body) -> (Header, Response) {
        self.packet += 1;
        let (session_id, packet_id) = (self.session, self.packet);
        self.send(Header { byte_order: ByteOrder::Big, session_id, transaction_id: 0, packet_id }, context, body);
        let answer = self.receive().expect("an answer");
        assert_eq!(answer.header.packet_id, packet_id);
        let Body::Response(response) = answer.body else { panic!("{answer:?}") };
        (answer.header, response)
    }

    /// Asks whether the master is there, and does not wait for the answer.
    pub(crate) fn ping(&mut self) {
        self.packet += 1;
        let (session_id, packet_id) = (self.session, self.packet);
        self.send(Header { byte_order: ByteOrder::Big, session_id, transaction_id: 0, packet_id }, "", Body::Ping);
    }

    pub(crate) fn open(&mut self) {
        let open = Open { timeout_s: 0, id: Oid::default(), description: b"test".to_vec() };
        let (header, response) = self.ask("", Body::Open(open));
        assert_eq!(response.error, ResponseError::NoError);
        self.session = header.session_id;
    }

    pub(crate) fn register(&mut self, context: &str, subtree: &str) -> ResponseError {
        let (priority, region) = (Register::DEFAULT_PRIORITY, subtree.parse().unwrap());
        let register = Register { timeout_s: 0, priority, subtree: region, range: None, instance: false };
        self.regions.push((context.to_owned(), subtree.to_owned()));
        self.ask(context, Body::Register(register)).1.error
    }

    /// Serves what it has registered: whatever is asked there is `text`.
    pub(crate) fn serving(mut self, text: &'static [u8]) -> Serving {
        let stream = self.client.0.sock.try_clone().unwrap();
        let answer = move || {
            while let Ok(Some(frame)) = self.next() {
                let Pdu { header, body: Body::Get(names), .. } = frame else { return };
                let value = || Value::OctetString(text.to_vec());
                let varbinds = names.into_iter().map(|range| VarBind { name: range.start, value: value() }).collect();
                let response = Response { sys_up_time: 0, error: ResponseError::NoError, index: 0, varbinds };
                self.send(header, "", Body::Response(response));
            }
        };
        Serving { stream, thread: Some(thread::spawn(answer)) }
    }

    fn next(&mut self) -> std::io::Result<Option<Pdu>> {
        loop {
            if let Some(frame) = self.framer.next_frame().unwrap() {
                return Ok(Some(decode(frame, &Limits::default()).unwrap()));
            }
            match self.client.0.read(self.framer.space())? {
                0 => return Ok(None),
                len => self.framer.filled(len),
            }
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        _ = self.stream.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}
