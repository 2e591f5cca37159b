//! An API server in memory for tests, with what the master uses: Secrets, pods and Leases of one namespace.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use futures::{channel::mpsc, stream};
use http_body_util::{BodyExt as _, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Frame};
use k8s_openapi::ByteString;
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tower::service_fn;

type Key = (String, String);
type Response = http::Response<UnsyncBoxBody<Bytes, io::Error>>;
type Write = Box<dyn FnOnce(&mut State) + Send>;
type Events = mpsc::UnboundedSender<Result<Frame<Bytes>, io::Error>>;

/// A fake API server. Clones share their state.
#[derive(Clone, Default)]
pub(crate) struct FakeApi(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    version: u64,
    objects: BTreeMap<Key, Value>,
    watches: Vec<(Key, Events)>,
    is_unavailable: bool,
    /// Runs right before the next write.
    before_write: Option<Write>,
    calls: u64,
}

impl FakeApi {
    pub(crate) fn client(&self) -> Client {
        let state = Arc::clone(&self.0);
        let serve = move |request: http::Request<Body>| {
            let state = Arc::clone(&state);
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
                state.lock().unwrap().serve(&parts.method, &parts.uri, &body)
            }
        };
        Client::new(service_fn(serve), "snmp")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Creates or replaces an object.
    pub(crate) fn put(&self, kind: &str, name: &str, object: Value) {
        self.state().put(kind, name, object);
    }

    /// Creates or replaces a Secret with one key.
    pub(crate) fn put_secret(&self, name: &str, key: &str, contents: &str) {
        self.put("secrets", name, json!({"data": {key: ByteString(contents.as_bytes().to_vec())}}));
    }

    pub(crate) fn delete(&self, kind: &str, name: &str) {
        let mut state = self.state();
        let key = (kind.to_owned(), name.to_owned());
        if let Some(object) = state.objects.remove(&key) {
            state.announce(&key, "DELETED", &object);
        }
    }

    pub(crate) fn get(&self, kind: &str, name: &str) -> Option<Value> {
        self.state().objects.get(&(kind.to_owned(), name.to_owned())).cloned()
    }

    /// Returns the value of a key of a Secret.
    pub(crate) fn secret(&self, name: &str, key: &str) -> Option<String> {
        let data = self.get("secrets", name)?["data"][key].clone();
        let contents: ByteString = serde_json::from_value(data).ok()?;
        String::from_utf8(contents.0).ok()
    }

    /// Makes all calls fail and all watches break, or makes the API server available again.
    pub(crate) fn set_unavailable(&self, is_unavailable: bool) {
        let mut state = self.state();
        state.is_unavailable = is_unavailable;
        if is_unavailable {
            for (_, events) in state.watches.drain(..) {
                _ = events.unbounded_send(Err(io::ErrorKind::ConnectionReset.into()));
            }
        }
    }

    /// Ends all watches because their resourceVersion is too old.
    pub(crate) fn expire(&self) {
        let status =
            json!({"kind": "Status", "status": "Failure", "reason": "Expired", "code": 410, "message": "too old"});
        for (_, events) in self.state().watches.drain(..) {
            _ = events.unbounded_send(Ok(line(&json!({"type": "ERROR", "object": status}))));
        }
    }

    /// Makes another client write an object right before the next write.
    pub(crate) fn write_first(&self, kind: &'static str, name: &'static str, object: Value) {
        self.state().before_write = Some(Box::new(move |state| state.put(kind, name, object)));
    }

    pub(crate) fn watches(&self) -> usize {
        let mut state = self.state();
        state.watches.retain(|(_, events)| !events.is_closed());
        state.watches.len()
    }

    /// Returns the number of calls so far.
    pub(crate) fn calls(&self) -> u64 {
        self.state().calls
    }
}

impl State {
    fn put(&mut self, kind: &str, name: &str, mut object: Value) {
        self.version += 1;
        object["metadata"]["name"] = json!(name);
        object["metadata"]["namespace"] = json!("snmp");
        object["metadata"]["uid"] = json!(format!("uid-of-{name}"));
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let key = (kind.to_owned(), name.to_owned());
        let event = if self.objects.contains_key(&key) { "MODIFIED" } else { "ADDED" };
        self.announce(&key, event, &object);
        self.objects.insert(key, object);
    }

