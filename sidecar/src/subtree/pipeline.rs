//! The pipeline of a subtree, from sources to views: one task, which owns the mapper and the tasks of the sources.
//!
//! Subtrees are isolated from each other.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use agentx::SubId;
use arc_swap::ArcSwap;
use sidecar_config::{Valid, Violation};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time,
};

use crate::{
    config::{Document, SubtreeName},
    mapping::{Assignments, Mapper},
    observability::status::{Status, SubtreeStatus},
    set::{Overlay, SetCoordinator, Target, WritableSubtree},
    source::{NameFilter, Report, SourceSettings, Task},
    state::StateDirectory,
    task::resume_panic,
    view::{
        MibView,
        exports::{Export, ExportTable},
    },
};

/// How long a subtree waits for the first collection of all its sources before it is published. A walk right after the start
/// then finds the values, and a hanging source does not hide constants and the values of other sources.
const FIRST_COLLECTION_TIMEOUT: Duration = Duration::from_secs(5);

/// The shortest time for which a written value is shown until its source returns it. The kubelet may take this long to update
/// a mounted ConfigMap.
const MIN_OVERLAY_DURATION: Duration = Duration::from_mins(2);

/// What all pipelines share.
#[derive(Clone)]
pub(crate) struct PipelineEnvironment {
    /// What all sources share.
    pub(crate) sources: SourceSettings,
    /// The pod's index, for pipelines that start from now on.
    pub(crate) pod_index: SubId,
    /// Stores the numbers of Assigned indexes.
    pub(crate) state: StateDirectory,
    /// Passes views to the sessions.
    pub(crate) exports: ExportTable,
    /// Coordinates SETs.
    pub(crate) sets: SetCoordinator,
    /// Records the status of subtrees.
    pub(crate) status: Status,
}

impl PipelineEnvironment {
    /// Removes a subtree from the exports and makes it read-only.
    pub(crate) fn withdraw(&self, subtree: &SubtreeName) {
        self.exports.remove(subtree);
        self.sets.withdraw(subtree);
    }
}

/// The pipeline of one subtree.
pub(crate) struct Pipeline {
    name: SubtreeName,
    environment: PipelineEnvironment,
    documents: watch::Receiver<Document>,
    mapper: Mapper,
    view: Arc<ArcSwap<MibView>>,
    overlay: Arc<Overlay>,
    targets: Vec<Arc<Target>>,
    sources: Sources,
    /// When to publish the subtree although some source has not been collected; `None` once it is published.
    publish_by: Option<time::Instant>,
}

/// The tasks of a subtree's sources. Dropping it stops them.
struct Sources {
    tasks: JoinSet<()>,
    reports: mpsc::Receiver<(usize, Report)>,
    collected: Vec<bool>,
}

impl Pipeline {
    /// Creates a pipeline that follows the changes of `documents`.
    ///
    /// # Errors
    /// Returns an error if the document cannot be applied. Validation should have found that before.
    pub(crate) fn new(
        documents: watch::Receiver<Document>,
        environment: PipelineEnvironment,
    ) -> Result<Self, Violation> {
        let document = documents.borrow().clone();
        let name = SubtreeName::of(&document.subtree);
        let assigned = environment.state.load::<Assignments>(&name);
        let mapper = Mapper::new(Valid::clone(&document.subtree), environment.pod_index, assigned)?;
        let targets = targets(&name, mapper.subtree())?;
        let sources = Sources::start(&mapper, &environment);
        environment.status.set_subtree(name.clone(), SubtreeStatus::new(&document));
        let (view, publish_by) = (Arc::default(), Some(time::Instant::now() + FIRST_COLLECTION_TIMEOUT));
        Ok(Self { name, environment, documents, mapper, view, overlay: Arc::default(), targets, sources, publish_by })
    }

    /// Runs until the sender of `documents` is dropped. The caller withdraws the exports.
    pub(crate) async fn run(mut self) {
        if self.sources.are_all_collected() {
            self.publish();
        }
        loop {
            let next = self.next_change();
            tokio::select! {
                changed = self.documents.changed() => match changed {
                    Ok(()) => self.replace(),
                    Err(_) => return,
                },
                Some((source, report)) = self.sources.reports.recv() => self.take(source, report).await,
                () = time::sleep_until(next.unwrap_or_else(time::Instant::now)), if next.is_some() => self.publish(),
                Some(ended) = self.sources.tasks.join_next() => resume_panic(ended),
            }
        }
    }

    /// Returns when to publish next if there is no new scrape.
    fn next_change(&self) -> Option<time::Instant> {
        self.publish_by.or_else(|| self.mapper.next_change(now()).map(time::Instant::from_std))
    }

    /// Handles a report and all other waiting ones, and publishes the resulting view.
    async fn take(&mut self, source: usize, report: Report) {
        let mut next = Some((source, report));
        while let Some((source, report)) = next {
            self.observe(source, &report);
            next = self.sources.reports.try_recv().ok();
        }
        if self.mapper.assignments().changed() {
            // Saved before they are published, so that a restart cannot assign the numbers to other rows. After a
            // failure, the next report saves them.
            if self.environment.state.save(&self.name, self.mapper.assignments()).await {
                self.mapper.assignments_saved();
            }
        }
        if self.publish_by.is_none() || self.sources.are_all_collected() {
            self.publish();
        }
    }

