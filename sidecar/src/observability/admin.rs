//! The admin server: metrics for everyone, status and walks on the loopback address.

use std::sync::Arc;

use daemon::{
    admin::{Admin, Body, Query, Reply},
    readiness::Readiness,
};
use hyper::StatusCode;
use prometheus_client::registry::Registry;

use crate::{
    observability::{metrics::Metrics, status::Status},
    view::{exports::ExportTable, text},
};

/// Creates the admin server, with `/status` and `/walk?context=NAME` on its local face.
pub(crate) fn server(readiness: Readiness, status: &Status, exports: &ExportTable) -> Admin {
    let mut registry = Registry::with_prefix("snmp_sidecar");
    registry.register_collector(Box::new(Metrics::new(status.clone())));
    let (status, exports) = (status.clone(), exports.clone());
    Admin::new(readiness, registry)
        .local_route("/status", move |_| Reply::json(status.to_json()))
        .local_route("/walk", move |query| walk_context(query, &exports))
}

fn walk_context(query: &Query<'_>, exports: &ExportTable) -> Reply {
    let context = query.get("context").unwrap_or_default();
    let exports_in_context = exports.in_context(&context);
    if exports_in_context.is_empty() {
        let contexts: Vec<_> = exports.contexts().iter().map(|name| format!("{name:?}")).collect();
        let contexts = if contexts.is_empty() { "none".to_owned() } else { contexts.join(", ") };
        return Reply::text(
            StatusCode::NOT_FOUND,
            format!("nothing is served in the context {context:?}; contexts: {contexts}\n"),
        );
    }
    let views = exports_in_context.iter().map(|export| Arc::clone(&export.view.load())).collect();
    Reply::text(StatusCode::OK, Body::Pieces(Box::new(text::chunks(views))))
}

#[cfg(test)]
mod tests {
    use daemon::{admin::Face, drain};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::*;
    use crate::{
        config::SubtreeName,
        state::StateDirectory,
        view::{MibView, exports::Export},
    };

    /// Returns a table with an export in the context `acme`, with one instance.
    fn exports() -> ExportTable {
        let mut view = MibView::new("1.3.6.1.4.1.5".parse().unwrap(), vec!["1".parse().unwrap()]);
        view.push(&[1], &[0], agentx::ValueRef::Gauge32(5)).unwrap();
        let export = Export {
            context: "acme".to_owned(),
            base: view.base().clone(),
            regions: Vec::new(),
            view: Arc::new(arc_swap::ArcSwap::from_pointee(view)),
            capabilities: None,
            writable: false,
        };
        let exports = ExportTable::new();
        exports.set(SubtreeName { namespace: "acme".to_owned(), name: "a".to_owned() }, vec![export]);
        exports
    }

    async fn get(face: Face, target: &str) -> (String, String) {
        let status = Status::new("web-0", Vec::new(), StateDirectory::new(None), Arc::default());
        let admin = Arc::new(server(Readiness::new(), &status, &exports()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (_trigger, watcher) = drain::channel();
        tokio::spawn(admin.serve(listener, face, watcher));
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("GET {target} HTTP/1.0\r\n\r\n").as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }

    #[tokio::test]
    async fn a_walk_shows_one_context_as_text() {
        let (status, body) = get(Face::Local, "/walk?context=acme").await;
        assert!(status.ends_with("200 OK"), "{status}");
        assert_eq!(body, ".1.3.6.1.4.1.5.1.0 = Gauge32: 5\n");
    }

    #[tokio::test]
    async fn unknown_context_is_answered_with_the_names_of_contexts() {
        let (status, body) = get(Face::Local, "/walk").await;
        assert!(status.ends_with("404 Not Found"), "{status}");
        assert_eq!(body, "nothing is served in the context \"\"; contexts: \"acme\"\n");
    }

    #[tokio::test]
    async fn status_is_json_and_metrics_are_openmetrics() {
        let (_, status) = get(Face::Local, "/status").await;
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        assert_eq!((&status["pod"], &status["configuration"]["loaded"]), (&"web-0".into(), &false.into()));
        let (_, metrics) = get(Face::Public, "/metrics").await;
        assert!(metrics.contains("\nsnmp_sidecar_config_loaded 0\n") && metrics.ends_with("# EOF\n"), "{metrics}");
    }

    #[tokio::test]
    async fn tenant_data_is_not_on_the_public_face() {
        for target in ["/status", "/walk", "/walk?context=acme"] {
            assert!(get(Face::Public, target).await.0.ends_with("404 Not Found"), "{target}");
        }
    }
}
