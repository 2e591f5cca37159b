//! Replicas that elect among themselves, on an API server and clocks of this test: what always holds, whatever happens.

use std::ops::Range;

use proptest::prelude::*;

use super::*;

/// A step of the simulation, in milliseconds of true time.
const STEP: u64 = 10;
/// When a call that is not answered is given up.
const CALL: u64 = 1_500;

/// What befalls a replica, at some time.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// It is killed, and started anew so much later.
    Killed(u64),
    /// It ends in good order, and is started anew so much later.
    Ended(u64),
    /// Its calls are not answered for so long.
    CutOff(u64),
}

#[derive(Debug, Clone)]
struct Blow {
    at: u64,
    replica: usize,
    fate: Fate,
}

/// A call on its way.
struct Call {
    next: Next,
    applies: u64,
    returns: u64,
    /// Once it was applied.
    answer: Option<Answer>,
}

enum Answer {
    Read(Option<Record>),
    Wrote(Record),
    Forestalled,
    Failed,
}

struct Replica {
    name: String,
    election: Option<Election>,
    call: Option<Call>,
    starts: u64,
    cut_off_until: u64,
    /// How fast its clock goes, in thousandths of the true time.
    pace: u64,
}

struct World {
    epoch: Instant,
    now: u64,
    lease: Option<Record>,
    versions: u64,
    replicas: Vec<Replica>,
    latencies: Vec<u64>,
    calls: usize,
}

impl World {
    fn new(paces: &[u64], latencies: Vec<u64>) -> Self {
        let replica = |(number, pace): (usize, &u64)| Replica {
            name: format!("replica-{number}"),
            election: None,
            call: None,
            starts: 0,
            cut_off_until: 0,
            pace: *pace,
        };
        let replicas = paces.iter().enumerate().map(replica).collect();
        Self { epoch: Instant::now(), now: 0, lease: None, versions: 0, replicas, latencies, calls: 0 }
    }

    fn strike(&mut self, blow: &Blow) {
        let now = self.now;
        let replica = &mut self.replicas[blow.replica];
        match blow.fate {
            Fate::Killed(pause) => {
                (replica.election, replica.call, replica.starts) = (None, None, now + pause);
            }
            Fate::Ended(pause) => {
                replica.starts = now + pause;
                if let Some(election) = &mut replica.election {
                    // A call on its way is given up.
                    if replica.call.take().is_some() {
                        election.failed(self.epoch);
                    }
                    election.give_up();
                }
            }
            Fate::CutOff(time) => replica.cut_off_until = now + time,
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
        let local = self.epoch + Duration::from_millis(at * self.replicas[number].pace / 1_000);
        if self.replicas[number].election.is_none() && at >= self.replicas[number].starts {
            let name = self.replicas[number].name.clone();
            self.replicas[number].election = Some(Election::new(name, TIMING));
        }
        let mut call = self.replicas[number].call.take();
        if let Some(call) = &mut call
            && call.answer.is_none()
            && at >= call.applies
        {
            call.answer = Some(if cut_off { Answer::Failed } else { self.apply(&call.next) });
            if cut_off {
                call.returns = at + CALL;
            }
        }
        let call = match call {
            Some(Call { answer: Some(answer), returns, .. }) if at >= returns => {
                let Some(election) = &mut self.replicas[number].election else { return };
                match answer {
                    Answer::Read(record) => election.read(record, local),
                    Answer::Wrote(record) => election.wrote(record, local),
                    Answer::Forestalled => election.forestalled(local),
                    Answer::Failed => election.failed(local),
                }
                None
            }
            on_its_way => on_its_way,
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
                Some(Call { next, applies: at + there, returns: at + there + back, answer: None })
            }
        };
        self.replicas[number].call = call;
    }

    fn latency(&mut self) -> u64 {
        self.calls += 1;
        self.latencies[self.calls % self.latencies.len()]
    }

    /// As the API server does it.
    fn apply(&mut self, next: &Next) -> Answer {
        let Next::Write(claim) = next else { return Answer::Read(self.lease.clone()) };
        if claim.over != self.lease.as_ref().map(|lease| lease.version.clone()) {
            return Answer::Forestalled;
        }
        self.versions += 1;
        let record = Record {
            version: self.versions.to_string(),
            holder: claim.holder.clone(),
            lease: TIMING.lease,
            transitions: claim.transitions,
        };
        self.lease = Some(record.clone());
        Answer::Wrote(record)
    }

