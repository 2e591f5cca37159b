//! The subtrees of a soak: their documents, and what each of their instances may show.

use std::time::Duration;

use agentx::{Oid, SubId, Value};
use anyhow::Result;
use serde_json::{Value as Json, json};

use super::{
    clock::millis,
    source::{Source, sum_of_rows},
};

/// The OID below which all subtrees are, in net-snmp's playpen.
pub(super) const ROOT: &str = "1.3.6.1.4.1.8072.9999.9999.60";
/// The arc of the additional object in a changed document.
const ADDED: SubId = 900;
/// The columns of every table: the number of the row, the moment of its page, and the text of the row.
pub(super) const COLUMNS: [SubId; 3] = [NUMBER, MOMENT, TEXT];
const NUMBER: SubId = 2;
const MOMENT: SubId = 3;
const TEXT: SubId = 4;

/// The plan of a subtree.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) name: &'static str,
    pub(super) arc: SubId,
    pub(super) contexts: &'static [&'static str],
    /// The indexes of its sources.
    pub(super) sources: Vec<usize>,
}

/// The times of a source in a document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
    pub(super) stale_after: Duration,
}

/// What an instance shows while its source has a value for it.
#[derive(Debug, Clone)]
pub(super) enum Shows {
    /// Always this value.
    Exactly(Value),
    /// One of these values.
    OneOf([Value; 2]),
    /// The moment of a page of its source.
    Moment(fn(u32) -> Value),
    /// The rate of the moment, about 1000 per second.
    Rate,
}

/// What an instance shows while its source has no value for it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Missing {
    /// It does not exist.
    Gone,
    /// Its last value.
    Holds,
    /// This value.
    Shows(Value),
    /// Its value does not come from the page of a source, and is never missing.
    Never,
}

/// An instance that may exist.
#[derive(Debug, Clone)]
pub(super) struct Instance {
    /// The index of its subtree.
    pub(super) subtree: usize,
    /// The index of its source.
    pub(super) source: usize,
    pub(super) shows: Shows,
    pub(super) missing: Missing,
    /// Whether it exists only in a changed document.
    pub(super) added: bool,
}

/// The two versions of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Document {
    /// The usual document.
    Usual,
    /// The usual document with an additional object.
    Changed,
}

impl Plan {
    pub(super) fn base(&self) -> Result<Oid> {
        Ok(ROOT.parse::<Oid>()?.join(&[self.arc])?)
    }

    /// Returns the name of its file in the configuration folder.
    pub(super) fn file(&self) -> String {
        format!("subtree.{}.json", self.name)
    }

    /// Returns its document.
    pub(super) fn document(&self, document: Document, sources: &[(Source, Times)]) -> Result<Json> {
        let mut scalars = Vec::new();
        let mut tables = Vec::new();
        let mut own = Vec::new();
        for (position, (number, (source, times))) in self.own(sources).enumerate() {
            let name = format!("source{number}");
            own.push(json!({
                "name": name, "intervalMs": millis(times.interval), "timeoutMs": millis(times.timeout),
                "staleAfterMs": millis(times.stale_after),
                "prometheus": {
                    "scheme": "http", "port": source.port(), "path": "/metrics", "bodySizeLimit": 1 << 20,
                    "sampleLimit": 10_000
                }
            }));
            let (more, table) = objects(&name, position + 1);
            scalars.extend(more);
            tables.push(table);
        }
        if document == Document::Changed {
            let added = json!({"constant": "added"});
            scalars.push(json!({"name": "added", "oid": ADDED.to_string(), "syntax": "OctetString", "value": added}));
        }
        Ok(json!({
            "version": 1, "namespace": "soak", "name": self.name, "oid": self.base()?.to_string(),
            "contexts": self.contexts, "sources": own, "scalars": scalars, "tables": tables
        }))
    }

    fn own<'a>(&'a self, sources: &'a [(Source, Times)]) -> impl Iterator<Item = (usize, &'a (Source, Times))> {
        self.sources.iter().filter_map(|number| Some((*number, sources.get(*number)?)))
    }

    /// Returns every instance that may exist, except those of exploding labels. `subtree` is the index of this subtree, and
    /// `rows` the number of rows of each source.
    pub(super) fn instances(&self, subtree: usize, rows: &[usize]) -> Result<Vec<(Oid, Instance)>> {
        let base = self.base()?;
        let mut all = Vec::new();
        for (position, (source, rows)) in
            (1..).zip(self.sources.iter().filter_map(|number| Some((*number, *rows.get(*number)?))))
        {
            let instance = |shows, missing| Instance { subtree, source, shows, missing, added: false };
            for (arc, shows, missing) in scalars(rows) {
                all.push((base.join(&[position, arc, 0])?, instance(shows, missing)));
            }
            for row in 0..rows {
                let index = row_index(row);
                for (column, shows) in columns(row) {
                    let name = base.join(&[position, TABLE, 1, column])?.join(&index)?;
                    all.push((name, instance(shows, Missing::Gone)));
                }
            }
        }
        let shows = Shows::Exactly(text("added"));
        all.push((
            base.join(&[ADDED, 0])?,
            Instance { subtree, source: 0, shows, missing: Missing::Never, added: true },
        ));
        Ok(all)
    }
}

