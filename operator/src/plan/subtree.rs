//! Planning of one SnmpSubtree.

use crds::SnmpSubtree;
use sidecar_config::{Column, Index, IndexKind, Oid, Scalar, SubId, Subtree, Table, VERSION};

use super::{
    api_path::api_path,
    context::Contexts,
    credential::Credentials,
    oid_space::OidSpace,
    refusal::{FieldRefusal, Reason},
    settings::Settings,
    translation::Translation,
    value::{encoding, selector, syntax},
};

/// A subtree that is served.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// The document for the sidecars of the namespace.
    pub document: sidecar_config::Valid,
    /// The files that must exist beside the document.
    pub credentials: Credentials,
    /// The OIDs that it may use, and everything below them: its base OID, and the absolute OIDs of its notifications. None is
    /// below another.
    pub oids: Vec<Oid>,
}

/// Plans one subtree, and records it in `space` as the holder of its OIDs.
///
/// # Errors
/// Returns all refusals if the subtree is not accepted.
pub(super) fn plan(
    subtree: &SnmpSubtree,
    contexts: &Contexts<'_>,
    space: &mut OidSpace,
    settings: &Settings,
) -> Result<Planned, Vec<FieldRefusal>> {
    let namespace = subtree.metadata.namespace.clone().unwrap_or_default();
    let name = subtree.metadata.name.clone().unwrap_or_default();
    let holder = format!("{namespace}/{name}");
    let minimum_arcs = settings.minimum_arcs;
    let mut translation = Translation::default();
    for (i, scalar) in subtree.spec.scalars.iter().enumerate() {
        if !settings.writes && scalar.write.as_ref().is_some_and(|write| write.config_map.is_some()) {
            let message = "the operator does not write ConfigMaps: set writes.enabled in its chart, or --writes";
            let path = format!("spec.scalars[{i}].write.configMap");
            translation.refusals.push(FieldRefusal::new(Reason::NotServed, path, message));
        }
    }
    let base = translation.oid("spec.oid", &subtree.spec.oid);
    if base.len() < minimum_arcs && !base.is_empty() {
        let message =
            format!("{base} has {} arcs; the base OID of a subtree needs at least {minimum_arcs}", base.len());
        translation.refusals.push(FieldRefusal::new(Reason::Invalid, "spec.oid", message));
    }
    let admitted = translation.contexts(subtree, contexts, space, &base);
    let absolute = translation.absolute_oids(subtree, &base, minimum_arcs);
    for (path, oid) in &absolute {
        for context in &admitted {
            translation.absolute_oid(path, oid, context, contexts, space);
        }
    }
    let admitted = admitted.into_iter().map(|context| context.snmp_name).collect();
    let document = translation.document(subtree, base.clone(), admitted);
    let Translation { credentials, mut refusals } = translation;
    let contexts_refused = refusals.iter().any(|refusal| refusal.path.starts_with("spec.contextRefs"));
    match document.validate() {
        Ok(document) if refusals.is_empty() => {
            let oids = highest([base].into_iter().chain(absolute.into_iter().map(|(_, oid)| oid)));
            for context in &document.contexts {
                for oid in &oids {
                    space.hold(context, oid, &holder);
                }
            }
            return Ok(Planned { document, credentials, oids });
        }
        Ok(_) => {}
        Err(violations) => {
            for violation in violations {
                let path = api_path(&violation.path, &subtree.spec);
                // A field that cannot be read is already refused. Violations of its placeholder are left out.
                let is_refused = refusals.iter().any(|refusal| refusal.path == path)
                    || (contexts_refused && path.starts_with("spec.contextRefs"));
                if !is_refused {
                    refusals.push(FieldRefusal::new(Reason::Invalid, path, violation.message));
                }
            }
        }
    }
    Err(refusals)
}

/// A context that admits a subtree.
struct Admitted {
    /// The name of the SnmpContext.
    name: String,
    /// The name of the SNMP context.
    snmp_name: String,
}

/// Returns the OIDs that are not below another.
fn highest(oids: impl Iterator<Item = Oid>) -> Vec<Oid> {
    let mut sorted: Vec<_> = oids.collect();
    sorted.sort_unstable();
    let mut highest = Vec::<Oid>::new();
    for oid in sorted {
        // In this order, everything below an OID follows it directly.
        if highest.last().is_none_or(|above| !oid.starts_with(above)) {
            highest.push(oid);
        }
    }
    highest
}

impl Translation {
    /// Returns the absolute OIDs of notifications that are not below the base OID, and their paths.
    fn absolute_oids(&mut self, subtree: &SnmpSubtree, base: &Oid, minimum_arcs: usize) -> Vec<(String, Oid)> {
        let mut oids = Vec::new();
        for (i, notification) in subtree.spec.notifications.iter().enumerate() {
            let path = format!("spec.notifications[{i}]");
            let clear = notification.clear.as_ref().and_then(|clear| clear.absolute_oid.as_ref());
            let both = [
                (format!("{path}.absoluteOID"), notification.absolute_oid.as_ref()),
                (format!("{path}.clear.absoluteOID"), clear),
            ];
            for (path, text) in both {
                // An OID that cannot be read is refused where the notification is translated.
                let Some(oid) = text.and_then(|text| text.parse::<Oid>().ok()) else { continue };
                if oid.len() < minimum_arcs {
                    let message = format!("{oid} has {} arcs; a notification needs at least {minimum_arcs}", oid.len());
                    self.refusals.push(FieldRefusal::new(Reason::Invalid, path, message));
                } else if base.is_empty() || !oid.starts_with(base) {
                    oids.push((path, oid));
                }
            }
        }
        oids
    }

