//! SQL sources: the rows of queries as samples, each value column of a row one.
//!
//! What is common to all drivers is here; each driver has a module of its own. What a reading may take in from the
//! server is bounded in octets, and its samples in number and in the octets of their texts: a sidecar has 64 MiB at
//! first, and a row that is read takes its octets several times over.

mod postgresql;

#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

use sidecar_config::{Sql, SqlDriver, SqlQuery};

use super::{
    Cause, NameFilter, Phase,
    reader::{Place, Reading},
};
use crate::sample::Number;
use postgresql::PostgreSql;

/// The most that one reading takes in from a server, in octets.
const INTAKE: u64 = 8 << 20;
/// The most that the texts of all samples may take, in octets. A label's is there once for each value of its row.
const TEXTS: usize = 8 << 20;

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
        let mut rows = Rows::new(self.sample_limit);
        match &mut self.driver {
            Driver::PostgreSql(server) => server.run(&self.queries, timeout, phase, &mut rows).await?,
        }
        Ok(rows.reading)
    }
}

/// Takes rows, and makes samples of them. Of those with one name and the same labels the first counts.
struct Rows {
    reading: Reading,
    limit: u64,
    /// The octets of all texts so far.
    texts: usize,
    /// Hashes of the rows that gave samples.
    seen: HashSet<u64>,
    hasher: RandomState,
}

impl Rows {
    fn new(limit: u64) -> Self {
        Self { reading: Reading::default(), limit, texts: 0, seen: HashSet::new(), hasher: RandomState::new() }
    }

    /// A row's labels and values, in the query's order.
    fn take(&mut self, query: &SqlQuery, labels: &[Option<String>], values: &[Cell]) -> Result<(), Cause> {
        let labels = || {
            let texts = query.labels.iter().zip(labels);
            texts.filter_map(|(label, text)| Some((label.as_str(), text.as_deref()?)))
        };
        let present = values.iter().filter(|value| **value != Cell::Null).count();
        if present == 0 {
            return Ok(());
        }
        let series = self.hasher.hash_one((query.name.as_str(), labels().collect::<Vec<_>>()));
        let Reading { samples, duplicates } = &mut self.reading;
        if !self.seen.insert(series) {
            *duplicates = duplicates.saturating_add(u64::try_from(present).unwrap_or(u64::MAX));
            return Ok(());
        }
        let label_texts = labels().fold(0_usize, |sum, (_, text)| sum.saturating_add(text.len()));
        for (column, value) in query.values.iter().zip(values) {
            let text = match value {
                Cell::Null => continue,
                Cell::Number(_) => 0,
                Cell::Text(text) => text.len(),
            };
            self.texts = self.texts.saturating_add(label_texts).saturating_add(text);
            if self.texts > TEXTS {
                return Err(Cause::TextsTooLong { limit: TEXTS });
            }
            if u64::try_from(samples.len()).unwrap_or(u64::MAX) >= self.limit {
                return Err(Cause::TooManySamples { limit: self.limit });
            }
            let name = format!("{}_{column}", query.name);
            match value {
                Cell::Null => {}
                Cell::Number(number) => samples.push(&name, labels(), *number)?,
                Cell::Text(text) => samples.push_text(&name, labels(), text)?,
            }
        }
        Ok(())
    }
}
