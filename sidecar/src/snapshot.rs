//! One scrape of every source, and what an NMS would see of it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use agentx::SubId;
use sidecar_config::{Valid, Violation};
use tokio::time::Instant;

use crate::{
    config::{Document, SubtreeName},
    mapping::{Assignments, Mapper},
    mib_view::MibView,
    source::{NameFilter, Place, ScrapeError, Task},
};

/// The views of each context, in the order of their base OIDs, and the scrapes that failed.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Views by context.
    pub contexts: BTreeMap<String, Vec<Arc<MibView>>>,
    /// Scrapes that failed, with their subtrees.
    pub errors: Vec<(SubtreeName, ScrapeError)>,
}

/// Scrapes the sources of `documents`, one after the other; each for at most `timeout`, where there is one.
///
/// # Errors
/// The file and the field of a document that cannot be put in force.
pub async fn take(
    documents: impl IntoIterator<Item = &Document>,
    place: &Place,
    pod_index: SubId,
    timeout: Option<Duration>,
) -> Result<Snapshot, (String, Violation)> {
    let mut snapshot = Snapshot::default();
    for document in documents {
        let subtree = Valid::clone(&document.subtree);
        let refused = |violation| (document.file.clone(), violation);
        let mut mapper = Mapper::new(subtree, pod_index, Assignments::default()).map_err(refused)?;
        for (i, source) in document.subtree.sources.iter().enumerate() {
            let mut source = source.clone();
            if let Some(timeout) = timeout {
                source.timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
            }
            let wanted = NameFilter::new(mapper.wanted(i));
            let report = Task::new(source, wanted, place.clone()).scrape().await;
            mapper.observe(i, report.outcome.as_ref().ok(), &report.health, report.at);
            if let Err(error) = report.outcome {
                snapshot.errors.push((SubtreeName::of(&document.subtree), error));
            }
        }
        let view = Arc::new(mapper.view(Instant::now().into_std()));
        for context in &document.subtree.contexts {
            snapshot.contexts.entry(context.clone()).or_default().push(Arc::clone(&view));
        }
    }
    for views in snapshot.contexts.values_mut() {
        views.sort_by(|a, b| a.base().cmp(b.base()));
    }
    Ok(snapshot)
}
