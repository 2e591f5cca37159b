//! Sessions that say whose they are, and what that lets them do.

use std::time::Duration;

use agentx::{
    AddAgentCaps, Body, ByteOrder, CloseReason, IndexAllocate, Open, RemoveAgentCaps, ResponseError, Unregister, Value,
    VarBind,
};
use serde_json::{Value as Json, json};

use super::rig::{ROOM, Rig, Subagent, get, int, oid, ranged, region, varbind};
use crate::{authority::Grants, registry::SessionId};

const A: &str = "1.3.6.1.4.1.99999.1";
const B: &str = "1.3.6.1.4.1.99999.2";
const A1: &str = "1.3.6.1.4.1.99999.1.1";
const B1: &str = "1.3.6.1.4.1.99999.2.1";

/// Grants in the context `c`, as `{"acme": [subtrees]}`.
fn grants(grants: &Json) -> Grants {
    let grants: Vec<_> = grants.as_object().unwrap().iter().collect();
    let grants: Vec<_> =
        grants.iter().map(|(namespace, subtrees)| json!({"namespace": namespace, "subtrees": subtrees})).collect();
    let document = json!({"version": 1, "contexts": [{"name": "c", "grants": grants}]});
    Grants::new(&master_config::parse(document.to_string().as_bytes()).unwrap().contexts)
}

fn rig(granted: &Json) -> Rig {
    let mut rig = Rig::new();
    grant(&mut rig, granted);
    rig
}

fn grant(rig: &mut Rig, granted: &Json) {
    rig.master.grant(grants(granted), rig.now);
}

fn open(rig: &mut Rig, namespace: &str, pod: &str) -> Subagent {
    let connection = rig.connect_as(namespace, pod, Duration::from_hours(1));
    rig.open_on(connection, ByteOrder::Big, 0)
}

fn read(rig: &mut Rig, name: &str, from: Subagent) {
    let token = rig.request_in("c", get(&[name]), ROOM);
    let asked = rig.asked_once(from);
    rig.answer(&asked, from, vec![int(name, 7)]);
    assert_eq!(rig.result(token), Ok(vec![int(name, 7)]));
}

fn nobody_serves(rig: &mut Rig, name: &str) {
    let token = rig.request_in("c", get(&[name]), ROOM);
    assert_eq!(rig.result(token), Ok(vec![varbind(name, Value::NoSuchObject)]));
}

#[test]
fn a_tenant_serves_what_it_is_granted_and_the_rest_is_refused_and_counted() {
    let mut rig = rig(&json!({"acme": [A], "globex": [B]}));
    let a = open(&mut rig, "acme", "web-0");
    rig.register_as(a, "c", region(A));
    read(&mut rig, A1, a);
    let refused = [
        ("c", region(B), ResponseError::RequestDenied),
        ("c", region("1.3.6.1.4.1.99999.2.1.1.1"), ResponseError::RequestDenied),
        ("c", region("1.3.6.1.4.1.99999"), ResponseError::RequestDenied),
        ("c", ranged(A, 8, 2), ResponseError::RequestDenied),
        ("", region(A), ResponseError::UnsupportedContext),
        ("d", region(A), ResponseError::UnsupportedContext),
    ];
    for (context, register, error) in refused {
        assert_eq!(rig.try_register(a, context, register), error);
    }
    let totals = rig.master.totals();
    assert_eq!((totals.denied_outside, totals.denied_context, totals.registrations_refused), (4, 2, 0));
    assert_eq!(rig.call(a, "", Body::Ping).error, ResponseError::NoError);
    assert_eq!(rig.call(a, "c", Body::Ping).error, ResponseError::NoError);
    assert_eq!(rig.call(a, "d", Body::Ping).error, ResponseError::UnsupportedContext);
}

