//! The agent thread. It handles everything between a manager's request and the response to it.
//!
//! A datagram passes through the SNMP engine and the dispatcher to the subagents' sockets without an await point in
//! between. A subagent's response passes back in the same way: one read and one write for each wake-up.

pub(crate) mod command;
mod deadline;
pub mod snapshot;

use std::{
    cell::RefCell,
    collections::HashMap,
    io,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use agentx::Framer;
use daemon::{drain::Watcher, heartbeat::Heartbeat};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinError, JoinSet, spawn_local, yield_now},
    time::{interval, sleep, timeout},
};

pub use command::{ActiveEngine, Command};

use self::{
    deadline::Deadline,
    snapshot::{Sessions, Snapshot},
};
use crate::{
    io::{
        Acceptor, Arrival, Batch, Bound, Udp,
        connection::{self, Connection, Handler},
        traffic::Traffic,
    },
    pdu::Token,
    snmp::{Datagram, Engine, Received, Source, SystemObjects},
    subagents::dispatch::{ConnectionId, Dispatcher},
};

/// Period of the heartbeat and of the published snapshot.
const BEAT: Duration = Duration::from_millis(500);
/// Longest time to close all sessions at shutdown. The whole process ends within a second.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(800);
/// Pause after a failed accept or receive, for example when file descriptors or memory run out.
const FAILURE_PAUSE: Duration = Duration::from_millis(100);
/// How many batches of datagrams are received before other tasks run.
const BATCHES: usize = 8;
/// How many unused framers are kept for the next connection that is read.
const FRAMERS: usize = 4;

/// Everything that the agent thread owns.
pub struct Parts {
    /// Answers managers. `None` on a standby replica, until [`Command::Activate`].
    pub engine: Option<Engine>,
    /// Sends requests to subagents.
    pub dispatcher: Dispatcher<SystemObjects>,
    /// The bound sockets of managers and subagents.
    pub bound: Bound,
    /// Connections over TLS after their handshake. `None` without a TLS listener.
    pub arrivals: Option<mpsc::Receiver<Arrival>>,
    /// Commands from other threads.
    pub commands: mpsc::Receiver<Command>,
    /// Counters of the sockets.
    pub traffic: Arc<Traffic>,
    /// The published snapshot, replaced twice a second.
    pub snapshot: Arc<Mutex<Snapshot>>,
    /// Shows the watchdog twice a second that the thread runs.
    pub heartbeat: Heartbeat,
}

/// The engine and the dispatcher.
struct State {
    /// `None` on a standby replica.
    engine: Option<Engine>,
    /// The last token of the previous engine.
    last_token: Token,
    dispatcher: Dispatcher<SystemObjects>,
}

impl State {
    fn remove_engine(&mut self) {
        if let Some(engine) = self.engine.take() {
            self.last_token = engine.last_token();
        }
    }
}

/// The agent, shared by the tasks of its thread. No borrow is held across an await point.
pub(crate) struct Agent {
    state: RefCell<State>,
    udp: Vec<Udp>,
    connections: RefCell<HashMap<ConnectionId, Rc<Connection>>>,
    framers: RefCell<Vec<Framer>>,
    deadline: Deadline,
    traffic: Arc<Traffic>,
}

impl Agent {
    /// Sends the output of the last event to subagents and managers.
    fn flush(&self, state: &mut State, now: Instant) {
        let connections = self.connections.borrow();
        while let Some(id) = state.dispatcher.next_ready() {
            if let (Some(connection), Some(output)) = (connections.get(&id), state.dispatcher.output(id)) {
                connection.send(output);
            }
        }
        while let Some(answer) = state.dispatcher.next_answer() {
            if let Some(datagram) = state.engine.as_mut().and_then(|engine| engine.answer(answer, now)) {
                self.send_datagram(&datagram);
            }
        }
        self.deadline.set(state.dispatcher.deadline());
    }

    fn send_datagram(&self, datagram: &Datagram) {
        let Source { address, listener, local } = datagram.to;
        match self.udp.get(listener).map(|udp| udp.send(local, address, &datagram.octets)) {
            Some(Ok(())) => self.traffic.datagrams_out.increment(),
            Some(Err(error)) => {
                self.traffic.send_failures.increment();
                tracing::debug!(%address, octets = datagram.octets.len(), %error, "failed to send a response");
            }
            None => {}
        }
    }

