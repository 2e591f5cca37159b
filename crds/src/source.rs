//! Sources of samples.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Authorization, BasicAuth, ConfigMapName, Duration, HttpPath, HttpUrl, MetricName, Port, Prose, Scheme, SecretKey,
    Shown, Size, SourceName, TlsConfig,
};

/// A named source of samples. Exactly one kind must be set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.prometheus), has(self.json), has(self.sql), has(self.system), has(self.configMap)].exists_one(set, set)")
    .message("exactly one of prometheus, json, sql, system and configMap must be set"))]
pub struct Source {
    /// Name of the source, unique in the subtree.
    pub name: SourceName,
    /// Time after the last successful collection for which the last values are still shown. After that, the objects are
    /// noSuchInstance. Default: 5 intervals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale_after: Option<Duration>,
    /// HTTP endpoint in the Prometheus text format or OpenMetrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<PrometheusSource>,
    /// HTTP endpoint that returns JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<JsonSource>,
    /// Queries to an SQL database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sql: Option<SqlSource>,
    /// The node or container itself, with the metric names of node_exporter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<SystemSource>,
    /// A ConfigMap, in which each key is a text sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapSource>,
}

fn port_or_url() -> kube::core::Rule {
    kube::core::Rule::new("has(self.port) != has(self.url)").message("exactly one of port and url must be set")
}

fn url_includes_path_and_scheme() -> kube::core::Rule {
    kube::core::Rule::new("!has(self.url) || !(has(self.path) || has(self.scheme))")
        .message("path and scheme are only valid with port; a url already includes them")
}

fn one_authorization() -> kube::core::Rule {
    kube::core::Rule::new("!(has(self.authorization) && has(self.basicAuth))")
        .message("authorization and basicAuth are mutually exclusive")
}

fn tls_with_https() -> kube::core::Rule {
    kube::core::Rule::new(
        "!has(self.tlsConfig) || (has(self.scheme) && self.scheme == 'https') || (has(self.url) && self.url.startsWith('https://'))",
    )
    .message("tlsConfig is only valid with https")
    .field_path(".tlsConfig")
}

/// An HTTP endpoint: its address, interval, limits and credentials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpEndpoint {
    /// Port of the pod, as a number or a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<Port>,
    /// Path and query of the URL. Default: `/metrics` for Prometheus, `/` for JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<HttpPath>,
    /// `http`, or `https` for TLS. Default: `http`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,
    /// URL of an endpoint outside the pod, instead of `port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<HttpUrl>,
    /// Time between two collections.
    #[serde(default = "interval")]
    pub interval: Duration,
    /// Timeout of one collection. Default: 5s, or the interval if that is shorter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scrape_timeout: Option<Duration>,
    /// Maximum size of the response's body after decompression. A larger body fails the collection.
    #[serde(default = "body_size_limit")]
    pub body_size_limit: Size,
    /// Bearer token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Authorization>,
    /// User name and password for HTTP basic authentication.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<BasicAuth>,
    /// TLS settings. Only valid with `https`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_config: Option<TlsConfig>,
}

/// An HTTP endpoint in the Prometheus text format or OpenMetrics. Redirects are not followed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = port_or_url(), validation = url_includes_path_and_scheme())]
#[x_kube(validation = one_authorization(), validation = tls_with_https())]
pub struct PrometheusSource {
    /// Address, interval, limits and credentials of the endpoint.
    #[serde(flatten)]
    pub endpoint: HttpEndpoint,
    /// Maximum number of samples in one scrape. Only samples that an object of the subtree uses are counted. A scrape with
    /// more samples fails.
    #[serde(default = "sample_limit")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub sample_limit: i64,
}

fn interval() -> Duration {
    "15s".into()
}

fn body_size_limit() -> Size {
    "16Mi".into()
}

fn sample_limit() -> i64 {
    100_000
}

