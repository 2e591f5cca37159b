//! The CA bundle in the webhook configurations, by which the API server verifies the webhooks. Helm manages everything else
//! in them.

use k8s_openapi::{
    ByteString,
    api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde_json::{Value as Json, json};

/// A webhook configuration.
pub(super) trait Configuration {
    fn metadata(&self) -> &ObjectMeta;
    /// Returns the name and the bundle of each webhook.
    fn webhooks(&self) -> Vec<(&str, Option<&ByteString>)>;
}

macro_rules! configuration {
    ($($kind:ident)*) => {
        $(impl Configuration for $kind {
            fn metadata(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn webhooks(&self) -> Vec<(&str, Option<&ByteString>)> {
                let webhooks = self.webhooks.iter().flatten();
                webhooks.map(|webhook| (webhook.name.as_str(), webhook.client_config.ca_bundle.as_ref())).collect()
            }
        })*
    };
}

configuration! { MutatingWebhookConfiguration ValidatingWebhookConfiguration }

/// Returns the strategic merge patch that sets the bundle of each webhook. `None` if all webhooks have it. The patch requires
/// the current version of the configuration: otherwise, it could bring back a webhook that was just removed.
pub(super) fn patch(configuration: &impl Configuration, bundle: &str) -> Option<Json> {
    let bundle = ByteString(bundle.as_bytes().to_vec());
    let webhooks = configuration.webhooks();
    let outdated = webhooks.iter().filter(|(_, current)| *current != Some(&bundle));
    let entries: Vec<_> =
        outdated.map(|(name, _)| json!({"name": name, "clientConfig": {"caBundle": bundle}})).collect();
    let version = &configuration.metadata().resource_version;
    (!entries.is_empty()).then(|| json!({"metadata": {"resourceVersion": version}, "webhooks": entries}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(bundles: &[Option<&str>]) -> MutatingWebhookConfiguration {
        let webhook = |(i, bundle): (usize, Option<&str>)| {
            let bundle = bundle.map(|text| ByteString(text.as_bytes().to_vec()));
            json!({
                "name": format!("w{i}"), "admissionReviewVersions": ["v1"], "sideEffects": "None",
                "clientConfig": {"caBundle": bundle},
            })
        };
        let webhooks: Vec<_> = bundles.iter().copied().enumerate().map(webhook).collect();
        serde_json::from_value(
            json!({"metadata": {"name": "snmp-operator", "resourceVersion": "7"}, "webhooks": webhooks}),
        )
        .unwrap()
    }

    #[test]
    fn webhooks_with_another_bundle_are_patched_by_name() {
        let patched = patch(&configuration(&[Some("new"), Some("old"), None]), "new").unwrap();
        let entry = |name: &str| json!({"name": name, "clientConfig": {"caBundle": "bmV3"}});
        assert_eq!(patched, json!({"metadata": {"resourceVersion": "7"}, "webhooks": [entry("w1"), entry("w2")]}));
    }

    #[test]
    fn nothing_is_patched_if_all_webhooks_have_the_bundle() {
        assert_eq!(patch(&configuration(&[Some("new"), Some("new")]), "new"), None);
        assert_eq!(patch(&configuration(&[]), "new"), None);
    }
}
