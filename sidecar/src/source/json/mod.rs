//! JSON sources: an HTTP endpoint is asked, and JSONPaths (RFC 9535) find samples in what it answers.
//!
//! An answer is held whole, and so is what is read from it: besides the body, which `bodySizeLimit` bounds, some 16 MiB
//! at most for the document, and 8 MiB for the texts of samples.

mod document;
mod extract;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use hyper::{
    Method,
    header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue},
};
use sidecar_config::{Json, ReadMethod};

use super::{
    Cause, NameFilter, Phase,
    http::{Ask, Client, Reply, media_type},
    reader::{Place, Reading},
};
use extract::Metric;

/// An endpoint that is asked.
pub(super) struct Asker {
    client: Client,
    ask: Ask,
    body_size_limit: u64,
    sample_limit: u64,
    metrics: Result<Vec<Metric>, Cause>,
}

impl Asker {
    pub(super) fn new(json: Json, wanted: &NameFilter, place: Place) -> Self {
        let Json { endpoint, method, headers, body, body_size_limit, sample_limit, metrics } = json;
        let mut all = vec![(ACCEPT, HeaderValue::from_static("application/json"))];
        if body.is_some() && !headers.keys().any(|name| name.eq_ignore_ascii_case(CONTENT_TYPE.as_str())) {
            all.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        }
        for (name, value) in headers {
            // The document's validation lets no other names and values pass.
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
                all.retain(|(known, _)| *known != name);
                all.push((name, value));
            }
        }
        let method = match method {
            ReadMethod::Get => Method::GET,
            ReadMethod::Post => Method::POST,
        };
        let metrics = metrics.into_iter().filter(|metric| wanted.keeps(&metric.name)).map(Metric::new).collect();
        Self {
            client: Client::new(endpoint, place.folder, place.ports),
            ask: Ask { method, headers: all, body: Bytes::from(body.unwrap_or_default()) },
            body_size_limit,
            sample_limit,
            metrics,
        }
    }

    pub(super) fn location(&self) -> String {
        self.client.display_url()
    }

    /// Asks, and takes the samples from the answer.
    pub(super) async fn read(&mut self, phase: &mut Phase) -> Result<Reading, Cause> {
        let metrics = self.metrics.as_ref().map_err(Clone::clone)?;
        let reply = self.client.exchange(&self.ask, self.body_size_limit, phase).await?;
        reply.check_status()?;
        let Reply { headers, body, delimited, .. } = reply;
        media_type::check_charset(&headers)?;
        // What ends by the end of the connection may go on; objects, arrays and strings end by themselves.
        let ends_by_itself = body.trim_ascii_end().last().is_some_and(|last| matches!(last, b'}' | b']' | b'"'));
        if !delimited && !ends_by_itself {
            return Err(Cause::CutOff);
        }
        let document = document::read(&body).map_err(|problem| problem.cause(&media_type::content_type(&headers)))?;
        drop(body);
        extract::samples(&document, metrics, self.sample_limit)
    }
}
