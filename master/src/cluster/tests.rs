//! The drivers, against an API server in memory and on a clock that jumps to whatever is waited for.

use std::{future::Future, time::Duration};

use serde_json::json;
use tokio::time::{Instant, timeout};

use super::{
    engine_secret::{EngineFault, EngineSecret},
    fake_api::FakeApi,
    names::Names,
    replica::{Replica, Turn, engine},
    secret_source::SecretSource,
};
use crate::{engine_record, role::Trouble, snmp::EngineIdentity, status::Status};

/// Of the clock that jumps.
const DEADLINE: Duration = Duration::from_mins(5);

fn names() -> Names {
    "snmp/m".parse().unwrap()
}

async fn within<T>(wait: impl Future<Output = T>) -> T {
    timeout(DEADLINE, wait).await.expect("it comes")
}

/// Nothing comes for a minute.
async fn nothing<T: std::fmt::Debug>(wait: impl Future<Output = T>) {
    if let Ok(came) = timeout(Duration::from_mins(1), wait).await {
        panic!("{came:?} came");
    }
}

async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is() {
        assert!(Instant::now() < deadline, "waited until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn put_shard(api: &FakeApi, number: usize, context: &str) {
    let document = json!({"version": 1, "contexts": [{"name": context, "communities": [{"community": format!("hidden-{context}")}]}]});
    api.put_secret(&names().shard(number), "master.json", &document.to_string());
}

async fn contexts(source: &mut SecretSource) -> Vec<String> {
    let document = within(source.next()).await.expect("it can be used");
    document.contexts.iter().map(|context| context.name.clone()).collect()
}

/// A source whose first document, of the context `a`, was told.
async fn watched(api: &FakeApi) -> (SecretSource, Status) {
    put_shard(api, 0, "a");
    let status = Status::default();
    let mut source = SecretSource::new(&api.client(), &names(), status.clone());
    assert_eq!(contexts(&mut source).await, ["a"]);
    until_watched(api, &mut source).await;
    (source, status)
}

#[tokio::test(start_paused = true)]
async fn what_changes_in_a_burst_is_one_document() {
    let api = FakeApi::default();
    let (mut source, status) = watched(&api).await;
    for (number, context) in [(3, "d"), (1, "b"), (0, "z")] {
        put_shard(&api, number, context);
    }
    assert_eq!(contexts(&mut source).await, ["z", "b", "d"]);
    nothing(source.next()).await;
    assert!(status.role().troubles.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_removed_takes_its_contexts_with_it() {
    let api = FakeApi::default();
    let (mut source, _) = watched(&api).await;
    put_shard(&api, 1, "b");
    assert_eq!(contexts(&mut source).await, ["a", "b"]);
    api.delete("secrets", "m-1");
    assert_eq!(contexts(&mut source).await, ["a"]);
    api.delete("secrets", "m-0");
    assert!(within(source.next()).await.unwrap_err().contains("snmp/m-0"));
}

#[tokio::test(start_paused = true)]
async fn a_broken_part_is_told_once_and_what_mends_it_is_told_too() {
    let api = FakeApi::default();
    let (mut source, _) = watched(&api).await;
    api.put_secret("m-1", "master.json", "{\"version\": 1, \"contexts\": \"hidden-b\"}");
    let fault = within(source.next()).await.unwrap_err();
    assert!(fault.contains("snmp/m-1") && fault.contains("contexts") && !fault.contains("hidden"), "{fault}");
    nothing(source.next()).await;
    put_shard(&api, 1, "b");
    assert_eq!(contexts(&mut source).await, ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_too_far_behind_begins_anew_and_that_is_no_trouble() {
    let api = FakeApi::default();
    let (mut source, status) = watched(&api).await;
    api.expire();
    nothing(source.next()).await;
    until_watched(&api, &mut source).await;
    assert!(status.role().troubles.is_empty());
    put_shard(&api, 2, "c");
    assert_eq!(contexts(&mut source).await, ["a", "c"]);
}

#[tokio::test(start_paused = true)]
async fn with_the_api_server_gone_what_is_loaded_stays_and_what_it_missed_comes_when_it_is_back() {
    let api = FakeApi::default();
    let (mut source, status) = watched(&api).await;
    api.set_gone(true);
    nothing(source.next()).await;
    assert!(status.role().troubles.contains_key(&Trouble::Watch));
    put_shard(&api, 1, "b");
    api.set_gone(false);
    // Of what was missed an API server tells when a watch goes on; this one knows only whole lists.
    until_watched(&api, &mut source).await;
    api.expire();
    assert_eq!(contexts(&mut source).await, ["a", "b"]);
    nothing(source.next()).await;
    assert!(status.role().troubles.is_empty());
}

async fn until_watched(api: &FakeApi, source: &mut SecretSource) {
    while api.watches() < 8 {
        let next = timeout(Duration::from_millis(100), source.next()).await;
        assert!(next.is_err(), "nothing has changed yet");
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_secret_becomes_an_engine_which_is_the_same_from_then_on() {
    let api = FakeApi::default();
    let mut secret = EngineSecret::new(&api.client(), &names());
    let missing = within(secret.find()).await.unwrap_err();
    assert!(matches!(missing, EngineFault::Missing(_)) && missing.to_string().contains("snmp/m-engine"), "{missing}");
    api.put("secrets", "m-engine", json!({}));
    let found = within(secret.find()).await.unwrap();
    assert_eq!(found.boots, 1);
    assert_eq!(within(EngineSecret::new(&api.client(), &names()).find()).await.unwrap(), found);
    // Somebody empties it.
    api.put("secrets", "m-engine", json!({}));
    let again = within(secret.boot()).await.unwrap();
    assert_eq!((again.engine_id, again.boots), (found.engine_id, 2));
}

#[tokio::test(start_paused = true)]
async fn each_boot_is_stored_before_there_is_an_engine_and_no_two_are_the_same() {
    let api = FakeApi::default();
    let first = EngineIdentity { engine_id: vec![0x80, 0, 0, 0, 1], boots: 7 };
    api.put_secret("m-engine", engine_record::NAME, &engine_record::serialize(&first));
    let mut secret = EngineSecret::new(&api.client(), &names());
    assert_eq!(within(secret.boot()).await.unwrap().boots, 8);
    let stored = || engine_record::parse(api.secret("m-engine", engine_record::NAME).unwrap().as_bytes()).unwrap();
    assert_eq!(stored(), EngineIdentity { boots: 8, ..first.clone() });
    // Another replica stores a boot between our reading and our writing.
    let others = engine_record::serialize(&EngineIdentity { boots: 9, ..first.clone() });
    let others = json!({"data": {engine_record::NAME: k8s_openapi::ByteString(others.into_bytes())}});
    api.forestall("secrets", "m-engine", others.clone());
    assert!(matches!(within(secret.boot()).await, Err(EngineFault::Call { error, .. }) if error.is_conflict()));
    assert_eq!(stored().boots, 9);
    api.forestall("secrets", "m-engine", others);
    let status = Status::default();
    assert_eq!(within(engine(&mut secret, true, &status)).await.boots, 10);
    assert!(status.role().troubles.is_empty(), "it is nothing to be told of");
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_cannot_be_understood_stays_as_it_is_and_is_an_error_for_people() {
    let api = FakeApi::default();
    api.put_secret("m-engine", engine_record::NAME, "{\"version\":9}");
    let mut secret = EngineSecret::new(&api.client(), &names());
    let status = Status::default();
    nothing(engine(&mut secret, true, &status)).await;
    let trouble = status.role().troubles[&Trouble::Engine].clone();
    assert!(trouble.contains("snmp/m-engine") && trouble.contains("restore it"), "{trouble}");
    assert_eq!(api.secret("m-engine", engine_record::NAME).unwrap(), "{\"version\":9}");
}

/// Replicas of a cluster, each with a pod.
struct Replicas {
    api: FakeApi,
}

impl Replicas {
    fn new() -> Self {
        let api = FakeApi::default();
        api.put("secrets", "m-engine", json!({}));
        for pod in ["m-0", "m-1"] {
            api.put("pods", pod, json!({}));
        }
        Self { api }
    }

    fn start(&self, me: &str) -> (Replica, Status) {
        let client = self.api.client();
        let status = Status::default();
        (Replica::start(&client, &names(), me, EngineSecret::new(&client, &names()), &status), status)
    }

    /// One that is active, and is labelled.
    async fn active(&self, me: &str) -> (Replica, Status, u32) {
        let (mut replica, status) = self.start(me);
        let boots = activated(&mut replica).await;
        self.labelled(me).await;
        (replica, status, boots)
    }

    /// Waits until this pod alone has the label.
    async fn labelled(&self, me: &str) {
        let label = |pod: &str| {
            self.api.get("pods", pod).unwrap()["metadata"]["labels"]["snmp-operator.dev/role"] == json!("active")
        };
        until("the label is where it belongs", || ["m-0", "m-1"].iter().all(|pod| label(pod) == (*pod == me))).await;
    }

    fn holder(&self) -> Option<String> {
        self.api.get("leases", "m")?["spec"]["holderIdentity"].as_str().map(str::to_owned)
    }
}

/// Waits until it is its turn, and gives its boots.
async fn activated(replica: &mut Replica) -> u32 {
    let Turn::Activate(engine) = within(replica.next()).await else { panic!("another one is active") };
    replica.label(true);
    engine.boots
}

#[tokio::test(start_paused = true)]
async fn one_of_two_is_active_and_labelled_and_when_it_ends_the_other_is_one_boot_later() {
    let replicas = Replicas::new();
    let (first, _, boots) = replicas.active("m-0").await;
    let (mut second, status) = replicas.start("m-1");
    nothing(second.next()).await;
    assert_eq!(replicas.holder().as_deref(), Some("m-0"));
    assert_eq!(status.role().lease.unwrap().holder.as_deref(), Some("m-0"));
    let ended = Instant::now();
    within(first.end()).await;
    assert_eq!(replicas.holder(), None, "it is given up");
    assert_eq!(activated(&mut second).await, boots + 1);
    assert!(ended.elapsed() < Duration::from_secs(1), "{:?}", ended.elapsed());
    replicas.labelled("m-1").await;
    assert!(status.role().troubles.is_empty(), "{:?}", status.role());
}

#[tokio::test(start_paused = true)]
async fn one_that_dies_is_replaced_within_seconds() {
    let replicas = Replicas::new();
    let (first, _, boots) = replicas.active("m-0").await;
    let (mut second, _) = replicas.start("m-1");
    nothing(second.next()).await;
    let died = Instant::now();
    drop(first);
    assert_eq!(activated(&mut second).await, boots + 1);
    assert!(died.elapsed() < Duration::from_secs(7), "{:?}", died.elapsed());
    replicas.labelled("m-1").await;
}

#[tokio::test(start_paused = true)]
async fn with_the_api_server_gone_the_active_one_stays_and_the_other_does_not_begin() {
    let replicas = Replicas::new();
    let (mut first, status, _) = replicas.active("m-0").await;
    let (mut second, _) = replicas.start("m-1");
    nothing(second.next()).await;
    replicas.api.set_gone(true);
    for _ in 0..3 {
        nothing(async {
            tokio::select! { turn = first.next() => turn, turn = second.next() => turn }
        })
        .await;
    }
    assert!(status.role().troubles.contains_key(&Trouble::Lease));
    replicas.api.set_gone(false);
    nothing(async {
        tokio::select! { turn = first.next() => turn, turn = second.next() => turn }
    })
    .await;
    assert!(status.role().troubles.is_empty(), "{:?}", status.role());
    assert_eq!(replicas.holder().as_deref(), Some("m-0"));
}

#[tokio::test(start_paused = true)]
async fn it_steps_down_when_it_sees_another_holder_and_takes_its_label_off() {
    let replicas = Replicas::new();
    let (mut first, _, boots) = replicas.active("m-0").await;
    let spec = json!({"holderIdentity": "m-1", "leaseDurationSeconds": 6, "leaseTransitions": 9});
    replicas.api.put("leases", "m", json!({"spec": spec}));
    assert_eq!(within(first.next()).await, Turn::Deactivate);
    first.label(false);
    replicas.labelled("nobody").await;
    // The other one is never heard of again.
    assert_eq!(activated(&mut first).await, boots + 1);
    assert_eq!(replicas.api.get("leases", "m").unwrap()["spec"]["leaseTransitions"], 10);
}

#[tokio::test(start_paused = true)]
async fn no_one_is_active_until_its_boot_is_stored() {
    let replicas = Replicas::new();
    replicas.api.delete("secrets", "m-engine");
    let (mut first, status) = replicas.start("m-0");
    nothing(first.next()).await;
    assert!(status.role().troubles[&Trouble::Engine].contains("the operator makes it"));
    replicas.api.put("secrets", "m-engine", json!({}));
    assert_eq!(activated(&mut first).await, 1);
}

#[tokio::test(start_paused = true)]
async fn the_end_does_not_wait_for_an_api_server_that_is_gone() {
    let replicas = Replicas::new();
    let (first, ..) = replicas.active("m-0").await;
    replicas.api.set_gone(true);
    // Whoever ends it sets the time.
    assert!(timeout(Duration::from_millis(700), first.end()).await.is_err());
    let calls = replicas.api.calls();
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(replicas.api.calls(), calls, "nothing is left that calls");
}

#[tokio::test(start_paused = true)]
async fn a_pod_whose_label_someone_takes_off_has_it_again() {
    let replicas = Replicas::new();
    let (_first, ..) = replicas.active("m-0").await;
    replicas.api.put("pods", "m-0", json!({}));
    replicas.api.put("pods", "m-1", json!({"metadata": {"labels": {"snmp-operator.dev/role": "active"}}}));
    replicas.labelled("m-0").await;
}
