//! An AgentX master that a test plays: it may keep to the protocol, or not.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use agentx::{
    Body, ByteOrder, Context, Framer, Header, Limits, Pdu, Register, Response, ResponseError, decode, encode,
};
use anyhow::{Context as _, Result, bail, ensure};

/// The session's number at every master here.
const SESSION: u32 = 42;
const POLL: Duration = Duration::from_millis(10);

/// Where subagents connect to.
#[derive(Debug)]
pub enum MasterSocket {
    /// A Unix socket.
    Unix(UnixListener),
    /// A TCP port of 127.0.0.1.
    Tcp(TcpListener),
}

/// The master's end of a connection.
#[derive(Debug)]
enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl MasterSocket {
    /// Listens on the Unix socket `path`.
    pub fn unix(path: &Path) -> Result<Self> {
        let listener = UnixListener::bind(path)?;
        listener.set_nonblocking(true)?;
        Ok(Self::Unix(listener))
    }

    /// Listens on a free TCP port.
    pub fn tcp() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        Ok(Self::Tcp(listener))
    }

    /// The AgentX URL of this socket.
    pub fn url(&self) -> Result<String> {
        Ok(match self {
            Self::Unix(listener) => {
                let address = listener.local_addr()?;
                format!("unix:{}", address.as_pathname().context("a socket without a path")?.display())
            }
            Self::Tcp(listener) => format!("tcp://{}", listener.local_addr()?),
        })
    }

    /// The next connection, once there is one; none where there is none before `patience` is over.
    pub fn accept(&self, patience: Duration) -> Result<Option<Master>> {
        let deadline = Instant::now() + patience;
        loop {
            let accepted = match self {
                Self::Unix(listener) => listener.accept().map(|(stream, _)| Stream::Unix(stream)),
                Self::Tcp(listener) => listener.accept().map(|(stream, _)| Stream::Tcp(stream)),
            };
            match accepted {
                Ok(stream) => return Ok(Some(Master::new(stream)?)),
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error.into()),
                Err(_) if Instant::now() >= deadline => return Ok(None),
                Err(_) => thread::sleep(POLL),
            }
        }
    }
}

impl Stream {
    fn set_timeouts(&self, patience: Duration) -> io::Result<()> {
        match self {
            Self::Unix(stream) => {
                stream.set_nonblocking(false)?;
                stream.set_read_timeout(Some(patience))?;
                stream.set_write_timeout(Some(patience))
            }
            Self::Tcp(stream) => {
                stream.set_nonblocking(false)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(patience))?;
                stream.set_write_timeout(Some(patience))
            }
        }
    }

    fn reader(&mut self) -> &mut dyn Read {
        match self {
            Self::Unix(stream) => stream,
            Self::Tcp(stream) => stream,
        }
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Unix(stream) => stream,
            Self::Tcp(stream) => stream,
        }
    }
}

/// The master's end of one connection with one session. The connection is closed, without a Close, when this is dropped.
#[derive(Debug)]
pub struct Master {
    stream: Stream,
    framer: Framer,
    packet_id: u32,
    registrations: Vec<(Context, Register)>,
}

impl Master {
    /// How long it waits for anything, unless told otherwise.
    const PATIENCE: Duration = Duration::from_secs(30);

    fn new(stream: Stream) -> Result<Self> {
        stream.set_timeouts(Self::PATIENCE)?;
        Ok(Self { stream, framer: Framer::new(Limits::default()), packet_id: 0, registrations: Vec::new() })
    }

    /// How long to wait for the subagent to send, or to take what is sent.
    pub fn set_patience(&self, patience: Duration) -> Result<()> {
        Ok(self.stream.set_timeouts(patience)?)
    }

    /// What is registered now, in the order in which it came.
    pub fn registrations(&self) -> &[(Context, Register)] {
        &self.registrations
    }

    /// The next PDU of the subagent, unanswered. The end of the connection is an error.
    pub fn receive(&mut self) -> Result<Pdu> {
        loop {
            if let Some(frame) = self.framer.next_frame()? {
                return Ok(decode(frame, &Limits::default())?);
            }
            let read = self.stream.reader().read(self.framer.space()).context("the subagent sends nothing")?;
            ensure!(read > 0, "the subagent closed the connection");
            self.framer.filled(read);
        }
    }

    /// Takes whatever octets come, or none for as long as it waits. Says whether the connection still stands.
    pub fn take_octets(&mut self) -> Result<bool> {
        match self.stream.reader().read(&mut [0; 16 << 10]) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(true),
            read => Ok(read? > 0),
        }
    }

    /// Sends any PDU.
    pub fn send(&mut self, header: Header, context: Context, body: Body) -> Result<()> {
        let mut octets = Vec::new();
        encode(&Pdu { header, context, body }, &mut octets)?;
        self.send_octets(&octets)
    }

    /// Sends any octets.
    pub fn send_octets(&mut self, octets: &[u8]) -> Result<()> {
        self.stream.writer().write_all(octets).context("the subagent takes nothing")
    }

    /// The header of the next request.
    pub fn next_header(&mut self) -> Header {
        self.packet_id = self.packet_id.wrapping_add(1);
        let (session_id, packet_id) = (SESSION, self.packet_id);
        // Each PDU chooses its byte order, and an answer follows it.
        let byte_order = if packet_id.is_multiple_of(2) { ByteOrder::Big } else { ByteOrder::Little };
        Header { byte_order, session_id, transaction_id: packet_id.wrapping_mul(3), packet_id }
    }

    /// Answers a PDU of the subagent's with `error`, and notes what it changes.
    pub fn answer(&mut self, pdu: Pdu, error: ResponseError) -> Result<()> {
        if error == ResponseError::NoError {
            match pdu.body {
                Body::Register(register) => self.registrations.push((pdu.context, register)),
                Body::Unregister(gone) => self.registrations.retain(|(context, register)| {
                    (context, &register.subtree, register.range) != (&pdu.context, &gone.subtree, gone.range)
                }),
                _ => {}
            }
        }
        let header = Header { session_id: SESSION, ..pdu.header };
        let response = Response { sys_up_time: 0, error, index: 0, varbinds: Vec::new() };
        self.send(header, Context::default(), Body::Response(response))
    }

    /// Asks, and gives the answer. Whatever the subagent asks in the meantime is granted.
    pub fn ask(&mut self, context: &Context, body: Body) -> Result<Response> {
        let header = self.next_header();
        self.send(header, context.clone(), body)?;
        loop {
            let pdu = self.receive()?;
            match pdu.body {
                Body::Response(response) => {
                    ensure!(pdu.header == header, "asked with {header:?}, answered with {:?}", pdu.header);
                    return Ok(response);
                }
                Body::Close(reason) => bail!("the subagent closed the session: {reason:?}"),
                _ => self.answer(pdu, ResponseError::NoError)?,
            }
        }
    }

    /// Grants what the subagent asks until this many regions are registered.
    pub fn grant(&mut self, regions: usize) -> Result<()> {
        while self.registrations.len() < regions {
            let pdu = self.receive()?;
            self.answer(pdu, ResponseError::NoError)?;
        }
        Ok(())
    }
}
