//! SQL sources: the rows of queries as samples, each value column of a row one.
//!
//! What is common to all drivers is here; each driver has a module of its own. What a reading may take in from the
//! server is bounded in octets, and its samples in number and in the octets of their texts: a sidecar has 64 MiB at
//! first, and a row that is read takes its octets several times over.

mod postgresql;

#[cfg(test)]
mod tests;

use std::time::Duration;

use sidecar_config::{Sql, SqlDriver, SqlQuery};

use super::{
    Cause, NameFilter, Phase,
    collector::{Collector, Said},
    reader::{Place, Reading},
};
use crate::sample::Number;
use postgresql::PostgreSql;

/// The most that one reading takes in from a server, in octets.
const INTAKE: u64 = 8 << 20;

/// A database that is asked.
pub(super) struct Database {
    queries: Vec<SqlQuery>,
    sample_limit: u64,
    driver: Driver,
}

/// The kinds of server.
enum Driver {
    PostgreSql(Box<PostgreSql>),
}

/// A column of a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Null,
    Number(Number),
    Text(String),
}

impl Database {
    pub(super) fn new(sql: Sql, wanted: &NameFilter, place: Place) -> Self {
        let Sql { driver, dsn_file, tls, sample_limit, mut queries } = sql;
        for query in &mut queries {
            let SqlQuery { name, values, .. } = query;
            values.retain(|column| wanted.keeps(&format!("{name}_{column}")));
        }
        queries.retain(|query| !query.values.is_empty());
        let driver = match driver {
            SqlDriver::PostgreSQL => Driver::PostgreSql(Box::new(PostgreSql::new(dsn_file, tls, place.folder))),
        };
        Self { queries, sample_limit, driver }
    }

    pub(super) fn location(&self) -> String {
        match &self.driver {
            Driver::PostgreSql(server) => server.location(),
        }
    }

    /// Runs the queries, all of them in one transaction.
    pub(super) async fn read(&mut self, timeout: Duration, phase: &mut Phase) -> Result<Reading, Cause> {
        if self.queries.is_empty() {
            return Ok(Reading::default());
        }
        let mut rows = Rows(Collector::new(self.sample_limit));
        match &mut self.driver {
            Driver::PostgreSql(server) => server.run(&self.queries, timeout, phase, &mut rows).await?,
        }
        Ok(rows.0.into_reading())
    }
}

/// Takes rows, and makes samples of them. Of those with one name and the same labels the first counts.
struct Rows(Collector);

impl Rows {
    /// A row's labels and values, in the query's order.
    fn take(&mut self, query: &SqlQuery, labels: &[Option<String>], values: &[Cell]) -> Result<(), Cause> {
        let labels = query.labels.iter().zip(labels);
        let labels = labels.filter_map(|(label, text)| Some((label.as_str(), text.as_deref()?)));
        let present = values.iter().filter(|value| **value != Cell::Null).count();
        let series = (query.name.as_str(), labels.clone().collect::<Vec<_>>());
        if present == 0 || !self.0.is_first(&series, present) {
            return Ok(());
        }
        for (column, value) in query.values.iter().zip(values) {
            let said = match value {
                Cell::Null => continue,
                Cell::Number(number) => Said::Number(*number),
                Cell::Text(text) => Said::Text(text),
            };
            self.0.push(&format!("{}_{column}", query.name), labels.clone(), said)?;
        }
        Ok(())
    }
}
