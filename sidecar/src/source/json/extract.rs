//! Extraction of samples from a JSON document.

use std::{collections::BTreeMap, thread};

use serde_json::Value;
use serde_json_path::JsonPath;
use sidecar_config::{JsonMetric, json_path};

use crate::{
    sample::Number,
    source::{
        collection::Collection,
        collection_builder::{CollectionBuilder, SampleValue},
        error::SourceError,
    },
};

/// The number of samples that are extracted without yielding to the AgentX sessions, which may need this processor.
const YIELD_INTERVAL: usize = 256;

/// A metric with compiled paths.
#[derive(Debug)]
pub(super) struct Metric {
    name: String,
    path: JsonPath,
    labels: Vec<(String, JsonPath)>,
    value: Option<JsonPath>,
    value_map: BTreeMap<String, f64>,
}

impl Metric {
    /// Compiles the paths. The validation of the document has already refused invalid ones.
    pub(super) fn new(metric: JsonMetric) -> Result<Self, SourceError> {
        let JsonMetric { name, path, labels, value, value_map } = metric;
        let compile = |path: &str| json_path(path).map_err(|problem| metric_error(&name, problem));
        Ok(Self {
            path: compile(&path)?,
            labels: labels
                .iter()
                .map(|(label, path)| Ok((label.clone(), compile(path)?)))
                .collect::<Result<_, SourceError>>()?,
            value: value.as_deref().map(compile).transpose()?,
            value_map,
            name,
        })
    }

    /// Returns the labels of the node that exist.
    fn labels<'n>(&self, node: &'n Value) -> Result<Vec<(&str, ScalarText<'n>)>, SourceError> {
        let mut labels = Vec::with_capacity(self.labels.len());
        for (label, path) in &self.labels {
            let Some(found) = self.query_one(path, node, label)? else { continue };
            match ScalarText::of(found) {
                Ok(Some(text)) => labels.push((label.as_str(), text)),
                Ok(None) => {}
                Err(shape) => return Err(metric_error(&self.name, format!("the label {label} is {shape}"))),
            }
        }
        Ok(labels)
    }

    /// Converts a value other than null.
    fn value<'n>(&self, value: &'n Value) -> Result<SampleValue<'n>, SourceError> {
        let text = ScalarText::of(value)
            .map_err(|shape| metric_error(&self.name, format!("a value is {shape}, not a number or a text")))?;
        if let Some(mapped) = text.and_then(|text| self.value_map.get(text.as_str())) {
            return Ok(SampleValue::Number(integer_or_float(*mapped)));
        }
        let number = match value {
            Value::String(text) => return Ok(SampleValue::Text(text)),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(number), _) => Number::Signed(number),
                (None, Some(number)) => Number::Unsigned(number),
                (None, None) => Number::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            other => Number::Signed(i64::from(*other == Value::Bool(true))),
        };
        Ok(SampleValue::Number(number))
    }

    /// Returns the node that the path finds in `node`, if any. Several nodes are an error.
    fn query_one<'n>(&self, path: &JsonPath, node: &'n Value, what: &str) -> Result<Option<&'n Value>, SourceError> {
        let found = path.query(node).all();
        match found.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(one)),
            many => Err(metric_error(
                &self.name,
                format!("{path} finds {} nodes for {what}, but must find one", many.len()),
            )),
        }
    }
}

/// The text of a value other than an array or object.
#[derive(Debug)]
enum ScalarText<'n> {
    Borrowed(&'n str),
    Owned(String),
}

impl<'n> ScalarText<'n> {
    /// Returns `None` for null, and an error with the name of the type for an array or object.
    fn of(value: &'n Value) -> Result<Option<Self>, &'static str> {
        match value {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(Self::Borrowed(text))),
            Value::Bool(_) | Value::Number(_) => Ok(Some(Self::Owned(value.to_string()))),
            Value::Array(_) => Err("an array"),
            Value::Object(_) => Err("an object"),
        }
    }

    fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Owned(text) => text,
        }
    }
}

fn metric_error(metric: &str, problem: String) -> SourceError {
    SourceError::Metric { metric: metric.to_owned(), problem }
}

/// Returns the samples of the metrics. If samples have the same name and labels, the first is used.
pub(super) fn samples(document: &Value, metrics: &[Metric], limit: u64) -> Result<Collection, SourceError> {
    let mut builder = CollectionBuilder::new(limit);
    for (position, metric) in metrics.iter().enumerate() {
        for (node, at) in metric.path.query(document).all().into_iter().zip(1_usize..) {
            if at.is_multiple_of(YIELD_INTERVAL) {
                thread::yield_now();
            }
            let value = match &metric.value {
                None => Some(node),
                Some(path) => metric.query_one(path, node, "the value")?,
            };
            let Some(value) = value.filter(|value| !value.is_null()) else { continue };
            let labels = metric.labels(node)?;
            let labels = labels.iter().map(|(label, text)| (*label, text.as_str()));
            if builder.is_first(&(position, labels.clone().collect::<Vec<_>>()), 1) {
                builder.push(&metric.name, labels, metric.value(value)?)?;
            }
        }
    }
    Ok(builder.build())
}

/// Returns a double without a fraction as an integer, so that it stays exact.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "it has no fraction, and at most 53 bits"
)]
fn integer_or_float(number: f64) -> Number {
    const EXACT: f64 = (1_u64 << 53) as f64;
    if number.fract() == 0.0 && number.abs() <= EXACT { Number::Signed(number as i64) } else { Number::Float(number) }
}
