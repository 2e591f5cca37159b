//! Tests of the whole mapping, from documents and samples to views.
#![allow(clippy::needless_pass_by_value, reason = "parts of documents are passed as literals")]

mod changes;
mod counters;
mod lifetime;
mod model;
mod numbers;
mod quantiles;
mod rates;
mod scalars;
mod size;
mod tables;
mod texts;

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use sidecar_config::{Subtree, Violation};

use super::*;
use crate::{sample::Number, view::Instance};

/// Returns a subtree at 1.3.6.1.4.1.9 with the sources `app`, stale after 60 s, and `db`, stale after 300 s.
fn document(scalars: Json, tables: Json) -> Subtree {
    let source = |name: &str, stale_after: u32| {
        json!({
            "name": name, "intervalMs": 15000, "timeoutMs": 5000, "staleAfterMs": stale_after,
            "prometheus": {
                "scheme": "http", "port": 9100, "path": "/metrics", "bodySizeLimit": 1_000_000, "sampleLimit": 100_000,
            },
        })
    };
    let whole = json!({
        "version": 1, "namespace": "acme", "name": "web", "oid": "1.3.6.1.4.1.9", "contexts": [""],
        "sources": [source("app", 60_000), source("db", 300_000)],
        "scalars": scalars, "tables": tables,
    });
    serde_json::from_value(whole).unwrap()
}

/// A mapper with its own clock.
struct Fixture {
    mapper: Mapper,
    now: Instant,
}

impl Fixture {
    fn new(scalars: Json, tables: Json) -> Self {
        Self::with(scalars, tables, 7, Assignments::default())
    }

    fn with(scalars: Json, tables: Json, pod_index: SubId, assignments: Assignments) -> Self {
        let mapper = Mapper::new(document(scalars, tables).validate().unwrap(), pod_index, assignments).unwrap();
        Self { mapper, now: Instant::now() }
    }

    /// Creates a mapper of one scalar at arc 1 with this syntax. Its value is `metric` of `app`, with these additional
    /// fields.
    fn scalar(syntax: &str, metric: &str, fields: Json) -> Self {
        let mut value = json!({"source": "app", "metric": metric});
        value.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        Self::new(json!([{"name": "it", "oid": "1", "syntax": syntax, "value": value}]), json!([]))
    }

    fn wait(&mut self, seconds: u64) -> &mut Self {
        self.now += Duration::from_secs(seconds);
        self
    }

    /// Observes a scrape of `app`, 15 s after the last observation.
    fn app(&mut self, page: &str) -> &mut Self {
        self.wait(15).observe(0, page)
    }

    fn observe(&mut self, source: usize, page: &str) -> &mut Self {
        self.mapper.observe(source, Some(&samples(page)), &samples("up 1"), self.now);
        self
    }

    fn fail(&mut self, source: usize) -> &mut Self {
        self.mapper.observe(source, None, &samples("up 0"), self.now);
        self
    }

    /// Returns the view as lines `arcs value`, with the arcs below the base OID.
    fn walk(&mut self) -> Vec<String> {
        let view = self.mapper.view(self.now);
        let arcs = |instance: &Instance<'_>| [instance.object, instance.index].concat();
        view.iter().map(|instance| format!("{} {}", DisplayArcs(&arcs(&instance)), text(instance.value))).collect()
    }

    /// Returns the value of the only scalar, if it has an instance.
    fn value(&mut self) -> Option<String> {
        let view = self.mapper.view(self.now);
        assert!(view.len() <= 1);
        view.iter().next().map(|instance| text(instance.value))
    }

    fn total(&self, reason: Reason) -> u64 {
        self.mapper.counts().total(reason)
    }

    /// Returns all reasons that were counted.
    fn reasons(&self) -> Vec<Reason> {
        self.mapper.counts().iter().map(|(reason, _)| reason).collect()
    }

    fn example(&self, reason: Reason) -> String {
        self.mapper
            .counts()
            .iter()
            .find(|(r, _)| *r == reason)
            .map(|(_, count)| count.example.clone())
            .unwrap_or_default()
    }
}

fn text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::OctetString(octets) => format!("{:?}", String::from_utf8_lossy(octets)),
        ValueRef::ObjectIdentifier(arcs) => DisplayArcs(arcs).to_string(),
        ValueRef::Integer(v) => v.to_string(),
        ValueRef::Counter32(v) | ValueRef::Gauge32(v) | ValueRef::TimeTicks(v) => v.to_string(),
        ValueRef::Counter64(v) => v.to_string(),
        ValueRef::IpAddress([a, b, c, d]) => format!("{a}.{b}.{c}.{d}"),
        other => panic!("unexpected value {other:?}"),
    }
}

/// Parses samples from lines `name label=text … number`.
fn samples(page: &str) -> Samples {
    let mut samples = Samples::new();
    for line in page.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<_> = line.split_whitespace().collect();
        let (name, rest) = words.split_first().unwrap();
        let (number, labels) = rest.split_last().unwrap();
        samples.push(name, labels.iter().map(|label| label.split_once('=').unwrap()), self::number(number)).unwrap();
    }
    samples
}

/// Returns a page with one line per item.
fn lines<T>(items: impl IntoIterator<Item = T>, line: impl Fn(T) -> String) -> String {
    items.into_iter().map(line).collect::<Vec<_>>().join("\n") + "\n"
}

fn number(text: &str) -> Number {
    let signed = text.parse().map(Number::Signed);
    let number = signed.or_else(|_| text.parse().map(Number::Unsigned));
    number.unwrap_or_else(|_| Number::Float(text.parse().unwrap()))
}

/// Returns the first violation in a document, found by the validation or else by the mapper.
fn refused(scalars: Json, tables: Json) -> Violation {
    match document(scalars, tables).validate() {
        Ok(valid) => Mapper::new(valid, 1, Assignments::default()).unwrap_err(),
        Err(violations) => violations.into_iter().next().unwrap(),
    }
}
