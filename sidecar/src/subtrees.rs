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
                self.around.exports.remove(name);
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
            self.around.exports.remove(name);
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
