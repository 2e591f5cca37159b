//! The agent thread: everything on the way from a manager's datagram to its answer, on one thread.
//!
//! A datagram goes through engine and dispatcher into the subagents' sockets before anything is waited for, and so does
//! a subagent's answer on its way back: one read and one write for each wake-up.

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
use master_config::Limits;
use tokio::{
    sync::{mpsc, oneshot},
    task::{AbortHandle, JoinError, JoinSet, spawn_local, yield_now},
    time::{interval, sleep, timeout},
};

use crate::{
    alarm::Alarm,
    authority::Grants,
    connection::{self, Connection},
    dispatch::{ConnectionId, Dispatcher, Published, Token},
    listener::{Arrival, Batch, Bound, Doors, Udp},
    snmp::{Datagram, Engine, Received, Source, SystemObjects},
    standing::{Sessions, Standing},
    traffic::Traffic,
};

/// How often the thread shows that it runs.
const BEAT: Duration = Duration::from_millis(500);
/// How long the end may take: a process that is told to end does so within a second.
const CLOSE: Duration = Duration::from_millis(800);
/// Pause after an accept or a receive that failed, as for want of file descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);
/// How many batches of datagrams are taken before subagents have their turn.
const BATCHES: usize = 8;
/// How many framers are kept for connections that have read nothing yet.
const FRAMERS: usize = 4;

/// What the main thread asks of the agent thread.
#[derive(Debug)]
pub enum Command {
    /// Other limits hold from now on.
    Limit(Box<Limits>),
    /// Namespaces may publish something else from now on.
    Grant(Box<Grants>),
    /// How do the sessions stand?
    Sessions(oneshot::Sender<Sessions>),
    /// Answer managers from now on.
    Activate(Box<Active>),
    /// Leave managers to another replica. What was asked before is not answered any more.
    Deactivate(oneshot::Sender<()>),
    /// What is published over TLS, unless nothing has changed since this revision?
    Published {
        /// What the asker knows already.
        known: Option<u64>,
        /// The revision, and all registrations if it is another.
        reply: oneshot::Sender<(u64, Option<Vec<Published>>)>,
    },
}

/// What answers managers, while this replica is the active one.
#[derive(Debug)]
pub struct Active {
    /// The engine, in this boot.
    pub engine: Engine,
    /// What it says of itself.
    pub objects: SystemObjects,
    /// When it started.
    pub started: Instant,
}

/// What the agent thread is made of.
pub struct Parts {
    /// Answers managers; `None`: another replica does, until [`Command::Activate`].
    pub engine: Option<Engine>,
    /// Asks subagents.
    pub dispatcher: Dispatcher<SystemObjects>,
    /// Where both come in.
    pub bound: Bound,
    /// Connections by TLS that have shaken hands, if there are any.
    pub arrivals: Option<mpsc::Receiver<Arrival>>,
    /// What the main thread asks.
    pub commands: mpsc::Receiver<Command>,
    /// Counted here.
    pub traffic: Arc<Traffic>,
    /// Set twice a second.
    pub standing: Arc<Mutex<Standing>>,
    /// Beaten twice a second.
    pub heartbeat: Heartbeat,
}

/// What answers requests.
struct State {
    /// None while another replica is active.
    engine: Option<Engine>,
    /// The last that an engine before this one gave.
    last_token: Token,
    dispatcher: Dispatcher<SystemObjects>,
}

impl State {
    fn retire(&mut self) {
        if let Some(engine) = self.engine.take() {
            self.last_token = engine.last_token();
        }
    }
}

/// The agent, shared by the tasks of its thread. Nothing is borrowed while something is waited for.
pub(crate) struct Agent {
    state: RefCell<State>,
    udp: Vec<Udp>,
    connections: RefCell<HashMap<ConnectionId, Rc<Connection>>>,
    framers: RefCell<Vec<Framer>>,
    alarm: Alarm,
    traffic: Arc<Traffic>,
}

impl Agent {
    /// Takes what a subagent has sent. Whether it is AgentX.
    pub(crate) fn received(&self, id: ConnectionId, framer: &mut Framer) -> bool {
        let now = Instant::now();
        let mut state = self.state.borrow_mut();
        let sound = loop {
            match framer.next_frame() {
                Ok(Some(frame)) => state.dispatcher.receive(id, frame, now),
                Ok(None) => break true,
                Err(_) => {
                    state.dispatcher.malformed(id, now);
                    break false;
                }
            }
        };
        self.settle(&mut state, now);
        sound
    }

