//! Settling: how long a bundle or certificate has been readable for all programs.
//!
//! The time is measured with a monotonic clock, and from the start of the leader: it cannot know when a previous leader wrote
//! the Secrets.

use std::{collections::BTreeMap, time::Duration};

use super::stored::{Authorities, Served};

/// The certificates that this process has observed, and since when. Times are relative to a fixed moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Settling {
    trusted: BTreeMap<Vec<u8>, Duration>,
    served: BTreeMap<Vec<u8>, Duration>,
    now: Duration,
}

impl Settling {
    /// Records the certificates that exist now.
    pub(super) fn observe<'a>(
        &mut self,
        authorities: Option<&Authorities>,
        served: impl IntoIterator<Item = &'a Served>,
        now: Duration,
    ) {
        self.now = now;
        let trusted =
            authorities.into_iter().flat_map(Authorities::trusted).map(|certificate| certificate.id().to_vec());
        update(&mut self.trusted, trusted, now);
        update(&mut self.served, served.into_iter().map(|served| served.leaf.id().to_vec()), now);
    }

    /// Returns how long a CA has been in the bundle.
    pub(super) fn trusted_for(&self, id: &[u8]) -> Option<Duration> {
        self.trusted.get(id).map(|since| self.now.saturating_sub(*since))
    }

    /// Returns how long a server's certificate has been in its Secret.
    pub(super) fn served_for(&self, id: &[u8]) -> Option<Duration> {
        self.served.get(id).map(|since| self.now.saturating_sub(*since))
    }
}

fn update(seen: &mut BTreeMap<Vec<u8>, Duration>, ids: impl Iterator<Item = Vec<u8>>, now: Duration) {
    let before = std::mem::take(seen);
    seen.extend(ids.map(|id| {
        let since = before.get(&id).copied().unwrap_or(now);
        (id, since)
    }));
}
