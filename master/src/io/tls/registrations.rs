//! The response with all registrations. The operator reads it to report in conditions which pod serves
//! a subtree.

use bytes::Bytes;
use data_encoding::HEXLOWER;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::subagents::dispatch::Published;

/// The JSON document of the response.
#[derive(Debug, Serialize)]
struct Document<'a> {
    active: bool,
    replica: &'a str,
    registrations: Vec<RegistrationJson<'a>>,
}

#[derive(Debug, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
struct RegistrationJson<'a> {
    namespace: &'a str,
    pod: &'a str,
    pod_uid: &'a str,
    context: String,
    subtree: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<RangeJson>,
    serving: bool,
}

#[derive(Debug, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
struct RangeJson {
    position: u8,
    upper_bound: u32,
}

/// A cached response.
#[derive(Debug, Clone)]
pub(super) struct Page {
    /// The revision of the registrations.
    pub(super) revision: u64,
    /// Whether the replica was active.
    pub(super) active: bool,
    pub(super) body: Bytes,
    /// The ETag (RFC 9110 section 8.8.3).
    pub(super) tag: String,
}

impl Page {
    pub(super) fn new(revision: u64, active: bool, replica: &str, published: &[Published]) -> Self {
        let mut registrations: Vec<_> = published.iter().map(RegistrationJson::of).collect();
        registrations.sort_unstable();
        let document = Document { active, replica, registrations };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let digest = Sha256::digest(&body);
        let tag = format!("\"{}\"", HEXLOWER.encode(digest.get(..16).unwrap_or_default()));
        Self { revision, active, body: body.into(), tag }
    }

    /// Returns whether the client has this response already, according to its If-None-Match header (RFC 9110 section
    /// 13.1.2).
    pub(super) fn is_match(&self, if_none_match: Option<&str>) -> bool {
        let mut tags = if_none_match.into_iter().flat_map(|tags| tags.split(',')).map(str::trim);
        tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.tag)
    }
}

impl<'a> RegistrationJson<'a> {
    fn of(published: &'a Published) -> Self {
        let Published { identity, context, subtree, range, serving } = published;
        Self {
            namespace: &identity.namespace,
            pod: &identity.pod,
            pod_uid: &identity.pod_uid,
            context: String::from_utf8_lossy(context).into_owned(),
            subtree: subtree.to_string(),
            range: range.map(|range| RangeJson { position: range.position, upper_bound: range.upper_bound }),
            serving: *serving,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use agentx::Range;
    use serde_json::{Value, json};

    use super::*;
    use identity::Identity;

    fn published(pod: &str, range: Option<Range>, serving: bool) -> Published {
        let identity = Identity {
            namespace: "acme".into(),
            service_account: "default".into(),
            pod: pod.into(),
            pod_uid: "77".into(),
        };
        let (context, subtree) = (Arc::from(&b"acme"[..]), "1.3.6.1.4.1.99999.1".parse().unwrap());
        Published { identity: Arc::new(identity), context, subtree, range, serving }
    }

    #[test]
    fn the_page_does_not_depend_on_the_order_of_registrations() {
        let rows = Some(Range { position: 8, upper_bound: 9 });
        let all = [published("web-1", None, false), published("web-0", rows, true)];
        let page = Page::new(7, true, "snmp-master-0", &all);
        let json: Value = serde_json::from_slice(&page.body).unwrap();
        let registration = |pod: &str, serving| json!({"namespace": "acme", "pod": pod, "podUid": "77", "context": "acme", "subtree": "1.3.6.1.4.1.99999.1", "serving": serving});
        let mut with_range = registration("web-0", true);
        with_range["range"] = json!({"position": 8, "upperBound": 9});
        let registrations = [with_range, registration("web-1", false)];
        assert_eq!(json, json!({"active": true, "replica": "snmp-master-0", "registrations": registrations}));
        let [one, other] = all;
        assert_eq!(Page::new(9, true, "snmp-master-0", &[other, one]).tag, page.tag);
        assert_ne!(Page::new(7, false, "snmp-master-0", &[]).tag, Page::new(7, true, "snmp-master-0", &[]).tag);
    }

    #[test]
    fn if_none_match_is_compared_with_the_tag() {
        let page = Page::new(1, true, "m", &[]);
        let tag = page.tag.as_str();
        for header in [tag, &format!("W/{tag}"), &format!("\"x\", {tag}"), "*"] {
            assert!(page.is_match(Some(header)), "{header}");
        }
        assert!(!page.is_match(None) && !page.is_match(Some("\"x\"")) && !page.is_match(Some("")));
    }
}