    /// Serves one of the UDP sockets. Never returns.
    async fn serve_udp(self: Rc<Self>, listener: usize) {
        let Some(udp) = self.udp.get(listener) else { return };
        let mut batch = Batch::default();
        loop {
            let received = match udp.readable().await {
                Ok(()) => (0..BATCHES).try_for_each(|_| self.receive_batch(udp, listener, &mut batch)),
                Err(error) => Err(error),
            };
            match received {
                // More datagrams wait. Other tasks run first.
                Ok(()) => yield_now().await,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    self.traffic.receive_failures.increment();
                    tracing::debug!(%error, "failed to receive datagrams");
                    sleep(FAILURE_PAUSE).await;
                }
            }
        }
    }

    /// Receives and handles a batch of datagrams.
    ///
    /// # Errors
    /// Returns `WouldBlock` if no more datagrams wait, or the error of the system call.
    fn receive_batch(&self, udp: &Udp, listener: usize, batch: &mut Batch) -> io::Result<()> {
        let now = Instant::now();
        let mut state = self.state.borrow_mut();
        let State { engine, dispatcher, .. } = &mut *state;
        let more = udp.receive(batch, |datagram| {
            self.traffic.datagrams_in.increment();
            let Some(engine) = engine else { return self.traffic.datagrams_standby.increment() };
            let from = Source { address: datagram.from, listener, local: datagram.to };
            match engine.receive(from, datagram.octets, now) {
                Received::Request(request) => dispatcher.request(request, now),
                Received::Reply(reply) => self.send_datagram(&reply),
                Received::Nothing => {}
            }
        });
        self.flush(&mut state, now);
        if more? { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }

    /// Calls the dispatcher at each of its deadlines. Never returns.
    async fn run_timers(self: Rc<Self>) {
        loop {
            self.deadline.expired().await;
            let now = Instant::now();
            let mut state = self.state.borrow_mut();
            state.dispatcher.tick(now);
            self.flush(&mut state, now);
        }
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot::of(&self.state.borrow().dispatcher)
    }

    fn execute(&self, command: Command) {
        let mut state = self.state.borrow_mut();
        match command {
            Command::SetLimits(limits) => {
                state.dispatcher.set_limits(&limits);
                // Kept framers enforce the old limit of PDU octets.
                self.framers.borrow_mut().clear();
            }
            Command::SetGrants(grants) => {
                let now = Instant::now();
                state.dispatcher.set_grants(*grants, now);
                self.flush(&mut state, now);
            }
            // The caller may have timed out.
            Command::Sessions(reply) => _ = reply.send(Sessions::of(&state.dispatcher, Instant::now())),
            Command::Activate(active) => {
                let ActiveEngine { engine, objects, started } = *active;
                state.remove_engine();
                state.engine = Some(engine.with_tokens_after(state.last_token));
                state.dispatcher.restart_engine(objects, started);
            }
            Command::Deactivate(done) => {
                state.remove_engine();
                _ = done.send(());
            }
            Command::Published { known_revision, reply } => {
                let revision = state.dispatcher.revision();
                let published = (known_revision != Some(revision)).then(|| state.dispatcher.published().collect());
                _ = reply.send((revision, published));
            }
        }
    }

    /// Adds a connection. Returns `None` if the limit of connections is reached.
    ///
    /// # Errors
    /// Returns an error if the socket cannot be watched.
    fn connect(&self, arrival: Arrival) -> io::Result<Option<(ConnectionId, Rc<Connection>)>> {
        let peer = arrival.peer.clone();
        let mut connections = self.connections.borrow_mut();
        let dispatcher = &mut self.state.borrow_mut().dispatcher;
        if connections.len() as u64 >= u64::from(dispatcher.limits().sessions) {
            self.traffic.connections_refused.increment();
            tracing::debug!(%peer, "refused a connection: the limit of sessions is reached");
            return Ok(None);
        }
        let connection = Rc::new(Connection::new(arrival)?);
        self.traffic.connections.increment();
        let id = dispatcher.connect(peer, Instant::now());
        connections.insert(id, Rc::clone(&connection));
        Ok(Some((id, connection)))
    }

    /// Sends Close-PDUs to all subagents.
    fn shut_down(&self) {
        let now = Instant::now();
        let mut state = self.state.borrow_mut();
        state.dispatcher.shut_down(now);
        self.flush(&mut state, now);
    }
}

impl Handler for Agent {
    fn received(&self, id: ConnectionId, framer: &mut Framer) -> bool {
        let now = Instant::now();
        let mut state = self.state.borrow_mut();
        let is_agentx = loop {
            match framer.next_frame() {
                Ok(Some(frame)) => state.dispatcher.receive(id, frame, now),
                Ok(None) => break true,
                Err(_) => {
                    state.dispatcher.close_malformed(id, now);
                    break false;
                }
            }
        };
        self.flush(&mut state, now);
        is_agentx
    }

