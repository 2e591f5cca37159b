//! When faults come, and how long they last.

use std::time::Duration;

use crate::Random;

/// How long each fault lasts at first, when every kind is to be there once.
const FIRST: Duration = Duration::from_millis(1_200);
/// How long the faults last that take the most memory, when they come to all actors at once.
const HEAVY: Duration = Duration::from_secs(3);

/// The faults of one actor. At first come those that take the most memory, to all actors at once: what they once took
/// may stay with the allocator, so the level that memory is compared with has to know them. Then each of the actor's
/// share of all faults, one after the other, and then any at random.
#[derive(Debug)]
pub(super) struct Rhythm<T> {
    faults: Vec<T>,
    first: Vec<(T, Duration)>,
    random: Random,
}

impl<T: Copy> Rhythm<T> {
    /// Of these `faults`, of which some are `heavy`; each actor of so many sees its share of all faults.
    pub(super) fn new(faults: Vec<T>, heavy: &[T], (number, actors): (usize, usize), random: Random) -> Self {
        let share = faults.iter().copied().skip(number).step_by(actors.max(1)).map(|fault| (fault, FIRST));
        let mut first: Vec<_> = heavy.iter().map(|fault| (*fault, HEAVY)).chain(share).collect();
        first.reverse();
        Self { faults, first, random }
    }

    /// The next fault: how long until it comes, which, and for how long.
    pub(super) fn next(&mut self) -> Option<(Duration, T, Duration)> {
        if let Some((fault, lasts)) = self.first.pop() {
            return Some((Duration::from_millis(200), fault, lasts));
        }
        let seconds = Duration::from_secs;
        let pause = self.random.between(seconds(1), seconds(10));
        // Most are short enough for values to stand; some are long enough for them to go stale.
        let lasts = if self.random.chance(70) {
            self.random.between(seconds(1), seconds(5))
        } else {
            self.random.between(seconds(12), seconds(28))
        };
        let fault = self.random.pick(&self.faults).copied()?;
        Some((pause, fault, lasts))
    }

    /// The actor's other draws.
    pub(super) fn random(&mut self) -> &mut Random {
        &mut self.random
    }
}
