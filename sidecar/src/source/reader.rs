//! The kinds of source, under one face: each reads its samples once when it is asked to.

use std::{path::PathBuf, time::Duration};

use sidecar_config::SourceKind;

use super::{Cause, NameFilter, NamedPorts, Phase, Roots, config_map, json, prometheus, sql, system};
use crate::sample::Samples;

/// What the sources of a sidecar have in common.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// The configuration folder: credentials, certificates and mirrored ConfigMaps lie there.
    pub folder: PathBuf,
    /// The pod's named ports.
    pub ports: NamedPorts,
    /// Where the machine is seen.
    pub roots: Roots,
}

/// What one reading gave.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) samples: Samples,
    /// How many samples were dropped because their name and labels were there already.
    pub(super) duplicates: u64,
}

/// A source of one of the kinds.
pub(super) enum Reader {
    Prometheus(prometheus::Scraper),
    Json(json::Asker),
    Sql(sql::Database),
    System(Box<system::Machine>),
    ConfigMap(config_map::Files),
}

impl Reader {
    /// A reader that keeps the samples that `wanted` names.
    pub(super) fn new(kind: SourceKind, wanted: NameFilter, place: Place) -> Self {
        match kind {
            SourceKind::Prometheus(prometheus) => Self::Prometheus(prometheus::Scraper::new(prometheus, wanted, place)),
            SourceKind::ConfigMap(config_map) => {
                Self::ConfigMap(config_map::Files::new(config_map, &wanted, place.folder))
            }
            SourceKind::Json(json) => Self::Json(json::Asker::new(json, &wanted, place)),
            SourceKind::System(_) => Self::System(Box::new(system::Machine::new(wanted, place.roots))),
            SourceKind::Sql(sql) => Self::Sql(sql::Database::new(sql, &wanted, place)),
        }
    }

    /// Reads once. Whoever calls gives up after `timeout`; `phase` says how far it got.
    pub(super) async fn read(&mut self, timeout: Duration, phase: &mut Phase) -> Result<Reading, Cause> {
        match self {
            Self::Prometheus(scraper) => scraper.read(timeout, phase).await,
            Self::Json(asker) => asker.read(phase).await,
            Self::Sql(database) => database.read(timeout, phase).await,
            Self::System(machine) => machine.read(timeout, phase).await,
            Self::ConfigMap(files) => files.read(),
        }
    }

    /// Where it reads, for people: a URL without its query, or what stands for one. Holds no secret.
    pub(super) fn location(&self) -> String {
        match self {
            Self::Prometheus(scraper) => scraper.location(),
            Self::Json(asker) => asker.location(),
            Self::Sql(database) => database.location(),
            Self::System(_) => system::Machine::location(),
            Self::ConfigMap(files) => files.location(),
        }
    }
}
