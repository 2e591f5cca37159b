//! Sessions of authenticated peers, and the grants of their namespaces.

use std::time::Duration;

use agentx::{
    AddAgentCaps, Body, ByteOrder, CloseReason, IndexAllocate, Open, RemoveAgentCaps, ResponseError, Unregister, Value,
    VarBind,
};
use serde_json::{Value as Json, json};

use super::dispatcher_harness::{DispatcherHarness, ROOM, Subagent, get, int, oid, ranged, region, varbind};
use crate::subagents::{authority::Grants, registry::SessionId};

const A: &str = "1.3.6.1.4.1.99999.1";
const B: &str = "1.3.6.1.4.1.99999.2";
const A1: &str = "1.3.6.1.4.1.99999.1.1";
const B1: &str = "1.3.6.1.4.1.99999.2.1";

/// Returns grants in the context `c`, given as `{"acme": [subtrees]}`.
fn grants(grants: &Json) -> Grants {
    let grants: Vec<_> = grants.as_object().unwrap().iter().collect();
    let grants: Vec<_> =
        grants.iter().map(|(namespace, subtrees)| json!({"namespace": namespace, "subtrees": subtrees})).collect();
    let document = json!({"version": 1, "contexts": [{"name": "c", "grants": grants}]});
    Grants::new(&master_config::parse(document.to_string().as_bytes()).unwrap().contexts)
}

fn harness_with(granted: &Json) -> DispatcherHarness {
    let mut harness = DispatcherHarness::new();
    grant(&mut harness, granted);
    harness
}

fn grant(harness: &mut DispatcherHarness, granted: &Json) {
    harness.master.set_grants(grants(granted), harness.now);
}

fn open(harness: &mut DispatcherHarness, namespace: &str, pod: &str) -> Subagent {
    let connection = harness.connect_as(namespace, pod, Duration::from_hours(1));
    harness.open_on(connection, ByteOrder::Big, 0)
}

fn assert_served(harness: &mut DispatcherHarness, name: &str, from: Subagent) {
    let token = harness.request_in("c", get(&[name]), ROOM);
    let query = harness.sent_once(from);
    harness.answer(&query, from, vec![int(name, 7)]);
    assert_eq!(harness.result(token), Ok(vec![int(name, 7)]));
}

fn assert_not_served(harness: &mut DispatcherHarness, name: &str) {
    let token = harness.request_in("c", get(&[name]), ROOM);
    assert_eq!(harness.result(token), Ok(vec![varbind(name, Value::NoSuchObject)]));
}

#[test]
fn granted_regions_are_registered_and_others_are_denied_and_counted() {
    let mut harness = harness_with(&json!({"acme": [A], "globex": [B]}));
    let a = open(&mut harness, "acme", "web-0");
    harness.register_as(a, "c", region(A));
    assert_served(&mut harness, A1, a);
    let refused = [
        ("c", region(B), ResponseError::RequestDenied),
        ("c", region("1.3.6.1.4.1.99999.2.1.1.1"), ResponseError::RequestDenied),
        ("c", region("1.3.6.1.4.1.99999"), ResponseError::RequestDenied),
        ("c", ranged(A, 8, 2), ResponseError::RequestDenied),
        ("", region(A), ResponseError::UnsupportedContext),
        ("d", region(A), ResponseError::UnsupportedContext),
    ];
    for (context, register, error) in refused {
        assert_eq!(harness.try_register(a, context, register), error);
    }
    let totals = harness.master.totals();
    assert_eq!((totals.denied_outside, totals.denied_context, totals.registrations_refused), (4, 2, 0));
    assert_eq!(harness.call(a, "", Body::Ping).error, ResponseError::NoError);
    assert_eq!(harness.call(a, "c", Body::Ping).error, ResponseError::NoError);
    assert_eq!(harness.call(a, "d", Body::Ping).error, ResponseError::UnsupportedContext);
}