    fn observe(&mut self, source: usize, report: &Report) {
        self.mapper.observe(source, report.outcome.as_ref().ok(), &report.health, report.at);
        if let Some(collected) = self.sources.collected.get_mut(source) {
            *collected = true;
        }
        self.environment.status.update_subtree(&self.name, |status| {
            if let Some(status) = status.sources.get_mut(source) {
                status.record_collection(report);
            }
        });
    }

    /// Publishes the current view. The first call also exports the subtree and makes its objects writable.
    fn publish(&mut self) {
        let view = self.overlay.apply(self.mapper.view(now()), now());
        let instances = view.len();
        self.view.store(Arc::new(view));
        if self.publish_by.take().is_some() {
            self.environment.sets.publish(self.name.clone(), self.writable());
            self.environment.exports.set(self.name.clone(), self.exports());
        }
        self.environment.status.update_subtree(&self.name, |status| {
            status.exported = true;
            status.record_view(instances, &self.mapper);
        });
    }

    fn exports(&self) -> Vec<Export> {
        let subtree = self.mapper.subtree();
        let export = |context: &String| Export {
            context: context.clone(),
            base: subtree.oid.clone(),
            regions: self.mapper.regions(),
            view: Arc::clone(&self.view),
            capabilities: subtree.module.clone(),
            writable: !self.targets.is_empty(),
        };
        subtree.contexts.iter().map(export).collect()
    }

    fn writable(&self) -> WritableSubtree {
        let subtree = self.mapper.subtree();
        let longest = subtree.sources.iter().map(|source| 2 * source.interval_ms + source.timeout_ms).max();
        WritableSubtree {
            contexts: subtree.contexts.clone(),
            base: subtree.oid.clone(),
            targets: self.targets.clone(),
            view: Arc::clone(&self.view),
            overlay: Arc::clone(&self.overlay),
            overlay_duration: MIN_OVERLAY_DURATION.max(Duration::from_millis(longest.unwrap_or(0))),
        }
    }

    /// Replaces the document. The published view stays until the new sources have been collected.
    fn replace(&mut self) {
        let document = self.documents.borrow_and_update().clone();
        let assigned = self.mapper.assignments().clone();
        let mapper = Mapper::new(Valid::clone(&document.subtree), self.environment.pod_index, assigned);
        let made = mapper.and_then(|mapper| Ok((targets(&self.name, mapper.subtree())?, mapper)));
        let mapper = match made {
            Ok((targets, mapper)) => {
                self.targets = targets;
                mapper
            }
            Err(violation) => {
                tracing::error!(subtree = %self.name, %violation, "cannot apply a document; keeping the previous one");
                let error = Some(violation.to_string());
                return self.environment.status.update_subtree(&self.name, |status| status.error = error);
            }
        };
        if mapper.subtree().oid != self.mapper.subtree().oid {
            // Sessions still use the old view.
            self.view = Arc::default();
            self.overlay = Arc::default();
        }
        let before = std::mem::replace(&mut self.mapper, mapper);
        self.mapper.inherit(before);
        self.sources = Sources::start(&self.mapper, &self.environment);
        self.publish_by = Some(time::Instant::now() + FIRST_COLLECTION_TIMEOUT);
        self.environment.status.set_subtree(self.name.clone(), SubtreeStatus::new(&document));
        tracing::info!(subtree = %self.name, file = document.file, "changed a subtree");
        if self.sources.are_all_collected() {
            self.publish();
        }
    }
}

/// Returns the writable objects.
fn targets(name: &SubtreeName, subtree: &Valid) -> Result<Vec<Arc<Target>>, Violation> {
    let targets = subtree.scalars.iter().filter_map(|scalar| Target::new(name, scalar).transpose());
    targets.map(|target| target.map(Arc::new)).collect()
}

impl Sources {
    fn start(mapper: &Mapper, environment: &PipelineEnvironment) -> Self {
        let sources = &mapper.subtree().sources;
        let (sender, reports) = mpsc::channel(sources.len().max(1));
        let mut tasks = JoinSet::new();
        for (i, source) in sources.iter().enumerate() {
            let wanted = NameFilter::new(mapper.wanted(i));
            let task = Task::new(source.clone(), wanted, environment.sources.clone());
            let sender = sender.clone();
            tasks.spawn(async move {
                let (own, mut from_task) = mpsc::channel(1);
                let forward = async {
                    while let Some(report) = from_task.recv().await {
                        if sender.send((i, report)).await.is_err() {
                            return;
                        }
                    }
                };
                tokio::join!(task.run(own), forward);
            });
        }
        Self { tasks, reports, collected: vec![false; sources.len()] }
    }

    fn are_all_collected(&self) -> bool {
        self.collected.iter().all(|collected| *collected)
    }
}

/// Returns the time of tokio's clock, which tests can pause.
fn now() -> Instant {
    time::Instant::now().into_std()
}

#[cfg(test)]
mod tests;
