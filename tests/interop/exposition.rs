//! The exposition parser beside `prometheus_client`, the Python library of the Prometheus project.

mod differences;
mod generated;
mod peer;

use std::{cell::RefCell, collections::BTreeMap};

use anyhow::{Result, anyhow, ensure};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use sidecar::source::{
    NameFilter,
    exposition::{Format, Parser},
};

use peer::{Peer, Sample};

const FORMATS: [Format; 2] = [Format::Text, Format::OpenMetrics];

/// Parses a page with our parser.
fn read(format: Format, page: &str) -> Result<Vec<Sample>> {
    let filter = NameFilter::all();
    let mut parser = Parser::new(format, &filter, 1_000_000);
    parser.feed(page.as_bytes())?;
    let samples = parser.finish()?;
    let owned = |(name, text): (&str, &str)| (name.to_owned(), text.to_owned());
    let read = |sample: sidecar::sample::Sample<'_>| Sample {
        name: sample.name.to_owned(),
        labels: sample.labels.iter().map(owned).collect(),
        value: sample.value.as_f64(),
    };
    Ok(samples.iter().map(read).collect())
}

#[test]
fn both_parsers_read_the_same_samples_from_generated_pages() -> Result<()> {
    let peer = RefCell::new(Peer::start()?);
    for format in FORMATS {
        let config = Config { cases: 300, failure_persistence: None, ..Config::default() };
        let agree = |page: String| {
            let theirs = peer.borrow_mut().read(format, &page);
            let theirs = theirs.map_err(|error| TestCaseError::fail(format!("theirs: {error:#}\n{page}")))?;
            let ours = read(format, &page).map_err(|error| TestCaseError::fail(format!("ours: {error:#}\n{page}")))?;
            prop_assert_eq!(ours, theirs, "{}", page);
            Ok(())
        };
        TestRunner::new(config).run(&generated::page(format), agree).map_err(|error| anyhow!("{error}"))?;
    }
    Ok(())
}

#[test]
fn pages_that_prometheus_client_writes_are_read_correctly() -> Result<()> {
    let mut peer = Peer::start()?;
    for seed in 0..200 {
        let written = peer.write(seed)?;
        for (format, page) in [(Format::Text, &written.text), (Format::OpenMetrics, &written.openmetrics)] {
            // The text format orders some families differently.
            let sorted = |samples: Vec<Sample>| -> BTreeMap<_, _> {
                samples.into_iter().map(|sample| ((sample.name.clone(), sample.labels.clone()), sample)).collect()
            };
            let (ours, expected) = (sorted(read(format, page)?), sorted(written.samples.clone()));
            ensure!(expected.len() == written.samples.len(), "seed {seed}: two samples have the same name and labels");
            ensure!(ours == expected, "seed {seed}: {ours:#?}\nof\n{page}\ninstead of {expected:#?}");
        }
    }
    Ok(())
}