#[test]
fn all_pdus_are_checked_against_the_grants() {
    let mut harness = harness_with(&json!({"acme": [A], "globex": [B]}));
    let a = open(&mut harness, "acme", "web-0");
    let trap = |of: &str, object: &str| {
        let trap = varbind("1.3.6.1.6.3.1.1.4.1.0", Value::ObjectIdentifier(oid(of)));
        Body::Notify(vec![varbind("1.3.6.1.2.1.1.3.0", Value::TimeTicks(1)), trap, int(object, 1)])
    };
    let index = |name: &str| Body::IndexAllocate(IndexAllocate { new: false, any: true, varbinds: vec![int(name, 0)] });
    let capability = |id: &str| Body::AddAgentCaps(AddAgentCaps { id: oid(id), description: b"x".to_vec() });
    for body in [trap(A, A1), index(A1), capability(A)] {
        assert_eq!(harness.call(a, "c", body.clone()).error, ResponseError::NoError, "{body:?}");
        assert_eq!(harness.call(a, "", body.clone()).error, ResponseError::UnsupportedContext, "{body:?}");
    }
    for body in [trap(B, A1), trap(A, B1), index(B1), capability(B)] {
        assert_eq!(harness.call(a, "c", body.clone()).error, ResponseError::RequestDenied, "{body:?}");
    }
    for body in [
        Body::Unregister(Unregister { priority: 127, subtree: oid(A), range: None }),
        Body::IndexDeallocate(vec![int(A1, 1)]),
        Body::RemoveAgentCaps(RemoveAgentCaps { id: oid(A) }),
    ] {
        assert_eq!(harness.call(a, "d", body).error, ResponseError::UnsupportedContext);
    }
    assert_eq!(harness.master.totals().notifications, 1);
}

#[test]
fn a_revoked_grant_withdraws_its_registrations_and_nothing_else() {
    let mut harness = harness_with(&json!({"acme": [A, B]}));
    let a = open(&mut harness, "acme", "web-0");
    harness.register_as(a, "c", region(A));
    harness.register_as(a, "c", ranged("1.3.6.1.4.1.99999.1.0.4", 10, 9));
    harness.register_as(a, "c", region(B));
    grant(&mut harness, &json!({"acme": [B]}));
    assert_not_served(&mut harness, A1);
    assert_not_served(&mut harness, "1.3.6.1.4.1.99999.1.0.5");
    assert_served(&mut harness, B1, a);
    assert_eq!(harness.master.registration_count(), 1);
    assert_eq!(harness.master.sessions().map(|session| session.withdrawn).collect::<Vec<_>>(), [2]);
    // The subagent learns of the change from its own configuration later, and unregisters the region.
    let unregister = Body::Unregister(Unregister { priority: 127, subtree: oid(A), range: None });
    assert_eq!(harness.call(a, "c", unregister.clone()).error, ResponseError::NoError);
    assert_eq!(harness.call(a, "c", unregister).error, ResponseError::UnknownRegistration);
    // When the regions are granted again, only the one that it did not unregister is restored.
    grant(&mut harness, &json!({"acme": [A, B]}));
    assert_not_served(&mut harness, A1);
    assert_served(&mut harness, "1.3.6.1.4.1.99999.1.0.5", a);
    assert_served(&mut harness, B1, a);
    assert_eq!(harness.master.totals().registrations_withdrawn, 2);
}

#[test]
fn a_region_can_move_to_another_namespace_and_back() {
    let mut harness = harness_with(&json!({"acme": [A, B], "globex": ["1.3.6.1.4.1.99999.3"]}));
    let (a, g) = (open(&mut harness, "acme", "web-0"), open(&mut harness, "globex", "web-0"));
    harness.register_as(a, "c", region(A));
    grant(&mut harness, &json!({"acme": [B], "globex": [A]}));
    harness.register_as(g, "c", region(A));
    assert_served(&mut harness, A1, g);
    // The withdrawn registration of globex does not prevent that of acme.
    grant(&mut harness, &json!({"acme": [A, B]}));
    assert_served(&mut harness, A1, a);
    assert_eq!(harness.master.session_count(), 2);
}

#[test]
fn capabilities_follow_the_grants_and_sessions_with_denied_indexes_are_closed() {
    let mut harness = harness_with(&json!({"acme": [A, B]}));
    let (a, b) = (open(&mut harness, "acme", "web-0"), open(&mut harness, "acme", "web-1"));
    for id in [A, B] {
        let row = Body::AddAgentCaps(AddAgentCaps { id: oid(id), description: b"x".to_vec() });
        assert_eq!(harness.call(a, "c", row).error, ResponseError::NoError);
    }
    let varbinds = vec![VarBind { name: oid(A1), value: Value::Integer(0) }];
    let index = Body::IndexAllocate(IndexAllocate { new: false, any: true, varbinds });
    assert_eq!(harness.call(b, "c", index).error, ResponseError::NoError);
    grant(&mut harness, &json!({"acme": [B]}));
    assert_eq!(harness.close_reason(b), Some(CloseReason::ByManager));
    let of_a = |harness: &DispatcherHarness| harness.master.capabilities.of_session(SessionId(a.session)).len();
    assert_eq!((of_a(&harness), harness.master.session_count()), (1, 1));
    grant(&mut harness, &json!({"acme": [A, B]}));
    assert_eq!(of_a(&harness), 2);
    grant(&mut harness, &json!({}));
    assert_eq!(of_a(&harness), 0);
    let remove = Body::RemoveAgentCaps(RemoveAgentCaps { id: oid(A) });
    assert_eq!(harness.call(a, "c", remove.clone()).error, ResponseError::NoError);
    assert_eq!(harness.call(a, "c", remove).error, ResponseError::UnsupportedContext);
    harness.disconnect(a);
    assert_eq!(
        (harness.master.namespace_count(), harness.master.session_count()),
        (1, 0),
        "the connection of `b` must remain"
    );
}

