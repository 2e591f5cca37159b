//! The types of the document. Durations are in milliseconds.

mod wire;

use std::collections::BTreeMap;

use agentx::{Oid, SubId};
use serde::{Deserialize, Serialize};

/// The version of the contract that this crate writes, and the newest that it reads.
pub const VERSION: u32 = 1;

/// A subtree: what to read, and under which OIDs to publish it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subtree {
    /// The version of the contract, [`VERSION`].
    pub version: u32,
    /// Namespace of the SnmpSubtree.
    pub namespace: String,
    /// Name of the SnmpSubtree.
    pub name: String,
    /// The name of the MIB module, announced as the agent capabilities of the subtree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// The pods that publish it. An empty selector selects every pod.
    #[serde(default)]
    pub selector: LabelSelector,
    /// The base OID. All objects are below it.
    pub oid: Oid,
    /// The SNMP contexts in which it is published; `""` is the default context. At least one.
    pub contexts: Vec<String>,
    /// The sources of values. Names are unique.
    pub sources: Vec<Source>,
    /// Scalars: objects with one instance each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scalars: Vec<Scalar>,
    /// Conceptual tables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<Table>,
}

/// A Kubernetes label selector. All requirements must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// Labels that must have exactly these values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Further requirements.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<Requirement>,
}

/// A requirement on a label of a pod or a sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Requirement {
    /// The label's name.
    pub key: String,
    /// The condition.
    pub operator: Operator,
    /// One or more values for `In` and `NotIn`, one regular expression for `Matches`, none for the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// The condition of a [`Requirement`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operator {
    /// The label has one of the values.
    In,
    /// The label does not exist or has none of the values.
    NotIn,
    /// The label exists.
    Exists,
    /// The label does not exist.
    DoesNotExist,
    /// The whole value of the label matches the regular expression. Only for samples, not for pods.
    Matches,
}

/// A named source of samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "wire::Source")]
pub struct Source {
    /// Its name, unique in the subtree.
    pub name: String,
    /// Time between two scrapes.
    pub interval_ms: u64,
    /// The longest time that a scrape may take; at most the interval.
    pub timeout_ms: u64,
    /// How long values are published after the last successful scrape.
    pub stale_after_ms: u64,
    /// Its kind and settings.
    #[serde(flatten)]
    pub kind: SourceKind,
}

/// The kinds of source.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SourceKind {
    /// A Prometheus or OpenMetrics endpoint.
    Prometheus(Prometheus),
    /// An HTTP endpoint that returns JSON.
    Json(Json),
    /// Queries to a database.
    Sql(Sql),
    /// The machine.
    System(System),
    /// A ConfigMap.
    ConfigMap(ConfigMap),
}

/// An HTTP endpoint that returns the Prometheus text format or OpenMetrics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", from = "wire::Prometheus")]
pub struct Prometheus {
    /// The endpoint.
    #[serde(flatten)]
    pub endpoint: Endpoint,
    /// The longest accepted body in bytes, after decompression.
    pub body_size_limit: u64,
    /// Maximum number of samples of a scrape. Only samples that the subtree maps count.
    pub sample_limit: u64,
}

/// An HTTP endpoint that returns JSON (RFC 8259).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", from = "wire::Json")]
pub struct Json {
    /// The endpoint.
    #[serde(flatten)]
    pub endpoint: Endpoint,
    /// The method of the request.
    #[serde(skip_serializing_if = "is_default")]
    pub method: ReadMethod,
    /// Additional headers of the request.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The body of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The longest accepted body in bytes, after decompression.
    pub body_size_limit: u64,
    /// Maximum number of samples of a response.
    pub sample_limit: u64,
    /// The samples to extract from the response. At least one.
    pub metrics: Vec<JsonMetric>,
}

/// An HTTP method for reading (RFC 9110 section 9.3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum ReadMethod {
    #[default]
    Get,
    Post,
}

/// Samples that are extracted from a JSON document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JsonMetric {
    /// The name of the samples.
    pub name: String,
    /// A JSONPath (RFC 9535). Each node that it selects is a sample.
    pub path: String,
    /// Labels: the name, and a JSONPath whose root is the node.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The value: a JSONPath whose root is the node. Default: the node itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Numbers for values that are texts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub value_map: BTreeMap<String, f64>,
}

/// Queries to a database, in read-only transactions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sql {
    /// The kind of database server.
    pub driver: SqlDriver,
    /// The file of the connection string, a name in the configuration folder. It is read again for each connection.
    pub dsn_file: String,
    /// TLS settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Maximum number of samples of one run of all queries.
    pub sample_limit: u64,
    /// The queries. At least one.
    pub queries: Vec<SqlQuery>,
}

/// The kinds of database server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SqlDriver {
    /// PostgreSQL.
    PostgreSQL,
}

