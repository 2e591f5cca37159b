//! Where samples come from: each source is scraped by a [`Task`] of its own, which yields [`Report`]s.

mod error;
mod health;
mod http;
mod name_filter;
mod ports;
pub mod prometheus;
mod schedule;
mod task;

pub(crate) use error::in_full;
pub use error::{Cause, Phase, ScrapeError};
pub use health::HEALTH_METRICS;
pub use name_filter::NameFilter;
pub use ports::{NamedPorts, NamedPortsError};
pub use task::{Report, Task};
