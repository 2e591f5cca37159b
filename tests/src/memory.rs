//! How much memory a process has.

use std::fs;

use anyhow::{Context, Result};

/// A process's memory, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// What is resident now.
    pub resident: u64,
    /// The most that ever was.
    pub peak: u64,
}

impl Memory {
    /// That of the process with this id.
    pub fn of(process: u32) -> Result<Self> {
        let status = fs::read_to_string(format!("/proc/{process}/status")).context("the process has ended")?;
        let bytes = |field: &str| -> Result<u64> {
            let value =
                status.lines().find_map(|line| line.strip_prefix(field)).with_context(|| format!("no {field}"))?;
            let kibibytes = value.trim().strip_suffix(" kB").with_context(|| format!("{field} {value}"))?;
            Ok(kibibytes.parse::<u64>()? << 10)
        };
        Ok(Self { resident: bytes("VmRSS:")?, peak: bytes("VmHWM:")? })
    }
}
