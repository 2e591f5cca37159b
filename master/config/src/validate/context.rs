//! Rules for contexts (names, system groups, grants) and for targets, which refer to contexts.

use std::collections::{HashMap, HashSet};

use super::{Checks, MAX_NETWORKS, MAX_TEXT, is_identifier};
use crate::{Context, Document, Grant, System};

/// The longest name of a context, in octets (SnmpAdminString of 0 to 32: RFC 3411 section 5, RFC 3415 vacmContextName).
pub const MAX_CONTEXT_OCTETS: usize = 32;
/// The longest DisplayString, in octets (RFC 2579 section 2).
const MAX_DISPLAY_OCTETS: usize = 255;

impl Checks<'_> {
    pub(super) fn contexts(&mut self, document: &Document) {
        let mut seen = HashMap::new();
        for (i, Context { name, system, grants, allowed_targets, .. }) in document.contexts.iter().enumerate() {
            let path = format!("contexts[{i}]");
            self.text(&format!("{path}.name"), name, 0, MAX_CONTEXT_OCTETS);
            if let Some(first) = seen.get(name.as_str()) {
                self.refuse(format!("{path}.name"), format!("is already the name of contexts[{first}]"));
            } else {
                seen.insert(name.as_str(), i);
            }
            self.system(&format!("{path}.system"), system);
            self.grants(&path, grants);
            self.count(format!("{path}.allowedTargets"), allowed_targets.len(), 0, MAX_NETWORKS);
        }
    }

    fn system(&mut self, path: &str, System { name, contact, location }: &System) {
        for (field, text) in [("name", name), ("contact", contact), ("location", location)] {
            if let Some(text) = text {
                let path = format!("{path}.{field}");
                self.text(&path, text, 0, MAX_DISPLAY_OCTETS);
                self.refuse_unless(
                    text.is_ascii(),
                    path,
                    "contains characters other than ASCII, which a DisplayString does not allow (RFC 2579)",
                );
            }
        }
    }

    /// Checks that grants of different namespaces do not overlap.
    fn grants(&mut self, path: &str, grants: &[Grant]) {
        let mut granted = Vec::new();
        for (i, Grant { namespace, subtrees }) in grants.iter().enumerate() {
            let path = format!("{path}.grants[{i}]");
            let holds = is_dns_label(namespace);
            self.refuse_unless(holds, format!("{path}.namespace"), "is not a valid namespace name");
            self.count(format!("{path}.subtrees"), subtrees.len(), 1, usize::MAX);
            for (j, subtree) in subtrees.iter().enumerate() {
                let path = || format!("{path}.subtrees[{j}]");
                if !is_identifier(subtree) {
                    self.refuse(path(), "does not start like an object identifier, for example 1.3");
                }
                granted.push((subtree, i, j));
            }
        }
        // In this order, everything below a subtree follows it directly.
        granted.sort_unstable();
        let mut above = granted.first().copied();
        for (subtree, i, j) in granted.iter().copied().skip(1) {
            let below = above.filter(|(above, ..)| subtree.starts_with(above));
            let Some((_, other_i, other_j)) = below else {
                above = Some((subtree, i, j));
                continue;
            };
            let namespace = |i: usize| grants.get(i).map(|grant| &grant.namespace);
            if namespace(i) != namespace(other_i) {
                let other = format!("{path}.grants[{other_i}].subtrees[{other_j}]");
                let message = format!("overlaps {other}, which is granted to another namespace");
                self.refuse(format!("{path}.grants[{i}].subtrees[{j}]"), message);
            }
        }
    }

    pub(super) fn targets(&mut self, document: &Document) {
        let contexts: HashSet<_> = document.contexts.iter().map(|context| context.name.as_str()).collect();
        let mut names = HashSet::new();
        for (i, target) in document.targets.iter().enumerate() {
            let path = format!("targets[{i}]");
            self.text(&format!("{path}.name"), &target.name, 1, MAX_TEXT);
            self.refuse_unless(names.insert(&target.name), format!("{path}.name"), "is used more than once");
            self.text(&format!("{path}.address"), &target.address, 1, MAX_TEXT);
            let holds = has_port(&target.address);
            self.refuse_unless(holds, format!("{path}.address"), "is not a host and port, for example noc.example:162");
            self.count(format!("{path}.contexts"), target.contexts.len(), 1, usize::MAX);
            for (j, context) in target.contexts.iter().enumerate() {
                let holds = contexts.contains(context.as_str());
                self.refuse_unless(holds, format!("{path}.contexts[{j}]"), "is not one of the contexts");
            }
        }
    }
}

/// Returns whether the text is a host, a colon and a port.
fn has_port(address: &str) -> bool {
    let parts = address.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    parts.is_some_and(|(_, port)| port.parse::<u16>().is_ok_and(|port| port != 0))
}

/// Returns whether this is a valid name of a Kubernetes namespace (RFC 1123 label).
fn is_dns_label(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&name.len()) && name.bytes().all(inner) && !name.starts_with('-') && !name.ends_with('-')
}
