//! Tests of the engine through its public interface: datagrams in, datagrams out.

mod access;
mod codec;
mod communities;
mod engine_harness;
mod net_snmp;
mod nms;
mod properties;
mod users;
