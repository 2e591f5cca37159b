//! The parsing of a page of metrics.

use std::{fmt::Write as _, hint::black_box};

use anyhow::{Context, Result, ensure};
use sidecar::source::{
    NameFilter,
    exposition::{Format, Parser},
};

use super::Group;
use crate::{
    peers::contestants::Bench,
    report::row::{Row, Seen, Target, Unit},
    report::statistics::{median, processor_seconds},
};

pub(super) const GROUP: Group = Group {
    name: "parser",
    title: "Exposition parser",
    about: "A page of 200 families with 100 samples each and three labels to a sample, in the Prometheus text format, read \
            whole in this process, pinned to one processor: by our parser with every family mapped, by ours with one \
            family in a hundred, by the crate `prometheus-parse` (which knows no filter), and by a mere search for line \
            feeds with memchr, the floor. In turns; time is the processor's, and the median of fifteen rounds counts. All read the same octets; both \
            parsers must find every sample.",
    measure,
};

const ROUNDS: usize = 15;
const FAMILIES: usize = 200;
const SAMPLES: usize = 100;

fn page() -> String {
    let mut page = String::new();
    for family in 0..FAMILIES {
        // Writing to a string cannot fail.
        let _ = writeln!(
            page,
            "# HELP app_family_{family}_total Requests by handler, method and code, of family {family}."
        );
        let _ = writeln!(page, "# TYPE app_family_{family}_total counter");
        for sample in 0..SAMPLES {
            let _ = writeln!(
                page,
                "app_family_{family}_total{{handler=\"/api/v1/things/{sample}\",method=\"GET\",code=\"200\"}} {}",
                family * 1_000_003 + sample * 17
            );
        }
    }
    page
}

fn ours(page: &str, filter: &NameFilter, samples: usize) -> Result<()> {
    let mut parser = Parser::new(Format::Text, filter, u64::MAX);
    parser.feed(black_box(page.as_bytes()))?;
    ensure!(parser.samples() == samples, "{} samples, not {samples}", parser.samples());
    black_box(parser.finish()?);
    Ok(())
}

fn peer(page: &str) -> Result<()> {
    let scrape = prometheus_parse::Scrape::parse(black_box(page).lines().map(|line| Ok(line.to_owned())))?;
    ensure!(scrape.samples.len() == FAMILIES * SAMPLES, "{} samples", scrape.samples.len());
    black_box(scrape);
    Ok(())
}

fn floor(page: &str) -> Result<()> {
    let lines = memchr::memchr_iter(b'\n', black_box(page.as_bytes())).count();
    ensure!(lines == FAMILIES * (SAMPLES + 2), "{lines} lines");
    Ok(())
}

#[allow(clippy::cast_precision_loss)]
fn measure(_bench: &Bench) -> Result<Vec<Row>> {
    let page = page();
    let every = NameFilter::new((0..FAMILIES).map(|family| format!("app_family_{family}_total")));
    let few = NameFilter::new((0..FAMILIES).step_by(100).map(|family| format!("app_family_{family}_total")));
    let mut times: [Vec<f64>; 4] = Default::default();
    for _ in 0..ROUNDS {
        let [all, some, theirs, lines] = &mut times;
        all.push(processor_seconds(|| ours(&page, &every, FAMILIES * SAMPLES))?);
        some.push(processor_seconds(|| ours(&page, &few, FAMILIES / 100 * SAMPLES))?);
        theirs.push(processor_seconds(|| peer(&page))?);
        lines.push(processor_seconds(|| floor(&page))?);
    }
    let megabytes = page.len() as f64 / 1e6;
    let mut rates = times.iter().map(|times| Ok(megabytes / median(times)?)).collect::<Result<Vec<f64>>>()?.into_iter();
    let mut rate = || rates.next().context("a rate");
    let (all, some, theirs, lines) = (rate()?, rate()?, rate()?, rate()?);
    let row = |what: &str, ours: f64, least: f64| Row {
        name: format!("exposition parser, {what}"),
        unit: Unit::MegabytesPerSecond,
        ours,
        peers: vec![("prometheus-parse", Seen::Measured(theirs)), ("memchr", Seen::Measured(lines))],
        target: Target::TimesPeer(least, "prometheus-parse"),
        notes: vec![format!("a page of {megabytes:.1} MB.")],
    };
    Ok(vec![row("all families mapped", all, 15.0), row("one family in a hundred mapped", some, 50.0)])
}
