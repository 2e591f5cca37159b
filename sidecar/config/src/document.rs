//! The document's types. Lengths of time are in milliseconds.

use std::collections::BTreeMap;

use agentx::{Oid, SubId};
use serde::{Deserialize, Serialize};

/// The version of the contract that this crate writes, and the newest that it reads.
pub const VERSION: u32 = 1;

/// One subtree: what to read, and under which OIDs to show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subtree {
    /// The contract's version, [`VERSION`].
    pub version: u32,
    /// Namespace of the SnmpSubtree.
    pub namespace: String,
    /// Name of the SnmpSubtree.
    pub name: String,
    /// The MIB module's name, announced as the subtree's agent capabilities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// The pods that serve it. An empty selector selects every pod.
    #[serde(default)]
    pub selector: LabelSelector,
    /// The base OID: all objects lie below it.
    pub oid: Oid,
    /// SNMP context names to serve it in; `""` is the default context. At least one.
    pub contexts: Vec<String>,
    /// Where values come from; names are unique.
    pub sources: Vec<Source>,
    /// Objects with one instance each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scalars: Vec<Scalar>,
    /// Conceptual tables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<Table>,
}

/// A Kubernetes label selector: all of its requirements must hold.
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

/// One requirement on a label, of a pod or of a sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Requirement {
    /// The label's name.
    pub key: String,
    /// What is asked of it.
    pub operator: Operator,
    /// Values for `In` and `NotIn` (one or more); the one regular expression for `Matches`; none for the rest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// What a [`Requirement`] asks of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operator {
    /// The label is there with one of the values.
    In,
    /// The label is missing or has none of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is missing.
    DoesNotExist,
    /// The label's whole value matches the regular expression. For samples only, not for pods.
    Matches,
}

/// A named place that samples come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// Its name, unique in the subtree.
    pub name: String,
    /// Time between scrapes.
    pub interval_ms: u64,
    /// Longest time that one scrape may take; at most the interval.
    pub timeout_ms: u64,
    /// How long the last values stand after the last scrape that succeeded.
    pub stale_after_ms: u64,
    /// What it is.
    #[serde(flatten)]
    pub kind: SourceKind,
}

/// The kinds of source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SourceKind {
    /// A Prometheus or OpenMetrics endpoint.
    Prometheus(Prometheus),
    /// An HTTP endpoint that answers in JSON.
    Json(Json),
    /// Queries to a database.
    Sql(Sql),
    /// The machine itself.
    System(System),
    /// A ConfigMap.
    ConfigMap(ConfigMap),
}

/// An HTTP endpoint in the Prometheus text format or OpenMetrics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Prometheus {
    /// Where it listens.
    #[serde(flatten)]
    pub endpoint: Endpoint,
    /// Longest body accepted, in bytes, after decompression.
    pub body_size_limit: u64,
    /// Most samples accepted from one scrape, counting only those that the subtree maps.
    pub sample_limit: u64,
}

/// An HTTP endpoint that answers in JSON (RFC 8259).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Json {
    /// Where it listens.
    #[serde(flatten)]
    pub endpoint: Endpoint,
    /// The request's method.
    #[serde(default, skip_serializing_if = "is_default")]
    pub method: ReadMethod,
    /// Further headers of the request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The request's body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Longest body accepted, in bytes, after decompression.
    pub body_size_limit: u64,
    /// Most samples accepted from one answer.
    pub sample_limit: u64,
    /// The samples to take from the answer. At least one.
    pub metrics: Vec<JsonMetric>,
}

/// A method of HTTP that reads (RFC 9110 section 9.3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum ReadMethod {
    #[default]
    Get,
    Post,
}

/// Samples taken from a JSON document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JsonMetric {
    /// The samples' name.
    pub name: String,
    /// Where they are: a JSONPath (RFC 9535). Each node found is a sample.
    pub path: String,
    /// Labels: name, and a JSONPath of which the node is the root.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The value: a JSONPath of which the node is the root. Default: the node itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Numbers for texts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub value_map: BTreeMap<String, f64>,
}

/// Queries to a database, in read-only transactions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sql {
    /// The server's kind.
    pub driver: SqlDriver,
    /// File of the connection string, a name in the configuration folder. Read anew for each connection.
    pub dsn_file: String,
    /// TLS settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Most samples accepted from one run of all queries.
    pub sample_limit: u64,
    /// The queries. At least one.
    pub queries: Vec<SqlQuery>,
}

