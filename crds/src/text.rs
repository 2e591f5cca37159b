//! String types with a fixed form. Each type adds its bounds, pattern and rules to the schema.

use std::{borrow::Cow, fmt, ops::Deref};

use kube::core::Rule;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Declares string types: name, maximum length, pattern and CEL rules.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident: max $max:literal $(, min $min:literal)? $(, pattern $pattern:expr)? $(, rules $rules:expr)?;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                #[allow(unused_mut, reason = "not every text has a pattern")]
                let mut schema = json_schema!({"type": "string", "maxLength": $max});
                $(schema.insert("minLength".to_owned(), $min.into());)?
                $(schema.insert("pattern".to_owned(), $pattern.into());)?
                $(with_rules(&mut schema, $rules);)?
                schema
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

const DNS_SUBDOMAIN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
const HOST: &str = r"^([A-Za-z0-9_]([-A-Za-z0-9_.]*[A-Za-z0-9_.])?|\[?[0-9A-Fa-f:.]+\]?)$";
const ARCS: &str = r"^(0|[1-9][0-9]{0,9})(\.(0|[1-9][0-9]{0,9}))*$";
const ABSOLUTE: &str = r"^([01]\.[123]?[0-9]|2\.(0|[1-9][0-9]{0,9}))(\.(0|[1-9][0-9]{0,9}))*$";

texts! {
    /// An absolute object identifier in dotted decimal notation, for example `1.3.6.1.4.1.12345.5`.
    BaseOid: max 512, pattern ABSOLUTE, rules [arcs_fit()];
    /// Arcs below the base OID of a subtree, for example `2` or `10.1`.
    RelativeOid: max 128, pattern ARCS, rules [arcs_fit(), arcs_are_free()];
    /// One arc below a table's entry, at least 1.
    Arc: max 10, pattern "^[1-9][0-9]{0,9}$", rules [arcs_fit()];
    /// An SMIv2 descriptor: a lower-case letter, followed by letters and digits (RFC 2578 section 3.1).
    Descriptor: max 64, pattern "^[a-z][A-Za-z0-9]*$";
    /// The name of an SMIv2 module, for example `ACME-CHECKOUT-MIB`.
    ModuleName: max 64, pattern "^[A-Z][A-Za-z0-9]*(-[A-Za-z0-9]+)*$";
    /// The name of a source.
    SourceName: max 63, pattern "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
    /// The name of a metric, or of a label of a metric.
    MetricName: max 256, min 1;
    /// The name of a Kubernetes label.
    LabelKey: max 317, min 1;
    /// A label's value, or a regular expression that is matched against one.
    LabelValue: max 512;
    /// A text that an object shows, for example a constant, or a short text of similar form.
    Shown: max 1024;
    /// A short text: a description for people, or a JSONPath.
    Prose: max 1024;
    /// A duration, for example `15s` or `1m30s`. Units: ms, s, m, h, d, as in Prometheus.
    Duration: max 32, min 2, pattern "^([0-9]{1,8}d)?([0-9]{1,8}h)?([0-9]{1,8}m)?([0-9]{1,8}s)?([0-9]{1,8}ms)?$";
    /// A size in bytes, for example `16Mi`.
    Size: max 16, pattern "^[1-9][0-9]{0,11}(Ki|Mi|Gi|k|M|G)?$";
    /// A host name or IP address.
    Host: max 253, pattern HOST;
    /// Path and query of a URL, for example `/metrics`.
    HttpPath: max 1024, pattern r#"^/[!"$-~]*$"#;
    /// An absolute URL with scheme http or https.
    HttpUrl: max 1024, pattern r#"^https?://[!"$-~]+$"#;
    /// The name of an SnmpContext.
    ContextRef: max 253, pattern DNS_SUBDOMAIN;
    /// The name of an SNMP context (RFC 3411 section 3.3.1). Empty for the default context.
    ContextName: max 32, pattern "^[!-~]*$";
    /// The name of a user of the User-based Security Model (RFC 3414).
    UserName: max 32, min 1, pattern "^[!-~]+$";
    /// The name of a Secret or ConfigMap.
    ConfigMapName: max 253, pattern DNS_SUBDOMAIN;
    /// A key of a Secret or ConfigMap.
    DataKey: max 253, pattern "^[-._a-zA-Z0-9]+$";
    /// A network in CIDR notation, for example `10.0.0.0/8`.
    Cidr: max 43, rules [Rule::new("isCIDR(self)").message("must be a network in CIDR notation, for example 10.0.0.0/8")];
    /// A host name or IP address and a port, for example `noc.example:162`.
    Address: max 260, pattern r"^([A-Za-z0-9_]([-A-Za-z0-9_.]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\]):[1-9][0-9]{0,4}$";
}

/// Returns the rule that every arc fits into 32 bits (RFC 2578 section 3.5). The pattern limits an arc to ten digits.
fn arcs_fit() -> Rule {
    Rule::new("self.split('.').all(arc, int(arc) <= 4294967295)").message("an arc must not be greater than 4294967295")
}

/// Returns the rule that the arcs 9998 and 9999 below the base OID are not used. 9998 is reserved for the discontinuity
/// time of counters, 9999 for conformance statements.
fn arcs_are_free() -> Rule {
    Rule::new("!(self.split('.')[0] in ['9998', '9999'])").message("the arcs 9998 and 9999 are reserved")
}

fn with_rules(schema: &mut Schema, rules: impl IntoIterator<Item = Rule>) {
    let rules = rules.into_iter().filter_map(|rule| serde_json::to_value(rule).ok()).collect();
    schema.insert("x-kubernetes-validations".to_owned(), serde_json::Value::Array(rules));
}
