//! Samples from a document of JSON.

use std::{collections::BTreeMap, thread};

use serde_json::Value;
use serde_json_path::JsonPath;
use sidecar_config::{JsonMetric, json_path};

use crate::{
    sample::Number,
    source::{
        Cause,
        collector::{Collector, Said},
        reader::Reading,
    },
};

/// So many samples are taken before the sessions, which may share this processor, have their turn.
const TURN: usize = 256;

/// A metric, ready to be looked for.
#[derive(Debug)]
pub(super) struct Metric {
    name: String,
    path: JsonPath,
    labels: Vec<(String, JsonPath)>,
    value: Option<JsonPath>,
    value_map: BTreeMap<String, f64>,
}

impl Metric {
    /// Fails for a path that does not compile, which validation refuses.
    pub(super) fn new(metric: JsonMetric) -> Result<Self, Cause> {
        let JsonMetric { name, path, labels, value, value_map } = metric;
        let compile = |path: &str| json_path(path).map_err(|problem| broken(&name, problem));
        Ok(Self {
            path: compile(&path)?,
            labels: labels
                .iter()
                .map(|(label, path)| Ok((label.clone(), compile(path)?)))
                .collect::<Result<_, Cause>>()?,
            value: value.as_deref().map(compile).transpose()?,
            value_map,
            name,
        })
    }

    /// The node's labels: those that are there.
    fn labels<'n>(&self, node: &'n Value) -> Result<Vec<(&str, Text<'n>)>, Cause> {
        let mut labels = Vec::with_capacity(self.labels.len());
        for (label, path) in &self.labels {
            let Some(found) = self.one(path, node, label)? else { continue };
            match Text::of(found) {
                Ok(Some(text)) => labels.push((label.as_str(), text)),
                Ok(None) => {}
                Err(shape) => return Err(broken(&self.name, format!("the label {label} is {shape}"))),
            }
        }
        Ok(labels)
    }

    /// What a value says, which is not null.
    fn said<'n>(&self, value: &'n Value) -> Result<Said<'n>, Cause> {
        let text = Text::of(value)
            .map_err(|shape| broken(&self.name, format!("a value is {shape}, not a number or a text")))?;
        if let Some(mapped) = text.and_then(|text| self.value_map.get(text.as_str())) {
            return Ok(Said::Number(whole(*mapped)));
        }
        let number = match value {
            Value::String(text) => return Ok(Said::Text(text)),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(number), _) => Number::Signed(number),
                (None, Some(number)) => Number::Unsigned(number),
                (None, None) => Number::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            other => Number::Signed(i64::from(*other == Value::Bool(true))),
        };
        Ok(Said::Number(number))
    }

    /// The one node that the path finds in `node`, if it finds any.
    fn one<'n>(&self, path: &JsonPath, node: &'n Value, what: &str) -> Result<Option<&'n Value>, Cause> {
        let found = path.query(node).all();
        match found.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(one)),
            many => Err(broken(&self.name, format!("{path} finds {} nodes for {what}, which is one", many.len()))),
        }
    }
}

/// The text of a value that is no list and no object.
#[derive(Debug)]
enum Text<'n> {
    Borrowed(&'n str),
    Made(String),
}

impl<'n> Text<'n> {
    /// `None` for null; an error with the shape's name for a list or an object.
    fn of(value: &'n Value) -> Result<Option<Self>, &'static str> {
        match value {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(Self::Borrowed(text))),
            Value::Bool(_) | Value::Number(_) => Ok(Some(Self::Made(value.to_string()))),
            Value::Array(_) => Err("an array"),
            Value::Object(_) => Err("an object"),
        }
    }

    fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Made(text) => text,
        }
    }
}

fn broken(metric: &str, problem: String) -> Cause {
    Cause::Metric { metric: metric.to_owned(), problem }
}

/// The samples of the metrics. Of those with one name and the same labels the first counts.
pub(super) fn samples(document: &Value, metrics: &[Metric], limit: u64) -> Result<Reading, Cause> {
    let mut collector = Collector::new(limit);
    for (number, metric) in metrics.iter().enumerate() {
        for (node, at) in metric.path.query(document).all().into_iter().zip(1_usize..) {
            if at.is_multiple_of(TURN) {
                thread::yield_now();
            }
            let value = match &metric.value {
                None => Some(node),
                Some(path) => metric.one(path, node, "the value")?,
            };
            let Some(value) = value.filter(|value| !value.is_null()) else { continue };
            let labels = metric.labels(node)?;
            let labels = labels.iter().map(|(label, text)| (*label, text.as_str()));
            if collector.is_first(&(number, labels.clone().collect::<Vec<_>>()), 1) {
                collector.push(&metric.name, labels, metric.said(value)?)?;
            }
        }
    }
    Ok(collector.into_reading())
}

/// A whole number as an integer, so that it stays one.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "it is whole, and within 53 bits")]
fn whole(number: f64) -> Number {
    const EXACT: f64 = (1_u64 << 53) as f64;
    if number.fract() == 0.0 && number.abs() <= EXACT { Number::Signed(number as i64) } else { Number::Float(number) }
}
