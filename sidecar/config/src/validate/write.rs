//! Rules for SETs: accepted values and backends.

use super::{Checks, is_dns_subdomain, source::is_data_key, value::whole_text};
use crate::{ConfigMapWrite, Scalar, Syntax, Value, WriteKind};

/// The longest template of a body, in octets.
const MAX_BODY: usize = 64 << 10;

impl Checks<'_> {
    /// Checks the settings for SETs to a scalar.
    pub(super) fn write(&mut self, path: &str, scalar: &Scalar) {
        let Some(write) = &scalar.write else { return };
        let path = format!("{path}.write");
        let holds = !scalar.syntax.is_counter();
        self.refuse_unless(holds, &path, format!("a {:?} cannot be written", scalar.syntax));
        match &scalar.value {
            Value::Constant(_) => self.refuse(&path, "a constant cannot be written"),
            Value::Metric(value) => {
                let derived = value.rate_ms.is_some() || value.quantile.is_some();
                self.refuse_unless(!derived, &path, "a rate or a quantile cannot be written");
                let holds = value.scale != Some(0.0);
                self.refuse_unless(holds, &path, "a value with a scale of 0 cannot be written");
            }
        }
        if let Some(range) = write.range {
            let numbers = matches!(scalar.syntax, Syntax::Integer32 | Syntax::Unsigned32 | Syntax::Gauge32);
            self.refuse_unless(
                numbers,
                format!("{path}.range"),
                "is only allowed with the syntaxes Integer32, Unsigned32 and Gauge32",
            );
            let holds = range.min.zip(range.max).is_none_or(|(min, max)| min <= max);
            self.refuse_unless(holds, format!("{path}.range"), "min is greater than max");
        }
        if let Some(length) = write.length {
            self.refuse_unless(
                scalar.syntax.is_string(),
                format!("{path}.length"),
                "is only allowed with the syntaxes OctetString and DisplayString",
            );
            let holds = length.min <= length.max;
            self.refuse_unless(holds, format!("{path}.length"), "min is greater than max");
        }
        if let Some(pattern) = &write.pattern {
            self.refuse_unless(
                scalar.syntax.is_string(),
                format!("{path}.pattern"),
                "is only allowed with the syntaxes OctetString and DisplayString",
            );
            if let Err(error) = whole_text(pattern) {
                self.refuse(format!("{path}.pattern"), format!("is not a regular expression: {error}"));
            }
        }
        match &write.kind {
            WriteKind::Http(http) => {
                self.endpoint(&format!("{path}.http"), &http.endpoint);
                if let Some(body) = &http.body {
                    self.body(&format!("{path}.http.body"), body);
                }
            }
            WriteKind::ConfigMap(ConfigMapWrite { name, key }) => {
                let path = format!("{path}.configMap");
                self.refuse_unless(is_dns_subdomain(name), format!("{path}.name"), "is not a valid ConfigMap name");
                self.refuse_unless(is_data_key(key), format!("{path}.key"), "is not a valid ConfigMap key");
            }
        }
    }

    /// Checks the template of a body: it contains the value, and all placeholders are known.
    fn body(&mut self, path: &str, body: &str) {
        self.refuse_unless(body.len() <= MAX_BODY, path, format!("has more than {MAX_BODY} octets"));
        let placeholders = || body.split("${").skip(1);
        self.refuse_unless(placeholders().next().is_some(), path, "contains neither ${value} nor ${name}");
        for rest in placeholders() {
            let known = rest.starts_with("value}") || rest.starts_with("name}");
            let name: String = rest.chars().take_while(|char| *char != '}').take(40).collect();
            self.refuse_unless(known, path, format!("contains ${{{name}}}; only ${{value}} and ${{name}} are allowed"));
        }
    }
}
