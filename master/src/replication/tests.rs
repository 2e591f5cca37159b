//! Tests of everything that calls the API server, with a fake API server and paused time.

use std::{future::Future, time::Duration};

use serde_json::json;
use tokio::time::{Instant, timeout};

use super::{
    engine_secret::{EngineSecret, EngineSecretError},
    fake_api::FakeApi,
    names::Names,
    replica::{Replica, RoleChange, engine},
    secret_source::SecretSource,
};
use crate::{
    observability::{role::Trouble, status::Status},
    replication::engine_record,
    snmp::EngineIdentity,
};

/// Longest wait, in paused time.
const DEADLINE: Duration = Duration::from_mins(5);

fn names() -> Names {
    "snmp/m".parse().unwrap()
}

async fn within<T>(wait: impl Future<Output = T>) -> T {
    timeout(DEADLINE, wait).await.expect("timed out")
}

/// Asserts that `wait` does not complete within a minute.
async fn assert_pending<T: std::fmt::Debug>(wait: impl Future<Output = T>) {
    if let Ok(result) = timeout(Duration::from_mins(1), wait).await {
        panic!("unexpected: {result:?}");
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
    let document = within(source.next()).await.expect("a valid document");
    document.contexts.iter().map(|context| context.name.clone()).collect()
}

/// Returns a source that has returned its first document, with the context `a`.
async fn watched(api: &FakeApi) -> (SecretSource, Status) {
    put_shard(api, 0, "a");
    let status = Status::default();
    let mut source = SecretSource::new(&api.client(), &names(), status.clone());
    assert_eq!(contexts(&mut source).await, ["a"]);
    until_watched(api, &mut source).await;
    (source, status)
}

#[tokio::test(start_paused = true)]
async fn changes_in_quick_succession_are_loaded_together() {
    let api = FakeApi::default();
    let (mut source, status) = watched(&api).await;
    for (number, context) in [(3, "d"), (1, "b"), (0, "z")] {
        put_shard(&api, number, context);
    }
    assert_eq!(contexts(&mut source).await, ["z", "b", "d"]);
    assert_pending(source.next()).await;
    assert!(status.role().troubles.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_contexts_of_a_deleted_secret_are_removed() {
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
async fn an_invalid_part_is_reported_once_and_its_repair_is_loaded() {
    let api = FakeApi::default();
    let (mut source, _) = watched(&api).await;
    api.put_secret("m-1", "master.json", "{\"version\": 1, \"contexts\": \"hidden-b\"}");
    let error = within(source.next()).await.unwrap_err();
    assert!(error.contains("snmp/m-1") && error.contains("contexts") && !error.contains("hidden"), "{error}");
    assert_pending(source.next()).await;
    put_shard(&api, 1, "b");
    assert_eq!(contexts(&mut source).await, ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_expired_starts_again_without_a_trouble() {
    let api = FakeApi::default();
    let (mut source, status) = watched(&api).await;
    api.expire();
    assert_pending(source.next()).await;
    until_watched(&api, &mut source).await;
    assert!(status.role().troubles.is_empty());
    put_shard(&api, 2, "c");
    assert_eq!(contexts(&mut source).await, ["a", "c"]);
}

#[tokio::test(start_paused = true)]
async fn without_the_api_server_the_document_stays_and_missed_changes_are_loaded_later() {
    let api = FakeApi::default();
    let (mut source, status) = watched(&api).await;
    api.set_unavailable(true);
    assert_pending(source.next()).await;
    assert!(status.role().troubles.contains_key(&Trouble::Watch));
    put_shard(&api, 1, "b");
    api.set_unavailable(false);
    // A real API server sends missed events when a watch resumes. The fake one does so only with a new list.
    until_watched(&api, &mut source).await;
    api.expire();
    assert_eq!(contexts(&mut source).await, ["a", "b"]);
    assert_pending(source.next()).await;
    assert!(status.role().troubles.is_empty());
}

async fn until_watched(api: &FakeApi, source: &mut SecretSource) {
    while api.watches() < 8 {
        let next = timeout(Duration::from_millis(100), source.next()).await;
        assert!(next.is_err(), "nothing has changed");
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_secret_gets_an_engine_whose_id_never_changes() {
    let api = FakeApi::default();
    let mut secret = EngineSecret::new(&api.client(), &names());
    let missing = within(secret.find()).await.unwrap_err();
    assert!(
        matches!(missing, EngineSecretError::Missing(_)) && missing.to_string().contains("snmp/m-engine"),
        "{missing}"
    );
    api.put("secrets", "m-engine", json!({}));
    let found = within(secret.find()).await.unwrap();
    assert_eq!(found.boots, 1);
    assert_eq!(within(EngineSecret::new(&api.client(), &names()).find()).await.unwrap(), found);
    // Someone empties the Secret.
    api.put("secrets", "m-engine", json!({}));
    let again = within(secret.boot()).await.unwrap();
    assert_eq!((again.engine_id, again.boots), (found.engine_id, 2));
}

#[tokio::test(start_paused = true)]
async fn each_boot_is_stored_first_and_is_unique() {
    let api = FakeApi::default();
    let first = EngineIdentity { engine_id: vec![0x80, 0, 0, 0, 1], boots: 7 };
    api.put_secret("m-engine", engine_record::NAME, &engine_record::serialize(&first));
    let mut secret = EngineSecret::new(&api.client(), &names());
    assert_eq!(within(secret.boot()).await.unwrap().boots, 8);
    let stored = || engine_record::parse(api.secret("m-engine", engine_record::NAME).unwrap().as_bytes()).unwrap();
    assert_eq!(stored(), EngineIdentity { boots: 8, ..first.clone() });
    // Another replica stores a boot between read and write.
    let others = engine_record::serialize(&EngineIdentity { boots: 9, ..first.clone() });
    let others = json!({"data": {engine_record::NAME: k8s_openapi::ByteString(others.into_bytes())}});
    api.write_first("secrets", "m-engine", others.clone());
    assert!(matches!(within(secret.boot()).await, Err(EngineSecretError::Call { error, .. }) if error.is_conflict()));
    assert_eq!(stored().boots, 9);
    api.write_first("secrets", "m-engine", others);
    let status = Status::default();
    assert_eq!(within(engine(&mut secret, true, &status)).await.boots, 10);
    assert!(status.role().troubles.is_empty(), "a conflict is no trouble");
}

#[tokio::test(start_paused = true)]
async fn an_invalid_engine_is_not_changed_and_is_a_trouble() {
    let api = FakeApi::default();
    api.put_secret("m-engine", engine_record::NAME, "{\"version\":9}");
    let mut secret = EngineSecret::new(&api.client(), &names());
    let status = Status::default();
    assert_pending(engine(&mut secret, true, &status)).await;
    let trouble = status.role().troubles[&Trouble::Engine].clone();
    assert!(trouble.contains("snmp/m-engine") && trouble.contains("restore it"), "{trouble}");
    assert_eq!(api.secret("m-engine", engine_record::NAME).unwrap(), "{\"version\":9}");
}

/// A cluster with two replicas.
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

    fn start(&self, pod: &str) -> (Replica, Status) {
        let client = self.api.client();
        let status = Status::default();
        (Replica::start(&client, &names(), pod, EngineSecret::new(&client, &names()), &status), status)
    }

    /// Starts a replica, and waits until it is active and labelled. Also returns its boots.
    async fn active(&self, pod: &str) -> (Replica, Status, u32) {
        let (mut replica, status) = self.start(pod);
        let boots = activated(&mut replica).await;
        self.labelled(pod).await;
        (replica, status, boots)
    }

    /// Waits until only this pod has the label.
    async fn labelled(&self, pod: &str) {
        let is_labelled = |pod: &str| {
            self.api.get("pods", pod).unwrap()["metadata"]["labels"]["snmp-operator.dev/role"] == json!("active")
        };
        until("only the active pod has the label", || {
            ["m-0", "m-1"].iter().all(|each| is_labelled(each) == (*each == pod))
        })
        .await;
    }

    fn holder(&self) -> Option<String> {
        self.api.get("leases", "m")?["spec"]["holderIdentity"].as_str().map(str::to_owned)
    }
}

/// Waits until the replica becomes active, and returns its boots.
async fn activated(replica: &mut Replica) -> u32 {
    let RoleChange::Activate(engine) = within(replica.next()).await else { panic!("it became standby") };
    replica.label(true);
    engine.boots
}

#[tokio::test(start_paused = true)]
async fn when_the_active_replica_shuts_down_the_standby_takes_over_with_the_next_boot() {
    let replicas = Replicas::new();
    let (first, _, boots) = replicas.active("m-0").await;
    let (mut second, status) = replicas.start("m-1");
    assert_pending(second.next()).await;
    assert_eq!(replicas.holder().as_deref(), Some("m-0"));
    assert_eq!(status.role().lease.unwrap().holder.as_deref(), Some("m-0"));
    let shut_down = Instant::now();
    within(first.shut_down()).await;
    assert_eq!(replicas.holder(), None, "the Lease is released");
    assert_eq!(activated(&mut second).await, boots + 1);
    assert!(shut_down.elapsed() < Duration::from_secs(1), "{:?}", shut_down.elapsed());
    replicas.labelled("m-1").await;
    assert!(status.role().troubles.is_empty(), "{:?}", status.role());
}

#[tokio::test(start_paused = true)]
async fn a_crashed_replica_is_replaced_within_seconds() {
    let replicas = Replicas::new();
    let (first, _, boots) = replicas.active("m-0").await;
    let (mut second, _) = replicas.start("m-1");
    assert_pending(second.next()).await;
    let crashed = Instant::now();
    drop(first);
    assert_eq!(activated(&mut second).await, boots + 1);
    assert!(crashed.elapsed() < Duration::from_secs(7), "{:?}", crashed.elapsed());
    replicas.labelled("m-1").await;
}

#[tokio::test(start_paused = true)]
async fn without_the_api_server_roles_do_not_change() {
    let replicas = Replicas::new();
    let (mut first, status, _) = replicas.active("m-0").await;
    let (mut second, _) = replicas.start("m-1");
    assert_pending(second.next()).await;
    replicas.api.set_unavailable(true);
    for _ in 0..3 {
        assert_pending(async {
            tokio::select! { change = first.next() => change, change = second.next() => change }
        })
        .await;
    }
    assert!(status.role().troubles.contains_key(&Trouble::Lease));
    replicas.api.set_unavailable(false);
    assert_pending(async {
        tokio::select! { change = first.next() => change, change = second.next() => change }
    })
    .await;
    assert!(status.role().troubles.is_empty(), "{:?}", status.role());
    assert_eq!(replicas.holder().as_deref(), Some("m-0"));
}

#[tokio::test(start_paused = true)]
async fn a_replica_becomes_standby_when_another_holds_the_lease() {
    let replicas = Replicas::new();
    let (mut first, _, boots) = replicas.active("m-0").await;
    let spec = json!({"holderIdentity": "m-1", "leaseDurationSeconds": 6, "leaseTransitions": 9});
    replicas.api.put("leases", "m", json!({"spec": spec}));
    assert_eq!(within(first.next()).await, RoleChange::Deactivate);
    first.label(false);
    replicas.labelled("nobody").await;
    // The other holder never renews the Lease.
    assert_eq!(activated(&mut first).await, boots + 1);
    assert_eq!(replicas.api.get("leases", "m").unwrap()["spec"]["leaseTransitions"], 10);
}

#[tokio::test(start_paused = true)]
async fn no_replica_is_active_before_its_boot_is_stored() {
    let replicas = Replicas::new();
    replicas.api.delete("secrets", "m-engine");
    let (mut first, status) = replicas.start("m-0");
    assert_pending(first.next()).await;
    assert!(status.role().troubles[&Trouble::Engine].contains("the operator creates it"));
    replicas.api.put("secrets", "m-engine", json!({}));
    assert_eq!(activated(&mut first).await, 1);
}

#[tokio::test(start_paused = true)]
async fn an_aborted_shutdown_leaves_no_calls_behind() {
    let replicas = Replicas::new();
    let (first, ..) = replicas.active("m-0").await;
    replicas.api.set_unavailable(true);
    // The caller limits the time.
    assert!(timeout(Duration::from_millis(700), first.shut_down()).await.is_err());
    let calls = replicas.api.calls();
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(replicas.api.calls(), calls, "no task is left that makes calls");
}

#[tokio::test(start_paused = true)]
async fn a_removed_label_is_set_again() {
    let replicas = Replicas::new();
    let (_first, ..) = replicas.active("m-0").await;
    replicas.api.put("pods", "m-0", json!({}));
    replicas.api.put("pods", "m-1", json!({"metadata": {"labels": {"snmp-operator.dev/role": "active"}}}));
    replicas.labelled("m-0").await;
}
