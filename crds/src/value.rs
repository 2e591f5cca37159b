//! What an object shows, and where a SET of it goes.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Authorization, ConfigMapKey, Duration, HttpPath, LabelKey, LabelValue, MetricName, Port, Scheme, Shown, SourceName,
    TlsConfig,
};

/// Values for the operators that take them.
fn values_by_operator() -> kube::core::Rule {
    kube::core::Rule::new(
        "self.operator in ['In', 'NotIn'] ? has(self.values) && self.values.size() > 0 \
         : self.operator == 'Matches' || !has(self.values) || self.values.size() == 0",
    )
    .message("In and NotIn take one value or more, Exists and DoesNotExist none")
}

/// Selects pods or namespaces by their labels: all of it must hold. An empty one selects all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels that must have exactly these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub match_labels: BTreeMap<String, LabelValue>,
    /// Further requirements.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub match_expressions: Vec<LabelRequirement>,
}

/// One requirement on a label of a pod or namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = values_by_operator())]
pub struct LabelRequirement {
    /// The label's name.
    pub key: LabelKey,
    /// What is asked of it.
    pub operator: LabelOperator,
    /// Values for `In` and `NotIn`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub values: Vec<LabelValue>,
}

/// What a [`LabelRequirement`] asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LabelOperator {
    /// The label is there with one of the values.
    In,
    /// The label is missing or has none of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is missing.
    DoesNotExist,
}

/// One requirement on a label of a sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = values_by_operator())]
#[x_kube(validation = Rule::new("self.operator != 'Matches' || (has(self.values) && self.values.size() == 1)")
    .message("Matches takes one value, a regular expression"))]
pub struct SampleRequirement {
    /// The label's name.
    pub key: MetricName,
    /// What is asked of it.
    pub operator: SampleOperator,
    /// Values for `In` and `NotIn`; the one regular expression for `Matches`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub values: Vec<LabelValue>,
}

/// What a [`SampleRequirement`] asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SampleOperator {
    /// The label is there with one of the values.
    In,
    /// The label is missing or has none of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is missing.
    DoesNotExist,
    /// The label's whole value matches the regular expression.
    Matches,
}

/// What an object shows: a constant, or what is made of a source's samples. Steps run in the order of the fields.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.constant) != has(self.metric)").message("exactly one of constant and metric must be set"))]
#[x_kube(validation = Rule::new("has(self.source) == has(self.metric)").message("source and metric come together"))]
#[x_kube(validation = Rule::new("!has(self.constant) || !(has(self.matchLabels) || has(self.matchExpressions) || has(self.label) \
    || has(self.quantile) || has(self.rate) || has(self.aggregate) || has(self.scale) || has(self.offset) || has(self.round) \
    || has(self.onMissing) || has(self.onMissingConstant) || has(self.counterReset))")
    .message("a constant stands alone"))]
#[x_kube(validation = Rule::new("!has(self.label) || !(has(self.quantile) || has(self.rate) || has(self.aggregate) || has(self.scale) \
    || has(self.offset) || has(self.round))")
    .message("quantile, rate, aggregate, scale, offset and round have no effect on a label's text"))]
#[x_kube(validation = Rule::new("has(self.onMissingConstant) == (has(self.onMissing) && self.onMissing == 'Constant')")
    .message("onMissingConstant goes with onMissing: Constant"))]
pub struct Value {
    /// Always this text, read as the object's syntax asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constant: Option<Shown>,
    /// Name of the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceName>,
    /// Name of the samples; with `quantile` the histogram's or summary's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<MetricName>,
    /// Labels that a sample must have with exactly these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub match_labels: BTreeMap<String, LabelValue>,
    /// Further requirements on a sample's labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub match_expressions: Vec<SampleRequirement>,
    /// Show this label's text instead of the sample's value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<MetricName>,
    /// The quantile, 0 to 1, of a histogram or summary.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    pub quantile: Option<f64>,
    /// Show the increase per second over this time, at least two intervals of the source, instead of the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Duration>,
    /// How several samples become one. Default: Sum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aggregate: Option<Aggregate>,
    /// Multiplies the value; not negative for counters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// Is added to the scaled value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<f64>,
    /// How a fraction becomes an integer. Default: Nearest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round: Option<Round>,
    /// What to show when there is no sample. Default: NoSuchInstance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_missing: Option<OnMissing>,
    /// The text of `onMissing: Constant`, read as the object's syntax asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_missing_constant: Option<Shown>,
    /// What a counter does when its metric falls. Default: Continue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counter_reset: Option<CounterReset>,
}

/// How several samples become one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Aggregate {
    #[default]
    Sum,
    Min,
    Max,
    Avg,
    Count,
}

/// How a fraction becomes an integer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnMissing {
    /// The exception noSuchInstance; a walk passes it by.
    #[default]
    NoSuchInstance,
    /// 0, or the empty string.
    Zero,
    /// The last value that there was.
    Hold,
    /// The text of `onMissingConstant`.
    Constant,
}

/// What a counter does when its metric falls, as when the application restarts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CounterReset {
    /// Goes on from where it stood.
    #[default]
    Continue,
    /// Falls too.
    PassThrough,
}

/// Where a SET of an object goes; exactly one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.http) != has(self.configMap)").message("exactly one of http and configMap must be set"))]
pub struct Write {
    /// A request to the application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpWrite>,
    /// A key of a ConfigMap, which must bear the label `snmp-operator.dev/writable: "true"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapKey>,
}

/// The HTTP request of a SET.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpWrite {
    /// A port of the pod, by number or name.
    pub port: Port,
    /// Plain or over TLS.
    #[serde(default)]
    pub scheme: Scheme,
    /// The method.
    #[serde(default)]
    pub method: HttpMethod,
    /// Path and query.
    pub path: HttpPath,
    /// The body; `${value}` stands for the value, escaped for JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Shown>,
    /// A bearer token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Authorization>,
    /// TLS settings; for `https` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_config: Option<TlsConfig>,
}

/// A method of HTTP that changes things.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "RFC 9110 and RFC 5789 say it")]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    #[default]
    Put,
    Post,
    Patch,
}
