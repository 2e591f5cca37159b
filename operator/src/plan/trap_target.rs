//! Checks of one SnmpTrapTarget.

use std::net::IpAddr;

use crds::{SnmpTrapTarget, SnmpTrapTargetSpec, SnmpVersion, TrapKind};

use super::{
    context::Contexts,
    refusal::{FieldRefusal, Reason},
    translation::Translation,
};

/// Checks the target. A target in the operator's own namespace can refer to any context.
///
/// # Errors
/// Returns all refusals if the target is not accepted.
pub(super) fn check(
    target: &SnmpTrapTarget,
    contexts: &Contexts<'_>,
    system_namespace: &str,
) -> Result<(), Vec<FieldRefusal>> {
    let namespace = target.metadata.namespace.as_deref().unwrap_or_default();
    let SnmpTrapTargetSpec { address, context_refs, timeout, max_age, heartbeat_interval, .. } = &target.spec;
    let mut translation = Translation::default();
    translation.millis("spec.timeout", timeout);
    translation.millis("spec.maxAge", max_age);
    if let Some(interval) = heartbeat_interval {
        translation.millis("spec.heartbeatInterval", interval);
    }
    let mut refusals = translation.refusals;
    let host = host(address).unwrap_or_else(|message| {
        refusals.push(FieldRefusal::new(Reason::Invalid, "spec.address", message));
        None
    });
    refusals.extend(credentials(&target.spec));
    for (i, name) in context_refs.iter().enumerate() {
        let path = format!("spec.contextRefs[{i}]");
        match contexts.targets(name, (namespace != system_namespace).then_some(namespace)) {
            Err((reason, message)) => refusals.push(FieldRefusal::new(reason, path, message)),
            // A host name is checked against the networks when it is resolved.
            Ok(networks) => {
                if let Some(ip) = host
                    && !networks.iter().any(|network| network.contains(&ip))
                {
                    let message =
                        format!("{ip} is in none of the networks that SnmpContext {name} allows for trap targets");
                    refusals.push(FieldRefusal::new(Reason::NotAllowed, "spec.address", message));
                }
            }
        }
    }
    if refusals.is_empty() { Ok(()) } else { Err(refusals) }
}

/// Returns the host of the address if it is an IP address, and `None` if it is a name.
fn host(address: &str) -> Result<Option<IpAddr>, String> {
    let (host, port) = address.rsplit_once(':').ok_or("is not a host and a port such as noc.example:162")?;
    if port.parse::<u16>().map_or(true, |port| port == 0) {
        return Err(format!("{port} is not a port from 1 to 65535"));
    }
    if let Some(inside) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return inside.parse().map(|ip| Some(IpAddr::V6(ip))).map_err(|_| format!("{inside} is not an IPv6 address"));
    }
    let numeric = !host.is_empty() && host.chars().all(|c| c.is_ascii_digit() || c == '.');
    match host.parse::<IpAddr>() {
        Ok(ip) => Ok(Some(ip)),
        Err(_) if numeric => Err(format!("{host} is not an IPv4 address")),
        Err(_) if host.contains(':') => Err("put the IPv6 address into brackets".to_owned()),
        Err(_) => Ok(None),
    }
}

/// Checks that version, kind, user and community fit together. The schema has the same rules.
fn credentials(spec: &SnmpTrapTargetSpec) -> Vec<FieldRefusal> {
    let SnmpTrapTargetSpec { version, kind, user, community_ref, .. } = spec;
    let v3 = *version == SnmpVersion::V3;
    let rules = [
        (*version == SnmpVersion::V1 && *kind == TrapKind::Inform, "spec.kind", "SNMPv1 has no informs"),
        (v3 && user.is_none(), "spec.user", "version V3 needs a user"),
        (!v3 && user.is_some(), "spec.user", "a user needs version V3"),
        (v3 && community_ref.is_some(), "spec.communityRef", "a community needs version V1 or V2c"),
        (!v3 && community_ref.is_none(), "spec.communityRef", "versions V1 and V2c need a community"),
    ];
    let broken = rules.into_iter().filter(|(broken, ..)| *broken);
    broken.map(|(_, path, message)| FieldRefusal::new(Reason::Invalid, path, message)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_parsed() {
        let ip = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        let cases = [
            ("10.0.0.1:162", Ok(ip("10.0.0.1"))),
            ("[2001:db8::1]:162", Ok(ip("2001:db8::1"))),
            ("noc.acme.example:162", Ok(None)),
            ("10.example:1", Ok(None)),
            ("10.0.0.256:162", Err("10.0.0.256 is not an IPv4 address")),
            ("10.0.0.1:65536", Err("65536 is not a port from 1 to 65535")),
            ("10.0.0.1:0", Err("0 is not a port from 1 to 65535")),
            ("[10.0.0.1]:162", Err("10.0.0.1 is not an IPv6 address")),
            ("noc", Err("is not a host and a port such as noc.example:162")),
        ];
        for (address, expected) in cases {
            assert_eq!(host(address), expected.map_err(str::to_owned), "{address}");
        }
    }
}
