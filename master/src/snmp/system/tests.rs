use std::time::{Duration, Instant};

use agentx::{Oid, Value};
use arc_swap::ArcSwap;
use master_config::{Context, Document, System};
use rstest::rstest;

use super::*;
use crate::{pdu::own_objects::Capability, snmp::KeyCache};

fn oid(text: &str) -> Oid {
    text.parse().unwrap()
}

fn objects(started: Instant) -> SystemObjects {
    let document: Document = serde_json::from_value(serde_json::json!({
        "version": 1,
        "limits": {"snmpMessageOctets": 1472},
        "contexts": [
            {"name": "acme", "system": {"name": "acme's", "contact": "noc@acme", "location": "Rack 7"}},
            {"name": "other"},
        ],
    }))
    .unwrap();
    assert_eq!(document.contexts[1], Context { system: System::default(), ..document.contexts[1].clone() });
    let identity = EngineIdentity { engine_id: b"\x80\x00\x1f\x88\x04us".to_vec(), boots: 7 };
    let access = Access::new(&document, &identity.engine_id, &mut KeyCache::default());
    SystemObjects::new(identity, started, Arc::new(ArcSwap::from_pointee(access)), Arc::default())
}

fn rows(started: Instant) -> Vec<Capability> {
    [2, 5]
        .map(|index| Capability {
            index,
            id: oid("1.3.6.1.4.1.99999").join(&[index]).unwrap(),
            description: format!("row {index}").into_bytes(),
            added: started + Duration::from_secs(index.into()),
        })
        .to_vec()
}

/// Returns all instances that a walk from `from` to `end` finds.
fn walk(own: &SystemObjects, env: Environment<'_>, from: &str, end: &[SubId]) -> Vec<(String, Value)> {
    let (mut found, mut at, mut include) = (Vec::new(), oid(from), true);
    while let Some((name, value)) = own.next(env, &at, include, end) {
        assert!(name > at || include && name == at, "{name} does not follow {at}");
        assert!(own.has_object(&name) && own.subtrees().iter().any(|subtree| name.starts_with(subtree)));
        found.push((name.to_string(), value));
        (at, include) = (name, false);
    }
    found
}

