//! The settings that all sources of a sidecar share.

use std::path::PathBuf;

use super::ports::NamedPorts;

/// The settings that all sources share.
#[derive(Debug, Clone, Default)]
pub struct SourceSettings {
    /// The configuration directory, with credentials, certificates and the keys of ConfigMaps.
    pub directory: PathBuf,
    /// The named ports of the pod.
    pub ports: NamedPorts,
    /// The directories in which `system` sources see the host.
    pub roots: Roots,
}

/// The directories in which `system` sources see the host. They differ from the defaults if the file systems of the
/// host are mounted into the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    /// The replacement for /proc.
    pub proc: PathBuf,
    /// The replacement for /sys.
    pub sys: PathBuf,
    /// The directory below which the mount points of the host are.
    pub root: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { proc: "/proc".into(), sys: "/sys".into(), root: "/".into() }
    }
}
