//! The response with the state of all targets of notifications. The operator reads it to report in conditions whether a
//! target receives notifications.

use serde::Serialize;

use crate::notify::status::TargetStatus;

/// The JSON document of the response.
#[derive(Debug, Serialize)]
struct Document<'a> {
    active: bool,
    replica: &'a str,
    targets: &'a [TargetStatus],
}

/// Returns the body of the response.
pub(super) fn body(active: bool, replica: &str, targets: &[TargetStatus]) -> Vec<u8> {
    serde_json::to_vec(&Document { active, replica, targets }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::notify::status::Readiness;

    #[test]
    fn the_body_shows_the_state_of_each_target() {
        let target = |name: &str, readiness, address: Option<&str>| TargetStatus {
            namespace: "acme".to_owned(),
            name: name.to_owned(),
            readiness,
            message: String::new(),
            address: address.map(|address| address.parse().unwrap()),
            queued: 3,
            delivered: 5,
            lost: 1,
            complete: false,
        };
        let targets = [
            target("noc", Readiness::Acknowledged, Some("10.0.0.1:162")),
            target("b", Readiness::NameNotResolved, None),
        ];
        let body: Value = serde_json::from_slice(&body(true, "snmp-master-0", &targets)).unwrap();
        let expected = |name: &str, readiness: &str, address: Option<&str>| {
            json!({
                "namespace": "acme", "name": name, "readiness": readiness, "message": "", "address": address,
                "queued": 3, "delivered": 5, "lost": 1, "complete": false,
            })
        };
        let targets = [expected("noc", "Acknowledged", Some("10.0.0.1:162")), expected("b", "NameNotResolved", None)];
        assert_eq!(body, json!({"active": true, "replica": "snmp-master-0", "targets": targets}));
    }
}