#[test]
fn every_other_pdu_is_held_against_the_grant_too() {
    let mut rig = rig(&json!({"acme": [A], "globex": [B]}));
    let a = open(&mut rig, "acme", "web-0");
    let trap = |of: &str, object: &str| {
        let trap = varbind("1.3.6.1.6.3.1.1.4.1.0", Value::ObjectIdentifier(oid(of)));
        Body::Notify(vec![varbind("1.3.6.1.2.1.1.3.0", Value::TimeTicks(1)), trap, int(object, 1)])
    };
    let index = |name: &str| Body::IndexAllocate(IndexAllocate { new: false, any: true, varbinds: vec![int(name, 0)] });
    let capability = |id: &str| Body::AddAgentCaps(AddAgentCaps { id: oid(id), description: b"x".to_vec() });
    for body in [trap(A, A1), index(A1), capability(A)] {
        assert_eq!(rig.call(a, "c", body.clone()).error, ResponseError::NoError, "{body:?}");
        assert_eq!(rig.call(a, "", body.clone()).error, ResponseError::UnsupportedContext, "{body:?}");
    }
    for body in [trap(B, A1), trap(A, B1), index(B1), capability(B)] {
        assert_eq!(rig.call(a, "c", body.clone()).error, ResponseError::RequestDenied, "{body:?}");
    }
    for body in [
        Body::Unregister(Unregister { priority: 127, subtree: oid(A), range: None }),
        Body::IndexDeallocate(vec![int(A1, 1)]),
        Body::RemoveAgentCaps(RemoveAgentCaps { id: oid(A) }),
    ] {
        assert_eq!(rig.call(a, "d", body).error, ResponseError::UnsupportedContext);
    }
    assert_eq!(rig.master.totals().notifications, 1);
}

#[test]
fn what_is_granted_no_more_is_served_no_more_at_once_and_nothing_else_is_disturbed() {
    let mut rig = rig(&json!({"acme": [A, B]}));
    let a = open(&mut rig, "acme", "web-0");
    rig.register_as(a, "c", region(A));
    rig.register_as(a, "c", ranged("1.3.6.1.4.1.99999.1.0.4", 10, 9));
    rig.register_as(a, "c", region(B));
    grant(&mut rig, &json!({"acme": [B]}));
    nobody_serves(&mut rig, A1);
    nobody_serves(&mut rig, "1.3.6.1.4.1.99999.1.0.5");
    read(&mut rig, B1, a);
    assert_eq!(rig.master.registration_count(), 1);
    assert_eq!(rig.master.sessions().map(|session| session.withdrawn).collect::<Vec<_>>(), [2]);
    // The subagent learns of it later, by its own configuration, and takes back what is gone.
    let unregister = Body::Unregister(Unregister { priority: 127, subtree: oid(A), range: None });
    assert_eq!(rig.call(a, "c", unregister.clone()).error, ResponseError::NoError);
    assert_eq!(rig.call(a, "c", unregister).error, ResponseError::UnknownRegistration);
    // What it did not take back is served again when it is granted again; what it did is not.
    grant(&mut rig, &json!({"acme": [A, B]}));
    nobody_serves(&mut rig, A1);
    read(&mut rig, "1.3.6.1.4.1.99999.1.0.5", a);
    read(&mut rig, B1, a);
    assert_eq!(rig.master.totals().registrations_withdrawn, 2);
}

#[test]
fn what_one_namespace_loses_another_may_have_at_once_and_the_first_gets_it_back_by_beginning_anew() {
    let mut rig = rig(&json!({"acme": [A, B], "globex": ["1.3.6.1.4.1.99999.3"]}));
    let (a, g) = (open(&mut rig, "acme", "web-0"), open(&mut rig, "globex", "web-0"));
    rig.register_as(a, "c", region(A));
    grant(&mut rig, &json!({"acme": [B], "globex": [A]}));
    rig.register_as(g, "c", region(A));
    read(&mut rig, A1, g);
    // Nothing of globex's is left when it is acme's again: what was withdrawn does not stand in the way.
    grant(&mut rig, &json!({"acme": [A, B]}));
    read(&mut rig, A1, a);
    assert_eq!(rig.master.session_count(), 2);
}

#[test]
fn capabilities_go_and_come_with_the_grant_and_who_has_indexes_begins_anew() {
    let mut rig = rig(&json!({"acme": [A, B]}));
    let (a, b) = (open(&mut rig, "acme", "web-0"), open(&mut rig, "acme", "web-1"));
    for id in [A, B] {
        let row = Body::AddAgentCaps(AddAgentCaps { id: oid(id), description: b"x".to_vec() });
        assert_eq!(rig.call(a, "c", row).error, ResponseError::NoError);
    }
    let varbinds = vec![VarBind { name: oid(A1), value: Value::Integer(0) }];
    let index = Body::IndexAllocate(IndexAllocate { new: false, any: true, varbinds });
    assert_eq!(rig.call(b, "c", index).error, ResponseError::NoError);
    grant(&mut rig, &json!({"acme": [B]}));
    assert_eq!(rig.closed(b), Some(CloseReason::ByManager));
    let of_a = |rig: &Rig| rig.master.capabilities.of_session(SessionId(a.session)).len();
    assert_eq!((of_a(&rig), rig.master.session_count()), (1, 1));
    grant(&mut rig, &json!({"acme": [A, B]}));
    assert_eq!(of_a(&rig), 2);
    grant(&mut rig, &json!({}));
    assert_eq!(of_a(&rig), 0);
    let remove = Body::RemoveAgentCaps(RemoveAgentCaps { id: oid(A) });
    assert_eq!(rig.call(a, "c", remove.clone()).error, ResponseError::NoError);
    assert_eq!(rig.call(a, "c", remove).error, ResponseError::UnsupportedContext);
    rig.disconnect(a);
    assert_eq!((rig.master.namespace_count(), rig.master.session_count()), (1, 0), "b's connection is still there");
}

