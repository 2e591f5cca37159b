//! The times and durations of faults.

use std::time::Duration;

use crate::Random;

/// The duration of each fault in the first phase, in which every kind occurs once.
const FIRST: Duration = Duration::from_millis(1_200);
/// The duration of the faults that cost the most memory, which occur at all actors at the same time.
const HEAVY: Duration = Duration::from_secs(3);

/// The faults of one actor. First, the faults that cost the most memory occur at all actors at the same time: the allocator
/// may keep that memory, so it must be part of the memory with which all later memory is compared. Then each of the actor's
/// share of all faults occurs once. After that, faults occur at random.
#[derive(Debug)]
pub(super) struct FaultSchedule<T> {
    faults: Vec<T>,
    first: Vec<(T, Duration)>,
    random: Random,
}

impl<T: Copy> FaultSchedule<T> {
    /// Returns the schedule of actor `number` of `actors`. `heavy` are the faults that cost the most memory.
    pub(super) fn new(faults: Vec<T>, heavy: &[T], (number, actors): (usize, usize), random: Random) -> Self {
        let share = faults.iter().copied().skip(number).step_by(actors.max(1)).map(|fault| (fault, FIRST));
        let mut first: Vec<_> = heavy.iter().map(|fault| (*fault, HEAVY)).chain(share).collect();
        first.reverse();
        Self { faults, first, random }
    }

    /// Returns the next fault: the pause before it, the fault, and its duration.
    pub(super) fn next(&mut self) -> Option<(Duration, T, Duration)> {
        if let Some((fault, lasts)) = self.first.pop() {
            return Some((Duration::from_millis(200), fault, lasts));
        }
        let seconds = Duration::from_secs;
        let pause = self.random.between(seconds(1), seconds(10));
        // Most faults are so short that values stay published. Some are so long that values go stale.
        let lasts = if self.random.chance(70) {
            self.random.between(seconds(1), seconds(5))
        } else {
            self.random.between(seconds(12), seconds(28))
        };
        let fault = self.random.pick(&self.faults).copied()?;
        Some((pause, fault, lasts))
    }

    /// Returns the random numbers of the actor for other purposes.
    pub(super) fn random(&mut self) -> &mut Random {
        &mut self.random
    }
}