    fn leaders(&self) -> Vec<&str> {
        let leads = |replica: &&Replica| replica.election.as_ref().is_some_and(Election::leads);
        self.replicas.iter().filter(leads).map(|replica| &*replica.name).collect()
    }
}

/// Clocks that are off by a second in six, either way.
fn paces() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(1_000 - 166..1_000 + 166_u64, 2..4)
}

/// A call goes there, or comes back, in so many milliseconds.
fn latencies() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(1..300_u64, 1..50)
}

fn blows(fates: impl Strategy<Value = Fate>) -> impl Strategy<Value = Vec<Blow>> {
    let blow = (0..60_000_u64, 0..2_usize, fates).prop_map(|(at, replica, fate)| Blow { at, replica, fate });
    prop::collection::vec(blow, 0..12)
}

fn pauses() -> Range<u64> {
    0..20_000
}

fn run(world: &mut World, blows: &[Blow], until: u64, mut check: impl FnMut(&World)) {
    while world.now < until {
        let now = world.now;
        for blow in blows.iter().filter(|blow| (now..now + STEP).contains(&blow.at)) {
            world.strike(blow);
        }
        world.step();
        check(world);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn while_the_api_server_is_reached_there_are_never_two(
        paces in paces(),
        latencies in latencies(),
        blows in blows(prop_oneof![pauses().prop_map(Fate::Killed), pauses().prop_map(Fate::Ended)]),
    ) {
        let mut world = World::new(&paces, latencies);
        run(&mut world, &blows, 70_000, |world| {
            let leaders = world.leaders();
            assert!(leaders.len() <= 1, "{leaders:?} at {} ms", world.now);
        });
    }

    #[test]
    fn there_is_one_again_ten_seconds_after_the_last_thing_that_befell_them(
        paces in paces(),
        latencies in latencies(),
        blows in blows(prop_oneof![
            pauses().prop_map(Fate::Killed),
            pauses().prop_map(Fate::Ended),
            pauses().prop_map(Fate::CutOff),
        ]),
    ) {
        let mut world = World::new(&paces, latencies);
        run(&mut world, &blows, 80_000, |_| {});
        let mut transitions = None;
        // All are back, and have had the time to find each other.
        run(&mut world, &[], 92_000, |_| {});
        run(&mut world, &[], 120_000, |world| {
            assert_eq!(world.leaders().len(), 1, "at {} ms", world.now);
            let lease = world.lease.as_ref().unwrap();
            assert_eq!(lease.holder.as_deref(), Some(world.leaders()[0]));
            assert_eq!(*transitions.get_or_insert(lease.transitions), lease.transitions, "it stays with one");
        });
    }

    #[test]
    fn one_that_is_killed_is_replaced_within_ten_seconds_and_one_that_ends_within_three(
        paces in paces(),
        latencies in latencies(),
        at in 10_000..20_000_u64,
        is_killed: bool,
    ) {
        let mut world = World::new(&paces, latencies);
        run(&mut world, &[], at, |_| {});
        let leader = world.leaders()[0].to_owned();
        let replica = world.replicas.iter().position(|replica| replica.name == leader).unwrap();
        let fate = if is_killed { Fate::Killed(1 << 40) } else { Fate::Ended(1 << 40) };
        world.strike(&Blow { at, replica, fate });
        let within = if is_killed { 10_000 } else { 3_000 };
        let mut next = None;
        run(&mut world, &[], at + within, |world| next = world.leaders().first().map(|name| (*name).to_owned()));
        prop_assert!(next.is_some_and(|name| name != leader));
    }

    #[test]
    fn with_the_api_server_gone_the_active_one_stays_alone(
        paces in paces(),
        latencies in latencies(),
        gone in 1_000..100_000_u64,
    ) {
        let mut world = World::new(&paces, latencies);
        run(&mut world, &[], 10_000, |_| {});
        let leader = world.leaders()[0].to_owned();
        for replica in &mut world.replicas {
            replica.cut_off_until = 10_000 + gone;
        }
        run(&mut world, &[], 10_000 + gone + 20_000, |world| assert_eq!(world.leaders(), [leader.as_str()]));
    }
}
