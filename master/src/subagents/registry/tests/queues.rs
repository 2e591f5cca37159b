//! Registrations of one region by several sessions of one namespace.

use super::*;

fn standby(registry: &Registry, session: u32) -> Vec<bool> {
    registry.registered(SessionId(session)).map(|registered| registered.stands_by).collect()
}

#[test]
fn sessions_of_one_namespace_queue_and_the_next_takes_over_at_once() {
    let mut registry = registry(&[]);
    for (session, pod) in [(1, "acme/a"), (2, "acme/b"), (3, "acme/c")] {
        registry.add_of(session, pod, "1.4", 127).unwrap();
    }
    assert_eq!(registry.server("1.4.1"), Some(1));
    assert_eq!([1, 2, 3].map(|session| standby(&registry, session)), [[false], [true], [true]]);
    assert_eq!(registry.queued(), 2);
    registry.withdraw(SessionId(1));
    assert_eq!((registry.server("1.4.1"), registry.queued()), (Some(2), 1));
    registry.delete(2, "1.4", 127).unwrap();
    assert_eq!((registry.server("1.4.1"), registry.queued()), (Some(3), 0));
    assert_eq!(standby(&registry, 3), [false]);
    registry.withdraw(SessionId(3));
    assert_eq!((registry.server("1.4.1"), registry.sizes()), (None, [0; 4]));
}

#[test]
fn a_standby_session_that_ends_changes_nothing() {
    let mut registry = registry(&[]);
    registry.add_of(1, "acme/a", "1.4", 127).unwrap();
    registry.add_of(2, "acme/b", "1.4", 127).unwrap();
    registry.withdraw(SessionId(2));
    assert_eq!((registry.server("1.4.1"), registry.queued()), (Some(1), 0));
}

#[test]
fn a_pod_that_opens_a_new_session_keeps_its_position() {
    let mut registry = registry(&[]);
    registry.add_of(1, "acme/a", "1.4", 127).unwrap();
    registry.add_of(2, "acme/b", "1.4", 127).unwrap();
    registry.add_of(3, "acme/a", "1.4", 127).unwrap();
    registry.withdraw(SessionId(1));
    assert_eq!(registry.server("1.4.1"), Some(3), "not the other pod");
    registry.add_of(4, "acme/", "1.4", 127).unwrap();
    registry.add_of(5, "acme/", "1.4", 127).unwrap();
    registry.withdraw(SessionId(3));
    registry.withdraw(SessionId(2));
    assert_eq!(registry.server("1.4.1"), Some(4), "sessions without a pod are not of the same pod");
}

#[test]
fn sessions_of_other_namespaces_do_not_queue() {
    let mut registry = registry(&[]);
    registry.add_of(1, "acme/a", "1.4", 127).unwrap();
    assert_eq!(registry.add_of(2, "globex/a", "1.4", 127), Err(RegistrationError::Duplicate));
    assert_eq!(registry.add(3, "1.4", 127), Err(RegistrationError::Duplicate));
    assert_eq!(registry.add_of(1, "acme/a", "1.4", 127), Err(RegistrationError::Duplicate), "nor the same session");
    registry.add(3, "1.5", 127).unwrap();
    assert_eq!(registry.add_of(1, "acme/a", "1.5", 127), Err(RegistrationError::Duplicate));
    assert_eq!(registry.add_of(1, "acme/a", "1.{5-6}", 127), Err(RegistrationError::Duplicate));
    assert_eq!(registry.queued(), 0);
}

#[test]
fn overlapping_regions_queue_where_they_overlap() {
    let mut registry = registry(&[]);
    registry.add_of(1, "acme/a", "1.4.{1-5}", 127).unwrap();
    registry.add_of(2, "acme/b", "1.4.{3-7}", 127).unwrap();
    assert_eq!(
        ["1.4.2", "1.4.3", "1.4.5", "1.4.6"].map(|name| registry.server(name)),
        [Some(1), Some(1), Some(1), Some(2)]
    );
    assert_eq!((standby(&registry, 1), standby(&registry, 2)), (vec![false], vec![true]));
    registry.withdraw(SessionId(1));
    assert_eq!(["1.4.2", "1.4.3", "1.4.7"].map(|name| registry.server(name)), [None, Some(2), Some(2)]);
    assert_eq!(standby(&registry, 2), [false]);
}

#[test]
fn registrations_are_limited_per_namespace() {
    let mut registry = Registry::new(&[], Limits { registrations_per_namespace: 3, ..PLENTY });
    registry.add_of(1, "acme/a", "1.4.{1-2}", 127).unwrap();
    registry.add_of(2, "acme/b", "1.4.1", 127).unwrap();
    let refused = Err(RegistrationError::TooManyOfNamespace { limit: 3 });
    assert_eq!(registry.add_of(3, "acme/c", "1.4.9", 127), refused);
    registry.add_of(4, "globex/a", "1.5.{1-3}", 127).unwrap();
    registry.add(5, "1.6.{1-9}", 127).unwrap();
    registry.withdraw(SessionId(2));
    registry.add_of(3, "acme/c", "1.4.9", 127).unwrap();
}

#[test]
fn registrations_are_returned_as_they_were_made() {
    let mut registry = registry(&[]);
    let texts = ["1.4", "1.5.{2-9}.7", "1.6.{3-3}"];
    for text in texts {
        registry.add_of(1, "acme/a", text, 9).unwrap();
    }
    let mut regions: Vec<_> =
        registry.registered(SessionId(1)).map(|registered| (registered.subtree, registered.range)).collect();
    regions.sort_by(|(one, _), (other, _)| one.cmp(other));
    assert_eq!(regions, [region("1.4"), region("1.5.{2-9}.7"), region("1.6.3")]);
    let removed = registry.delete(1, "1.5.{2-9}.7", 9).unwrap();
    assert_eq!(removed, Registration { member: member("acme/a"), ..registration(1, "1.5.{2-9}.7", 9) });
}
