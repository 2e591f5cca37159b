//! Checks of JSON sources.

use std::collections::HashSet;

use super::{
    Checks, MAX_TEXT,
    source::{MAX_BODY, MAX_SAMPLES},
};
use crate::Json;

/// Most metrics of one source.
const MAX_METRICS: usize = 256;

impl Checks {
    pub(super) fn json(&mut self, path: &str, json: &Json) {
        self.endpoint(path, &json.endpoint);
        self.between(&format!("{path}.bodySizeLimit"), json.body_size_limit, MAX_BODY);
        self.between(&format!("{path}.sampleLimit"), json.sample_limit, MAX_SAMPLES);
        self.count(&format!("{path}.metrics"), json.metrics.len(), 1, MAX_METRICS);
        let mut seen = HashSet::new();
        for (i, metric) in json.metrics.iter().enumerate() {
            let path = format!("{path}.metrics[{i}]");
            self.text(&format!("{path}.name"), &metric.name, MAX_TEXT);
            self.unique(&mut seen, &format!("{path}.name"), metric.name.as_str());
        }
    }
}
