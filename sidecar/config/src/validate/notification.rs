//! Rules for notifications: their OIDs, conditions and objects.

use std::collections::{BTreeMap, HashMap, HashSet};

use agentx::Oid;

use super::{Checks, MAX_TEXT, object::Descriptors};
use crate::{Notification, SeverityFrom, Subtree, Syntax, Test};

/// Maximum number of notifications of a subtree.
pub const MAX_NOTIFICATIONS: usize = 64;
/// Maximum number of objects that a notification carries beside the object of its condition.
pub const MAX_NOTIFICATION_OBJECTS: usize = 32;
/// Maximum number of values in `severityFrom.map`.
const MAX_SEVERITIES: usize = 64;
/// The first arc of notifications below the base OID. The last arc but one is 0 so that SNMPv1 can carry them (RFC 2578
/// section 8.5).
const NOTIFICATION_ARC: u32 = 0;

/// A scalar or a column, as the rules of notifications see it.
#[derive(Clone, Copy)]
struct Object<'a> {
    /// The table of a column.
    table: Option<&'a str>,
    syntax: Syntax,
    names: &'a BTreeMap<String, i32>,
}

/// The scalars and columns of a subtree by name.
type Objects<'a> = HashMap<&'a str, Object<'a>>;

impl Checks<'_> {
    pub(super) fn notifications<'a>(&mut self, subtree: &'a Subtree, descriptors: &mut Descriptors<'a>) {
        if subtree.notifications.is_empty() {
            return;
        }
        self.count("notifications", subtree.notifications.len(), 0, MAX_NOTIFICATIONS);
        self.notification_arc(subtree);
        let objects = objects(subtree);
        let mut oids = HashSet::new();
        for (i, notification) in subtree.notifications.iter().enumerate() {
            let path = format!("notifications[{i}]");
            self.descriptor(descriptors, &path, &notification.name);
            self.notification_oid(&format!("{path}.oid"), &subtree.oid, &notification.oid, &mut oids);
            let has_text = notification.text.len() <= MAX_TEXT;
            self.refuse_unless(has_text, format!("{path}.text"), format!("has more than {MAX_TEXT} octets"));
            let object = self.condition(&path, notification, &objects);
            self.notification_objects(&path, notification, object, &objects);
            if let Some(severity_from) = &notification.severity_from {
                self.severity_from(&format!("{path}.severityFrom"), severity_from, object, &objects);
            }
            if let Some(clear) = &notification.clear {
                let path = format!("{path}.clear");
                self.descriptor(descriptors, &path, &clear.name);
                self.notification_oid(&format!("{path}.oid"), &subtree.oid, &clear.oid, &mut oids);
            }
        }
    }

    /// Checks that no object lies below the arc of notifications.
    fn notification_arc(&mut self, subtree: &Subtree) {
        let scalars = subtree.scalars.iter().enumerate().map(|(i, scalar)| (format!("scalars[{i}].oid"), &scalar.oid));
        let tables = subtree.tables.iter().enumerate().map(|(i, table)| (format!("tables[{i}].oid"), &table.oid));
        for (path, oid) in scalars.chain(tables) {
            let holds = oid.first() != Some(&NOTIFICATION_ARC);
            self.refuse_unless(holds, path, "the arc 0 is reserved for notifications");
        }
    }

    /// Checks the OID of a notification: base.0.N, or an OID outside of the base.
    fn notification_oid<'a>(&mut self, path: &str, base: &Oid, oid: &'a Oid, seen: &mut HashSet<&'a Oid>) {
        let starts_well = matches!(oid.as_slice(), [0 | 1, 0..=39, _, ..] | [2, _, _, ..]);
        if !starts_well {
            self.refuse(path, "is not an object identifier with at least three arcs, for example 1.3.6");
        } else if let Some(below) = oid.strip_prefix(base.as_slice()) {
            let holds = matches!(below, [NOTIFICATION_ARC, _]);
            self.refuse_unless(
                holds,
                path,
                format!("{oid} is neither {base}.0 and one more arc, nor outside of {base}"),
            );
        }
        self.unique(seen, path, oid);
    }

    /// Checks the condition, and returns its object if there is one.
    fn condition<'a>(&mut self, path: &str, rule: &Notification, objects: &Objects<'a>) -> Option<Object<'a>> {
        let when = format!("{path}.when");
        let Some(object) = objects.get(rule.when.object.as_str()).copied() else {
            let message = format!("there is no scalar or column {:?}", rule.when.object);
            self.refuse(format!("{when}.object"), message);
            return None;
        };
        match &rule.when.test {
            Test::Above { threshold, clear } => {
                self.threshold(&format!("{when}.test.above"), object.syntax, *threshold, *clear, |clear| {
                    clear <= *threshold
                });
            }
            Test::Below { threshold, clear } => {
                self.threshold(&format!("{when}.test.below"), object.syntax, *threshold, *clear, |clear| {
                    clear >= *threshold
                });
            }
            Test::Equals { value } => self.comparable(&format!("{when}.test.equals.value"), object, value),
            Test::Changes {} => {
                let message = "is not allowed with changes, which is an event without an end";
                self.refuse_unless(rule.clear.is_none(), format!("{path}.clear"), message);
                self.refuse_unless(rule.when.for_ms == 0, format!("{when}.forMs"), message);
                self.refuse_unless(rule.when.clear_for_ms == 0, format!("{when}.clearForMs"), message);
            }
            Test::Absent {} => {}
        }
        Some(object)
    }

    fn threshold(
        &mut self,
        path: &str,
        syntax: Syntax,
        threshold: f64,
        clear: Option<f64>,
        is_beyond: impl Fn(f64) -> bool,
    ) {
        if syntax.is_counter() {
            let message = format!("a {syntax:?} only increases; use an object with rate instead");
            self.refuse(path, message);
        } else if !is_number(syntax) {
            self.refuse(path, format!("a {syntax:?} is not a number"));
        }
        self.refuse_unless(threshold.is_finite(), format!("{path}.threshold"), "is not a finite number");
        if let Some(clear) = clear {
            let clear_path = format!("{path}.clear");
            if !clear.is_finite() {
                self.refuse(clear_path, "is not a finite number");
            } else if threshold.is_finite() {
                let message = format!("{clear} is on the wrong side of the threshold {threshold}");
                self.refuse_unless(is_beyond(clear), clear_path, message);
            }
        }
    }

    /// Checks that a text is a value of the object.
    fn comparable(&mut self, path: &str, object: Object<'_>, text: &str) {
        let Object { syntax, names, .. } = object;
        if let Err(error) = syntax.read_named(names, text) {
            self.refuse(path, format!("{text:?} is not a valid {syntax:?}: {error}"));
        }
    }

    fn notification_objects(
        &mut self,
        path: &str,
        rule: &Notification,
        object: Option<Object<'_>>,
        objects: &Objects<'_>,
    ) {
        let path = format!("{path}.objects");
        self.count(&path, rule.objects.len(), 0, MAX_NOTIFICATION_OBJECTS);
        let mut seen = HashSet::new();
        for (i, name) in rule.objects.iter().enumerate() {
            let path = format!("{path}[{i}]");
            self.related(&path, name, object, objects);
            self.unique(&mut seen, &path, name);
        }
    }

    fn severity_from(
        &mut self,
        path: &str,
        severity_from: &SeverityFrom,
        object: Option<Object<'_>>,
        objects: &Objects<'_>,
    ) {
        let map = format!("{path}.map");
        let source = self.related(&format!("{path}.object"), &severity_from.object, object, objects);
        self.count(&map, severity_from.map.len(), 1, MAX_SEVERITIES);
        if let Some(source) = source {
            for text in severity_from.map.keys() {
                self.comparable(&format!("{map}.{text}"), source, text);
            }
        }
    }

    /// Checks that an object is a scalar, or a column of the table of the condition's object, and returns it.
    fn related<'a>(
        &mut self,
        path: &str,
        name: &str,
        condition: Option<Object<'_>>,
        objects: &Objects<'a>,
    ) -> Option<Object<'a>> {
        let Some(object) = objects.get(name).copied() else {
            self.refuse(path, format!("there is no scalar or column {name:?}"));
            return None;
        };
        if let (Some(table), Some(condition)) = (object.table, condition) {
            let holds = condition.table == Some(table);
            let message = format!(
                "{name} is a column of {table}; only scalars and columns of the table of when.object are allowed"
            );
            self.refuse_unless(holds, path, message);
        }
        Some(object)
    }
}

fn objects(subtree: &Subtree) -> Objects<'_> {
    let scalars = subtree.scalars.iter().map(|scalar| {
        (scalar.name.as_str(), Object { table: None, syntax: scalar.syntax, names: &scalar.enumeration })
    });
    let columns = subtree.tables.iter().flat_map(|table| {
        table.columns.iter().map(|column| {
            let table = Some(table.name.as_str());
            (column.name.as_str(), Object { table, syntax: column.syntax, names: &column.enumeration })
        })
    });
    scalars.chain(columns).collect()
}

/// Returns whether thresholds make sense for values of the syntax, apart from counters.
fn is_number(syntax: Syntax) -> bool {
    matches!(syntax, Syntax::Integer32 | Syntax::Unsigned32 | Syntax::Gauge32 | Syntax::TimeTicks)
}
