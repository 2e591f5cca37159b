//! Counters of the events in sessions.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// A monotonic counter.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds 1.
    pub(crate) fn one(&self) {
        self.add(1);
    }

    /// Adds `n`.
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Returns the value.
    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Defines the counters, and a struct with the same fields for their values.
macro_rules! counters {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        /// The counters of one master address. They continue across reconnects.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $($(#[$doc])+ pub(crate) $name: Counter,)+
        }

        /// The values of [`Counters`].
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
        pub(crate) struct Counts {
            $($(#[$doc])+ pub(crate) $name: u64,)+
        }

        impl Counters {
            /// Returns the current values.
            #[must_use]
            pub(crate) fn read(&self) -> Counts {
                Counts { $($name: self.$name.value(),)+ }
            }
        }

        impl Counts {
            /// Returns every counter's name and value.
            pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)+].into_iter()
            }
        }
    };
}

counters! {
    /// Requests from the master: Get, GetNext, GetBulk and the steps of SETs.
    requests,
    /// Varbinds sent in responses.
    varbinds,
    /// Responses to requests.
    answers,
    /// Requests that repeated a recent packetID because the master had waited too long.
    resends,
    /// PDUs that could not be decoded.
    decode_errors,
    /// PDUs that a master must not send: of another session, responses without a request, and PDUs that only masters handle.
    unexpected,
    /// Values longer than 65,000 octets that were cut.
    cut_values,
    /// Requests answered with genErr because the response would have been too long.
    oversized,
    /// Established connections.
    connects,
    /// Failed connection attempts.
    failed_connects,
    /// Connections closed because the master did not respond, did not read or sent invalid octets.
    dropped,
    /// Registrations and capabilities that the master refused, except regions that another session holds.
    refusals,
}
