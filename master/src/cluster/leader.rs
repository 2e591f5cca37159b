//! The Lease: read and written as the election says.

use std::time::{Duration, Instant};

use k8s_openapi::{
    api::coordination::v1::Lease,
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
    time::sleep_until,
};

use super::{
    call::{CallError, bounded},
    election::{Claim, Election, Next, Record, TIMING},
    names::Names,
};
use crate::{
    role::{LeaseStatus, Trouble},
    status::Status,
};

/// The election of this replica, which goes on by itself.
#[derive(Debug)]
pub(crate) struct Leader {
    term: watch::Receiver<Option<u64>>,
    give_up: Option<oneshot::Sender<()>>,
    running: JoinHandle<()>,
}

impl Leader {
    /// Takes part in the election as `me`. Runs inside a runtime.
    pub(crate) fn start(client: &Client, names: &Names, me: String, status: Status) -> Self {
        let leases = Api::namespaced(client.clone(), &names.namespace);
        let (told, term) = watch::channel(None);
        let (give_up, told_to) = oneshot::channel();
        let election = Election::new(me, TIMING);
        let driver = Driver { leases, name: names.name.clone(), election, terms: 0, told, status };
        Self { term, give_up: Some(give_up), running: tokio::spawn(driver.run(told_to)) }
    }

    /// Which term of this replica it is, while it holds the Lease. Between two terms another one may have been active.
    pub(crate) fn term(&self) -> watch::Receiver<Option<u64>> {
        self.term.clone()
    }

    /// Gives the Lease up, so that another replica takes it at once. Waits until that is done.
    pub(crate) async fn end(&mut self) {
        if let Some(give_up) = self.give_up.take() {
            // It may have ended by itself.
            _ = give_up.send(());
        }
        _ = (&mut self.running).await;
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.running.abort();
    }
}

struct Driver {
    leases: Api<Lease>,
    name: String,
    election: Election,
    /// How often this replica got the Lease.
    terms: u64,
    told: watch::Sender<Option<u64>>,
    status: Status,
}

impl Driver {
    async fn run(mut self, mut told_to: oneshot::Receiver<()>) {
        let mut gives_up = false;
        loop {
            let next = self.election.next(now());
            if next == Next::Done {
                return;
            }
            tokio::select! {
                biased;
                _ = &mut told_to, if !gives_up => {
                    gives_up = true;
                    if !matches!(next, Next::Wait(_)) {
                        // What was on its way may have been done, or not.
                        self.election.failed(now());
                    }
                    self.election.give_up();
                }
                done = Self::act(&self.leases, &self.name, &next) => self.learn(done),
            }
            self.tell();
        }
    }

    /// Does what the election wants.
    async fn act(leases: &Api<Lease>, name: &str, next: &Next) -> Done {
        match next {
            Next::Wait(until) => {
                sleep_until((*until).into()).await;
                Done::Waited
            }
            Next::Done => Done::Waited,
            Next::Read => match bounded(leases.get_opt(name)).await {
                Ok(lease) => Done::Read(lease.as_ref().map(record)),
                Err(error) => Done::Failed(error),
            },
            Next::Write(claim) => match write(leases, name, claim).await {
                Ok(lease) => Done::Wrote(record(&lease)),
                Err(error) if error.is_conflict() || error.is_not_found() => Done::Forestalled,
                Err(error) => Done::Failed(error),
            },
        }
    }

    fn learn(&mut self, done: Done) {
        let now = now();
        let trouble = match done {
            Done::Waited => return,
            Done::Read(record) => {
                self.election.read(record, now);
                None
            }
            Done::Wrote(record) => {
                self.election.wrote(record, now);
                None
            }
            Done::Forestalled => {
                self.election.forestalled(now);
                None
            }
            Done::Failed(error) => {
                self.election.failed(now);
                Some(error.to_string())
            }
        };
        self.status.trouble(Trouble::Lease, trouble);
    }

    fn tell(&mut self) {
        if let Some(Record { holder, transitions, .. }) = self.election.seen() {
            self.status.lease(LeaseStatus { holder: holder.clone(), transitions: *transitions });
        }
        let (leads, led) = (self.election.leads(), self.told.borrow().is_some());
        if leads != led {
            self.terms += u64::from(leads);
            self.told.send_replace(leads.then_some(self.terms));
        }
    }
}

/// What came of what the election wanted.
enum Done {
    Waited,
    Read(Option<Record>),
    Wrote(Record),
    Forestalled,
    Failed(CallError),
}

/// The runtime's time, which tests may hold.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn record(lease: &Lease) -> Record {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    Record {
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
        lease: seconds.map_or(Duration::ZERO, Duration::from_secs),
        transitions: spec.lease_transitions.and_then(|transitions| u32::try_from(transitions).ok()).unwrap_or(0),
    }
}

async fn write(leases: &Api<Lease>, name: &str, claim: &Claim) -> Result<Lease, CallError> {
    let now = MicroTime(Timestamp::now());
    let mut spec = json!({
        "holderIdentity": claim.holder,
        "leaseDurationSeconds": TIMING.lease.as_secs(),
        "leaseTransitions": claim.transitions,
        "renewTime": now,
    });
    if let (true, Some(spec)) = (claim.is_new, spec.as_object_mut()) {
        spec.insert("acquireTime".to_owned(), json!(now));
    }
    if let Some(version) = &claim.over {
        let patch = Patch::Merge(json!({"metadata": {"resourceVersion": version}, "spec": spec}));
        return bounded(leases.patch(name, &PatchParams::default(), &patch)).await;
    }
    let spec =
        serde_json::from_value(spec).map_err(|error| CallError::Failed(Box::new(kube::Error::SerdeError(error))))?;
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    bounded(leases.create(&PostParams::default(), &Lease { metadata, spec: Some(spec) })).await
}
