//! Leadership by a Lease: of several replicas one writes.

mod election;

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{Api, Client, ResourceExt, api::PostParams};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use crate::metrics::Metrics;
use daemon::drain::Watcher;
use election::{DURATION, Election, PERIOD, Seen, Step};

/// The Lease's name.
pub const LEASE: &str = "snmp-operator";
/// The longest time that a request about the Lease may take.
const PATIENCE: Duration = Duration::from_secs(4);

/// Whether this replica leads, right now. Clones share it.
#[derive(Debug, Clone)]
pub struct Leadership(watch::Receiver<Option<Instant>>);

impl Leadership {
    /// Whether this replica may write at this moment.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.0.borrow().is_some_and(|until| Instant::now() < until)
    }

    /// Waits for a renewal, or for the end of leadership. Cancel safe.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            // The candidate has ended, as all does.
            std::future::pending::<()>().await;
        }
    }

    /// Whether it leads, as it changes. The answer to a renewal that came too late is told as soon as the next step is.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<bool> {
        let mut leadership = self.clone();
        let (sender, receiver) = watch::channel(leadership.holds());
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = sender.closed() => return,
                    () = leadership.changed() => {}
                }
                let holds = leadership.holds();
                sender.send_if_modified(|told| std::mem::replace(told, holds) != holds);
            }
        });
        receiver
    }

    /// One that leads for as long as the test runs.
    #[cfg(test)]
    pub fn always() -> Self {
        let (sender, receiver) = watch::channel(Some(Instant::now() + Duration::from_hours(24)));
        drop(sender);
        Self(receiver)
    }
}

/// Stands for election, until the drain.
#[derive(Debug)]
pub struct Candidate {
    api: Api<Lease>,
    identity: String,
    election: Election,
    sender: watch::Sender<Option<Instant>>,
    metrics: Metrics,
}

/// A candidate of the name `identity`, for the Lease in `namespace`.
#[must_use]
pub fn candidate(client: Client, namespace: &str, identity: &str, metrics: Metrics) -> (Candidate, Leadership) {
    let (sender, receiver) = watch::channel(None);
    let (api, election) = (Api::namespaced(client, namespace), Election::new(identity));
    (Candidate { api, identity: identity.to_owned(), election, sender, metrics }, Leadership(receiver))
}

impl Candidate {
    /// Runs until the drain, and then gives the Lease up.
    pub async fn run(mut self, mut drain: Watcher) {
        loop {
            tokio::select! {
                () = drain.triggered() => break,
                () = self.step() => {}
            }
            self.tell();
            tokio::select! {
                () = drain.triggered() => break,
                () = tokio::time::sleep(PERIOD) => {}
            }
            self.tell();
        }
        if self.sender.send_replace(None).is_some() {
            self.give_up().await;
        }
    }

    /// Tells the others of this program whether it leads.
    fn tell(&self) {
        let until = self.election.leads_until().map(Instant::from_std).filter(|until| Instant::now() < *until);
        let before = self.sender.send_replace(until);
        self.metrics.leads(until.is_some());
        match (before.is_some(), until.is_some()) {
            (false, true) => tracing::info!(identity = self.identity, "leads"),
            (true, false) => tracing::info!(identity = self.identity, "leads no more"),
            _ => {}
        }
    }

    /// Looks at the Lease, and takes or renews it where it may.
    async fn step(&mut self) {
        let lease = match self.get().await {
            Ok(lease) => lease,
            Err(error) => return tracing::warn!(%error, "the Lease cannot be read"),
        };
        let begun = Instant::now();
        let there = lease.as_ref().map(seen);
        let step = self.election.read(there, begun.into_std());
        let written = match step {
            Step::Wait => return,
            Step::Create => self.create().await,
            Step::Update => self.update(lease.unwrap_or_default()).await,
        };
        match written {
            Ok(lease) => self.election.renewed(seen(&lease), begun.into_std(), Instant::now().into_std()),
            Err(Failure::Refused) => self.election.refused(),
            Err(Failure::Unknown(error)) => tracing::warn!(error, "the Lease cannot be written"),
        }
    }

    async fn get(&self) -> Result<Option<Lease>, kube::Error> {
        let answer = timeout(PATIENCE, self.api.get_opt(LEASE)).await;
        let answer = answer.unwrap_or_else(|_| Err(late()));
        self.metrics.requested("Lease", "get", answer.as_ref().err());
        answer
    }

    async fn create(&self) -> Result<Lease, Failure> {
        let metadata = ObjectMeta { name: Some(LEASE.to_owned()), ..ObjectMeta::default() };
        let lease = Lease { metadata, spec: Some(self.spec(0, Timestamp::now())) };
        let answer = timeout(PATIENCE, self.api.create(&PostParams::default(), &lease)).await;
        self.judge("create", answer.unwrap_or_else(|_| Err(late())))
    }

    async fn update(&self, mut lease: Lease) -> Result<Lease, Failure> {
        let old = lease.spec.take().unwrap_or_default();
        let own = old.holder_identity.as_deref() == Some(&self.identity);
        let transitions = old.lease_transitions.unwrap_or(0).saturating_add(i32::from(!own));
        let acquired = old.acquire_time.filter(|_| own).map_or_else(Timestamp::now, |time| time.0);
        lease.spec = Some(self.spec(transitions, acquired));
        lease.metadata.managed_fields = None;
        let answer = timeout(PATIENCE, self.api.replace(LEASE, &PostParams::default(), &lease)).await;
        self.judge("update", answer.unwrap_or_else(|_| Err(late())))
    }

    /// Gives the Lease up, so that another need not wait.
    async fn give_up(&self) {
        let Ok(Some(mut lease)) = self.get().await else { return };
        let Some(spec) = lease.spec.as_mut().filter(|spec| spec.holder_identity.as_deref() == Some(&self.identity))
        else {
            return;
        };
        spec.holder_identity = None;
        spec.lease_duration_seconds = Some(1);
        lease.metadata.managed_fields = None;
        let answer = timeout(PATIENCE, self.api.replace(LEASE, &PostParams::default(), &lease)).await;
        match self.judge("update", answer.unwrap_or_else(|_| Err(late()))) {
            Ok(_) => tracing::info!("gave the Lease up"),
            Err(error) => tracing::warn!(?error, "the Lease cannot be given up"),
        }
    }

    fn spec(&self, transitions: i32, acquired: Timestamp) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            lease_transitions: Some(transitions),
            acquire_time: Some(MicroTime(acquired)),
            renew_time: Some(MicroTime(Timestamp::now())),
            ..LeaseSpec::default()
        }
    }

    fn judge(&self, verb: &'static str, answer: Result<Lease, kube::Error>) -> Result<Lease, Failure> {
        self.metrics.requested("Lease", verb, answer.as_ref().err());
        answer.map_err(|error| match error {
            kube::Error::Api(status) if matches!(status.code, 404 | 409) => Failure::Refused,
            error => Failure::Unknown(error.to_string()),
        })
    }
}

/// Why the Lease was not written.
#[derive(Debug)]
enum Failure {
    /// It has changed meanwhile.
    Refused,
    /// Nobody knows whether it was: this replica leads for as long as it may.
    Unknown(String),
}

fn late() -> kube::Error {
    kube::Error::Service("no answer in time".into())
}

fn seen(lease: &Lease) -> Seen {
    let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone());
    Seen { holder, version: lease.resource_version().unwrap_or_default() }
}
