//! A candidate in the election: executes the decisions of the state machine, and publishes the result.

#[cfg(test)]
mod tests;

use std::{pin::pin, time::Instant};

use kube::{Api, Client};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
    time::sleep_until,
};

use crate::{
    Leadership, Policy, Record, RequestError, Term, Verb,
    election::{Election, Next},
    request::LeaseApi,
};

/// Receives what a candidate does, for logs, metrics and status. Called on the candidate's task; must not block.
pub trait Observer: Send + 'static {
    /// A request about the Lease has ended.
    fn requested(&self, verb: Verb, outcome: Result<(), &RequestError>);

    /// The Lease was read or written, and now has this content.
    fn observed(&self, record: &Record) {
        let _ = record;
    }

    /// This replica has started or stopped leading.
    fn leads(&self, leads: bool) {
        let _ = leads;
    }

    /// This replica has released the Lease.
    fn released(&self) {}
}

/// This replica as a candidate. It takes part in the election on a separate task until it is dropped.
#[derive(Debug)]
pub struct Candidate {
    leadership: Leadership,
    release: Option<oneshot::Sender<()>>,
    running: JoinHandle<()>,
}

impl Candidate {
    /// Starts to compete for the Lease `name` in `namespace` under the name `identity`, which no other running replica
    /// has. Needs a Tokio runtime.
    #[must_use]
    pub fn start(
        client: Client,
        (namespace, name): (&str, &str),
        identity: String,
        policy: Policy,
        observer: impl Observer,
    ) -> Self {
        let (sender, receiver) = watch::channel(None);
        let (release, released) = oneshot::channel();
        let api = LeaseApi { leases: Api::namespaced(client, namespace), name: name.to_owned(), policy };
        let driver = Driver { election: Election::new(identity, policy), terms: 0, sender, observer };
        Self {
            leadership: Leadership(receiver),
            release: Some(release),
            running: tokio::spawn(driver.run(api, released)),
        }
    }

    /// Returns whether this replica leads, shared with the candidate.
    #[must_use]
    pub fn leadership(&self) -> Leadership {
        self.leadership.clone()
    }

    /// Stops leading at once, releases the Lease so that another replica takes it without delay, and waits until that
    /// is done. Failed requests are repeated forever, so the caller has to set a timeout.
    pub async fn release(&mut self) {
        if let Some(release) = self.release.take() {
            // Sending fails if the task has already ended.
            let _ = release.send(());
        }
        let _ = (&mut self.running).await;
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// The task of a candidate.
struct Driver<O> {
    election: Election,
    /// The number of terms of this replica so far.
    terms: u64,
    sender: watch::Sender<Option<Term>>,
    observer: O,
}

impl<O: Observer> Driver<O> {
    async fn run(mut self, api: LeaseApi, mut release: oneshot::Receiver<()>) {
        let mut releasing = false;
        loop {
            let begun = now();
            let next = self.election.next(begun);
            if next == Next::Done {
                return;
            }
            let mut action = pin!(execute(&api, &next));
            let outcome = loop {
                let (term_ends, until) = match self.election.leads_until(now()) {
                    Some(until) => (true, until),
                    None => (false, begun),
                };
                tokio::select! {
                    biased;
                    _ = &mut release, if !releasing => {
                        releasing = true;
                        if !matches!(next, Next::Wait(_)) {
                            // The API server may or may not have processed the request in progress.
                            self.election.failed(now());
                        }
                        self.election.release();
                        break None;
                    }
                    () = sleep_until(until.into()), if term_ends => self.publish(),
                    outcome = &mut action => break Some(outcome),
                }
            };
            if let Some(outcome) = outcome {
                self.process(outcome, begun);
            }
            self.publish();
        }
    }

    /// Passes the outcome of a step to the state machine and the observer.
    fn process(&mut self, outcome: Outcome, begun: Instant) {
        let now = now();
        match outcome {
            Outcome::Waited => {}
            Outcome::Read(Ok(record)) => {
                self.observer.requested(Verb::Get, Ok(()));
                if let Some(record) = &record {
                    self.observer.observed(record);
                }
                self.election.read(record, now);
            }
            Outcome::Read(Err(error)) => {
                self.observer.requested(Verb::Get, Err(&error));
                self.election.failed(now);
            }
            Outcome::Wrote { verb, releases, written: Ok(record) } => {
                self.observer.requested(verb, Ok(()));
                self.observer.observed(&record);
                if releases {
                    self.observer.released();
                }
                self.election.wrote(record, begun, now);
            }
            Outcome::Wrote { verb, written: Err(error), .. } => {
                self.observer.requested(verb, Err(&error));
                if error.is_conflict() { self.election.conflicted(now) } else { self.election.failed(now) }
            }
        }
    }

    /// Publishes the current term if it has changed.
    fn publish(&mut self) {
        let leads = self.election.leads(now());
        let before = *self.sender.borrow();
        if leads && before.is_none() {
            self.terms += 1;
        }
        let until = self.election.leads_until(now()).map(Into::into);
        let term = leads.then_some(Term { number: self.terms, until });
        if term == before {
            return;
        }
        self.sender.send_replace(term);
        if leads != before.is_some() {
            self.observer.leads(leads);
        }
    }
}

/// The outcome of a step.
enum Outcome {
    Waited,
    Read(Result<Option<Record>, RequestError>),
    Wrote { verb: Verb, releases: bool, written: Result<Record, RequestError> },
}

/// Executes a decision of the election.
async fn execute(api: &LeaseApi, next: &Next) -> Outcome {
    match next {
        Next::Done => Outcome::Waited,
        Next::Wait(until) => {
            sleep_until((*until).into()).await;
            Outcome::Waited
        }
        Next::Read => Outcome::Read(api.read().await),
        Next::Write(claim) => {
            let verb = if claim.replaces.is_some() { Verb::Patch } else { Verb::Create };
            Outcome::Wrote { verb, releases: claim.holder.is_none(), written: api.write(claim).await }
        }
    }
}

/// Returns the time of the runtime's clock, which tests can pause.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