#[test]
fn the_next_in_the_queue_takes_over_and_answers_what_was_asked_already() {
    let mut rig = rig(&json!({"acme": [A]}));
    let (first, second) = (open(&mut rig, "acme", "web-0"), open(&mut rig, "acme", "web-1"));
    for pod in [first, second] {
        rig.register_as(pod, "c", region(A));
    }
    read(&mut rig, A1, first);
    let mut published: Vec<_> =
        rig.master.published().map(|published| (published.identity.pod.to_string(), published.serving)).collect();
    published.sort();
    assert_eq!(published, [("web-0".to_owned(), true), ("web-1".to_owned(), false)]);
    assert_eq!(rig.master.queued(), 1);
    let token = rig.request_in("c", get(&[A1]), ROOM);
    rig.asked_once(first);
    rig.disconnect(first);
    let asked = rig.asked_once(second);
    rig.answer(&asked, second, vec![int(A1, 8)]);
    assert_eq!(rig.result(token), Ok(vec![int(A1, 8)]));
    assert_eq!((rig.master.queued(), rig.master.registration_count()), (0, 1));
}

#[test]
fn a_session_ends_with_its_token() {
    let mut rig = rig(&json!({"acme": [A]}));
    let connection = rig.connect_as("acme", "web-0", Duration::from_secs(100));
    let a = rig.open_on(connection, ByteOrder::Big, 0);
    rig.register_as(a, "c", region(A));
    rig.pass(Duration::from_secs(99));
    read(&mut rig, A1, a);
    rig.pass(Duration::from_secs(1));
    assert_eq!(rig.closed(a), Some(CloseReason::Other));
    assert!(rig.master.output(connection).unwrap().closes());
    nobody_serves(&mut rig, A1);
    assert_eq!((rig.master.session_count(), rig.master.totals().sessions_expired), (0, 1));
    rig.disconnect(a);
    rig.pass(Duration::from_mins(1));
    assert_eq!((rig.master.deadline(), rig.master.namespace_count()), (None, 0), "nothing is left of it");
}

#[test]
fn a_namespace_has_so_many_sessions_and_others_are_not_hindered() {
    let limits = master_config::Limits { sessions_per_namespace: 2, ..Default::default() };
    let mut rig = Rig::with(&limits);
    let first = open(&mut rig, "acme", "web-0");
    open(&mut rig, "acme", "web-1");
    let connection = rig.connect_as("acme", "web-2", Duration::from_hours(1));
    let nobody = Subagent { connection, session: 0, byte_order: ByteOrder::Big };
    let request = Body::Open(Open { timeout_s: 0, id: oid(""), description: vec![] });
    assert_eq!(rig.call(nobody, "", request.clone()).error, ResponseError::OpenFailed);
    open(&mut rig, "globex", "web-0");
    rig.open();
    rig.disconnect(first);
    assert_eq!(rig.call(nobody, "", request).error, ResponseError::NoError);
}

#[test]
fn all_connections_of_a_namespace_share_its_rate() {
    let limits = master_config::Limits { agentx_pdus_per_second_per_namespace: 10, ..Default::default() };
    let mut rig = Rig::with(&limits);
    let (a, b) = (open(&mut rig, "acme", "web-0"), open(&mut rig, "acme", "web-1"));
    let (other, nobody) = (open(&mut rig, "globex", "web-0"), rig.open());
    for _ in 0..20 {
        rig.call(a, "", Body::Ping);
    }
    let paused = [a, b, other, nobody].map(|of| rig.master.read_after(of.connection, rig.now).is_some());
    assert_eq!(paused, [true, true, false, false]);
    rig.pass(Duration::from_secs(2));
    assert!(rig.master.read_after(a.connection, rig.now).is_none());
}