/// A database server's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SqlDriver {
    /// PostgreSQL.
    PostgreSQL,
}

/// One query. Each row gives a sample for each value column, named `<name>_<column>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SqlQuery {
    /// The samples' prefix.
    pub name: String,
    /// The SQL text.
    pub query: String,
    /// Columns that are values. At least one.
    pub values: Vec<String>,
    /// Columns that are labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
}

/// The machine itself, under node_exporter's names, from /proc, /sys and statvfs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct System {}

/// A ConfigMap, mirrored beside the document. Each key is a sample of that name, with its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMap {
    /// The ConfigMap's name.
    pub name: String,
    /// Its keys that are read: each with its file, a name in the configuration folder. A key that the ConfigMap does
    /// not have has no file there.
    pub keys: BTreeMap<String, String>,
}

/// An HTTP endpoint and how to be let in. Redirects are not followed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// Plain or over TLS.
    pub scheme: Scheme,
    /// Host name or address. The pod's own loopback, `127.0.0.1`, unless said otherwise.
    #[serde(default = "loopback", skip_serializing_if = "is_loopback")]
    pub host: String,
    /// Port, by number or by the name that a container of the pod gives it.
    pub port: Port,
    /// Path and query.
    pub path: String,
    /// Credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Authorization>,
    /// TLS settings; for `https` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

fn loopback() -> String {
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
    /// By a container port's name.
    Name(String),
}

/// Credentials, as names of files in the configuration folder (keys of the Secret `snmp-sidecar`).
/// Read anew for each scrape, so that a changed Secret takes effect by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Authorization {
    /// `Authorization: Bearer` with the file's content, white space at its ends removed.
    #[serde(rename_all = "camelCase")]
    Bearer {
        /// File of the token.
        credentials_file: String,
    },
    /// HTTP basic authentication (RFC 7617).
    #[serde(rename_all = "camelCase")]
    Basic {
        /// File of the user's name.
        username_file: String,
        /// File of the password.
        password_file: String,
    },
}

/// TLS towards a source. Files are names in the configuration folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tls {
    /// PEM certificates to trust instead of the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// PEM client certificate chain; with `keyFile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_file: Option<String>,
    /// PEM private key of the client certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<String>,
    /// The name to expect in the server's certificate instead of the host.
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
    /// The object's descriptor.
    pub name: String,
    /// Its arcs below the base OID.
    pub oid: Oid,
    /// Its SMIv2 syntax.
    pub syntax: Syntax,
    /// Names of an Integer32's values. A sample's text that is one of them is read as its number.
    #[serde(rename = "enum", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub enumeration: BTreeMap<String, i32>,
    /// What it shows.
    pub value: Value,
    /// Where a SET goes; makes it read-write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write: Option<Write>,
}

/// Where a SET of a scalar goes, and what it may bring.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Write {
    /// The numbers that it may bring: of Integer32, Unsigned32 and Gauge32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
    /// The lengths that it may bring: of OctetString and DisplayString.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<Length>,
    /// A regular expression for the whole of the string that it brings: of OctetString and DisplayString.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Where it goes.
    #[serde(flatten)]
    pub kind: WriteKind,
}

/// The numbers that a SET may bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Range {
    /// The least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<i64>,
    /// The greatest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<i64>,
}

/// The lengths that a SET may bring, in octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Length {
    /// The least.
    pub min: u32,
    /// The greatest.
    pub max: u32,
}

/// The kinds of place that a SET goes to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WriteKind {
    /// A request to the application.
    Http(Box<HttpWrite>),
    /// A key of a ConfigMap.
    ConfigMap(ConfigMapWrite),
}

/// The HTTP request of a SET.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpWrite {
    /// Where it goes.
    #[serde(flatten)]
    pub endpoint: Endpoint,
    /// Its method.
    pub method: WriteMethod,
    /// Its body. `${value}` stands for the value: a number, `true` or `false`, or a text as it stands between the quotes of
    /// a JSON string; `${name}` for the name of an enumerated value, likewise. Default: the value alone, as plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// A method of HTTP that writes (RFC 9110 section 9.3, RFC 5789).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum WriteMethod {
    Put,
    Post,
    Patch,
}

