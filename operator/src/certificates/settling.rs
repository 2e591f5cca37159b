//! Since when what is written has been there for all to read.
//!
//! That is measured by a clock that does not jump, and from the leader's own start: what another wrote before may have
//! been written a moment ago.

use std::{collections::BTreeMap, time::Duration};

use super::stored::{Authorities, Served};

/// What this process saw stand, and since when. Times are those since any fixed moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Settling {
    trusted: BTreeMap<Vec<u8>, Duration>,
    served: BTreeMap<Vec<u8>, Duration>,
    now: Duration,
}

impl Settling {
    /// Takes note of what stands now.
    pub(super) fn observe<'a>(
        &mut self,
        authorities: Option<&Authorities>,
        served: impl IntoIterator<Item = &'a Served>,
        now: Duration,
    ) {
        self.now = now;
        let trusted =
            authorities.into_iter().flat_map(Authorities::trusted).map(|certificate| certificate.id().to_vec());
        keep(&mut self.trusted, trusted, now);
        keep(&mut self.served, served.into_iter().map(|served| served.leaf.id().to_vec()), now);
    }

    /// How long a CA has been in the bundle.
    pub(super) fn trusted_for(&self, id: &[u8]) -> Option<Duration> {
        self.trusted.get(id).map(|since| self.now.saturating_sub(*since))
    }

    /// How long a server's certificate has been in its Secret.
    pub(super) fn served_for(&self, id: &[u8]) -> Option<Duration> {
        self.served.get(id).map(|since| self.now.saturating_sub(*since))
    }
}

fn keep(seen: &mut BTreeMap<Vec<u8>, Duration>, ids: impl Iterator<Item = Vec<u8>>, now: Duration) {
    let before = std::mem::take(seen);
    seen.extend(ids.map(|id| {
        let since = before.get(&id).copied().unwrap_or(now);
        (id, since)
    }));
}
