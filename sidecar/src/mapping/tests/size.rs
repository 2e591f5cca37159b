//! A large table. The work must grow linearly with the number of samples.

use super::*;

fn large(columns: u32) -> Json {
    let columns: Vec<_> = (1..=columns)
        .map(|oid| json!({"name": format!("c{oid}"), "oid": oid, "syntax": "Counter64", "value": {"source": "app", "metric": format!("m{oid}")}}))
        .collect();
    json!([{"name": "t", "oid": "2", "index": [{"name": "i", "oid": 100, "label": "d", "as": "Hash"}], "columns": columns}])
}

fn filled(rows: u32, columns: u32, add: i64) -> Samples {
    let mut samples = Samples::new();
    for column in 1..=columns {
        for row in 0..rows {
            let (device, value) = (format!("device{row}"), i64::from(row) + add);
            samples.push(&format!("m{column}"), [("d", device.as_str())], Number::Signed(value)).unwrap();
        }
    }
    samples
}

#[test]
fn a_table_of_a_thousand_rows_by_ten_is_complete_after_many_scrapes() {
    let mut fixture = Fixture::new(json!([]), large(10));
    for round in 0..5 {
        let page = filled(1000, 10, round);
        fixture.mapper.observe(0, Some(&page), &Samples::new(), fixture.now);
        assert_eq!(fixture.mapper.view(fixture.now).len(), 10_000);
    }
    assert!(fixture.reasons().is_empty());
}