    fn announce(&mut self, key: &Key, event: &str, object: &Value) {
        let event = json!({"type": event, "object": object});
        self.watches.retain(|(watched, events)| watched != key || events.unbounded_send(Ok(line(&event))).is_ok());
    }

    fn serve(&mut self, method: &http::Method, uri: &http::Uri, body: &[u8]) -> io::Result<Response> {
        self.calls += 1;
        if self.is_unavailable {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let steps: Vec<_> = uri.path().split('/').skip_while(|part| *part != "namespaces").skip(2).collect();
        let (kind, name) = (steps[0].to_owned(), steps.get(1).map(|name| (*name).to_owned()));
        let query = uri.query().unwrap_or_default();
        let selected = query.split('&').find_map(|field| field.strip_prefix("fieldSelector=metadata.name%3D"));
        match (method.as_str(), name) {
            ("GET", None) if query.contains("watch=true") => {
                let (events, receiver) = mpsc::unbounded();
                self.watches.push(((kind, selected.expect("a name").to_owned()), events));
                Ok(http::Response::new(StreamBody::new(receiver).boxed_unsync()))
            }
            ("GET", None) => {
                let of_kind = self
                    .objects
                    .iter()
                    .filter(|((there, name), _)| *there == kind && selected.is_none_or(|selected| selected == name));
                let items: Vec<_> = of_kind.map(|(_, object)| object.clone()).collect();
                let version = self.version.to_string();
                Ok(respond(200, &json!({"metadata": {"resourceVersion": version}, "items": items})))
            }
            ("GET", Some(name)) => Ok(match self.objects.get(&(kind, name)) {
                Some(object) => respond(200, object),
                None => failure(404, "NotFound"),
            }),
            ("POST", None) => {
                self.write_before();
                let object: Value = serde_json::from_slice(body).unwrap();
                let name = object["metadata"]["name"].as_str().expect("a name").to_owned();
                let key = (kind.clone(), name.clone());
                if self.objects.contains_key(&key) {
                    return Ok(failure(409, "AlreadyExists"));
                }
                self.put(&kind, &name, object);
                Ok(respond(201, &self.objects[&key]))
            }
            ("PATCH", Some(name)) => {
                self.write_before();
                let key = (kind.clone(), name.clone());
                let Some(mut object) = self.objects.get(&key).cloned() else { return Ok(failure(404, "NotFound")) };
                let patch: Value = serde_json::from_slice(body).unwrap();
                let version = &patch["metadata"]["resourceVersion"];
                if !version.is_null() && *version != object["metadata"]["resourceVersion"] {
                    return Ok(failure(409, "Conflict"));
                }
                merge(&mut object, &patch);
                self.put(&kind, &name, object);
                Ok(respond(200, &self.objects[&key]))
            }
            (method, name) => panic!("{method} of {kind}/{name:?} is not supported"),
        }
    }

    fn write_before(&mut self) {
        if let Some(write) = self.before_write.take() {
            write(self);
        }
    }
}

/// Applies a JSON merge patch (RFC 7386).
fn merge(object: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = json!({});
    }
    for (name, value) in patch {
        if value.is_null() {
            object.as_object_mut().unwrap().remove(name);
        } else {
            merge(&mut object[name], value);
        }
    }
}

fn line(event: &Value) -> Frame<Bytes> {
    Frame::data(Bytes::from(format!("{event}\n")))
}

fn respond(code: u16, body: &Value) -> Response {
    let body = stream::iter([Ok::<_, io::Error>(Frame::data(Bytes::from(body.to_string())))]);
    http::Response::builder().status(code).body(StreamBody::new(body).boxed_unsync()).unwrap()
}

fn failure(code: u16, reason: &str) -> Response {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
        "message": format!("{reason}"),
    });
    respond(code, &status)
}
