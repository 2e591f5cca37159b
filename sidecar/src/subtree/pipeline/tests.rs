//! Pipelines with an exporter on the loopback address, from the document to what a session would serve.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::{config::Selection, subtree::supervisor::SubtreeSupervisor, view::text::Line};

/// The longest time that a test waits.
const DEADLINE: Duration = Duration::from_secs(30);

/// An exporter with a changeable page. Without a page it accepts connections and never responds.
#[derive(Clone)]
struct Exporter {
    address: SocketAddr,
    page: Arc<Mutex<Option<String>>>,
}

impl Exporter {
    async fn start(page: Option<&str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let exporter =
            Self { address: listener.local_addr().unwrap(), page: Arc::new(Mutex::new(page.map(str::to_owned))) };
        let page = Arc::clone(&exporter.page);
        tokio::spawn(async move {
            let mut silent = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let page = page.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let Some(page) = page else {
                    silent.push(stream);
                    continue;
                };
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close";
                let response = format!("{head}\r\nContent-Length: {}\r\n\r\n{page}", page.len());
                let _ = stream.write_all(response.as_bytes()).await;
            }
        });
        exporter
    }

    fn show(&self, page: &str) {
        *self.page.lock().unwrap() = Some(page.to_owned());
    }
}

/// Returns the document of a subtree with a constant, a gauge, and a table with an Assigned index.
fn document(name: &str, exporter: &Exporter, change: impl FnOnce(&mut serde_json::Value)) -> Document {
    let mut document = json!({
        "version": 1, "namespace": "acme", "name": name, "oid": "1.3.6.1.4.1.64500.1.1", "contexts": [""],
        "sources": [{
            "name": "app", "intervalMs": 500, "timeoutMs": 500, "staleAfterMs": 60_000,
            "prometheus": {
                "scheme": "http", "port": exporter.address.port(), "path": "/metrics",
                "bodySizeLimit": 1_000_000, "sampleLimit": 1000,
            },
        }],
        "scalars": [
            {"name": "tenant", "oid": "1", "syntax": "DisplayString", "value": {"constant": "acme"}},
            {"name": "users", "oid": "2", "syntax": "Gauge32", "value": {"source": "app", "metric": "users"}},
        ],
        "tables": [{
            "name": "queueTable", "oid": "3",
            "index": [{"name": "queueIndex", "oid": 1, "label": "queue", "as": "Assigned"}],
            "columns": [{
                "name": "queueName", "oid": 2, "syntax": "DisplayString",
                "value": {"source": "app", "metric": "depth", "label": "queue"},
            }],
        }],
    });
    change(&mut document);
    let subtree = Arc::new(sidecar_config::parse(document.to_string().as_bytes()).unwrap());
    Document { file: sidecar_config::file_name(name), hash: 1, subtree }
}

fn selection(documents: impl IntoIterator<Item = Document>) -> Selection {
    let named = documents.into_iter().map(|document| (SubtreeName::of(&document.subtree), document));
    Selection { documents: named.collect(), ..Selection::default() }
}

struct Sidecar {
    subtrees: SubtreeSupervisor,
    exports: ExportTable,
    status: Status,
}

impl Sidecar {
    fn start(state: StateDirectory) -> Self {
        let exports = ExportTable::new();
        let status = Status::new("web-0", Vec::new(), state.clone(), Arc::default());
        let environment = PipelineEnvironment {
            sets: crate::set::SetCoordinator::inactive(),
            sources: SourceSettings::default(),
            pod_index: 1,
            state,
            exports: exports.clone(),
            status: status.clone(),
        };
        Self { subtrees: SubtreeSupervisor::new(environment), exports, status }
    }

    fn apply(&mut self, documents: impl IntoIterator<Item = Document>) {
        self.subtrees.apply(&selection(documents), 1);
    }

    /// Returns the result of a walk in the default context, by the last arcs of the OID.
    fn walk(&self) -> BTreeMap<String, String> {
        let exports = self.exports.in_context("");
        let views: Vec<_> = exports.iter().map(|export| export.view.load_full()).collect();
        let lines: Vec<_> = views.iter().flat_map(|view| view.iter().map(|i| Line(i).to_string())).collect();
        let lines = lines.iter().map(|line| line.split_once(" = ").unwrap());
        lines.map(|(oid, value)| (oid.trim_start_matches(".1.3.6.1.4.1.64500.").to_owned(), value.to_owned())).collect()
    }

