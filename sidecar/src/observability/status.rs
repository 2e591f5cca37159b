//! The status of the sidecar, for `/status` and `/metrics`. It contains no secrets: errors name files and URLs, but neither
//! credentials nor the query of a URL.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use agentx::SubId;
use serde::{Serialize, Serializer};
use tokio::time::Instant;

use crate::{
    config::{Document, Selection, SubtreeName},
    mapping::Mapper,
    set::SetCounts,
    source::Report,
    state::StateDirectory,
    subagent::{MasterStatus, SessionStatus},
};

/// The status of the sidecar. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Status(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pod_name: String,
    configuration: Mutex<ConfigurationStatus>,
    error_count: AtomicU64,
    subtrees: Mutex<BTreeMap<SubtreeName, SubtreeStatus>>,
    masters: Vec<MasterStatus>,
    state: StateDirectory,
    sets: Arc<SetCounts>,
}

/// The configuration directory.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConfigurationStatus {
    /// Whether it has been read.
    pub(crate) loaded: bool,
    /// The pod's index in tables with rows of several pods; `None` until the labels have been read.
    pub(crate) pod_index: Option<SubId>,
    /// Why the directory or the labels cannot be read.
    pub(crate) errors: Vec<String>,
    /// The files whose latest version is not served, and why.
    pub(crate) faults: BTreeMap<String, String>,
    /// The documents that select other pods.
    pub(crate) not_selected: Vec<String>,
}

/// One subtree.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SubtreeStatus {
    /// The file of its document.
    pub(crate) file: String,
    /// A hash of the file, to distinguish versions.
    pub(crate) hash: String,
    /// The version of the contract that the file uses.
    pub(crate) version: u32,
    /// The base OID.
    pub(crate) oid: String,
    /// The SNMP contexts.
    pub(crate) contexts: Vec<String>,
    /// Whether it is exported.
    pub(crate) exported: bool,
    /// Why the latest document could not be applied.
    pub(crate) error: Option<String>,
    /// The number of instances.
    pub(crate) instances: usize,
    /// The number of views that were published.
    pub(crate) views: u64,
    /// When the last view was published; shown as its age.
    #[serde(rename = "viewAgeSeconds", serialize_with = "age")]
    pub(crate) viewed_at: Option<Instant>,
    /// Its sources in the order of the document.
    pub(crate) sources: Vec<SourceStatus>,
    /// The values and rows that were withheld or changed, by reason.
    pub(crate) withheld: Vec<Withheld>,
    /// How many numbers each Assigned index has assigned.
    pub(crate) assigned: BTreeMap<String, usize>,
}

/// One source.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SourceStatus {
    /// Its name.
    pub(crate) name: String,
    /// Whether the last collection succeeded; `None` before the first one.
    pub(crate) up: Option<bool>,
    /// Why it failed.
    pub(crate) error: Option<String>,
    /// When the last successful collection began; shown as its age.
    #[serde(rename = "ageSeconds", serialize_with = "age")]
    pub(crate) succeeded_at: Option<Instant>,
    /// The duration of the last collection.
    #[serde(rename = "durationSeconds", serialize_with = "seconds")]
    pub(crate) duration: Duration,
    /// The number of samples that the last successful collection kept.
    pub(crate) samples: usize,
    /// The number of collections.
    pub(crate) scrapes: u64,
    /// The number of failed collections.
    pub(crate) failures: u64,
}

/// The values and rows that were withheld or changed for one reason.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Withheld {
    /// The short name of the reason.
    #[serde(skip)]
    pub(crate) name: &'static str,
    /// The description of the reason.
    pub(crate) reason: String,
    /// How often it happened.
    pub(crate) total: u64,
    /// An example of where it happened.
    pub(crate) example: String,
}

/// One master.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Master {
    url: String,
    resolve_error: Option<String>,
    sessions: Vec<SessionStatus>,
}

// serde hands fields over by reference.
#[allow(clippy::ref_option)]
fn age<S: Serializer>(at: &Option<Instant>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(|at| at.elapsed().as_secs_f64()).serialize(serializer)
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    duration.as_secs_f64().serialize(serializer)
}

impl Status {
    /// Creates the status of the sidecar in this pod.
    pub(crate) fn new(pod_name: &str, masters: Vec<MasterStatus>, state: StateDirectory, sets: Arc<SetCounts>) -> Self {
        let (configuration, error_count, subtrees) = (Mutex::default(), AtomicU64::new(0), Mutex::default());
        Self(Arc::new(Inner {
            pod_name: pod_name.to_owned(),
            configuration,
            error_count,
            subtrees,
            masters,
            state,
            sets,
        }))
    }

    /// Records the selected documents. New errors are logged and counted.
    pub(crate) fn set_selection(&self, selection: &Selection, pod_index: SubId) {
        let errors = selection.errors.iter().map(|(file, error)| (file.clone(), error.to_string())).collect();
        let mut now = lock(&self.0.configuration);
        let before = std::mem::replace(&mut now.faults, errors);
        for (file, error) in now.faults.iter().filter(|(file, error)| before.get(*file) != Some(error)) {
            self.0.error_count.fetch_add(1, Ordering::Relaxed);
            tracing::error!(file, "refused a document; keeping its last valid version: {error}");
        }
        now.not_selected = selection.not_selected.iter().map(ToString::to_string).collect();
        now.loaded = true;
        now.pod_index = Some(pod_index);
    }

