//! What happened in a soak: faults, answers, and which of those were wrong.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// How many wrong answers are told in full.
const TOLD: usize = 20;

/// Counts what happens. All actors share it.
#[derive(Debug, Default)]
pub(super) struct Tally {
    answers: AtomicU64,
    wrong: AtomicU64,
    told: Mutex<Vec<String>>,
    faults: Mutex<BTreeMap<String, u64>>,
    /// What is wrong now, by whom.
    present: Mutex<BTreeMap<String, String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tally {
    /// So many variables of answers were checked.
    pub(super) fn checked(&self, variables: usize) {
        self.answers.fetch_add(u64::try_from(variables).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// An answer was wrong, or did not come. The first are kept, with the faults that there were at the time.
    pub(super) fn wrong(&self, what: &str) {
        self.wrong.fetch_add(1, Ordering::Relaxed);
        let mut told = lock(&self.told);
        if told.len() < TOLD {
            let present: Vec<String> =
                lock(&self.present).iter().map(|(who, fault)| format!("{who}: {fault}")).collect();
            told.push(format!("{what}\n    while {}", present.join(", ")));
        }
    }

    /// A fault begins at `place`.
    pub(super) fn begin(&self, place: &str, fault: &str) {
        *lock(&self.faults).entry(fault.to_owned()).or_default() += 1;
        lock(&self.present).insert(place.to_owned(), fault.to_owned());
    }

    /// The fault at `place` is over.
    pub(super) fn end(&self, place: &str) {
        lock(&self.present).remove(place);
    }

    /// How many variables were checked.
    pub(super) fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    /// How many answers were wrong.
    pub(super) fn wrongs(&self) -> u64 {
        self.wrong.load(Ordering::Relaxed)
    }

    /// The first of the wrong answers.
    pub(super) fn told(&self) -> Vec<String> {
        lock(&self.told).clone()
    }

    /// How often each kind of fault was there.
    pub(super) fn faults(&self) -> BTreeMap<String, u64> {
        lock(&self.faults).clone()
    }
}
