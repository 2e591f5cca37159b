//! What the active master serves, by its own list of registrations. What is decided is in `Sightings`, pure.

mod client;

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    time::Duration,
};

use master_config::Oid;
use serde::Deserialize;
use tokio::{sync::watch, time::Instant};

use crate::{conditions::Master, leadership::Leadership, metrics::Metrics};
use client::Client;

pub use client::{BadUrl, MasterUrl};

/// Time between two questions.
const PERIOD: Duration = Duration::from_millis(1500);
/// How long a master may be silent before it counts as unreachable.
const GRACE: Duration = Duration::from_secs(15);
/// How long what is registered no more counts as served: a pod that takes over needs a moment.
const LINGER: Duration = Duration::from_secs(5);

/// What is served, by namespace and SNMP context.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Served(BTreeMap<(String, String), Vec<Oid>>);

impl Served {
    /// Whether a pod of `namespace` serves something at or under `base` in `context`.
    #[must_use]
    pub fn serves(&self, namespace: &str, context: &str, base: &Oid) -> bool {
        let oids = self.0.get(&(namespace.to_owned(), context.to_owned()));
        oids.is_some_and(|oids| {
            // Sorted: the first at or after the base is under it, if any is.
            let place = oids.partition_point(|oid| oid < base);
            oids.get(place).is_some_and(|oid| oid.starts_with(base))
        })
    }
}

/// What is known of the active master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Whether it answers.
    pub master: Master,
    /// What it serves.
    pub served: Served,
}

/// A master's answer.
#[derive(Debug, Clone, Deserialize)]
pub struct Answer {
    /// Whether this replica is the active one.
    pub active: bool,
    /// What is registered with it.
    #[serde(default)]
    pub registrations: Vec<Registration>,
}

/// What a pod has registered.
#[derive(Debug, Clone, Deserialize)]
pub struct Registration {
    /// The pod's namespace.
    pub namespace: String,
    /// The SNMP context.
    pub context: String,
    /// The region.
    pub subtree: String,
    /// Whether this one answers, and stands not by behind another.
    pub serving: bool,
}

/// What was seen, and when last.
#[derive(Debug, Default)]
struct Sightings {
    last: HashMap<(String, String, Oid), Instant>,
    answered: Option<Instant>,
    /// Since when someone asks.
    asking: Option<Instant>,
}

impl Sightings {
    /// The active master's answer.
    fn seen(&mut self, registrations: &[Registration], now: Instant) {
        self.answered = Some(now);
        for Registration { namespace, context, subtree, .. } in registrations.iter().filter(|one| one.serving) {
            if let Ok(oid) = subtree.parse() {
                self.last.insert((namespace.clone(), context.clone(), oid), now);
            }
        }
        self.last.retain(|_, seen| now.saturating_duration_since(*seen) <= LINGER);
    }

    /// How things stand, whether or not there was an answer.
    fn state(&mut self, now: Instant) -> State {
        let since = self.answered.unwrap_or(*self.asking.get_or_insert(now));
        let silent = now.saturating_duration_since(since);
        let master = match self.answered {
            _ if silent > GRACE => Master::Unreachable,
            Some(answered) if answered == now => Master::Known,
            _ => Master::Asking,
        };
        let mut served = BTreeMap::<_, Vec<_>>::new();
        for (namespace, context, oid) in self.last.keys() {
            served.entry((namespace.clone(), context.clone())).or_default().push(oid.clone());
        }
        for oids in served.values_mut() {
            oids.sort_unstable();
        }
        State { master, served: Served(served) }
    }
}

/// Where and how to ask.
#[derive(Debug)]
pub struct Asking {
    /// The masters.
    pub url: MasterUrl,
    /// The file of the token.
    pub token: PathBuf,
    /// The certificates to know them by.
    pub ca: watch::Receiver<Option<String>>,
}

/// The state before anyone asked.
#[must_use]
pub fn channel() -> (watch::Sender<State>, watch::Receiver<State>) {
    watch::channel(State { master: Master::Asking, served: Served::default() })
}

/// Asks, as the leader, for as long as the program runs.
pub async fn run(asking: Asking, leadership: Leadership, state: watch::Sender<State>, metrics: Metrics) {
    let Asking { url, token, ca } = asking;
    let mut client = Client::new(url, token, ca);
    let mut sightings = Sightings::default();
    let mut told = None;
    loop {
        if leadership.holds() {
            let answer = client.ask().await;
            let now = Instant::now();
            let said = answer.as_ref().err().map(ToString::to_string);
            match &answer {
                Ok(registrations) => sightings.seen(registrations, now),
                Err(error) if told != said => tracing::warn!(%error, "no master says what is registered"),
                Err(_) => {}
            }
            told = said;
            let new = sightings.state(now);
            metrics.master_reachable(new.master == Master::Known);
            state.send_if_modified(|old| {
                // A moment's silence is no news.
                if *old == new || (new.master == Master::Asking && old.master != Master::Unreachable) {
                    return false;
                }
                *old = new;
                true
            });
        } else {
            sightings = Sightings::default();
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
    fn a_region_at_or_under_the_base_serves_it() {
        let mut sightings = Sightings::default();
        let now = Instant::now();
        sightings.seen(&[registration("1.3.6.1.4.1.5.7.10.1", true), registration("1.3.6.1.4.1.8", false)], now);
        let State { master, served } = sightings.state(now);
        assert_eq!(master, Master::Known);
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
    fn what_is_taken_over_within_a_moment_was_served_all_the_time() {
        let mut sightings = Sightings::default();
        let start = Instant::now();
        let base = oid("1.3.6.1.4.1.5");
        sightings.seen(&[registration("1.3.6.1.4.1.5", true)], start);
        let after = start + LINGER;
        sightings.seen(&[], after);
        assert!(sightings.state(after).served.serves("acme", "tenant", &base));
        let later = after + Duration::from_millis(1);
        sightings.seen(&[], later);
        assert!(!sightings.state(later).served.serves("acme", "tenant", &base));
    }

    #[test]
    fn a_master_is_unreachable_after_a_grace() {
        let mut sightings = Sightings::default();
        let start = Instant::now();
        assert_eq!(sightings.state(start).master, Master::Asking);
        assert_eq!(sightings.state(start + GRACE).master, Master::Asking);
        assert_eq!(sightings.state(start + GRACE + Duration::from_secs(1)).master, Master::Unreachable);
        let answered = start + GRACE + Duration::from_secs(2);
        sightings.seen(&[], answered);
        assert_eq!(sightings.state(answered).master, Master::Known);
        assert_eq!(sightings.state(answered + GRACE).master, Master::Asking);
    }
}
