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
    let document = translation.document(subtree, base.clone(), admitted);
    let Translation { credentials, mut refusals } = translation;
    let contexts_refused = refusals.iter().any(|refusal| refusal.path.starts_with("spec.contextRefs"));
    match document.validate() {
        Ok(document) if refusals.is_empty() => {
            for context in &document.contexts {
                space.hold(context, &base, &holder);
            }
            return Ok(Planned { document, credentials });
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

impl Translation {
    /// Returns the SNMP names of the contexts that admit the subtree. Records a refusal for each context that does not
    /// allow the subtree, or in which another subtree holds its OIDs.
    fn contexts(
        &mut self,
        subtree: &SnmpSubtree,
        contexts: &Contexts<'_>,
        space: &OidSpace,
        base: &Oid,
    ) -> Vec<String> {
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
                    admitted.push(context.to_owned());
                }
                Err((reason, message)) => self.refusals.push(FieldRefusal::new(reason, path, message)),
            }
        }
        admitted
    }

    fn document(&mut self, subtree: &SnmpSubtree, oid: Oid, contexts: Vec<String>) -> Subtree {
        let spec = &subtree.spec;
        for (i, _) in spec.notifications.iter().enumerate() {
            self.refusals.push(FieldRefusal::not_served(format!("spec.notifications[{i}]"), "notifications are"));
        }
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
    fn oid(&mut self, path: &str, text: &str) -> Oid {
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
