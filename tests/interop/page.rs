//! Every sample of node_exporter's page through sidecar and master, compared with the parser of the Prometheus project.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    process::Command,
};

use agentx::Value;
use anyhow::{Context, Result, ensure};
use harness::{
    Application, Exporter,
    MasterKind::{self, NetSnmp, Ours},
    Row, Sandbox, Sidecar, SidecarOptions, Walk, http, python, repository, run,
};
use rstest::rstest;

use crate::sidecar_setup::{Manifest, render_in};

/// The limits of the API on one subtree.
const SCALARS: usize = 256;
const TABLES: usize = 32;
const INDEX_OBJECTS: usize = 8;
const BASE: &str = "1.3.6.1.4.1.8072.9999.9999.80";

/// A sample, as the parser of the Prometheus project reads it.
#[derive(Debug, Clone)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// Parses a page with the parser of the Prometheus project.
fn read_page(sandbox: &Sandbox, page: &str) -> Result<Vec<Sample>> {
    let page = sandbox.write("page.txt", page)?;
    let script = repository().join("tests/python/samples.py");
    let samples: Vec<serde_json::Value> =
        serde_json::from_slice(&run(Command::new(python()?).arg(script).arg(page))?.stdout)?;
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned).context("expected a string");
    let read = |sample: &serde_json::Value| {
        let labels = sample["labels"].as_object().context("no labels")?;
        let mut labels: BTreeMap<String, String> =
            labels.iter().map(|(name, value)| Ok((name.clone(), text(value)?))).collect::<Result<_>>()?;
        // A label with an empty value is no label, as everywhere in Prometheus.
        labels.retain(|_, value| !value.is_empty());
        Ok(Sample { name: text(&sample["name"])?, labels, value: text(&sample["value"])?.parse()? })
    };
    samples.iter().map(read).collect()
}

/// How the samples of one metric are published: a syntax that can hold all their values, and a scale that keeps three
/// decimal places.
#[derive(Debug, Clone, Copy)]
struct Shown {
    syntax: &'static str,
    scale: f64,
    round: &'static str,
}

impl Shown {
    fn of(samples: &[&Sample], round: &'static str) -> Self {
        let all = |fits: &dyn Fn(f64) -> bool| samples.iter().all(|sample| fits(sample.value));
        let whole = all(&|value| value.fract() == 0.0);
        let (syntax, scale) = if all(&|value| value.abs() < 2e6) && !whole {
            ("Integer32", 1000.0)
        } else if all(&|value| value.abs() < 2e9) {
            ("Integer32", 1.0)
        } else if all(&|value| (0.0..4e9).contains(&value)) {
            ("Gauge32", 1.0)
        } else {
            ("Counter64", 1.0)
        };
        Self { syntax, scale, round }
    }

    fn value(self, object: &Object) -> String {
        let Self { scale, round, .. } = self;
        format!("{{{}, scale: {scale:?}, round: {round}}}", object.samples())
    }

    /// Returns the value that an NMS must see, if any.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Whole numbers within the type's range.
    fn expected(self, value: f64) -> Option<Value> {
        let scaled = value * self.scale;
        let whole = match self.round {
            "Floor" => scaled.floor(),
            "Ceil" => scaled.ceil(),
            _ => scaled.round(),
        };
        match self.syntax {
            "Integer32" if whole.abs() < 2f64.powi(31) => Some(Value::Integer(whole as i32)),
            "Gauge32" => Some(Value::Gauge32(whole as u32)),
            "Counter64" if whole >= 0.0 => Some(Value::Counter64((whole % 2f64.powi(64)) as u64)),
            _ => None,
        }
    }
}

/// The encodings of indexes, which tables use in turn.
const ENCODINGS: [&str; 3] = ["String", "Hash", "Assigned"];
const ROUNDINGS: [&str; 3] = ["Nearest", "Floor", "Ceil"];

/// A scalar or table of the generated subtrees, with its samples.
#[derive(Debug)]
struct Object {
    name: String,
    shown: Shown,
    encoding: &'static str,
    labels: Vec<String>,
    /// The labels that form the index.
    index: Vec<String>,
    /// The labels that only other samples of the metric have.
    others: Vec<String>,
    samples: Vec<Sample>,
    /// The OID of the scalar or of the entry of the table.
    oid: String,
}

impl Object {
    /// Returns the fields of a value that select its samples.
    fn samples(&self) -> String {
        let without = self.others.iter().map(|label| format!("{{key: {label}, operator: DoesNotExist}}"));
        let without = without.collect::<Vec<_>>().join(", ");
        format!("source: app, metric: {}, matchExpressions: [{without}]", self.name)
    }
}

