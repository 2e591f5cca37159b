//! Mapping compared with a simple model, and with arbitrary samples.

use std::collections::BTreeMap;

use super::*;
use proptest::prelude::*;

/// Row, other label, number.
type Line = (u32, u8, u32);

fn page(metric: &str, lines: &[Line]) -> String {
    super::lines(lines, |(row, other, number)| format!("{metric} d={row} o={other} {number}"))
}

/// Returns the aggregate of these lines by row.
fn aggregated(lines: &[Line], how: fn(u32, u32) -> u32) -> BTreeMap<u32, u32> {
    let mut rows = BTreeMap::new();
    for (row, _, number) in lines {
        rows.entry(*row).and_modify(|n| *n = how(*n, *number)).or_insert(*number);
    }
    rows
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    prop::collection::vec((0..12_u32, any::<u8>(), 0..1_000_000_u32), 0..30)
}

/// Texts of all kinds: short ones that are often equal, numbers, addresses, any text.
fn label_text() -> impl Strategy<Value = String> {
    prop_oneof!["[ab]{0,2}", "[0-9]{1,11}", "10\\.0\\.0\\.[0-9]{1,3}", any::<String>(), "x{100,140}"]
}

fn any_number() -> impl Strategy<Value = Number> {
    prop_oneof![
        any::<i64>().prop_map(Number::Signed),
        any::<u64>().prop_map(Number::Unsigned),
        any::<f64>().prop_map(Number::Float),
        prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0]).prop_map(Number::Float),
    ]
}

fn any_samples() -> impl Strategy<Value = Samples> {
    let sample = (prop::sample::select(vec!["m", "n", "m_bucket"]), label_text(), label_text(), any_number());
    prop::collection::vec(sample, 0..20).prop_map(|lines| {
        let mut samples = Samples::new();
        for (name, a, b, number) in lines {
            let extra = if name == "m_bucket" { "le" } else { "quantile" };
            samples.push(name, [("a", a.as_str()), ("b", b.as_str()), (extra, b.as_str())], number).unwrap();
        }
        samples
    })
}

/// Returns a mapper with tables of every encoding that have columns of every syntax.
fn everything() -> Fixture {
    let syntaxes = [
        "Integer32",
        "Unsigned32",
        "Gauge32",
        "Counter32",
        "Counter64",
        "TimeTicks",
        "OctetString",
        "DisplayString",
        "IpAddress",
        "ObjectIdentifier",
        "TruthValue",
    ];
    let value = |fields: &Json| {
        let mut value = json!({"source": "app", "metric": "m"});
        value.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        value
    };
    let kinds = [
        json!({}),
        json!({"label": "b", "onMissing": "Hold"}),
        json!({"quantile": 0.5}),
        json!({"rateMs": 60000}),
        json!({"quantile": 0.9, "rateMs": 60000, "onMissing": "Zero"}),
        json!({"aggregate": "Avg", "scale": 0.001, "offset": -3.5, "round": "Floor", "counterReset": "PassThrough"}),
    ];
    // The validation does not allow an address or OID made from a number, nor counterReset without a counter.
    let fits = |syntax: &str, kind: &Json| {
        (kind.get("label").is_some() || !matches!(syntax, "IpAddress" | "ObjectIdentifier"))
            && (kind.get("counterReset").is_none() || syntax.starts_with("Counter"))
    };
    let columns = |table: usize| {
        let all = syntaxes.iter().flat_map(|syntax| kinds.iter().map(move |kind| (syntax, kind))).zip(1..);
        let columns = all.filter(|((syntax, kind), _)| fits(syntax, kind)).map(|((syntax, kind), oid)| {
            json!({"name": format!("t{table}c{oid}"), "oid": oid, "syntax": syntax, "value": value(kind)})
        });
        columns.collect::<Vec<_>>()
    };
    let encodings = ["Integer", "String", "IpAddress", "Hash", "Assigned", "ImpliedString"];
    let tables = encodings.iter().zip(10..).map(|(encoding, oid)| {
        let index = json!({"name": format!("i{oid}"), "oid": 1000, "label": "a", "as": encoding});
        json!({"name": format!("t{oid}"), "oid": oid.to_string(), "index": [index], "columns": columns(oid)})
    });
    let tables: Vec<_> = tables.collect();
    let scalars = syntaxes.iter().zip(1..).map(|(syntax, oid)| {
        let kind = kinds.iter().find(|kind| fits(syntax, kind)).unwrap();
        json!({"name": format!("s{oid}"), "oid": format!("1.{oid}"), "syntax": syntax, "value": value(kind)})
    });
    let scalars: Vec<_> = scalars.collect();
    Fixture::new(json!(scalars), json!(tables))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_table_equals_the_model(scrapes in prop::collection::vec((lines(), lines()), 1..5)) {
        let column = |name: &str, oid: u32, value: Json| json!({"name": name, "oid": oid, "syntax": "Unsigned32", "value": value});
        let mut fixture = Fixture::new(json!([]), json!([{
            "name": "t", "oid": "2", "index": [{"name": "i", "oid": 9, "label": "d", "as": "Integer"}],
            "columns": [
                column("sum", 1, json!({"source": "app", "metric": "m"})),
                column("max", 2, json!({"source": "app", "metric": "n", "aggregate": "Max"})),
                column("zero", 3, json!({"source": "app", "metric": "m", "aggregate": "Min", "onMissing": "Zero"})),
            ],
        }]));
        for (m, n) in scrapes {
            let (sum, max, min) = (aggregated(&m, |a, b| a + b), aggregated(&n, u32::max), aggregated(&m, u32::min));
            let rows: std::collections::BTreeSet<_> = sum.keys().chain(max.keys()).copied().collect();
            let mut expected: Vec<_> = sum.iter().map(|(row, v)| format!("2.1.1.{row} {v}")).collect();
            expected.extend(max.iter().map(|(row, v)| format!("2.1.2.{row} {v}")));
            expected.extend(rows.iter().map(|row| format!("2.1.3.{row} {}", min.get(row).unwrap_or(&0))));
            prop_assert_eq!(fixture.app(&(page("m", &m) + &page("n", &n))).walk(), expected);
        }
    }

    #[test]
    fn a_view_of_any_samples_is_sorted_and_has_the_declared_types(
        scrapes in prop::collection::vec((any_samples(), 0..90_u64), 1..5),
    ) {
        let mut fixture = everything();
        for (samples, pause) in scrapes {
            fixture.wait(pause);
            fixture.mapper.observe(0, Some(&samples), &Samples::new(), fixture.now);
            let view = fixture.mapper.view(fixture.now);
            prop_assert!(view.iter().map(|i| [i.object, i.index].concat()).is_sorted_by(|a, b| a < b));
            for instance in view.iter() {
                let suffix = [instance.object, instance.index].concat();
                prop_assert!(instance.base.len() + suffix.len() <= Oid::MAX_LEN);
                let kind = match *suffix {
                    [1, scalar, 0] => scalar - 1,
                    [_, 1, column, ..] => (column - 1) / 6,
                    _ => panic!("no such object: {suffix:?}"),
                };
                let code = [2, 66, 66, 65, 70, 67, 4, 4, 64, 6, 2][usize::try_from(kind).unwrap()];
                prop_assert_eq!(instance.value.type_code(), code);
                prop_assert_eq!(view.get(&[instance.base, &suffix].concat()), instance.value);
            }
        }
    }
}
