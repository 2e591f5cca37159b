//! AdmissionReview (`admission.k8s.io/v1`): what the API server asks, and what it is answered. As plain JSON, so that no
//! field of a pod is lost that this program does not know.

use data_encoding::BASE64;
use serde_json::{Map, Value as Json, json};

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";
/// Longest warning, in characters, that Kubernetes promises to hand on whole.
const WARNING_LENGTH: usize = 250;
/// Most warnings of one answer: together they stay below the 4,096 characters that are handed on.
const WARNINGS: usize = 16;

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Review<'a> {
    /// Names the question; the answer bears it.
    pub uid: &'a str,
    /// The object's kind, as `Pod`.
    pub kind: &'a str,
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    pub operation: &'a str,
    /// As `status`; empty for the object itself.
    pub sub_resource: &'a str,
    /// The object's namespace; empty for a kind without. An object's own may be missing, as may its name.
    pub namespace: &'a str,
    /// The object.
    pub object: &'a Json,
    /// The object as it was; null when it is created.
    pub old_object: &'a Json,
}

/// A body that is no AdmissionReview, and so cannot be answered by one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It is no JSON.
    #[error("the body is not JSON: {0}")]
    Json(String),
    /// It is something else, or of another version.
    #[error("the body is not an {KIND} of {API_VERSION}")]
    Kind,
    /// Without it no answer is one.
    #[error("request.uid is missing")]
    Uid,
}

impl<'a> Review<'a> {
    /// Reads what is asked; what is missing is empty.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn read(body: &'a Json) -> Result<Self, Malformed> {
        let text = |value: &'a Json, pointer: &str| value.pointer(pointer).and_then(Json::as_str).unwrap_or_default();
        if text(body, "/apiVersion") != API_VERSION || text(body, "/kind") != KIND {
            return Err(Malformed::Kind);
        }
        let request = body.get("request").unwrap_or(&Json::Null);
        let uid = text(request, "/uid");
        if uid.is_empty() {
            return Err(Malformed::Uid);
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

/// What it is answered. The default allows the object as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Verdict {
    /// Operations of a JSON Patch (RFC 6902).
    pub patch: Vec<Json>,
    /// What whoever asked should know.
    pub warnings: Vec<String>,
    /// The Status (`meta/v1`) by which the object is refused.
    pub refusal: Option<Json>,
}

impl Verdict {
    /// The AdmissionReview that answers the one of `uid`.
    #[must_use]
    pub fn answer(&self, uid: &str) -> Json {
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
            set("warnings", self.warnings.iter().take(WARNINGS).map(|text| short(text)).collect());
        }
        json!({"apiVersion": API_VERSION, "kind": KIND, "response": response})
    }
}

/// The text as it may stand in an HTTP header, where warnings are sent: without control characters, and not too long.
fn short(text: &str) -> String {
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
    fn a_body_that_is_no_review_is_malformed() {
        let cases = [
            (json!(null), Malformed::Kind),
            (json!({"apiVersion": "admission.k8s.io/v1beta1", "kind": KIND}), Malformed::Kind),
            (json!({"apiVersion": API_VERSION, "kind": KIND}), Malformed::Uid),
            (json!({"apiVersion": API_VERSION, "kind": KIND, "request": {"uid": 7}}), Malformed::Uid),
        ];
        for (body, malformed) in cases {
            assert_eq!(Review::read(&body).unwrap_err(), malformed, "{body}");
        }
    }

    #[test]
    fn an_answer_bears_the_uid_and_allows_unless_there_is_a_refusal() {
        let verdict = Verdict::default();
        assert_eq!(verdict.answer("u")["response"], json!({"uid": "u", "allowed": true}));
        let refused = Verdict { refusal: Some(json!({"code": 422})), ..Verdict::default() };
        assert_eq!(refused.answer("u")["response"], json!({"uid": "u", "allowed": false, "status": {"code": 422}}));
    }

    #[test]
    fn warnings_are_bounded_and_steer_no_terminal() {
        let verdict = Verdict { warnings: vec!["\u{1b}[31m".to_owned() + &"ü".repeat(300); 40], ..Verdict::default() };
        let answer = verdict.answer("u");
        let warnings = answer["response"]["warnings"].as_array().unwrap();
        assert_eq!(warnings.len(), WARNINGS);
        let text = warnings[0].as_str().unwrap();
        assert!(text.starts_with(" [31m") && text.ends_with("ü…"), "{text}");
        assert_eq!(text.chars().count(), WARNING_LENGTH + 1);
    }
}
