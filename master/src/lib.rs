//! snmp-master: an AgentX master agent (RFC 2741) and SNMP engine (RFC 3411) that keeps tenants apart.

pub mod admin;
pub mod agent;
mod alarm;
pub mod app;
pub mod authority;
pub mod ber;
pub mod capabilities;
pub mod cli;
pub mod cluster;
pub mod config;
mod connection;
pub mod desk;
pub mod dispatch;
pub mod engine_record;
pub mod engine_store;
pub mod home;
pub mod index_allocation;
pub mod latency;
pub mod listener;
pub mod metrics;
pub mod own_objects;
pub mod probe;
pub mod registry;
pub mod role;
mod service;
pub mod snmp;
pub mod standing;
pub mod statistics;
pub mod status;
mod time_ticks;
pub mod traffic;
pub mod varbind_list;
mod watched_socket;
mod wire;

pub use daemon::places;
pub use identity;
