//! Rules for JSON sources.

use std::collections::HashSet;

use serde_json_path::JsonPath;

use super::{
    Checks, MAX_TEXT,
    source::{MAX_BODY, MAX_SAMPLES},
};
use crate::{Json, JsonMetric, ReadMethod};

/// Maximum number of metrics of a source.
const MAX_METRICS: usize = 256;
/// Maximum number of labels of a metric, and of headers of a request.
const MAX_LABELS: usize = 16;
/// Maximum number of entries of a value map.
const MAX_MAP: usize = 64;
/// The longest body of a request, in octets.
const MAX_REQUEST: usize = 8192;
/// Headers that the client sets itself: for the connection, credentials and encodings.
const OWN_HEADERS: [&str; 12] = [
    "accept-encoding",
    "authorization",
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Parses a JSONPath (RFC 9535). The functions `match` and `search` are not supported, and `..` is allowed only once, so that
/// the path selects no node more often than the document is deep.
///
/// # Errors
/// Returns a message if the text is not a JSONPath or is not allowed.
pub fn json_path(text: &str) -> Result<JsonPath, String> {
    let path = JsonPath::parse(text).map_err(|error| format!("is not a JSONPath: {error}"))?;
    if path.to_string().matches("..").count() > 1 {
        return Err("contains .. more than once".to_owned());
    }
    Ok(path)
}

impl Checks<'_> {
    pub(super) fn json(&mut self, path: &str, json: &Json) {
        self.endpoint(path, &json.endpoint);
        self.between(&format!("{path}.bodySizeLimit"), json.body_size_limit, MAX_BODY);
        self.between(&format!("{path}.sampleLimit"), json.sample_limit, MAX_SAMPLES);
        self.headers(&format!("{path}.headers"), json);
        if let Some(body) = &json.body {
            self.refuse_unless(
                json.method == ReadMethod::Post,
                format!("{path}.body"),
                "is only allowed with the method POST",
            );
            let message = format!("has {} octets; at most {MAX_REQUEST} allowed", body.len());
            self.refuse_unless(body.len() <= MAX_REQUEST, format!("{path}.body"), message);
        }
        self.count(&format!("{path}.metrics"), json.metrics.len(), 1, MAX_METRICS);
        let mut seen = HashSet::new();
        for (i, metric) in json.metrics.iter().enumerate() {
            let path = format!("{path}.metrics[{i}]");
            self.text(&format!("{path}.name"), &metric.name, MAX_TEXT);
            self.unique(&mut seen, &format!("{path}.name"), metric.name.as_str());
            self.json_metric(&path, metric);
        }
    }

    fn headers(&mut self, path: &str, json: &Json) {
        self.count(path, json.headers.len(), 0, MAX_LABELS);
        let mut seen = HashSet::new();
        for (name, value) in &json.headers {
            let path = format!("{path}.{name}");
            self.refuse_unless(is_token(name), &path, "is not a valid header name");
            let own = OWN_HEADERS.iter().any(|own| own.eq_ignore_ascii_case(name));
            self.refuse_unless(!own, &path, "must not be set; put credentials into a Secret");
            self.refuse_unless(seen.insert(name.to_ascii_lowercase()), &path, "is used more than once");
            let visible = value.len() <= MAX_TEXT && value.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
            self.refuse_unless(
                visible,
                &path,
                "is not a valid header value; only visible ASCII is allowed, at most 1024 octets",
            );
        }
    }

    fn json_metric(&mut self, path: &str, metric: &JsonMetric) {
        let JsonMetric { path: node, labels, value, value_map, .. } = metric;
        self.json_path(&format!("{path}.path"), node);
        self.count(&format!("{path}.labels"), labels.len(), 0, MAX_LABELS);
        for (label, text) in labels {
            let path = format!("{path}.labels.{label}");
            self.text(&path, label, MAX_TEXT);
            self.refuse_unless(
                !label.starts_with("__"),
                &path,
                "starts with __, which is reserved for labels of the sidecar",
            );
            self.json_path(&path, text);
        }
        if let Some(value) = value {
            self.json_path(&format!("{path}.value"), value);
        }
        self.count(&format!("{path}.valueMap"), value_map.len(), 0, MAX_MAP);
        for (text, number) in value_map {
            self.refuse_unless(number.is_finite(), format!("{path}.valueMap.{text}"), "is not a number");
        }
    }

    fn json_path(&mut self, path: &str, text: &str) {
        if text.len() > MAX_TEXT {
            self.refuse(path, format!("has {} octets; at most {MAX_TEXT} allowed", text.len()));
        } else if let Err(problem) = json_path(text) {
            self.refuse(path, problem);
        }
    }
}

/// Returns whether this is a token of HTTP (RFC 9110 section 5.6.2).
fn is_token(text: &str) -> bool {
    let is_tchar = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.len() <= 256 && text.bytes().all(is_tchar)
}
