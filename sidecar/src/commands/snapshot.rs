//! One collection of every source, and the resulting views.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use agentx::SubId;
use sidecar_config::{Valid, Violation};
use tokio::time::Instant;

use crate::{
    config::{Document, SubtreeName},
    mapping::{Assignments, Mapper},
    source::{CollectionError, NameFilter, SourceSettings, Task},
    view::MibView,
};

/// The views of each context, sorted by base OID, and the collections that failed.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    /// The views by context.
    pub(super) contexts: BTreeMap<String, Vec<Arc<MibView>>>,
    /// The errors of failed collections, with their subtrees.
    pub(super) errors: Vec<(SubtreeName, CollectionError)>,
}

/// Collects from the sources of `documents`, one after another. `timeout` replaces the sources' own timeouts.
///
/// # Errors
/// Returns the file and the violation of the first document that cannot be applied.
pub(super) async fn collect(
    documents: impl IntoIterator<Item = &Document>,
    settings: &SourceSettings,
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
            let report = Task::new(source, wanted, settings.clone()).collect().await;
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
