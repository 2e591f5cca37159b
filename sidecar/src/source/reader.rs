//! A reader for each kind of source.

use std::time::Duration;

use sidecar_config::SourceKind;

use super::{
    collection::Collection,
    config_map,
    error::{Phase, SourceError},
    json,
    name_filter::NameFilter,
    prometheus,
    settings::SourceSettings,
    sql, system,
};

/// A source of any kind.
pub(super) enum Reader {
    Prometheus(prometheus::PrometheusReader),
    Json(json::JsonReader),
    Sql(sql::SqlReader),
    System(Box<system::SystemReader>),
    ConfigMap(config_map::ConfigMapReader),
}

impl Reader {
    /// Creates a reader that keeps the samples that `wanted` names.
    pub(super) fn new(kind: SourceKind, wanted: NameFilter, settings: SourceSettings) -> Self {
        match kind {
            SourceKind::Prometheus(prometheus) => {
                Self::Prometheus(prometheus::PrometheusReader::new(prometheus, wanted, settings))
            }
            SourceKind::ConfigMap(config_map) => {
                Self::ConfigMap(config_map::ConfigMapReader::new(config_map, &wanted, settings.directory))
            }
            SourceKind::Json(json) => Self::Json(json::JsonReader::new(json, &wanted, settings)),
            SourceKind::System(_) => Self::System(Box::new(system::SystemReader::new(wanted, settings.roots))),
            SourceKind::Sql(sql) => Self::Sql(sql::SqlReader::new(sql, &wanted, settings)),
        }
    }

    /// Collects the samples once. The caller drops the future after `timeout`; `phase` then has the phase that was
    /// reached.
    pub(super) async fn read(&mut self, timeout: Duration, phase: &mut Phase) -> Result<Collection, SourceError> {
        match self {
            Self::Prometheus(prometheus) => prometheus.read(timeout, phase).await,
            Self::Json(json) => json.read(phase).await,
            Self::Sql(sql) => sql.read(timeout, phase).await,
            Self::System(system) => system.read(timeout, phase).await,
            Self::ConfigMap(config_map) => config_map.read(),
        }
    }

    /// Returns the location of the source for messages: a URL without its query, or a description. It contains no
    /// secret.
    pub(super) fn location(&self) -> String {
        match self {
            Self::Prometheus(prometheus) => prometheus.location(),
            Self::Json(json) => json.location(),
            Self::Sql(sql) => sql.location(),
            Self::System(_) => system::SystemReader::location(),
            Self::ConfigMap(config_map) => config_map.location(),
        }
    }
}
