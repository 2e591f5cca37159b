//! Scrapes of a Prometheus endpoint: the page is parsed as it comes.

use std::{thread, time::Duration};

use sidecar_config::Prometheus;

use super::{Format, Parser};
use crate::source::{
    Cause, NameFilter, Phase,
    http::Client,
    reader::{Place, Reading},
};

/// How much of a page is read in one go, in octets: about a tenth of a millisecond's work.
const PIECE: usize = 32 << 10;

/// An endpoint that is scraped.
pub(in crate::source) struct Scraper {
    prometheus: Prometheus,
    wanted: NameFilter,
    client: Client,
}

impl Scraper {
    pub(in crate::source) fn new(prometheus: Prometheus, wanted: NameFilter, place: Place) -> Self {
        let client = Client::new(prometheus.endpoint.clone(), place.folder, place.ports);
        Self { prometheus, wanted, client }
    }

    pub(in crate::source) fn location(&self) -> String {
        self.client.display_url()
    }

    /// Gets the page, and reads it as it comes.
    pub(in crate::source) async fn read(&mut self, timeout: Duration, phase: &mut Phase) -> Result<Reading, Cause> {
        let Prometheus { body_size_limit, sample_limit, .. } = self.prometheus;
        let mut parser = None;
        let delimited = self
            .client
            .get(timeout, body_size_limit, phase, |format| {
                let parser = parser.insert((Parser::new(format, &self.wanted, sample_limit), format));
                |data: &[u8]| {
                    data.chunks(PIECE).try_for_each(|piece| {
                        parser.0.feed(piece)?;
                        // The sessions may share this processor.
                        thread::yield_now();
                        Ok(())
                    })
                }
            })
            .await?;
        let Some((parser, format)) = parser else { return Ok(Reading::default()) };
        // A server that ends the body by closing the connection may as well have died in the middle of it.
        if format == Format::Text && !delimited && !parser.is_at_line_start() {
            return Err(Cause::CutOff);
        }
        let duplicates = parser.duplicates();
        Ok(Reading { samples: parser.finish()?, duplicates })
    }
}
