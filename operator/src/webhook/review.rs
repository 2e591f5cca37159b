//! AdmissionReview (`admission.k8s.io/v1`): requests of the API server and responses to it. Objects are plain JSON, so that
//! fields unknown to this program are kept.

use data_encoding::BASE64;
use serde_json::{Map, Value as Json, json};

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";
/// The maximum length of a warning, in characters. Kubernetes can truncate longer ones.
const WARNING_LENGTH: usize = 250;
/// The maximum number of warnings in a response. Together they stay below the 4,096 characters that Kubernetes passes on.
const WARNINGS: usize = 16;

/// The request in an AdmissionReview.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AdmissionRequest<'a> {
    /// The identifier of the request, which the response repeats.
    pub(crate) uid: &'a str,
    /// The kind of the object, for example `Pod`.
    pub(crate) kind: &'a str,
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    pub(crate) operation: &'a str,
    /// The subresource, for example `status`. Empty for the object itself.
    pub(crate) sub_resource: &'a str,
    /// The namespace; empty for cluster-scoped kinds. The object's own metadata can lack namespace and name.
    pub(crate) namespace: &'a str,
    /// The object.
    pub(crate) object: &'a Json,
    /// The object before the change; null for a creation.
    pub(crate) old_object: &'a Json,
}

/// The body is not an AdmissionReview, so it cannot be answered by one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MalformedReviewError {
    /// The body is not JSON.
    #[error("the body is not JSON: {0}")]
    Json(String),
    /// The body has another kind or version.
    #[error("the body is not an {KIND} of the version {API_VERSION}")]
    Kind,
    /// The uid is missing, which every response needs.
    #[error("request.uid is missing")]
    Uid,
}

impl<'a> AdmissionRequest<'a> {
    /// Reads the request. Missing fields are empty.
    ///
    /// # Errors
    /// Returns an error if the body is not an AdmissionReview.
    pub(crate) fn read(body: &'a Json) -> Result<Self, MalformedReviewError> {
        let text = |value: &'a Json, pointer: &str| value.pointer(pointer).and_then(Json::as_str).unwrap_or_default();
        if text(body, "/apiVersion") != API_VERSION || text(body, "/kind") != KIND {
            return Err(MalformedReviewError::Kind);
        }
        let request = body.get("request").unwrap_or(&Json::Null);
        let uid = text(request, "/uid");
        if uid.is_empty() {
            return Err(MalformedReviewError::Uid);
        }
        Ok(Self {
            uid,
            kind: text(request, "/kind/kind"),
            operation: text(request, "/operation"),
            sub_resource: text(request, "/subResource"),
            namespace: text(request, "/namespace"),
            object: request.get("object").unwrap_or(&Json::Null),
            old_object: request.get("oldObject").unwrap_or(&Json::Null),
        })
    }
}

/// The response in an AdmissionReview. The default allows the object without changes.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct AdmissionResponse {
    /// The operations of a JSON Patch (RFC 6902).
    pub(crate) patch: Vec<Json>,
    /// Warnings for the user who sent the object.
    pub(crate) warnings: Vec<String>,
    /// The Status (`meta/v1`) that refuses the object, if it is refused.
    pub(crate) refusal: Option<Json>,
}

impl AdmissionResponse {
    /// Returns the AdmissionReview that answers the request `uid`.
    #[must_use]
    pub(crate) fn to_review(&self, uid: &str) -> Json {
        let mut response = Map::new();
        let mut set = |field: &str, value: Json| response.insert(field.to_owned(), value);
        set("uid", uid.into());
        set("allowed", self.refusal.is_none().into());
        if let Some(status) = &self.refusal {
            set("status", status.clone());
        }
        if !self.patch.is_empty() {
            set("patchType", "JSONPatch".into());
            set("patch", BASE64.encode(Json::Array(self.patch.clone()).to_string().as_bytes()).into());
        }
        if !self.warnings.is_empty() {
            set("warnings", self.warnings.iter().take(WARNINGS).map(|text| header_text(text)).collect());
        }
        json!({"apiVersion": API_VERSION, "kind": KIND, "response": response})
    }
}

/// Returns the text without control characters and truncated, because warnings are sent in an HTTP header.
fn header_text(text: &str) -> String {
    let mut chars = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = chars.by_ref().take(WARNING_LENGTH).collect();
    if chars.next().is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_is_not_a_review_is_malformed() {
        let cases = [
            (json!(null), MalformedReviewError::Kind),
            (json!({"apiVersion": "admission.k8s.io/v1beta1", "kind": KIND}), MalformedReviewError::Kind),
            (json!({"apiVersion": API_VERSION, "kind": KIND}), MalformedReviewError::Uid),
            (json!({"apiVersion": API_VERSION, "kind": KIND, "request": {"uid": 7}}), MalformedReviewError::Uid),
        ];
        for (body, malformed) in cases {
            assert_eq!(AdmissionRequest::read(&body).unwrap_err(), malformed, "{body}");
        }
    }

    #[test]
    fn a_response_has_the_uid_and_allows_unless_there_is_a_refusal() {
        let response = AdmissionResponse::default();
        assert_eq!(response.to_review("u")["response"], json!({"uid": "u", "allowed": true}));
        let refused = AdmissionResponse { refusal: Some(json!({"code": 422})), ..AdmissionResponse::default() };
        assert_eq!(refused.to_review("u")["response"], json!({"uid": "u", "allowed": false, "status": {"code": 422}}));
    }

    #[test]
    fn warnings_are_bounded_and_have_no_control_characters() {
        let response = AdmissionResponse {
            warnings: vec!["\u{1b}[31m".to_owned() + &"ü".repeat(300); 40],
            ..AdmissionResponse::default()
        };
        let answer = response.to_review("u");
        let warnings = answer["response"]["warnings"].as_array().unwrap();
        assert_eq!(warnings.len(), WARNINGS);
        let text = warnings[0].as_str().unwrap();
        assert!(text.starts_with(" [31m") && text.ends_with("ü…"), "{text}");
        assert_eq!(text.chars().count(), WARNING_LENGTH + 1);
    }
}
