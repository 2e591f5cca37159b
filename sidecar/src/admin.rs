//! What the admin server shows of the sidecar: metrics to all, status and walks on loopback.

use std::sync::Arc;

use daemon::{
    admin::{Admin, Body, Query, Reply},
    readiness::Readiness,
};
use hyper::StatusCode;
use prometheus_client::registry::Registry;

use crate::{exports::ExportTable, metrics::Metrics, status::Status, walk};

/// The admin server, with `/status` and `/walk?context=NAME` on its local face.
#[must_use]
pub fn server(readiness: Readiness, status: &Status, exports: &ExportTable) -> Admin {
    let mut registry = Registry::with_prefix("snmp_sidecar");
    registry.register_collector(Box::new(Metrics::new(status.clone())));
    let (status, exports) = (status.clone(), exports.clone());
    Admin::new(readiness, registry)
        .local_route("/status", move |_| Reply::json(status.to_json()))
        .local_route("/walk", move |query| walk_context(query, &exports))
}

fn walk_context(query: &Query<'_>, exports: &ExportTable) -> Reply {
    let context = query.get("context").unwrap_or_default();
    let exports_there = exports.in_context(&context);
    if exports_there.is_empty() {
        let known: Vec<_> = exports.contexts().iter().map(|name| format!("{name:?}")).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Reply::text(StatusCode::NOT_FOUND, format!("nothing is served in {context:?}; contexts: {known}\n"));
    }
    let views = exports_there.iter().map(|export| Arc::clone(&export.view.load())).collect();
    Reply::text(StatusCode::OK, Body::Pieces(Box::new(walk::pieces(views))))
}
