//! Rules for targets.

use std::{collections::HashSet, net::Ipv6Addr, ops::RangeInclusive};

use super::{
    Checks,
    access::{MAX_COMMUNITY_OCTETS, MAX_USER_OCTETS},
    is_dns_label,
};
use crate::{Document, NotificationKind, Target, TargetScope, TargetSecurity};

/// The longest host name, in octets (RFC 1035 section 2.3.4).
const MAX_HOST_OCTETS: usize = 253;
/// The longest timeout of an inform: an hour.
const MAX_TIMEOUT_MS: u64 = 3_600_000;
const MAX_RETRIES: u32 = 100;
/// The shortest interval of heartbeats.
const MIN_HEARTBEAT_MS: u64 = 1_000;
/// The longest interval of heartbeats, and the longest time that a notification is kept: 30 days.
const MAX_AGE_MS: u64 = 30 * 24 * 3_600_000;
/// The rule for the names of targets.
pub(super) const NOT_UNIQUE: &str = "is used more than once in its namespace";

impl Checks<'_> {
    pub(super) fn targets(&mut self, document: &Document) {
        let contexts: HashSet<_> = document.contexts.iter().map(|context| context.name.as_str()).collect();
        let mut names = HashSet::new();
        for (i, target) in document.targets.iter().enumerate() {
            let path = format!("targets[{i}]");
            let is_new = names.insert((&target.namespace, &target.name));
            self.refuse_unless(is_new, format!("{path}.name"), NOT_UNIQUE);
            self.target(&path, target);
            self.contexts_exist(&path, target, &contexts);
        }
    }

    pub(super) fn contexts_exist(&mut self, path: &str, target: &Target, contexts: &HashSet<&str>) {
        for (j, context) in target.contexts.iter().enumerate() {
            let holds = contexts.contains(context.as_str());
            self.refuse_unless(holds, format!("{path}.contexts[{j}]"), "is not one of the contexts");
        }
    }

    /// Checks a target, without its references to contexts.
    pub(super) fn target(&mut self, path: &str, target: &Target) {
        let holds = is_dns_label(&target.namespace);
        self.refuse_unless(holds, format!("{path}.namespace"), "is not a valid namespace name");
        let holds = is_dns_name(&target.name);
        self.refuse_unless(holds, format!("{path}.name"), "is not a valid name of a Kubernetes object");
        let message = "is not a host and port, for example noc.example:162 or [2001:db8::1]:162";
        self.refuse_unless(is_address(&target.address), format!("{path}.address"), message);
        self.security(&format!("{path}.security"), target);
        if target.scope == TargetScope::Namespace {
            self.count(format!("{path}.contexts"), target.contexts.len(), 1, usize::MAX);
        }
        let ranges: [(&str, u64, RangeInclusive<u64>); 5] = [
            ("timeoutMs", target.timeout_ms, 1..=MAX_TIMEOUT_MS),
            ("retries", target.retries.into(), 0..=MAX_RETRIES.into()),
            ("maxAgeMs", target.max_age_ms, 1_000..=MAX_AGE_MS),
            ("rateLimit", target.rate_limit.into(), 1..=10_000),
            // From what every engine accepts (snmpEngineMaxMessageSize, RFC 3411) to what UDP can transport.
            ("maxMessageOctets", target.max_message_octets.into(), 484..=65_507),
        ];
        let heartbeat = target
            .heartbeat_interval_ms
            .map(|interval| ("heartbeatIntervalMs", interval, MIN_HEARTBEAT_MS..=MAX_AGE_MS));
        for (field, value, range) in ranges.into_iter().chain(heartbeat) {
            let message = format!("is not between {} and {}", range.start(), range.end());
            self.refuse_unless(range.contains(&value), format!("{path}.{field}"), message);
        }
    }

    fn security(&mut self, path: &str, target: &Target) {
        match &target.security {
            TargetSecurity::V1 { community } => {
                self.text(&format!("{path}.v1.community"), community.expose(), 1, MAX_COMMUNITY_OCTETS);
                let holds = target.kind == NotificationKind::Trap;
                self.refuse_unless(holds, path, "is SNMPv1, which has no informs (RFC 1157)");
            }
            TargetSecurity::V2c { community } => {
                self.text(&format!("{path}.v2c.community"), community.expose(), 1, MAX_COMMUNITY_OCTETS);
            }
            TargetSecurity::V3 { user, security_level } => {
                self.text(&format!("{path}.v3.user.name"), &user.name, 1, MAX_USER_OCTETS);
                self.credentials(&format!("{path}.v3.user"), user);
                let holds = *security_level <= user.security_level();
                let message = "is not possible, because the user has no passphrase for it";
                self.refuse_unless(holds, format!("{path}.v3.securityLevel"), message);
            }
        }
    }
}

/// Returns whether the text is a host, a colon and a port. IPv6 addresses are in brackets.
fn is_address(address: &str) -> bool {
    let Some((host, port)) = address.rsplit_once(':') else { return false };
    let is_host = if let Some(host) = host.strip_prefix('[') {
        host.strip_suffix(']').is_some_and(|host| host.parse::<Ipv6Addr>().is_ok())
    } else {
        let octet = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        (1..=MAX_HOST_OCTETS).contains(&host.len()) && host.bytes().all(octet)
    };
    is_host && port.parse::<u16>().is_ok_and(|port| port != 0)
}

/// Returns whether this is a valid name of a Kubernetes object (RFC 1123 subdomain).
pub(super) fn is_dns_name(name: &str) -> bool {
    name.len() <= MAX_HOST_OCTETS && name.split('.').all(is_dns_label)
}
