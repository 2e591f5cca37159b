//! Who may read and write a context: from SnmpContexts and Secrets to the master's contexts and users.

use std::collections::{BTreeMap, HashMap};

use crds::{Cidr, ContextUser, SnmpContextSpec};
use master_config::{
    Community, Context, Document, IpNet, Limits, Listeners, Secret, SecurityLevel, System, User, UserAccess, VERSION,
};

use super::{FieldRefusal, Reason, Secrets, usm};

/// What the contexts so far have taken of the engine's name spaces, which all of them share.
pub(super) struct Access<'a> {
    secrets: &'a Secrets,
    /// The namespace of the Secrets of SnmpContexts.
    namespace: &'a str,
    /// Each community, and the field that refers to it.
    communities: HashMap<Secret, String>,
    users: BTreeMap<String, Taken>,
}

/// A user, and who named it first.
struct Taken {
    user: User,
    /// The name of its Secret.
    secret: String,
    /// The SnmpContext.
    holder: String,
}

impl<'a> Access<'a> {
    pub(super) fn new(secrets: &'a Secrets, namespace: &'a str) -> Self {
        Self { secrets, namespace, communities: HashMap::new(), users: BTreeMap::new() }
    }

    /// All users of the contexts so far, by name.
    pub(super) fn into_users(self) -> Vec<User> {
        self.users.into_values().map(|taken| taken.user).collect()
    }

    /// The master's context `snmp_name`, made of the SnmpContext `name`, without grants. What is refused of it is left
    /// out, and the rest stands: a Secret that is missing takes away what hangs on it alone.
    pub(super) fn context(
        &mut self,
        name: &str,
        snmp_name: &str,
        spec: &SnmpContextSpec,
    ) -> (Context, Vec<FieldRefusal>) {
        let mut refusals = Vec::new();
        let (mut context, users) = self.translate(snmp_name, spec, &mut refusals);
        let document = Document {
            version: VERSION,
            listeners: Listeners::default(),
            limits: Limits::default(),
            contexts: vec![context.clone()],
            users: users.clone(),
            targets: Vec::new(),
        };
        let violations = document.validate().err().unwrap_or_default();
        let violations = violations.into_iter().map(|violation| in_spec(&violation.path, &violation.message));
        // Of what is refused already, its stand-in says nothing of its own.
        let more: Vec<_> = violations.filter(|refusal| !is_refused(&refusals, &refusal.path)).collect();
        refusals.extend(more);
        self.keep(name, spec, &mut context, users, &refusals);
        (context, refusals)
    }

    /// The context and its users, one for each field. What cannot be had is refused, and a stand-in takes its place, so
    /// that the rest can be checked.
    fn translate(
        &self,
        snmp_name: &str,
        spec: &SnmpContextSpec,
        refusals: &mut Vec<FieldRefusal>,
    ) -> (Context, Vec<User>) {
        let text = |text: &crds::Prose| text.0.clone();
        let system = spec.system.as_ref().map(|system| System {
            name: system.name.as_ref().map(text),
            contact: system.contact.as_ref().map(text),
            location: system.location.as_ref().map(text),
        });
        let mut communities = Vec::new();
        for (i, community) in spec.communities.iter().enumerate() {
            let path = format!("spec.communities[{i}]");
            communities.push(self.community(&path, community, refusals));
        }
        let mut users = Vec::new();
        for (i, user) in spec.users.iter().enumerate() {
            let user = self.user(user).unwrap_or_else(|refused| {
                let path = format!("spec.users[{i}].secretRef");
                refusals.extend(refused.into_iter().map(|(reason, text)| FieldRefusal::new(reason, &path, text)));
                User { name: user.name.0.clone(), auth: None, privacy: None }
            });
            users.push(user);
        }
        let context = Context {
            name: snmp_name.to_owned(),
            system: system.unwrap_or_default(),
            grants: Vec::new(),
            communities,
            users: spec.users.iter().map(user_access).collect(),
            allowed_targets: networks("spec.allowedTargets", &spec.allowed_targets, refusals),
        };
        (context, users)
    }

    fn community(&self, path: &str, api: &crds::Community, refusals: &mut Vec<FieldRefusal>) -> Community {
        let crds::Community { secret_ref, access: may, sources } = api;
        let found = self.secrets.get(self.namespace, &secret_ref.name).and_then(|secret| {
            let lacks = || format!("Secret {} has no key {}", secret.full_name, secret_ref.key);
            secret.text(&secret_ref.key)?.ok_or_else(lacks)
        });
        let refused = match &found {
            Ok(community) => self.communities.get(community).map(|other| {
                (Reason::Conflict, format!("the community is that of {other} already, and reaches one context alone"))
            }),
            Err(message) => Some((Reason::NoSuchSecret, message.clone())),
        };
        if let Some((reason, message)) = refused {
            refusals.push(FieldRefusal::new(reason, format!("{path}.secretRef"), message));
        }
        let community = found.unwrap_or_else(|_| Secret::new(String::new()));
        Community { community, access: access(*may), sources: networks(&format!("{path}.sources"), sources, refusals) }
    }