/// An HTTP endpoint that returns JSON. Redirects are not followed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = port_or_url(), validation = url_includes_path_and_scheme())]
#[x_kube(validation = one_authorization(), validation = tls_with_https())]
#[x_kube(validation = Rule::new("!has(self.body) || (has(self.method) && self.method == 'POST')").message("body is only valid with method POST").field_path(".body"))]
pub struct JsonSource {
    /// Address, interval, limits and credentials of the endpoint.
    #[serde(flatten)]
    pub endpoint: HttpEndpoint,
    /// HTTP method of the request.
    #[serde(default)]
    pub method: ReadMethod,
    /// Additional headers of the request. Put secrets into `authorization` or `basicAuth` instead.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub headers: BTreeMap<String, Shown>,
    /// Body of the request. Only valid with method POST.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8192))]
    pub body: Option<String>,
    /// Maximum number of samples in one response. A response with more samples fails the collection.
    #[serde(default = "sample_limit")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub sample_limit: i64,
    /// Samples to extract from the response.
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub metrics: Vec<JsonMetric>,
}

/// HTTP method of a JSON source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "RFC 9110 defines them")]
#[serde(rename_all = "UPPERCASE")]
pub enum ReadMethod {
    #[default]
    Get,
    Post,
}

/// Samples extracted from a JSON document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct JsonMetric {
    /// Name of the samples.
    pub name: MetricName,
    /// JSONPath (RFC 9535) that selects nodes of the document. Each selected node becomes a sample.
    pub path: Prose,
    /// Labels of the samples, as a map from the label's name to a JSONPath that is evaluated on the selected node.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub labels: BTreeMap<String, Prose>,
    /// JSONPath of the value, evaluated on the selected node. Default: the node itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Prose>,
    /// Numbers to use in place of texts, as a map from text to number.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub value_map: BTreeMap<String, f64>,
}

/// Kind of a database server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SqlDriver {
    /// PostgreSQL.
    PostgreSQL,
}

/// Queries to an SQL database. All queries of one collection run in one read-only transaction. Use a role that can read what
/// the queries need, and nothing else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SqlSource {
    /// Kind of the database server.
    pub driver: SqlDriver,
    /// Key of a Secret with the connection string, `postgres://user:password@host:port/database` or `host=… user=…`, with one
    /// host. `sslmode` in it can be `disable`, `prefer` (the default) or `require`; none of them verifies the server's
    /// certificate. The Secret must have the label `snmp-operator.dev/readable: "true"`.
    pub dsn: SecretKey,
    /// Time between two collections.
    #[serde(default = "interval")]
    pub interval: Duration,
    /// Timeout of one collection, for all queries together. Default: 5s, or the interval if that is shorter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scrape_timeout: Option<Duration>,
    /// TLS settings. If set, the connection always uses TLS, regardless of `sslmode`, and the server's certificate is
    /// verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_config: Option<TlsConfig>,
    /// Maximum number of samples in one collection, for all queries together. More samples fail the collection.
    #[serde(default = "sample_limit")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub sample_limit: i64,
    /// Queries to run.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub queries: Vec<SqlQuery>,
}

/// One query. Each row of the result gives one sample for each value column, named `<name>_<column>`. `NULL` gives no
/// sample. Integers are exact up to 64 bits. Timestamps become seconds since 1970, intervals seconds, booleans 1 or 0, and
/// texts text samples. Cast columns of other types in the query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SqlQuery {
    /// Prefix of the samples' names.
    pub name: MetricName,
    /// SQL text: one statement without parameters.
    #[schemars(length(min = 1, max = 8192))]
    pub query: String,
    /// Columns whose values become samples.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub values: Vec<MetricName>,
    /// Columns whose values become labels of the samples.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub labels: Vec<MetricName>,
}

/// The node or container itself, read from /proc, /sys and statvfs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SystemSource {
    /// Time between two collections.
    #[serde(default = "interval")]
    pub interval: Duration,
}

/// A ConfigMap in the namespace of the subtree. Each key becomes a text sample of the same name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapSource {
    /// Name of the ConfigMap. It must have the label `snmp-operator.dev/readable: "true"`.
    pub name: ConfigMapName,
}
