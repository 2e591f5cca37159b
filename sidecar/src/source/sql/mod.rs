//! SQL sources: the rows of queries as samples, each value column of a row one.
//!
//! What is common to all drivers is here; each driver has a module of its own. What a reading may take in from the
//! server is bounded in octets, and its samples in number.

mod postgresql;

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};

use sidecar_config::{Sql, SqlDriver, SqlQuery};

use super::{
    Cause, NameFilter, Phase,
    reader::{Place, Reading},
};
use crate::sample::Number;
use postgresql::PostgreSql;

/// The most that one reading takes in from a server, in octets.
const INTAKE: u64 = 64 << 20;

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
    pub(super) async fn read(&mut self, timeout: std::time::Duration, phase: &mut Phase) -> Result<Reading, Cause> {
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
    seen: HashSet<u64>,
    hasher: RandomState,
}

impl Rows {
    fn new(limit: u64) -> Self {
        Self { reading: Reading::default(), limit, seen: HashSet::new(), hasher: RandomState::new() }
    }

    /// A row's labels and values, in the query's order.
    fn take(&mut self, query: &SqlQuery, labels: &[Option<String>], values: &[Cell]) -> Result<(), Cause> {
        let labels = || {
            let texts = query.labels.iter().zip(labels);
            texts.filter_map(|(label, text)| Some((label.as_str(), text.as_deref()?)))
        };
        let series = self.hasher.hash_one((query.name.as_str(), labels().collect::<Vec<_>>()));
        let Reading { samples, duplicates } = &mut self.reading;
        if !self.seen.insert(series) {
            *duplicates += 1;
            return Ok(());
        }
        for (column, value) in query.values.iter().zip(values) {
            let name = format!("{}_{column}", query.name);
            match value {
                Cell::Null => continue,
                Cell::Number(number) => samples.push(&name, labels(), *number)?,
                Cell::Text(text) => samples.push_text(&name, labels(), text)?,
            }
            if u64::try_from(samples.len()).unwrap_or(u64::MAX) > self.limit {
                return Err(Cause::TooManySamples { limit: self.limit });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query() -> SqlQuery {
        SqlQuery {
            name: "q".to_owned(),
            query: "select".to_owned(),
            values: vec!["a".to_owned(), "b".to_owned()],
            labels: vec!["l".to_owned()],
        }
    }

    #[test]
    fn each_value_of_a_row_is_a_sample_and_null_is_none() {
        let mut rows = Rows::new(100);
        let label = |text: &str| vec![Some(text.to_owned())];
        rows.take(&query(), &label("x"), &[Cell::Number(Number::Signed(1)), Cell::Text("t".to_owned())]).unwrap();
        rows.take(&query(), &label("x"), &[Cell::Number(Number::Signed(2)), Cell::Null]).unwrap();
        rows.take(&query(), &[None], &[Cell::Null, Cell::Number(Number::Signed(3))]).unwrap();
        let shown: Vec<_> = rows.reading.samples.iter().collect();
        let shown: Vec<_> = shown.iter().map(|s| (s.name, s.labels.get("l"), s.text(), s.value.as_integer())).collect();
        let expected =
            [("q_a", Some("x"), None, Some(1)), ("q_b", Some("x"), Some("t"), None), ("q_b", None, None, Some(3))];
        assert_eq!(shown, expected);
        assert_eq!(rows.reading.duplicates, 1);
    }

    #[test]
    fn more_samples_than_may_be_are_an_error() {
        let mut rows = Rows::new(1);
        let values = [Cell::Number(Number::Signed(1)), Cell::Number(Number::Signed(2))];
        assert_eq!(rows.take(&query(), &[None], &values), Err(Cause::TooManySamples { limit: 1 }));
    }
}
