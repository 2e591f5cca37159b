//! SNMP objects: scalars, tables and their columns.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Arc, Descriptor, MetricName, Prose, RelativeOid, Shown, Value, Write};

fn enum_needs_integer() -> kube::core::Rule {
    kube::core::Rule::new("!has(self.enum) || self.syntax == 'Integer32'")
        .message("enum is only valid with syntax Integer32")
        .field_path(".enum")
}

fn range_needs_number() -> kube::core::Rule {
    kube::core::Rule::new("!has(self.range) || self.syntax in ['Integer32', 'Unsigned32', 'Gauge32']")
        .message("range is only valid with syntax Integer32, Unsigned32 or Gauge32")
        .field_path(".range")
}

fn length_needs_string() -> kube::core::Rule {
    kube::core::Rule::new("!has(self.length) || self.syntax in ['OctetString', 'DisplayString']")
        .message("length is only valid with syntax OctetString or DisplayString")
        .field_path(".length")
}

fn reset_needs_counter() -> kube::core::Rule {
    kube::core::Rule::new("!has(self.value.counterReset) || self.syntax in ['Counter32', 'Counter64']")
        .message("counterReset is only valid with syntax Counter32 or Counter64")
        .field_path(".value.counterReset")
}

fn counter_scale_is_not_negative() -> kube::core::Rule {
    kube::core::Rule::new(
        "!has(self.value.scale) || self.value.scale >= 0.0 || !(self.syntax in ['Counter32', 'Counter64'])",
    )
    .message("the scale of a counter must not be negative, because a counter never decreases")
    .field_path(".value.scale")
}

fn text_syntax_needs_text() -> kube::core::Rule {
    kube::core::Rule::new(
        "!(self.syntax in ['IpAddress', 'ObjectIdentifier']) || has(self.value.label) || has(self.value.constant)",
    )
    .message("IpAddress and ObjectIdentifier cannot show a number: set label or constant")
    .field_path(".value")
}

/// SMIv2 syntax of an object (RFC 2578 section 7.1, RFC 2579).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the RFCs define them")]
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

/// Inclusive range of a numeric object's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.min) || has(self.max)").message("a range needs min, max or both"))]
#[x_kube(validation = Rule::new("!has(self.min) || !has(self.max) || self.min <= self.max").message("min must not be greater than max"))]
pub struct Range {
    /// Minimum value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -2_147_483_648_i64, max = 4_294_967_295_i64))]
    pub min: Option<i64>,
    /// Maximum value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -2_147_483_648_i64, max = 4_294_967_295_i64))]
    pub max: Option<i64>,
}

/// Inclusive range of a string's length, in octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("self.min <= self.max").message("the minimum length must not be greater than the maximum length"))]
pub struct Length {
    /// Minimum length in octets. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 65_000))]
    pub min: i32,
    /// Maximum length in octets.
    #[schemars(range(min = 0, max = 65_000))]
    pub max: i32,
}

/// Fields that scalars and columns share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Object {
    /// SMIv2 syntax of the object.
    pub syntax: Syntax,
    /// Unit of the value, for people; the UNITS clause of the MIB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub units: Option<MetricName>,
    /// Meaning of the object, for people; the DESCRIPTION clause of the MIB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Prose>,
    /// Names of the values of an Integer32, as a map from name to number.
    #[serde(default, rename = "enum", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub enumeration: BTreeMap<String, i32>,
    /// Values that a number can have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
    /// Lengths that a string can have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<Length>,
    /// Value that the object shows; for a column, evaluated in each row.
    pub value: Value,
}

/// A scalar: an object with exactly one instance, at base.`oid`.0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = enum_needs_integer(), validation = range_needs_number(), validation = length_needs_string())]
#[x_kube(validation = reset_needs_counter(), validation = counter_scale_is_not_negative(), validation = text_syntax_needs_text())]
#[x_kube(validation = Rule::new("!has(self.pattern) || self.syntax in ['OctetString', 'DisplayString']")
    .message("pattern is only valid with syntax OctetString or DisplayString").field_path(".pattern"))]
