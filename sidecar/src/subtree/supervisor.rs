//! The supervisor that starts, updates and stops the pipelines of the configured subtrees.

use std::{collections::BTreeMap, time::Duration};

use agentx::SubId;
use tokio::{
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::Instant,
};

use crate::{
    config::{Document, Selection, SubtreeName},
    observability::status::SubtreeStatus,
    subtree::pipeline::{Pipeline, PipelineEnvironment},
};

/// The delay before a pipeline that panicked is restarted.
const RESTART_DELAY: Duration = Duration::from_secs(10);

/// The supervisor of the pipelines of all subtrees. Dropping it stops them.
pub(crate) struct SubtreeSupervisor {
    environment: PipelineEnvironment,
    tasks: JoinSet<()>,
    running: BTreeMap<SubtreeName, Supervised>,
}

/// A configured subtree.
struct Supervised {
    documents: watch::Sender<Document>,
    task: Option<AbortHandle>,
    /// When to restart it, if it does not run.
    restart_at: Option<Instant>,
}

impl SubtreeSupervisor {
    /// Creates a supervisor without subtrees.
    #[must_use]
    pub(crate) fn new(environment: PipelineEnvironment) -> Self {
        Self { environment, tasks: JoinSet::new(), running: BTreeMap::new() }
    }

    /// Starts, updates and stops pipelines so that exactly these documents are served, in the pod with this index. A subtree
    /// whose document has not changed is not affected.
    pub(crate) fn apply(&mut self, selection: &Selection, pod_index: SubId) {
        self.environment.pod_index = pod_index;
        self.running.retain(|name, running| {
            let stays = selection.documents.contains_key(name);
            if !stays {
                tracing::info!(subtree = %name, "withdrew a subtree");
                if let Some(task) = &running.task {
                    task.abort();
                }
                self.environment.withdraw(name);
                self.environment.status.remove_subtree(name);
            }
            stays
        });
        for (name, document) in &selection.documents {
            match self.running.get_mut(name) {
                None => {
                    tracing::info!(subtree = %name, file = document.file, oid = %document.subtree.oid, "started a subtree");
                    let (documents, _) = watch::channel(document.clone());
                    let mut running = Supervised { documents, task: None, restart_at: None };
                    running.start(name, &self.environment, &mut self.tasks);
                    self.running.insert(name.clone(), running);
                }
                Some(running) if running.documents.borrow().subtree != document.subtree => {
                    running.documents.send_replace(document.clone());
                    if running.task.is_none() {
                        running.start(name, &self.environment, &mut self.tasks);
                    }
                }
                Some(running) => {
                    // The document may be in another file, or be formatted differently.
                    running.documents.send_if_modified(|known| {
                        known.clone_from(document);
                        false
                    });
                    self.environment.status.update_subtree(name, |status| status.set_file(document));
                }
            }
        }
    }

    /// Withdraws subtrees whose pipeline has panicked, and restarts them after a delay.
    pub(crate) fn restart_failed(&mut self, now: Instant) {
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            let Err(error) = ended else { continue };
            let failed = self
                .running
                .iter_mut()
                .find(|(_, running)| running.task.as_ref().is_some_and(|task| task.id() == error.id()));
            let Some((name, running)) = failed else { continue };
            tracing::error!(subtree = %name, %error, "the pipeline of a subtree panicked; withdrew the subtree; restarting it in 10 s");
            self.environment.withdraw(name);
            self.environment.status.update_subtree(name, |status| {
                status.exported = false;
                status.error = Some(format!("a defect of the sidecar: {error}"));
            });
            (running.task, running.restart_at) = (None, Some(now + RESTART_DELAY));
        }
        for (name, running) in &mut self.running {
            if running.restart_at.is_some_and(|at| at <= now) {
                running.start(name, &self.environment, &mut self.tasks);
            }
        }
    }
}

impl Supervised {
    fn start(&mut self, name: &SubtreeName, environment: &PipelineEnvironment, tasks: &mut JoinSet<()>) {
        self.restart_at = None;
        match Pipeline::new(self.documents.subscribe(), environment.clone()) {
            Ok(pipeline) => self.task = Some(tasks.spawn(pipeline.run())),
            Err(violation) => {
                tracing::error!(subtree = %name, %violation, "cannot apply a document");
                let error = Some(violation.to_string());
                let status = SubtreeStatus { error, ..SubtreeStatus::new(&self.documents.borrow()) };
                environment.status.set_subtree(name.clone(), status);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use tokio::time::advance;

    use super::*;
    use crate::{
        observability::status::Status, source::SourceSettings, state::StateDirectory, view::exports::ExportTable,
    };

    /// Returns the document of a subtree with one constant.
    fn document(name: &str, arc: u32) -> Document {
        let document = json!({
            "version": 1, "namespace": "acme", "name": name, "oid": format!("1.3.6.1.4.1.64500.1.{arc}"),
            "contexts": [""], "sources": [],
            "scalars": [{"name": "tenant", "oid": "1", "syntax": "DisplayString", "value": {"constant": "acme"}}],
        });
        let subtree = Arc::new(sidecar_config::parse(document.to_string().as_bytes()).unwrap());
        Document { file: sidecar_config::file_name(name), hash: 1, subtree }
    }

    /// Returns the last arcs of the exported base OIDs.
    fn exported(exports: &ExportTable) -> Vec<u32> {
        exports.in_context("").iter().filter_map(|export| export.base.last().copied()).collect()
    }

    /// Runs all tasks until they wait or end, including those that are started meanwhile.
    async fn settle(subtrees: &mut SubtreeSupervisor) {
        for _ in 0..2 {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            subtrees.restart_failed(Instant::now());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn panicked_pipeline_is_withdrawn_and_restarted_while_the_others_continue() {
        let (exports, state) = (ExportTable::new(), StateDirectory::new(None));
        let status = Status::new("web-0", Vec::new(), state.clone(), Arc::default());
        let mut subtrees = SubtreeSupervisor::new(PipelineEnvironment {
            sets: crate::set::SetCoordinator::inactive(),
            sources: SourceSettings::default(),
            pod_index: 1,
            state,
            exports: exports.clone(),
            status: status.clone(),
        });
        let documents = [document("one", 1), document("two", 2)];
        let name = SubtreeName::of(&documents[0].subtree);
        let documents = documents.map(|document| (SubtreeName::of(&document.subtree), document));
        let selection = Selection { documents: documents.into(), ..Selection::default() };
        subtrees.apply(&selection, 1);
        settle(&mut subtrees).await;
        assert_eq!(exported(&exports), [1, 2]);
        let other = Arc::clone(&exports.in_context("")[1].view);

        // Replaces the subtree's task by one that panics.
        let defect = subtrees.tasks.spawn(async { panic!("this one") });
        subtrees.running.get_mut(&name).unwrap().task.replace(defect).unwrap().abort();
        settle(&mut subtrees).await;
        assert_eq!(exported(&exports), [2]);
        let shown = serde_json::to_string(&status.subtrees()[&name]).unwrap();
        assert!(shown.contains("a defect of the sidecar") && shown.contains("this one"), "{shown}");

        advance(RESTART_DELAY / 2).await;
        settle(&mut subtrees).await;
        assert_eq!(exported(&exports), [2], "not before the delay has passed");
        advance(RESTART_DELAY / 2).await;
        settle(&mut subtrees).await;
        assert_eq!(exported(&exports), [1, 2]);
        assert!(Arc::ptr_eq(&other, &exports.in_context("")[1].view), "the other subtree was not affected");
        assert!(!serde_json::to_string(&status.subtrees()[&name]).unwrap().contains("a defect"));
    }
}
