//! Tests of the engine from outside: octets in, octets out.

mod access;
mod codec;
mod communities;
mod nms;
mod properties;
mod users;
mod world;
