//! Prometheus sources. The page is parsed while it is received.

use std::{thread, time::Duration};

use sidecar_config::Prometheus;

use super::{
    collection::Collection,
    error::{Phase, SourceError},
    exposition::{Format, Parser},
    http::Client,
    name_filter::NameFilter,
    settings::SourceSettings,
};

/// The number of bytes that are parsed without yielding. Parsing them takes about a tenth of a millisecond.
const MAX_PIECE: usize = 32 << 10;

/// A Prometheus source.
pub(super) struct PrometheusReader {
    prometheus: Prometheus,
    wanted: NameFilter,
    client: Client,
}

impl PrometheusReader {
    pub(super) fn new(prometheus: Prometheus, wanted: NameFilter, settings: SourceSettings) -> Self {
        let client = Client::new(prometheus.endpoint.clone(), settings.directory, settings.ports);
        Self { prometheus, wanted, client }
    }

    pub(super) fn location(&self) -> String {
        self.client.display_url()
    }

    /// Scrapes the endpoint.
    pub(super) async fn read(&mut self, timeout: Duration, phase: &mut Phase) -> Result<Collection, SourceError> {
        let Prometheus { body_size_limit, sample_limit, .. } = self.prometheus;
        let mut parser = None;
        let delimited = self
            .client
            .scrape(timeout, body_size_limit, phase, |format| {
                let parser = parser.insert((Parser::new(format, &self.wanted, sample_limit), format));
                |data: &[u8]| {
                    data.chunks(MAX_PIECE).try_for_each(|piece| {
                        parser.0.feed(piece)?;
                        // The AgentX sessions may need this processor.
                        thread::yield_now();
                        Ok(())
                    })
                }
            })
            .await?;
        let Some((parser, format)) = parser else { return Ok(Collection::default()) };
        // If the server ends the body by closing the connection, it may have failed in the middle of it.
        if format == Format::Text && !delimited && !parser.is_at_line_start() {
            return Err(SourceError::Truncated);
        }
        let duplicates = parser.duplicates();
        Ok(Collection { samples: parser.finish()?, duplicates })
    }
}
