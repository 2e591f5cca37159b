//! A scripted AgentX master: the test decides what it sends, within the protocol or against it.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use agentx::{
    Body, ByteOrder, Context, Framer, Header, Limits, Pdu, Register, Response, ResponseError, decode, encode,
};
use anyhow::{Context as _, Result, bail, ensure};

use crate::DEADLINE;

/// The session id that every scripted master assigns.
const SESSION: u32 = 42;
const POLL: Duration = Duration::from_millis(10);

/// The listening socket of a scripted master, to which subagents connect.
#[derive(Debug)]
pub enum ScriptedMasterListener {
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

impl ScriptedMasterListener {
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

    /// Returns the AgentX URL of this socket.
    pub fn url(&self) -> Result<String> {
        Ok(match self {
            Self::Unix(listener) => {
                let address = listener.local_addr()?;
                format!("unix:{}", address.as_pathname().context("the Unix socket has no path")?.display())
            }
            Self::Tcp(listener) => format!("tcp://{}", listener.local_addr()?),
        })
    }

    /// Waits for the next connection. Returns `None` if there is none within `timeout`.
    pub fn accept(&self, timeout: Duration) -> Result<Option<ScriptedMaster>> {
        let deadline = Instant::now() + timeout;
        loop {
            let accepted = match self {
                Self::Unix(listener) => listener.accept().map(|(stream, _)| Stream::Unix(stream)),
                Self::Tcp(listener) => listener.accept().map(|(stream, _)| Stream::Tcp(stream)),
            };
            match accepted {
                Ok(stream) => return Ok(Some(ScriptedMaster::new(stream)?)),
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error.into()),
                Err(_) if Instant::now() >= deadline => return Ok(None),
                Err(_) => thread::sleep(POLL),
            }
        }
    }
}

impl Stream {
    fn set_timeouts(&self, timeout: Duration) -> io::Result<()> {
        match self {
            Self::Unix(stream) => {
                stream.set_nonblocking(false)?;
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))
            }
            Self::Tcp(stream) => {
                stream.set_nonblocking(false)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))
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

/// The master's end of one connection, which carries one session. Dropping it closes the connection without a Close PDU.
#[derive(Debug)]
pub struct ScriptedMaster {
    stream: Stream,
    framer: Framer,
    packet_id: u32,
    /// The byte order of requests; it alternates if there is none.
    byte_order: Option<ByteOrder>,
    registrations: Vec<(Context, Register)>,
}

impl ScriptedMaster {
    /// The timeout of reads and writes unless [`Self::set_timeout`] changes it.
    const TIMEOUT: Duration = Duration::from_secs(30);

    fn new(stream: Stream) -> Result<Self> {
        stream.set_timeouts(Self::TIMEOUT)?;
        let framer = Framer::new(Limits::default());
        Ok(Self { stream, framer, packet_id: 0, byte_order: None, registrations: Vec::new() })
    }

    /// Sets the timeout of each read and write.
    pub fn set_timeout(&self, timeout: Duration) -> Result<()> {
        Ok(self.stream.set_timeouts(timeout)?)
    }

    /// Sets the byte order of all further requests. Without it, requests alternate between both orders.
    pub fn set_byte_order(&mut self, byte_order: ByteOrder) {
        self.byte_order = Some(byte_order);
    }

    /// Returns the current registrations, in the order in which the subagent made them.
    pub fn registrations(&self) -> &[(Context, Register)] {
        &self.registrations
    }

    /// Returns the next PDU of the subagent, unanswered. Returns an error if the connection ends.
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

    /// Reads and discards octets until the timeout. Returns whether the connection is still open.
    pub fn discard_octets(&mut self) -> Result<bool> {
        match self.stream.reader().read(&mut [0; 16 << 10]) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(true),
            read => Ok(read? > 0),
        }
    }

    /// Reads until the subagent closes the connection, and answers nothing.
    pub fn wait_for_close(&mut self) -> Result<()> {
        let deadline = Instant::now() + DEADLINE;
        let mut octets = [0; 8 << 10];
        while Instant::now() < deadline {
            match self.stream.reader().read(&mut octets) {
                Ok(0) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(()),
                Err(error) => return Err(error).context("waiting for the subagent to close the connection"),
                Ok(_) => {}
            }
        }
        bail!("the subagent did not close the connection within {DEADLINE:?}")
    }

    /// Sends any PDU.
    pub fn send(&mut self, header: Header, context: Context, body: Body) -> Result<()> {
        let mut octets = Vec::new();
        encode(&Pdu { header, context, body }, &mut octets)?;
        self.send_octets(&octets)
    }

    /// Sends any octets.
    pub fn send_octets(&mut self, octets: &[u8]) -> Result<()> {
        self.stream.writer().write_all(octets).context("the subagent does not read")
    }

    /// Closes the sending half of the connection.
    pub fn finish_sending(&self) -> Result<()> {
        match &self.stream {
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write)?,
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write)?,
        }
        Ok(())
    }

    /// Returns the header of the next request.
    pub fn next_header(&mut self) -> Header {
        self.packet_id = self.packet_id.wrapping_add(1);
        let (session_id, packet_id) = (SESSION, self.packet_id);
        // Each PDU chooses its byte order, and a response follows it (RFC 2741 section 6.1).
        let alternating = if packet_id.is_multiple_of(2) { ByteOrder::Big } else { ByteOrder::Little };
        let byte_order = self.byte_order.unwrap_or(alternating);
        Header { byte_order, session_id, transaction_id: packet_id.wrapping_mul(3), packet_id }
    }

    /// Responds to a PDU of the subagent with `error`. A request that succeeds changes the registrations.
    pub fn respond(&mut self, pdu: &Pdu, error: ResponseError) -> Result<()> {
        if error == ResponseError::NoError {
            match &pdu.body {
                Body::Register(register) => self.registrations.push((pdu.context.clone(), register.clone())),
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

    /// Returns the next Response. Grants every request of the subagent that comes before it.
    pub fn receive_response(&mut self) -> Result<(Header, Response)> {
        loop {
            let pdu = self.receive()?;
            match pdu.body {
                Body::Response(response) => return Ok((pdu.header, response)),
                Body::Close(reason) => bail!("the subagent closed the session: {reason:?}"),
                _ => self.respond(&pdu, ResponseError::NoError)?,
            }
        }
    }

    /// Sends a request and returns its response. Grants every request of the subagent that comes before it.
    pub fn request(&mut self, context: &Context, body: Body) -> Result<Response> {
        let header = self.next_header();
        self.send(header, context.clone(), body)?;
        let (answered, response) = self.receive_response()?;
        ensure!(answered == header, "the response to {header:?} has the header {answered:?}");
        Ok(response)
    }

    /// Grants all requests of the subagent until this many regions are registered.
    pub fn grant(&mut self, regions: usize) -> Result<()> {
        while self.registrations.len() < regions {
            let pdu = self.receive()?;
            self.respond(&pdu, ResponseError::NoError)?;
        }
        Ok(())
    }
}
