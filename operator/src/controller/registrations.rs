//! The registrations at the active master, which the leader queries periodically. `Observations`, which interprets the answers,
//! is pure.

mod client;

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    time::Duration,
};

use master_config::Oid;
use tokio::{sync::watch, time::Instant};

use crate::{conditions::Master, leadership::Leadership, metrics::Metrics};
use client::{Client, Registration};

pub(crate) use client::MasterUrl;

/// The time between two queries.
const PERIOD: Duration = Duration::from_millis(1500);
/// How long no master answers before the master counts as unreachable.
const GRACE: Duration = Duration::from_secs(15);
/// How long a registration counts as served after it has disappeared, because another pod needs a moment to take over.
const LINGER: Duration = Duration::from_secs(5);

/// The served regions, by namespace and SNMP context.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Served(BTreeMap<(String, String), Vec<Oid>>);

impl Served {
    /// Returns whether a pod of `namespace` serves a region at or below `base` in `context`.
    #[must_use]
    pub(crate) fn serves(&self, namespace: &str, context: &str, base: &Oid) -> bool {
        let oids = self.0.get(&(namespace.to_owned(), context.to_owned()));
        oids.is_some_and(|oids| {
            // The OIDs are sorted. If any is at or below the base, it is the first that is not less than the base.
            let first = oids.partition_point(|oid| oid < base);
            oids.get(first).is_some_and(|oid| oid.starts_with(base))
        })
    }
}

/// The state of the active master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    /// Whether the master answers.
    pub(crate) master: Master,
    /// The regions that it serves.
    pub(crate) served: Served,
}

/// The registrations in recent answers.
#[derive(Debug, Default)]
struct Observations {
    last_seen: HashMap<(String, String, Oid), Instant>,
    answered: Option<Instant>,
    /// The time of the first query.
    started: Option<Instant>,
}

impl Observations {
    /// Records an answer of the active master.
    fn record(&mut self, registrations: &[Registration], now: Instant) {
        self.answered = Some(now);
        for Registration { namespace, context, subtree, .. } in registrations.iter().filter(|one| one.serving) {
            if let Ok(oid) = subtree.parse() {
                self.last_seen.insert((namespace.clone(), context.clone(), oid), now);
            }
        }
        self.last_seen.retain(|_, seen| now.saturating_duration_since(*seen) <= LINGER);
    }

    /// Returns the state at `now`, after an answer or a failed query.
    fn state(&mut self, now: Instant) -> State {
        let since = self.answered.unwrap_or(*self.started.get_or_insert(now));
        let silent = now.saturating_duration_since(since);
        let master = match self.answered {
            _ if silent > GRACE => Master::Unreachable,
            Some(answered) if answered == now => Master::Reachable,
            _ => Master::Pending,
        };
        let mut served = BTreeMap::<_, Vec<_>>::new();
        for (namespace, context, oid) in self.last_seen.keys() {
            served.entry((namespace.clone(), context.clone())).or_default().push(oid.clone());
        }
        for oids in served.values_mut() {
            oids.sort_unstable();
        }
        State { master, served: Served(served) }
    }
}

/// The address of the masters, and the credentials for queries.
#[derive(Debug)]
pub(crate) struct MasterQuery {
    /// The URL of the masters.
    pub(crate) url: MasterUrl,
    /// The file with the token.
    pub(crate) token: PathBuf,
    /// The CA bundle that verifies the masters.
    pub(crate) ca: watch::Receiver<Option<String>>,
}

/// Returns a channel for the state, with the state before the first query.
#[must_use]
pub(crate) fn channel() -> (watch::Sender<State>, watch::Receiver<State>) {
    watch::channel(State { master: Master::Pending, served: Served::default() })
}

/// Queries the active master while this replica is the leader. Never returns.
pub(crate) async fn run(query: MasterQuery, leadership: Leadership, state: watch::Sender<State>, metrics: Metrics) {
    let MasterQuery { url, token, ca } = query;
    let mut client = Client::new(url, token, ca);
    let mut observations = Observations::default();
    let mut last_error = None;
    loop {
        if leadership.holds() {
            let answer = client.query().await;
            let now = Instant::now();
            let message = answer.as_ref().err().map(ToString::to_string);
            match &answer {
                Ok(registrations) => observations.record(registrations, now),
                Err(error) if last_error != message => {
                    tracing::warn!(%error, "no active master answers; trying again every 1.5 s");
                }
                Err(_) => {}
            }
            last_error = message;
            let new = observations.state(now);
            metrics.master_reachable(new.master == Master::Reachable);
            state.send_if_modified(|old| {
                // A short silence does not change the state.
                if *old == new || (new.master == Master::Pending && old.master != Master::Unreachable) {
                    return false;
                }
                *old = new;
                true
            });
        } else {
            observations = Observations::default();
        }
        tokio::time::sleep(PERIOD).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registration(subtree: &str, serving: bool) -> Registration {
        let (namespace, context) = ("acme".to_owned(), "tenant".to_owned());
        Registration { namespace, context, subtree: subtree.to_owned(), serving }
    }

    fn oid(text: &str) -> Oid {
        text.parse().unwrap()
    }

    #[test]
    fn a_region_at_or_below_the_base_serves_it() {
        let mut observations = Observations::default();
        let now = Instant::now();
        observations.record(&[registration("1.3.6.1.4.1.5.7.10.1", true), registration("1.3.6.1.4.1.8", false)], now);
        let State { master, served } = observations.state(now);
        assert_eq!(master, Master::Reachable);
        assert!(served.serves("acme", "tenant", &oid("1.3.6.1.4.1.5.7")));
        assert!(served.serves("acme", "tenant", &oid("1.3.6.1.4.1.5.7.10.1")));
        for (namespace, context, base) in [
            ("acme", "tenant", "1.3.6.1.4.1.5.7.1"),
            ("acme", "tenant", "1.3.6.1.4.1.8"),
            ("acme", "other", "1.3.6.1.4.1.5.7"),
            ("other", "tenant", "1.3.6.1.4.1.5.7"),
        ] {
            assert!(!served.serves(namespace, context, &oid(base)), "{namespace} {context} {base}");
        }
    }

    #[test]
    fn a_subtree_that_is_taken_over_quickly_stays_served() {
        let mut observations = Observations::default();
        let start = Instant::now();
        let base = oid("1.3.6.1.4.1.5");
        observations.record(&[registration("1.3.6.1.4.1.5", true)], start);
        let after = start + LINGER;
        observations.record(&[], after);
        assert!(observations.state(after).served.serves("acme", "tenant", &base));
        let later = after + Duration::from_millis(1);
        observations.record(&[], later);
        assert!(!observations.state(later).served.serves("acme", "tenant", &base));
    }

    #[test]
    fn a_master_is_unreachable_after_the_grace_period() {
        let mut observations = Observations::default();
        let start = Instant::now();
        assert_eq!(observations.state(start).master, Master::Pending);
        assert_eq!(observations.state(start + GRACE).master, Master::Pending);
        assert_eq!(observations.state(start + GRACE + Duration::from_secs(1)).master, Master::Unreachable);
        let answered = start + GRACE + Duration::from_secs(2);
        observations.record(&[], answered);
        assert_eq!(observations.state(answered).master, Master::Reachable);
        assert_eq!(observations.state(answered + GRACE).master, Master::Pending);
    }
}
