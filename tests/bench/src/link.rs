//! The bench as AgentX master: it takes a subagent's registrations, and asks one question at a time.

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

/// The number of the only session.
const SESSION: u32 = 42;

/// Where the master listens.
#[derive(Debug, Clone)]
pub enum Address {
    /// A Unix socket.
    Unix(PathBuf),
    /// A TCP port of 127.0.0.1.
    Tcp(u16),
}

impl Address {
    /// As URL, for our sidecar.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Unix(path) => format!("unix:{}", path.display()),
            Self::Tcp(port) => format!("tcp://127.0.0.1:{port}"),
        }
    }

    /// Begins to listen, as a master does after `kill -9`: what its socket left behind is removed.
    ///
    /// # Errors
    /// Where the address is taken.
    pub fn listen(&self) -> Result<Door> {
        match self {
            Self::Unix(path) => listen_at(path).map(Door::Unix),
            Self::Tcp(port) => {
                let listener = TcpListener::bind(("127.0.0.1", *port))?;
                set_socket_timeout(&listener, Timeout::Recv, Some(DEADLINE))?;
                Ok(Door::Tcp(listener))
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
pub enum Door {
    /// A Unix socket.
    Unix(UnixListener),
    /// A TCP port.
    Tcp(TcpListener),
}

impl Door {
    /// Waits for a subagent to connect.
    ///
    /// # Errors
    /// Where none does before the tests' deadline.
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
        channel.patience(DEADLINE)?;
        Ok(Link { channel, framer: Framer::new(Limits::default()), frame: Vec::new(), byte_order: ByteOrder::Big })
    }
}

/// A stream that gives up reading after a while.
trait Channel: Read + Write + Send {
    fn patience(&self, time: Duration) -> std::io::Result<()>;
}

impl Channel for UnixStream {
    fn patience(&self, time: Duration) -> std::io::Result<()> {
        self.set_read_timeout(Some(time))
    }
}

impl Channel for TcpStream {
    fn patience(&self, time: Duration) -> std::io::Result<()> {
        self.set_read_timeout(Some(time))
    }
}

/// A subagent's connection. Closed when dropped, without a word, as by a master that was killed.
pub struct Link {
    channel: Box<dyn Channel>,
    framer: Framer,
    /// The frame that came last.
    frame: Vec<u8>,
    /// As the subagent has it.
    byte_order: ByteOrder,
}

impl Link {
    /// The header of a request with this number.
    #[must_use]
    pub fn header(&self, packet_id: u32) -> Header {
        Header { byte_order: self.byte_order, session_id: SESSION, transaction_id: packet_id, packet_id }
    }

    /// Grants all that is asked until a region has been registered, and says when the Register came.
    ///
    /// # Errors
    /// Where none comes before the tests' deadline, or the subagent closes.
    pub fn until_registered(&mut self) -> Result<Instant> {
        loop {
            self.read_frame()?;
            let came = Instant::now();
            if self.grant()? == PduType::Register {
                return Ok(came);
            }
        }
    }

    /// Grants all that is asked for this long.
    ///
    /// # Errors
    /// Where the subagent closes.
    pub fn serve_for(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.channel.patience(DEADLINE)?;
                return Ok(());
            }
            self.channel.patience(left.max(Duration::from_millis(1)))?;
            match self.read_frame() {
                Ok(()) => {
                    self.grant()?;
                }
                Err(error) if is_timeout(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Asks, and gives the frame of the answer. What the subagent asks in between is granted.
    ///
    /// # Errors
    /// Where no answer comes before the tests' deadline.
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

    /// Says yes to the frame that came last.
    fn grant(&mut self) -> Result<PduType> {
        let asked = decode(&self.frame, &Limits::default())?;
        if let Body::Close(reason) = asked.body {
            bail!("the subagent closed its session: {reason:?}");
        }
        self.byte_order = asked.header.byte_order;
        let response = Response { sys_up_time: 0, error: ResponseError::NoError, index: 0, varbinds: Vec::new() };
        let header = Header { session_id: SESSION, ..asked.header };
        let answer = Pdu { header, context: SnmpContext::default(), body: Body::Response(response) };
        let mut octets = Vec::new();
        encode(&answer, &mut octets)?;
        self.channel.write_all(&octets)?;
        Ok(asked.body.pdu_type())
    }
}

fn is_timeout(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    matches!(kind, Some(ErrorKind::WouldBlock | ErrorKind::TimedOut))
}
