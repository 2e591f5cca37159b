//! Alarms: from the Notify of a subagent to the alarm table.

use agentx::{ResponseError, VarBind};
use async_snmp::Value;
use notification::{AlarmId, Details, Notification, Severity, State, Sync, date_and_time};

use crate::{A, B, master::Master, subagent::Subagent};

/// The columns of the alarm table, the number of critical alarms, and that of major ones.
const COLUMNS: &str = "1.3.6.1.4.1.8072.9999.9999.2741.2.1.1";
const CRITICAL: &str = "1.3.6.1.4.1.8072.9999.9999.2741.2.3.1.0";
const MAJOR: &str = "1.3.6.1.4.1.8072.9999.9999.2741.2.3.2.0";

fn alarm(subtree: &str, sequence: u32, state: State, severity: Severity) -> Notification {
    let alarm_type: agentx::Oid = format!("{subtree}.0.1").parse().unwrap();
    let object = VarBind { name: format!("{subtree}.1.0").parse().unwrap(), value: agentx::Value::Gauge32(81) };
    let details = Details {
        id: AlarmId::of(b"", &alarm_type, &object.name),
        alarm_type,
        sequence,
        state,
        severity,
        time: date_and_time(std::time::UNIX_EPOCH).to_vec(),
        resource: "acme/web/web-0".to_owned(),
        text: "Too many errors".to_owned(),
        event_type: None,
    };
    Notification { oid: details.alarm_type.clone(), objects: vec![object], details: Some(details) }
}

/// Returns the instance of a column for an alarm.
fn cell(column: u32, alarm: &Notification) -> String {
    let index: Vec<_> = alarm.details.as_ref().unwrap().id.0.iter().map(u8::to_string).collect();
    format!("{COLUMNS}.{column}.{}", index.join("."))
}

#[tokio::test]
async fn an_alarm_is_in_the_table_until_it_is_cleared() {
    let master = Master::start();
    let mut subagent = Subagent::over_unix(&master);
    subagent.open();
    assert_eq!(subagent.register(A), ResponseError::NoError);
    let raised = alarm(A, 7, State::Raised, Severity::Major);
    assert_eq!(subagent.notify(raised.varbinds()), ResponseError::NoError);
    assert_eq!(master.get_instance_until(MAJOR, &Value::Gauge32(1)).await, Value::Gauge32(1));
    let (name, value) = master.get_next(COLUMNS).await;
    assert_eq!((name, value), (cell(2, &raised), Value::ObjectIdentifier(format!("{A}.0.1").parse().unwrap())));
    assert_eq!(
        master.get_instance(&cell(3, &raised)).await,
        Value::ObjectIdentifier(format!("{A}.1.0").parse().unwrap())
    );
    assert_eq!(master.get_instance(&cell(4, &raised)).await, Value::OctetString("81".into()));
    assert_eq!(master.get_instance(&cell(5, &raised)).await, Value::Integer(4));
    assert_eq!(master.get_instance(&cell(7, &raised)).await, Value::Gauge32(7));
    assert_eq!(master.get_instance(&cell(11, &raised)).await, Value::OctetString("Too many errors".into()));
    assert_eq!(master.get_instance(&cell(1, &raised)).await, Value::NoSuchObject, "the index is not accessible");

    let cleared = alarm(A, 8, State::Cleared, Severity::Indeterminate);
    assert_eq!(subagent.notify(cleared.varbinds()), ResponseError::NoError);
    assert_eq!(master.get_instance_until(MAJOR, &Value::Gauge32(0)).await, Value::Gauge32(0));
    assert_eq!(master.get_instance(&cell(7, &raised)).await, Value::NoSuchInstance);
    assert_eq!(master.get_next(COLUMNS).await.0, CRITICAL);
}

#[tokio::test]
async fn only_the_subagent_that_serves_the_instance_counts() {
    let master = Master::start();
    let (mut serving, mut other) = (Subagent::over_unix(&master), Subagent::over_tcp(&master));
    serving.open();
    other.open();
    assert_eq!(serving.register(A), ResponseError::NoError);
    assert_eq!(serving.register(B), ResponseError::NoError);
    let waiting = alarm(A, 7, State::Raised, Severity::Critical);
    assert_eq!(other.notify(waiting.varbinds()), ResponseError::NoError);
    assert_eq!(
        other.notify(Sync { base: A.parse().unwrap(), raised: vec![waiting.details.unwrap().id] }.varbinds()),
        ResponseError::NoError
    );
    let shown = alarm(B, 7, State::Raised, Severity::Major);
    assert_eq!(serving.notify(shown.varbinds()), ResponseError::NoError);
    assert_eq!(master.get_instance_until(MAJOR, &Value::Gauge32(1)).await, Value::Gauge32(1));
    assert_eq!(master.get_instance(CRITICAL).await, Value::Gauge32(0));
    // Once it serves the instance, the alarm that it raised before is shown.
    drop(serving);
    let mut registered = other.register(A);
    while registered == ResponseError::DuplicateRegistration {
        registered = other.register(A);
    }
    assert_eq!(registered, ResponseError::NoError);
    assert_eq!(master.get_instance_until(CRITICAL, &Value::Gauge32(1)).await, Value::Gauge32(1));
    assert_eq!(master.get_instance(MAJOR).await, Value::Gauge32(1), "an alarm without a session stays");
}

#[tokio::test]
async fn a_forged_notification_is_refused() {
    let master = Master::start();
    let mut subagent = Subagent::over_unix(&master);
    subagent.open();
    let mut forged = alarm(A, 7, State::Raised, Severity::Major);
    forged.details.as_mut().unwrap().id.0[0] ^= 1;
    assert_eq!(subagent.notify(forged.varbinds()), ResponseError::RequestDenied);
    assert_eq!(subagent.notify(Vec::new()), ResponseError::ProcessingError);
    let many = vec![VarBind { name: A.parse().unwrap(), value: agentx::Value::Integer(1) }; 66];
    assert_eq!(subagent.notify(many), ResponseError::RequestDenied);
    assert_eq!(master.snapshot_until(|snapshot| snapshot.totals.notifications_refused == 3).totals.notifications, 0);
}
