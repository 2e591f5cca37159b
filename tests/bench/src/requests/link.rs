//! The bench in the role of the AgentX master: it accepts registrations, and sends one request at a time.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use agentx::{
    Body, ByteOrder, Context as SnmpContext, FrameHeader, Framer, Header, Limits, Pdu, PduType, Response,
    ResponseError, decode, encode,
};
use anyhow::{Context, Result, bail, ensure};
use harness::DEADLINE;
use rustix::net::sockopt::{Timeout, set_socket_timeout};

/// The id of the only session.
const SESSION: u32 = 42;

/// The address on which the master listens.
#[derive(Debug, Clone)]
pub enum Address {
    /// A Unix socket.
    Unix(PathBuf),
    /// A TCP port of 127.0.0.1.
    Tcp(u16),
}

impl Address {
    /// Returns the AgentX URL for our sidecar.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Unix(path) => format!("unix:{}", path.display()),
            Self::Tcp(port) => format!("tcp://127.0.0.1:{port}"),
        }
    }

    /// Starts to listen, and removes the socket file of a killed master.
    ///
    /// # Errors
    /// Returns an error if the address is in use.
    pub fn listen(&self) -> Result<Acceptor> {
        match self {
            Self::Unix(path) => listen_at(path).map(Acceptor::Unix),
            Self::Tcp(port) => {
                let listener = TcpListener::bind(("127.0.0.1", *port))?;
                set_socket_timeout(&listener, Timeout::Recv, Some(DEADLINE))?;
                Ok(Acceptor::Tcp(listener))
            }
        }
    }
}

fn listen_at(path: &Path) -> Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let listener = UnixListener::bind(path).with_context(|| path.display().to_string())?;
    set_socket_timeout(&listener, Timeout::Recv, Some(DEADLINE))?;
    Ok(listener)
}

/// A listening socket.
#[derive(Debug)]
pub enum Acceptor {
    /// A Unix socket.
    Unix(UnixListener),
    /// A TCP port.
    Tcp(TcpListener),
}

impl Acceptor {
    /// Waits for a subagent to connect.
    ///
    /// # Errors
    /// Returns an error if none connects before the deadline.
    pub fn accept(&self) -> Result<Link> {
        let late = || format!("no subagent connected within {DEADLINE:?}");
        let channel: Box<dyn Channel> = match self {
            Self::Unix(listener) => Box::new(listener.accept().with_context(late)?.0),
            Self::Tcp(listener) => {
                let stream = listener.accept().with_context(late)?.0;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
        };
        channel.set_timeout(DEADLINE)?;
        Ok(Link { channel, framer: Framer::new(Limits::default()), frame: Vec::new(), byte_order: ByteOrder::Big })
    }
}

/// A stream with a read timeout.
trait Channel: Read + Write + Send {
    fn set_timeout(&self, time: Duration) -> std::io::Result<()>;
}

impl Channel for UnixStream {
    fn set_timeout(&self, time: Duration) -> std::io::Result<()> {
        self.set_read_timeout(Some(time))
    }
}

impl Channel for TcpStream {
    fn set_timeout(&self, time: Duration) -> std::io::Result<()> {
        self.set_read_timeout(Some(time))
    }
}

/// The connection of a subagent. Dropping it closes the connection without a Close PDU, as if the master was killed.
pub struct Link {
    channel: Box<dyn Channel>,
    framer: Framer,
    /// The last received frame.
    frame: Vec<u8>,
    /// The byte order that the subagent uses.
    byte_order: ByteOrder,
}

impl Link {
    /// Returns the header of a request with this packet id.
    #[must_use]
    pub fn header(&self, packet_id: u32) -> Header {
        Header { byte_order: self.byte_order, session_id: SESSION, transaction_id: packet_id, packet_id }
    }

    /// Grants all requests of the subagent up to the first Register, and returns when that arrived.
    ///
    /// # Errors
    /// Returns an error if there is no Register before the deadline, or the subagent closes the connection.
    pub fn until_registered(&mut self) -> Result<Instant> {
        loop {
            self.read_frame()?;
            let received = Instant::now();
            if self.grant()? == PduType::Register {
                return Ok(received);
            }
        }
    }

    /// Grants all requests of the subagent for this long.
    ///
    /// # Errors
    /// Returns an error if the subagent closes the connection.
    pub fn serve_for(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.channel.set_timeout(DEADLINE)?;
                return Ok(());
            }
            self.channel.set_timeout(left.max(Duration::from_millis(1)))?;
            match self.read_frame() {
                Ok(()) => {
                    self.grant()?;
                }
                Err(error) if is_timeout(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends a request and returns the frame of the response. Grants all requests of the subagent before it.
    ///
    /// # Errors
    /// Returns an error if there is no response before the deadline.
    pub fn exchange(&mut self, request: &[u8]) -> Result<&[u8]> {
        self.channel.write_all(request)?;
        loop {
            self.read_frame()?;
            if FrameHeader::parse(&self.frame)?.pdu_type == PduType::Response {
                return Ok(&self.frame);
            }
            self.grant()?;
        }
    }

    fn read_frame(&mut self) -> Result<()> {
        loop {
            if let Some(frame) = self.framer.next_frame()? {
                self.frame.clear();
                self.frame.extend_from_slice(frame);
                return Ok(());
            }
            let read = self.channel.read(self.framer.space())?;
            ensure!(read > 0, "the subagent closed the connection");
            self.framer.filled(read);
        }
    }

    /// Responds to the last received frame without an error.
    fn grant(&mut self) -> Result<PduType> {
        let request = decode(&self.frame, &Limits::default())?;
        if let Body::Close(reason) = request.body {
            bail!("the subagent closed its session: {reason:?}");
        }
        self.byte_order = request.header.byte_order;
        let response = Response { sys_up_time: 0, error: ResponseError::NoError, index: 0, varbinds: Vec::new() };
        let header = Header { session_id: SESSION, ..request.header };
        let answer = Pdu { header, context: SnmpContext::default(), body: Body::Response(response) };
        let mut octets = Vec::new();
        encode(&answer, &mut octets)?;
        self.channel.write_all(&octets)?;
        Ok(request.body.pdu_type())
    }
}

fn is_timeout(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    matches!(kind, Some(ErrorKind::WouldBlock | ErrorKind::TimedOut))
}
