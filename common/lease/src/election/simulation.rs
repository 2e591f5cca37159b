//! Replicas in an election on a simulated API server and simulated clocks: invariants under random faults.

use std::ops::Range;

use proptest::prelude::*;

use super::*;

/// A step of the simulation, in milliseconds of real time.
const STEP: u64 = 10;

/// A fault of a replica.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// It is killed, and started again after this time.
    Killed(u64),
    /// It shuts down gracefully, and is started again after this time.
    Ended(u64),
    /// Its requests fail for this time.
    CutOff(u64),
}

#[derive(Debug, Clone)]
struct Event {
    at: u64,
    replica: usize,
    fault: Fault,
}

/// A request in progress.
struct Call {
    next: Next,
    /// When it began, on the clock of the replica.
    begun: Instant,
    applies: u64,
    returns: u64,
    /// The answer, once the API server has processed the request.
    answer: Option<Answer>,
}

enum Answer {
    Read(Option<Record>),
    Wrote(Record),
    Conflict,
    Failed,
}

struct Replica {
    name: String,
    election: Option<Election>,
    call: Option<Call>,
    starts: u64,
    cut_off_until: u64,
    /// The speed of its clock, in thousandths of real time.
    pace: u64,
}

struct World {
    policy: Policy,
    epoch: Instant,
    now: u64,
    lease: Option<Record>,
    versions: u64,
    replicas: Vec<Replica>,
    latencies: Vec<u64>,
    calls: usize,
}

impl World {
    fn new(policy: Policy, paces: &[u64], latencies: Vec<u64>) -> Self {
        let replica = |(number, pace): (usize, &u64)| Replica {
            name: format!("replica-{number}"),
            election: None,
            call: None,
            starts: 0,
            cut_off_until: 0,
            pace: *pace,
        };
        let replicas = paces.iter().enumerate().map(replica).collect();
        Self { policy, epoch: Instant::now(), now: 0, lease: None, versions: 0, replicas, latencies, calls: 0 }
    }

    fn inject(&mut self, event: &Event) {
        let now = self.now;
        let replica = &mut self.replicas[event.replica];
        match event.fault {
            Fault::Killed(pause) => {
                (replica.election, replica.call, replica.starts) = (None, None, now + pause);
            }
            Fault::Ended(pause) => {
                replica.starts = now + pause;
                if let Some(election) = &mut replica.election {
                    // A request in progress is cancelled.
                    if replica.call.take().is_some() {
                        election.failed(self.epoch);
                    }
                    election.release();
                }
            }
            Fault::CutOff(time) => replica.cut_off_until = now + time,
        }
    }

    fn step(&mut self) {
        self.now += STEP;
        for number in 0..self.replicas.len() {
            self.act(number);
        }
    }

    fn act(&mut self, number: usize) {
        let (at, cut_off) = (self.now, self.now < self.replicas[number].cut_off_until);
        let local = self.local(number);
        if self.replicas[number].election.is_none() && at >= self.replicas[number].starts {
            let name = self.replicas[number].name.clone();
            self.replicas[number].election = Some(Election::new(name, self.policy));
        }
        let mut call = self.replicas[number].call.take();
        if let Some(call) = &mut call
            && call.answer.is_none()
            && at >= call.applies
        {
            call.answer = Some(if cut_off { Answer::Failed } else { self.apply(&call.next) });
            if cut_off {
                call.returns = at + u64::try_from(self.policy.request_timeout.as_millis()).unwrap();
            }
        }
        let call = match call {
            Some(Call { answer: Some(answer), returns, begun, .. }) if at >= returns => {
                let Some(election) = &mut self.replicas[number].election else { return };
                match answer {
                    Answer::Read(record) => election.read(record, local),
                    Answer::Wrote(record) => election.wrote(record, begun, local),
                    Answer::Conflict => election.conflicted(local),
                    Answer::Failed => election.failed(local),
                }
                None
            }
            in_progress => in_progress,
        };
        let election = self.replicas[number].election.as_ref();
        let next = if call.is_some() { None } else { election.map(|election| election.next(local)) };
        let call = match next {
            None | Some(Next::Wait(_)) => call,
            Some(Next::Done) => {
                self.replicas[number].election = None;
                None
            }
            Some(next) => {
                let (there, back) = (self.latency(), self.latency());
                Some(Call { next, begun: local, applies: at + there, returns: at + there + back, answer: None })
            }
        };
        self.replicas[number].call = call;
    }

    fn latency(&mut self) -> u64 {
        self.calls += 1;
        self.latencies[self.calls % self.latencies.len()]
    }

    /// Processes a request as the API server does.
    fn apply(&mut self, next: &Next) -> Answer {
        let Next::Write(claim) = next else { return Answer::Read(self.lease.clone()) };
        if claim.replaces != self.lease.as_ref().map(|lease| lease.version.clone()) {
            return Answer::Conflict;
        }
        self.versions += 1;
        let record = Record {
            version: self.versions.to_string(),
            holder: claim.holder.clone(),
            duration: self.policy.duration,
            transitions: claim.transitions,
        };
        self.lease = Some(record.clone());
        Answer::Wrote(record)
    }

