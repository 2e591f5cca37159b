use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn row(id: [u8; 8], severity: Severity) -> Arc<Row> {
    Arc::new(Row {
        index: Row::index_of(AlarmId(id)),
        alarm_type: "1.3.6.1.4.1.99999.0.1".parse().unwrap(),
        object: "1.3.6.1.4.1.99999.1.0".parse().unwrap(),
        value: "81".to_owned(),
        severity,
        state: 1,
        sequence: 7,
        raised: vec![0; 11],
        changed: vec![0; 11],
        resource: "acme/web/web-0".to_owned(),
        text: "Too many errors".to_owned(),
    })
}

fn tables(ids: &[[u8; 8]], started: Instant) -> AlarmTables {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    let rows = ids.iter().map(|id| row(*id, Severity::Minor)).collect();
    let last_change = Some(started + Duration::from_secs(5));
    let table = ContextTable { rows, by_severity: [0, 0, 3, 0, 0], lost: 1, overflow: 2, last_change };
    let tables = AlarmTables::default();
    tables.publish(Tables::from([(Arc::from(*b"acme"), Arc::new(table))]));
    tables
}

fn walk(tables: &AlarmTables, context: &[u8], from: &[SubId], started: Instant) -> Vec<(Oid, Value)> {
    let (mut found, mut at) = (Vec::new(), Oid::new(from.to_vec()).unwrap());
    while let Some((name, value)) = tables.next(context, &at, false, started) {
        assert!(name > at && AlarmTables::has_object(&name), "{name} after {at}");
        found.push((name.clone(), value));
        at = name;
    }
    found
}

#[test]
fn a_walk_reads_the_table_by_columns_and_then_the_counts() {
    let started = Instant::now();
    let tables = tables(&[[0, 0, 0, 0, 0, 0, 0, 2], [0, 0, 0, 0, 0, 0, 0, 1], [255; 8]], started);
    let found = walk(&tables, b"acme", &[1, 3], started);
    assert_eq!(found.len(), 3 * 10 + 8);
    let names: Vec<_> = found.iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(names[0], "1.3.6.1.4.1.8072.9999.9999.2741.2.1.1.2.0.0.0.0.0.0.0.1");
    assert_eq!(names[2], "1.3.6.1.4.1.8072.9999.9999.2741.2.1.1.2.255.255.255.255.255.255.255.255");
    assert_eq!(names[3], "1.3.6.1.4.1.8072.9999.9999.2741.2.1.1.3.0.0.0.0.0.0.0.1");
    let scalars: Vec<_> = found[30..].iter().map(|(_, value)| value.clone()).collect();
    let gauges = [0, 0, 3, 0, 0].map(Value::Gauge32);
    assert_eq!(scalars[..5], gauges);
    assert_eq!(scalars[5..], [Value::TimeTicks(500), Value::Gauge32(1), Value::Counter32(2)]);
}

#[test]
fn a_context_shows_only_its_own_alarms() {
    let started = Instant::now();
    let tables = tables(&[[1; 8]], started);
    for other in [&b""[..], b"acm", b"globex"] {
        let found = walk(&tables, other, &[1], started);
        assert_eq!(found.len(), 8, "only the counts");
        assert!(
            found
                .iter()
                .all(|(_, value)| { matches!(value, Value::Gauge32(0) | Value::TimeTicks(0) | Value::Counter32(0)) })
        );
    }
}

#[test]
fn an_instance_is_read_exactly() {
    let started = Instant::now();
    let tables = tables(&[[1; 8], [2; 8]], started);
    let all = walk(&tables, b"acme", &[1], started);
    for (name, value) in &all {
        assert_eq!(tables.next(b"acme", name, true, started).as_ref(), Some(&(name.clone(), value.clone())));
    }
    let missing: Oid = "1.3.6.1.4.1.8072.9999.9999.2741.2.1.1.5.1.1.1.1.1.1.1.2".parse().unwrap();
    let (next, _) = tables.next(b"acme", &missing, true, started).unwrap();
    assert_eq!(next.to_string(), "1.3.6.1.4.1.8072.9999.9999.2741.2.1.1.5.2.2.2.2.2.2.2.2");
}

#[test]
fn names_behind_the_module_have_no_next() {
    let started = Instant::now();
    let tables = tables(&[[1; 8]], started);
    for from in ["1.3.6.1.4.1.8072.9999.9999.2741.2.3.8.0", "1.3.6.1.4.1.8072.9999.9999.2741.3", "1.3.6.1.6.3"] {
        let from: Oid = from.parse().unwrap();
        assert_eq!(tables.next(b"acme", &from, false, started), None);
    }
}

proptest! {
    /// Compares each step with a search through all instances.
    #[test]
    fn the_next_instance_is_the_first_that_follows(
        ids in prop::collection::btree_set(prop::array::uniform8(0_u8..3), 0..12),
        below in prop::collection::vec(prop_oneof![0_u32..4, 9_u32..13], 0..12),
        include: bool,
    ) {
        let started = Instant::now();
        let tables = tables(&ids.into_iter().collect::<Vec<_>>(), started);
        let all = walk(&tables, b"acme", &[1], started);
        let from = [&ALARM_MODULE[..], &below].concat();
        let expected = all.iter().find(|(name, _)| {
            name.as_slice() > from.as_slice() || include && name.as_slice() == from
        });
        prop_assert_eq!(tables.next(b"acme", &from, include, started), expected.cloned());
    }
}
