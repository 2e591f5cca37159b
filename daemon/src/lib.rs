//! Daemon parts.
