//! Compares the book with a simple model: pods that evaluate their rules, one of which serves, under random orders,
//! duplicates and restarts.

use std::collections::BTreeMap;

use notification::State;
use proptest::prelude::*;

use super::harness::{Harness, Pod};

/// Objects of the model.
const OBJECTS: u32 = 4;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// A pod raises or clears an alarm.
    Turn { pod: usize, object: u32 },
    /// A pod sends everything that it has raised again.
    Replay { pod: usize },
    /// A pod ends, and the other one serves. It comes back without a memory.
    Restart { pod: usize },
    /// The session of a pod ends, and the pod opens another one at once.
    Reconnect { pod: usize },
    /// Time passes, not long enough to clear anything.
    Wait,
}

fn step() -> impl Strategy<Value = Step> {
    let pod = 0_usize..2;
    prop_oneof![
        6 => (pod.clone(), 0..OBJECTS).prop_map(|(pod, object)| Step::Turn { pod, object }),
        2 => pod.clone().prop_map(|pod| Step::Replay { pod }),
        1 => pod.clone().prop_map(|pod| Step::Restart { pod }),
        1 => pod.prop_map(|pod| Step::Reconnect { pod }),
        1 => Just(Step::Wait),
    ]
}

/// A pod with the alarms that it has raised, by object with their sequences.
struct Sidecar {
    session: Pod,
    raised: BTreeMap<u32, u32>,
    cleared: BTreeMap<u32, u32>,
}

struct World {
    harness: Harness,
    pods: Vec<Sidecar>,
    serving: usize,
    clock: u32,
}

impl World {
    fn new() -> Self {
        let mut harness = Harness::new();
        let pods = [true, false].map(|serves| Sidecar {
            session: harness.open("acme", serves),
            raised: BTreeMap::new(),
            cleared: BTreeMap::new(),
        });
        Self { harness, pods: pods.into(), serving: 0, clock: 1 }
    }

    fn replay(&mut self, pod: usize) {
        let Sidecar { session, raised, cleared } = &self.pods[pod];
        for (object, sequence) in raised {
            self.harness.say(*session, *object, *sequence, State::Raised);
        }
        for (object, sequence) in cleared {
            self.harness.say(*session, *object, sequence - 1, State::Raised);
            self.harness.say(*session, *object, *sequence, State::Cleared);
        }
        let objects: Vec<_> = raised.keys().copied().collect();
        self.harness.sync(*session, &objects, self.serving == pod);
    }

    /// Closes the session of a pod. The other one serves from now on.
    fn leave(&mut self, pod: usize) {
        self.harness.close(self.pods[pod].session);
        if self.serving == pod {
            self.serving = 1 - pod;
            let next = &mut self.pods[1 - pod];
            next.session = next.session.now_serving();
            let objects: Vec<_> = next.raised.keys().copied().collect();
            self.harness.serve(next.session, &objects);
        }
        self.pods[pod].session = self.harness.open("acme", false);
    }

    fn step(&mut self, step: Step) {
        self.clock += 2;
        match step {
            Step::Turn { pod, object } => {
                let Sidecar { session, raised, cleared } = &mut self.pods[pod];
                let state = if raised.remove(&object).is_some() {
                    cleared.insert(object, self.clock);
                    State::Cleared
                } else {
                    cleared.remove(&object);
                    raised.insert(object, self.clock);
                    State::Raised
                };
                self.harness.say(*session, object, self.clock, state);
            }
            Step::Replay { pod } => self.replay(pod),
            Step::Restart { pod } => {
                self.pods[pod].raised.clear();
                self.pods[pod].cleared.clear();
                self.leave(pod);
                self.replay(pod);
            }
            Step::Reconnect { pod } => {
                self.leave(pod);
                self.replay(pod);
            }
            Step::Wait => self.harness.pass(std::time::Duration::from_secs(30)),
        }
    }
}

proptest! {
    #[test]
    fn the_table_shows_what_the_serving_pod_has_raised(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        let mut heard: BTreeMap<u32, u32> = BTreeMap::new();
        world.replay(0);
        world.replay(1);
        for step in steps {
            world.step(step);
            let shown: Vec<_> = world.harness.rows("c").into_iter().map(|(object, _)| object).collect();
            let expected: Vec<_> = world.pods[world.serving].raised.keys().copied().collect();
            prop_assert_eq!(&shown, &expected, "after {:?}", step);
            // Whoever hears all events knows the same, and sequences increase.
            for said in world.harness.events() {
                prop_assert!(heard.get(&said.object).is_none_or(|last| *last / 2 < said.sequence), "{:?}", said);
                heard.insert(said.object, said.sequence * 2 + u32::from(said.state.is_raised()));
            }
            let known: Vec<_> = heard.iter().filter(|(_, last)| *last % 2 == 1).map(|(object, _)| *object).collect();
            prop_assert_eq!(&known, &expected, "heard after {:?}", step);
        }
    }
}
