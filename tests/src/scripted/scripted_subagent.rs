//! A scripted AgentX subagent: the test decides what it sends, within the protocol or against it.

use std::{
    io::{ErrorKind, Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

use agentx::{
    Body, ByteOrder, Context, Framer, Header, Limits, Oid, Open, Pdu, Register, Response, ResponseError, VarBind,
    decode, encode,
};
use anyhow::{Context as _, Result, bail, ensure};

use crate::{DEADLINE, Mib};

/// The subagent's end of one connection, which carries one session. Dropping it closes the connection without a Close PDU.
#[derive(Debug)]
pub struct ScriptedSubagent {
    stream: UnixStream,
    framer: Framer,
    session: u32,
    packet_id: u32,
    over: Arc<AtomicBool>,
}

impl ScriptedSubagent {
    /// Connects to the Unix socket of a master, without opening a session.
    pub fn connect(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        let framer = Framer::new(Limits::default());
        Ok(Self { stream, framer, session: 0, packet_id: 0, over: Arc::default() })
    }

    /// Connects to the Unix socket of a master and opens a session.
    pub fn open(socket: &Path) -> Result<Self> {
        let mut subagent = Self::connect(socket)?;
        subagent.open_session()?;
        Ok(subagent)
    }

    /// Opens a session, to which all further PDUs belong.
    pub fn open_session(&mut self) -> Result<()> {
        let open = Open { timeout_s: 0, id: Oid::default(), description: b"scripted subagent".to_vec() };
        let header = self.header();
        self.send(header, Context::default(), Body::Open(open))?;
        let pdu = self.receive()?;
        let Body::Response(response) = pdu.body else { bail!("expected the response to Open, received {pdu:?}") };
        ensure!(response.error == ResponseError::NoError, "Open: {response:?}");
        self.session = pdu.header.session_id;
        Ok(())
    }

    /// Returns its session id.
    pub fn session(&self) -> u32 {
        self.session
    }

    /// Returns the header of the next request.
    pub fn header(&mut self) -> Header {
        self.packet_id = self.packet_id.wrapping_add(1);
        let byte_order = if self.packet_id.is_multiple_of(2) { ByteOrder::Big } else { ByteOrder::Little };
        Header { byte_order, session_id: self.session, transaction_id: self.packet_id, packet_id: self.packet_id }
    }

    /// Sends a request to the master and returns the response. Returns an error if the master sends a request first.
    pub fn ask(&mut self, context: &Context, body: Body) -> Result<Response> {
        let header = self.header();
        self.send(header, context.clone(), body)?;
        let pdu = self.receive()?;
        ensure!(pdu.header.packet_id == header.packet_id, "the response to {header:?} has the header {:?}", pdu.header);
        let Body::Response(response) = pdu.body else { bail!("expected a response, received {pdu:?}") };
        Ok(response)
    }

    /// Registers a subtree with a timeout in seconds; 0 means the timeout of the session.
    pub fn register(&mut self, context: &Context, subtree: &Oid, timeout_s: u8) -> Result<()> {
        let subtree = subtree.clone();
        let priority = Register::DEFAULT_PRIORITY;
        let register = Register { timeout_s, priority, subtree, range: None, instance: false };
        let response = self.ask(context, Body::Register(register))?;
        ensure!(response.error == ResponseError::NoError, "Register: {response:?}");
        Ok(())
    }

    /// Returns the next PDU of the master. Returns an error if the connection ends.
    pub fn receive(&mut self) -> Result<Pdu> {
        loop {
            if let Some(frame) = self.framer.next_frame()? {
                return Ok(decode(frame, &Limits::default())?);
            }
            // The framer only buffers what has arrived, because tests use thousands of subagents.
            let mut chunk = [0; 4 << 10];
            let read = self.stream.read(&mut chunk).context("the master sent nothing")?;
            ensure!(read > 0, "the master closed the connection");
            self.framer.feed(chunk.get(..read).unwrap_or_default());
        }
    }

    /// Reads until the master closes the connection.
    pub fn wait_for_close(&mut self) -> Result<()> {
        loop {
            match self.stream.read(&mut [0; 16 << 10]) {
                Ok(0) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(()),
                read => _ = read.context("the master does not close the connection")?,
            }
        }
    }

    /// Blocks until the [`BackgroundSubagent`] is dropped.
    pub(crate) fn wait_for_end_of_test(&self) {
        while !self.over.load(Ordering::SeqCst) {
            thread::park();
        }
    }

    fn serve(&mut self, requests: &AtomicUsize, answer: &mut impl FnMut(&mut Self, Pdu) -> Result<()>) -> Result<()> {
        loop {
            let pdu = self.receive()?;
            requests.fetch_add(1, Ordering::SeqCst);
            answer(self, pdu)?;
        }
    }

    /// Responds to a request.
    pub fn respond(&mut self, header: Header, error: ResponseError, varbinds: Vec<VarBind>) -> Result<()> {
        let response = Response { sys_up_time: 0, error, index: u16::from(error != ResponseError::NoError), varbinds };
        self.send(header, Context::default(), Body::Response(response))
    }

    /// Sends any PDU.
    pub fn send(&mut self, header: Header, context: Context, body: Body) -> Result<()> {
        let mut octets = Vec::new();
        encode(&Pdu { header, context, body }, &mut octets)?;
        self.send_octets(&octets)
    }

    /// Sends any octets.
    pub fn send_octets(&mut self, octets: &[u8]) -> Result<()> {
        self.stream.write_all(octets).context("the master does not read")
    }
}

/// A subagent that serves requests in a thread, until this is dropped.
#[derive(Debug)]
pub struct BackgroundSubagent {
    stream: UnixStream,
    requests: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    serving: Option<JoinHandle<Result<()>>>,
}

impl BackgroundSubagent {
    /// Opens a session and registers `base` with a timeout in seconds. Then `answer` handles every request, until it returns
    /// an error or the connection ends.
    pub fn start(
        socket: &Path,
        context: &Context,
        base: &Oid,
        timeout_s: u8,
        mut answer: impl FnMut(&mut ScriptedSubagent, Pdu) -> Result<()> + Send + 'static,
    ) -> Result<Self> {
        let mut subagent = ScriptedSubagent::open(socket)?;
        subagent.register(context, base, timeout_s)?;
        // Between two requests, any time may pass.
        subagent.stream.set_read_timeout(None)?;
        let stream = subagent.stream.try_clone()?;
        let requests = Arc::new(AtomicUsize::new(0));
        let over = Arc::clone(&subagent.over);
        let serving = thread::spawn({
            let requests = Arc::clone(&requests);
            move || {
                let ended = subagent.serve(&requests, &mut answer);
                // `stream` is a second handle of the connection, so dropping this one would not close it.
                subagent.stream.shutdown(Shutdown::Both).ok();
                ended
            }
        });
        Ok(Self { stream, requests, over, serving: Some(serving) })
    }

    /// Starts a subagent that follows the protocol and serves `mib`.
    pub fn healthy(socket: &Path, context: &Context, base: &Oid, mib: Mib) -> Result<Self> {
        Self::start(socket, context, base, 0, move |subagent, pdu| mib.serve(subagent, &pdu))
    }

    /// Returns whether it still serves.
    pub fn is_running(&self) -> bool {
        self.serving.as_ref().is_some_and(|serving| !serving.is_finished())
    }

    /// Returns the number of PDUs that it has received from the master.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for BackgroundSubagent {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Wakes the thread if it is reading.
        self.stream.shutdown(Shutdown::Both).ok();
        if let Some(serving) = self.serving.take() {
            serving.thread().unpark();
            serving.join().ok();
        }
    }
}
