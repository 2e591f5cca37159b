//! JSON sources. JSONPaths (RFC 9535) select the samples in the response of an HTTP endpoint.
//!
//! The whole response is kept in memory. `bodySizeLimit` limits the body. The parsed document takes at most about 16
//! MiB, and the texts of the samples 8 MiB.

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
    collection::Collection,
    error::{Phase, SourceError},
    http::{Client, HttpRequest, HttpResponse, media_type},
    name_filter::NameFilter,
    settings::SourceSettings,
};
use extract::Metric;

/// A JSON source.
pub(super) struct JsonReader {
    client: Client,
    request: HttpRequest,
    body_size_limit: u64,
    sample_limit: u64,
    metrics: Result<Vec<Metric>, SourceError>,
}

impl JsonReader {
    pub(super) fn new(json: Json, wanted: &NameFilter, settings: SourceSettings) -> Self {
        let Json { endpoint, method, headers, body, body_size_limit, sample_limit, metrics } = json;
        let mut all = vec![(ACCEPT, HeaderValue::from_static("application/json"))];
        if body.is_some() && !headers.keys().any(|name| name.eq_ignore_ascii_case(CONTENT_TYPE.as_str())) {
            all.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        }
        for (name, value) in headers {
            // The validation of the document only allows valid names and values.
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
                all.retain(|(existing, _)| *existing != name);
                all.push((name, value));
            }
        }
        let method = match method {
            ReadMethod::Get => Method::GET,
            ReadMethod::Post => Method::POST,
        };
        let metrics = metrics.into_iter().filter(|metric| wanted.keeps(&metric.name)).map(Metric::new).collect();
        Self {
            client: Client::new(endpoint, settings.directory, settings.ports),
            request: HttpRequest { method, headers: all, body: Bytes::from(body.unwrap_or_default()) },
            body_size_limit,
            sample_limit,
            metrics,
        }
    }

    pub(super) fn location(&self) -> String {
        self.client.display_url()
    }

    /// Sends the request, and extracts the samples from the response.
    pub(super) async fn read(&mut self, phase: &mut Phase) -> Result<Collection, SourceError> {
        let metrics = self.metrics.as_ref().map_err(Clone::clone)?;
        let response = self.client.exchange(&self.request, self.body_size_limit, phase).await?;
        response.check_status()?;
        let HttpResponse { headers, body, delimited, .. } = response;
        media_type::check_charset(&headers)?;
        // A body that ends with the connection may be truncated, unless it ends like an object, array or string.
        let is_complete = body.trim_ascii_end().last().is_some_and(|last| matches!(last, b'}' | b']' | b'"'));
        if !delimited && !is_complete {
            return Err(SourceError::Truncated);
        }
        let document =
            document::parse(&body).map_err(|error| error.into_source_error(&media_type::content_type(&headers)))?;
        drop(body);
        extract::samples(&document, metrics, self.sample_limit)
    }
}
