//! Texts of a certain form. Each type carries its bounds into the schema.

use std::{borrow::Cow, fmt, ops::Deref};

use kube::core::Rule;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Declares a text's type: its name, greatest length, pattern and CEL rules.
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
    /// A whole object identifier in dotted decimal, as `1.3.6.1.4.1.12345.5`.
    BaseOid: max 512, pattern ABSOLUTE, rules [arcs_fit()];
    /// Arcs below a subtree's base, as `2` or `10.1`.
    RelativeOid: max 128, pattern ARCS, rules [arcs_fit(), arcs_are_free()];
    /// One arc below a table's entry, from 1.
    Arc: max 10, pattern "^[1-9][0-9]{0,9}$", rules [arcs_fit()];
    /// A descriptor of SMIv2: a lower-case letter, then letters and digits (RFC 2578 section 3.1).
    Descriptor: max 64, pattern "^[a-z][A-Za-z0-9]*$";
    /// A name of an SMIv2 module, as `ACME-CHECKOUT-MIB`.
    ModuleName: max 64, pattern "^[A-Z][A-Za-z0-9]*(-[A-Za-z0-9]+)*$";
    /// A source's name.
    SourceName: max 63, pattern "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
    /// A name of a metric or a label of one.
    MetricName: max 256, min 1;
    /// A name of a Kubernetes label.
    LabelKey: max 317, min 1;
    /// A label's value, or a regular expression over one.
    LabelValue: max 512;
    /// A constant, or a text of a similar kind, that an object shows.
    Shown: max 1024;
    /// A sentence or two for people.
    Prose: max 1024;
    /// A length of time, as `15s` or `1m30s`, with the units of Prometheus: ms, s, m, h, d.
    Duration: max 32, min 2, pattern "^([0-9]{1,8}d)?([0-9]{1,8}h)?([0-9]{1,8}m)?([0-9]{1,8}s)?([0-9]{1,8}ms)?$";
    /// An amount of memory in bytes, as `16Mi`.
    Size: max 16, pattern "^[1-9][0-9]{0,11}(Ki|Mi|Gi|k|M|G)?$";
    /// A host's name or address.
    Host: max 253, pattern HOST;
    /// A path and query of a URL, as `/metrics`.
    HttpPath: max 1024, pattern r#"^/[!"$-~]*$"#;
    /// An absolute URL of the schemes http and https.
    HttpUrl: max 1024, pattern r#"^https?://[!"$-~]+$"#;
    /// A name of an SnmpContext.
    ContextRef: max 253, pattern DNS_SUBDOMAIN;
    /// A name of an SNMP context; empty for the default context (RFC 3411 section 3.3.1).
    ContextName: max 32, pattern "^[!-~]*$";
    /// A user of the User-based Security Model (RFC 3414).
    UserName: max 32, min 1, pattern "^[!-~]+$";
    /// A name of a Secret or ConfigMap.
    ConfigMapName: max 253, pattern DNS_SUBDOMAIN;
    /// A key of a Secret or ConfigMap.
    DataKey: max 253, pattern "^[-._a-zA-Z0-9]+$";
    /// A network, as `10.0.0.0/8`.
    Cidr: max 43, rules [Rule::new("isCIDR(self)").message("not a network as 10.0.0.0/8")];
    /// A host's name or address, and a port: `noc.example:162`.
    Address: max 260, pattern r"^([A-Za-z0-9_]([-A-Za-z0-9_.]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\]):[1-9][0-9]{0,4}$";
}

/// Every arc fits in 32 bits (RFC 2578 section 3.5); the pattern has let ten digits at most through.
fn arcs_fit() -> Rule {
    Rule::new("self.split('.').all(arc, int(arc) <= 4294967295)").message("an arc is greater than 4294967295")
}

/// Below the base, 9998 is the counters' discontinuity time and 9999 conformance statements.
fn arcs_are_free() -> Rule {
    Rule::new("!(self.split('.')[0] in ['9998', '9999'])").message("the arcs 9998 and 9999 are reserved")
}

fn with_rules(schema: &mut Schema, rules: impl IntoIterator<Item = Rule>) {
    let rules = rules.into_iter().filter_map(|rule| serde_json::to_value(rule).ok()).collect();
    schema.insert("x-kubernetes-validations".to_owned(), serde_json::Value::Array(rules));
}
