//! A master that a test plays, on a Unix socket.

use std::{
    io::{ErrorKind, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use agentx::{
    Body, ByteOrder, Context as SnmpContext, Framer, GetBulk, Header, Limits, Oid, Pdu, Response, ResponseError,
    SearchRange, decode, encode,
};
use anyhow::{Context, Result, bail, ensure};
use harness::{DEADLINE, Row, Sandbox};

use crate::world::{BASE, WALK, rows_under};

const POLL: Duration = Duration::from_millis(10);

/// Where a master listens.
#[derive(Debug)]
pub(super) struct Master {
    listener: UnixListener,
    path: PathBuf,
    next_session: u32,
}

/// A sidecar's connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: UnixStream,
    pub(super) session: u32,
    pub(super) byte_order: ByteOrder,
    framer: Framer,
    packet_id: u32,
}

impl Master {
    pub(super) fn listen(sandbox: &Sandbox, name: &str) -> Result<Self> {
        let path = sandbox.path(name);
        let listener = UnixListener::bind(&path)?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, path, next_session: 0 })
    }

    pub(super) fn url(&self) -> String {
        format!("unix:{}", self.path.display())
    }

    /// The next connection, on which nothing has been read.
    pub(super) fn accept(&mut self) -> Result<Connection> {
        let deadline = Instant::now() + DEADLINE;
        let stream = loop {
            match self.listener.accept() {
                Ok((stream, _)) => break stream,
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error.into()),
                Err(_) if Instant::now() > deadline => bail!("no connection within {DEADLINE:?}"),
                Err(_) => thread::sleep(POLL),
            }
        };
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        self.next_session += 1;
        let framer = Framer::new(Limits::default());
        Ok(Connection { stream, session: self.next_session, byte_order: ByteOrder::Big, framer, packet_id: 0 })
    }

    /// The next connection, whose Open is granted; none of its other wishes is.
    pub(super) fn open(&mut self) -> Result<Connection> {
        let mut connection = self.accept()?;
        let open = connection.receive()?;
        ensure!(matches!(open.body, Body::Open(_)), "{open:?}");
        connection.answer(&open, ResponseError::NoError)?;
        Ok(connection)
    }

    /// The next connection, as a good master treats it.
    pub(super) fn serve(&mut self) -> Result<Connection> {
        let mut connection = self.open()?;
        connection.grant()?;
        Ok(connection)
    }
}

impl Connection {
    /// The next PDU of the sidecar's.
    pub(super) fn receive(&mut self) -> Result<Pdu> {
        loop {
            if let Some(frame) = self.framer.next_frame()? {
                return Ok(decode(frame, &Limits::default())?);
            }
            let read = self.stream.read(self.framer.space()).context("waiting for a PDU")?;
            ensure!(read > 0, "the sidecar closed the connection");
            self.framer.filled(read);
        }
    }

    /// Reads until the sidecar closes the connection; answers nothing.
    pub(super) fn wait_for_close(&mut self) -> Result<()> {
        let deadline = Instant::now() + DEADLINE;
        let mut octets = [0; 8 << 10];
        while Instant::now() < deadline {
            match self.stream.read(&mut octets) {
                Ok(0) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(()),
                Err(error) => return Err(error).context("waiting for the connection to be closed"),
                Ok(_) => {}
            }
        }
        bail!("not closed within {DEADLINE:?}")
    }

    pub(super) fn write(&mut self, octets: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(octets)?)
    }

    /// A header for the next request.
    pub(super) fn header(&mut self) -> Header {
        self.packet_id += 1;
        let (byte_order, session_id, packet_id) = (self.byte_order, self.session, self.packet_id);
        Header { byte_order, session_id, transaction_id: 1, packet_id }
    }

    /// A PDU as octets, with a header of its own.
    pub(super) fn pdu(&mut self, body: Body) -> Vec<u8> {
        encoded(self.header(), body)
    }

    pub(super) fn answer(&mut self, pdu: &Pdu, error: ResponseError) -> Result<()> {
        let header = Header { session_id: self.session, ..pdu.header };
        let response = Response { sys_up_time: 0, error, index: 0, varbinds: Vec::new() };
        self.write(&encoded(header, Body::Response(response)))
    }

    /// Grants everything, until that is the region of [`BASE`].
    pub(super) fn grant(&mut self) -> Result<()> {
        loop {
            let pdu = self.receive()?;
            self.answer(&pdu, ResponseError::NoError)?;
            if matches!(&pdu.body, Body::Register(register) if register.subtree.to_string() == BASE) {
                return Ok(());
            }
        }
    }

    /// The next Response. What the sidecar asks before is granted.
    pub(super) fn response(&mut self) -> Result<(Header, Response)> {
        loop {
            let pdu = self.receive()?;
            match pdu.body {
                Body::Response(response) => return Ok((pdu.header, response)),
                _ => self.answer(&pdu, ResponseError::NoError)?,
            }
        }
    }

    /// Asks, and gives the answer, which must be to that.
    pub(super) fn ask(&mut self, body: Body) -> Result<Response> {
        let header = self.header();
        self.write(&encoded(header, body))?;
        let (answered, response) = self.response()?;
        ensure!(answered == header, "{answered:?}, not {header:?}");
        Ok(response)
    }

    /// Asks for all of [`BASE`], which must be as it is.
    pub(super) fn check(&mut self) -> Result<()> {
        let answer = self.ask(walk())?;
        check(&answer)
    }
}

pub(super) fn encoded(header: Header, body: Body) -> Vec<u8> {
    let mut octets = Vec::new();
    encode(&Pdu { header, context: SnmpContext::default(), body }, &mut octets)
        .expect("the test's PDUs can be written");
    octets
}

/// A search from [`BASE`] to the end of everything.
pub(super) fn range() -> SearchRange {
    SearchRange { start: BASE.parse().expect("an OID"), include: false, end: Oid::default() }
}

/// A request for all of [`BASE`].
pub(super) fn walk() -> Body {
    let max_repetitions = u16::try_from(WALK.len()).expect("few rows");
    Body::GetBulk(GetBulk { non_repeaters: 0, max_repetitions, ranges: vec![range()] })
}

/// Checks the answer to [`walk`].
pub(super) fn check(answer: &Response) -> Result<()> {
    let rows: Vec<Row> = answer.varbinds.iter().map(|v| Row { oid: v.name.clone(), value: v.value.clone() }).collect();
    ensure!(answer.error == ResponseError::NoError && rows == rows_under(BASE, WALK), "{answer:?}");
    Ok(())
}
