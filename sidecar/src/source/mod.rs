//! Where samples come from.

mod name_filter;
pub mod prometheus;

pub use name_filter::NameFilter;
