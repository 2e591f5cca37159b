//! Rules for SQL sources.

use std::collections::HashSet;

use super::{Checks, MAX_TEXT, source::MAX_SAMPLES};
use crate::Sql;

/// Maximum number of queries of a source.
const MAX_QUERIES: usize = 32;
/// Maximum number of value columns of a query.
const MAX_VALUES: usize = 64;
/// Maximum number of label columns of a query.
const MAX_LABELS: usize = 16;
/// The longest query, in octets.
const MAX_QUERY: usize = 8192;

impl Checks<'_> {
    pub(super) fn sql(&mut self, path: &str, sql: &Sql) {
        self.file(&format!("{path}.dsnFile"), &sql.dsn_file);
        if let Some(tls) = &sql.tls {
            self.tls(&format!("{path}.tls"), tls);
        }
        self.between(&format!("{path}.sampleLimit"), sql.sample_limit, MAX_SAMPLES);
        self.count(&format!("{path}.queries"), sql.queries.len(), 1, MAX_QUERIES);
        let mut seen = HashSet::new();
        for (i, query) in sql.queries.iter().enumerate() {
            let path = format!("{path}.queries[{i}]");
            self.text(&format!("{path}.name"), &query.name, MAX_TEXT);
            self.unique(&mut seen, &format!("{path}.name"), query.name.as_str());
            let text = &query.query;
            self.refuse_unless(!text.trim().is_empty(), format!("{path}.query"), "is empty");
            let message = format!("has {} octets; at most {MAX_QUERY} allowed", text.len());
            self.refuse_unless(text.len() <= MAX_QUERY, format!("{path}.query"), message);
            self.refuse_unless(!text.contains('\0'), format!("{path}.query"), "contains a NUL character");
            let mut columns = HashSet::new();
            let lists = [("values", &query.values, 1, MAX_VALUES), ("labels", &query.labels, 0, MAX_LABELS)];
            for (field, list, min, max) in lists {
                self.count(&format!("{path}.{field}"), list.len(), min, max);
                for (i, column) in list.iter().enumerate() {
                    let path = format!("{path}.{field}[{i}]");
                    self.text(&path, column, MAX_TEXT);
                    self.unique(&mut columns, &path, column.as_str());
                    let own = field == "labels" && column.starts_with("__");
                    self.refuse_unless(!own, &path, "starts with __, which is reserved for labels of the sidecar");
                }
            }
        }
    }
}