    /// Waits until the result of a walk equals `expected`.
    async fn awaits(&self, expected: &[(&str, &str)]) {
        let expected: BTreeMap<_, _> = expected.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let found = async {
            while self.walk() != expected {
                time::sleep(Duration::from_millis(5)).await;
            }
        };
        let in_time = time::timeout(DEADLINE, found).await.is_ok();
        assert!(in_time, "after {DEADLINE:?}: {:#?}, not {expected:#?}", self.walk());
    }
}

const TENANT: (&str, &str) = ("1.1.1.0", "STRING: \"acme\"");
const PAGE: &str = "users 5\ndepth{queue=\"b\"} 1\ndepth{queue=\"a\"} 2\n";

#[tokio::test]
async fn subtree_is_published_complete_and_follows_its_source() {
    let exporter = Exporter::start(Some(PAGE)).await;
    let mut sidecar = Sidecar::start(StateDirectory::new(None));
    let mut sessions = sidecar.exports.subscribe();
    sidecar.apply([document("a", &exporter, |_| {})]);
    assert!(sidecar.walk().is_empty(), "the subtree is published before the first collection");
    time::timeout(DEADLINE, sessions.changed()).await.unwrap().unwrap();
    let rows = [("1.1.3.1.2.1", "STRING: \"b\""), ("1.1.3.1.2.2", "STRING: \"a\"")];
    sidecar.awaits(&[TENANT, ("1.1.2.0", "Gauge32: 5"), rows[0], rows[1]]).await;

    exporter.show("users 6\ndepth{queue=\"c\"} 1\ndepth{queue=\"a\"} 2\n");
    sidecar.awaits(&[TENANT, ("1.1.2.0", "Gauge32: 6"), rows[1], ("1.1.3.1.2.3", "STRING: \"c\"")]).await;
    let status = &sidecar.status.subtrees()[&SubtreeName { namespace: "acme".to_owned(), name: "a".to_owned() }];
    assert!(status.exported && sidecar.status.is_everything_collected());
    assert_eq!((status.sources[0].up, status.assigned["queueTable.queueIndex"]), (Some(true), 3));
}

#[tokio::test(start_paused = true)]
async fn hanging_source_does_not_hide_constants() {
    let exporter = Exporter::start(None).await;
    let mut sidecar = Sidecar::start(StateDirectory::new(None));
    let begin = time::Instant::now();
    let patient = |d: &mut serde_json::Value| {
        d["sources"][0]["intervalMs"] = json!(20_000);
        d["sources"][0]["timeoutMs"] = json!(20_000);
    };
    sidecar.apply([document("a", &exporter, patient)]);
    sidecar.awaits(&[TENANT]).await;
    assert!(
        begin.elapsed() >= FIRST_COLLECTION_TIMEOUT && begin.elapsed() < 2 * FIRST_COLLECTION_TIMEOUT,
        "{:?}",
        begin.elapsed()
    );
    assert!(!sidecar.status.is_everything_collected());
}

#[tokio::test]
async fn changed_document_keeps_row_numbers_without_a_gap() {
    let exporter = Exporter::start(Some(PAGE)).await;
    let mut sidecar = Sidecar::start(StateDirectory::new(None));
    sidecar.apply([document("a", &exporter, |_| {})]);
    let rows = [("1.1.3.1.2.1", "STRING: \"b\""), ("1.1.3.1.2.2", "STRING: \"a\"")];
    sidecar.awaits(&[TENANT, ("1.1.2.0", "Gauge32: 5"), rows[0], rows[1]]).await;

    exporter.show("users 7\ndepth{queue=\"a\"} 2\n");
    sidecar.apply([document("a", &exporter, |d| d["scalars"][1]["value"]["scale"] = json!(10))]);
    let sidecar_seen = async {
        loop {
            let walk = sidecar.walk();
            assert!(walk.contains_key("1.1.2.0"), "a gap: {walk:?}");
            if walk["1.1.2.0"] == "Gauge32: 70" {
                break walk;
            }
            time::sleep(Duration::from_millis(1)).await;
        }
    };
    let walk = time::timeout(DEADLINE, sidecar_seen).await.unwrap();
    assert_eq!(walk.get(rows[1].0).map(String::as_str), Some(rows[1].1));
}

