//! The conversion of rows to samples.

use sidecar_config::SqlQuery;

use crate::{
    sample::Number,
    source::{
        collection::Collection,
        collection_builder::{CollectionBuilder, SampleValue},
        error::SourceError,
    },
};

/// A value in a column of a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Null,
    Number(Number),
    Text(String),
}

/// A converter from rows to samples. If samples have the same name and labels, the first is used.
pub(super) struct RowConverter(CollectionBuilder);

impl RowConverter {
    /// Creates a converter for at most `limit` samples.
    pub(super) fn new(limit: u64) -> Self {
        Self(CollectionBuilder::new(limit))
    }

    pub(super) fn build(self) -> Collection {
        self.0.build()
    }

    /// Adds a row. Its labels and values are in the order of the query.
    pub(super) fn add(
        &mut self,
        query: &SqlQuery,
        labels: &[Option<String>],
        values: &[Cell],
    ) -> Result<(), SourceError> {
        let labels = query.labels.iter().zip(labels);
        let labels = labels.filter_map(|(label, text)| Some((label.as_str(), text.as_deref()?)));
        let present = values.iter().filter(|value| **value != Cell::Null).count();
        let series = (query.name.as_str(), labels.clone().collect::<Vec<_>>());
        if present == 0 || !self.0.is_first(&series, present) {
            return Ok(());
        }
        for (column, value) in query.values.iter().zip(values) {
            let value = match value {
                Cell::Null => continue,
                Cell::Number(number) => SampleValue::Number(*number),
                Cell::Text(text) => SampleValue::Text(text),
            };
            self.0.push(&format!("{}_{column}", query.name), labels.clone(), value)?;
        }
        Ok(())
    }
}