#[test]
fn the_next_registration_in_the_queue_takes_over_outstanding_queries() {
    let mut harness = harness_with(&json!({"acme": [A]}));
    let (first, second) = (open(&mut harness, "acme", "web-0"), open(&mut harness, "acme", "web-1"));
    for pod in [first, second] {
        harness.register_as(pod, "c", region(A));
    }
    assert_served(&mut harness, A1, first);
    let mut published: Vec<_> =
        harness.master.published().map(|published| (published.identity.pod.to_string(), published.serving)).collect();
    published.sort();
    assert_eq!(published, [("web-0".to_owned(), true), ("web-1".to_owned(), false)]);
    assert_eq!(harness.master.queued(), 1);
    let token = harness.request_in("c", get(&[A1]), ROOM);
    harness.sent_once(first);
    harness.disconnect(first);
    let query = harness.sent_once(second);
    harness.answer(&query, second, vec![int(A1, 8)]);
    assert_eq!(harness.result(token), Ok(vec![int(A1, 8)]));
    assert_eq!((harness.master.queued(), harness.master.registration_count()), (0, 1));
}

#[test]
fn a_session_ends_when_its_token_expires() {
    let mut harness = harness_with(&json!({"acme": [A]}));
    let connection = harness.connect_as("acme", "web-0", Duration::from_secs(100));
    let a = harness.open_on(connection, ByteOrder::Big, 0);
    harness.register_as(a, "c", region(A));
    harness.pass(Duration::from_secs(99));
    assert_served(&mut harness, A1, a);
    harness.pass(Duration::from_secs(1));
    assert_eq!(harness.close_reason(a), Some(CloseReason::Other));
    assert!(harness.master.output(connection).unwrap().closes());
    assert_not_served(&mut harness, A1);
    assert_eq!((harness.master.session_count(), harness.master.totals().sessions_expired), (0, 1));
    harness.disconnect(a);
    harness.pass(Duration::from_mins(1));
    assert_eq!(
        (harness.master.deadline(), harness.master.namespace_count()),
        (None, 0),
        "something is left of the session"
    );
}

#[test]
fn the_sessions_of_a_namespace_are_limited_independently_of_others() {
    let limits = master_config::Limits { sessions_per_namespace: 2, ..Default::default() };
    let mut harness = DispatcherHarness::with(&limits);
    let first = open(&mut harness, "acme", "web-0");
    open(&mut harness, "acme", "web-1");
    let connection = harness.connect_as("acme", "web-2", Duration::from_hours(1));
    let no_session = Subagent { connection, session: 0, byte_order: ByteOrder::Big };
    let request = Body::Open(Open { timeout_s: 0, id: oid(""), description: vec![] });
    assert_eq!(harness.call(no_session, "", request.clone()).error, ResponseError::OpenFailed);
    open(&mut harness, "globex", "web-0");
    harness.open();
    harness.disconnect(first);
    assert_eq!(harness.call(no_session, "", request).error, ResponseError::NoError);
}

#[test]
fn all_connections_of_a_namespace_share_its_rate_limit() {
    let limits = master_config::Limits { agentx_pdus_per_second_per_namespace: 10, ..Default::default() };
    let mut harness = DispatcherHarness::with(&limits);
    let (a, b) = (open(&mut harness, "acme", "web-0"), open(&mut harness, "acme", "web-1"));
    let (other, local) = (open(&mut harness, "globex", "web-0"), harness.open());
    for _ in 0..20 {
        harness.call(a, "", Body::Ping);
    }
    let paused = [a, b, other, local].map(|of| harness.master.read_after(of.connection, harness.now).is_some());
    assert_eq!(paused, [true, true, false, false]);
    harness.pass(Duration::from_secs(2));
    assert!(harness.master.read_after(a.connection, harness.now).is_none());
}
