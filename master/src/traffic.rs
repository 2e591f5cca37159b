//! Counters of what goes through the sockets.

use crate::statistics::Counter;

/// What went through the sockets, and what did not. The agent thread counts; anyone reads.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Datagrams that came.
    pub datagrams_in: Counter,
    /// Datagrams that were dropped because another replica is active.
    pub datagrams_standby: Counter,
    /// Datagrams that could not be received: an error in place of one.
    pub receive_failures: Counter,
    /// Datagrams that left.
    pub datagrams_out: Counter,
    /// Answers that the system would not take, as for their length or for want of room.
    pub send_failures: Counter,
    /// Connections of subagents.
    pub connections: Counter,
    /// Connections that were closed at once, because there were as many as may be.
    pub connections_refused: Counter,
    /// Connections that could not be accepted, as for want of file descriptors.
    pub accept_failures: Counter,
    /// What comes by TLS.
    pub tls: crate::listener::tls::TlsTraffic,
}
