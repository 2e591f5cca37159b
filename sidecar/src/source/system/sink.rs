//! The input and output of the collectors: files of the host, and samples.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use crate::{
    sample::{Number, Samples},
    source::{error::SourceError, name_filter::NameFilter, settings::Roots},
};

/// The maximum size of a file, in bytes. /proc/stat of a large host has about 100 KiB.
const MAX_FILE: u64 = 4 << 20;

/// The maximum number of samples in one collection. A host with 1000 processors has about 10,000.
const MAX_SAMPLES: usize = 200_000;

/// The files of the host.
pub(super) struct Files<'a> {
    pub(super) roots: &'a Roots,
}

/// The text of a file, with its path for errors.
pub(super) struct Text {
    path: PathBuf,
    text: String,
}

impl Files<'_> {
    /// Reads a file below /proc. Returns `None` if it does not exist.
    pub(super) fn proc(&self, name: &str) -> Result<Option<Text>, SourceError> {
        read(self.roots.proc.join(name))
    }

    /// Reads a file below /sys. Returns `None` if it does not exist.
    pub(super) fn sys(&self, name: &str) -> Result<Option<Text>, SourceError> {
        read(self.roots.sys.join(name))
    }
}

/// Returns whether the error means that the kernel or host does not have the file, or that it has no content now, for
/// example because a link is down.
fn is_absent(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let absent =
        [Errno::NOENT, Errno::NOTDIR, Errno::INVAL, Errno::OPNOTSUPP, Errno::ACCESS, Errno::PERM, Errno::NODEV];
    error.raw_os_error().is_some_and(|code| absent.iter().any(|errno| errno.raw_os_error() == code))
}

fn read(path: PathBuf) -> Result<Option<Text>, SourceError> {
    let mut octets = Vec::new();
    match File::open(&path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut octets)) {
        Ok(_) if octets.len() as u64 > MAX_FILE => Err(file_error(&path, "is longer than 4 MiB")),
        Ok(_) => Ok(Some(Text { path, text: String::from_utf8_lossy(&octets).into_owned() })),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(file_error(&path, &error.to_string())),
    }
}

/// Returns the error of a file.
pub(super) fn file_error(path: &Path, problem: &str) -> SourceError {
    SourceError::SystemFile { path: path.display().to_string(), problem: problem.to_owned() }
}

impl Text {
    #[cfg(test)]
    pub(super) fn of(name: &str, text: &str) -> Self {
        Self { path: name.into(), text: text.to_owned() }
    }

    pub(super) fn error(&self, problem: &str) -> SourceError {
        file_error(&self.path, problem)
    }

    /// Returns the whole text, without white space at its ends.
    pub(super) fn whole(&self) -> &str {
        self.text.trim()
    }

    /// Returns the lines.
    pub(super) fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.text.lines().zip(1..).map(|(text, number)| Line { path: &self.path, number, text })
    }

    /// Returns the first line.
    pub(super) fn line(&self) -> Line<'_> {
        Line { path: &self.path, number: 1, text: self.text.lines().next().unwrap_or_default() }
    }
}

/// A line of a file, with its number for errors.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    path: &'a Path,
    number: usize,
    pub(super) text: &'a str,
}

impl<'a> Line<'a> {
    pub(super) fn error(&self, problem: &str) -> SourceError {
        file_error(self.path, &format!("line {}: {problem}", self.number))
    }

    pub(super) fn words(&self) -> std::str::SplitWhitespace<'a> {
        self.text.split_whitespace()
    }

    /// Parses a word as an unsigned integer.
    pub(super) fn integer(&self, word: Option<&str>) -> Result<u64, SourceError> {
        let word = word.ok_or_else(|| self.error("too few words"))?;
        word.parse().map_err(|_| self.error(&format!("{:?} is not an integer", shortened(word))))
    }

    /// Parses a word as a signed integer.
    pub(super) fn signed(&self, word: Option<&str>) -> Result<i64, SourceError> {
        let word = word.ok_or_else(|| self.error("too few words"))?;
        word.parse().map_err(|_| self.error(&format!("{:?} is not an integer", shortened(word))))
    }

    /// Parses a word as a number.
    pub(super) fn number(&self, word: Option<&str>) -> Result<f64, SourceError> {
        let word = word.ok_or_else(|| self.error("too few words"))?;
        word.parse().map_err(|_| self.error(&format!("{:?} is not a number", shortened(word))))
    }
}

fn shortened(word: &str) -> String {
    word.chars().take(40).collect()
}

/// The sink of the collectors. It keeps the wanted samples.
pub(super) struct Sink<'a> {
    wanted: &'a NameFilter,
    samples: Samples,
}

impl<'a> Sink<'a> {
    pub(super) fn new(wanted: &'a NameFilter) -> Self {
        Self::with_samples(Samples::new(), wanted)
    }

    /// Creates a sink that already has these samples.
    pub(super) fn with_samples(samples: Samples, wanted: &'a NameFilter) -> Self {
        Self { wanted, samples }
    }

    pub(super) fn into_samples(self) -> Samples {
        self.samples
    }

    /// Returns whether any name with one of these prefixes is wanted.
    pub(super) fn wants(&self, prefixes: &[&str]) -> bool {
        prefixes.iter().any(|prefix| self.wanted.keeps_prefix(prefix))
    }

    pub(super) fn integer(&mut self, name: &str, labels: &[(&str, &str)], value: u64) -> Result<(), SourceError> {
        self.push(name, labels, Number::Unsigned(value))
    }

    pub(super) fn number(&mut self, name: &str, labels: &[(&str, &str)], value: f64) -> Result<(), SourceError> {
        self.push(name, labels, Number::Float(value))
    }

    pub(super) fn push(&mut self, name: &str, labels: &[(&str, &str)], value: Number) -> Result<(), SourceError> {
        if self.wanted.keeps(name) {
            if self.samples.len() >= MAX_SAMPLES {
                return Err(SourceError::TooManySamples { limit: MAX_SAMPLES as u64 });
            }
            self.samples.push(name, labels.iter().copied(), value)?;
        }
        Ok(())
    }
}

/// Returns `part` in percent of `whole`, or `None` if `whole` is 0.
#[allow(clippy::cast_precision_loss, reason = "a percentage needs no more than 53 bits")]
pub(super) fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 * 100.0 / whole as f64)
}

/// Returns `parts` in seconds. `per_second` is the number of parts per second.
#[allow(clippy::cast_precision_loss, reason = "node_exporter uses doubles too")]
pub(super) fn seconds(parts: u64, per_second: u32) -> f64 {
    parts as f64 / f64::from(per_second)
}
