//! The delivery of notifications: the sockets, the names and the timers of all targets. The decisions are in
//! [`TargetMachine`].

mod address;
mod link;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    io::{self, ErrorKind},
    sync::Arc,
    time::{Duration, Instant},
};

use async_snmp::v3::CryptoError;
use master_config::{Context, IpNet, Target, User};
use tokio::{sync::mpsc, task::JoinSet, time::sleep_until};

use self::{address::Resolver, link::Socket};
use super::{
    counts::Counts,
    event::Event,
    queue::Namespace,
    status::TargetStatuses,
    target::{Link, Local, Output, Tallies, TargetMachine, start_event},
};
use crate::snmp::{EngineIdentity, Keys, Sealer};

/// Maximum memory of the queues of all targets, in octets.
const MAX_OCTETS: usize = 64 << 20;
/// Messages that a target sends before the others have their turn.
const BATCH: usize = 64;
/// Capacity of the channel of what the sockets receive.
const ARRIVALS: usize = 1_024;
/// Interval between two updates of the published states.
const STATUS_INTERVAL: Duration = Duration::from_millis(250);

/// Namespace and name of a target.
type Key = (String, String);
/// The networks to which notifications of each context may be sent.
type AllowedTargets = HashMap<String, Vec<IpNet>>;

/// What a socket has received.
#[derive(Debug)]
enum Arrival {
    /// A datagram of the target's address.
    Datagram(Vec<u8>),
    /// The address refused an earlier message (ICMP).
    Refused,
}

/// The result of a job outside of the loop.
#[derive(Debug)]
enum Done {
    /// A name was looked up.
    Resolved(Key, Result<Vec<std::net::IpAddr>, String>),
    /// The keys of a user were derived for an engine id. A user without authentication has none.
    Derived(Key, Vec<u8>, Result<Option<Arc<Keys>>, CryptoError>),
}

/// A target with its socket.
#[derive(Debug)]
struct Slot {
    machine: TargetMachine,
    socket: Option<Socket>,
    address: address::Lookup,
}

/// The delivery to all targets. Needs a `LocalSet`.
pub(crate) struct Delivery {
    slots: BTreeMap<Key, Slot>,
    allowed: AllowedTargets,
    /// The engine and its start, while this replica is active.
    local: Option<Local>,
    engine: Option<EngineIdentity>,
    resolver: Resolver,
    jobs: JoinSet<Done>,
    /// Derivations that wait. They run one after the other, because each takes milliseconds of a processor.
    derivations: VecDeque<(Key, Arc<User>, Vec<u8>)>,
    is_deriving: bool,
    arrivals: mpsc::Receiver<(Key, Arrival)>,
    sender: mpsc::Sender<(Key, Arrival)>,
    statuses: TargetStatuses,
    next_status: Instant,
    /// The counters of targets that were removed.
    removed: Counts,
}

impl Delivery {
    /// Creates a delivery without targets. `statuses` shows their state to other threads.
    pub(crate) fn new(statuses: TargetStatuses) -> Self {
        let (sender, arrivals) = mpsc::channel(ARRIVALS);
        Self {
            slots: BTreeMap::new(),
            allowed: HashMap::new(),
            local: None,
            engine: None,
            resolver: Resolver::default(),
            jobs: JoinSet::new(),
            derivations: VecDeque::new(),
            is_deriving: false,
            arrivals,
            sender,
            statuses,
            next_status: Instant::now(),
            removed: Counts::default(),
        }
    }

    /// Replaces the targets. A target that stays keeps its queue.
    pub(crate) fn apply(&mut self, targets: &[Target], contexts: &[Context], engine: &EngineIdentity) {
        let now = Instant::now();
        let networks = |context: &Context| (context.name.clone(), context.allowed_targets.clone());
        self.allowed = contexts.iter().map(networks).collect();
        let wanted: BTreeMap<Key, &Target> = targets.iter().map(|target| (key(target), target)).collect();
        let removed = &mut self.removed;
        self.slots.retain(|key, slot| {
            let stays = wanted.contains_key(key);
            if !stays {
                tracing::info!(namespace = key.0, target = key.1, "removed a target of notifications");
                removed.add(Counts { queued: 0, ..slot.machine.counts() });
            }
            stays
        });
        for (key, target) in wanted {
            match self.slots.get_mut(&key) {
                Some(slot) if slot.machine.config() == target => {}
                Some(slot) => {
                    if slot.machine.config().address != target.address {
                        slot.address = address::Lookup::new(&target.address, now);
                    }
                    slot.machine.reconfigure(target.clone(), now);
                }
                None => {
                    let address = address::Lookup::new(&target.address, now);
                    let machine = TargetMachine::new(target.clone(), now);
                    self.slots.insert(key, Slot { machine, socket: None, address });
                }
            }
        }
        if self.engine.as_ref().is_some_and(|before| before.engine_id != engine.engine_id) {
            self.slots.values_mut().for_each(|slot| slot.machine.reset_security());
        }
        self.engine = Some(engine.clone());
        // Networks may have changed.
        self.connect_all();
        self.next_status = now;
    }