const TABLE: SubId = 20;

fn text(text: &str) -> Value {
    Value::OctetString(text.as_bytes().to_vec())
}

/// Returns the value of a scalar or column that shows `metric` of a source.
fn metric(source: &str, metric: &str, more: &Json) -> Json {
    let mut value = json!({"source": source, "metric": metric});
    if let (Some(value), Some(more)) = (value.as_object_mut(), more.as_object()) {
        value.extend(more.clone());
    }
    value
}

/// Returns the scalars and the table of one source. Their arcs begin with `position`.
fn objects(source: &str, position: usize) -> (Vec<Json>, Json) {
    let scalar = |arc: SubId, syntax: &str, value: Json| {
        let name = format!("object{position}x{arc}");
        json!({"name": name, "oid": format!("{position}.{arc}"), "syntax": syntax, "value": value})
    };
    let shows = |name: &str, more: Json| metric(source, name, &more);
    let scalars = vec![
        scalar(1, "Counter64", shows("moment_total", json!({}))),
        scalar(2, "Gauge32", shows("moment", json!({"onMissing": "Hold"}))),
        scalar(3, "Gauge32", shows("moment", json!({"onMissing": "Zero"}))),
        scalar(4, "Integer32", shows("moment", json!({"onMissing": {"Constant": "-7"}}))),
        scalar(5, "DisplayString", shows("build_info", json!({"label": "version"}))),
        scalar(6, "OctetString", json!({"constant": "soak"})),
        scalar(7, "Gauge32", shows("latency", json!({"quantile": 0.75, "scale": 1000}))),
        scalar(8, "Gauge32", shows("moment_total", json!({"rateMs": 20_000}))),
        scalar(9, "Gauge32", shows("row_value", json!({"matchLabels": {"kind": "steady"}}))),
        scalar(10, "Integer32", shows("up", json!({}))),
    ];
    let column = |arc: SubId, syntax: &str, value: Json| json!({"name": format!("column{position}x{arc}"), "oid": arc, "syntax": syntax, "value": value});
    let columns = [
        column(NUMBER, "Gauge32", shows("row_value", json!({}))),
        column(MOMENT, "Counter32", shows("row_moment_total", json!({}))),
        column(TEXT, "DisplayString", shows("row_value", json!({"label": "text"}))),
    ];
    let index = json!([{"name": format!("row{position}"), "oid": 1, "label": "row", "as": "String"}]);
    let oid = format!("{position}.{TABLE}");
    let table = json!({"name": format!("table{position}"), "oid": oid, "index": index, "columns": columns});
    (scalars, table)
}

/// Returns what the scalars of [`objects`] show.
fn scalars(rows: usize) -> [(SubId, Shows, Missing); 10] {
    let gauge = Shows::Moment(Value::Gauge32);
    [
        (1, Shows::Moment(|moment| Value::Counter64(moment.into())), Missing::Gone),
        (2, gauge.clone(), Missing::Holds),
        (3, gauge, Missing::Shows(Value::Gauge32(0))),
        (4, Shows::Moment(|moment| Value::Integer(moment.cast_signed())), Missing::Shows(Value::Integer(-7))),
        (5, Shows::Exactly(text("1.2.3")), Missing::Gone),
        (6, Shows::Exactly(text("soak")), Missing::Never),
        (7, Shows::Exactly(Value::Gauge32(150)), Missing::Gone),
        (8, Shows::Rate, Missing::Gone),
        (9, Shows::Exactly(Value::Gauge32(sum_of_rows(rows))), Missing::Gone),
        (10, Shows::OneOf([Value::Integer(0), Value::Integer(1)]), Missing::Never),
    ]
}

/// Returns what the columns of [`objects`] show in one row.
fn columns(row: usize) -> [(SubId, Shows); 3] {
    [
        (NUMBER, Shows::Exactly(Value::Gauge32(u32::try_from(row).unwrap_or(u32::MAX)))),
        (MOMENT, Shows::Moment(Value::Counter32)),
        (TEXT, Shows::Exactly(text(&format!("row {row}")))),
    ]
}

/// Returns the index of a row: the length of its text, followed by the octets.
fn row_index(row: usize) -> Vec<SubId> {
    let text = format!("r{row}");
    let count = u32::try_from(text.len()).unwrap_or(u32::MAX);
    [count].into_iter().chain(text.bytes().map(u32::from)).collect()
}

/// Returns whether an OID below the base OID of a subtree is in a row of exploding labels.
pub(super) fn is_exploded_row(below_base: &[SubId]) -> bool {
    matches!(below_base, [_, TABLE, 1, NUMBER, _, first, ..] if *first == u32::from(b'x'))
}
