//! Candidates against an API server in memory that holds one Lease, on a paused clock.

use std::{
    io,
    sync::{Arc, Mutex},
};

use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep, timeout};
use tower::service_fn;

use super::*;

/// The state of the API server, and the events that the observer has recorded.
#[derive(Debug, Clone, Default)]
struct World(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    lease: Option<Value>,
    version: u64,
    is_gone: bool,
    events: Vec<String>,
}

impl World {
    fn client(&self) -> Client {
        let world = self.clone();
        let serve = move |request: Request<Body>| {
            let world = world.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
                let (code, answer) = world.0.lock().unwrap().serve(parts.method.as_str(), &body)?;
                Response::builder().status(code).body(Full::from(answer.to_string())).map_err(io::Error::other)
            }
        };
        Client::new(service_fn(serve), "snmp")
    }

    fn start(&self, identity: &str, policy: Policy) -> Candidate {
        Candidate::start(self.client(), ("snmp", "lease"), identity.to_owned(), policy, self.clone())
    }

    fn spec(&self) -> Value {
        self.0.lock().unwrap().lease.as_ref().unwrap()["spec"].clone()
    }

    fn set_gone(&self, is_gone: bool) {
        self.0.lock().unwrap().is_gone = is_gone;
    }

    /// Returns the events since the last call.
    fn events(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().events)
    }
}

impl State {
    fn serve(&mut self, method: &str, body: &[u8]) -> io::Result<(u16, Value)> {
        if self.is_gone {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let failure = |code: u16| {
            let reason = if code == 404 { "NotFound" } else { "Conflict" };
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": "no",
            });
            (code, status)
        };
        let Some(lease) = &mut self.lease else {
            if method != "POST" {
                return Ok(failure(404));
            }
            self.version += 1;
            let mut lease: Value = serde_json::from_slice(body)?;
            lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
            return Ok((201, self.lease.insert(lease).clone()));
        };
        match method {
            "GET" => Ok((200, lease.clone())),
            "PATCH" => {
                let patch: Value = serde_json::from_slice(body)?;
                if patch["metadata"]["resourceVersion"] != lease["metadata"]["resourceVersion"] {
                    return Ok(failure(409));
                }
                self.version += 1;
                for (field, value) in patch["spec"].as_object().unwrap() {
                    lease["spec"][field] = value.clone();
                }
                lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
                Ok((200, lease.clone()))
            }
            _ => Ok(failure(409)),
        }
    }
}

impl Observer for World {
    fn requested(&self, verb: Verb, outcome: Result<(), &RequestError>) {
        let outcome = if outcome.is_ok() { "ok" } else { "failed" };
        self.0.lock().unwrap().events.push(format!("{verb} {outcome}"));
    }

    fn leads(&self, leads: bool) {
        self.0.lock().unwrap().events.push(format!("leads: {leads}"));
    }

    fn released(&self) {
        self.0.lock().unwrap().events.push("released".to_owned());
    }
}

async fn until_leading(candidate: &Candidate) {
    let mut leadership = candidate.leadership();
    while !leadership.holds() {
        timeout(Duration::from_mins(1), leadership.changed()).await.expect("it leads within a minute");
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_lease_is_created_renewed_and_released() {
    let world = World::default();
    let mut candidate = world.start("a", Policy::EXCLUSIVE);
    until_leading(&candidate).await;
    assert_eq!(world.events(), ["get ok", "create ok", "leads: true"]);
    let acquired = world.spec();
    assert_eq!((&acquired["holderIdentity"], &acquired["leaseDurationSeconds"]), (&json!("a"), &json!(15)));
    sleep(Duration::from_millis(4_500)).await;
    assert_eq!(world.events(), ["patch ok", "patch ok"], "each two seconds");
    assert_eq!(world.spec()["acquireTime"], acquired["acquireTime"]);
    candidate.release().await;
    assert_eq!(world.events(), ["leads: false", "patch ok", "released"]);
    assert_eq!((&world.spec()["holderIdentity"], candidate.leadership().holds()), (&Value::Null, false));
}

#[tokio::test(start_paused = true)]
async fn a_released_lease_is_taken_at_the_next_check_and_counts_as_a_transition() {
    let world = World::default();
    let mut first = world.start("a", Policy::EXCLUSIVE);
    until_leading(&first).await;
    let second = world.start("b", Policy::EXCLUSIVE);
    sleep(Duration::from_secs(30)).await;
    assert!(!second.leadership().holds());
    let released = Instant::now();
    first.release().await;
    until_leading(&second).await;
    assert!(released.elapsed() <= Policy::EXCLUSIVE.check_interval);
    assert_eq!((&world.spec()["holderIdentity"], &world.spec()["leaseTransitions"]), (&json!("b"), &json!(1)));
}

#[tokio::test(start_paused = true)]
async fn an_exclusive_leader_stops_ten_seconds_after_its_last_renewal_and_reports_it_immediately() {
    let world = World::default();
    let candidate = world.start("a", Policy::EXCLUSIVE);
    until_leading(&candidate).await;
    let (mut leads, mut term) = (candidate.leadership().watch(), candidate.leadership().term());
    assert!(*leads.borrow_and_update());
    let renewed = Instant::now();
    world.set_gone(true);
    timeout(Duration::from_mins(1), leads.wait_for(|leads| !leads)).await.unwrap().unwrap();
    assert_eq!(renewed.elapsed().as_secs(), 10);
    world.set_gone(false);
    until_leading(&candidate).await;
    assert_eq!(term.borrow_and_update().map(|term| term.number), Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_continuous_leader_keeps_its_term_while_the_api_server_is_unreachable() {
    let world = World::default();
    let candidate = world.start("a", Policy::CONTINUOUS);
    until_leading(&candidate).await;
    world.set_gone(true);
    sleep(Duration::from_hours(1)).await;
    assert_eq!(*candidate.leadership().term().borrow(), Some(Term { number: 1, until: None }));
    world.set_gone(false);
    sleep(Duration::from_mins(1)).await;
    assert_eq!(*candidate.leadership().term().borrow(), Some(Term { number: 1, until: None }));
}

#[tokio::test(start_paused = true)]
async fn a_candidate_that_is_dropped_sends_no_more_requests() {
    let world = World::default();
    let candidate = world.start("a", Policy::CONTINUOUS);
    until_leading(&candidate).await;
    drop(candidate);
    sleep(Duration::from_millis(1)).await;
    world.events();
    sleep(Duration::from_mins(1)).await;
    assert!(world.events().is_empty());
}
