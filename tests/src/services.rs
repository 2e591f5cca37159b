//! The services that a sidecar or master meets: applications, databases, and the API server that reviews tokens.

pub(crate) mod application;
pub(crate) mod certificate_authority;
pub(crate) mod exporter;
pub(crate) mod labels;
pub(crate) mod pod_token;
pub(crate) mod postgres;
pub(crate) mod tcp_server;
pub(crate) mod token_reviewer;
