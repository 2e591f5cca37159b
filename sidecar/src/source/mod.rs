//! Where samples come from: each source is scraped by a [`Task`] of its own, which yields [`Report`]s.

mod collector;
mod config_map;
mod error;
mod file;
mod health;
pub(crate) mod http;
mod json;
mod name_filter;
mod ports;
pub mod prometheus;
mod reader;
mod schedule;
mod sql;
mod system;
mod task;

pub(crate) use error::in_full;
pub use error::{Cause, Phase, ScrapeError};
pub use name_filter::NameFilter;
pub use ports::{NamedPorts, NamedPortsError};
pub use reader::Place;
pub use sidecar_config::health::HEALTH_METRICS;
pub use system::Roots;
pub use task::{Report, Task};
