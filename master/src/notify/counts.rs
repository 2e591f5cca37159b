//! Counters of a target.

/// What happened to the notifications of a target since the start of the master.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Notifications that wait.
    pub(crate) queued: u64,
    /// Traps sent, and informs sent for the first time.
    pub(crate) sent: u64,
    /// Informs sent again.
    pub(crate) retried: u64,
    /// Informs acknowledged.
    pub(crate) acknowledged: u64,
    /// Messages that discover the engine of the receiver.
    pub(crate) discoveries: u64,
    /// Notifications dropped because of the bounds that a later one about the same alarm replaces.
    pub(crate) superseded: u64,
    /// Other notifications dropped because of the bounds.
    pub(crate) overflowed: u64,
    /// Notifications dropped because of their age.
    pub(crate) expired: u64,
    /// Notifications that cannot be encoded or sent.
    pub(crate) unsendable: u64,
    /// Notifications sent without the varbinds that describe the alarm, because the message would be too long.
    pub(crate) details_omitted: u64,
    /// Objects left out because the message would be too long.
    pub(crate) objects_omitted: u64,
    /// Varbinds left out because SNMPv1 has no such type.
    pub(crate) untranslatable: u64,
    /// Datagrams of the receiver that are no valid answer.
    pub(crate) ignored: u64,
}

impl Counts {
    /// Adds the counters of another target.
    pub(crate) fn add(&mut self, other: Self) {
        self.queued += other.queued;
        self.sent += other.sent;
        self.retried += other.retried;
        self.acknowledged += other.acknowledged;
        self.discoveries += other.discoveries;
        self.superseded += other.superseded;
        self.overflowed += other.overflowed;
        self.expired += other.expired;
        self.unsendable += other.unsendable;
        self.details_omitted += other.details_omitted;
        self.objects_omitted += other.objects_omitted;
        self.untranslatable += other.untranslatable;
        self.ignored += other.ignored;
    }

    /// Returns the number of notifications that were dropped.
    pub(crate) fn lost(&self) -> u64 {
        self.superseded + self.overflowed + self.expired + self.unsendable
    }
}