    /// Starts or stops sending. `started` is when the engine started: sysUpTime is 0.
    pub(crate) fn set_active(&mut self, active: bool, started: Instant) {
        let now = Instant::now();
        self.next_status = now;
        if !active {
            self.local = None;
            self.slots.values_mut().for_each(|slot| {
                slot.machine.clear();
                slot.socket = None;
                slot.machine.set_link(Link::Connecting);
            });
            return;
        }
        let Some(engine) = self.engine.clone() else { return };
        match Sealer::new(engine.boots) {
            Ok(sealer) => {
                let start = start_event(engine.boots, started, now);
                let (address, tallies) = (None, Tallies::new());
                self.local = Some(Local { engine, started, sealer, address, tallies });
                self.slots.values_mut().for_each(|slot| {
                    slot.machine.reset_security();
                    slot.machine.offer_agent_event(&start, now);
                });
                self.connect_all();
            }
            Err(error) => tracing::error!(%error, "cannot send notifications"),
        }
    }

    /// Sets the numbers of alarms, which heartbeats show.
    pub(crate) fn set_tallies(&mut self, tallies: Tallies) {
        if let Some(local) = &mut self.local {
            local.tallies = tallies;
        }
    }

    /// Returns whether this replica is active.
    pub(crate) fn is_active(&self) -> bool {
        self.local.is_some()
    }

    /// Queues the event for all targets that receive it. Does nothing on standby.
    pub(crate) fn offer(&mut self, event: &Arc<Event>) {
        if self.local.is_none() {
            return;
        }
        let now = Instant::now();
        self.slots.values_mut().for_each(|slot| slot.machine.offer(event, now));
        self.evict();
    }

    /// Drops notifications of the namespace that takes the most memory while all queues together take too much.
    fn evict(&mut self) {
        let total =
            |slots: &BTreeMap<Key, Slot>| -> usize { slots.values().map(|slot| slot.machine.queue().octets()).sum() };
        while total(&self.slots) > MAX_OCTETS {
            let mut shares = HashMap::<Namespace, usize>::new();
            for (namespace, octets) in self.slots.values().flat_map(|slot| slot.machine.queue().shares()) {
                *shares.entry(namespace.clone()).or_default() += octets;
            }
            let Some((largest, _)) = shares.into_iter().max_by_key(|(_, octets)| *octets) else { return };
            let of_largest = |slot: &Slot| {
                slot.machine
                    .queue()
                    .shares()
                    .find(|(namespace, _)| **namespace == largest)
                    .map_or(0, |(_, octets)| octets)
            };
            let Some(slot) = self.slots.values_mut().max_by_key(|slot| of_largest(slot)) else { return };
            if !slot.machine.evict(&largest) {
                return;
            }
        }
    }

