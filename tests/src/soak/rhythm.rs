//! When faults come, and how long they last.

use std::time::Duration;

use crate::Random;

/// How long each fault lasts at first, when every kind is to be there once.
const FIRST: Duration = Duration::from_millis(1_200);

/// The faults of one actor: at first each of its share one after the other, then any at random.
#[derive(Debug)]
pub(super) struct Rhythm<T> {
    faults: Vec<T>,
    first: Vec<T>,
    random: Random,
}

impl<T: Copy> Rhythm<T> {
    /// Of these `faults`; actor `number` of so many sees its `share` of them first.
    pub(super) fn new(faults: Vec<T>, (number, actors): (usize, usize), random: Random) -> Self {
        let mut first: Vec<T> = faults.iter().copied().skip(number).step_by(actors.max(1)).collect();
        first.reverse();
        Self { faults, first, random }
    }

    /// The next fault: how long until it comes, which, and for how long.
    pub(super) fn next(&mut self) -> Option<(Duration, T, Duration)> {
        if let Some(fault) = self.first.pop() {
            return Some((Duration::from_millis(200), fault, FIRST));
        }
        let seconds = Duration::from_secs;
        let pause = self.random.between(seconds(1), seconds(15));
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