/// Returns an object for each metric name with each set of label names.
fn objects(samples: &[Sample]) -> Vec<Object> {
    let mut groups: BTreeMap<(&str, Vec<&String>), Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        groups.entry((&sample.name, sample.labels.keys().collect())).or_default().push(sample);
    }
    let mut labels_of: BTreeMap<&str, BTreeSet<&String>> = BTreeMap::new();
    for sample in samples {
        labels_of.entry(&sample.name).or_default().extend(sample.labels.keys());
    }
    let mut objects = Vec::new();
    for (number, ((name, labels), samples)) in groups.into_iter().enumerate() {
        objects.push(Object {
            name: name.to_owned(),
            shown: Shown::of(&samples, ROUNDINGS[number % ROUNDINGS.len()]),
            encoding: encoding(number, &samples),
            index: index(&labels, &samples),
            others: labels_of[name].iter().filter(|label| !labels.contains(label)).map(ToString::to_string).collect(),
            labels: labels.into_iter().cloned().collect(),
            samples: samples.into_iter().cloned().collect(),
            oid: String::new(),
        });
    }
    objects
}

/// Returns the labels with the most different values, as many as an index may have.
fn index(labels: &[&String], samples: &[&Sample]) -> Vec<String> {
    let values = |label: &&String| samples.iter().map(|sample| &sample.labels[*label]).collect::<BTreeSet<_>>().len();
    let mut index: Vec<&String> = labels.to_vec();
    index.sort_by_key(|label| Reverse(values(label)));
    index.truncate(INDEX_OBJECTS);
    index.into_iter().cloned().collect()
}

/// Returns the encodings in turn, but a hash if the labels are too long for an OID.
fn encoding(number: usize, samples: &[&Sample]) -> &'static str {
    let longest = samples.iter().map(|sample| sample.labels.values().map(|text| text.len() + 1).sum::<usize>()).max();
    match ENCODINGS[number % ENCODINGS.len()] {
        "String" if longest > Some(100) => "Hash",
        encoding => encoding,
    }
}

/// Returns the manifests of the subtrees, within the limits of the API, and sets the OID of each object.
fn manifests(objects: &mut [Object], port: u16) -> Vec<String> {
    let (mut scalars, mut tables): (Vec<_>, Vec<_>) = objects.iter_mut().partition(|object| object.labels.is_empty());
    let mut manifests = Vec::new();
    for (number, part) in scalars.chunks_mut(SCALARS).enumerate() {
        let oid = format!("{BASE}.1.{number}");
        let mut yaml = String::from("  scalars:\n");
        for (arc, object) in (1..).zip(part) {
            let (syntax, value) = (object.shown.syntax, object.shown.value(object));
            let _ = writeln!(yaml, "  - {{name: s{arc}, oid: '{arc}', syntax: {syntax}, value: {value}}}");
            object.oid = format!("{oid}.{arc}");
        }
        manifests.push(
            Manifest { name: &format!("s{number}"), oid: &oid, port, objects: &yaml, ..Manifest::default() }.yaml(),
        );
    }
    for (number, part) in tables.chunks_mut(TABLES).enumerate() {
        let oid = format!("{BASE}.2.{number}");
        let mut yaml = String::from("  tables:\n");
        for (arc, object) in (1..).zip(part) {
            yaml += &table(object, arc);
            object.oid = format!("{oid}.{arc}.1");
        }
        manifests.push(
            Manifest { name: &format!("t{number}"), oid: &oid, port, objects: &yaml, ..Manifest::default() }.yaml(),
        );
    }
    manifests
}

/// Returns a table in YAML. Its index objects have the arcs from 1, column 100 is the value, and the columns from 101 are
/// the labels.
fn table(object: &Object, arc: usize) -> String {
    let Object { encoding, shown, labels, index, .. } = object;
    let mut yaml = format!("  - name: t{arc}Table\n    oid: '{arc}'\n    index:\n");
    for (number, label) in (1..).zip(index) {
        let _ = writeln!(yaml, "    - {{name: t{arc}i{number}, oid: '{number}', label: {label}, as: {encoding}}}");
    }
    let (syntax, value) = (shown.syntax, shown.value(object));
    let _ = writeln!(yaml, "    columns:\n    - {{name: t{arc}v, oid: '100', syntax: {syntax}, value: {value}}}");
    for (number, label) in (101..).zip(labels) {
        let value = format!("{{{}, label: {label}}}", object.samples());
        let _ = writeln!(yaml, "    - {{name: t{arc}l{number}, oid: '{number}', syntax: OctetString, value: {value}}}");
    }
    yaml
}

