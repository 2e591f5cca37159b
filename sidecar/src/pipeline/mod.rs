//! From sources to views: one task for each subtree, which owns its mapper and the tasks of its sources.
//!
//! What happens to one subtree is nothing to the others.

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
    defect::resume_panic,
    exports::ExportTable,
    mapping::{Assignments, Mapper},
    mib_view::MibView,
    session::Export,
    source::{NameFilter, Place, Report, Task},
    state::StateFolder,
    status::{Status, SubtreeStatus},
    write::{Desk, Overlay, Served, Target},
};

/// How long a subtree waits for the first scrape of all its sources before it is shown. A walk right after the start
/// finds the values; a source that hangs does not keep the others, or constants, from being seen.
const GRACE: Duration = Duration::from_secs(5);

/// How long a written value is shown before its source has it: the kubelet may take this long to mirror a ConfigMap.
const MIRRORED: Duration = Duration::from_mins(2);

/// What all subtrees have in common.
#[derive(Clone)]
pub struct Surroundings {
    /// What the sources have in common.
    pub place: Place,
    /// The pod's index, for subtrees that start from now on.
    pub pod_index: SubId,
    /// Where assigned numbers are kept.
    pub state: StateFolder,
    /// Where views are handed to the sessions.
    pub exports: ExportTable,
    /// Where SETs are decided.
    pub desk: Desk,
    /// Where it is noted how things go.
    pub status: Status,
}

impl Surroundings {
    /// Nothing of a subtree is shown any more, or can be written.
    pub fn withdraw(&self, subtree: &SubtreeName) {
        self.exports.remove(subtree);
        self.desk.withdraw(subtree);
    }
}

/// One subtree, running.
pub struct Pipeline {
    name: SubtreeName,
    around: Surroundings,
    documents: watch::Receiver<Document>,
    mapper: Mapper,
    view: Arc<ArcSwap<MibView>>,
    overlay: Arc<Overlay>,
    targets: Vec<Arc<Target>>,
    sources: Sources,
    /// When to show the subtree although not every source was tried; `None`: it is shown.
    show_by: Option<time::Instant>,
}

/// The tasks of a subtree's sources; they end when this is dropped.
struct Sources {
    tasks: JoinSet<()>,
    reports: mpsc::Receiver<(usize, Report)>,
    tried: Vec<bool>,
}

impl Pipeline {
    /// A subtree that follows `documents`.
    ///
    /// # Errors
    /// What in the document cannot be, which its validation should have found.
    pub fn new(documents: watch::Receiver<Document>, around: Surroundings) -> Result<Self, Violation> {
        let document = documents.borrow().clone();
        let name = SubtreeName::of(&document.subtree);
        let assigned = around.state.load::<Assignments>(&name);
        let mapper = Mapper::new(Valid::clone(&document.subtree), around.pod_index, assigned)?;
        let targets = targets(&name, mapper.subtree())?;
        let sources = Sources::start(&mapper, &around);
        around.status.set_subtree(name.clone(), SubtreeStatus::new(&document));
        let (view, show_by) = (Arc::default(), Some(time::Instant::now() + GRACE));
        Ok(Self { name, around, documents, mapper, view, overlay: Arc::default(), targets, sources, show_by })
    }

