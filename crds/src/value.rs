//! The value that an object shows, and the backend that a SET of it writes to.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Authorization, ConfigMapKey, Duration, HttpPath, LabelKey, LabelValue, MetricName, Port, Scheme, Shown, SourceName,
    TlsConfig,
};

/// Returns the rule about which operators need values.
fn values_by_operator() -> kube::core::Rule {
    kube::core::Rule::new(
        "self.operator in ['In', 'NotIn'] ? has(self.values) && self.values.size() > 0 \
         : self.operator == 'Matches' || !has(self.values) || self.values.size() == 0",
    )
    .message("In and NotIn need at least one value; Exists and DoesNotExist take none")
}

/// Selects pods or namespaces by their labels. All requirements must hold. An empty selector selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels that must have exactly these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub match_labels: BTreeMap<String, LabelValue>,
    /// Additional requirements on labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub match_expressions: Vec<LabelRequirement>,
}

/// A requirement on one label of a pod or namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = values_by_operator())]
pub struct LabelRequirement {
    /// Name of the label.
    pub key: LabelKey,
    /// Comparison of the label with `values`.
    pub operator: LabelOperator,
    /// Values for `In` and `NotIn`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub values: Vec<LabelValue>,
}

/// Comparison in a [`LabelRequirement`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LabelOperator {
    /// The label exists and has one of the values.
    In,
    /// The label does not exist, or has none of the values.
    NotIn,
    /// The label exists.
    Exists,
    /// The label does not exist.
    DoesNotExist,
}

/// A requirement on one label of a sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = values_by_operator())]
#[x_kube(validation = Rule::new("self.operator != 'Matches' || (has(self.values) && self.values.size() == 1)")
    .message("Matches needs exactly one value, a regular expression"))]
pub struct SampleRequirement {
    /// Name of the label.
    pub key: MetricName,
    /// Comparison of the label with `values`.
    pub operator: SampleOperator,
    /// Values for `In` and `NotIn`, or one regular expression for `Matches`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub values: Vec<LabelValue>,
}

/// Comparison in a [`SampleRequirement`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SampleOperator {
    /// The label exists and has one of the values.
    In,
    /// The label does not exist, or has none of the values.
    NotIn,
    /// The label exists.
    Exists,
    /// The label does not exist.
    DoesNotExist,
    /// The regular expression matches the label's whole value.
    Matches,
}

/// The value that an object shows: a constant, or the result of a computation on samples of a source. The steps of the
/// computation run in the order of the fields.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.constant) != has(self.metric)").message("exactly one of constant and metric must be set"))]
#[x_kube(validation = Rule::new("has(self.source) == has(self.metric)").message("source and metric must be set together"))]
#[x_kube(validation = Rule::new("!has(self.constant) || !(has(self.matchLabels) || has(self.matchExpressions) || has(self.label) \
    || has(self.quantile) || has(self.rate) || has(self.aggregate) || has(self.scale) || has(self.offset) || has(self.round) \
    || has(self.onMissing) || has(self.onMissingConstant) || has(self.counterReset))")
    .message("constant cannot be combined with other fields"))]
#[x_kube(validation = Rule::new("!has(self.label) || !(has(self.quantile) || has(self.rate) || has(self.aggregate) || has(self.scale) \
    || has(self.offset) || has(self.round))")
    .message("quantile, rate, aggregate, scale, offset and round cannot be combined with label"))]
#[x_kube(validation = Rule::new("has(self.onMissingConstant) == (has(self.onMissing) && self.onMissing == 'Constant')")
    .message("onMissingConstant is required with onMissing: Constant, and only valid with it"))]
pub struct Value {
    /// Fixed value, as text that is parsed according to the object's syntax.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constant: Option<Shown>,
    /// Name of the source that the samples come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceName>,
    /// Name of the samples. With `quantile`, the name of the histogram or summary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<MetricName>,
    /// Labels of a sample that must have exactly these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub match_labels: BTreeMap<String, LabelValue>,
    /// Additional requirements on a sample's labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub match_expressions: Vec<SampleRequirement>,
    /// Show the value of this label instead of the sample's value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<MetricName>,
    /// Show this quantile (0 to 1) of a histogram or summary.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    pub quantile: Option<f64>,
    /// Show the average increase per second over this time instead of the value. At least two intervals of the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Duration>,
    /// Combination of several samples into one value. Default: Sum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aggregate: Option<Aggregate>,
    /// Factor that the value is multiplied by. Must not be negative for counters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// Number that is added to the scaled value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<f64>,
    /// Rounding of a fraction to an integer. Default: Nearest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round: Option<Round>,
    /// Value to show when there is no sample. Default: NoSuchInstance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_missing: Option<OnMissing>,
    /// Value for `onMissing: Constant`, as text that is parsed according to the object's syntax.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_missing_constant: Option<Shown>,
    /// Behaviour of a counter when its metric decreases. Default: Continue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counter_reset: Option<CounterReset>,
}

/// Combination of several samples into one value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names are self-explanatory")]
pub enum Aggregate {
    #[default]
    Sum,
    Min,
    Max,
    Avg,
    Count,
}

/// Rounding of a fraction to an integer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Round {
    /// To the nearest integer; halves are rounded away from zero.
    #[default]
    Nearest,
    /// Down.
    Floor,
    /// Up.
    Ceil,
}

/// Value of an object whose metric has no sample.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnMissing {
    /// No value: a Get returns noSuchInstance, and a walk skips the object.
    #[default]
    NoSuchInstance,
    /// 0, or the empty string.
    Zero,
    /// The last known value.
    Hold,
    /// The value of `onMissingConstant`.
    Constant,
}

/// Behaviour of a counter when its metric decreases, for example because the application restarted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CounterReset {
    /// The object continues from its last value, so it never decreases.
    #[default]
    Continue,
    /// The object decreases too.
    PassThrough,
}

/// Backend that a SET of an object writes to. Exactly one kind must be set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.http) != has(self.configMap)").message("exactly one of http and configMap must be set"))]
pub struct Write {
    /// HTTP request to the application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpWrite>,
    /// Key of a ConfigMap. The ConfigMap must have the label `snmp-operator.dev/writable: "true"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapKey>,
}

/// HTTP request that a SET sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpWrite {
    /// Port of the pod, as a number or a name.
    pub port: Port,
    /// `http`, or `https` for TLS.
    #[serde(default)]
    pub scheme: Scheme,
    /// HTTP method.
    #[serde(default)]
    pub method: HttpMethod,
    /// Path and query of the URL.
    pub path: HttpPath,
    /// Body of the request. `${value}` is replaced by the value, escaped for JSON; `${name}` by the name of an enumerated
    /// value. Default: the value alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Shown>,
    /// Bearer token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Authorization>,
    /// TLS settings. Only valid with `https`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_config: Option<TlsConfig>,
}

/// HTTP method that writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "RFC 9110 and RFC 5789 define them")]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    #[default]
    Put,
    Post,
    Patch,
}
