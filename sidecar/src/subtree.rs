//! The configured subtrees. Each one collects from its sources, maps samples and publishes views.

pub(crate) mod pipeline;
pub(crate) mod supervisor;
