use std::sync::Arc;

use agentx::{Value, VarBind};
use daemon::drain;
use notification::{AlarmId, Details, Notification, Severity, State, date_and_time};
use serde_json::json;
use tokio::task::{LocalSet, spawn_local, yield_now};

use super::*;
use crate::pdu::notice::{Content, Received};

const DEADLINE: Duration = Duration::from_mins(1);

fn received(namespace: &str, object: u32) -> Notice {
    let alarm_type: agentx::Oid = "1.3.6.1.4.1.99999.0.1".parse().unwrap();
    let object = VarBind { name: format!("1.3.6.1.4.1.99999.1.{object}").parse().unwrap(), value: Value::Gauge32(1) };
    let details = Details {
        id: AlarmId::of(b"c", &alarm_type, &object.name),
        alarm_type: alarm_type.clone(),
        sequence: 1,
        state: State::Raised,
        severity: Severity::Minor,
        time: date_and_time(std::time::UNIX_EPOCH).to_vec(),
        resource: format!("{namespace}/web/web-0"),
        text: String::new(),
        event_type: None,
    };
    let notification = Notification { oid: alarm_type, objects: vec![object], details: Some(details) };
    Notice::Received(Box::new(Received {
        namespace: Some(namespace.into()),
        proven: true,
        session: 1,
        context: Arc::from(*b"c"),
        serves: true,
        content: Content::Notification(notification),
    }))
}

/// Runs the thread's work while `act` runs, and ends it after that.
async fn during<F: Future>(parts: Parts, act: F) -> F::Output {
    let local = LocalSet::new();
    local
        .run_until(async {
            let (trigger, watcher) = drain::channel();
            let driver = spawn_local(run(parts, watcher));
            let output = act.await;
            drop(trigger);
            driver.await.unwrap();
            output
        })
        .await
}

/// Waits until there are this many alarms, and returns how many there are at last.
async fn alarms_until(notifier: &Notifier, wanted: usize) -> usize {
    let deadline = Instant::now() + DEADLINE;
    while notifier.status.get().alarms != wanted && Instant::now() < deadline {
        yield_now().await;
    }
    notifier.status.get().alarms
}

#[tokio::test]
async fn alarms_are_recorded_and_are_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let store = || Some(RecordStore::new(directory.path()));
    let (parts, notices, notifier) = parts(Heartbeat::new());
    during(parts.with_record(store()), async {
        for object in 1..=3 {
            notices.send(received("acme", object)).await.unwrap();
        }
        assert_eq!(alarms_until(&notifier, 3).await, 3);
    })
    .await;
    let (parts, _notices, notifier) = super::parts(Heartbeat::new());
    during(parts.with_record(store()), async {
        assert_eq!(alarms_until(&notifier, 3).await, 3);
        let numbers = notifier.status.get();
        assert_eq!((numbers.namespaces, numbers.received), ([("acme".to_owned(), 3)].into(), 0));
    })
    .await;
}

#[tokio::test]
async fn a_document_without_a_grant_clears_the_alarms_of_its_namespace() {
    let (parts, notices, notifier) = parts(Heartbeat::new());
    let document = json!({"version": 1, "contexts": [{"name": "c", "grants": [
        {"namespace": "globex", "subtrees": ["1.3.6.1.4.1.99999"]},
    ]}]});
    let document = master_config::parse(document.to_string().as_bytes()).unwrap();
    during(parts, async {
        notices.send(received("acme", 1)).await.unwrap();
        assert_eq!(alarms_until(&notifier, 1).await, 1);
        notices.send(received("globex", 2)).await.unwrap();
        assert_eq!(alarms_until(&notifier, 2).await, 2);
        notifier.apply(&document).await;
        assert_eq!(alarms_until(&notifier, 1).await, 1);
        assert_eq!(notifier.status.get().namespaces, [("globex".to_owned(), 1)].into());
    })
    .await;
}

#[tokio::test]
async fn a_standby_keeps_its_book_and_confirms_that_it_stops() {
    let (parts, notices, notifier) = parts(Heartbeat::new());
    let engine = EngineIdentity { engine_id: vec![0x80, 0, 0, 0, 1], boots: 1 };
    during(parts, async {
        notifier.activate(&engine, Instant::now()).await;
        notifier.deactivate().await;
        notices.send(received("acme", 1)).await.unwrap();
        assert_eq!(alarms_until(&notifier, 1).await, 1);
    })
    .await;
}