    fn leaders(&self) -> Vec<&str> {
        let leads = |(number, replica): &(usize, &Replica)| {
            replica.election.as_ref().is_some_and(|election| election.leads(self.local(*number)))
        };
        self.replicas.iter().enumerate().filter(leads).map(|(_, replica)| &*replica.name).collect()
    }

    /// Returns the time on the clock of a replica.
    fn local(&self, number: usize) -> Instant {
        self.epoch + Duration::from_millis(self.now * self.replicas[number].pace / 1_000)
    }
}

/// Clocks that are up to a sixth too slow or too fast.
fn paces() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(1_000 - 166..1_000 + 166_u64, 2..4)
}

/// One-way latencies of requests, in milliseconds.
fn latencies() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(1..300_u64, 1..50)
}

fn events(faults: impl Strategy<Value = Fault>) -> impl Strategy<Value = Vec<Event>> {
    let event = (0..60_000_u64, 0..2_usize, faults).prop_map(|(at, replica, fault)| Event { at, replica, fault });
    prop::collection::vec(event, 0..12)
}

fn pauses() -> Range<u64> {
    0..20_000
}

fn run(world: &mut World, events: &[Event], until: u64, mut check: impl FnMut(&World)) {
    while world.now < until {
        let now = world.now;
        for event in events.iter().filter(|event| (now..now + STEP).contains(&event.at)) {
            world.inject(event);
        }
        world.step();
        check(world);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn there_are_never_two_leaders_while_the_api_server_is_reachable(
        paces in paces(),
        latencies in latencies(),
        events in events(prop_oneof![pauses().prop_map(Fault::Killed), pauses().prop_map(Fault::Ended)]),
    ) {
        let mut world = World::new(Policy::CONTINUOUS, &paces, latencies);
        run(&mut world, &events, 70_000, |world| {
            let leaders = world.leaders();
            assert!(leaders.len() <= 1, "{leaders:?} at {} ms", world.now);
        });
    }

    #[test]
    fn there_is_one_leader_again_ten_seconds_after_the_last_fault(
        paces in paces(),
        latencies in latencies(),
        events in events(prop_oneof![
            pauses().prop_map(Fault::Killed),
            pauses().prop_map(Fault::Ended),
            pauses().prop_map(Fault::CutOff),
        ]),
    ) {
        let mut world = World::new(Policy::CONTINUOUS, &paces, latencies);
        run(&mut world, &events, 80_000, |_| {});
        let mut transitions = None;
        // All are back, and had time for an election.
        run(&mut world, &[], 92_000, |_| {});
        run(&mut world, &[], 120_000, |world| {
            assert_eq!(world.leaders().len(), 1, "at {} ms", world.now);
            let lease = world.lease.as_ref().unwrap();
            assert_eq!(lease.holder.as_deref(), Some(world.leaders()[0]));
            assert_eq!(*transitions.get_or_insert(lease.transitions), lease.transitions, "the leader does not change");
        });
    }

    #[test]
    fn a_killed_leader_is_replaced_within_ten_seconds_and_one_that_shuts_down_within_three(
        paces in paces(),
        latencies in latencies(),
        at in 10_000..20_000_u64,
        is_killed: bool,
    ) {
        let mut world = World::new(Policy::CONTINUOUS, &paces, latencies);
        run(&mut world, &[], at, |_| {});
        let leader = world.leaders()[0].to_owned();
        let replica = world.replicas.iter().position(|replica| replica.name == leader).unwrap();
        let fault = if is_killed { Fault::Killed(1 << 40) } else { Fault::Ended(1 << 40) };
        world.inject(&Event { at, replica, fault });
        let within = if is_killed { 10_000 } else { 3_000 };
        let mut next = None;
        run(&mut world, &[], at + within, |world| next = world.leaders().first().map(|name| (*name).to_owned()));
        prop_assert!(next.is_some_and(|name| name != leader));
    }

    #[test]
    fn a_continuous_leader_stays_the_only_one_while_the_api_server_is_unreachable(
        paces in paces(),
        latencies in latencies(),
        gone in 1_000..100_000_u64,
    ) {
        let mut world = World::new(Policy::CONTINUOUS, &paces, latencies);
        run(&mut world, &[], 10_000, |_| {});
        let leader = world.leaders()[0].to_owned();
        for replica in &mut world.replicas {
            replica.cut_off_until = 10_000 + gone;
        }
        run(&mut world, &[], 10_000 + gone + 20_000, |world| assert_eq!(world.leaders(), [leader.as_str()]));
    }
}

proptest! {
    // It simulates more than twice the time of the others.
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn two_exclusive_replicas_never_lead_at_the_same_time_even_if_they_are_cut_off(
        paces in paces(),
        latencies in latencies(),
        events in events(prop_oneof![
            pauses().prop_map(Fault::Killed),
            pauses().prop_map(Fault::Ended),
            pauses().prop_map(Fault::CutOff),
        ]),
    ) {
        let mut world = World::new(Policy::EXCLUSIVE, &paces, latencies);
        run(&mut world, &events, 100_000, |world| {
            let leaders = world.leaders();
            assert!(leaders.len() <= 1, "{leaders:?} at {} ms", world.now);
        });
        run(&mut world, &[], 120_000, |_| {});
        run(&mut world, &[], 150_000, |world| assert_eq!(world.leaders().len(), 1, "at {} ms", world.now));
    }
}
