//! Notifications: limits, namespaces, and which session serves the instance of an alarm.

use std::{sync::Arc, time::Duration};

use agentx::{Body, ByteOrder, ResponseError, Unregister, Value, VarBind};
use notification::{AlarmId, Details, Notification, Severity, State, Sync, date_and_time};
use serde_json::json;

use super::dispatcher_harness::*;
use crate::{
    pdu::notice::{Content, Notice, Subject},
    subagents::authority::Grants,
};

const A: &str = "1.3.6.1.4.1.99999.1";
const B: &str = "1.3.6.1.4.1.99999.2";

fn alarm(subtree: &str, sequence: u32, state: State, resource: &str) -> Notification {
    let alarm_type = oid(subtree).join(&[0, 1]).unwrap();
    let object = int(&format!("{subtree}.1.0"), 1);
    let details = Details {
        id: AlarmId::of(b"c", &alarm_type, &object.name),
        alarm_type,
        sequence,
        state,
        severity: if state == State::Cleared { Severity::Indeterminate } else { Severity::Major },
        time: date_and_time(std::time::UNIX_EPOCH).to_vec(),
        resource: resource.to_owned(),
        text: String::new(),
        event_type: None,
    };
    Notification { oid: details.alarm_type.clone(), objects: vec![object], details: Some(details) }
}

fn id(subtree: &str) -> AlarmId {
    alarm(subtree, 1, State::Raised, "").details.unwrap().id
}

fn raise(harness: &mut DispatcherHarness, of: Subagent, subtree: &str, sequence: u32) -> ResponseError {
    let varbinds = alarm(subtree, sequence, State::Raised, "acme/web/web-0").varbinds();
    harness.call(of, "c", Body::Notify(varbinds)).error
}

fn notices(harness: &mut DispatcherHarness) -> Vec<Notice> {
    std::iter::from_fn(|| harness.master.next_notice()).collect()
}

/// Returns whether the sessions of the received notifications served their instances.
fn served(notices: &[Notice]) -> Vec<(u32, bool)> {
    let served = notices.iter().filter_map(|notice| match notice {
        Notice::Received(received) => Some((received.session, received.serves)),
        _ => None,
    });
    served.collect()
}

fn tenants() -> DispatcherHarness {
    let mut harness = DispatcherHarness::new();
    let document = json!({"version": 1, "contexts": [{"name": "c", "grants": [
        {"namespace": "acme", "subtrees": [A]},
        {"namespace": "globex", "subtrees": [B]},
    ]}]});
    let document = master_config::parse(document.to_string().as_bytes()).unwrap();
    harness.master.set_grants(Grants::new(&document.contexts), harness.now);
    harness
}

fn open(harness: &mut DispatcherHarness, namespace: &str, pod: &str) -> Subagent {
    let connection = harness.connect_as(namespace, pod, Duration::from_hours(5));
    harness.open_on(connection, ByteOrder::Big, 0)
}

#[test]
fn a_notification_says_who_sent_it_and_whether_it_serves_the_instance() {
    let mut harness = tenants();
    let (serving, waiting) = (open(&mut harness, "acme", "web-0"), open(&mut harness, "acme", "web-1"));
    harness.register_as(serving, "c", region(A));
    harness.register_as(waiting, "c", region(A));
    for pod in [waiting, serving] {
        assert_eq!(raise(&mut harness, pod, A, 1), ResponseError::NoError);
    }
    let notices = notices(&mut harness);
    assert_eq!(served(&notices), [(waiting.session, false), (serving.session, true)]);
    let Notice::Received(received) = &notices[0] else { panic!("{notices:?}") };
    assert_eq!((received.namespace.as_deref(), received.proven, &*received.context), (Some("acme"), true, &b"c"[..]));
    assert!(matches!(received.content, Content::Notification(_)));
}

#[test]
fn a_peer_without_identity_names_its_namespace_in_the_resource() {
    for (resource, expected) in [
        ("acme/web/web-0", Some("acme")),
        ("acme", None),
        ("Acme/web", None),
        ("/web", None),
        ("-acme/web", None),
        ("acme\u{e9}/web", None),
    ] {
        let mut harness = DispatcherHarness::new();
        let pod = harness.open();
        let varbinds = alarm(A, 1, State::Raised, resource).varbinds();
        assert_eq!(harness.call(pod, "c", Body::Notify(varbinds)).error, ResponseError::NoError);
        let notices = notices(&mut harness);
        let [Notice::Received(received)] = &notices[..] else { panic!("{notices:?}") };
        assert_eq!((received.namespace.as_deref(), received.proven), (expected, false), "{resource}");
    }
}

#[test]
fn the_book_learns_when_another_session_serves_an_alarm() {
    let mut harness = tenants();
    let (first, second) = (open(&mut harness, "acme", "web-0"), open(&mut harness, "acme", "web-1"));
    for pod in [first, second] {
        harness.register_as(pod, "c", region(A));
        raise(&mut harness, pod, A, 1);
        let sync = Sync { base: oid(A), raised: vec![id(A)] };
        assert_eq!(harness.call(pod, "c", Body::Notify(sync.varbinds())).error, ResponseError::NoError);
    }
    harness.pass(Duration::from_secs(1));
    notices(&mut harness);
    harness.disconnect(first);
    harness.pass(Duration::from_secs(1));
    let context: Arc<[u8]> = Arc::from(*b"c");
    let serving =
        |subject| Notice::Serving { session: second.session, context: Arc::clone(&context), subject, serves: true };
    assert_eq!(
        notices(&mut harness),
        [Notice::Closed { session: first.session }, serving(Subject::Alarm(id(A))), serving(Subject::Subtree(oid(A))),]
    );
}

