//! Counters of a soak: faults, checked varbinds and wrong responses.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// How many wrong responses are reported.
const REPORTS: usize = 20;

/// The counters, which all actors share.
#[derive(Debug, Default)]
pub(super) struct Tally {
    varbinds: AtomicU64,
    wrong: AtomicU64,
    reports: Mutex<Vec<String>>,
    faults: Mutex<BTreeMap<String, u64>>,
    /// The current fault of each actor.
    present: Mutex<BTreeMap<String, String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tally {
    /// Counts checked varbinds.
    pub(super) fn count_varbinds(&self, varbinds: usize) {
        self.varbinds.fetch_add(u64::try_from(varbinds).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Counts a wrong or missing response. The first of them are reported, with the current faults.
    pub(super) fn record_wrong(&self, what: &str) {
        self.wrong.fetch_add(1, Ordering::Relaxed);
        let mut reports = lock(&self.reports);
        if reports.len() < REPORTS {
            let present: Vec<String> =
                lock(&self.present).iter().map(|(actor, fault)| format!("{actor}: {fault}")).collect();
            reports.push(format!("{what}\n    while {}", present.join(", ")));
        }
    }

    /// Records that a fault of `actor` begins.
    pub(super) fn begin_fault(&self, actor: &str, fault: &str) {
        *lock(&self.faults).entry(fault.to_owned()).or_default() += 1;
        lock(&self.present).insert(actor.to_owned(), fault.to_owned());
    }

    /// Records that the fault of `actor` is over.
    pub(super) fn end_fault(&self, actor: &str) {
        lock(&self.present).remove(actor);
    }

    /// Returns the number of checked varbinds.
    pub(super) fn varbinds(&self) -> u64 {
        self.varbinds.load(Ordering::Relaxed)
    }

    /// Returns the number of wrong responses.
    pub(super) fn wrong_responses(&self) -> u64 {
        self.wrong.load(Ordering::Relaxed)
    }

    /// Returns the reports of the first wrong responses.
    pub(super) fn reports(&self) -> Vec<String> {
        lock(&self.reports).clone()
    }

    /// Returns how often each kind of fault occurred.
    pub(super) fn faults(&self) -> BTreeMap<String, u64> {
        lock(&self.faults).clone()
    }
}
