//! One address of a master: connects, drives a session, and reconnects when it ends.

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

use agentx::{Header, Output};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
    sync::watch,
    task::yield_now,
    time::{Instant, sleep, timeout},
};
use tracing::{debug, info, warn};

use super::{
    backoff::Backoff,
    jitter::Jitter,
    session::{End, Input, Session, State},
    status::{LinkStatus, MasterStatus, SessionState},
    tls::{CONNECT_TIMEOUT, Connection, TlsError, TlsMaster},
};
use crate::{
    set::{SetCoordinator, StepResult},
    view::exports::Exports,
};

/// The size of a read, in octets. It usually holds everything that a master pipelines.
const READ_SIZE: usize = 32 << 10;
/// The longest sleep of a session without a deadline.
const MAX_SLEEP: Duration = Duration::from_mins(1);

/// An address to connect to.
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

/// An address and everything that is needed to serve it.
pub(super) struct Link {
    pub(super) address: Address,
    pub(super) description: Arc<str>,
    pub(super) exports: watch::Receiver<Exports>,
    pub(super) sets: SetCoordinator,
    /// The link ends when the sender is dropped.
    pub(super) stop: watch::Receiver<()>,
    /// The status of the whole master.
    pub(super) master: MasterStatus,
    /// The status of the current connection.
    pub(super) status: LinkStatus,
    pub(super) jitter: Jitter,
    /// When the session of the last connection was opened; `None` if it was never open.
    pub(super) opened: Option<Instant>,
    /// How to connect over TLS; `None` for plain connections.
    pub(super) tls: Option<Arc<TlsMaster>>,
}

/// A connection.
enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
    Tls { master: Arc<TlsMaster>, address: SocketAddr, connection: Box<Connection> },
}

/// Why a connection attempt failed.
#[derive(Debug, thiserror::Error)]
enum ConnectError {
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

/// The outcome of sending and receiving.
enum Exchanged {
    /// This many octets were received.
    Received(usize),
    /// The session can continue with what it has received already.
    Continue,
}

/// When a session can continue.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Resume {
    /// Immediately.
    Now,
    /// When octets have been sent or received.
    OnceSent,
    /// When octets have been received.
    OnceReceived,
}

/// An event of the loop that drives a session.
enum Event {
    Stop,
    Exports,
    Time,
    StepResult(Header, StepResult),
    Connection(Exchanged),
}

pub(super) async fn stopped(stop: &mut watch::Receiver<()>) {
    _ = stop.wait_for(|()| false).await;
}

/// Waits for a change of the exports. Never returns after their sender was dropped.
async fn exports_changed(exports: &mut watch::Receiver<Exports>) {
    if exports.changed().await.is_err() {
        pending::<()>().await;
    }
}

