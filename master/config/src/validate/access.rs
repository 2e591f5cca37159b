//! Rules for communities and users.

use std::collections::{HashMap, HashSet};

use super::{Checks, MAX_NETWORKS};
use crate::{Community, Document, IpNet, Secret, SecurityLevel, User, UserAccess};

/// Maximum number of communities of a context.
pub const MAX_COMMUNITIES: usize = 64;
/// The longest community, in octets. It fits into every message.
const MAX_COMMUNITY_OCTETS: usize = 255;
/// The longest name of a user, in octets (usmUserName, RFC 3414).
const MAX_USER_OCTETS: usize = 32;
/// The shortest passphrase, in octets (RFC 3414 section 11.2).
const MIN_PASSPHRASE_OCTETS: usize = 8;
const MAX_PASSPHRASE_OCTETS: usize = 1024;

/// The users of a document, by name.
type Users<'a> = HashMap<&'a str, &'a User>;

/// A community in the document, and the sources that may use it.
struct KnownCommunity<'a> {
    context: usize,
    path: String,
    sources: &'a [IpNet],
}

impl Checks<'_> {
    pub(super) fn access(&mut self, document: &Document) {
        let users = self.users(&document.users);
        let mut communities = HashMap::new();
        for (i, context) in document.contexts.iter().enumerate() {
            self.count(format!("contexts[{i}].communities"), context.communities.len(), 0, MAX_COMMUNITIES);
            // Communities over the limit are refused above. They are skipped here, because each community is compared
            // with all before it.
            for (j, community) in context.communities.iter().take(MAX_COMMUNITIES).enumerate() {
                self.community(i, format!("contexts[{i}].communities[{j}]"), community, &mut communities);
            }
            let mut seen = HashSet::new();
            for (j, access) in context.users.iter().enumerate() {
                let path = format!("contexts[{i}].users[{j}]");
                self.refuse_unless(seen.insert(&access.name), format!("{path}.name"), "is used more than once");
                self.user_access(&path, access, &users);
            }
        }
    }

    /// Checks a community. It belongs to one context, where it may occur several times for different sources.
    fn community<'a>(
        &mut self,
        context: usize,
        path: String,
        Community { community, sources, .. }: &'a Community,
        earlier: &mut HashMap<&'a Secret, Vec<KnownCommunity<'a>>>,
    ) {
        let text = format!("{path}.community");
        self.text(&text, community.expose(), 1, MAX_COMMUNITY_OCTETS);
        self.count(format!("{path}.sources"), sources.len(), 0, MAX_NETWORKS);
        if community.expose().is_empty() {
            return;
        }
        let same = earlier.entry(community).or_default();
        match same.first() {
            Some(first) if first.context != context => {
                self.refuse(text, format!("is the same as {}, which belongs to another context", first.path));
                return;
            }
            _ => {}
        }
        if let Some(other) = same.iter().find(|other| overlap(sources, other.sources)) {
            let message = format!("is the same as {}, which has overlapping sources", other.path);
            self.refuse(text, message);
        }
        same.push(KnownCommunity { context, path, sources });
    }

    fn users<'a>(&mut self, users: &'a [User]) -> Users<'a> {
        let mut by_name = Users::new();
        for (i, user) in users.iter().enumerate() {
            let path = format!("users[{i}]");
            self.text(&format!("{path}.name"), &user.name, 1, MAX_USER_OCTETS);
            let holds = by_name.insert(&user.name, user).is_none();
            self.refuse_unless(holds, format!("{path}.name"), "is already the name of another user");
            if let Some(auth) = &user.auth {
                self.passphrase(&format!("{path}.auth.passphrase"), &auth.passphrase);
            }
            if let Some(privacy) = &user.privacy {
                self.passphrase(&format!("{path}.priv.passphrase"), &privacy.passphrase);
                let message = "requires auth, because there is no privacy without authentication (RFC 3411)";
                self.refuse_unless(user.auth.is_some(), format!("{path}.priv"), message);
            }
        }
        by_name
    }

    fn passphrase(&mut self, path: &str, passphrase: &Secret) {
        self.text(path, passphrase.expose(), MIN_PASSPHRASE_OCTETS, MAX_PASSPHRASE_OCTETS);
    }

    fn user_access(&mut self, path: &str, access: &UserAccess, users: &Users<'_>) {
        match users.get(access.name.as_str()) {
            None => self.refuse(format!("{path}.name"), "is not one of the users"),
            Some(user) if user.security_level() < access.security_level => {
                let lacks = match user.security_level() {
                    SecurityLevel::NoAuthNoPriv => "auth",
                    _ => "priv",
                };
                let message = format!("is not possible, because the user has no {lacks}");
                self.refuse(format!("{path}.securityLevel"), message);
            }
            Some(_) => {}
        }
    }
}

/// Returns whether an address can be in both lists, up to the maximum length of a list. An empty list contains all
/// addresses.
fn overlap(one: &[IpNet], other: &[IpNet]) -> bool {
    let both = |a: &IpNet| other.iter().take(MAX_NETWORKS).any(|b| a.contains(b) || b.contains(a));
    one.is_empty() || other.is_empty() || one.iter().take(MAX_NETWORKS).any(both)
}