/// A query. Each row yields a sample for each value column, named `<name>_<column>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SqlQuery {
    /// The prefix of the sample names.
    pub name: String,
    /// The SQL text.
    pub query: String,
    /// Columns that are values. At least one.
    pub values: Vec<String>,
    /// Columns that are labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
}

/// The machine, from /proc, /sys and statvfs, with the metric names of node_exporter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct System {}

/// A ConfigMap, copied into the configuration folder. Each key is a sample with the key as its name and the text as its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMap {
    /// The ConfigMap's name.
    pub name: String,
    /// The keys to read, each with its file, a name in the configuration folder. The file does not exist if the ConfigMap
    /// does not have the key.
    pub keys: BTreeMap<String, String>,
}

/// An HTTP endpoint and its credentials. Redirects are not followed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// With or without TLS.
    pub scheme: Scheme,
    /// The host name or address. Default: the loopback address of the pod, `127.0.0.1`.
    #[serde(skip_serializing_if = "is_loopback")]
    pub host: String,
    /// The port, by number or by the name of a container port of the pod.
    pub port: Port,
    /// The path and query.
    pub path: String,
    /// Credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Authorization>,
    /// TLS settings, only for `https`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

pub(crate) fn loopback() -> String {
    "127.0.0.1".to_owned()
}

fn is_loopback(host: &str) -> bool {
    host == "127.0.0.1"
}

/// URL scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Scheme {
    /// HTTP without TLS.
    Http,
    /// HTTP over TLS.
    Https,
}

/// A TCP port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Port {
    /// By number.
    Number(u16),
    /// By the name of a container port.
    Name(String),
}

/// Credentials, as names of files in the configuration folder (keys of the Secret `snmp-sidecar`). They are read again for
/// each scrape, so that a changed Secret takes effect without a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Authorization {
    /// `Authorization: Bearer` with the content of the file, without leading and trailing white space.
    #[serde(rename_all = "camelCase")]
    Bearer {
        /// The file of the token.
        credentials_file: String,
    },
    /// HTTP basic authentication (RFC 7617).
    #[serde(rename_all = "camelCase")]
    Basic {
        /// The file of the user name.
        username_file: String,
        /// The file of the password.
        password_file: String,
    },
}

/// TLS settings of a client. Files are names in the configuration folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tls {
    /// PEM certificates to trust instead of those of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// PEM client certificate chain; requires `keyFile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_file: Option<String>,
    /// PEM private key of the client certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<String>,
    /// The name that the server certificate must have, instead of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// Accept any certificate.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub insecure_skip_verify: bool,
}

/// An object with one instance, at base.`oid`.0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Scalar {
    /// The descriptor of the object.
    pub name: String,
    /// Its arcs below the base OID.
    pub oid: Oid,
    /// Its SMIv2 syntax.
    pub syntax: Syntax,
    /// Names for values of an Integer32. A sample whose text is such a name has its number as the value.
    #[serde(rename = "enum", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub enumeration: BTreeMap<String, i32>,
    /// Its value.
    pub value: Value,
    /// The backend of a SET. It makes the scalar read-write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write: Option<Write>,
}

/// The backend of a SET to a scalar, and the values that it accepts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "wire::Write")]
pub struct Write {
    /// The accepted numbers, for Integer32, Unsigned32 and Gauge32.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
    /// The accepted lengths, for OctetString and DisplayString.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<Length>,
    /// A regular expression that the whole string must match, for OctetString and DisplayString.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// The backend.
    #[serde(flatten)]
    pub kind: WriteKind,
}

/// The numbers that a SET accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Range {
    /// The minimum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<i64>,
    /// The maximum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<i64>,
}

/// The lengths that a SET accepts, in octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Length {
    /// The minimum.
    pub min: u32,
    /// The maximum.
    pub max: u32,
}

/// The backends of a SET.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum WriteKind {
    /// An HTTP request to the application.
    Http(Box<HttpWrite>),
    /// A key of a ConfigMap.
    ConfigMap(ConfigMapWrite),
}

/// The HTTP request of a SET.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", from = "wire::HttpWrite")]
pub struct HttpWrite {
    /// The endpoint.
    #[serde(flatten)]
    pub endpoint: Endpoint,
    /// The method.
    pub method: WriteMethod,
    /// The body. `${value}` is replaced by the value: a number, `true`, `false`, or a text with the escapes of a JSON string.
    /// `${name}` is replaced by the name of an enumerated value, with the same escapes. Default: the value as plain text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// An HTTP method for writing (RFC 9110 section 9.3, RFC 5789).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum WriteMethod {
    Put,
    Post,
    Patch,
}

/// A key of a ConfigMap as the backend of a SET. An enumerated value is written as its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapWrite {
    /// The ConfigMap's name.
    pub name: String,
    /// The key.
    pub key: String,
}

