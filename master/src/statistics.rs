//! Counters of the SNMP engine: what snmpEngine, snmp, usmStats and snmpMPDStats show, and `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter that one thread advances and any thread reads.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Where it stands.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
