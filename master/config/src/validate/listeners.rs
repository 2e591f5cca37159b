//! Rules for listeners and limits.

use std::{collections::HashSet, ops::RangeInclusive, os::unix::ffi::OsStrExt};

use super::Checks;
use crate::{Limits, Listeners, UnixSocket};

const MAX_LISTENERS: usize = 16;
/// The longest path of a Unix socket, in octets (`sun_path` of unix(7), without its terminating NUL).
pub const MAX_SOCKET_PATH: usize = 107;

impl Checks<'_> {
    pub(super) fn listeners(&mut self, listeners: &Listeners) {
        let Listeners { snmp, agentx_unix, agentx_tcp, agentx_tcp_exposed, agentx_tls } = listeners;
        self.count("listeners.snmp", snmp.len(), 1, MAX_LISTENERS);
        let mut seen = HashSet::new();
        for (i, address) in snmp.iter().enumerate() {
            let holds = address.port() == 0 || seen.insert(address);
            self.refuse_unless(holds, format!("listeners.snmp[{i}]"), "is used more than once");
        }
        if let Some(socket) = agentx_unix {
            self.unix_socket("listeners.agentxUnix", socket);
        }
        let path = "listeners.agentxTcp";
        if let Some(address) = agentx_tcp {
            let holds = *agentx_tcp_exposed || address.ip().to_canonical().is_loopback();
            let message = "is not a loopback address, so every client that can connect could register anything; set agentxTcpExposed to allow this";
            self.refuse_unless(holds, path, message);
        } else {
            self.refuse_unless(!agentx_tcp_exposed, format!("{path}Exposed"), "has no effect without agentxTcp");
        }
        if let Some(address) = agentx_tls {
            let holds = address.port() == 0 || *agentx_tcp != Some(*address);
            self.refuse_unless(holds, "listeners.agentxTls", "is the same as agentxTcp");
        }
    }

    fn unix_socket(&mut self, path: &str, socket: &UnixSocket) {
        let octets = socket.path.as_os_str().as_bytes();
        let holds = socket.path.is_absolute() && octets.len() <= MAX_SOCKET_PATH && !octets.contains(&0);
        let message = format!("is not an absolute path of at most {MAX_SOCKET_PATH} octets");
        self.refuse_unless(holds, format!("{path}.path"), message);
        let holds = socket.permissions().is_some();
        self.refuse_unless(holds, format!("{path}.mode"), "is not an octal file mode, for example 0660");
        if let Some(group) = &socket.group {
            self.text(&format!("{path}.group"), group, 1, 64);
        }
    }

    pub(super) fn limits(&mut self, limits: &Limits) {
        let Limits {
            sessions,
            sessions_per_connection,
            registrations,
            registrations_per_session,
            agentx_pdu_octets,
            agentx_pdus_per_second,
            snmp_requests,
            snmp_message_octets,
            subagent_timeout_ms,
            sessions_per_namespace,
            registrations_per_namespace,
            agentx_pdus_per_second_per_namespace,
        } = *limits;
        let ranges: [(&str, u32, RangeInclusive<u32>); 12] = [
            ("sessions", sessions, 1..=1_000_000),
            ("sessionsPerConnection", sessions_per_connection, 1..=10_000),
            ("registrations", registrations, 1..=10_000_000),
            ("registrationsPerSession", registrations_per_session, 1..=10_000_000),
            ("agentxPduOctets", agentx_pdu_octets, 1_024..=16 << 20),
            ("agentxPdusPerSecond", agentx_pdus_per_second, 1..=1_000_000),
            ("snmpRequests", snmp_requests, 1..=1_000_000),
            // From what every engine accepts (snmpEngineMaxMessageSize, RFC 3411) to what UDP can transport.
            ("snmpMessageOctets", snmp_message_octets, 484..=65_507),
            // AgentX encodes timeouts as seconds in one octet.
            ("subagentTimeoutMs", subagent_timeout_ms, 10..=255_000),
            ("sessionsPerNamespace", sessions_per_namespace, 1..=1_000_000),
            ("registrationsPerNamespace", registrations_per_namespace, 1..=10_000_000),
            ("agentxPdusPerSecondPerNamespace", agentx_pdus_per_second_per_namespace, 1..=1_000_000),
        ];
        for (field, value, range) in ranges {
            let message = format!("is not between {} and {}", range.start(), range.end());
            self.refuse_unless(range.contains(&value), format!("limits.{field}"), message);
        }
    }
}
