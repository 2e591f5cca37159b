//! Scrapes of servers on loopback, good and bad.

mod authorization;
mod faults;
mod scrapes;
pub(in crate::source) mod server;
mod stalls;
mod tls;