    fn user(&self, ContextUser { name, secret_ref, .. }: &ContextUser) -> Result<User, Vec<(Reason, String)>> {
        if let Some(Taken { user, secret, holder }) = self.users.get(&name.0) {
            let message = || format!("the user {name} has the Secret {secret} in SnmpContext {holder}, and one alone");
            return if *secret == secret_ref.name.0 {
                Ok(user.clone())
            } else {
                Err(vec![(Reason::Conflict, message())])
            };
        }
        let secret = self.secrets.get(self.namespace, &secret_ref.name);
        let secret = secret.map_err(|message| vec![(Reason::NoSuchSecret, message)])?;
        usm::user(name, &secret).map_err(|messages| messages.into_iter().map(|text| (Reason::Invalid, text)).collect())
    }

    /// Takes what is refused out of the context, and keeps in mind whose the rest is.
    fn keep(
        &mut self,
        name: &str,
        spec: &SnmpContextSpec,
        context: &mut Context,
        users: Vec<User>,
        refusals: &[FieldRefusal],
    ) {
        let stands = |path: &str| !is_refused(refusals, path);
        let communities = std::mem::take(&mut context.communities).into_iter().enumerate();
        for (i, community) in communities.filter(|(i, _)| stands(&format!("spec.communities[{i}]"))) {
            let field = format!("spec.communities[{i}] of SnmpContext {name}");
            self.communities.insert(community.community.clone(), field);
            context.communities.push(community);
        }
        let accesses = std::mem::take(&mut context.users).into_iter().zip(users).zip(&spec.users).enumerate();
        for (_, ((access, user), api)) in accesses.filter(|(i, _)| stands(&format!("spec.users[{i}]"))) {
            let (secret, holder) = (api.secret_ref.name.0.clone(), name.to_owned());
            self.users.entry(access.name.clone()).or_insert(Taken { user, secret, holder });
            context.users.push(access);
        }
        if !stands("spec.system") {
            context.system = System::default();
        }
        if !stands("spec.allowedTargets") {
            context.allowed_targets.clear();
        }
    }
}

/// What of a context stands or falls together: an item of a list, or else a field of the spec.
fn item(path: &str) -> &str {
    let after_spec = path.strip_prefix("spec.").map_or(0, |_| "spec.".len());
    let end = path.get(after_spec..).and_then(|rest| rest.find(['.', ']'])).map(|end| after_spec + end);
    end.and_then(|end| path.get(..end)).unwrap_or(path)
}

fn is_refused(refusals: &[FieldRefusal], path: &str) -> bool {
    refusals.iter().any(|refusal| item(&refusal.path) == item(path))
}

/// A violation in a document of one context, as a refusal of the SnmpContext that it was made of.
fn in_spec(path: &str, message: &str) -> FieldRefusal {
    // Where a message names a field, it is the context's.
    let message = message.replace("contexts[0].", "spec.");
    let (path, message) = match path.strip_prefix("contexts[0].") {
        Some("name") => ("spec.contextName".to_owned(), message),
        Some(field) => match field.strip_suffix(".community") {
            Some(community) => (format!("spec.{community}.secretRef"), format!("the community {message}")),
            None => (format!("spec.{field}"), message),
        },
        None => {
            let keys = [
                (".auth.passphrase", "authPassphrase"),
                (".priv.passphrase", "privPassphrase"),
                (".priv", "privProtocol"),
            ];
            let key = keys.iter().find_map(|(field, key)| Some((path.strip_suffix(field)?, *key)));
            match key {
                Some((user, key)) => (format!("spec.{user}.secretRef"), format!("{key} {message}")),
                None => (format!("spec.{path}"), message),
            }
        }
    };
    FieldRefusal::new(Reason::Invalid, path, message)
}

fn networks(path: &str, cidrs: &[Cidr], refusals: &mut Vec<FieldRefusal>) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for (i, cidr) in cidrs.iter().enumerate() {
        if let Ok(network) = cidr.parse() {
            networks.push(network);
        } else {
            let message = format!("{:?} is not a network as 10.0.0.0/8", cidr.0);
            refusals.push(FieldRefusal::new(Reason::Invalid, format!("{path}[{i}]"), message));
        }
    }
    networks
}

fn user_access(user: &ContextUser) -> UserAccess {
    UserAccess {
        name: user.name.0.clone(),
        security_level: match user.security_level {
            crds::SecurityLevel::NoAuthNoPriv => SecurityLevel::NoAuthNoPriv,
            crds::SecurityLevel::AuthNoPriv => SecurityLevel::AuthNoPriv,
            crds::SecurityLevel::AuthPriv => SecurityLevel::AuthPriv,
        },
        access: access(user.access),
    }
}

fn access(access: crds::Access) -> master_config::Access {
    match access {
        crds::Access::ReadOnly => master_config::Access::ReadOnly,
        crds::Access::ReadWrite => master_config::Access::ReadWrite,
    }
}
