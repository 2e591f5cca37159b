//! Planning of one SnmpTrapTarget.

use std::net::IpAddr;

use crds::{SecretKey, SnmpTrapTarget, SnmpTrapTargetSpec, SnmpVersion, TrapKind};
use master_config::{
    Context, Document, Limits, Listeners, NotificationKind, Secret, System, Target, TargetScope, TargetSecurity, User,
    VERSION,
};

use super::{
    access::security_level,
    context::Contexts,
    notification::severity,
    refusal::{FieldRefusal, Reason},
    secret::{Keys, READABLE, Secrets},
    translation::Translation,
    usm,
};

/// Plans the target. A target in the operator's own namespace can refer to any context, and can have any address.
///
/// # Errors
/// Returns all refusals if the target is not accepted.
pub(super) fn plan(
    target: &SnmpTrapTarget,
    contexts: &Contexts<'_>,
    secrets: &Secrets,
    system_namespace: &str,
) -> Result<Target, Vec<FieldRefusal>> {
    let namespace = target.metadata.namespace.as_deref().unwrap_or_default();
    let spec = &target.spec;
    let mut translation = Translation::default();
    let scope = if namespace == system_namespace { TargetScope::Cluster } else { TargetScope::Namespace };
    let contexts = translation.target_contexts(spec, namespace, scope, contexts);
    let found = Credentials { secrets, namespace, scope };
    let planned = Target {
        namespace: namespace.to_owned(),
        name: target.metadata.name.clone().unwrap_or_default(),
        address: spec.address.0.clone(),
        security: translation.security(spec, &found),
        kind: match spec.kind {
            TrapKind::Trap => NotificationKind::Trap,
            TrapKind::Inform => NotificationKind::Inform,
        },
        scope,
        contexts,
        timeout_ms: translation.millis("spec.timeout", &spec.timeout),
        // The schema requires the numbers to be at least 0.
        retries: u32::try_from(spec.retries).unwrap_or_default(),
        max_age_ms: translation.millis("spec.maxAge", &spec.max_age),
        min_severity: spec.min_severity.map(severity),
        heartbeat_interval_ms: spec
            .heartbeat_interval
            .as_ref()
            .map(|interval| translation.millis("spec.heartbeatInterval", interval)),
        rate_limit: u32::try_from(spec.rate_limit).unwrap_or_default(),
        max_message_octets: u32::try_from(spec.max_message_octets).unwrap_or_default(),
        agent_events: spec.agent_events,
        alarm_objects: spec.alarm_objects,
    };
    let mut refusals = translation.refusals;
    refusals.extend(credentials(spec));
    for refusal in violations(&planned) {
        // Violations of a placeholder are left out, because its field is already refused.
        if !refusals.iter().any(|other| overlaps(&other.path, &refusal.path)) {
            refusals.push(refusal);
        }
    }
    if refusals.is_empty() { Ok(planned) } else { Err(refusals) }
}

/// Returns whether one of the paths is the other, or a field of it.
fn overlaps(one: &str, other: &str) -> bool {
    let contains = |above: &str, below: &str| {
        below.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    contains(one, other) || contains(other, one)
}

impl Translation {
    /// Returns the SNMP names of the target's contexts. Empty: all contexts. Refuses contexts that do not admit the target.
    fn target_contexts(
        &mut self,
        spec: &SnmpTrapTargetSpec,
        namespace: &str,
        scope: TargetScope,
        contexts: &Contexts<'_>,
    ) -> Vec<String> {
        let host = host(&spec.address).unwrap_or_else(|message| {
            self.refusals.push(FieldRefusal::new(Reason::Invalid, "spec.address", message));
            None
        });
        let tenant = (scope == TargetScope::Namespace).then_some(namespace);
        if spec.all_contexts {
            if tenant.is_some() {
                let message = "allContexts is only valid in the operator's namespace: list the contexts in contextRefs";
                self.refusals.push(FieldRefusal::new(Reason::Invalid, "spec.allContexts", message));
            }
            return Vec::new();
        }
        let mut names = Vec::new();
        for (i, name) in spec.context_refs.iter().enumerate() {
            let path = format!("spec.contextRefs[{i}]");
            match contexts.targets(name, tenant) {
                Err((reason, message)) => self.refusals.push(FieldRefusal::new(reason, path, message)),
                Ok((snmp_name, networks)) => {
                    names.push(snmp_name.to_owned());
                    // A host name is checked against the networks when it is resolved.
                    if let Some(ip) = host.filter(|_| tenant.is_some())
                        && !networks.iter().any(|network| network.contains(&ip))
                    {
                        let message =
                            format!("{ip} is in none of the networks that SnmpContext {name} allows for trap targets");
                        self.refusals.push(FieldRefusal::new(Reason::NotAllowed, "spec.address", message));
                    }
                }
            }
        }
        names
    }

    /// Returns version and credentials. If a Secret is missing or invalid, the field is refused, and a placeholder is
    /// returned so that the rest can be checked.
    fn security(&mut self, spec: &SnmpTrapTargetSpec, credentials: &Credentials<'_>) -> TargetSecurity {
        let mut community = || {
            let found = spec.community_ref.as_ref().map(|reference| credentials.community(reference));
            found.unwrap_or_else(|| Ok(Secret::new(String::new()))).unwrap_or_else(|(reason, message)| {
                self.refusals.push(FieldRefusal::new(reason, "spec.communityRef.key", message));
                Secret::new(String::new())
            })
        };
        match spec.version {
            SnmpVersion::V1 => TargetSecurity::V1 { community: community() },
            SnmpVersion::V2c => TargetSecurity::V2c { community: community() },
            SnmpVersion::V3 => {
                let name = spec.user.as_ref().map(|user| user.name.0.clone()).unwrap_or_default();
                let user = spec.user.as_ref().and_then(|user| {
                    let refuse = |refused: Vec<(Reason, String)>| {
                        let refusal = |(reason, text)| FieldRefusal::new(reason, "spec.user.secretRef", text);
                        self.refusals.extend(refused.into_iter().map(refusal));
                    };
                    credentials.user(user).map_err(refuse).ok()
                });
                TargetSecurity::V3 {
                    user: user.unwrap_or(User { name, auth: None, privacy: None }),
                    security_level: security_level(
                        spec.user.as_ref().map(|user| user.security_level).unwrap_or_default(),
                    ),
                }
            }
        }
    }
}

/// The Secrets that a target can refer to: those of its own namespace.
struct Credentials<'a> {
    secrets: &'a Secrets,
    namespace: &'a str,
    scope: TargetScope,
}