/// The key of a ConfigMap that a SET goes to. An enumerated value is written by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapWrite {
    /// The ConfigMap's name.
    pub name: String,
    /// The key.
    pub key: String,
}

/// A conceptual table at base.`oid`; its entry at base.`oid`.1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Table {
    /// The table's descriptor.
    pub name: String,
    /// Its arcs below the base OID.
    pub oid: Oid,
    /// The INDEX clause, in order. At least one.
    pub index: Vec<Index>,
    /// The accessible columns. At least one.
    pub columns: Vec<Column>,
}

/// One object of a table's INDEX clause; not accessible itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// The index object's descriptor.
    pub name: String,
    /// Its arc below the entry.
    pub oid: SubId,
    /// Where its values come from.
    #[serde(flatten)]
    pub kind: IndexKind,
}

/// Where an index takes its values from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum IndexKind {
    /// The pod's own index: its StatefulSet ordinal + 1, or else a hash of its name. Only as the first index.
    Pod {},
    /// The value of a sample's label.
    #[serde(untagged)]
    Label {
        /// The label's name.
        label: String,
        /// How its text becomes sub-identifiers.
        #[serde(rename = "as")]
        encoding: IndexEncoding,
    },
}

/// How an index value becomes sub-identifiers (RFC 2578 section 7.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum IndexEncoding {
    /// A decimal integer of 0 to 2³¹ − 1, one sub-identifier.
    Integer,
    /// The octets behind their count.
    String,
    /// The octets without a count; only as the last index.
    ImpliedString,
    /// An IPv4 address, four sub-identifiers.
    IpAddress,
    /// 31 bits of a hash of the text, the same in every pod; from 1.
    Hash,
    /// 1, 2, 3, … in the order of first appearance, kept in the state folder.
    Assigned,
}

/// An accessible column of a table, at base.table.1.`oid`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Column {
    /// The object's descriptor.
    pub name: String,
    /// Its arc below the entry.
    pub oid: SubId,
    /// Its SMIv2 syntax.
    pub syntax: Syntax,
    /// Names of an Integer32's values, as a scalar's.
    #[serde(rename = "enum", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub enumeration: BTreeMap<String, i32>,
    /// What it shows, per row.
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

/// What an object shows.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Value {
    /// Always this text, read as the object's syntax asks.
    Constant(String),
    /// Made from a source's samples.
    #[serde(untagged)]
    Metric(MetricValue),
}

/// A value made from the samples of one metric. Steps run in the order of the fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricValue {
    /// Name of the source.
    pub source: String,
    /// Name of the samples; with `quantile` the histogram's or summary's name.
    pub metric: String,
    /// Labels that a sample must have with exactly these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Further requirements on a sample's labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<Requirement>,
    /// Show this label's text instead of the sample's value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The quantile, 0 to 1, of a histogram or summary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantile: Option<f64>,
    /// Show the increase per second over this time, at least two intervals of the source, instead of the value.
    #[serde(rename = "rateMs", default, skip_serializing_if = "Option::is_none")]
    pub rate_ms: Option<u64>,
    /// How several samples become one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub aggregate: Aggregate,
    /// Multiplies the value; not negative for counters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// Is added to the scaled value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<f64>,
    /// How a fraction becomes an integer.
    #[serde(default, skip_serializing_if = "is_default")]
    pub round: Round,
    /// What to show when there is no sample.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_missing: OnMissing,
    /// What a Counter32 or Counter64 does when its metric falls.
    #[serde(default, skip_serializing_if = "is_default")]
    pub counter_reset: CounterReset,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// How several samples become one.
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

/// How a fraction becomes an integer.
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

/// What an object shows when its metric has no sample.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnMissing {
    /// The exception noSuchInstance; a walk passes it by.
    #[default]
    NoSuchInstance,
    /// 0, or the empty string.
    Zero,
    /// The last value that there was.
    Hold,
    /// This text, read as the object's syntax asks.
    Constant(String),
}

/// What a counter does when its metric falls, as when the application restarts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CounterReset {
    /// Goes on from where it stood.
    #[default]
    Continue,
    /// Falls too.
    PassThrough,
}
