//! Scrapes of servers on loopback, good and bad.

mod authorization;
mod faults;
mod scrapes;
mod server;
mod stalls;
mod tls;
