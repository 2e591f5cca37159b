//! The configuration of the sidecar: the documents in its configuration directory, and the pod's labels and name.

pub(crate) mod directory;
mod documents;
mod labels;
pub(crate) mod pod;
mod watch;

pub(crate) use documents::{Document, DocumentSet, Selection, SubtreeName};
pub(crate) use watch::Watch;
