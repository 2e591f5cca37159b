//! The Python process that reads and writes pages with `prometheus_client`.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
};

use anyhow::{Context, Result, bail};
use harness::{DEADLINE, python, repository};
use serde_json::{Value, json};
use sidecar::source::exposition::Format;

/// A sample. In comparisons, NaN equals NaN, and the zeros of different sign differ.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) value: f64,
}

impl PartialEq for Sample {
    fn eq(&self, other: &Self) -> bool {
        let same_value = self.value.to_bits() == other.value.to_bits() || (self.value.is_nan() && other.value.is_nan());
        same_value && self.name == other.name && self.labels == other.labels
    }
}

/// Two pages with the same families, one in each format, and their samples.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) text: String,
    pub(super) openmetrics: String,
    pub(super) samples: Vec<Sample>,
}

/// The running script `tests/python/exposition.py`.
#[derive(Debug)]
pub(super) struct Peer {
    child: Child,
    answers: mpsc::Receiver<std::io::Result<String>>,
}

impl Peer {
    pub(super) fn start() -> Result<Self> {
        let mut child = Command::new(python()?)
            .arg(repository().join("tests/python/exposition.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = BufReader::new(child.stdout.take().context("no output")?);
        let (send, answers) = mpsc::channel();
        thread::spawn(move || output.lines().try_for_each(|line| send.send(line)));
        Ok(Self { child, answers })
    }

    /// Parses a page. Returns an error if the script refuses it.
    pub(super) fn read(&mut self, format: Format, page: &str) -> Result<Vec<Sample>> {
        let format = match format {
            Format::Text => "text",
            Format::OpenMetrics => "openmetrics",
        };
        samples(&self.request(&json!({"read": page, "format": format}))?)
    }

    /// Writes a page of random families in both formats.
    pub(super) fn write(&mut self, seed: u32) -> Result<Written> {
        let answer = self.request(&json!({"write": seed}))?;
        Ok(Written {
            text: text(&answer["text"])?,
            openmetrics: text(&answer["openmetrics"])?,
            samples: samples(&answer)?,
        })
    }

    fn request(&mut self, request: &Value) -> Result<Value> {
        writeln!(self.child.stdin.as_mut().context("no input")?, "{request}")?;
        let answer = self.answers.recv_timeout(DEADLINE).context("no response from the Python process")??;
        Ok(serde_json::from_str(&answer)?)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // The process may hang without reading the end of its input.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn samples(answer: &Value) -> Result<Vec<Sample>> {
    if let Some(error) = answer["error"].as_str() {
        bail!("{error}");
    }
    answer["samples"].as_array().context("no samples")?.iter().map(sample).collect()
}

fn sample(sample: &Value) -> Result<Sample> {
    let labels = sample[1].as_object().context("no labels")?;
    let labels: Result<_> = labels.iter().map(|(name, value)| Ok((name.clone(), text(value)?))).collect();
    let bits = u64::from_str_radix(&text(&sample[2])?, 16)?;
    Ok(Sample { name: text(&sample[0])?, labels: labels?, value: f64::from_bits(bits) })
}

fn text(value: &Value) -> Result<String> {
    value.as_str().map(str::to_owned).context("expected a string")
}