#[test]
fn a_session_that_unregisters_no_longer_serves() {
    let mut harness = tenants();
    let pod = open(&mut harness, "acme", "web-0");
    harness.register_as(pod, "c", region(A));
    raise(&mut harness, pod, A, 1);
    harness.pass(Duration::from_secs(1));
    notices(&mut harness);
    let unregister = Body::Unregister(Unregister { priority: 127, subtree: oid(A), range: None });
    assert_eq!(harness.call(pod, "c", unregister).error, ResponseError::NoError);
    harness.pass(Duration::from_secs(1));
    let notices = notices(&mut harness);
    assert!(matches!(notices[..], [Notice::Serving { serves: false, .. }]), "{notices:?}");
}

#[test]
fn the_rate_of_a_namespace_is_limited_and_others_are_not_affected() {
    let mut harness = tenants();
    let (acme, globex) = (open(&mut harness, "acme", "web-0"), open(&mut harness, "globex", "web-0"));
    let mut accepted = 0;
    for sequence in 0..1_500 {
        accepted += u32::from(raise(&mut harness, acme, A, sequence) == ResponseError::NoError);
        notices(&mut harness);
    }
    assert_eq!(accepted, 1_000);
    assert_eq!(raise(&mut harness, acme, A, 2_000), ResponseError::ProcessingError);
    assert_eq!(raise(&mut harness, globex, B, 1), ResponseError::NoError);
    harness.pass(Duration::from_secs(1));
    let later = (0..60).filter(|sequence| raise(&mut harness, acme, A, 3_000 + sequence) == ResponseError::NoError);
    assert_eq!(later.count(), 50);
    assert_eq!(harness.master.totals().notifications_over_rate, 500 + 1 + 10);
}

#[test]
fn what_the_book_cannot_take_is_refused_so_that_it_is_sent_again() {
    let mut harness = DispatcherHarness::new();
    let pod = harness.open();
    let mut refused = Vec::new();
    for sequence in 0..1_100 {
        // Half a second each, so that the rate is no limit.
        harness.pass(Duration::from_millis(500));
        if raise(&mut harness, pod, A, sequence) == ResponseError::ProcessingError {
            refused.push(sequence);
        }
    }
    assert_eq!(refused, (1_024..1_100).collect::<Vec<_>>());
    assert_eq!(notices(&mut harness).len(), 1_024);
    assert_eq!(raise(&mut harness, pod, A, 2_000), ResponseError::NoError);
}

#[test]
fn notifications_without_a_trap_oid_or_with_a_forged_heartbeat_reach_no_book() {
    let mut harness = DispatcherHarness::new();
    let pod = harness.open();
    let heartbeat = Value::ObjectIdentifier(oid("1.3.6.1.4.1.8072.9999.9999.2741.2.0.1"));
    let forged = vec![VarBind { name: oid("1.3.6.1.6.3.1.1.4.1.0"), value: heartbeat }];
    assert_eq!(harness.call(pod, "c", Body::Notify(forged)).error, ResponseError::RequestDenied);
    assert_eq!(harness.call(pod, "c", Body::Notify(vec![int(A, 1)])).error, ResponseError::ProcessingError);
    assert_eq!(notices(&mut harness), []);
    assert_eq!(harness.master.totals().notifications_refused, 2);
}

#[test]
fn a_cleared_alarm_is_no_longer_watched() {
    let mut harness = DispatcherHarness::new();
    let pod = harness.open();
    harness.register_as(pod, "c", region(A));
    raise(&mut harness, pod, A, 1);
    let cleared = alarm(A, 2, State::Cleared, "acme/web/web-0").varbinds();
    assert_eq!(harness.call(pod, "c", Body::Notify(cleared)).error, ResponseError::NoError);
    notices(&mut harness);
    let unregister = Body::Unregister(Unregister { priority: 127, subtree: oid(A), range: None });
    harness.call(pod, "c", unregister);
    harness.pass(Duration::from_secs(1));
    assert_eq!(notices(&mut harness), []);
}

#[test]
fn the_alarms_of_a_namespace_are_limited() {
    let mut harness = tenants();
    let (acme, globex) = (open(&mut harness, "acme", "web-0"), open(&mut harness, "globex", "web-0"));
    for number in 0..10_000 {
        harness.pass(Duration::from_millis(20));
        assert_eq!(raise(&mut harness, acme, &format!("{A}.{number}"), 1), ResponseError::NoError);
        notices(&mut harness);
    }
    assert_eq!(raise(&mut harness, acme, &format!("{A}.10000"), 1), ResponseError::RequestDenied);
    // An alarm that is known can still change, and another namespace is not affected.
    assert_eq!(raise(&mut harness, acme, &format!("{A}.1"), 2), ResponseError::NoError);
    assert_eq!(raise(&mut harness, globex, B, 1), ResponseError::NoError);
    assert_eq!(harness.master.totals().notifications_over_capacity, 1);
    // The end of its session makes room.
    harness.disconnect(acme);
    let again = open(&mut harness, "acme", "web-0");
    harness.pass(Duration::from_secs(1));
    assert_eq!(raise(&mut harness, again, &format!("{A}.10000"), 1), ResponseError::NoError);
}