    /// Sends what is due, and waits until something happens. Cancel safe.
    pub(crate) async fn run(&mut self) {
        let now = Instant::now();
        let (mut more, mut blocked) = (false, false);
        if self.local.is_some() {
            self.resolve_due(now);
            let keys: Vec<_> = self.slots.keys().cloned().collect();
            for key in &keys {
                match self.pump(key, now) {
                    Pumped::More => more = true,
                    Pumped::Blocked => blocked = true,
                    Pumped::Done => {}
                }
            }
            self.derive_next();
        }
        self.publish(now);
        if more {
            return tokio::task::yield_now().await;
        }
        let mut deadline = self.deadline(now);
        if blocked {
            deadline = Some(now + Duration::from_millis(5));
        }
        let wait = async {
            match deadline {
                Some(deadline) => sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = wait => {}
            Some((key, arrival)) = self.arrivals.recv() => self.arrived(&key, &arrival),
            Some(done) = self.jobs.join_next() => match done {
                Ok(done) => self.done(done),
                Err(error) => tracing::error!(%error, "a job for a target of notifications failed"),
            },
        }
    }

    /// Sends what is due to a target.
    fn pump(&mut self, key: &Key, now: Instant) -> Pumped {
        let (Some(slot), Some(local)) = (self.slots.get_mut(key), &mut self.local) else { return Pumped::Done };
        for _ in 0..BATCH {
            match slot.machine.poll(local, now) {
                None => return Pumped::Done,
                Some(Output::Derive(user, engine_id)) => self.derivations.push_back((key.clone(), user, engine_id)),
                Some(Output::Send(message)) => {
                    let Some(socket) = &slot.socket else { return Pumped::Done };
                    match socket.send(&message.datagram) {
                        Ok(()) => slot.machine.sent(&message, now),
                        Err(error) if error.kind() == ErrorKind::WouldBlock => return Pumped::Blocked,
                        Err(error) if error.raw_os_error() == Some(nix::libc::EMSGSIZE) => {
                            slot.machine.not_sent(&message, now);
                        }
                        Err(error) => {
                            slot.fail(&error, now);
                            return Pumped::Done;
                        }
                    }
                }
            }
        }
        Pumped::More
    }

    /// Returns when [`Self::run`] has something to do without an arrival.
    fn deadline(&self, now: Instant) -> Option<Instant> {
        self.local.as_ref()?;
        let of_slot = |slot: &Slot| [slot.machine.deadline(now), slot.address.due(slot.machine.is_down())];
        let deadlines = self.slots.values().flat_map(of_slot).chain([self.statuses_due(now)]);
        deadlines.flatten().min()
    }

    fn statuses_due(&self, now: Instant) -> Option<Instant> {
        (self.next_status > now && !self.slots.is_empty()).then_some(self.next_status)
    }

    /// Publishes the state of the targets, but not too often.
    fn publish(&mut self, now: Instant) {
        if now < self.next_status {
            return;
        }
        self.next_status = now + STATUS_INTERVAL;
        let (mut statuses, mut totals) = (Vec::with_capacity(self.slots.len()), self.removed);
        for slot in self.slots.values() {
            totals.add(slot.machine.counts());
            statuses.push(slot.machine.status(now));
        }
        self.statuses.set(statuses, totals);
    }

    fn arrived(&mut self, key: &Key, arrival: &Arrival) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        match arrival {
            Arrival::Datagram(datagram) => slot.machine.received(datagram, Instant::now()),
            Arrival::Refused => slot.machine.refused(Instant::now()),
        }
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Resolved(key, resolved) => {
                if let Some(slot) = self.slots.get_mut(&key) {
                    slot.address.resolved(resolved, Instant::now());
                    self.connect(&key);
                }
            }
            Done::Derived(key, engine_id, keys) => {
                self.is_deriving = false;
                match (self.slots.get_mut(&key), keys) {
                    (Some(slot), Ok(keys)) => slot.machine.derived(&engine_id, keys),
                    (None, Ok(_)) => {}
                    (_, Err(error)) => tracing::error!(
                        namespace = key.0,
                        target = key.1,
                        %error,
                        "failed to derive the keys of a target's user; it receives no notifications"
                    ),
                }
            }
        }
    }

    /// Looks up the names that are due.
    fn resolve_due(&mut self, now: Instant) {
        let mut connect = Vec::new();
        for (key, slot) in &mut self.slots {
            let is_down = slot.machine.is_down();
            if slot.address.due(is_down).is_none_or(|due| due > now) {
                continue;
            }
            match slot.address.start() {
                Some(host) => {
                    let (key, host, resolver) = (key.clone(), host.to_owned(), self.resolver.clone());
                    self.jobs.spawn(async move { Done::Resolved(key, resolver.resolve(&host).await) });
                }
                None => connect.push(key.clone()),
            }
        }
        for key in &connect {
            self.connect(key);
        }
    }

    fn derive_next(&mut self) {
        if self.is_deriving {
            return;
        }
        let Some((key, user, engine_id)) = self.derivations.pop_front() else { return };
        self.is_deriving = true;
        self.jobs.spawn_blocking(move || {
            let keys = Keys::derive_for(&user, &engine_id);
            Done::Derived(key, engine_id, keys.map(|keys| keys.map(Arc::new)))
        });
    }

    fn connect_all(&mut self) {
        let keys: Vec<_> = self.slots.keys().cloned().collect();
        for key in &keys {
            self.connect(key);
        }
    }

    /// Connects a target to the first of its addresses that is allowed, unless it is connected to that one.
    fn connect(&mut self, key: &Key) {
        let Some(slot) = self.slots.get_mut(key).filter(|_| self.local.is_some()) else { return };
        let Some(found) = slot.address.choose(slot.machine.config(), &self.allowed) else { return };
        let address = match found {
            Ok(address) => address,
            Err((readiness, message)) => {
                slot.socket = None;
                return slot.machine.set_link(Link::Failed(readiness, message));
            }
        };
        if slot.socket.as_ref().is_some_and(|socket| socket.address() == address) {
            return;
        }
        let (own, sender) = (key.clone(), self.sender.clone());
        match Socket::connect(address, own, sender) {
            Ok(socket) => {
                tracing::debug!(namespace = key.0, target = key.1, %address, "connected a target of notifications");
                slot.socket = Some(socket);
                slot.machine.set_link(Link::Connected(address));
            }
            Err(error) => slot.fail(&error, Instant::now()),
        }
    }
}

/// How far the messages of a target have been sent.
enum Pumped {
    Done,
    More,
    /// The socket takes no more at the moment.
    Blocked,
}

impl Slot {
    /// Closes the socket. The target is connected again after a while.
    fn fail(&mut self, error: &io::Error, now: Instant) {
        self.socket = None;
        self.address.retry(now);
        let message = format!("cannot send to the address: {error}");
        self.machine.set_link(Link::Failed(super::status::Readiness::NoAnswer, message));
    }
}

fn key(target: &Target) -> Key {
    (target.namespace.clone(), target.name.clone())
}
