//! The load: requests of managers and of masters.

pub mod encoding;
pub mod get_next;
pub mod link;
pub mod questions;
pub mod snmp;
pub mod turns;
pub mod v3;
