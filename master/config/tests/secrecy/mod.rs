//! Errors do not quote values of a document, whatever is wrong with it.

mod corpus;

use master_config::{Document, Secret, parse, read};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{GOLDEN, golden};
use corpus::document::{MARK, check};

/// Replaces the value at the path that `steps` selects, or removes it if `delete`.
fn mutate(value: &mut Json, steps: &[usize], replacement: &Json, delete: bool) {
    let Some((step, rest)) = steps.split_first() else {
        *value = replacement.clone();
        return;
    };
    match value {
        Json::Object(fields) if !fields.is_empty() => {
            let key = fields.keys().nth(step % fields.len()).unwrap().clone();
            if rest.is_empty() && delete {
                fields.remove(&key);
            } else {
                mutate(fields.get_mut(&key).unwrap(), rest, replacement, delete);
            }
        }
        Json::Array(items) if !items.is_empty() => {
            let at = step % items.len();
            if rest.is_empty() && delete {
                items.remove(at);
            } else {
                mutate(&mut items[at], rest, replacement, delete);
            }
        }
        other => *other = replacement.clone(),
    }
}

/// Generates values of all types, and texts that contain a secret.
fn replacements() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        ".{0,40}".prop_map(Json::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!("golden-acme")),
        Just(json!("golden-\n")),
        Just(json!("1.3.golden-6")),
        Just(json!("a, expected golden-a")),
        Just(json!("missing field `golden-field`")),
        Just(json!(["golden-a", "golden-a"])),
        Just(json!({"name": "golden-a", "golden-b": "golden-c"})),
    ]
}

/// Returns the document with its secrets replaced by `none`.
fn without_secrets(document: &Document) -> Document {
    let mut document = document.clone();
    let none = || Secret::new("none");
    for context in &mut document.contexts {
        context.communities.iter_mut().for_each(|community| community.community = none());
    }
    for user in &mut document.users {
        user.auth.iter_mut().for_each(|auth| auth.passphrase = none());
        user.privacy.iter_mut().for_each(|privacy| privacy.passphrase = none());
    }
    document
}

#[test]
fn debug_shows_a_document_without_its_secrets() {
    let document = read(GOLDEN.as_bytes()).unwrap();
    assert_eq!(format!("{document:?}"), format!("{:?}", without_secrets(&document)));
    assert!(!format!("{:?}", parse(GOLDEN.as_bytes()).unwrap()).contains(MARK));
}

#[test]
fn errors_do_not_quote_a_secret_in_any_field() {
    fn everywhere(value: &Json, at: &mut Vec<usize>, visit: &mut impl FnMut(&[usize])) {
        visit(at);
        let children: Vec<&Json> = match value {
            Json::Object(fields) => fields.values().collect(),
            Json::Array(items) => items.iter().collect(),
            _ => Vec::new(),
        };
        for (i, child) in children.into_iter().enumerate() {
            at.push(i);
            everywhere(child, at, visit);
            at.pop();
        }
    }
    let mut positions = 0;
    everywhere(&golden(), &mut Vec::new(), &mut |steps| {
        for text in ["golden-acme", "12345678, expected golden-7", "missing field `golden-7`", "golden-\u{7}"] {
            let mut document = golden();
            mutate(&mut document, steps, &json!(text), false);
            check(document.to_string().as_bytes());
        }
        positions += 1;
    });
    assert!(positions > 90, "{positions}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn mutated_documents_keep_the_invariants(
        changes in prop::collection::vec((prop::collection::vec(0..40_usize, 1..9), replacements(), any::<bool>()), 1..4),
    ) {
        let mut document = golden();
        for (steps, replacement, delete) in &changes {
            mutate(&mut document, steps, replacement, *delete);
        }
        check(document.to_string().as_bytes());
    }

    #[test]
    fn documents_with_random_octets_keep_the_invariants(
        at in 0..GOLDEN.len(), octets in prop::collection::vec(any::<u8>(), 0..16), cut in 0..32_usize,
    ) {
        let mut document = GOLDEN.as_bytes().to_vec();
        let end = (at + cut).min(document.len());
        document.splice(at..end, octets);
        check(&document);
    }
}
