//! Access to contexts: translates SnmpContexts and Secrets to the contexts and users of the master.

use std::collections::{BTreeMap, HashMap};

use crds::{Cidr, ContextUser, SnmpContextSpec};
use master_config::{
    Community, Context, Document, IpNet, Limits, Listeners, Secret, SecurityLevel, System, User, UserAccess, VERSION,
};

use super::{
    refusal::{FieldRefusal, Reason},
    secret::Secrets,
    usm,
};

/// The communities and users of the contexts so far. All contexts share these two name spaces of the SNMP engine.
pub(super) struct Access<'a> {
    secrets: &'a Secrets,
    /// The namespace of the Secrets of SnmpContexts.
    namespace: &'a str,
    /// Each community, with the field that refers to it.
    communities: HashMap<Secret, String>,
    users: BTreeMap<String, RegisteredUser>,
}

/// A user, and where it was first used.
struct RegisteredUser {
    user: User,
    /// The name of its Secret.
    secret: String,
    /// The name of the SnmpContext that used it first.
    context: String,
}

impl<'a> Access<'a> {
    pub(super) fn new(secrets: &'a Secrets, namespace: &'a str) -> Self {
        Self { secrets, namespace, communities: HashMap::new(), users: BTreeMap::new() }
    }

    /// Returns the users of all contexts, sorted by name.
    pub(super) fn into_users(self) -> Vec<User> {
        self.users.into_values().map(|registered| registered.user).collect()
    }

    /// Translates the SnmpContext `name` to the master's context `snmp_name`, without grants. Refused parts are left out
    /// and the rest is kept, so a missing Secret affects only what refers to it.
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
        // Violations of a placeholder are left out, because its field is already refused.
        let more: Vec<_> = violations.filter(|refusal| !is_refused(&refusals, &refusal.path)).collect();
        refusals.extend(more);
        self.retain_accepted(name, spec, &mut context, users, &refusals);
        (context, refusals)
    }

    /// Returns the context and its users, one for each item of the API's lists. If a Secret is missing or invalid, the
    /// field is refused, and a placeholder is returned so that the rest can be checked.
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
                let message = format!("the community is already used by {other}, and a community has only one context");
                (Reason::Conflict, message)
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
        if let Some(RegisteredUser { user, secret, context }) = self.users.get(&name.0) {
            let message = || {
                format!(
                    "the user {name} has the Secret {secret} in SnmpContext {context}; it must be the same everywhere"
                )
            };
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

    /// Removes the refused parts from the context, and records the communities and users of the rest.
    fn retain_accepted(
        &mut self,
        name: &str,
        spec: &SnmpContextSpec,
        context: &mut Context,
        users: Vec<User>,
        refusals: &[FieldRefusal],
    ) {
        let is_accepted = |path: &str| !is_refused(refusals, path);
        let communities = std::mem::take(&mut context.communities).into_iter().enumerate();
        for (i, community) in communities.filter(|(i, _)| is_accepted(&format!("spec.communities[{i}]"))) {
            let field = format!("spec.communities[{i}] of SnmpContext {name}");
            self.communities.insert(community.community.clone(), field);
            context.communities.push(community);
        }
        let accesses = std::mem::take(&mut context.users).into_iter().zip(users).zip(&spec.users).enumerate();
        for (_, ((access, user), api)) in accesses.filter(|(i, _)| is_accepted(&format!("spec.users[{i}]"))) {
            let (secret, context_name) = (api.secret_ref.name.0.clone(), name.to_owned());
            let registered = RegisteredUser { user, secret, context: context_name };
            self.users.entry(access.name.clone()).or_insert(registered);
            context.users.push(access);
        }
        if !is_accepted("spec.system") {
            context.system = System::default();
        }
        if !is_accepted("spec.allowedTargets") {
            context.allowed_targets.clear();
        }
    }
}

/// Returns the path of the part of a context that is accepted or refused as a whole: an item of a list, or a field of
/// the spec.
fn item(path: &str) -> &str {
    let after_spec = path.strip_prefix("spec.").map_or(0, |_| "spec.".len());
    let end = path.get(after_spec..).and_then(|rest| rest.find(['.', ']'])).map(|end| after_spec + end);
    end.and_then(|end| path.get(..end)).unwrap_or(path)
}

fn is_refused(refusals: &[FieldRefusal], path: &str) -> bool {
    refusals.iter().any(|refusal| item(&refusal.path) == item(path))
}

/// Translates a violation in a document with one context to a refusal in the SnmpContext.
fn in_spec(path: &str, message: &str) -> FieldRefusal {
    // A field in a message is a field of the context.
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
            let message = format!("{:?} is not a network such as 10.0.0.0/8", cidr.0);
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
