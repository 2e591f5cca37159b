//! A connection of a subagent, which turns octets into frames and sends output.
//!
//! Output is written at once by the task that produced it. Only what does not fit into the socket buffer is left to the
//! connection's own task, which otherwise only reads. Nothing waits for a peer that does not read.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Poll, Waker},
    time::Instant,
};

use agentx::Framer;
use daemon::keyed_limit::Permit;
use tokio::{
    task::yield_now,
    time::{Sleep, sleep_until},
};

use crate::{
    io::{
        Arrival,
        watched_socket::WatchedSocket,
        wire::{Received, Wire},
    },
    subagents::dispatch::{ConnectionId, Output},
};

/// How often in a row one connection is read before other tasks run.
const READS: usize = 4;

/// A connection, shared between its task and the tasks that write to it.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The socket, watched for reading.
    socket: WatchedSocket,
    wire: Wire,
    /// The permit among the connections of the namespace.
    _permit: Option<Permit<Arc<str>>>,
    /// A duplicate of the socket, watched for writing while output does not fit into the socket buffer.
    writable: RefCell<Option<WatchedSocket>>,
    /// Whether the connection failed, or has sent its last output.
    ended: Cell<bool>,
    /// Wakes the connection's task.
    waker: RefCell<Option<Waker>>,
}

/// What a connection's task continues with.
enum Event {
    Ended,
    Writable,
    Readable,
    Paused,
}

/// How the task continues to read.
enum Reading {
    /// Read as soon as there is input.
    Continue,
    /// Read after a pause, because the peer sends too fast.
    Pause(Pin<Box<Sleep>>),
    /// Stop reading, because the peer does not send AgentX.
    Stop,
}

/// The owner of all connections, which decodes what is received.
///
/// The tasks of connections are generic over it, so that calls to it are static.
pub(crate) trait Handler {
    /// Handles the received frames in `framer`. Returns whether they are AgentX.
    fn received(&self, id: ConnectionId, framer: &mut Framer) -> bool;

    /// Returns the time before which a connection must not be read, if its peer sends too fast.
    fn read_after(&self, id: ConnectionId) -> Option<Instant>;

    /// Continues to send the output of a connection, whose socket has room again.
    fn continue_sending(&self, id: ConnectionId);

    /// Removes a connection that has ended.
    fn disconnected(&self, id: ConnectionId);

    /// Returns an empty framer.
    fn lend_framer(&self) -> Framer;

    /// Takes back an empty framer.
    fn return_framer(&self, framer: Framer);
}

impl Connection {
    /// Wraps an accepted connection. Needs a Tokio runtime.
    ///
    /// # Errors
    /// Returns an error if the socket cannot be registered with the runtime.
    pub(crate) fn new(arrival: Arrival) -> io::Result<Self> {
        let Arrival { socket, peer: _, wire, permit } = arrival;
        Ok(Self {
            socket: WatchedSocket::readable(socket)?,
            wire,
            _permit: permit,
            writable: RefCell::default(),
            ended: Cell::new(false),
            waker: RefCell::default(),
        })
    }

    /// Sends as much as fits into the socket buffer. The connection's task sends the rest later.
    pub(crate) fn send(&self, output: &mut Output) {
        if self.writable.borrow().is_none() {
            self.continue_sending(output);
        } else if output.is_empty() && output.closes() {
            // The peer did not read, and its remaining output has been dropped.
            self.end();
        }
    }

    /// Continues to send when there is space in the socket buffer again.
    pub(crate) fn continue_sending(&self, output: &mut Output) {
        match self.wire.send(&self.socket, output) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return self.watch_for_writing(),
            Err(_) => return self.end(),
        }
        self.writable.take();
        if output.closes() {
            self.end();
        }
    }

    fn watch_for_writing(&self) {
        let mut writable = self.writable.borrow_mut();
        if let Some(watched) = &*writable {
            return watched.clear_readiness();
        }
        match self.socket.writable_clone() {
            Ok(watched) => {
                *writable = Some(watched);
                self.wake();
            }
            // There is no file descriptor to watch the socket with.
            Err(_) => self.end(),
        }
    }

    /// Makes the task close the connection.
    fn end(&self) {
        self.ended.set(true);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    async fn event(&self, reading: &mut Reading) -> Event {
        poll_fn(|cx| {
            if self.ended.get() {
                return Poll::Ready(Event::Ended);
            }
            let writable = self.writable.borrow();
            if writable.as_ref().is_some_and(|socket| socket.poll_ready(cx).is_ready()) {
                return Poll::Ready(Event::Writable);
            }
            let event = match reading {
                Reading::Continue if self.wire.has_more() => Poll::Ready(Event::Readable),
                Reading::Continue => self.socket.poll_ready(cx).map(|_| Event::Readable),
                Reading::Pause(sleep) => sleep.as_mut().poll(cx).map(|()| Event::Paused),
                Reading::Stop => Poll::Pending,
            };
            if event.is_ready() {
                return event;
            }
            let mut waker = self.waker.borrow_mut();
            match &mut *waker {
                Some(waker) => waker.clone_from(cx.waker()),
                None => *waker = Some(cx.waker().clone()),
            }
            Poll::Pending
        })
        .await
    }
}

/// Serves a connection until it ends.
pub(crate) async fn serve<H: Handler>(handler: Rc<H>, id: ConnectionId, connection: Rc<Connection>) {
    // An incomplete frame. Only a connection with one has its own buffer, because there may be thousands of
    // connections.
    let mut partial = None;
    let mut reading = Reading::Continue;
    loop {
        match connection.event(&mut reading).await {
            Event::Ended => break,
            Event::Writable => handler.continue_sending(id),
            Event::Paused => reading = Reading::Continue,
            Event::Readable => match read(&*handler, id, &connection, &mut partial) {
                Ok((next, all)) => {
                    reading = next;
                    if !all {
                        yield_now().await;
                    }
                }
                Err(_) => break,
            },
        }
    }
    handler.disconnected(id);
}

/// Reads the input and passes its frames to the handler. Returns how to continue, and whether all input was read.
fn read(
    handler: &impl Handler,
    id: ConnectionId,
    connection: &Connection,
    partial: &mut Option<Framer>,
) -> io::Result<(Reading, bool)> {
    for _ in 0..READS {
        let mut framer = partial.take().unwrap_or_else(|| handler.lend_framer());
        let Received { len, all } = connection.wire.receive(&connection.socket, framer.space())?;
        framer.filled(len);
        let is_agentx = len == 0 || handler.received(id, &mut framer);
        if framer.is_empty() {
            handler.return_framer(framer);
        } else {
            *partial = Some(framer);
        }
        if !is_agentx {
            return Ok((Reading::Stop, true));
        }
        if let Some(until) = handler.read_after(id) {
            return Ok((Reading::Pause(Box::pin(sleep_until(until.into()))), true));
        }
        if all {
            return Ok((Reading::Continue, true));
        }
    }
    Ok((Reading::Continue, false))
}
