//! What the sidecar is doing, for `/status` and `/metrics`. Holds no secrets: errors name files and URLs, never what
//! is in a credential or behind a URL's `?`.

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
    source::Report,
    state::StateFolder,
    subagent::{MasterStatus, SessionStatus},
    write::Counts,
};

/// Everything that can be seen of the sidecar. Clones share it.
#[derive(Debug, Clone)]
pub struct Status(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pod_name: String,
    configuration: Mutex<ConfigurationStatus>,
    faults: AtomicU64,
    subtrees: Mutex<BTreeMap<SubtreeName, SubtreeStatus>>,
    masters: Vec<MasterStatus>,
    state: StateFolder,
    sets: Arc<Counts>,
}

/// The configuration folder.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigurationStatus {
    /// Whether it could be read so far.
    pub loaded: bool,
    /// The pod's index, as rows of several pods in one table have it; known once the labels are.
    pub pod_index: Option<SubId>,
    /// Why folder or labels cannot be read now.
    pub errors: Vec<String>,
    /// Files whose newest version is not served, and why.
    pub faults: BTreeMap<String, String>,
    /// Documents that select other pods.
    pub not_selected: Vec<String>,
}

/// One subtree.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SubtreeStatus {
    /// The file that it came from.
    pub file: String,
    /// A hash of that file, to tell versions apart.
    pub hash: String,
    /// The contract's version that the file is written in.
    pub version: u32,
    /// The base OID.
    pub oid: String,
    /// The SNMP contexts.
    pub contexts: Vec<String>,
    /// Whether it is exported yet.
    pub exported: bool,
    /// Why the newest document is not in force, if that shows only when it is put to use.
    pub error: Option<String>,
    /// How many instances there are.
    pub instances: usize,
    /// How often a new view was published.
    pub views: u64,
    /// Time since the last was published.
    #[serde(rename = "viewAgeSeconds", serialize_with = "age")]
    pub viewed_at: Option<Instant>,
    /// Its sources, in the order of the document.
    pub sources: Vec<SourceStatus>,
    /// What was withheld or changed, and why.
    pub withheld: Vec<Withheld>,
    /// How many numbers each Assigned index has given.
    pub assigned: BTreeMap<String, usize>,
}

/// One source.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceStatus {
    /// Its name.
    pub name: String,
    /// Whether the last scrape succeeded; none: not tried yet.
    pub up: Option<bool>,
    /// Why it did not.
    pub error: Option<String>,
    /// Time since the last scrape that succeeded began.
    #[serde(rename = "ageSeconds", serialize_with = "age")]
    pub succeeded_at: Option<Instant>,
    /// How long the last scrape took.
    #[serde(rename = "durationSeconds", serialize_with = "seconds")]
    pub duration: Duration,
    /// How many samples the last scrape that succeeded kept.
    pub samples: usize,
    /// How many scrapes there were.
    pub scrapes: u64,
    /// How many of those failed.
    pub failures: u64,
}

/// What was withheld or changed for one reason.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Withheld {
    /// The reason's short name.
    #[serde(skip)]
    pub name: &'static str,
    /// The reason.
    pub reason: String,
    /// How often.
    pub total: u64,
    /// Where, for example.
    pub example: String,
}

/// One master, as it is now.
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
    /// Of the sidecar of this pod, with these masters and this state folder.
    #[must_use]
    pub fn new(pod_name: &str, masters: Vec<MasterStatus>, state: StateFolder, sets: Arc<Counts>) -> Self {
        let (configuration, faults, subtrees) = (Mutex::default(), AtomicU64::new(0), Mutex::default());
        Self(Arc::new(Inner { pod_name: pod_name.to_owned(), configuration, faults, subtrees, masters, state, sets }))
    }

    /// Notes what the configuration says now. Faults that were not there before are logged and counted.
    pub fn configured(&self, selection: &Selection, pod_index: SubId) {
        let faults = selection.faults.iter().map(|(file, fault)| (file.clone(), fault.to_string())).collect();
        let mut now = lock(&self.0.configuration);
        let before = std::mem::replace(&mut now.faults, faults);
        for (file, fault) in now.faults.iter().filter(|(file, fault)| before.get(*file) != Some(fault)) {
            self.0.faults.fetch_add(1, Ordering::Relaxed);
            tracing::error!(file, "a document is refused, the last good version of it stays: {fault}");
        }
        now.not_selected = selection.not_selected.iter().map(ToString::to_string).collect();
        now.loaded = true;
        now.pod_index = Some(pod_index);
    }

    /// Notes why the configuration cannot be read, if so. Errors that were not there before are logged and counted.
    pub fn configuration_errors(&self, errors: Vec<String>) {
        let mut now = lock(&self.0.configuration);
        for error in errors.iter().filter(|error| !now.errors.contains(error)) {
            self.0.faults.fetch_add(1, Ordering::Relaxed);
            tracing::error!("{error}");
        }
        now.errors = errors;
    }

    /// Notes something of a subtree.
    pub(crate) fn subtree(&self, name: &SubtreeName, note: impl FnOnce(&mut SubtreeStatus)) {
        if let Some(subtree) = lock(&self.0.subtrees).get_mut(name) {
            note(subtree);
        }
    }

    /// Puts a subtree in the place of what it was before.
    pub(crate) fn set_subtree(&self, name: SubtreeName, subtree: SubtreeStatus) {
        lock(&self.0.subtrees).insert(name, subtree);
    }

    /// Forgets a subtree.
    pub(crate) fn remove_subtree(&self, name: &SubtreeName) {
        lock(&self.0.subtrees).remove(name);
    }

    /// What the configuration says.
    #[must_use]
    pub fn configuration(&self) -> ConfigurationStatus {
        lock(&self.0.configuration).clone()
    }

    /// How many faults of the configuration there were so far.
    #[must_use]
    pub fn configuration_faults(&self) -> u64 {
        self.0.faults.load(Ordering::Relaxed)
    }

    /// All subtrees.
    #[must_use]
    pub fn subtrees(&self) -> BTreeMap<SubtreeName, SubtreeStatus> {
        lock(&self.0.subtrees).clone()
    }

    /// Whether every subtree is exported, and every source of it was tried at least once.
    #[must_use]
    pub fn is_everything_tried(&self) -> bool {
        let tried = |subtree: &SubtreeStatus| subtree.sources.iter().all(|source| source.up.is_some());
        lock(&self.0.subtrees).values().all(|subtree| subtree.exported && tried(subtree))
    }

    /// The masters.
    #[must_use]
    pub fn masters(&self) -> &[MasterStatus] {
        &self.0.masters
    }

    /// The state folder.
    #[must_use]
    pub fn state(&self) -> &StateFolder {
        &self.0.state
    }

    /// How SETs have gone: `(result, how often)`.
    #[must_use]
    pub fn sets(&self) -> [(&'static str, u64); 6] {
        self.0.sets.results()
    }

    /// All of it, as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
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
    /// Of a document that nothing was scraped for yet.
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

    /// Notes where the document came from.
    pub(crate) fn comes_from(&mut self, document: &Document) {
        self.file.clone_from(&document.file);
        self.hash = format!("{:016x}", document.hash);
    }

    /// Notes a new view, and what the mapper counted on the way to it.
    pub(crate) fn viewed(&mut self, instances: usize, mapper: &Mapper) {
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

    /// Notes a scrape.
    pub(crate) fn scraped(&mut self, report: &Report) {
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
