//! Leadership by a Lease: of several replicas of the operator, only the leader writes objects.

use std::time::Duration;

use daemon::drain::Watcher;
use kube::Client;
pub(crate) use lease::Leadership;
use lease::{Observer, Policy, RequestError, Verb};
use tokio::time::timeout;

use crate::metrics::Metrics;

/// The Lease's name.
pub(crate) const LEASE: &str = "snmp-operator";
/// The longest time that releasing the Lease may take when the program ends: a read and a write.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(8);

/// This replica as a candidate for the Lease.
#[derive(Debug)]
pub(crate) struct Candidate(lease::Candidate);

/// Starts to compete for the Lease in `namespace` as `identity`. Needs a Tokio runtime.
#[must_use]
pub(crate) fn candidate(client: Client, namespace: &str, identity: &str, metrics: Metrics) -> (Candidate, Leadership) {
    let reporter = Reporter { identity: identity.to_owned(), metrics };
    let lease = (namespace, LEASE);
    let candidate = lease::Candidate::start(client, lease, identity.to_owned(), Policy::EXCLUSIVE, reporter);
    let leadership = candidate.leadership();
    (Candidate(candidate), leadership)
}

impl Candidate {
    /// Waits for the drain, then releases the Lease, so that another replica leads without delay.
    pub(crate) async fn run(mut self, mut drain: Watcher) {
        drain.triggered().await;
        if timeout(RELEASE_TIMEOUT, self.0.release()).await.is_err() {
            tracing::warn!("failed to release the Lease; another replica leads when it expires");
        }
    }
}

/// Counts and logs the election.
struct Reporter {
    identity: String,
    metrics: Metrics,
}

impl Observer for Reporter {
    fn requested(&self, verb: Verb, outcome: Result<(), &RequestError>) {
        let no_response = kube::Error::Service("no response in time".into());
        let error = outcome.err();
        let counted = error.map(|error| match error {
            RequestError::Timeout(_) => &no_response,
            RequestError::Failed(error) => error,
        });
        self.metrics.requested("Lease", verb.name(), counted);
        if let Some(error) = error.filter(|error| !error.is_conflict()) {
            match verb {
                Verb::Get => tracing::warn!(%error, "failed to read the Lease; trying again in 2 s"),
                Verb::Create | Verb::Patch => tracing::warn!(%error, "failed to write the Lease; trying again in 2 s"),
            }
        }
    }

    fn leads(&self, leads: bool) {
        self.metrics.leads(leads);
        let identity = &self.identity;
        if leads {
            tracing::info!(identity, "this replica leads and writes objects");
        } else {
            tracing::info!(identity, "this replica no longer leads; it stopped writing objects");
        }
    }

    fn released(&self) {
        tracing::info!("released the Lease");
    }
}
