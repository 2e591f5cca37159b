//! Scrapes of servers on the loopback interface, correct and faulty.

mod authorization;
mod faults;
mod scrapes;
pub(in crate::source) mod server;
mod stalls;
mod tls;
