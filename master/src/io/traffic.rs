//! Counters of the sockets.

use crate::snmp::statistics::Counter;

/// Counters of the sockets. The agent thread and the TLS listener increment them; any thread reads them.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Received datagrams.
    pub datagrams_in: Counter,
    /// Datagrams that were dropped because another replica is active.
    pub datagrams_standby: Counter,
    /// Failed receives of datagrams.
    pub receive_failures: Counter,
    /// Sent datagrams.
    pub datagrams_out: Counter,
    /// Responses that could not be sent, for example because they are too long or the socket buffer is full.
    pub send_failures: Counter,
    /// Accepted connections of subagents.
    pub connections: Counter,
    /// Connections closed because the limit of sessions was reached.
    pub connections_refused: Counter,
    /// Failed accepts, for example because file descriptors ran out.
    pub accept_failures: Counter,
    /// Counters of AgentX over TLS.
    pub tls: crate::io::tls::TlsTraffic,
}
