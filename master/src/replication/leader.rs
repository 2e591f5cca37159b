//! The election of the active replica, as seen by this master.

use kube::Client;
use lease::{Candidate, Observer, Policy, Record, RequestError, Term, Verb};
use tokio::sync::watch;

use super::{call::CallError, names::Names};
use crate::observability::{
    role::{LeaseStatus, Trouble},
    status::Status,
};

/// This replica as a candidate for the Lease, until it is dropped.
#[derive(Debug)]
pub(crate) struct Leader(Candidate);

impl Leader {
    /// Takes part in the election as `me`. Needs a Tokio runtime.
    pub(crate) fn start(client: &Client, names: &Names, me: String, status: Status) -> Self {
        let lease = (&*names.namespace, &*names.name);
        Self(Candidate::start(client.clone(), lease, me, Policy::CONTINUOUS, Reporter(status)))
    }

    /// Returns the term of this replica while it holds the Lease. Another replica may be active between two terms.
    pub(crate) fn term(&self) -> watch::Receiver<Option<Term>> {
        self.0.leadership().term()
    }

    /// Releases the Lease so that another replica takes it at once, and waits until that is done.
    pub(crate) async fn end(&mut self) {
        self.0.release().await;
    }
}

/// Shows the election in the status.
struct Reporter(Status);

impl Observer for Reporter {
    fn requested(&self, _: Verb, outcome: Result<(), &RequestError>) {
        let error = outcome.err().filter(|error| !error.is_conflict());
        self.0.trouble(Trouble::Lease, error.map(explain));
    }

    fn observed(&self, record: &Record) {
        self.0.lease(LeaseStatus { holder: record.holder.clone(), transitions: record.transitions });
    }
}

fn explain(error: &RequestError) -> String {
    match error {
        RequestError::Timeout(_) => CallError::Timeout.to_string(),
        RequestError::Failed(error) => super::call::explain(error),
    }
}
