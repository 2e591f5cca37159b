//! Counts of what happens in sessions, shared with whoever shows them.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// A count that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts one more.
    pub fn one(&self) {
        self.add(1);
    }

    /// Counts `n` more.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The count.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Defines the counters, and the same names for what they stood at.
macro_rules! counters {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        /// The counters of one master address; they go on over its reconnects.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])+ pub $name: Counter,)+
        }

        /// What [`Counters`] stood at.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
        pub struct Counts {
            $($(#[$doc])+ pub $name: u64,)+
        }

        impl Counters {
            /// What they stand at.
            #[must_use]
            pub fn read(&self) -> Counts {
                Counts { $($name: self.$name.value(),)+ }
            }
        }

        impl Counts {
            /// Every counter's name and value.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)+].into_iter()
            }
        }
    };
}

counters! {
    /// Requests of the master: Get, GetNext, GetBulk and the steps of SETs.
    requests,
    /// Varbinds sent in answers.
    varbinds,
    /// Answers to requests.
    answers,
    /// Requests that came again under a recent packetID, because the master waited too long for the answer.
    resends,
    /// PDUs that do not decode.
    decode_errors,
    /// PDUs that no master should send here: another session's, answers to nothing, those for masters alone.
    unexpected,
    /// Values longer than 65,000 octets that were cut.
    cut_values,
    /// Requests answered with genErr because the answer would have been too long.
    oversized,
    /// Connections made.
    connects,
    /// Connections that could not be made.
    failed_connects,
    /// Connections given up because the master did not answer, did not read, or sent what cannot be understood.
    dropped,
    /// Registrations and capabilities that the master refused, but for those that another session holds.
    refusals,
}