    /// Until when a connection is not to be read, if so.
    pub(crate) fn read_after(&self, id: ConnectionId) -> Option<Instant> {
        self.state.borrow().dispatcher.read_after(id, Instant::now())
    }

    /// Goes on with what is to be sent on a connection, whose socket has room again.
    pub(crate) fn send_on(&self, id: ConnectionId) {
        let connections = self.connections.borrow();
        if let (Some(connection), Some(output)) = (connections.get(&id), self.state.borrow_mut().dispatcher.output(id))
        {
            connection.send_on(output);
        }
    }

    /// A connection is no more.
    pub(crate) fn disconnected(&self, id: ConnectionId) {
        let now = Instant::now();
        self.connections.borrow_mut().remove(&id);
        let mut state = self.state.borrow_mut();
        state.dispatcher.disconnect(id, now);
        self.settle(&mut state, now);
    }

    /// A framer with nothing in it.
    pub(crate) fn lend_framer(&self) -> Framer {
        let payload = self.state.borrow().dispatcher.limits().agentx_pdu_octets;
        let kept = self.framers.borrow_mut().pop();
        kept.unwrap_or_else(|| Framer::new(agentx::Limits { payload, ..agentx::Limits::default() }))
    }

    /// Takes a framer back that has nothing in it.
    pub(crate) fn return_framer(&self, framer: Framer) {
        let mut framers = self.framers.borrow_mut();
        if framers.len() < FRAMERS {
            framers.push(framer);
        }
    }

    /// Sends what has come of the last event: to subagents, to managers.
    fn settle(&self, state: &mut State, now: Instant) {
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
        self.alarm.set(state.dispatcher.deadline());
    }

    fn send_datagram(&self, datagram: &Datagram) {
        let Source { address, listener, local } = datagram.to;
        match self.udp.get(listener).map(|udp| udp.send(local, address, &datagram.octets)) {
            Some(Ok(())) => self.traffic.datagrams_out.increment(),
            Some(Err(error)) => {
                self.traffic.send_failures.increment();
                tracing::debug!(%address, octets = datagram.octets.len(), %error, "an answer cannot be sent");
            }
            None => {}
        }
    }

