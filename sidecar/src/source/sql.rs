//! SQL sources. Each value column of each row of a query is a sample.
//!
//! Each driver has its own module. The number of octets that one collection receives from the server is limited, and so
//! are the number of samples and the length of their texts: by default a sidecar has 64 MiB of memory, and a row takes
//! several times its length while it is processed.

mod postgresql;
mod rows;

#[cfg(test)]
mod tests;

use std::time::Duration;

use sidecar_config::{Sql, SqlDriver, SqlQuery};

use super::{
    collection::Collection,
    error::{Phase, SourceError},
    name_filter::NameFilter,
    settings::SourceSettings,
};
use postgresql::PostgreSql;
use rows::RowConverter;

/// An SQL source.
pub(super) struct SqlReader {
    queries: Vec<SqlQuery>,
    sample_limit: u64,
    driver: Driver,
}

/// The connection to a database server of any kind.
enum Driver {
    PostgreSql(Box<PostgreSql>),
}

impl SqlReader {
    pub(super) fn new(sql: Sql, wanted: &NameFilter, settings: SourceSettings) -> Self {
        let Sql { driver, dsn_file, tls, sample_limit, mut queries } = sql;
        for query in &mut queries {
            let SqlQuery { name, values, .. } = query;
            values.retain(|column| wanted.keeps(&format!("{name}_{column}")));
        }
        queries.retain(|query| !query.values.is_empty());
        let driver = match driver {
            SqlDriver::PostgreSQL => Driver::PostgreSql(Box::new(PostgreSql::new(dsn_file, tls, settings.directory))),
        };
        Self { queries, sample_limit, driver }
    }

    pub(super) fn location(&self) -> String {
        match &self.driver {
            Driver::PostgreSql(server) => server.location(),
        }
    }

    /// Runs all queries in one transaction.
    pub(super) async fn read(&mut self, timeout: Duration, phase: &mut Phase) -> Result<Collection, SourceError> {
        if self.queries.is_empty() {
            return Ok(Collection::default());
        }
        let mut rows = RowConverter::new(self.sample_limit);
        match &mut self.driver {
            Driver::PostgreSql(server) => server.run(&self.queries, timeout, phase, &mut rows).await?,
        }
        Ok(rows.build())
    }
}
