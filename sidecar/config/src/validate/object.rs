//! Checks of objects: descriptors and OIDs, one by one and against one another.

use std::collections::{BTreeMap, HashMap, HashSet};

use agentx::{Oid, SubId};

use super::{Checks, MAX_TEXT, is_descriptor, value::Sources};
use crate::{IndexEncoding, IndexKind, Subtree, Syntax, Table};

/// Most scalars of one subtree.
pub const MAX_SCALARS: usize = 256;
/// Most tables of one subtree.
pub const MAX_TABLES: usize = 32;
/// Most columns of one table.
pub const MAX_COLUMNS: usize = 64;
/// Most index objects of one table.
pub const MAX_INDEXES: usize = 8;
/// Most names of an object's values.
const MAX_NAMES: usize = 64;
/// First arcs below the base that are ours: 9998 the counters' discontinuity time, 9999 conformance statements.
pub const RESERVED_ARCS: [SubId; 2] = [9998, 9999];

/// The names of a subtree's descriptors so far, and where each stands.
type Descriptors<'a> = HashMap<&'a str, String>;

impl Checks {
    pub(super) fn objects(&mut self, subtree: &Subtree) {
        self.base(&subtree.oid);
        self.count("scalars", subtree.scalars.len(), 0, MAX_SCALARS);
        self.count("tables", subtree.tables.len(), 0, MAX_TABLES);
        if subtree.scalars.is_empty() && subtree.tables.is_empty() {
            self.refuse("scalars", "neither scalars nor tables are there: nothing to serve");
        }
        // Of two with one name, which is refused above, the first.
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

    /// Names of an Integer32's values (RFC 2578 section 7.1.1).
    fn enumeration(&mut self, path: &str, syntax: Syntax, names: &BTreeMap<String, i32>) {
        if names.is_empty() {
            return;
        }
        let path = format!("{path}.enum");
        self.refuse_unless(syntax == Syntax::Integer32, &path, "is for Integer32 alone");
        self.count(&path, names.len(), 1, MAX_NAMES);
        let mut seen = HashSet::new();
        for (name, number) in names {
            self.refuse_unless(
                is_descriptor(name),
                &path,
                format!("{name:?} is not a name: a lower-case letter, then letters and digits, 64 at most"),
            );
            self.unique(&mut seen, &path, *number);
        }
    }

    /// An OID that BER can encode (X.690 section 8.19): 0.0 to 0.39, 1.0 to 1.39, or 2 and anything.
    fn base(&mut self, base: &Oid) {
        let holds = matches!(base.as_slice(), [0 | 1, 0..=39, ..] | [2, _, ..]);
        self.refuse_unless(holds, "oid", "is not an object identifier that begins as 1.3 does");
    }

    /// Descriptors are unique in a MIB module, whatever they describe (RFC 2578 section 3.1).
    fn descriptor<'a>(&mut self, descriptors: &mut Descriptors<'a>, path: &str, name: &'a str) {
        let path = format!("{path}.name");
        let holds = is_descriptor(name);
        self.refuse_unless(
            holds,
            &path,
            "is not a descriptor: a lower-case letter, then letters and digits, 64 at most",
        );
        match descriptors.get(name) {
            Some(other) => self.refuse(&path, format!("{name} is the name of {other} already")),
            None => _ = descriptors.insert(name, path),
        }
    }

    /// An object below the base, with `more` arcs at least behind it.
    fn object_oid(&mut self, path: &str, base: &Oid, oid: &Oid, more: usize) {
        let path = format!("{path}.oid");
        let len = base.len() + oid.len() + more;
        match oid.first() {
            None => self.refuse(&path, "is empty"),
            Some(arc) if RESERVED_ARCS.contains(arc) => self.refuse(&path, format!("the arc {arc} is reserved")),
            Some(_) if len > Oid::MAX_LEN => {
                self.refuse(&path, format!("an instance would have {len} arcs, more than {}", Oid::MAX_LEN));
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
                IndexKind::Pod {} => self.refuse_unless(i == 0, format!("{path}.pod"), "comes first or not at all"),
                IndexKind::Label { label, encoding } => {
                    self.text(&format!("{path}.label"), label, MAX_TEXT);
                    let holds = *encoding != IndexEncoding::ImpliedString || i + 1 == table.index.len();
                    self.refuse_unless(holds, format!("{path}.as"), "ImpliedString comes last or not at all");
                }
            }
        }
        for (i, column) in table.columns.iter().enumerate() {
            let path = format!("{path}.columns[{i}]");
            self.descriptor(descriptors, &path, &column.name);
            self.column_arc(&mut arcs, &path, column.oid);
        }
    }

    /// The arc of an index object or column: unique in its entry, from 1 (RFC 2578 section 7.10).
    fn column_arc(&mut self, seen: &mut HashSet<SubId>, path: &str, arc: SubId) {
        let path = format!("{path}.oid");
        self.refuse_unless(arc != 0, &path, "columns count from 1");
        self.unique(seen, &path, arc);
    }

    /// No object lies at or below another.
    fn overlaps(&mut self, subtree: &Subtree) {
        let scalars = subtree.scalars.iter().enumerate().map(|(i, s)| (&s.oid, 0, i, &s.name));
        let tables = subtree.tables.iter().enumerate().map(|(i, t)| (&t.oid, 1, i, &t.name));
        let mut objects: Vec<_> = scalars.chain(tables).filter(|(oid, ..)| !oid.is_empty()).collect();
        // Whatever lies below an object follows it directly.
        objects.sort_unstable();
        let mut found = Vec::new();
        let mut above: Option<(&Oid, &String)> = None;
        for (oid, kind, i, name) in objects {
            match above {
                Some((other, other_name)) if oid.starts_with(other) => {
                    let relation = if oid == other { "is" } else { "lies below" };
                    found.push((kind, i, format!("{oid} {relation} {other}, the place of {other_name}")));
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

/// The fewest arcs that a value of this index takes (RFC 2578 section 7.7).
fn least_arcs(kind: &IndexKind) -> usize {
    match kind {
        IndexKind::Label { encoding: IndexEncoding::IpAddress, .. } => 4,
        IndexKind::Label { encoding: IndexEncoding::ImpliedString, .. } => 0,
        IndexKind::Label { .. } | IndexKind::Pod {} => 1,
    }
}
