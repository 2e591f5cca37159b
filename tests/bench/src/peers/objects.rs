//! The objects that all compared programs serve, also those in `peers/`: scalars, and a table whose columns are Counter64
//! and Gauge32 in turn.

use std::{collections::BTreeMap, fmt::Write as _};

use agentx::{SubId, Value};
use anyhow::Result;
use sidecar_config::{
    Aggregate, Column, CounterReset, Endpoint, Index, IndexEncoding, IndexKind, LabelSelector, MetricValue, OnMissing,
    Port, Prometheus, Round, Scalar, Scheme, Source, SourceKind, Subtree, Syntax, Table, VERSION, file_name,
};

/// The base OID of all objects, in net-snmp's playpen.
pub const BASE: [SubId; 10] = [1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 77];
/// The OID of the first column after the index.
const FIRST_COLUMN: SubId = 2;

/// The number of objects.
#[derive(Debug, Clone, Copy)]
pub struct Objects {
    /// The rows of the table, numbered from 1.
    pub rows: u32,
    /// The columns of the table.
    pub columns: u32,
    /// The scalars, numbered from 1.
    pub scalars: u32,
}

impl Objects {
    /// The table of 10,000 rows and 10 columns, and the 100 scalars of most measurements.
    pub const BIG: Self = Self { rows: 10_000, columns: 10, scalars: 100 };

    /// Returns the OID of a column. Columns are numbered from 0.
    #[must_use]
    pub fn column(column: u32) -> Vec<SubId> {
        [BASE.as_slice(), &[1, 1, FIRST_COLUMN + column]].concat()
    }

    /// Returns the OID of a cell. Columns are numbered from 0, and rows from 1. Row 0 is directly before the first.
    #[must_use]
    pub fn cell(column: u32, row: u32) -> Vec<SubId> {
        [BASE.as_slice(), &[1, 1, FIRST_COLUMN + column, row]].concat()
    }

    /// Returns the OID of the instance of a scalar. Scalars are numbered from 1.
    #[must_use]
    pub fn scalar(scalar: u32) -> Vec<SubId> {
        [BASE.as_slice(), &[2, scalar, 0]].concat()
    }

    /// Returns the value of a cell.
    #[must_use]
    pub fn cell_value(self, column: u32, row: u32) -> Value {
        let number = row * self.columns + column;
        if column.is_multiple_of(2) { Value::Counter64(number.into()) } else { Value::Gauge32(number) }
    }

    /// Returns the value of a scalar.
    #[must_use]
    pub fn scalar_value(scalar: u32) -> Value {
        Value::Gauge32(1000 + scalar)
    }

    /// Returns the number of all instances.
    #[must_use]
    pub fn count(self) -> u32 {
        self.rows * self.columns + self.scalars
    }

    /// Returns the page that our sidecar scrapes. `later` is added to every cell.
    #[must_use]
    pub fn page(self, later: u32) -> String {
        let mut page = String::new();
        for column in 0..self.columns {
            for row in 1..=self.rows {
                // Writing to a string cannot fail.
                let _ = writeln!(page, "cell_{column}{{row=\"{row}\"}} {}", row * self.columns + column + later);
            }
        }
        for scalar in 1..=self.scalars {
            let _ = writeln!(page, "scalar_{scalar} {}", 1000 + scalar);
        }
        page
    }

    /// Returns the name and the content of our sidecar's document. It scrapes the page on this port of 127.0.0.1 at this
    /// interval.
    ///
    /// # Errors
    /// Returns an error if an OID is too long, or the document is not JSON.
    pub fn document(self, port: u16, interval_ms: u64) -> Result<(String, Vec<u8>)> {
        let endpoint = Endpoint {
            scheme: Scheme::Http,
            host: "127.0.0.1".to_owned(),
            port: Port::Number(port),
            path: "/metrics".to_owned(),
            authorization: None,
            tls: None,
        };
        let kind = SourceKind::Prometheus(Prometheus { endpoint, body_size_limit: 64 << 20, sample_limit: 1_000_000 });
        let source = Source {
            name: "app".to_owned(),
            interval_ms,
            timeout_ms: interval_ms.min(10_000),
            stale_after_ms: interval_ms.saturating_mul(100),
            kind,
        };
        let row = Index {
            name: "bigIndex".to_owned(),
            oid: 1,
            kind: IndexKind::Label { label: "row".to_owned(), encoding: IndexEncoding::Integer },
        };
        let columns = (0..self.columns).map(|column| Column {
            name: format!("big{column}"),
            oid: FIRST_COLUMN + column,
            syntax: if column.is_multiple_of(2) { Syntax::Counter64 } else { Syntax::Gauge32 },
            enumeration: BTreeMap::new(),
            value: metric(format!("cell_{column}")),
        });
        let table =
            Table { name: "bigTable".to_owned(), oid: "1".parse()?, index: vec![row], columns: columns.collect() };
        let scalars = (1..=self.scalars).map(|scalar| {
            Ok(Scalar {
                name: format!("scalar{scalar}"),
                oid: format!("2.{scalar}").parse()?,
                syntax: Syntax::Gauge32,
                enumeration: BTreeMap::new(),
                value: metric(format!("scalar_{scalar}")),
                write: None,
            })
        });
        let subtree = Subtree {
            version: VERSION,
            namespace: "bench".to_owned(),
            name: "big".to_owned(),
            module: None,
            selector: LabelSelector::default(),
            oid: agentx::Oid::try_from(BASE.as_slice())?,
            contexts: vec![String::new()],
            sources: vec![source],
            scalars: scalars.collect::<Result<_>>()?,
            tables: vec![table],
        };
        Ok((file_name(&subtree.name), serde_json::to_vec_pretty(&subtree)?))
    }
}

fn metric(metric: String) -> sidecar_config::Value {
    sidecar_config::Value::Metric(MetricValue {
        source: "app".to_owned(),
        metric,
        match_labels: std::collections::BTreeMap::new(),
        match_expressions: Vec::new(),
        label: None,
        quantile: None,
        rate_ms: None,
        aggregate: Aggregate::default(),
        scale: None,
        offset: None,
        round: Round::default(),
        on_missing: OnMissing::default(),
        counter_reset: CounterReset::default(),
    })
}
