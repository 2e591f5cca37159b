//! Where samples come from.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Authorization, BasicAuth, ConfigMapName, Duration, HttpPath, HttpUrl, MetricName, Port, Prose, Scheme, SecretKey,
    Shown, Size, SourceName, TlsConfig,
};

/// A named place that samples come from; exactly one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.prometheus), has(self.json), has(self.sql), has(self.system), has(self.configMap)].exists_one(set, set)")
    .message("exactly one of prometheus, json, sql, system and configMap must be set"))]
pub struct Source {
    /// Its name, unique in the subtree.
    pub name: SourceName,
    /// How long the last values stand after the last scrape that succeeded; then noSuchInstance. Default: 5 intervals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale_after: Option<Duration>,
    /// An endpoint in the Prometheus text format or OpenMetrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<PrometheusSource>,
    /// An endpoint that answers in JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<JsonSource>,
    /// Queries to a database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sql: Option<SqlSource>,
    /// The node or container itself, under node_exporter's names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<SystemSource>,
    /// A ConfigMap, each key a text sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapSource>,
}

/// `port` or `url`, and what a URL says is not said twice.
fn one_place() -> kube::core::Rule {
    kube::core::Rule::new("has(self.port) != has(self.url)").message("exactly one of port and url must be set")
}

fn url_says_all() -> kube::core::Rule {
    kube::core::Rule::new("!has(self.url) || !(has(self.path) || has(self.scheme))")
        .message("path and scheme go with port; a url has both in it")
}

fn one_authorization() -> kube::core::Rule {
    kube::core::Rule::new("!(has(self.authorization) && has(self.basicAuth))")
        .message("authorization and basicAuth exclude one another")
}

fn tls_with_https() -> kube::core::Rule {
    kube::core::Rule::new(
        "!has(self.tlsConfig) || (has(self.scheme) && self.scheme == 'https') || (has(self.url) && self.url.startsWith('https://'))",
    )
    .message("tlsConfig is for https only")
    .field_path(".tlsConfig")
}

/// An HTTP endpoint: where it is, how often it is asked, and how to be let in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpEndpoint {
    /// A port of the pod, by number or name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<Port>,
    /// Path and query. Default: `/metrics` for Prometheus, `/` for JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<HttpPath>,
    /// Plain or over TLS. Default: `http`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,
    /// An endpoint outside the pod, instead of `port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<HttpUrl>,
    /// Time between scrapes.
    #[serde(default = "interval")]
    pub interval: Duration,
    /// Longest time that one scrape may take. Default: 5s, or the interval where that is shorter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scrape_timeout: Option<Duration>,
    /// Longest body accepted, after decompression.
    #[serde(default = "body_size_limit")]
    pub body_size_limit: Size,
    /// A bearer token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Authorization>,
    /// A name and password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<BasicAuth>,
    /// TLS settings; for `https` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_config: Option<TlsConfig>,
}

/// An HTTP endpoint in the Prometheus text format or OpenMetrics. Redirects are not followed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = one_place(), validation = url_says_all(), validation = one_authorization(), validation = tls_with_https())]
pub struct PrometheusSource {
    /// Where it is, and how it is asked.
    #[serde(flatten)]
    pub endpoint: HttpEndpoint,
    /// Most samples accepted from one scrape, counting those that the subtree maps.
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

/// An HTTP endpoint that answers in JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = one_place(), validation = url_says_all(), validation = one_authorization(), validation = tls_with_https())]
#[x_kube(validation = Rule::new("!has(self.body) || (has(self.method) && self.method == 'POST')").message("a body goes with the method POST").field_path(".body"))]
pub struct JsonSource {
    /// Where it is, and how it is asked.
    #[serde(flatten)]
    pub endpoint: HttpEndpoint,
    /// The request's method.
    #[serde(default)]
    pub method: ReadMethod,
    /// Further headers of the request. A secret goes into `authorization` or `basicAuth`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub headers: BTreeMap<String, Shown>,
    /// The request's body; with the method POST.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8192))]
    pub body: Option<String>,
    /// Most samples accepted from one answer.
    #[serde(default = "sample_limit")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub sample_limit: i64,
    /// The samples to take from the answer.
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub metrics: Vec<JsonMetric>,
}

/// A method of HTTP that reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "RFC 9110 says it")]
#[serde(rename_all = "UPPERCASE")]
pub enum ReadMethod {
    #[default]
    Get,
    Post,
}

/// Samples taken from a JSON document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct JsonMetric {
    /// The samples' name.
    pub name: MetricName,
    /// Where they are: a JSONPath (RFC 9535). Each node found is a sample.
    pub path: Prose,
    /// Labels: name, and a JSONPath of which the node is the root.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub labels: BTreeMap<String, Prose>,
    /// The value: a JSONPath of which the node is the root. Default: the node itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Prose>,
    /// Numbers for texts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub value_map: BTreeMap<String, f64>,
}

/// A database server's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SqlDriver {
    /// PostgreSQL.
    PostgreSQL,
}

/// Queries to a database, all of one run in one read-only transaction. The role should be able to read what is shown, and
/// nothing else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SqlSource {
    /// The server's kind.
    pub driver: SqlDriver,
    /// The connection string, `postgres://user:password@host:port/database` or `host=… user=…`, of one host. Its `sslmode` is
    /// `disable`, `prefer` (the default) or `require`; none of them verifies the server's certificate.
    pub dsn: SecretKey,
    /// Time between runs.
    #[serde(default = "interval")]
    pub interval: Duration,
    /// Longest time that one run may take. Default: 5s, or the interval where that is shorter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scrape_timeout: Option<Duration>,
    /// TLS settings. With them the connection is over TLS, whatever `sslmode` says, and the certificate is verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_config: Option<TlsConfig>,
    /// Most samples accepted from one run of all queries.
    #[serde(default = "sample_limit")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub sample_limit: i64,
    /// The queries.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub queries: Vec<SqlQuery>,
}

/// One query. Each row gives a sample per value column, named `<name>_<column>`. `NULL` gives none. Numbers are exact where
/// they are integers of 64 bits; timestamps are seconds since 1970, intervals seconds, booleans 1 and 0; texts are texts. What
/// is of another type must be cast.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SqlQuery {
    /// The samples' prefix.
    pub name: MetricName,
    /// The SQL text: one statement, without parameters.
    #[schemars(length(min = 1, max = 8192))]
    pub query: String,
    /// Columns that are values.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub values: Vec<MetricName>,
    /// Columns that are labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub labels: Vec<MetricName>,
}

/// The node or container itself, from /proc and statvfs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SystemSource {
    /// Time between readings.
    #[serde(default = "interval")]
    pub interval: Duration,
}

/// A ConfigMap of the subtree's namespace; each key is a text sample of that name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapSource {
    /// The ConfigMap's name.
    pub name: ConfigMapName,
}