impl Credentials<'_> {
    /// Returns the Secret. In the operator's own namespace it needs no label.
    fn secret(&self, name: &str) -> Result<Keys<'_>, (Reason, String)> {
        let Self { secrets, namespace, scope } = self;
        secrets.get(namespace, name).map_err(|missing| {
            let message = match scope {
                TargetScope::Cluster => missing,
                TargetScope::Namespace => format!(
                    "Secret {namespace}/{name} does not exist, or lacks the label that allows the operator to read it: \
                     kubectl label secret {name} -n {namespace} {READABLE}=true"
                ),
            };
            (Reason::NoSuchSecret, message)
        })
    }

    fn community(&self, SecretKey { name, key }: &SecretKey) -> Result<Secret, (Reason, String)> {
        let secret = self.secret(name)?;
        let text = secret.text(key).map_err(|message| (Reason::Invalid, message))?;
        text.ok_or_else(|| (Reason::NoSuchSecret, format!("Secret {} has no key {key}", secret.full_name)))
    }

    fn user(&self, user: &crds::User) -> Result<User, Vec<(Reason, String)>> {
        let secret = self.secret(&user.secret_ref.name).map_err(|refused| vec![refused])?;
        let invalid =
            |messages: Vec<String>| messages.into_iter().map(|text| (Reason::Invalid, text)).collect::<Vec<_>>();
        let read = usm::user(&user.name, &secret).map_err(invalid)?;
        let lacks = |kind: &str| {
            let (name, level) = (&secret.full_name, user.security_level);
            let message = format!("Secret {name} needs the keys {kind}Protocol and {kind}Passphrase for {level:?}");
            vec![(Reason::NoSuchSecret, message)]
        };
        match user.security_level {
            crds::SecurityLevel::AuthNoPriv | crds::SecurityLevel::AuthPriv if read.auth.is_none() => {
                Err(lacks("auth"))
            }
            crds::SecurityLevel::AuthPriv if read.privacy.is_none() => Err(lacks("priv")),
            _ => Ok(read),
        }
    }
}

/// Returns the rules of the masters that the target breaks.
fn violations(target: &Target) -> Vec<FieldRefusal> {
    let context = |name: &String| Context {
        name: name.clone(),
        system: System::default(),
        grants: Vec::new(),
        communities: Vec::new(),
        users: Vec::new(),
        allowed_targets: Vec::new(),
    };
    let document = Document {
        version: VERSION,
        listeners: Listeners::default(),
        limits: Limits::default(),
        contexts: target.contexts.iter().map(context).collect(),
        users: Vec::new(),
        targets: vec![target.clone()],
    };
    let violations = document.validate().err().unwrap_or_default().into_iter();
    violations
        .filter_map(|violation| {
            let field = violation.path.strip_prefix("targets[0].")?;
            let message = violation.message;
            let (path, message) = match field {
                "security.v1.community" | "security.v2c.community" => {
                    ("communityRef.key".to_owned(), format!("the community {message}"))
                }
                "security.v3.user.auth.passphrase" => {
                    ("user.secretRef".to_owned(), format!("authPassphrase {message}"))
                }
                "security.v3.user.priv.passphrase" => {
                    ("user.secretRef".to_owned(), format!("privPassphrase {message}"))
                }
                "security.v3.user.priv" => ("user.secretRef".to_owned(), format!("privProtocol {message}")),
                "security" => ("kind".to_owned(), message),
                // There are fewer contexts only if one was refused, and a level without a passphrase is refused above.
                "contexts" | "security.v3.securityLevel" => return None,
                field => {
                    let field = field.strip_prefix("security.v3.").unwrap_or(field);
                    (field.strip_suffix("Ms").unwrap_or(field).to_owned(), message)
                }
            };
            let path = match path.as_str() {
                "name" | "namespace" => format!("metadata.{path}"),
                _ => format!("spec.{path}"),
            };
            Some(FieldRefusal::new(Reason::Invalid, path, message))
        })
        .collect()
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
