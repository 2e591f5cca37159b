//! A subagent controlled by a test.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    os::unix::net::UnixStream,
    thread::{self, JoinHandle},
    time::Duration,
};

use agentx::{
    Body, ByteOrder, Framer, Header, Limits, Oid, Open, Pdu, Register, Response, ResponseError, Value, VarBind, decode,
    encode,
};

use crate::master::Master;

/// Longest wait for a PDU.
const DEADLINE: Duration = Duration::from_secs(30);

/// A stream of either kind.
pub(crate) enum Stream {
    /// Over a Unix socket.
    Unix(UnixStream),
    /// Over TCP.
    Tcp(TcpStream),
}

/// The subagent's end of a connection.
pub(crate) struct Subagent {
    stream: Stream,
    framer: Framer,
    session: u32,
    packet: u32,
    /// Whether to send octet by octet.
    pub(crate) sends_single_octets: bool,
}

/// A subagent that answers every request with one value on its own thread, until this is dropped.
pub(crate) struct Serving {
    stream: Stream,
    thread: Option<JoinHandle<()>>,
}

impl Stream {
    fn try_clone(&self) -> Self {
        match self {
            Self::Unix(stream) => Self::Unix(stream.try_clone().unwrap()),
            Self::Tcp(stream) => Self::Tcp(stream.try_clone().unwrap()),
        }
    }

    fn shut_down(&self, how: Shutdown) {
        // This fails if the master has closed the connection already.
        _ = match self {
            Self::Unix(stream) => stream.shutdown(how),
            Self::Tcp(stream) => stream.shutdown(how),
        };
    }
}

fn oid(text: &str) -> Oid {
    text.parse().unwrap()
}

impl Subagent {
    pub(crate) fn over_unix(master: &Master) -> Self {
        let stream = UnixStream::connect(&master.path).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Self::new(Stream::Unix(stream))
    }

    pub(crate) fn over_tcp(master: &Master) -> Self {
        let stream = TcpStream::connect(master.tcp).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self::new(Stream::Tcp(stream))
    }

    fn new(stream: Stream) -> Self {
        Self { stream, framer: Framer::new(Limits::default()), session: 0, packet: 0, sends_single_octets: false }
    }

    pub(crate) fn send_octets(&mut self, octets: &[u8]) {
        for piece in octets.chunks(if self.sends_single_octets { 1 } else { octets.len() }) {
            match &mut self.stream {
                Stream::Unix(stream) => stream.write_all(piece),
                Stream::Tcp(stream) => stream.write_all(piece),
            }
            .unwrap();
        }
    }

    fn send(&mut self, header: Header, body: Body) {
        let mut octets = Vec::new();
        encode(&Pdu { header, context: "".into(), body }, &mut octets).unwrap();
        self.send_octets(&octets);
    }

    /// Receives the next PDU. Returns `None` at the end of the connection.
    pub(crate) fn receive(&mut self) -> Option<Pdu> {
        loop {
            if let Some(frame) = self.framer.next_frame().unwrap() {
                return Some(decode(frame, &Limits::default()).unwrap());
            }
            let read = match &mut self.stream {
                Stream::Unix(stream) => stream.read(self.framer.space()),
                Stream::Tcp(stream) => stream.read(self.framer.space()),
            };
            match read {
                Ok(0) => return None,
                Ok(len) => self.framer.filled(len),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("waited for a PDU: {error}"),
            }
        }
    }

    fn request(&mut self, body: Body) -> (Header, Response) {
        self.packet += 1;
        let header =
            Header { byte_order: ByteOrder::Big, session_id: self.session, transaction_id: 0, packet_id: self.packet };
        self.send(header, body);
        let reply = self.receive().expect("a response");
        assert_eq!(reply.header.packet_id, self.packet);
        let Body::Response(response) = reply.body else { panic!("{reply:?}") };
        (reply.header, response)
    }

    pub(crate) fn open(&mut self) {
        let (header, response) =
            self.request(Body::Open(Open { timeout_s: 0, id: Oid::default(), description: b"test".to_vec() }));
        assert_eq!(response.error, ResponseError::NoError);
        self.session = header.session_id;
    }

    pub(crate) fn register(&mut self, subtree: &str) -> ResponseError {
        let priority = Register::DEFAULT_PRIORITY;
        let subtree = oid(subtree);
        self.request(Body::Register(Register { timeout_s: 0, priority, subtree, range: None, instance: false })).1.error
    }

    pub(crate) fn shut_down(&self, how: Shutdown) {
        self.stream.shut_down(how);
    }

    /// Reads this many requests.
    pub(crate) fn read_requests(&mut self, count: i32) {
        let mut last = 0;
        for _ in 0..count {
            let request = self.receive().expect("a request");
            assert!(matches!(request.body, Body::Get(_)), "{request:?}");
            assert!(request.header.packet_id > last, "in order");
            last = request.header.packet_id;
        }
    }

    /// Registers `subtree`, and answers every request with `text`.
    pub(crate) fn serving(mut self, subtree: &str, text: &'static [u8]) -> Serving {
        self.open();
        assert_eq!(self.register(subtree), ResponseError::NoError);
        let stream = self.stream.try_clone();
        let respond = move || {
            while let Some(Pdu { header, body: Body::Get(names), .. }) = self.receive() {
                let value = || Value::OctetString(text.to_vec());
                let varbinds = names.into_iter().map(|range| VarBind { name: range.start, value: value() }).collect();
                let response = Response { sys_up_time: 0, error: ResponseError::NoError, index: 0, varbinds };
                self.send(header, Body::Response(response));
            }
        };
        Serving { stream, thread: Some(thread::spawn(respond)) }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stream.shut_down(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}
