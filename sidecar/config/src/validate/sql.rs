//! Checks of SQL sources.

use std::collections::HashSet;

use super::{Checks, MAX_TEXT, source::MAX_SAMPLES};
use crate::Sql;

/// Most queries of one source.
const MAX_QUERIES: usize = 32;

impl Checks {
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
        }
    }
}