/// Formats a value for snapshots, without the version of the package.
fn shown(value: &Value) -> String {
    match value {
        Value::OctetString(octets) => {
            format!("{:?}", octets.escape_ascii().to_string().replace(env!("CARGO_PKG_VERSION"), "VERSION"))
        }
        Value::ObjectIdentifier(oid) => oid.to_string(),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_walk_finds_every_object_once() {
    let started = Instant::now();
    let (own, rows) = (objects(started), rows(started));
    own.engine.statistics.in_packets.increment();
    own.engine.statistics.wrong_digests.increment();
    let changed = Some(started + Duration::from_millis(5_019));
    let now = started + Duration::from_secs(100);
    let env = Environment { context: b"acme", capabilities: &rows, capabilities_changed: changed, now };
    let found: Vec<_> =
        walk(&own, env, "0.0", &[]).iter().map(|(name, value)| format!("{name} = {}", shown(value))).collect();
    insta::assert_snapshot!(found.join("\n"));
}

#[test]
fn a_context_has_its_own_system_group_or_an_empty_one() {
    let started = Instant::now();
    let own = objects(started);
    for context in [&b"other"[..], b"unheard-of"] {
        let env = Environment { context, capabilities: &[], capabilities_changed: None, now: started };
        let found = walk(&own, env, "1.3.6.1.2.1.1.4", &oid("1.3.6.1.2.1.1.7"));
        assert_eq!(found.len(), 3);
        assert!(found.iter().all(|(_, value)| *value == Value::OctetString(Vec::new())));
        let changes = walk(&own, env, "1.3.6.1.2.1.1.8", &oid("1.3.6.1.2.1.1.10"));
        assert_eq!(changes, [("1.3.6.1.2.1.1.8.0".to_owned(), Value::TimeTicks(0))]);
    }
}

#[rstest]
#[case::instance_included("1.3.6.1.2.1.1.3.0", true, "", Some("1.3.6.1.2.1.1.3.0"))]
#[case::instance_excluded("1.3.6.1.2.1.1.3.0", false, "", Some("1.3.6.1.2.1.1.4.0"))]
#[case::below_the_instance("1.3.6.1.2.1.1.3.0.0", true, "", Some("1.3.6.1.2.1.1.4.0"))]
#[case::object("1.3.6.1.2.1.1.3", false, "", Some("1.3.6.1.2.1.1.3.0"))]
#[case::end_is_exclusive("1.3.6.1.2.1.1.3", true, "1.3.6.1.2.1.1.3.0", None)]
#[case::end_is_after("1.3.6.1.2.1.1.3", true, "1.3.6.1.2.1.1.3.1", Some("1.3.6.1.2.1.1.3.0"))]
#[case::first_row("1.3.6.1.2.1.1.9.1.2", true, "", Some("1.3.6.1.2.1.1.9.1.2.2"))]
#[case::row_included("1.3.6.1.2.1.1.9.1.2.5", true, "", Some("1.3.6.1.2.1.1.9.1.2.5"))]
#[case::between_rows("1.3.6.1.2.1.1.9.1.2.3.9", true, "", Some("1.3.6.1.2.1.1.9.1.2.5"))]
#[case::next_column("1.3.6.1.2.1.1.9.1.2.5", false, "", Some("1.3.6.1.2.1.1.9.1.3.2"))]
#[case::index_is_not_accessible("1.3.6.1.2.1.1.9.1.1.2", true, "", Some("1.3.6.1.2.1.1.9.1.2.2"))]
#[case::after_all("1.3.6.1.6.3.15.1.1.6.0", false, "", None)]
fn next_returns_the_first_instance_that_follows(
    #[case] from: &str,
    #[case] include: bool,
    #[case] end: &str,
    #[case] next: Option<&str>,
) {
    let started = Instant::now();
    let (own, rows) = (objects(started), rows(started));
    let env = Environment { context: b"", capabilities: &rows, capabilities_changed: None, now: started };
    let end = if end.is_empty() { Oid::default() } else { oid(end) };
    let found = own.next(env, &oid(from), include, &end);
    assert_eq!(found.map(|(name, _)| name.to_string()).as_deref(), next);
}

#[rstest]
#[case("1.3.6.1.2.1.1.1.5", true)]
#[case("1.3.6.1.2.1.1.1", true)]
#[case("1.3.6.1.2.1.1.9.1.4.77", true)]
#[case("1.3.6.1.2.1.1.9.1.1.2", false)]
#[case("1.3.6.1.2.1.11.2.0", false)]
#[case("1.3.6.1.2.1.1", false)]
fn has_object_returns_whether_the_object_exists(#[case] name: &str, #[case] known: bool) {
    assert_eq!(objects(Instant::now()).has_object(&oid(name)), known);
}

#[test]
fn time_ticks_wrap() {
    let started = Instant::now();
    let own = objects(started);
    let now = started + Duration::from_millis(10 * ((1 << 32) + 3));
    let env = Environment { context: b"", capabilities: &[], capabilities_changed: None, now };
    let (_, up) = own.next(env, &oid("1.3.6.1.2.1.1.3"), false, &[]).unwrap();
    assert_eq!(up, Value::TimeTicks(3));
}

#[test]
fn subtrees_and_objects_are_disjoint_and_in_order() {
    let own = objects(Instant::now());
    assert!(own.subtrees().windows(2).all(|pair| pair[0] < pair[1] && !pair[1].starts_with(&pair[0])));
    assert_eq!(own.subtrees().len(), SUBTREES.len());
    assert!(OBJECTS.windows(2).all(|pair| pair[0].name < pair[1].name && !pair[1].name.starts_with(pair[0].name)));
}
