//! One address of a master: connects, drives a session, connects again.

use std::{
    fmt,
    future::{pending, poll_fn},
    io,
    net::SocketAddr,
    path::PathBuf,
    pin::{Pin, pin},
    sync::Arc,
    task::{Poll, ready},
    time::Duration,
};

use agentx::Header;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
    sync::watch,
    task::yield_now,
    time::{Instant, sleep, timeout},
};
use tracing::{debug, info, warn};

use super::{
    Backoff, MasterStatus, SessionState,
    status::LinkStatus,
    tls::{Connection, TlsError, TlsMaster},
};
use crate::{
    session::{End, Exports, Input, Jitter, Output, Session, State, Verdict},
    write::Desk,
};

/// How long a connection may take to be made.
pub(super) const CONNECT: Duration = Duration::from_secs(3);
/// How much is read at a time, in octets: all that a master pipelines, usually.
const READ: usize = 32 << 10;
/// A session without anything to wait for looks at the time this often.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);

/// Where to connect to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Address {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => path.display().fmt(f),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

/// One address, and what is to be served there.
pub(super) struct Link {
    pub(super) address: Address,
    pub(super) description: Arc<str>,
    pub(super) exports: watch::Receiver<Exports>,
    pub(super) desk: Desk,
    /// Its sender goes when the link is to end.
    pub(super) stop: watch::Receiver<()>,
    /// Of the whole master, and of the connection that there is.
    pub(super) master: MasterStatus,
    pub(super) status: LinkStatus,
    pub(super) jitter: Jitter,
    /// When the last session was opened; none if the last connection had none.
    pub(super) opened: Option<Instant>,
    /// How to reach the address by TLS; none where it is reached without.
    pub(super) tls: Option<Arc<TlsMaster>>,
}

/// A connection.
enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
    Tls { master: Arc<TlsMaster>, address: SocketAddr, connection: Box<Connection> },
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
enum Unconnected {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error(transparent)]
    Session(#[from] End),
    #[error("the master closed the connection")]
    EndOfFile,
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
}

/// What a wait for a connection came to.
enum Exchanged {
    /// This much was received.
    Received(usize),
    /// The session can go on with what it has received already.
    GoOn,
}

/// When a session can go on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Readiness {
    /// At once.
    Now,
    /// When something has been sent or received.
    OnceSent,
    /// When something has been received.
    OnceReceived,
}

/// What a conversation goes on with.
enum Event {
    Stop,
    Exports,
    Time,
    Verdict(Header, Verdict),
    Connection(Exchanged),
}

pub(super) async fn stopped(stop: &mut watch::Receiver<()>) {
    _ = stop.wait_for(|()| false).await;
}

/// The next exports; for ever none once no one is left to send them.
async fn changed(exports: &mut watch::Receiver<Exports>) {
    if exports.changed().await.is_err() {
        pending::<()>().await;
    }
}

impl Link {
    /// Connects and serves until it is stopped.
    pub(super) async fn run(mut self) {
        let jitter = Jitter::new(self.jitter.number());
        let mut backoff = match self.address {
            Address::Unix(_) => Backoff::unix(jitter),
            Address::Tcp(_) => Backoff::network(jitter),
        };
        let mut stop = self.stop.clone();
        loop {
            let connected = tokio::select! {
                () = stopped(&mut stop) => return,
                connected = self.connect() => connected,
            };
            match connected {
                Ok(stream) => {
                    self.opened = None;
                    let ended = match stream {
                        Stream::Unix(mut stream) => self.converse(&mut stream, &[]).await,
                        Stream::Tcp(mut stream) => self.converse(&mut stream, &[]).await,
                        Stream::Tls { master, address, connection } => self.relay(&master, address, *connection).await,
                    };
                    if matches!(ended, Ended::Session(End::Shutdown)) {
                        return;
                    }
                    backoff.ended(self.opened.map_or(Duration::ZERO, |opened| opened.elapsed()));
                    self.note(&ended);
                }
                Err(error) => {
                    self.status.counters().failed_connects.one();
                    self.note(&error);
                }
            }
            let wait = backoff.wait(Instant::now().into_std());
            tokio::select! {
                () = stopped(&mut stop) => return,
                () = sleep(wait) => {}
            }
        }
    }

    async fn connect(&self) -> Result<Stream, Unconnected> {
        let connecting = async {
            io::Result::Ok(match &self.address {
                Address::Unix(path) => Stream::Unix(UnixStream::connect(path).await?),
                Address::Tcp(address) => {
                    let stream = TcpStream::connect(address).await?;
                    // An answer is one write: to hold it back would only make the master wait.
                    stream.set_nodelay(true)?;
                    Stream::Tcp(stream)
                }
            })
        };
        if let (Some(master), Address::Tcp(address)) = (&self.tls, &self.address) {
            let connection = Box::new(master.connect(*address).await?);
            return Ok(Stream::Tls { master: Arc::clone(master), address: *address, connection });
        }
        Ok(timeout(CONNECT, connecting).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?)
    }