    fn read_after(&self, id: ConnectionId) -> Option<Instant> {
        self.state.borrow().dispatcher.read_after(id, Instant::now())
    }

    fn continue_sending(&self, id: ConnectionId) {
        let connections = self.connections.borrow();
        if let (Some(connection), Some(output)) = (connections.get(&id), self.state.borrow_mut().dispatcher.output(id))
        {
            connection.continue_sending(output);
        }
    }

    fn disconnected(&self, id: ConnectionId) {
        let now = Instant::now();
        self.connections.borrow_mut().remove(&id);
        let mut state = self.state.borrow_mut();
        state.dispatcher.disconnect(id, now);
        self.flush(&mut state, now);
    }

    fn lend_framer(&self) -> Framer {
        let payload = self.state.borrow().dispatcher.limits().agentx_pdu_octets;
        let kept = self.framers.borrow_mut().pop();
        kept.unwrap_or_else(|| Framer::new(agentx::Limits { payload, ..agentx::Limits::default() }))
    }

    fn return_framer(&self, framer: Framer) {
        let mut framers = self.framers.borrow_mut();
        if framers.len() < FRAMERS {
            framers.push(framer);
        }
    }
}

/// Runs the agent until the drain. Needs a `LocalSet`.
///
/// # Errors
/// Returns an error if the sockets cannot be registered with the runtime.
pub async fn run(parts: Parts, drain: Watcher) -> io::Result<()> {
    // A `LocalSet` polls its main future at every wake-up of any task, so that future has to be cheap.
    match spawn_local(serve(parts, drain)).await {
        Ok(ended) => ended,
        Err(error) => Err(propagate_panic(error)),
    }
}

async fn serve(parts: Parts, mut drain: Watcher) -> io::Result<()> {
    let Parts { engine, dispatcher, bound, arrivals, mut commands, traffic, snapshot, heartbeat } = parts;
    let mut acceptor = Acceptor::new(bound.agentx_unix, bound.agentx_tcp, arrivals)?;
    let agent = Rc::new(Agent {
        state: RefCell::new(State { engine, last_token: Token::default(), dispatcher }),
        udp: bound.snmp.into_iter().map(Udp::new).collect::<io::Result<_>>()?,
        connections: RefCell::default(),
        framers: RefCell::default(),
        deadline: Deadline::default(),
        traffic,
    });
    let mut tasks = JoinSet::new();
    let managers: Vec<_> =
        (0..agent.udp.len()).map(|listener| tasks.spawn_local(Rc::clone(&agent).serve_udp(listener))).collect();
    tasks.spawn_local(Rc::clone(&agent).run_timers());
    let mut beats = interval(BEAT);
    let mut accepts_failed = false;
    loop {
        tokio::select! {
            () = drain.triggered() => break,
            _ = beats.tick() => {
                *snapshot.lock().unwrap_or_else(PoisonError::into_inner) = agent.snapshot();
                heartbeat.beat();
            }
            Some(ended) = tasks.join_next() => {
                if let Err(error) = ended {
                    return Err(propagate_panic(error));
                }
            }
            Some(command) = commands.recv() => agent.execute(command),
            accepted = acceptor.accept() => match accepted.and_then(|arrival| agent.connect(arrival)) {
                Ok(connected) => {
                    accepts_failed = false;
                    if let Some((id, connection)) = connected {
                        tasks.spawn_local(connection::serve(Rc::clone(&agent), id, connection));
                    }
                }
                Err(error) => {
                    agent.traffic.accept_failures.increment();
                    if !std::mem::replace(&mut accepts_failed, true) {
                        tracing::warn!(%error, "failed to accept a connection of a subagent; trying again. Check the limit of open files");
                    }
                    sleep(FAILURE_PAUSE).await;
                }
            },
        }
    }
    drop(acceptor);
    // A manager without a response tries again. After the sessions are closed it would get noSuchObject.
    managers.iter().for_each(AbortHandle::abort);
    agent.shut_down();
    let closed = async {
        while !agent.connections.borrow().is_empty() {
            match tasks.join_next().await {
                Some(Err(error)) if error.is_panic() => return Err(propagate_panic(error)),
                Some(_) => {}
                None => break,
            }
        }
        Ok(())
    };
    if let Ok(closed) = timeout(CLOSE_TIMEOUT, closed).await {
        closed
    } else {
        let open = agent.connections.borrow().len();
        tracing::warn!(open, "shut down before all subagents had read their Close-PDU");
        Ok(())
    }
}

/// Resumes the panic of a task on this thread: the thread does not continue without one of its tasks.
fn propagate_panic(error: JoinError) -> io::Error {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(cancelled) => cancelled.into(),
    }
}
