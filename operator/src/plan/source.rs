//! Translation of sources.

use std::collections::BTreeMap;

use crds::{
    ConfigMapKey, ConfigMapSource, Duration, HttpEndpoint, JsonMetric, JsonSource, PrometheusSource, SnmpSubtreeSpec,
    Source as ApiSource, SqlQuery, SqlSource, SystemSource,
};
use sidecar_config::{
    ConfigMap, Json, Prometheus, ReadMethod, Source, SourceKind, Sql, SqlDriver, System, health::HEALTH_METRICS,
};

use super::{
    credential::{Origin, file},
    endpoint::HttpLocation,
    refusal::{FieldRefusal, Reason},
    translation::Translation,
};

/// The default timeout of a scrape. It is shorter if the interval is.
const DEFAULT_TIMEOUT_MS: u64 = 5000;
/// The number of intervals after which values are stale if no scrape succeeds.
const STALE_INTERVALS: u64 = 5;
/// The interval at which a sidecar reads the mirror of a ConfigMap.
const MIRROR_INTERVAL_MS: u64 = 1000;

/// The interval and the timeout of a source.
struct Timing {
    interval_ms: u64,
    timeout_ms: u64,
}

impl Translation {
    /// Translates the source at `path` of the subtree.
    pub(super) fn source(&mut self, path: &str, source: &ApiSource, spec: &SnmpSubtreeSpec) -> Source {
        let ApiSource { name, stale_after, prometheus, json, sql, system, config_map } = source;
        let (timing, kind) = match (prometheus, json, sql, system, config_map) {
            (Some(prometheus), None, None, None, None) => {
                let path = format!("{path}.prometheus");
                let PrometheusSource { endpoint, sample_limit } = prometheus;
                let timing = self.endpoint_timing(&path, endpoint);
                (timing, SourceKind::Prometheus(self.prometheus(&path, endpoint, *sample_limit)))
            }
            (None, Some(json), None, None, None) => {
                let path = format!("{path}.json");
                (self.endpoint_timing(&path, &json.endpoint), SourceKind::Json(self.json(&path, json)))
            }
            (None, None, Some(sql), None, None) => {
                let timing = self.timing(&format!("{path}.sql"), &sql.interval, sql.scrape_timeout.as_ref());
                (timing, SourceKind::Sql(self.sql(sql)))
            }
            (None, None, None, Some(SystemSource { interval }), None) => {
                (self.timing(&format!("{path}.system"), interval, None), SourceKind::System(System {}))
            }
            (None, None, None, None, Some(config_map)) => {
                let timing = Timing { interval_ms: MIRROR_INTERVAL_MS, timeout_ms: MIRROR_INTERVAL_MS };
                (timing, SourceKind::ConfigMap(self.config_map(config_map, &name.0, spec)))
            }
            _ => {
                let message = "exactly one of prometheus, json, sql, system and configMap must be set";
                self.refusals.push(FieldRefusal::new(Reason::Invalid, path, message));
                (Timing { interval_ms: 1, timeout_ms: 1 }, SourceKind::System(System {}))
            }
        };
        let Timing { interval_ms, timeout_ms } = timing;
        let stale_after_ms = match stale_after {
            Some(stale_after) => self.millis(&format!("{path}.staleAfter"), stale_after),
            None => interval_ms.saturating_mul(STALE_INTERVALS),
        };
        Source { name: name.0.clone(), interval_ms, timeout_ms, stale_after_ms, kind }
    }

    fn endpoint_timing(&mut self, path: &str, endpoint: &HttpEndpoint) -> Timing {
        self.timing(path, &endpoint.interval, endpoint.scrape_timeout.as_ref())
    }

    fn timing(&mut self, path: &str, interval: &Duration, timeout: Option<&Duration>) -> Timing {
        let interval_ms = self.millis(&format!("{path}.interval"), interval);
        let timeout_ms = match timeout {
            Some(timeout) => self.millis(&format!("{path}.scrapeTimeout"), timeout),
            None => interval_ms.min(DEFAULT_TIMEOUT_MS),
        };
        Timing { interval_ms, timeout_ms }
    }

    fn prometheus(&mut self, path: &str, source: &HttpEndpoint, sample_limit: i64) -> Prometheus {
        Prometheus {
            endpoint: self.endpoint(path, &HttpLocation::of(source, "/metrics")),
            body_size_limit: self.bytes(&format!("{path}.bodySizeLimit"), &source.body_size_limit),
            sample_limit: limit(sample_limit),
        }
    }

    fn json(&mut self, path: &str, source: &JsonSource) -> Json {
        let JsonSource { endpoint, method, headers, body, sample_limit, metrics } = source;
        let metric = |JsonMetric { name, path, labels, value, value_map }: &JsonMetric| sidecar_config::JsonMetric {
            name: name.0.clone(),
            path: path.0.clone(),
            labels: labels.iter().map(|(label, path)| (label.clone(), path.0.clone())).collect(),
            value: value.as_ref().map(|path| path.0.clone()),
            value_map: value_map.clone(),
        };
        Json {
            endpoint: self.endpoint(path, &HttpLocation::of(endpoint, "/")),
            method: match method {
                crds::ReadMethod::Get => ReadMethod::Get,
                crds::ReadMethod::Post => ReadMethod::Post,
            },
            headers: headers.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect(),
            body: body.clone(),
            body_size_limit: self.bytes(&format!("{path}.bodySizeLimit"), &endpoint.body_size_limit),
            sample_limit: limit(*sample_limit),
            metrics: metrics.iter().map(metric).collect(),
        }
    }

    fn sql(&mut self, source: &SqlSource) -> Sql {
        let names = |names: &[crds::MetricName]| names.iter().map(|name| name.0.clone()).collect();
        let query = |SqlQuery { name, query, values, labels }: &SqlQuery| sidecar_config::SqlQuery {
            name: name.0.clone(),
            query: query.clone(),
            values: names(values),
            labels: names(labels),
        };
        Sql {
            driver: match source.driver {
                crds::SqlDriver::PostgreSQL => SqlDriver::PostgreSQL,
            },
            dsn_file: file(&mut self.credentials, &source.dsn),
            tls: self.tls(source.tls_config.as_ref()),
            sample_limit: limit(source.sample_limit),
            queries: source.queries.iter().map(query).collect(),
        }
    }

    /// Translates a ConfigMap source. Only the keys that the subtree's objects show are mirrored.
    fn config_map(&mut self, source: &ConfigMapSource, name: &str, spec: &SnmpSubtreeSpec) -> ConfigMap {
        let scalars = spec.scalars.iter().map(|scalar| &scalar.object.value);
        let columns = spec.tables.iter().flat_map(|table| &table.columns).map(|column| &column.object.value);
        let shown = scalars.chain(columns).filter(|value| value.source.as_ref().is_some_and(|source| source.0 == name));
        let metrics = shown.filter_map(|value| value.metric.as_ref()).map(|metric| metric.0.as_str());
        let mut keys = BTreeMap::new();
        for key in metrics.filter(|metric| !HEALTH_METRICS.contains(metric)) {
            let origin = ConfigMapKey { name: source.name.clone(), key: key.into() };
            keys.insert(key.to_owned(), file(&mut self.credentials, Origin::ConfigMap(origin)));
        }
        ConfigMap { name: source.name.0.clone(), keys }
    }
}

/// Returns the limit, which the schema requires to be at least 1.
fn limit(limit: i64) -> u64 {
    u64::try_from(limit).unwrap_or(0)
}
