//! Translation of notifications.

use sidecar_config::{Clear, EventType, Notification, Oid, Severity, SeverityFrom, Test, When};

use super::{
    refusal::{FieldRefusal, Reason},
    translation::Translation,
    value::same,
};

same!(severity: Severity = Critical Major Minor Warning Indeterminate);
same!(event_type: EventType = Communications QualityOfService ProcessingError Equipment Environmental);

impl Translation {
    /// Translates the notification at `path` of a subtree at `base`.
    pub(super) fn notification(&mut self, path: &str, base: &Oid, api: &crds::Notification) -> Notification {
        let crds::Notification { name, oid, absolute_oid, when, clear, .. } = api;
        Notification {
            name: name.0.clone(),
            oid: self.notification_oid(path, base, oid.as_deref(), absolute_oid.as_deref()),
            severity: severity(api.severity),
            severity_from: api.severity_from.as_ref().map(|from| SeverityFrom {
                object: from.object.0.clone(),
                map: from.map.iter().map(|(value, level)| (value.clone(), severity(*level))).collect(),
                default: severity(from.default),
            }),
            event_type: api.event_type.map(event_type),
            text: api.description.as_ref().map(|text| text.0.clone()).unwrap_or_default(),
            when: self.when(&format!("{path}.when"), when),
            objects: api.objects.iter().map(|object| object.0.clone()).collect(),
            clear: clear.as_ref().map(|clear| Clear {
                name: clear.name.0.clone(),
                oid: self.notification_oid(
                    &format!("{path}.clear"),
                    base,
                    clear.oid.as_deref(),
                    clear.absolute_oid.as_deref(),
                ),
            }),
        }
    }

    /// Returns the whole OID of a notification. An OID that cannot be read is refused, and an empty OID is returned instead.
    fn notification_oid(&mut self, path: &str, base: &Oid, oid: Option<&str>, absolute: Option<&str>) -> Oid {
        match (oid, absolute) {
            (Some(relative), None) => {
                let path = format!("{path}.oid");
                let relative = self.oid(&path, relative);
                base.join(&relative).unwrap_or_else(|error| {
                    self.refusals.push(FieldRefusal::new(Reason::Invalid, path, format!("{error}")));
                    Oid::default()
                })
            }
            (None, Some(absolute)) => self.oid(&format!("{path}.absoluteOID"), absolute),
            _ => {
                let message = "exactly one of oid and absoluteOID must be set";
                self.refusals.push(FieldRefusal::new(Reason::Invalid, format!("{path}.oid"), message));
                Oid::default()
            }
        }
    }

    fn when(&mut self, path: &str, when: &crds::When) -> When {
        let test = match (when.above, when.below, &when.equals, when.changes, when.absent) {
            (Some(threshold), None, None, None, None) => Test::Above { threshold, clear: when.clear_below },
            (None, Some(threshold), None, None, None) => Test::Below { threshold, clear: when.clear_above },
            (None, None, Some(value), None, None) => Test::Equals { value: value.0.clone() },
            (None, None, None, Some(_), None) => Test::Changes {},
            (None, None, None, None, Some(_)) => Test::Absent {},
            _ => {
                let message = "exactly one of above, below, equals, changes and absent must be set";
                self.refusals.push(FieldRefusal::new(Reason::Invalid, path, message));
                Test::Absent {}
            }
        };
        let mut millis = |field: &str, duration: &Option<crds::Duration>| {
            duration.as_ref().map_or(0, |duration| self.millis(&format!("{path}.{field}"), duration))
        };
        When {
            object: when.object.0.clone(),
            test,
            for_ms: millis("for", &when.duration),
            clear_for_ms: millis("clearFor", &when.clear_for),
        }
    }
}
