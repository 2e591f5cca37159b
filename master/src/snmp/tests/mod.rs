//! Tests of the engine from outside: octets in, octets out.

mod codec;
mod communities;
mod nms;
mod users;
mod world;