    /// Serves one of the UDP sockets, for ever.
    async fn serve_udp(self: Rc<Self>, listener: usize) {
        let Some(udp) = self.udp.get(listener) else { return };
        let mut batch = Batch::default();
        loop {
            let received = match udp.readable().await {
                Ok(()) => (0..BATCHES).try_for_each(|_| self.receive_batch(udp, listener, &mut batch)),
                Err(error) => Err(error),
            };
            match received {
                // There is more, and it waits for the others' turn.
                Ok(()) => yield_now().await,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    self.traffic.receive_failures.increment();
                    tracing::debug!(%error, "datagrams cannot be received");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Takes a batch of datagrams.
    ///
    /// # Errors
    /// `WouldBlock` once no more wait; what else the system has to say.
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
        self.settle(&mut state, now);
        if more? { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }

    /// Tells the dispatcher when its time has come, for ever.
    async fn keep_time(self: Rc<Self>) {
        loop {
            self.alarm.rings().await;
            let now = Instant::now();
            let mut state = self.state.borrow_mut();
            state.dispatcher.tick(now);
            self.settle(&mut state, now);
        }
    }

    fn standing(&self) -> Standing {
        Standing::of(&self.state.borrow().dispatcher)
    }

    fn command(&self, command: Command) {
        let mut state = self.state.borrow_mut();
        match command {
            Command::Limit(limits) => {
                state.dispatcher.limit(&limits);
                // What they hold back was measured by the old limits.
                self.framers.borrow_mut().clear();
            }
            Command::Grant(grants) => {
                let now = Instant::now();
                state.dispatcher.grant(*grants, now);
                self.settle(&mut state, now);
            }
            // Who does not wait for the answer any more does not need it.
            Command::Sessions(reply) => _ = reply.send(Sessions::of(&state.dispatcher, Instant::now())),
            Command::Activate(active) => {
                let Active { engine, objects, started } = *active;
                state.retire();
                state.engine = Some(engine.after(state.last_token));
                state.dispatcher.restart(objects, started);
            }
            Command::Deactivate(done) => {
                state.retire();
                _ = done.send(());
            }
            Command::Published { known, reply } => {
                let revision = state.dispatcher.revision();
                let published = (known != Some(revision)).then(|| state.dispatcher.published().collect());
                _ = reply.send((revision, published));
            }
        }
    }

    /// Takes a connection on, if there is room for one more.
    ///
    /// # Errors
    /// The system's.
    fn connect(&self, arrival: Arrival) -> io::Result<Option<(ConnectionId, Rc<Connection>)>> {
        let peer = arrival.peer.clone();
        let mut connections = self.connections.borrow_mut();
        let dispatcher = &mut self.state.borrow_mut().dispatcher;
        if connections.len() as u64 >= u64::from(dispatcher.limits().sessions) {
            self.traffic.connections_refused.increment();
            tracing::debug!(%peer, "a connection is refused: there are as many as there may be");
            return Ok(None);
        }
        let connection = Rc::new(Connection::new(arrival)?);
        self.traffic.connections.increment();
        let id = dispatcher.connect(peer, Instant::now());
        connections.insert(id, Rc::clone(&connection));
        Ok(Some((id, connection)))
    }

    /// Tells all subagents that their sessions are closed.
    fn shut_down(&self) {
        let now = Instant::now();
        let mut state = self.state.borrow_mut();
        state.dispatcher.shut_down(now);
        self.settle(&mut state, now);
    }
}

/// Runs the agent until the drain, inside a `LocalSet`.
///
/// # Errors
/// The system's, when the sockets cannot be served.
pub async fn run(parts: Parts, drain: Watcher) -> io::Result<()> {
    // What a `LocalSet` is given to run is polled with whatever task was woken: it had better be next to nothing.
    match spawn_local(serve(parts, drain)).await {
        Ok(ended) => ended,
        Err(error) => Err(go_down_with(error)),
    }
}

async fn serve(parts: Parts, mut drain: Watcher) -> io::Result<()> {
    let Parts { engine, dispatcher, bound, arrivals, mut commands, traffic, standing, heartbeat } = parts;
    let mut doors = Doors::open(bound.agentx_unix, bound.agentx_tcp, arrivals)?;
    let agent = Rc::new(Agent {
        state: RefCell::new(State { engine, last_token: Token::default(), dispatcher }),
        udp: bound.snmp.into_iter().map(Udp::new).collect::<io::Result<_>>()?,
        connections: RefCell::default(),
        framers: RefCell::default(),
        alarm: Alarm::default(),
        traffic,
    });
    let mut tasks = JoinSet::new();
    let managers: Vec<_> =
        (0..agent.udp.len()).map(|listener| tasks.spawn_local(Rc::clone(&agent).serve_udp(listener))).collect();
    tasks.spawn_local(Rc::clone(&agent).keep_time());
    let mut beats = interval(BEAT);
    let mut accepts_failed = false;
    loop {
        tokio::select! {
            () = drain.triggered() => break,
            _ = beats.tick() => {
                *standing.lock().unwrap_or_else(PoisonError::into_inner) = agent.standing();
                heartbeat.beat();
            }
            Some(ended) = tasks.join_next() => {
                if let Err(error) = ended {
                    return Err(go_down_with(error));
                }
            }
            Some(command) = commands.recv() => agent.command(command),
            accepted = doors.accept() => match accepted.and_then(|arrival| agent.connect(arrival)) {
                Ok(connected) => {
                    accepts_failed = false;
                    if let Some((id, connection)) = connected {
                        tasks.spawn_local(connection::serve(Rc::clone(&agent), id, connection));
                    }
                }
                Err(error) => {
                    agent.traffic.accept_failures.increment();
                    if !std::mem::replace(&mut accepts_failed, true) {
                        tracing::warn!(%error, "a subagent's connection cannot be accepted");
                    }
                    sleep(PAUSE).await;
                }
            },
        }
    }
    drop(doors);
    // Better no answer, and a manager that tries again, than one that everything is gone.
    managers.iter().for_each(AbortHandle::abort);
    agent.shut_down();
    let closed = async {
        while !agent.connections.borrow().is_empty() {
            match tasks.join_next().await {
                Some(Err(error)) if error.is_panic() => return Err(go_down_with(error)),
                Some(_) => {}
                None => break,
            }
        }
        Ok(())
    };
    if let Ok(closed) = timeout(CLOSE, closed).await {
        closed
    } else {
        let open = agent.connections.borrow().len();
        tracing::warn!(open, "subagents did not read that their sessions are closed");
        Ok(())
    }
}

/// A defect in one task is one of the whole thread: it does not go on with half of its parts.
fn go_down_with(error: JoinError) -> io::Error {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(cancelled) => cancelled.into(),
    }
}
