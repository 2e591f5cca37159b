//! Rules for objects: their descriptors and OIDs, and conflicts between them.

use std::collections::{BTreeMap, HashMap, HashSet};

use agentx::{Oid, SubId};

use super::{Checks, MAX_TEXT, is_descriptor, value::Sources};
use crate::{IndexEncoding, IndexKind, Subtree, Syntax, Table};

/// Maximum number of scalars of a subtree.
pub const MAX_SCALARS: usize = 256;
/// Maximum number of tables of a subtree.
pub const MAX_TABLES: usize = 32;
/// Maximum number of columns of a table.
pub const MAX_COLUMNS: usize = 64;
/// Maximum number of index objects of a table.
pub const MAX_INDEXES: usize = 8;
/// Maximum number of names for the values of an object.
const MAX_NAMES: usize = 64;
/// First arcs below the base OID that the sidecar uses: 9998 for the discontinuity time of counters, 9999 for conformance
/// statements.
pub const RESERVED_ARCS: [SubId; 2] = [9998, 9999];

/// The descriptors of a subtree, and the field of each.
type Descriptors<'a> = HashMap<&'a str, String>;

impl Checks<'_> {
    pub(super) fn objects(&mut self, subtree: &Subtree) {
        self.base(&subtree.oid);
        self.count("scalars", subtree.scalars.len(), 0, MAX_SCALARS);
        self.count("tables", subtree.tables.len(), 0, MAX_TABLES);
        if subtree.scalars.is_empty() && subtree.tables.is_empty() {
            self.refuse("scalars", "neither scalars nor tables are defined; at least one object is required");
        }
        // If two sources have the same name, which was refused above, this uses the first.
        let sources: Sources<'_> = subtree.sources.iter().rev().map(|source| (source.name.as_str(), source)).collect();
        let mut descriptors = Descriptors::new();
        for (i, scalar) in subtree.scalars.iter().enumerate() {
            let path = format!("scalars[{i}]");
            self.descriptor(&mut descriptors, &path, &scalar.name);
            // base.oid.0
            self.object_oid(&path, &subtree.oid, &scalar.oid, 1);
            self.enumeration(&path, scalar.syntax, &scalar.enumeration);
            self.value(&format!("{path}.value"), &scalar.value, scalar.syntax, &sources);
            self.write(&path, scalar);
        }
        for (i, table) in subtree.tables.iter().enumerate() {
            let path = format!("tables[{i}]");
            self.descriptor(&mut descriptors, &path, &table.name);
            self.table(&path, table, &subtree.oid, &mut descriptors);
            for (j, column) in table.columns.iter().enumerate() {
                let path = format!("{path}.columns[{j}]");
                self.enumeration(&path, column.syntax, &column.enumeration);
                self.value(&format!("{path}.value"), &column.value, column.syntax, &sources);
            }
        }
        self.overlaps(subtree);
    }

    /// Checks the names for values of an Integer32 (RFC 2578 section 7.1.1).
    fn enumeration(&mut self, path: &str, syntax: Syntax, names: &BTreeMap<String, i32>) {
        if names.is_empty() {
            return;
        }
        let path = format!("{path}.enum");
        self.refuse_unless(syntax == Syntax::Integer32, &path, "is only allowed with the syntax Integer32");
        self.count(&path, names.len(), 1, MAX_NAMES);
        let mut seen = HashSet::new();
        for (name, number) in names {
            self.refuse_unless(
                is_descriptor(name),
                &path,
                format!("{name:?} is not a valid name; it must be a lower-case letter and then letters and digits, at most 64 characters"),
            );
            self.unique(&mut seen, &path, *number);
        }
    }

    /// Checks that BER can encode the OID (X.690 section 8.19): it starts with 0.0 to 0.39, 1.0 to 1.39, or 2.
    fn base(&mut self, base: &Oid) {
        let holds = matches!(base.as_slice(), [0 | 1, 0..=39, ..] | [2, _, ..]);
        self.refuse_unless(holds, "oid", "does not start like an object identifier, for example 1.3");
    }

    /// Checks a descriptor. All descriptors of a MIB module are distinct (RFC 2578 section 3.1).
    fn descriptor<'a>(&mut self, descriptors: &mut Descriptors<'a>, path: &str, name: &'a str) {
        let path = format!("{path}.name");
        let holds = is_descriptor(name);
        self.refuse_unless(
            holds,
            &path,
            "is not a valid descriptor; it must be a lower-case letter and then letters and digits, at most 64 characters",
        );
        match descriptors.get(name) {
            Some(other) => self.refuse(&path, format!("{name} is already used by {other}")),
            None => _ = descriptors.insert(name, path),
        }
    }

    /// Checks the OID of an object below the base. Its instances have at least `more` further arcs.
    fn object_oid(&mut self, path: &str, base: &Oid, oid: &Oid, more: usize) {
        let path = format!("{path}.oid");
        let len = base.len() + oid.len() + more;
        match oid.first() {
            None => self.refuse(&path, "is empty"),
            Some(arc) if RESERVED_ARCS.contains(arc) => self.refuse(&path, format!("the arc {arc} is reserved")),
            Some(_) if len > Oid::MAX_LEN => {
                self.refuse(&path, format!("an instance would have {len} arcs; at most {} allowed", Oid::MAX_LEN));
            }
            Some(_) => {}
        }
    }

    fn table<'a>(&mut self, path: &str, table: &'a Table, base: &Oid, descriptors: &mut Descriptors<'a>) {
        self.count(&format!("{path}.index"), table.index.len(), 1, MAX_INDEXES);
        self.count(&format!("{path}.columns"), table.columns.len(), 1, MAX_COLUMNS);
        let least = table.index.iter().map(|index| least_arcs(&index.kind)).sum::<usize>();
        // base.oid.1.column.index
        self.object_oid(path, base, &table.oid, 2 + least);
        let mut arcs = HashSet::new();
        for (i, index) in table.index.iter().enumerate() {
            let path = format!("{path}.index[{i}]");
            self.descriptor(descriptors, &path, &index.name);
            self.column_arc(&mut arcs, &path, index.oid);
            match &index.kind {
                IndexKind::Pod {} => {
                    self.refuse_unless(i == 0, format!("{path}.pod"), "is only allowed as the first index");
                }
                IndexKind::Label { label, encoding } => {
                    self.text(&format!("{path}.label"), label, MAX_TEXT);
                    let holds = *encoding != IndexEncoding::ImpliedString || i + 1 == table.index.len();
                    self.refuse_unless(holds, format!("{path}.as"), "ImpliedString is only allowed for the last index");
                }
            }
        }
        for (i, column) in table.columns.iter().enumerate() {
            let path = format!("{path}.columns[{i}]");
            self.descriptor(descriptors, &path, &column.name);
            self.column_arc(&mut arcs, &path, column.oid);
        }
    }

    /// Checks the arc of an index object or column: from 1, and unique in its entry (RFC 2578 section 7.10).
    fn column_arc(&mut self, seen: &mut HashSet<SubId>, path: &str, arc: SubId) {
        let path = format!("{path}.oid");
        self.refuse_unless(arc != 0, &path, "must be at least 1");
        self.unique(seen, &path, arc);
    }

    /// Checks that no object has the OID of another or lies below it.
    fn overlaps(&mut self, subtree: &Subtree) {
        let scalars = subtree.scalars.iter().enumerate().map(|(i, s)| (&s.oid, 0, i, &s.name));
        let tables = subtree.tables.iter().enumerate().map(|(i, t)| (&t.oid, 1, i, &t.name));
        let mut objects: Vec<_> = scalars.chain(tables).filter(|(oid, ..)| !oid.is_empty()).collect();
        // In this order, everything below an object follows it directly.
        objects.sort_unstable();
        let mut found = Vec::new();
        let mut above: Option<(&Oid, &String)> = None;
        for (oid, kind, i, name) in objects {
            match above {
                Some((other, other_name)) if oid.starts_with(other) => {
                    let message = if oid == other {
                        format!("{oid} is already the OID of {other_name}")
                    } else {
                        format!("{oid} lies below {other}, the OID of {other_name}")
                    };
                    found.push((kind, i, message));
                }
                _ => above = Some((oid, name)),
            }
        }
        found.sort_unstable();
        for (kind, i, message) in found {
            let list = if kind == 0 { "scalars" } else { "tables" };
            self.refuse(format!("{list}[{i}].oid"), message);
        }
    }
}

/// Returns the minimum number of arcs for a value of this index (RFC 2578 section 7.7).
fn least_arcs(kind: &IndexKind) -> usize {
    match kind {
        IndexKind::Label { encoding: IndexEncoding::IpAddress, .. } => 4,
        IndexKind::Label { encoding: IndexEncoding::ImpliedString, .. } => 0,
        IndexKind::Label { .. } | IndexKind::Pod {} => 1,
    }
}
