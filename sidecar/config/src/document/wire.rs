//! The JSON form of types whose fields are nested deeper in Rust than in JSON.
//!
//! Derived code for `flatten` and `untagged` would hide unknown fields from a strict reader, and could not name the field
//! that is wrong.

use std::{collections::BTreeMap, fmt};

use agentx::SubId;
use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};

use crate::document::{
    self, Aggregate, Authorization, ConfigMap, ConfigMapWrite, CounterReset, Endpoint, IndexEncoding, IndexKind,
    JsonMetric, Length, MetricValue, OnMissing, Port, Range, ReadMethod, Requirement, Round, Scheme, SourceKind, Sql,
    System, Tls, WriteKind, WriteMethod, loopback,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Source {
    name: String,
    interval_ms: u64,
    timeout_ms: u64,
    stale_after_ms: u64,
    prometheus: Option<document::Prometheus>,
    json: Option<document::Json>,
    sql: Option<Sql>,
    system: Option<System>,
    config_map: Option<ConfigMap>,
}

impl TryFrom<Source> for document::Source {
    type Error = &'static str;

    fn try_from(source: Source) -> Result<Self, Self::Error> {
        let Source { name, interval_ms, timeout_ms, stale_after_ms, prometheus, json, sql, system, config_map } =
            source;
        let kind = match (prometheus, json, sql, system, config_map) {
            (Some(prometheus), None, None, None, None) => SourceKind::Prometheus(prometheus),
            (None, Some(json), None, None, None) => SourceKind::Json(json),
            (None, None, Some(sql), None, None) => SourceKind::Sql(sql),
            (None, None, None, Some(system), None) => SourceKind::System(system),
            (None, None, None, None, Some(config_map)) => SourceKind::ConfigMap(config_map),
            _ => return Err("expected exactly one of `prometheus`, `json`, `sql`, `system` and `configMap`"),
        };
        Ok(Self { name, interval_ms, timeout_ms, stale_after_ms, kind })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Prometheus {
    scheme: Scheme,
    #[serde(default = "loopback")]
    host: String,
    port: Port,
    path: String,
    authorization: Option<Authorization>,
    tls: Option<Tls>,
    body_size_limit: u64,
    sample_limit: u64,
}

impl From<Prometheus> for document::Prometheus {
    fn from(prometheus: Prometheus) -> Self {
        let Prometheus { scheme, host, port, path, authorization, tls, body_size_limit, sample_limit } = prometheus;
        let endpoint = Endpoint { scheme, host, port, path, authorization, tls };
        Self { endpoint, body_size_limit, sample_limit }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Json {
    scheme: Scheme,
    #[serde(default = "loopback")]
    host: String,
    port: Port,
    path: String,
    authorization: Option<Authorization>,
    tls: Option<Tls>,
    #[serde(default)]
    method: ReadMethod,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
    body_size_limit: u64,
    sample_limit: u64,
    metrics: Vec<JsonMetric>,
}

impl From<Json> for document::Json {
    fn from(json: Json) -> Self {
        let Json { scheme, host, port, path, authorization, tls, .. } = json;
        let Json { method, headers, body, body_size_limit, sample_limit, metrics, .. } = json;
        let endpoint = Endpoint { scheme, host, port, path, authorization, tls };
        Self { endpoint, method, headers, body, body_size_limit, sample_limit, metrics }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Write {
    range: Option<Range>,
    length: Option<Length>,
    pattern: Option<String>,
    http: Option<Box<document::HttpWrite>>,
    config_map: Option<ConfigMapWrite>,
}

impl TryFrom<Write> for document::Write {
    type Error = &'static str;

    fn try_from(write: Write) -> Result<Self, Self::Error> {
        let Write { range, length, pattern, http, config_map } = write;
        let kind = match (http, config_map) {
            (Some(http), None) => WriteKind::Http(http),
            (None, Some(config_map)) => WriteKind::ConfigMap(config_map),
            _ => return Err("expected either `http` or `configMap`"),
        };
        Ok(Self { range, length, pattern, kind })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HttpWrite {
    scheme: Scheme,
    #[serde(default = "loopback")]
    host: String,
    port: Port,
    path: String,
    authorization: Option<Authorization>,
    tls: Option<Tls>,
    method: WriteMethod,
    body: Option<String>,
}

impl From<HttpWrite> for document::HttpWrite {
    fn from(write: HttpWrite) -> Self {
        let HttpWrite { scheme, host, port, path, authorization, tls, method, body } = write;
        Self { endpoint: Endpoint { scheme, host, port, path, authorization, tls }, method, body }
    }
}

#[derive(Deserialize)]
pub(crate) struct Index {
    name: String,
    oid: SubId,
    pod: Option<Pod>,
    label: Option<String>,
    #[serde(rename = "as")]
    encoding: Option<IndexEncoding>,
}

#[derive(Deserialize)]
struct Pod {}

impl TryFrom<Index> for document::Index {
    type Error = &'static str;

    fn try_from(index: Index) -> Result<Self, Self::Error> {
        let Index { name, oid, pod, label, encoding } = index;
        let kind = match (pod, label) {
            (Some(Pod {}), None) => IndexKind::Pod {},
            (None, Some(label)) => IndexKind::Label { label, encoding: encoding.ok_or("missing field `as`")? },
            _ => return Err("expected either `pod` or `label`"),
        };
        Ok(Self { name, oid, kind })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Value {
    constant: Option<String>,
    source: Option<String>,
    metric: Option<String>,
    #[serde(default)]
    match_labels: BTreeMap<String, String>,
    #[serde(default)]
    match_expressions: Vec<Requirement>,
    label: Option<String>,
    quantile: Option<f64>,
    rate_ms: Option<u64>,
    #[serde(default)]
    aggregate: Aggregate,
    scale: Option<f64>,
    offset: Option<f64>,
    #[serde(default)]
    round: Round,
    #[serde(default)]
    on_missing: OnMissing,
    #[serde(default)]
    counter_reset: CounterReset,
}

impl TryFrom<Value> for document::Value {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        let (source, metric) = match (value.constant, value.source, value.metric) {
            (Some(constant), None, None) => return Ok(Self::Constant(constant)),
            (None, Some(source), Some(metric)) => (source, metric),
            (None, Some(_), None) => return Err("missing field `metric`"),
            (None, None, Some(_)) => return Err("missing field `source`"),
            _ => return Err("expected either `constant` or `source` and `metric`"),
        };
        Ok(Self::Metric(MetricValue {
            source,
            metric,
            match_labels: value.match_labels,
            match_expressions: value.match_expressions,
            label: value.label,
            quantile: value.quantile,
            rate_ms: value.rate_ms,
            aggregate: value.aggregate,
            scale: value.scale,
            offset: value.offset,
            round: value.round,
            on_missing: value.on_missing,
            counter_reset: value.counter_reset,
        }))
    }
}

impl TryFrom<Value> for MetricValue {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        match document::Value::try_from(value)? {
            document::Value::Metric(metric) => Ok(metric),
            document::Value::Constant(_) => Err("expected `source` and `metric`"),
        }
    }
}

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PortVisitor;

        impl Visitor<'_> for PortVisitor {
            type Value = Port;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port number from 1 to 65535 or the name of a port")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Port, E> {
                u16::try_from(number)
                    .map(Port::Number)
                    .map_err(|_| E::invalid_value(serde::de::Unexpected::Unsigned(number), &self))
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Port, E> {
                Ok(Port::Name(name.to_owned()))
            }
        }

        deserializer.deserialize_any(PortVisitor)
    }
}