#[tokio::test]
async fn counter_does_not_decrease_when_its_subtree_changes() {
    let exporter = Exporter::start(Some("served_total 100\n")).await;
    let mut sidecar = Sidecar::start(StateDirectory::new(None));
    let value = json!({"source": "app", "metric": "served_total"});
    let counter = |d: &mut serde_json::Value| {
        d["scalars"][1] = json!({"name": "served", "oid": "2", "syntax": "Counter64", "value": value});
    };
    sidecar.apply([document("a", &exporter, counter)]);
    sidecar.awaits(&[TENANT, ("1.1.2.0", "Counter64: 100")]).await;
    exporter.show("served_total 10\n");
    sidecar.awaits(&[TENANT, ("1.1.2.0", "Counter64: 110")]).await;
    let changed = |d: &mut serde_json::Value| {
        counter(d);
        d["scalars"][0]["value"]["constant"] = json!("umbrella");
    };
    sidecar.apply([document("a", &exporter, changed)]);
    sidecar.awaits(&[("1.1.1.0", "STRING: \"umbrella\""), ("1.1.2.0", "Counter64: 110")]).await;
}

#[tokio::test]
async fn moved_subtree_is_served_at_its_new_base_only() {
    let exporter = Exporter::start(Some("users 5\n")).await;
    let mut sidecar = Sidecar::start(StateDirectory::new(None));
    sidecar.apply([document("a", &exporter, |_| {})]);
    sidecar.awaits(&[TENANT, ("1.1.2.0", "Gauge32: 5")]).await;
    sidecar.apply([document("a", &exporter, |d| d["oid"] = json!("1.3.6.1.4.1.64500.1.2"))]);
    sidecar.awaits(&[("1.2.1.0", TENANT.1), ("1.2.2.0", "Gauge32: 5")]).await;
}

#[tokio::test]
async fn change_of_one_subtree_does_not_affect_the_others() {
    let exporter = Exporter::start(Some("users 5\n")).await;
    let mut sidecar = Sidecar::start(StateDirectory::new(None));
    let other = document("b", &exporter, |d| d["oid"] = json!("1.3.6.1.4.1.64500.1.2"));
    let at_b = [("1.2.1.0", TENANT.1), ("1.2.2.0", "Gauge32: 5")];
    sidecar.apply([document("a", &exporter, |_| {}), other.clone()]);
    sidecar.awaits(&[TENANT, ("1.1.2.0", "Gauge32: 5"), at_b[0], at_b[1]]).await;
    let name = SubtreeName::of(&other.subtree);
    let view = |sidecar: &Sidecar| Arc::clone(&sidecar.exports.in_context("").last().unwrap().view);
    let (before, scrapes) = (view(&sidecar), sidecar.status.subtrees()[&name].sources[0].scrapes);

    sidecar.apply([other]);
    sidecar.awaits(&at_b).await;
    assert!(Arc::ptr_eq(&before, &view(&sidecar)));
    assert!(sidecar.status.subtrees()[&name].sources[0].scrapes >= scrapes, "its scraping was not begun anew");
    assert_eq!(sidecar.status.subtrees().len(), 1);
}

#[tokio::test]
async fn row_numbers_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let state = || StateDirectory::new(Some(dir.path().to_owned()));
    let exporter = Exporter::start(Some(PAGE)).await;
    let mut sidecar = Sidecar::start(state());
    sidecar.apply([document("a", &exporter, |_| {})]);
    let rows = [("1.1.3.1.2.1", "STRING: \"b\""), ("1.1.3.1.2.2", "STRING: \"a\"")];
    sidecar.awaits(&[TENANT, ("1.1.2.0", "Gauge32: 5"), rows[0], rows[1]]).await;
    drop(sidecar);

    exporter.show("users 5\ndepth{queue=\"c\"} 1\ndepth{queue=\"a\"} 2\n");
    let mut sidecar = Sidecar::start(state());
    sidecar.apply([document("a", &exporter, |_| {})]);
    sidecar.awaits(&[TENANT, ("1.1.2.0", "Gauge32: 5"), rows[1], ("1.1.3.1.2.3", "STRING: \"c\"")]).await;
}

#[tokio::test]
async fn values_become_stale_although_no_collection_ends() {
    let exporter = Exporter::start(Some("users 5\n")).await;
    let mut sidecar = Sidecar::start(StateDirectory::new(None));
    let long = |d: &mut serde_json::Value| {
        for (field, ms) in [("intervalMs", 1000), ("timeoutMs", 1000), ("staleAfterMs", 1000)] {
            d["sources"][0][field] = json!(ms);
        }
    };
    sidecar.apply([document("a", &exporter, long)]);
    sidecar.awaits(&[TENANT, ("1.1.2.0", "Gauge32: 5")]).await;
    *exporter.page.lock().unwrap() = None;
    sidecar.awaits(&[TENANT]).await;
}
