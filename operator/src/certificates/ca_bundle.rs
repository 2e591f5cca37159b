//! The bundle in the webhook configurations, by which the API server knows the webhooks. All else of them is Helm's.

use k8s_openapi::{
    ByteString,
    api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde_json::{Value as Json, json};

/// A webhook configuration.
pub(super) trait Configuration {
    fn metadata(&self) -> &ObjectMeta;
    /// Each webhook's name and bundle.
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

/// The strategic merge patch that gives each webhook the bundle, by its name and nothing else of it; `None` when all have
/// it. It fails if someone else writes meanwhile, rather than to bring back a webhook that was taken away.
pub(super) fn patch(configuration: &impl Configuration, bundle: &str) -> Option<Json> {
    let bundle = ByteString(bundle.as_bytes().to_vec());
    let webhooks = configuration.webhooks();
    let others = webhooks.iter().filter(|(_, theirs)| *theirs != Some(&bundle));
    let entries: Vec<_> = others.map(|(name, _)| json!({"name": name, "clientConfig": {"caBundle": bundle}})).collect();
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
    fn nothing_is_patched_where_all_have_it() {
        assert_eq!(patch(&configuration(&[Some("new"), Some("new")]), "new"), None);
        assert_eq!(patch(&configuration(&[]), "new"), None);
    }
}