impl Link {
    /// Connects and serves until stopped.
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
                        Stream::Unix(mut stream) => self.serve(&mut stream, &[]).await,
                        Stream::Tcp(mut stream) => self.serve(&mut stream, &[]).await,
                        Stream::Tls { master, address, connection } => self.relay(&master, address, *connection).await,
                    };
                    if matches!(ended, Ended::Session(End::Shutdown)) {
                        return;
                    }
                    backoff.session_ended(self.opened.map_or(Duration::ZERO, |opened| opened.elapsed()));
                    self.record_disconnect(&ended);
                }
                Err(error) => {
                    self.status.counters().failed_connects.one();
                    self.record_disconnect(&error);
                }
            }
            let delay = backoff.delay(Instant::now().into_std());
            tokio::select! {
                () = stopped(&mut stop) => return,
                () = sleep(delay) => {}
            }
        }
    }

    async fn connect(&self) -> Result<Stream, ConnectError> {
        let connecting = async {
            io::Result::Ok(match &self.address {
                Address::Unix(path) => Stream::Unix(UnixStream::connect(path).await?),
                Address::Tcp(address) => {
                    let stream = TcpStream::connect(address).await?;
                    // Each response is one write, and delaying it would only make the master wait.
                    stream.set_nodelay(true)?;
                    Stream::Tcp(stream)
                }
            })
        };
        if let (Some(master), Address::Tcp(address)) = (&self.tls, &self.address) {
            let connection = Box::new(master.connect(*address).await?);
            return Ok(Stream::Tls { master: Arc::clone(master), address: *address, connection });
        }
        Ok(timeout(CONNECT_TIMEOUT, connecting).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?)
    }

    /// Records why there is no connection. A repeated error is logged once.
    fn record_disconnect(&self, error: &(dyn std::error::Error + Send + Sync)) {
        let text = error.to_string();
        if self.status.last_error().as_ref() == Some(&text) {
            debug!(master = %self.address, "still not connected to the master: {text}");
        } else {
            warn!(master = %self.address, "not connected to the master; trying again: {text}");
        }
        self.status.disconnected(text);
    }

    /// Serves one connection until it ends. `early` was received already.
    pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(&mut self, stream: &mut S, early: &[u8]) -> Ended {
        let counters = Arc::clone(self.status.counters());
        counters.connects.one();
        let exports = self.exports.borrow_and_update().clone();
        let jitter = Jitter::new(self.jitter.number());
        let mut session =
            Session::new(&self.description, &exports, jitter, Arc::clone(&counters), Instant::now().into_std());
        // Frees the exports, so that replaced views are not kept in memory.
        drop(exports);
        if !early.is_empty() {
            session.handle(Input::Received(early), Instant::now().into_std());
        }
        let mut sets = self.sets.connect();
        let mut received = vec![0; READ_SIZE].into_boxed_slice();
        let mut timer = pin!(sleep(Duration::ZERO));
        let mut last_revision = None;
        loop {
            while let Some(request) = session.next_set_step() {
                if !sets.request(request) {
                    debug!(master = %self.address, "a step of a SET was not queued and will time out");
                }
            }
            self.update_status(&session, &mut last_revision);
            if let State::Ended(end) = session.state() {
                if matches!(end, End::Silent | End::NotReading | End::Garbage(_)) {
                    counters.dropped.one();
                }
                return end.into();
            }
            // Every request moves the deadline. The timer is not reset for a later deadline; it fires early once instead.
            let wakeup = session.wakeup().map_or_else(|| Instant::now() + MAX_SLEEP, Instant::from_std);
            if wakeup < timer.deadline() || timer.is_elapsed() {
                timer.as_mut().reset(wakeup);
            }
            let closing = matches!(session.state(), State::Closing { .. });
            let resume = match () {
                () if session.is_behind() => Resume::Now,
                () if session.is_held_back() => Resume::OnceSent,
                () => Resume::OnceReceived,
            };
            let event = tokio::select! {
                biased;
                () = stopped(&mut self.stop), if !closing => Event::Stop,
                () = exports_changed(&mut self.exports) => Event::Exports,
                () = &mut timer => Event::Time,
                (header, result) = sets.result() => Event::StepResult(header, result),
                exchanged = exchange(stream, session.output(), &mut received, resume) => match exchanged {
                    Ok(exchanged) => Event::Connection(exchanged),
                    Err(ended) => return ended,
                },
            };
            let input = match event {
                Event::Stop => Input::Shutdown,
                Event::Exports => Input::Exports(self.exports.borrow_and_update().clone()),
                Event::Time => Input::Time,
                Event::StepResult(header, result) => Input::StepResult(header, result),
                Event::Connection(Exchanged::Received(len)) => Input::Received(received.get(..len).unwrap_or_default()),
                Event::Connection(Exchanged::Continue) => {
                    // Lets other tasks on this thread run during a flood of requests.
                    yield_now().await;
                    Input::Time
                }
            };
            session.handle(input, Instant::now().into_std());
        }
    }

    /// Updates the status if the session has changed.
    fn update_status(&mut self, session: &Session, last_revision: &mut Option<u64>) {
        let revision = Some(session.revision());
        if *last_revision != revision {
            let before = self.status.update(session);
            if before != SessionState::Open && matches!(session.state(), State::Open { .. }) {
                self.opened = Some(Instant::now());
                info!(master = %self.address, "session opened");
            }
            *last_revision = revision;
        }
    }
}

/// Sends as much output as possible and waits until the session can continue.
///
/// Reading never waits for writing, because a master that writes before it reads would block for ever. Cancelling the
/// future loses no data.
async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    output: &mut Output,
    received: &mut [u8],
    resume: Resume,
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
        // TLS buffers what it cannot send yet; sockets do not.
        _ = Pin::new(&mut *stream).poll_flush(cx)?;
        if resume == Resume::Now || (resume == Resume::OnceSent && sent_any) {
            return Poll::Ready(Ok(Exchanged::Continue));
        }
        let mut buf = ReadBuf::new(received);
        match ready!(Pin::new(&mut *stream).poll_read(cx, &mut buf)) {
            // A TLS stream without close_notify. Truncation is harmless, because AgentX frames have a length.
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