#[x_kube(validation = Rule::new("!has(self.write) || !has(self.value.constant)")
    .message("write is not valid with a constant: set a metric that shows the written value").field_path(".write"))]
#[x_kube(validation = Rule::new("!has(self.write) || !(self.syntax in ['Counter32', 'Counter64'])")
    .message("write is not valid with syntax Counter32 or Counter64").field_path(".write"))]
pub struct Scalar {
    /// Descriptor (name) of the object, unique in the subtree.
    pub name: Descriptor,
    /// Arcs of the object below the base OID, for example `'1'` or `'1.2'`.
    pub oid: RelativeOid,
    /// Syntax, constraints and value.
    #[serde(flatten)]
    pub object: Object,
    /// Regular expression that a string in a SET must match as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Shown>,
    /// Backend that a SET writes to. Makes the object read-write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write: Option<Write>,
}

/// A conceptual table at base.`oid`, with its entry at base.`oid`.1. There is a row for each combination of index values
/// that the samples of its columns have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Table {
    /// Descriptor (name) of the table, unique in the subtree.
    pub name: Descriptor,
    /// Arcs of the table below the base OID, for example `'10'`.
    pub oid: RelativeOid,
    /// Meaning of the object, for people; the DESCRIPTION clause of the MIB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Prose>,
    /// Index objects that identify a row, in the order of the INDEX clause.
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    #[x_kube(validation = Rule::new("self.filter(index, has(index.pod)).size() <= (has(self[0].pod) ? 1 : 0)")
        .message("pod is only valid as the first index"))]
    #[x_kube(validation = Rule::new("self.filter(index, has(index.__as__) && index.__as__ == 'ImpliedString').size() \
        <= (has(self[self.size() - 1].__as__) && self[self.size() - 1].__as__ == 'ImpliedString' ? 1 : 0)")
        .message("ImpliedString is only valid for the last index"))]
    pub index: Vec<Index>,
    /// Columns of the table that can be read.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub columns: Vec<Column>,
}

/// One index object of a table. It is not accessible itself; its value is part of each instance's OID.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.label) != has(self.pod)").message("exactly one of label and pod must be set"))]
#[x_kube(validation = Rule::new("has(self.label) == has(self.__as__)").message("label and as must be set together"))]
pub struct Index {
    /// Descriptor (name) of the index object, unique in the subtree.
    pub name: Descriptor,
    /// Arc of the index object below the entry. Default: its position in the list, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oid: Option<Arc>,
    /// Label of the samples whose value identifies the row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<MetricName>,
    /// Conversion of the label's value to arcs.
    #[serde(rename = "as", skip_serializing_if = "Option::is_none")]
    pub encoding: Option<IndexEncoding>,
    /// Use the pod itself as index: its StatefulSet ordinal + 1, or a hash of its name for other pods. Only valid as the
    /// first index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodIndex>,
}

/// Index that identifies the pod. It has no settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct PodIndex {}

/// Conversion of a label's value to sub-identifiers (RFC 2578 section 7.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IndexEncoding {
    /// A decimal integer from 0 to 2³¹ − 1, as one sub-identifier.
    Integer,
    /// The number of octets, followed by the octets.
    String,
    /// The octets without their number. Only valid for the last index.
    ImpliedString,
    /// An IPv4 address, as four sub-identifiers.
    IpAddress,
    /// A 31-bit hash of the value, at least 1. It is the same in every pod.
    Hash,
    /// 1, 2, 3, … in the order in which values first appear. Numbers survive a restart of the container.
    Assigned,
}

/// A readable column of a table, at base.table.1.`oid`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = enum_needs_integer(), validation = range_needs_number(), validation = length_needs_string())]
#[x_kube(validation = reset_needs_counter(), validation = counter_scale_is_not_negative(), validation = text_syntax_needs_text())]
pub struct Column {
    /// Descriptor (name) of the object, unique in the subtree.
    pub name: Descriptor,
    /// Arc of the column below the entry.
    pub oid: Arc,
    /// Syntax, constraints and value.
    #[serde(flatten)]
    pub object: Object,
}
