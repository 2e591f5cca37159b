//! The memory use of a process.

use std::fs;

use anyhow::{Context, Result};

/// The memory use of a process, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// The current resident set size.
    pub resident: u64,
    /// The peak resident set size.
    pub peak: u64,
}

impl Memory {
    /// Reads the memory use of the process with this id.
    pub fn of(process: u32) -> Result<Self> {
        let status = fs::read_to_string(format!("/proc/{process}/status")).context("the process has ended")?;
        let bytes = |field: &str| -> Result<u64> {
            let value = status
                .lines()
                .find_map(|line| line.strip_prefix(field))
                .with_context(|| format!("/proc/{process}/status has no {field}"))?;
            let kibibytes = value.trim().strip_suffix(" kB").with_context(|| format!("{field} {value}"))?;
            Ok(kibibytes.parse::<u64>()? << 10)
        };
        Ok(Self { resident: bytes("VmRSS:")?, peak: bytes("VmHWM:")? })
    }
}