/// A conceptual table at base.`oid`. Its entry is at base.`oid`.1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Table {
    /// The descriptor of the table.
    pub name: String,
    /// Its arcs below the base OID.
    pub oid: Oid,
    /// The index objects of the INDEX clause, in order. At least one.
    pub index: Vec<Index>,
    /// The columns. At least one.
    pub columns: Vec<Column>,
}

/// An index object of a table. It is not accessible itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "wire::Index")]
pub struct Index {
    /// The descriptor of the index object.
    pub name: String,
    /// Its arc below the entry.
    pub oid: SubId,
    /// The source of its values.
    #[serde(flatten)]
    pub kind: IndexKind,
}

/// The source of the values of an index object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum IndexKind {
    /// The index of the pod: its StatefulSet ordinal + 1, or a hash of its name. Only allowed as the first index.
    Pod {},
    /// The value of a label of the samples.
    #[serde(untagged)]
    Label {
        /// The name of the label.
        label: String,
        /// How its text is encoded as arcs.
        #[serde(rename = "as")]
        encoding: IndexEncoding,
    },
}

/// How an index value is encoded as arcs (RFC 2578 section 7.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum IndexEncoding {
    /// A decimal integer of 0 to 2³¹ − 1, one arc.
    Integer,
    /// The number of octets and then the octets.
    String,
    /// The octets without their number. Only allowed as the last index.
    ImpliedString,
    /// An IPv4 address, four arcs.
    IpAddress,
    /// 31 bits of a hash of the text, from 1, the same in every pod.
    Hash,
    /// 1, 2, 3, … in the order of first appearance, stored in the state directory.
    Assigned,
}

/// An accessible column of a table, at base.table.1.`oid`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Column {
    /// The descriptor of the object.
    pub name: String,
    /// Its arc below the entry.
    pub oid: SubId,
    /// Its SMIv2 syntax.
    pub syntax: Syntax,
    /// Names for values of an Integer32, as for a scalar.
    #[serde(rename = "enum", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub enumeration: BTreeMap<String, i32>,
    /// Its value in each row.
    pub value: Value,
}

/// SMIv2 syntaxes (RFC 2578 section 7.1, RFC 2579).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Syntax {
    Integer32,
    Unsigned32,
    Gauge32,
    Counter32,
    Counter64,
    /// Hundredths of a second.
    TimeTicks,
    OctetString,
    DisplayString,
    IpAddress,
    ObjectIdentifier,
    /// true(1), false(2).
    TruthValue,
}

/// The value of an object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "wire::Value")]
pub enum Value {
    /// Always this text, converted to the syntax of the object.
    Constant(String),
    /// Computed from samples of a source.
    #[serde(untagged)]
    Metric(MetricValue),
}

/// A value that is computed from the samples of a metric. The steps run in the order of the fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "wire::Value")]
pub struct MetricValue {
    /// The name of the source.
    pub source: String,
    /// The name of the samples; with `quantile`, the name of the histogram or summary.
    pub metric: String,
    /// Labels that a sample must have with exactly these values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Further requirements on the labels of a sample.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<Requirement>,
    /// Publishes the text of this label instead of the value of the sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The quantile of a histogram or summary, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantile: Option<f64>,
    /// Publishes the increase per second over this time instead of the value. At least two intervals of the source.
    #[serde(rename = "rateMs", skip_serializing_if = "Option::is_none")]
    pub rate_ms: Option<u64>,
    /// How several samples are combined.
    #[serde(skip_serializing_if = "is_default")]
    pub aggregate: Aggregate,
    /// The factor for the value; not negative for counters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// The number that is added to the scaled value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<f64>,
    /// How a fraction is rounded.
    #[serde(skip_serializing_if = "is_default")]
    pub round: Round,
    /// What is published if there is no sample.
    #[serde(skip_serializing_if = "is_default")]
    pub on_missing: OnMissing,
    /// What a Counter32 or Counter64 does when its metric decreases.
    #[serde(skip_serializing_if = "is_default")]
    pub counter_reset: CounterReset,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// How several samples are combined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Aggregate {
    #[default]
    Sum,
    Min,
    Max,
    Avg,
    Count,
}

/// How a fraction is rounded to an integer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Round {
    /// To the nearest integer, halves away from zero.
    #[default]
    Nearest,
    /// Down.
    Floor,
    /// Up.
    Ceil,
}

/// What an object publishes when its metric has no sample.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnMissing {
    /// The exception noSuchInstance. A walk skips the instance.
    #[default]
    NoSuchInstance,
    /// 0, or the empty string.
    Zero,
    /// The last value.
    Hold,
    /// This text, converted to the syntax of the object.
    Constant(String),
}

/// What a counter does when its metric decreases, for example when the application restarts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CounterReset {
    /// It continues from its last value.
    #[default]
    Continue,
    /// It decreases too.
    PassThrough,
}