    /// Records why the configuration cannot be read. New errors are logged and counted.
    pub(crate) fn set_configuration_errors(&self, errors: Vec<String>) {
        let mut now = lock(&self.0.configuration);
        for error in errors.iter().filter(|error| !now.errors.contains(error)) {
            self.0.error_count.fetch_add(1, Ordering::Relaxed);
            tracing::error!("{error}");
        }
        now.errors = errors;
    }

    /// Updates the status of a subtree.
    pub(crate) fn update_subtree(&self, name: &SubtreeName, update: impl FnOnce(&mut SubtreeStatus)) {
        if let Some(subtree) = lock(&self.0.subtrees).get_mut(name) {
            update(subtree);
        }
    }

    /// Replaces the status of a subtree.
    pub(crate) fn set_subtree(&self, name: SubtreeName, subtree: SubtreeStatus) {
        lock(&self.0.subtrees).insert(name, subtree);
    }

    /// Removes a subtree.
    pub(crate) fn remove_subtree(&self, name: &SubtreeName) {
        lock(&self.0.subtrees).remove(name);
    }

    /// Returns the status of the configuration.
    pub(crate) fn configuration(&self) -> ConfigurationStatus {
        lock(&self.0.configuration).clone()
    }

    /// Returns how many errors of the configuration have been found.
    pub(crate) fn configuration_error_count(&self) -> u64 {
        self.0.error_count.load(Ordering::Relaxed)
    }

    /// Returns the status of all subtrees.
    pub(crate) fn subtrees(&self) -> BTreeMap<SubtreeName, SubtreeStatus> {
        lock(&self.0.subtrees).clone()
    }

    /// Returns whether every subtree is exported and every source has been collected at least once, successfully or not.
    pub(crate) fn is_everything_collected(&self) -> bool {
        let collected = |subtree: &SubtreeStatus| subtree.sources.iter().all(|source| source.up.is_some());
        lock(&self.0.subtrees).values().all(|subtree| subtree.exported && collected(subtree))
    }

    /// Returns the status of the masters.
    pub(crate) fn masters(&self) -> &[MasterStatus] {
        &self.0.masters
    }

    /// Returns the state directory.
    pub(crate) fn state(&self) -> &StateDirectory {
        &self.0.state
    }

    /// Returns the number of SETs by outcome.
    pub(crate) fn sets(&self) -> [(&'static str, u64); 6] {
        self.0.sets.results()
    }

    /// Returns the whole status as JSON.
    pub(crate) fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Named<'a> {
            namespace: &'a str,
            name: &'a str,
            #[serde(flatten)]
            subtree: &'a SubtreeStatus,
        }
        let subtrees = self.subtrees();
        let subtrees: Vec<_> = subtrees
            .iter()
            .map(|(name, subtree)| Named { namespace: &name.namespace, name: &name.name, subtree })
            .collect();
        let masters: Vec<_> = self.0.masters.iter().map(Master::from).collect();
        let state = &self.0.state;
        let json = serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "pod": self.0.pod_name,
            "configuration": self.configuration(),
            "subtrees": subtrees,
            "masters": masters,
            "state": {"error": state.error(), "failures": state.failures()},
            "sets": BTreeMap::from(self.sets()),
        });
        format!("{json:#}\n")
    }
}

impl From<&MasterStatus> for Master {
    fn from(master: &MasterStatus) -> Self {
        Self { url: master.url().to_owned(), resolve_error: master.resolve_error(), sessions: master.sessions() }
    }
}

impl SubtreeStatus {
    /// Creates the status of a document without any collection.
    pub(crate) fn new(document: &Document) -> Self {
        let subtree = &document.subtree;
        let sources = subtree.sources.iter().map(|source| SourceStatus::new(&source.name));
        Self {
            file: document.file.clone(),
            hash: format!("{:016x}", document.hash),
            version: subtree.version,
            oid: subtree.oid.to_string(),
            contexts: subtree.contexts.clone(),
            exported: false,
            error: None,
            instances: 0,
            views: 0,
            viewed_at: None,
            sources: sources.collect(),
            withheld: Vec::new(),
            assigned: BTreeMap::new(),
        }
    }

    /// Records the file of the document.
    pub(crate) fn set_file(&mut self, document: &Document) {
        self.file.clone_from(&document.file);
        self.hash = format!("{:016x}", document.hash);
    }

    /// Records a new view and the counters of the mapper.
    pub(crate) fn record_view(&mut self, instances: usize, mapper: &Mapper) {
        self.instances = instances;
        self.views += 1;
        self.viewed_at = Some(Instant::now());
        let withheld = mapper.counts().iter().map(|(reason, count)| Withheld {
            name: reason.as_str(),
            reason: reason.to_string(),
            total: count.total,
            example: count.example.clone(),
        });
        self.withheld = withheld.collect();
        self.assigned = mapper.assignments().sizes().map(|(index, size)| (index.to_owned(), size)).collect();
    }
}

impl SourceStatus {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            up: None,
            error: None,
            succeeded_at: None,
            duration: Duration::ZERO,
            samples: 0,
            scrapes: 0,
            failures: 0,
        }
    }

    /// Records a collection.
    pub(crate) fn record_collection(&mut self, report: &Report) {
        self.scrapes += 1;
        self.duration = report.duration;
        self.up = Some(report.outcome.is_ok());
        match &report.outcome {
            Ok(samples) => {
                self.error = None;
                self.samples = samples.len();
                self.succeeded_at = Some(report.at.into());
            }
            Err(error) => {
                self.failures += 1;
                self.error = Some(error.to_string());
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
