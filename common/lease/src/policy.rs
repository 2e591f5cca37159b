//! The durations of an election.

use std::time::Duration;

/// The durations of an election. All replicas that compete for a Lease use the same.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// How long the Lease is valid without a renewal.
    pub duration: Duration,
    /// Time between two renewals by the holder.
    pub renew_interval: Duration,
    /// Time between two readings by each of the other replicas.
    pub check_interval: Duration,
    /// Pause after a failed request.
    pub retry_pause: Duration,
    /// Pause after a write that conflicted with the write of another replica.
    pub conflict_pause: Duration,
    /// The longest time that a request to the API server may take.
    pub request_timeout: Duration,
    /// What the holder does when it cannot renew the Lease.
    pub on_renewal_failure: OnRenewalFailure,
}

/// What a holder does when it cannot renew the Lease.
#[derive(Debug, Clone, Copy)]
pub enum OnRenewalFailure {
    /// It stops leading this long after the start of its last successful renewal, and at once when another client has
    /// changed the Lease. This suits a leader that writes objects: two replicas never lead at the same time. The time
    /// is shorter than [`Policy::duration`] by at least the longest write.
    StopAfter(Duration),
    /// It leads until it sees another holder. This suits a leader that has to serve while the API server is
    /// unreachable: no other replica can acquire the Lease then. The holder could not renew it either, so a replica
    /// that has not seen the Lease for longer than `stale_after` observes it for a whole [`Policy::duration`] again
    /// before it takes the Lease.
    Continue {
        /// The maximum age of the last observation.
        stale_after: Duration,
    },
}

impl Policy {
    /// For a leader that writes objects. Two replicas never lead at the same time: a leader stops 10 s after the start
    /// of its last renewal, and a write that it has begun by then is over before the Lease expires.
    pub const EXCLUSIVE: Self = Self {
        duration: Duration::from_secs(15),
        renew_interval: Duration::from_secs(2),
        check_interval: Duration::from_secs(2),
        retry_pause: Duration::from_secs(2),
        conflict_pause: Duration::from_secs(2),
        request_timeout: Duration::from_secs(4),
        on_renewal_failure: OnRenewalFailure::StopAfter(Duration::from_secs(10)),
    };

    /// For a leader that serves while the API server is unreachable. It is replaced within seconds of its death, and
    /// keeps the Lease when two renewals in a row fail.
    pub const CONTINUOUS: Self = Self {
        duration: Duration::from_secs(6),
        renew_interval: Duration::from_secs(2),
        check_interval: Duration::from_millis(500),
        retry_pause: Duration::from_millis(500),
        conflict_pause: Duration::from_millis(100),
        request_timeout: Duration::from_millis(1_500),
        on_renewal_failure: OnRenewalFailure::Continue { stale_after: Duration::from_secs(2) },
    };
}
