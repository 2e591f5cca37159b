//! What collectors read from, and write to.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use super::Roots;
use crate::{
    sample::{Number, Samples},
    source::{Cause, NameFilter},
};

/// The longest file that is read, in octets: /proc/stat of a large machine has some 100 KiB.
const MAX_FILE: u64 = 4 << 20;

/// The most samples of one reading: a machine of 1000 processors has 10,000 of them.
const MAX_SAMPLES: usize = 200_000;

/// The system's files.
pub(super) struct Files<'a> {
    pub(super) roots: &'a Roots,
}

/// The text of one file, for which errors know where they are.
pub(super) struct Text {
    path: PathBuf,
    text: String,
}

impl Files<'_> {
    /// A file below /proc, if there is one.
    pub(super) fn proc(&self, name: &str) -> Result<Option<Text>, Cause> {
        read(self.roots.proc.join(name))
    }

    /// A file below /sys, if there is one.
    pub(super) fn sys(&self, name: &str) -> Result<Option<Text>, Cause> {
        read(self.roots.sys.join(name))
    }
}

/// What is no error of ours: the kernel or the machine does not have it, or says nothing now, as of a link that is down.
fn is_absent(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let absent =
        [Errno::NOENT, Errno::NOTDIR, Errno::INVAL, Errno::OPNOTSUPP, Errno::ACCESS, Errno::PERM, Errno::NODEV];
    error.raw_os_error().is_some_and(|code| absent.iter().any(|errno| errno.raw_os_error() == code))
}

fn read(path: PathBuf) -> Result<Option<Text>, Cause> {
    let mut octets = Vec::new();
    match File::open(&path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut octets)) {
        Ok(_) if octets.len() as u64 > MAX_FILE => Err(fault(&path, "is longer than 4 MiB")),
        Ok(_) => Ok(Some(Text { path, text: String::from_utf8_lossy(&octets).into_owned() })),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(fault(&path, &error.to_string())),
    }
}

pub(super) fn fault(path: &Path, problem: &str) -> Cause {
    Cause::SystemFile { path: path.display().to_string(), problem: problem.to_owned() }
}

impl Text {
    #[cfg(test)]
    pub(super) fn of(name: &str, text: &str) -> Self {
        Self { path: name.into(), text: text.to_owned() }
    }

    pub(super) fn fault(&self, problem: &str) -> Cause {
        fault(&self.path, problem)
    }

    /// The whole text, without white space at its ends.
    pub(super) fn whole(&self) -> &str {
        self.text.trim()
    }

    /// Its lines, each with what makes errors that name it.
    pub(super) fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.text.lines().zip(1..).map(|(text, number)| Line { path: &self.path, number, text })
    }

    /// The one line of a file that has one.
    pub(super) fn line(&self) -> Line<'_> {
        Line { path: &self.path, number: 1, text: self.text.lines().next().unwrap_or_default() }
    }
}

/// A line of a file.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    path: &'a Path,
    number: usize,
    pub(super) text: &'a str,
}

impl<'a> Line<'a> {
    pub(super) fn fault(&self, problem: &str) -> Cause {
        fault(self.path, &format!("line {}: {problem}", self.number))
    }

    pub(super) fn words(&self) -> std::str::SplitWhitespace<'a> {
        self.text.split_whitespace()
    }

    /// The word as a whole number.
    pub(super) fn integer(&self, word: Option<&str>) -> Result<u64, Cause> {
        let word = word.ok_or_else(|| self.fault("too few words"))?;
        word.parse().map_err(|_| self.fault(&format!("{:?} is not a whole number", shortened(word))))
    }

    /// The word as a whole number that may be below zero.
    pub(super) fn signed(&self, word: Option<&str>) -> Result<i64, Cause> {
        let word = word.ok_or_else(|| self.fault("too few words"))?;
        word.parse().map_err(|_| self.fault(&format!("{:?} is not a whole number", shortened(word))))
    }

    /// The word as a number.
    pub(super) fn number(&self, word: Option<&str>) -> Result<f64, Cause> {
        let word = word.ok_or_else(|| self.fault("too few words"))?;
        word.parse().map_err(|_| self.fault(&format!("{:?} is not a number", shortened(word))))
    }
}

fn shortened(word: &str) -> String {
    word.chars().take(40).collect()
}

/// Takes samples that are wanted.
pub(super) struct Sink<'a> {
    wanted: &'a NameFilter,
    samples: Samples,
}

impl<'a> Sink<'a> {
    pub(super) fn new(wanted: &'a NameFilter) -> Self {
        Self::continuing(Samples::new(), wanted)
    }

    /// One that has these samples already.
    pub(super) fn continuing(samples: Samples, wanted: &'a NameFilter) -> Self {
        Self { wanted, samples }
    }

    pub(super) fn into_samples(self) -> Samples {
        self.samples
    }

    /// Whether any name that begins so is wanted.
    pub(super) fn wants(&self, beginnings: &[&str]) -> bool {
        beginnings.iter().any(|beginning| self.wanted.keeps_any_of(beginning))
    }

    pub(super) fn integer(&mut self, name: &str, labels: &[(&str, &str)], value: u64) -> Result<(), Cause> {
        self.push(name, labels, Number::Unsigned(value))
    }

    pub(super) fn number(&mut self, name: &str, labels: &[(&str, &str)], value: f64) -> Result<(), Cause> {
        self.push(name, labels, Number::Float(value))
    }

    pub(super) fn push(&mut self, name: &str, labels: &[(&str, &str)], value: Number) -> Result<(), Cause> {
        if self.wanted.keeps(name) {
            if self.samples.len() >= MAX_SAMPLES {
                return Err(Cause::TooManySamples { limit: MAX_SAMPLES as u64 });
            }
            self.samples.push(name, labels.iter().copied(), value)?;
        }
        Ok(())
    }
}

/// `part` of `whole` in percent; none of nothing.
#[allow(clippy::cast_precision_loss, reason = "a percentage needs no more than 53 bits")]
pub(super) fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 * 100.0 / whole as f64)
}

/// So many parts as a second has `a_second` of, in seconds.
#[allow(clippy::cast_precision_loss, reason = "node_exporter has them so")]
pub(super) fn seconds(parts: u64, a_second: u32) -> f64 {
    parts as f64 / f64::from(a_second)
}