    /// Notes why there is no connection; what goes on being so is logged once.
    fn note(&self, error: &(dyn std::error::Error + Send + Sync)) {
        let text = error.to_string();
        if self.status.last_error().as_ref() == Some(&text) {
            debug!(master = %self.address, "still not connected: {text}");
        } else {
            warn!(master = %self.address, "not connected: {text}");
        }
        self.status.disconnected(text);
    }

    /// Serves one connection until it ends; these octets of the master have come already.
    pub(super) async fn converse<S: AsyncRead + AsyncWrite + Unpin>(&mut self, stream: &mut S, early: &[u8]) -> Ended {
        let counters = Arc::clone(self.status.counters());
        counters.connects.one();
        let exports = self.exports.borrow_and_update().clone();
        let jitter = Jitter::new(self.jitter.number());
        let mut session =
            Session::new(&self.description, &exports, jitter, Arc::clone(&counters), Instant::now().into_std());
        // What an answer may refer to is not kept alive by whoever listens for changes.
        drop(exports);
        if !early.is_empty() {
            session.handle(Input::Received(early), Instant::now().into_std());
        }
        let mut writes = self.desk.connect();
        let mut received = vec![0; READ].into_boxed_slice();
        let mut timer = pin!(sleep(Duration::ZERO));
        let mut shown = None;
        loop {
            while let Some(asked) = session.next_write() {
                if !writes.ask(asked) {
                    debug!(master = %self.address, "a step of a SET is not taken");
                }
            }
            self.show(&session, &mut shown);
            if let State::Ended(end) = session.state() {
                if matches!(end, End::Silent | End::NotReading | End::Garbage(_)) {
                    counters.dropped.one();
                }
                return end.into();
            }
            // A deadline that moves away, as one does with every request, is not worth setting the timer anew: it
            // goes off early once.
            let wakeup = session.wakeup().map_or_else(|| Instant::now() + LONGEST_SLEEP, Instant::from_std);
            if wakeup < timer.deadline() || timer.is_elapsed() {
                timer.as_mut().reset(wakeup);
            }
            let closing = matches!(session.state(), State::Closing { .. });
            let readiness = match () {
                () if session.is_behind() => Readiness::Now,
                () if session.is_held_back() => Readiness::OnceSent,
                () => Readiness::OnceReceived,
            };
            let event = tokio::select! {
                biased;
                () = stopped(&mut self.stop), if !closing => Event::Stop,
                () = changed(&mut self.exports) => Event::Exports,
                () = &mut timer => Event::Time,
                (header, verdict) = writes.verdict() => Event::Verdict(header, verdict),
                exchanged = exchange(stream, session.output(), &mut received, readiness) => match exchanged {
                    Ok(exchanged) => Event::Connection(exchanged),
                    Err(ended) => return ended,
                },
            };
            let input = match event {
                Event::Stop => Input::Shutdown,
                Event::Exports => Input::Exports(self.exports.borrow_and_update().clone()),
                Event::Time => Input::Time,
                Event::Verdict(header, verdict) => Input::Verdict(header, verdict),
                Event::Connection(Exchanged::Received(len)) => Input::Received(received.get(..len).unwrap_or_default()),
                Event::Connection(Exchanged::GoOn) => {
                    // A flood of requests leaves the others on this thread their turns.
                    yield_now().await;
                    Input::Time
                }
            };
            session.handle(input, Instant::now().into_std());
        }
    }

    /// Shows the session's state to people, if it has changed since.
    fn show(&mut self, session: &Session, shown: &mut Option<u64>) {
        let revision = Some(session.revision());
        if *shown != revision {
            let before = self.status.show(session);
            if before != SessionState::Open && matches!(session.state(), State::Open { .. }) {
                self.opened = Some(Instant::now());
                info!(master = %self.address, "session open");
            }
            *shown = revision;
        }
    }
}

/// Sends what can be sent at once, and more while it waits until the session can go on.
///
/// Reading never waits for writing: a master that writes before it reads would wait for us for ever. Nothing is lost
/// if the wait is given up.
async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    output: &mut Output,
    received: &mut [u8],
    readiness: Readiness,
) -> Result<Exchanged, Ended> {
    poll_fn(|cx| {
        let mut sent_any = false;
        while !output.is_empty() {
            match Pin::new(&mut *stream).poll_write(cx, output.pending()) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero).into())),
                Poll::Ready(Ok(sent)) => {
                    output.advance(sent);
                    sent_any = true;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => break,
            }
        }
        // TLS takes what it cannot send yet; sockets take nothing.
        _ = Pin::new(&mut *stream).poll_flush(cx)?;
        if readiness == Readiness::Now || (readiness == Readiness::OnceSent && sent_any) {
            return Poll::Ready(Ok(Exchanged::GoOn));
        }
        let mut buf = ReadBuf::new(received);
        match ready!(Pin::new(&mut *stream).poll_read(cx, &mut buf)) {
            // TLS without its own word for the end. AgentX has frames: what was cut off is none.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Poll::Ready(Err(Ended::EndOfFile)),
            read => read?,
        }
        Poll::Ready(match buf.filled().len() {
            0 => Err(Ended::EndOfFile),
            len => Ok(Exchanged::Received(len)),
        })
    })
    .await
}