    /// Refuses the absolute OID of a notification if the context does not allow it, or if another subtree holds it.
    fn absolute_oid(&mut self, path: &str, oid: &Oid, context: &Admitted, contexts: &Contexts<'_>, space: &OidSpace) {
        if let Err((reason, message)) = contexts.allow(&context.name, oid) {
            self.refusals.push(FieldRefusal::new(reason, path, message));
        } else if let Some((other, holder)) = space.holder(&context.snmp_name, oid) {
            let name = &context.name;
            let message = format!("{oid} overlaps {other}, which SnmpSubtree {holder} holds in SnmpContext {name}");
            self.refusals.push(FieldRefusal::new(Reason::Conflict, path, message));
        }
    }

    /// Returns the contexts that admit the subtree. Records a refusal for each context that does not
    /// allow the subtree, or in which another subtree holds its OIDs.
    fn contexts(
        &mut self,
        subtree: &SnmpSubtree,
        contexts: &Contexts<'_>,
        space: &OidSpace,
        base: &Oid,
    ) -> Vec<Admitted> {
        let namespace = subtree.metadata.namespace.as_deref().unwrap_or_default();
        let mut admitted = Vec::new();
        for (i, name) in subtree.spec.context_refs.iter().enumerate() {
            let path = format!("spec.contextRefs[{i}]");
            match contexts.admit(name, namespace, base) {
                Ok(context) => {
                    if let Some((oid, holder)) = space.holder(context, base) {
                        let message =
                            format!("{base} overlaps {oid}, which SnmpSubtree {holder} holds in SnmpContext {name}");
                        self.refusals.push(FieldRefusal::new(Reason::Conflict, "spec.oid", message));
                    }
                    admitted.push(Admitted { name: name.0.clone(), snmp_name: context.to_owned() });
                }
                Err((reason, message)) => self.refusals.push(FieldRefusal::new(reason, path, message)),
            }
        }
        admitted
    }

    fn document(&mut self, subtree: &SnmpSubtree, oid: Oid, contexts: Vec<String>) -> Subtree {
        let spec = &subtree.spec;
        let notifications = spec.notifications.iter().enumerate();
        let notifications = notifications
            .map(|(i, notification)| self.notification(&format!("spec.notifications[{i}]"), &oid, notification))
            .collect();
        Subtree {
            version: VERSION,
            namespace: subtree.metadata.namespace.clone().unwrap_or_default(),
            name: subtree.metadata.name.clone().unwrap_or_default(),
            module: spec.mib.as_ref().map(|mib| mib.module.0.clone()),
            selector: selector(&spec.selector),
            oid,
            contexts,
            sources: spec
                .sources
                .iter()
                .enumerate()
                .map(|(i, source)| self.source(&format!("spec.sources[{i}]"), source, spec))
                .collect(),
            scalars: spec
                .scalars
                .iter()
                .enumerate()
                .map(|(i, scalar)| self.scalar(&format!("spec.scalars[{i}]"), scalar))
                .collect(),
            tables: spec
                .tables
                .iter()
                .enumerate()
                .map(|(i, table)| self.table(&format!("spec.tables[{i}]"), table))
                .collect(),
            notifications,
        }
    }

    fn scalar(&mut self, path: &str, scalar: &crds::Scalar) -> Scalar {
        Scalar {
            name: scalar.name.0.clone(),
            oid: self.oid(&format!("{path}.oid"), &scalar.oid),
            syntax: syntax(scalar.object.syntax),
            enumeration: scalar.object.enumeration.clone(),
            value: self.value(&format!("{path}.value"), &scalar.object.value),
            write: self.write(path, scalar),
        }
    }

    fn table(&mut self, path: &str, table: &crds::Table) -> Table {
        let index = table.index.iter().enumerate().map(|(i, index)| {
            let path = format!("{path}.index[{i}]");
            let oid = match &index.oid {
                Some(oid) => self.arc(&format!("{path}.oid"), oid),
                None => SubId::try_from(i + 1).unwrap_or(SubId::MAX),
            };
            let kind = match (&index.label, index.encoding) {
                (Some(label), Some(as_)) => IndexKind::Label { label: label.0.clone(), encoding: encoding(as_) },
                _ => IndexKind::Pod {},
            };
            Index { name: index.name.0.clone(), oid, kind }
        });
        let index = index.collect();
        let columns = table.columns.iter().enumerate().map(|(i, column)| {
            let path = format!("{path}.columns[{i}]");
            Column {
                name: column.name.0.clone(),
                oid: self.arc(&format!("{path}.oid"), &column.oid),
                syntax: syntax(column.object.syntax),
                enumeration: column.object.enumeration.clone(),
                value: self.value(&format!("{path}.value"), &column.object.value),
            }
        });
        let columns = columns.collect();
        Table { name: table.name.0.clone(), oid: self.oid(&format!("{path}.oid"), &table.oid), index, columns }
    }

    /// Parses an OID. An invalid one is refused, and an empty OID is returned instead.
    pub(super) fn oid(&mut self, path: &str, text: &str) -> Oid {
        text.parse().unwrap_or_else(|error| {
            self.refusals.push(FieldRefusal::new(Reason::Invalid, path, format!("{error}")));
            Oid::default()
        })
    }

    /// Parses an arc. An invalid one is refused, and 0 is returned instead.
    fn arc(&mut self, path: &str, text: &str) -> SubId {
        text.parse().unwrap_or_else(|_| {
            let message = format!("{text:?} is not a number from 1 to 4294967295");
            self.refusals.push(FieldRefusal::new(Reason::Invalid, path, message));
            0
        })
    }
}
