//! All subtrees: started, changed and ended as the configuration says.

use std::{collections::BTreeMap, time::Duration};

use agentx::SubId;
use tokio::{
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::Instant,
};

use crate::{
    config::{Document, Selection, SubtreeName},
    pipeline::{Pipeline, Surroundings},
    status::SubtreeStatus,
};

/// A subtree that ended because of a defect is started again after this long.
const RESTART: Duration = Duration::from_secs(10);

/// The running subtrees. They end when this is dropped.
pub struct Subtrees {
    around: Surroundings,
    tasks: JoinSet<()>,
    running: BTreeMap<SubtreeName, Running>,
}

/// A subtree that the configuration has.
struct Running {
    documents: watch::Sender<Document>,
    task: Option<AbortHandle>,
    /// When to start it again, if it does not run.
    restart: Option<Instant>,
}

impl Subtrees {
    /// None, yet.
    #[must_use]
    pub fn new(around: Surroundings) -> Self {
        Self { around, tasks: JoinSet::new(), running: BTreeMap::new() }
    }

    /// Serves exactly these documents from now on, in the pod with this index. A subtree whose document is as it was
    /// notices nothing.
    pub fn apply(&mut self, selection: &Selection, pod_index: SubId) {
        self.around.pod_index = pod_index;
        self.running.retain(|name, running| {
            let stays = selection.documents.contains_key(name);
            if !stays {
                tracing::info!(subtree = %name, "a subtree is withdrawn");
                if let Some(task) = &running.task {
                    task.abort();
                }
                self.around.withdraw(name);
                self.around.status.remove_subtree(name);
            }
            stays
        });
        for (name, document) in &selection.documents {
            match self.running.get_mut(name) {
                None => {
                    tracing::info!(subtree = %name, file = document.file, oid = %document.subtree.oid, "a new subtree");
                    let (documents, _) = watch::channel(document.clone());
                    let mut running = Running { documents, task: None, restart: None };
                    running.start(name, &self.around, &mut self.tasks);
                    self.running.insert(name.clone(), running);
                }
                Some(running) if running.documents.borrow().subtree != document.subtree => {
                    running.documents.send_replace(document.clone());
                    if running.task.is_none() {
                        running.start(name, &self.around, &mut self.tasks);
                    }
                }
                Some(running) => {
                    // It may stand in another file, or be written another way.
                    running.documents.send_if_modified(|known| {
                        known.clone_from(document);
                        false
                    });
                    self.around.status.subtree(name, |status| status.comes_from(document));
                }
            }
        }
    }

    /// Withdraws subtrees that ended because of a defect, and starts them again when they have waited long enough.
    pub fn tend(&mut self, now: Instant) {
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            let Err(error) = ended else { continue };
            let failed = self
                .running
                .iter_mut()
                .find(|(_, running)| running.task.as_ref().is_some_and(|task| task.id() == error.id()));
            let Some((name, running)) = failed else { continue };
            tracing::error!(subtree = %name, %error, "a defect: the subtree is withdrawn, and started again soon");
            self.around.withdraw(name);
            self.around.status.subtree(name, |status| {
                status.exported = false;
                status.error = Some(format!("a defect of the sidecar: {error}"));
            });
            (running.task, running.restart) = (None, Some(now + RESTART));
        }
        for (name, running) in &mut self.running {
            if running.restart.is_some_and(|at| at <= now) {
                running.start(name, &self.around, &mut self.tasks);
            }
        }
    }
}

impl Running {
    fn start(&mut self, name: &SubtreeName, around: &Surroundings, tasks: &mut JoinSet<()>) {
        self.restart = None;
        match Pipeline::new(self.documents.subscribe(), around.clone()) {
            Ok(pipeline) => self.task = Some(tasks.spawn(pipeline.run())),
            Err(violation) => {
                tracing::error!(subtree = %name, %violation, "a document cannot be put in force");
                let error = Some(violation.to_string());
                let status = SubtreeStatus { error, ..SubtreeStatus::new(&self.documents.borrow()) };
                around.status.set_subtree(name.clone(), status);
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
    use crate::{exports::ExportTable, source::Place, state::StateFolder, status::Status};

    /// A subtree of one constant.
    fn document(name: &str, arc: u32) -> Document {
        let document = json!({
            "version": 1, "namespace": "acme", "name": name, "oid": format!("1.3.6.1.4.1.64500.1.{arc}"),
            "contexts": [""], "sources": [],
            "scalars": [{"name": "tenant", "oid": "1", "syntax": "DisplayString", "value": {"constant": "acme"}}],
        });
        let subtree = Arc::new(sidecar_config::parse(document.to_string().as_bytes()).unwrap());
        Document { file: sidecar_config::file_name(name), hash: 1, subtree }
    }

    /// The last arcs of the OIDs that are exported.
    fn exported(exports: &ExportTable) -> Vec<u32> {
        exports.in_context("").iter().filter_map(|export| export.base.last().copied()).collect()
    }

    /// The tasks come to their ends, or to where they wait; so do those that are started because of that.
    async fn settle(subtrees: &mut Subtrees) {
        for _ in 0..2 {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            subtrees.tend(Instant::now());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_subtree_with_a_defect_is_withdrawn_and_started_again_and_the_others_go_on() {
        let (exports, state) = (ExportTable::new(), StateFolder::new(None));
        let status = Status::new("web-0", Vec::new(), state.clone(), Arc::default());
        let mut subtrees = Subtrees::new(Surroundings {
            desk: crate::write::Desk::closed(),
            place: Place::default(),
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

        // In the place of the subtree's task, one that has a defect.
        let defect = subtrees.tasks.spawn(async { panic!("this one") });
        subtrees.running.get_mut(&name).unwrap().task.replace(defect).unwrap().abort();
        settle(&mut subtrees).await;
        assert_eq!(exported(&exports), [2]);
        let shown = serde_json::to_string(&status.subtrees()[&name]).unwrap();
        assert!(shown.contains("a defect of the sidecar") && shown.contains("this one"), "{shown}");

        advance(RESTART / 2).await;
        settle(&mut subtrees).await;
        assert_eq!(exported(&exports), [2], "not at once");
        advance(RESTART / 2).await;
        settle(&mut subtrees).await;
        assert_eq!(exported(&exports), [1, 2]);
        assert!(Arc::ptr_eq(&other, &exports.in_context("")[1].view), "the other was left alone");
        assert!(!serde_json::to_string(&status.subtrees()[&name]).unwrap().contains("a defect"));
    }
}
