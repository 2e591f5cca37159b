//! A TLS client, and a subagent that uses it.

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

/// Longest wait of a test.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

/// A TLS client that trusts only the CA of the test.
pub(crate) struct Client(StreamOwned<ClientConnection, TcpStream>);

impl Client {
    pub(crate) fn connect(master: &Master) -> Self {
        Self::try_connect(master).unwrap()
    }

    fn try_connect(master: &Master) -> std::io::Result<Self> {
        Self::at(master.tls, &master.ca())
    }

    /// Connects to `address`, whose certificate must be issued by `ca`.
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

    /// Returns the certificate of the master.
    pub(crate) fn certificate(&self) -> Vec<u8> {
        self.0.conn.peer_certificates().unwrap()[0].to_vec()
    }

    pub(crate) fn send(&mut self, octets: &[u8]) {
        // This fails if the master has refused the beginning and closed the connection.
        _ = self.try_send(octets);
    }

    pub(crate) fn try_send(&mut self, octets: &[u8]) -> std::io::Result<()> {
        self.0.write_all(octets)?;
        self.0.flush()
    }

    /// Returns the status and the head of the response, and the octets behind it that were read already.
    pub(crate) fn response(&mut self) -> (u16, String, Vec<u8>) {
        self.try_response().expect("a response")
    }

    fn try_response(&mut self) -> Option<(u16, String, Vec<u8>)> {
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

    /// Reads to the end of the connection.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // The connection may end with an error.
        _ = self.0.read_to_end(&mut rest);
        rest
    }
}

/// A subagent over TLS.
pub(crate) struct Subagent {
    client: Client,
    framer: Framer,
    session: u32,
    packet: u32,
    regions: Vec<(String, String)>,
}

/// A subagent that answers every request with one value on its own thread, until this is dropped.
pub(crate) struct Serving {
    stream: TcpStream,
    thread: Option<JoinHandle<()>>,
}

impl Subagent {
    /// Connects and upgrades to AgentX.
    pub(crate) fn connect(master: &Master, claims: &Claims<'_>) -> Self {
        Self::try_connect(master, claims).expect("the upgrade is accepted")
    }

    /// Returns whether the upgrade is accepted, and disconnects.
    pub(crate) fn can_connect(master: &Master, claims: &Claims<'_>) -> bool {
        Self::try_connect(master, claims).is_some()
    }

    fn try_connect(master: &Master, claims: &Claims<'_>) -> Option<Self> {
        Self::upgrade(Client::try_connect(master).ok()?, claims)
    }

    /// Upgrades the connection of `client` to AgentX. Returns `None` if it is refused.
    pub(crate) fn upgrade(mut client: Client, claims: &Claims<'_>) -> Option<Self> {
        let token = claims.signed("good");
        let head = format!(
            "GET /agentx HTTP/1.1\r\nHost: m\r\nConnection: Upgrade\r\nUpgrade: agentx\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        client.send(head.as_bytes());
        let (status, head, rest) = client.try_response()?;
        assert!(rest.is_empty(), "no octets follow the response");
        (status == 101).then(|| {
            assert!(head.to_ascii_lowercase().contains("upgrade: agentx"), "{head}");
            Self::new(client)
        })
    }

    fn new(client: Client) -> Self {
        Self { client, framer: Framer::new(Limits::default()), session: 0, packet: 0, regions: Vec::new() }
    }

    /// Reads the response to an upgrade that was requested already, which must be accepted.
    pub(crate) fn after_request(mut client: Client) -> Self {
        let (status, _, rest) = client.response();
        assert_eq!(status, 101);
        let mut subagent = Self::new(client);
        subagent.framer.feed(&rest);
        subagent
    }

    /// Returns an Open-PDU.
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

    /// Receives the next PDU. Returns `None` at the end of the connection, which must be announced by close_notify.
    pub(crate) fn receive(&mut self) -> Option<Pdu> {
        loop {
            if let Some(frame) = self.framer.next_frame().unwrap() {
                return Some(decode(frame, &Limits::default()).unwrap());
            }
            match self.client.0.read(self.framer.space()).expect("close_notify") {
                0 => return None,
                len => self.framer.filled(len),
            }
        }
    }

    fn request(&mut self, context: &str, body: Body) -> (Header, Response) {
        self.packet += 1;
        let (session_id, packet_id) = (self.session, self.packet);
        self.send(Header { byte_order: ByteOrder::Big, session_id, transaction_id: 0, packet_id }, context, body);
        let reply = self.receive().expect("a response");
        assert_eq!(reply.header.packet_id, packet_id);
        let Body::Response(response) = reply.body else { panic!("{reply:?}") };
        (reply.header, response)
    }

    /// Sends a Ping-PDU without waiting for the response.
    pub(crate) fn ping(&mut self) {
        self.packet += 1;
        let (session_id, packet_id) = (self.session, self.packet);
        self.send(Header { byte_order: ByteOrder::Big, session_id, transaction_id: 0, packet_id }, "", Body::Ping);
    }

    pub(crate) fn open(&mut self) {
        let open = Open { timeout_s: 0, id: Oid::default(), description: b"test".to_vec() };
        let (header, response) = self.request("", Body::Open(open));
        assert_eq!(response.error, ResponseError::NoError);
        self.session = header.session_id;
    }

    pub(crate) fn register(&mut self, context: &str, subtree: &str) -> ResponseError {
        let (priority, region) = (Register::DEFAULT_PRIORITY, subtree.parse().unwrap());
        let register = Register { timeout_s: 0, priority, subtree: region, range: None, instance: false };
        self.regions.push((context.to_owned(), subtree.to_owned()));
        self.request(context, Body::Register(register)).1.error
    }

    /// Answers every request with `text`.
    pub(crate) fn serving(mut self, text: &'static [u8]) -> Serving {
        let stream = self.client.0.sock.try_clone().unwrap();
        let respond = move || {
            while let Ok(Some(frame)) = self.next() {
                let Pdu { header, body: Body::Get(names), .. } = frame else { return };
                let value = || Value::OctetString(text.to_vec());
                let varbinds = names.into_iter().map(|range| VarBind { name: range.start, value: value() }).collect();
                let response = Response { sys_up_time: 0, error: ResponseError::NoError, index: 0, varbinds };
                self.send(header, "", Body::Response(response));
            }
        };
        Serving { stream, thread: Some(thread::spawn(respond)) }
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