    /// Runs until no one has a document for it any more. What it exports stays, for who ends it to withdraw.
    pub async fn run(mut self) {
        if self.sources.are_all_tried() {
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

    /// When to publish without a new scrape.
    fn next_change(&self) -> Option<time::Instant> {
        self.show_by.or_else(|| self.mapper.next_change(now()).map(time::Instant::from_std))
    }

    /// Takes a report, and all others that wait, and shows what they change.
    async fn take(&mut self, source: usize, report: Report) {
        let mut next = Some((source, report));
        while let Some((source, report)) = next {
            self.observe(source, &report);
            next = self.sources.reports.try_recv().ok();
        }
        if self.mapper.assignments().changed() {
            // Before anyone sees the numbers, so that a restart cannot give them to other rows. If that fails it is
            // tried again with the next report.
            if self.around.state.save(&self.name, self.mapper.assignments()).await {
                self.mapper.assignments_saved();
            }
        }
        if self.show_by.is_none() || self.sources.are_all_tried() {
            self.publish();
        }
    }

    fn observe(&mut self, source: usize, report: &Report) {
        self.mapper.observe(source, report.outcome.as_ref().ok(), &report.health, report.at);
        if let Some(tried) = self.sources.tried.get_mut(source) {
            *tried = true;
        }
        self.around.status.subtree(&self.name, |status| {
            if let Some(status) = status.sources.get_mut(source) {
                status.scraped(report);
            }
        });
    }

    /// Shows the subtree as it is now, from the first time on to the sessions.
    fn publish(&mut self) {
        let view = self.overlay.lay_over(self.mapper.view(now()), now());
        let instances = view.len();
        self.view.store(Arc::new(view));
        if self.show_by.take().is_some() {
            self.around.desk.serve(self.name.clone(), self.served());
            self.around.exports.set(self.name.clone(), self.exports());
        }
        self.around.status.subtree(&self.name, |status| {
            status.exported = true;
            status.viewed(instances, &self.mapper);
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

    fn served(&self) -> Served {
        let subtree = self.mapper.subtree();
        let longest = subtree.sources.iter().map(|source| 2 * source.interval_ms + source.timeout_ms).max();
        Served {
            contexts: subtree.contexts.clone(),
            base: subtree.oid.clone(),
            targets: self.targets.clone(),
            view: Arc::clone(&self.view),
            overlay: Arc::clone(&self.overlay),
            patience: MIRRORED.max(Duration::from_millis(longest.unwrap_or(0))),
        }
    }

    /// Puts a new document in the place of the old. What is shown stays until the new one's sources were tried.
    fn replace(&mut self) {
        let document = self.documents.borrow_and_update().clone();
        let assigned = self.mapper.assignments().clone();
        let mapper = Mapper::new(Valid::clone(&document.subtree), self.around.pod_index, assigned);
        let made = mapper.and_then(|mapper| Ok((targets(&self.name, mapper.subtree())?, mapper)));
        let mapper = match made {
            Ok((targets, mapper)) => {
                self.targets = targets;
                mapper
            }
            Err(violation) => {
                tracing::error!(subtree = %self.name, %violation, "a document cannot be put in force");
                let error = Some(violation.to_string());
                return self.around.status.subtree(&self.name, |status| status.error = error);
            }
        };
        if mapper.subtree().oid != self.mapper.subtree().oid {
            // The sessions still answer from the old view.
            self.view = Arc::default();
            self.overlay = Arc::default();
        }
        let before = std::mem::replace(&mut self.mapper, mapper);
        self.mapper.inherit(before);
        self.sources = Sources::start(&self.mapper, &self.around);
        self.show_by = Some(time::Instant::now() + GRACE);
        self.around.status.set_subtree(self.name.clone(), SubtreeStatus::new(&document));
        tracing::info!(subtree = %self.name, file = document.file, "a subtree has changed");
        if self.sources.are_all_tried() {
            self.publish();
        }
    }
}

/// The objects that can be written.
fn targets(name: &SubtreeName, subtree: &Valid) -> Result<Vec<Arc<Target>>, Violation> {
    let targets = subtree.scalars.iter().filter_map(|scalar| Target::new(name, scalar).transpose());
    targets.map(|target| target.map(Arc::new)).collect()
}

impl Sources {
    fn start(mapper: &Mapper, around: &Surroundings) -> Self {
        let sources = &mapper.subtree().sources;
        let (sender, reports) = mpsc::channel(sources.len().max(1));
        let mut tasks = JoinSet::new();
        for (i, source) in sources.iter().enumerate() {
            let wanted = NameFilter::new(mapper.wanted(i));
            let task = Task::new(source.clone(), wanted, around.place.clone());
            let sender = sender.clone();
            tasks.spawn(async move {
                let (own, mut from_task) = mpsc::channel(1);
                let number = async {
                    while let Some(report) = from_task.recv().await {
                        if sender.send((i, report)).await.is_err() {
                            return;
                        }
                    }
                };
                tokio::join!(task.run(own), number);
            });
        }
        Self { tasks, reports, tried: vec![false; sources.len()] }
    }

    fn are_all_tried(&self) -> bool {
        self.tried.iter().all(|tried| *tried)
    }
}

/// Tokio's clock, which tests can stop.
fn now() -> Instant {
    time::Instant::now().into_std()
}

#[cfg(test)]
mod tests;
