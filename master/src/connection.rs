//! A connection of a subagent: from octets to frames, and what is to be sent out again.
//!
//! Whoever has something for a subagent writes it at once, from wherever it is. Only what a socket does not take is left
//! to the connection's own task, which otherwise reads. Nothing waits for a peer that does not read.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Poll, Waker},
};

use agentx::Framer;
use tokio::{
    task::yield_now,
    time::{Sleep, sleep_until},
};

use crate::{
    agent::Agent,
    dispatch::{ConnectionId, Output},
    listener::Arrival,
    places::Place,
    watched_socket::WatchedSocket,
    wire::{Received, Wire},
};

/// How often in a row one connection is read before the others have their turn.
const READS: usize = 4;

/// A connection, shared between its task and whoever writes to it.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Watched for what can be read.
    socket: WatchedSocket,
    wire: Wire,
    /// Its place among those of its namespace.
    _place: Option<Place<Arc<str>>>,
    /// The same, watched for room while there is something to send that it did not take.
    room: RefCell<Option<WatchedSocket>>,
    /// It failed, or everything was sent and that was the end.
    ended: Cell<bool>,
    /// Its task.
    waker: RefCell<Option<Waker>>,
}

/// What a connection's task goes on with.
enum Event {
    Ended,
    Writable,
    Readable,
    Paused,
}

/// How reading goes on.
enum Reading {
    /// As soon as there is something.
    Go,
    /// After a while: the peer sends too fast.
    Pause(Pin<Box<Sleep>>),
    /// Not at all: what comes is no AgentX.
    Stop,
}

impl Connection {
    /// Of one that has come. Runs inside a runtime.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn new(arrival: Arrival) -> io::Result<Self> {
        let Arrival { socket, peer: _, wire, place } = arrival;
        Ok(Self {
            socket: WatchedSocket::readable(socket)?,
            wire,
            _place: place,
            room: RefCell::default(),
            ended: Cell::new(false),
            waker: RefCell::default(),
        })
    }

    /// Sends what can be sent at once. The rest goes when the peer has read some.
    pub(crate) fn send(&self, output: &mut Output) {
        if self.room.borrow().is_none() {
            self.send_on(output);
        } else if output.is_empty() && output.closes() {
            // It did not read, and what it was to read is given up.
            self.end();
        }
    }

    /// The same when there is room again.
    pub(crate) fn send_on(&self, output: &mut Output) {
        match self.wire.send(&self.socket, output) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return self.await_room(),
            Err(_) => return self.end(),
        }
        self.room.take();
        if output.closes() {
            self.end();
        }
    }

    fn await_room(&self) {
        let mut room = self.room.borrow_mut();
        if let Some(room) = &*room {
            return room.is_drained();
        }
        match self.socket.again_for_room() {
            Ok(watched) => {
                *room = Some(watched);
                self.wake();
            }
            // Without a file descriptor for it the peer cannot be waited for.
            Err(_) => self.end(),
        }
    }

    /// Has the connection closed.
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
            let room = self.room.borrow();
            if room.as_ref().is_some_and(|room| room.poll_ready(cx).is_ready()) {
                return Poll::Ready(Event::Writable);
            }
            let event = match reading {
                Reading::Go if self.wire.has_more() => Poll::Ready(Event::Readable),
                Reading::Go => self.socket.poll_ready(cx).map(|_| Event::Readable),
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
pub(crate) async fn serve(agent: Rc<Agent>, id: ConnectionId, connection: Rc<Connection>) {
    // The beginning of a frame. A connection without one has no room of its own: there may be ten thousand.
    let mut partial = None;
    let mut reading = Reading::Go;
    loop {
        match connection.event(&mut reading).await {
            Event::Ended => break,
            Event::Writable => agent.send_on(id),
            Event::Paused => reading = Reading::Go,
            Event::Readable => match read(&agent, id, &connection, &mut partial) {
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
    agent.disconnected(id);
}

/// Reads what there is, hands its frames on, and says how to go on and whether that was all.
fn read(
    agent: &Agent,
    id: ConnectionId,
    connection: &Connection,
    partial: &mut Option<Framer>,
) -> io::Result<(Reading, bool)> {
    for _ in 0..READS {
        let mut framer = partial.take().unwrap_or_else(|| agent.lend_framer());
        let Received { len, all } = connection.wire.receive(&connection.socket, framer.space())?;
        framer.filled(len);
        let sound = len == 0 || agent.received(id, &mut framer);
        if framer.is_empty() {
            agent.return_framer(framer);
        } else {
            *partial = Some(framer);
        }
        if !sound {
            return Ok((Reading::Stop, true));
        }
        if let Some(until) = agent.read_after(id) {
            return Ok((Reading::Pause(Box::pin(sleep_until(until.into()))), true));
        }
        if all {
            return Ok((Reading::Go, true));
        }
    }
    Ok((Reading::Go, false))
}
