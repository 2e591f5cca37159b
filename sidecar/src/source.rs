//! Sources of samples. Each source has a [`Task`] that collects its samples periodically and sends a [`Report`] each
//! time.

mod collection;
mod collection_builder;
mod config_map;
mod error;
pub mod exposition;
mod file;
mod health;
pub(crate) mod http;
mod json;
mod name_filter;
mod ports;
mod prometheus;
mod reader;
mod schedule;
mod settings;
mod sql;
mod system;
mod task;

pub(crate) use error::in_full;
pub use error::{CollectionError, Phase, SourceError};
pub use name_filter::NameFilter;
pub use ports::{NamedPorts, NamedPortsError};
pub use settings::{Roots, SourceSettings};
pub use task::{Report, Task};
