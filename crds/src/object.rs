//! Objects: scalars, and tables with their columns.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Arc, Descriptor, MetricName, Prose, RelativeOid, Shown, Value, Write};

fn enum_of_integers() -> kube::core::Rule {
    kube::core::Rule::new("!has(self.enum) || self.syntax == 'Integer32'")
        .message("enum goes with the syntax Integer32")
        .field_path(".enum")
}

fn range_of_numbers() -> kube::core::Rule {
    kube::core::Rule::new("!has(self.range) || self.syntax in ['Integer32', 'Unsigned32', 'Gauge32']")
        .message("range goes with the syntaxes Integer32, Unsigned32 and Gauge32")
        .field_path(".range")
}

fn length_of_strings() -> kube::core::Rule {
    kube::core::Rule::new("!has(self.length) || self.syntax in ['OctetString', 'DisplayString']")
        .message("length goes with the syntaxes OctetString and DisplayString")
        .field_path(".length")
}

fn resets_of_counters() -> kube::core::Rule {
    kube::core::Rule::new("!has(self.value.counterReset) || self.syntax in ['Counter32', 'Counter64']")
        .message("counterReset goes with the syntaxes Counter32 and Counter64")
        .field_path(".value.counterReset")
}

fn counters_grow() -> kube::core::Rule {
    kube::core::Rule::new(
        "!has(self.value.scale) || self.value.scale >= 0.0 || !(self.syntax in ['Counter32', 'Counter64'])",
    )
    .message("the scale of a counter is not negative: a counter only grows")
    .field_path(".value.scale")
}

fn text_for_texts() -> kube::core::Rule {
    kube::core::Rule::new(
        "!(self.syntax in ['IpAddress', 'ObjectIdentifier']) || has(self.value.label) || has(self.value.constant)",
    )
    .message("IpAddress and ObjectIdentifier hold no numbers: name a label, or a constant")
    .field_path(".value")
}

/// SMIv2 syntaxes (RFC 2578 section 7.1, RFC 2579).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the RFCs say it")]
pub enum Syntax {
    Integer32,
    Unsigned32,
    Gauge32,
    Counter32,
    Counter64,
    TimeTicks,
    OctetString,
    DisplayString,
    IpAddress,
    ObjectIdentifier,
    TruthValue,
}

/// The values that an object can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.min) || has(self.max)").message("a range has a min, a max or both"))]
#[x_kube(validation = Rule::new("!has(self.min) || !has(self.max) || self.min <= self.max").message("min is greater than max"))]
pub struct Range {
    /// The least value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -2_147_483_648_i64, max = 4_294_967_295_i64))]
    pub min: Option<i64>,
    /// The greatest value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -2_147_483_648_i64, max = 4_294_967_295_i64))]
    pub max: Option<i64>,
}

/// The lengths that a string can have, in octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("self.min <= self.max").message("the least length is greater than the greatest"))]
pub struct Length {
    /// The least length.
    #[serde(default)]
    #[schemars(range(min = 0, max = 65_000))]
    pub min: i32,
    /// The greatest length.
    #[schemars(range(min = 0, max = 65_000))]
    pub max: i32,
}

/// What a scalar and a column have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Object {
    /// Its syntax.
    pub syntax: Syntax,
    /// Its unit, for people: the UNITS clause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub units: Option<MetricName>,
    /// What it is, for people: the DESCRIPTION clause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Prose>,
    /// Names of an Integer32's values.
    #[serde(default, rename = "enum", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub enumeration: BTreeMap<String, i32>,
    /// The values of a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
    /// The length of a string.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<Length>,
    /// What it shows; in a table, per row.
    pub value: Value,
}

/// An object with one instance, at base.`oid`.0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = enum_of_integers(), validation = range_of_numbers(), validation = length_of_strings())]
#[x_kube(validation = resets_of_counters(), validation = counters_grow(), validation = text_for_texts())]
#[x_kube(validation = Rule::new("!has(self.pattern) || self.syntax in ['OctetString', 'DisplayString']")
    .message("pattern goes with the syntaxes OctetString and DisplayString").field_path(".pattern"))]
#[x_kube(validation = Rule::new("!has(self.write) || !has(self.value.constant)")
    .message("a constant cannot be written: name a metric that shows what is set").field_path(".write"))]
#[x_kube(validation = Rule::new("!has(self.write) || !(self.syntax in ['Counter32', 'Counter64'])")
    .message("counters cannot be written").field_path(".write"))]
pub struct Scalar {
    /// The object's descriptor, unique in the subtree.
    pub name: Descriptor,
    /// Its arcs below the base OID.
    pub oid: RelativeOid,
    /// What it holds and shows.
    #[serde(flatten)]
    pub object: Object,
    /// A regular expression for the whole of a string that a SET brings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Shown>,
    /// Where a SET goes; makes it read-write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write: Option<Write>,
}

/// A conceptual table at base.`oid`; its entry at base.`oid`.1. Its rows are the union of the index values in the
/// samples of its columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Table {
    /// The table's descriptor, unique in the subtree.
    pub name: Descriptor,
    /// Its arcs below the base OID.
    pub oid: RelativeOid,
    /// What it is, for people: the DESCRIPTION clause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Prose>,
    /// The INDEX clause, in order.
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    #[x_kube(validation = Rule::new("self.filter(index, has(index.pod)).size() <= (has(self[0].pod) ? 1 : 0)")
        .message("pod comes first or not at all"))]
    #[x_kube(validation = Rule::new("self.filter(index, has(index.__as__) && index.__as__ == 'ImpliedString').size() \
        <= (has(self[self.size() - 1].__as__) && self[self.size() - 1].__as__ == 'ImpliedString' ? 1 : 0)")
        .message("ImpliedString comes last or not at all"))]
    pub index: Vec<Index>,
    /// The accessible columns.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub columns: Vec<Column>,
}

/// One object of a table's INDEX clause; not accessible itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.label) != has(self.pod)").message("exactly one of label and pod must be set"))]
#[x_kube(validation = Rule::new("has(self.label) == has(self.__as__)").message("label and as come together"))]
pub struct Index {
    /// The index object's descriptor, unique in the subtree.
    pub name: Descriptor,
    /// Its arc below the entry. Default: its place in the list, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oid: Option<Arc>,
    /// The label of the samples that tells the row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<MetricName>,
    /// How the label's text becomes arcs.
    #[serde(rename = "as", skip_serializing_if = "Option::is_none")]
    pub encoding: Option<IndexEncoding>,
    /// The pod's own index: its StatefulSet ordinal + 1, or else a hash of its name. Only as the first index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodIndex>,
}

/// The pod's own index. It has no settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct PodIndex {}

/// How a label's text becomes sub-identifiers (RFC 2578 section 7.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// 1, 2, 3, … in the order of first appearance, kept across restarts of the container.
    Assigned,
}

/// An accessible column of a table, at base.table.1.`oid`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = enum_of_integers(), validation = range_of_numbers(), validation = length_of_strings())]
#[x_kube(validation = resets_of_counters(), validation = counters_grow(), validation = text_for_texts())]
pub struct Column {
    /// The object's descriptor, unique in the subtree.
    pub name: Descriptor,
    /// Its arc below the entry.
    pub oid: Arc,
    /// What it holds and shows, per row.
    #[serde(flatten)]
    pub object: Object,
}