/// Returns the rows that an object shows: the values of the labels, with the value of the sample.
fn shown_rows(object: &Object, rows: &BTreeMap<String, &Value>) -> Result<BTreeMap<Vec<String>, Value>> {
    if object.labels.is_empty() {
        let value = rows.get(&format!("{}.0", object.oid));
        return Ok(value.map(|value| (Vec::new(), (*value).clone())).into_iter().collect());
    }
    let cells = |arc: usize| -> BTreeMap<&str, &Value> {
        let prefix = format!("{}.{arc}.", object.oid);
        let cells = rows.range(prefix.clone()..).take_while(|(oid, _)| oid.starts_with(&prefix));
        cells.map(|(oid, value)| (&oid[prefix.len()..], *value)).collect()
    };
    let labels: Vec<_> = (101..).zip(&object.labels).map(|(arc, _)| cells(arc)).collect();
    let mut shown = BTreeMap::new();
    for (index, value) in cells(100) {
        let text = |cells: &BTreeMap<&str, &Value>| match cells.get(index) {
            Some(Value::OctetString(text)) => Ok(String::from_utf8(text.clone())?),
            other => Err(anyhow::anyhow!("{}: the row {index} has {other:?} as a label", object.name)),
        };
        let labels = labels.iter().map(text).collect::<Result<Vec<_>>>()?;
        if object.encoding == "String" {
            let values = object.labels.iter().zip(&labels).collect::<BTreeMap<_, _>>();
            let texts = object.index.iter().map(|label| values[label].as_str());
            ensure!(index == string_index(texts), "{}: the row {labels:?} has the index {index}", object.name);
        }
        shown.insert(labels, value.clone());
    }
    Ok(shown)
}

/// Encodes texts as an index of strings of variable length (RFC 2578 section 7.7).
fn string_index<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let arcs = texts.flat_map(|text| std::iter::once(text.len()).chain(text.bytes().map(usize::from)));
    arcs.map(|arc| arc.to_string()).collect::<Vec<_>>().join(".")
}

/// Serves `page` and compares a walk with what the parser of the Prometheus project reads. Returns the number of samples.
fn check_page(master: MasterKind, page: &str) -> Result<usize> {
    let sandbox = Sandbox::new()?;
    let samples = read_page(&sandbox, page)?;
    let exporter = Exporter::with_page(page)?;
    let mut objects = objects(&samples);
    let config = render_in(&sandbox, "config", &manifests(&mut objects, exporter.port()))?;
    let agent = master.start(&sandbox)?;
    let masters = vec![agent.unix_url()];
    let state = Some(sandbox.folder("state")?);
    let _sidecar = Sidecar::start(&sandbox, SidecarOptions { config, masters, state, ..Default::default() })?;
    let client = agent.v2c();
    let names: BTreeSet<&str> = samples.iter().map(|sample| sample.name.as_str()).collect();
    let compare = |rows: &[Row]| -> Result<()> {
        let rows: BTreeMap<String, &Value> = rows.iter().map(|row| (row.oid.to_string(), &row.value)).collect();
        let mut wrong = Vec::new();
        for object in &objects {
            let expected: BTreeMap<Vec<String>, Value> = object
                .samples
                .iter()
                .filter_map(|sample| {
                    Some((sample.labels.values().cloned().collect(), object.shown.expected(sample.value)?))
                })
                .collect();
            let shown = shown_rows(object, &rows)?;
            if shown != expected {
                wrong.push(format!(
                    "{} ({:?}): expected {expected:?}, but the walk shows {shown:?}",
                    object.name, object.shown
                ));
            }
        }
        ensure!(wrong.is_empty(), "{} of {} metrics are wrong:\n{}", wrong.len(), names.len(), wrong.join("\n"));
        Ok(())
    };
    sandbox.wait_for("every sample of the page", || compare(&client.walk(Walk::Bulk(50), BASE)?))?;
    compare(&client.walk(Walk::Next, BASE)?)?;
    Ok(samples.len())
}

#[rstest]
fn every_metric_of_node_exporter_has_the_value_on_its_page(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let page = {
        let sandbox = Sandbox::new()?;
        let node_exporter = Application::node_exporter(&sandbox)?;
        http::get(node_exporter.port, "/metrics")?
    };
    let samples = check_page(master, &page)?;
    ensure!(samples > 300, "only {samples} samples: is this node_exporter's page?");
    Ok(())
}

#[rstest]
fn labels_with_special_characters_reach_the_nms_unchanged(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let page = r#"# TYPE m gauge
m{p="a} 42 "} 1
m{p="x,tenant=evil"} 2
m{p="/v1/{id}"} 3
m{p="back\\slash \"quoted\" line\nbreak"} 4
m{p="Grüße"} 5
job:requests:rate5m 6
empty{} 7
spaced { a = "1" , b = "2" , } 8
"#;
    check_page(master, page)?;
    Ok(())
}
