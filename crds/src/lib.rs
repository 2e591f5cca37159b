//! API types of the group `snmp-operator.dev`, their CustomResourceDefinitions, and a local validator that accepts
//! and rejects objects as an API server does ([`Admission`]).
//!
//! The doc comments of fields become the descriptions that `kubectl explain` shows.
//!
//! Rules that need only one object are part of the schemas: bounds and patterns, and CEL rules for everything else.
//! Every list and string has a maximum length, which keeps the CEL rules within the API server's cost budget.

#![allow(unreachable_pub, reason = "KubeSchema copies each public type into the body of a function")]
#![allow(clippy::duplicated_attributes, reason = "every printcolumn has a type")]

mod access;
mod admission;
mod context;
mod definition;
mod endpoint;
mod notification;
mod object;
mod quantity;
mod source;
mod subtree;
mod text;
mod trap_target;
mod value;

pub use access::{Access, ConfigMapKey, SecretKey, SecretRef, SecurityLevel, User};
pub use admission::{Admission, AdmissionError};
pub use context::{
    AllowedNamespaces, Community, ContextUser, FromNamespaces, SnmpContext, SnmpContextSpec, SnmpContextStatus,
    SystemGroup,
};
pub use definition::{GROUP, VERSION, definitions, manifests};
pub use endpoint::{Authorization, BasicAuth, Port, Scheme, SecretOrConfigMap, TlsConfig};
pub use notification::{Clear, Notification, Severity, When};
pub use object::{Column, Index, IndexEncoding, Length, Object, PodIndex, Range, Scalar, Syntax, Table};
pub use source::{
    ConfigMapSource, HttpEndpoint, JsonMetric, JsonSource, PrometheusSource, ReadMethod, Source, SqlDriver, SqlQuery,
    SqlSource, SystemSource,
};
pub use subtree::{Mib, Pods, SnmpSubtree, SnmpSubtreeSpec, SnmpSubtreeStatus};
pub use text::{
    Address, Arc, BaseOid, Cidr, ConfigMapName, ContextName, ContextRef, DataKey, Descriptor, Duration, Host, HttpPath,
    HttpUrl, LabelKey, LabelValue, MetricName, ModuleName, Prose, RelativeOid, Shown, Size, SourceName, UserName,
};
pub use trap_target::{SnmpTrapTarget, SnmpTrapTargetSpec, SnmpTrapTargetStatus, SnmpVersion, TrapKind};
pub use value::{
    Aggregate, CounterReset, HttpMethod, HttpWrite, LabelOperator, LabelRequirement, LabelSelector, OnMissing, Round,
    SampleOperator, SampleRequirement, Value, Write,
};

pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
