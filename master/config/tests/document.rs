//! Tests of parsing and validation: valid documents, invalid documents, and the text of errors.

// Helpers of tests may panic. The function with the table of cases is long, because it has a case for each rule.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::too_many_lines)]

mod secrecy;

use master_config::{Access, AuthProtocol, Document, MAX_OCTETS, ParseError, SecurityLevel, parse, parse_strict, read};
use serde_json::{Value as Json, json};

/// A document of version 1 with every field set. It never changes, because every later master must be able to read it.
const GOLDEN: &str = include_str!("golden/version-1.json");

fn golden() -> Json {
    serde_json::from_str(GOLDEN).unwrap()
}

/// Returns the golden document with changes. Each change sets the field at a JSON pointer to a value, or removes the
/// field if the value is `null`. A pointer that ends with `/-` appends the value to a list.
fn with(changes: &[(&str, Json)]) -> Json {
    let mut document = golden();
    for (pointer, value) in changes {
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        match document.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent}")) {
            Json::Object(fields) if value.is_null() => _ = fields.remove(field).unwrap(),
            Json::Object(fields) => _ = fields.insert(field.to_owned(), value.clone()),
            Json::Array(items) if field == "-" => items.push(value.clone()),
            Json::Array(items) => items[field.parse::<usize>().unwrap()] = value.clone(),
            other => panic!("{other} has no fields"),
        }
    }
    document
}

fn refusals(document: &Json) -> Vec<String> {
    match parse(document.to_string().as_bytes()) {
        Ok(_) => Vec::new(),
        Err(ParseError::Invalid(violations)) => violations.iter().map(ToString::to_string).collect(),
        Err(other) => vec![other.to_string()],
    }
}

#[test]
fn a_document_of_version_1_stays_readable() {
    let document = parse_strict(GOLDEN.as_bytes()).unwrap();
    let acme = &document.contexts[1];
    assert_eq!((acme.name.as_str(), acme.communities[1].access), ("acme", Access::ReadWrite));
    assert_eq!(acme.grants[0].subtrees[0].to_string(), "1.3.6.1.4.1.12345.5");
    assert_eq!(document.users[0].auth.as_ref().unwrap().protocol, AuthProtocol::Sha256);
    assert_eq!(document.contexts[0].communities[0].community.expose(), "golden-public");
    let levels: Vec<_> = document.users.iter().map(master_config::User::security_level).collect();
    assert_eq!(levels, [SecurityLevel::AuthPriv, SecurityLevel::AuthNoPriv, SecurityLevel::NoAuthNoPriv]);
    assert_eq!(document.listeners.agentx_unix.as_ref().unwrap().permissions(), Some(0o660));
}

#[test]
fn a_document_survives_a_round_trip() {
    let document = parse(GOLDEN.as_bytes()).unwrap();
    let written = serde_json::to_string_pretty(&document).unwrap();
    assert_eq!(parse_strict(written.as_bytes()).unwrap(), document);
}

#[test]
fn all_fields_except_the_version_have_defaults() {
    let document = parse_strict(br#"{"version": 1}"#).unwrap();
    assert_eq!(document.listeners.snmp, ["0.0.0.0:1161".parse().unwrap()]);
    assert_eq!((&document.listeners.agentx_unix, document.listeners.agentx_tcp), (&None, None));
    let socket = parse_strict(br#"{"version": 1, "listeners": {"agentxUnix": {"path": "/run/agentx"}}}"#).unwrap();
    assert_eq!(socket.listeners.agentx_unix.as_ref().unwrap().permissions(), Some(0o660));
    assert_eq!(socket.listeners.snmp, document.listeners.snmp);
}

#[test]
fn only_the_strict_parser_refuses_unknown_fields() {
    let document = with(&[
        ("/colour", json!("red")),
        ("/contexts/1/communities/0/note", json!({"a": [1]})),
        ("/users/0/auth/salt", json!(1)),
        ("/listeners/snmp/0", json!("127.0.0.1:161")),
        ("/limits/li\u{1b}mit", json!(7)),
    ]);
    parse(document.to_string().as_bytes()).unwrap();
    let mut refused: Vec<_> = match parse_strict(document.to_string().as_bytes()) {
        Err(ParseError::Invalid(violations)) => violations.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    };
    refused.sort_unstable();
    assert_eq!(
        refused,
        [
            "colour: unknown field",
            "contexts[1].communities[0].note: unknown field",
            "limits.li\\u{1b}mit: unknown field",
            "users[0].auth.salt: unknown field",
        ]
    );
}

#[test]
fn a_newer_version_is_refused_even_if_its_fields_have_other_types() {
    let newer = parse(br#"{"version": 2, "contexts": 7}"#).unwrap_err();
    assert_eq!(newer.to_string(), "version 2 is not supported; the newest supported version is 1");
    assert_eq!(parse(br#"{"version": 0}"#).unwrap_err(), ParseError::Version { found: 0, newest: 1 });
}

#[test]
fn a_field_of_the_wrong_type_is_an_error_with_its_path() {
    let form = "does not have the form that this field requires";
    let cases = [
        ("/contexts/1/communities/0/community", json!(7), "contexts[1].communities[0].community: expected a string"),
        ("/contexts/1/communities/0/community", Json::Null, "contexts[1].communities[0]: missing field `community`"),
        (
            "/contexts/1/communities/0/access",
            json!("Write"),
            "contexts[1].communities[0].access: expected `ReadOnly` or `ReadWrite`",
        ),
        (
            "/contexts/1/communities/0/sources/0",
            json!("10.0.0.0/33"),
            &format!("contexts[1].communities[0].sources[0]: {form}"),
        ),
        ("/contexts/1/grants/0/subtrees/1", json!("1.x"), &format!("contexts[1].grants[0].subtrees[1]: {form}")),
        (
            "/users/0/auth/protocol",
            json!("SHA"),
            "users[0].auth.protocol: expected one of `MD5`, `SHA-1`, `SHA-224`, `SHA-256`, `SHA-384`, `SHA-512`",
        ),
        ("/listeners/agentxTcp", json!("localhost:705"), &format!("listeners.agentxTcp: {form}")),
        ("/limits/sessions", json!(-1), "limits.sessions: expected u32"),
        ("/contexts", json!({}), "contexts: expected a sequence"),
    ];
    for (pointer, value, expected) in cases {
        let document = serde_json::to_string_pretty(&with(&[(pointer, value)])).unwrap();
        let refused = parse(document.as_bytes()).unwrap_err();
        assert!(matches!(refused, ParseError::Shape { line: 2.., .. }), "{refused:?}");
        let refused = refused.to_string();
        assert!(refused.ends_with(expected), "{refused}\nshould say {expected}");
    }
    for broken in ["", "{", "[]", "null", "{\"version\": 1} x", "\u{feff}{}"] {
        assert!(matches!(parse(broken.as_bytes()), Err(ParseError::Shape { .. })), "{broken}");
    }
}

#[test]
fn long_or_deep_documents_are_refused_and_reported_violations_are_limited() {
    let long = format!("{{\"version\": 1{}}}", " ".repeat(MAX_OCTETS));
    assert_eq!(parse(long.as_bytes()).unwrap_err(), ParseError::TooLong { octets: MAX_OCTETS + 14, max: MAX_OCTETS });
    for field in ["contexts", "unknown"] {
        let deep = format!("{{\"version\": 1, \"{field}\": {}", "[".repeat(100_000));
        assert!(matches!(parse(deep.as_bytes()), Err(ParseError::Shape { .. })), "{field}");
    }
    let many = json!({"version": 1, "contexts": vec![json!({"name": ""}); 10_000]});
    assert_eq!(refusals(&many).len(), master_config::MAX_VIOLATIONS);
}

/// Changes to the golden document, and the expected violations.
type Case = (Vec<(&'static str, Json)>, Vec<&'static str>);

#[test]
fn each_violation_names_its_field_and_its_rule() {
    let cases: Vec<Case> = vec![
        (vec![("/contexts/0/name", json!("acme"))], vec!["contexts[1].name: is already the name of contexts[0]"]),
        (vec![("/contexts/0/name", json!("c".repeat(33)))], vec!["contexts[0].name: has more than 32 octets"]),
        (vec![("/contexts/0/name", json!("c".repeat(32)))], vec![]),
        (
            vec![("/contexts/0/name", json!("a\u{0}"))],
            vec!["contexts[0].name: contains a control character, for example a line break at its end"],
        ),
        (
            vec![("/contexts/1/system/contact", json!("Zürich"))],
            vec![
                "contexts[1].system.contact: contains characters other than ASCII, which a DisplayString does not allow (RFC 2579)",
            ],
        ),
        (
            vec![("/contexts/1/system/location", json!("x".repeat(256)))],
            vec!["contexts[1].system.location: has more than 255 octets"],
        ),
        (vec![("/contexts/1/system", json!({}))], vec![]),
        (
            vec![("/contexts/1/grants/0/namespace", json!("../etc"))],
            vec!["contexts[1].grants[0].namespace: is not a valid namespace name"],
        ),
        (
            vec![("/contexts/1/grants/0/subtrees", json!([]))],
            vec!["contexts[1].grants[0].subtrees: has 0 entries; at least 1 required"],
        ),
        (
            vec![("/contexts/1/grants/0/subtrees/0", json!("1.40.1"))],
            vec!["contexts[1].grants[0].subtrees[0]: does not start like an object identifier, for example 1.3"],
        ),
        (
            vec![("/contexts/1/grants/1/subtrees/0", json!("1.3.6.1.4.1.12345.5"))],
            vec![
                "contexts[1].grants[1].subtrees[0]: overlaps contexts[1].grants[0].subtrees[0], which is granted to another namespace",
            ],
        ),
        (
            vec![("/contexts/1/grants/1/subtrees/0", json!("1.3.6.1.4.1.12345.6.1.2"))],
            vec![
                "contexts[1].grants[1].subtrees[0]: overlaps contexts[1].grants[0].subtrees[1], which is granted to another namespace",
            ],
        ),
        (
            vec![("/contexts/1/grants/1/subtrees/0", json!("1.3.6.1.4.1"))],
            vec![
                "contexts[1].grants[0].subtrees[0]: overlaps contexts[1].grants[1].subtrees[0], which is granted to another namespace",
                "contexts[1].grants[0].subtrees[1]: overlaps contexts[1].grants[1].subtrees[0], which is granted to another namespace",
            ],
        ),
        // Overlapping subtrees are allowed within one namespace, and in different contexts.
        (vec![("/contexts/1/grants/0/subtrees/1", json!("1.3.6.1.4.1.12345.5.7"))], vec![]),
        (vec![("/contexts/0/grants", json!([{"namespace": "other", "subtrees": ["1.3.6.1.4.1.12345.5"]}]))], vec![]),
        (
            vec![
                ("/contexts/1/communities/0/community", json!("")),
                ("/contexts/1/communities/1", json!({"community": ""})),
            ],
            vec!["contexts[1].communities[0].community: is empty", "contexts[1].communities[1].community: is empty"],
        ),
        (
            vec![("/contexts/1/communities/0/community", json!("c".repeat(256)))],
            vec!["contexts[1].communities[0].community: has more than 255 octets"],
        ),
        (
            vec![("/contexts/1/communities/0/community", json!("public\n"))],
            vec![
                "contexts[1].communities[0].community: contains a control character, for example a line break at its end",
            ],
        ),
        (
            vec![("/contexts/1/communities/1/community", json!("golden-public"))],
            vec![
                "contexts[1].communities[1].community: is the same as contexts[0].communities[0], which belongs to another context",
            ],
        ),
        (
            vec![("/contexts/1/communities/1/sources", json!([]))],
            vec![
                "contexts[1].communities[1].community: is the same as contexts[1].communities[0], which has overlapping sources",
            ],
        ),
        (
            vec![("/contexts/1/communities/1/sources/0", json!("10.9.8.7/32"))],
            vec![
                "contexts[1].communities[1].community: is the same as contexts[1].communities[0], which has overlapping sources",
            ],
        ),
        (
            vec![("/contexts/1/communities/1/sources/0", json!("2001::/16"))],
            vec![
                "contexts[1].communities[1].community: is the same as contexts[1].communities[0], which has overlapping sources",
            ],
        ),
        (
            vec![("/contexts/1/communities/0/sources", json!(vec!["10.0.0.0/8"; 65]))],
            vec!["contexts[1].communities[0].sources: has 65 entries; at most 64 allowed"],
        ),
        (
            vec![("/contexts/0/communities", (0..65).map(|i| json!({"community": format!("golden-{i}")})).collect())],
            vec!["contexts[0].communities: has 65 entries; at most 64 allowed"],
        ),
        (vec![("/contexts/1/users/1/name", json!("noc"))], vec!["contexts[1].users[1].name: is used more than once"]),
        (
            vec![("/contexts/1/users/1/name", json!("nobody"))],
            vec!["contexts[1].users[1].name: is not one of the users"],
        ),
        (
            vec![("/contexts/1/users/1/securityLevel", Json::Null)],
            vec!["contexts[1].users[1].securityLevel: is not possible, because the user has no priv"],
        ),
        (
            vec![("/contexts/0/users/0/securityLevel", json!("AuthNoPriv"))],
            vec!["contexts[0].users[0].securityLevel: is not possible, because the user has no auth"],
        ),
        (vec![("/contexts/1/users/0/securityLevel", json!("NoAuthNoPriv"))], vec![]),
        (
            vec![("/contexts/1/allowedTargets", json!(vec!["10.0.0.0/8"; 65]))],
            vec!["contexts[1].allowedTargets: has 65 entries; at most 64 allowed"],
        ),
        (
            vec![("/users/2/name", json!("noc"))],
            vec![
                "users[2].name: is already the name of another user",
                "contexts[0].users[0].name: is not one of the users",
                "contexts[1].users[0].securityLevel: is not possible, because the user has no auth",
            ],
        ),
        (vec![("/users/-", json!({"name": ""}))], vec!["users[3].name: is empty"]),
        (vec![("/users/-", json!({"name": "u".repeat(33)}))], vec!["users[3].name: has more than 32 octets"]),
        (
            vec![("/users/0/auth/passphrase", json!("golden-"))],
            vec!["users[0].auth.passphrase: has fewer than 8 octets"],
        ),
        (vec![("/users/0/auth/passphrase", json!("golden-8"))], vec![]),
        (
            vec![("/users/0/priv/passphrase", json!("golden-"))],
            vec!["users[0].priv.passphrase: has fewer than 8 octets"],
        ),
        (
            vec![("/users/0/priv/passphrase", json!("golden".repeat(200)))],
            vec!["users[0].priv.passphrase: has more than 1024 octets"],
        ),
        (
            vec![("/users/2/priv", json!({"protocol": "DES", "passphrase": "golden-none"}))],
            vec!["users[2].priv: requires auth, because there is no privacy without authentication (RFC 3411)"],
        ),
        (vec![("/targets/0/contexts", json!([]))], vec!["targets[0].contexts: has 0 entries; at least 1 required"]),
        (
            vec![("/targets/0/contexts", json!(["acme", "gone", ""]))],
            vec!["targets[0].contexts[1]: is not one of the contexts"],
        ),
        (
            vec![("/targets/0/address", json!("noc.acme.example"))],
            vec!["targets[0].address: is not a host and port, for example noc.example:162"],
        ),
        (
            vec![("/targets/0/address", json!("noc:0"))],
            vec!["targets[0].address: is not a host and port, for example noc.example:162"],
        ),
        (vec![("/targets/0/name", json!(""))], vec!["targets[0].name: is empty"]),
        (
            vec![("/targets/-", json!({"name": "acme/noc", "address": "[::1]:162", "contexts": [""]}))],
            vec!["targets[1].name: is used more than once"],
        ),
        (vec![("/listeners/snmp", json!([]))], vec!["listeners.snmp: has 0 entries; at least 1 required"]),
        (vec![("/listeners/snmp/1", json!("0.0.0.0:1161"))], vec!["listeners.snmp[1]: is used more than once"]),
        (
            vec![("/listeners/snmp", (1..18).map(|port| format!("0.0.0.0:{port}")).collect())],
            vec!["listeners.snmp: has 17 entries; at most 16 allowed"],
        ),
        (
            vec![("/listeners/agentxTcpExposed", json!(false))],
            vec![
                "listeners.agentxTcp: is not a loopback address, so every client that can connect could register anything; set agentxTcpExposed to allow this",
            ],
        ),
        (
            vec![
                ("/listeners/agentxTcp", json!("[::ffff:127.0.0.1]:705")),
                ("/listeners/agentxTcpExposed", Json::Null),
            ],
            vec![],
        ),
        (
            vec![("/listeners/agentxTcp", Json::Null)],
            vec!["listeners.agentxTcpExposed: has no effect without agentxTcp"],
        ),
        (vec![("/listeners/agentxTls", json!("0.0.0.0:7705"))], vec![]),
        (
            vec![("/listeners/agentxTcp", json!("127.0.0.1:7705")), ("/listeners/agentxTls", json!("127.0.0.1:7705"))],
            vec!["listeners.agentxTls: is the same as agentxTcp"],
        ),
        (
            vec![("/limits/sessionsPerNamespace", json!(0))],
            vec!["limits.sessionsPerNamespace: is not between 1 and 1000000"],
        ),
        (
            vec![("/listeners/agentxUnix/path", json!("agentx.sock"))],
            vec!["listeners.agentxUnix.path: is not an absolute path of at most 107 octets"],
        ),
        (
            vec![("/listeners/agentxUnix/path", json!(format!("/{}", "a".repeat(107))))],
            vec!["listeners.agentxUnix.path: is not an absolute path of at most 107 octets"],
        ),
        (vec![("/listeners/agentxUnix/group", json!(""))], vec!["listeners.agentxUnix.group: is empty"]),
        (vec![("/limits/sessions", json!(0))], vec!["limits.sessions: is not between 1 and 1000000"]),
        (
            vec![("/limits/sessionsPerConnection", json!(10_001))],
            vec!["limits.sessionsPerConnection: is not between 1 and 10000"],
        ),
        (vec![("/limits/registrations", json!(0))], vec!["limits.registrations: is not between 1 and 10000000"]),
        (
            vec![("/limits/registrationsPerSession", json!(0))],
            vec!["limits.registrationsPerSession: is not between 1 and 10000000"],
        ),
        (
            vec![("/limits/agentxPduOctets", json!(1_023))],
            vec!["limits.agentxPduOctets: is not between 1024 and 16777216"],
        ),
        (
            vec![("/limits/agentxPdusPerSecond", json!(0))],
            vec!["limits.agentxPdusPerSecond: is not between 1 and 1000000"],
        ),
        (vec![("/limits/snmpRequests", json!(0))], vec!["limits.snmpRequests: is not between 1 and 1000000"]),
        (
            vec![("/limits/snmpMessageOctets", json!(65_508))],
            vec!["limits.snmpMessageOctets: is not between 484 and 65507"],
        ),
        (
            vec![("/limits/subagentTimeoutMs", json!(255_001))],
            vec!["limits.subagentTimeoutMs: is not between 10 and 255000"],
        ),
    ];
    for (changes, expected) in cases {
        assert_eq!(refusals(&with(&changes)), expected, "{changes:?}");
    }
    for mode in ["660", "0o660", "0680", "06600", "", "rw", "-660", "4755"] {
        let document = with(&[("/listeners/agentxUnix/mode", json!(mode))]);
        let expected: &[&str] = match mode {
            "660" => &[],
            _ => &["listeners.agentxUnix.mode: is not an octal file mode, for example 0660"],
        };
        assert_eq!(refusals(&document), expected, "{mode}");
    }
}

#[test]
fn documents_are_checked_when_all_are_joined() {
    let golden = read(GOLDEN.as_bytes()).unwrap();
    let of = |document: Json| serde_json::from_value::<Document>(document).unwrap();
    let contexts = of(json!({"version": 1, "contexts": golden.contexts}));
    assert!(contexts.clone().validate().is_err(), "its users are elsewhere");
    let users = of(json!({"version": 1, "users": golden.users, "limits": {"sessions": 1}}));
    let first = of(json!({"version": 1, "listeners": golden.listeners, "targets": golden.targets}));
    let joined = first.clone().join([contexts.clone(), users.clone()]);
    assert_eq!(*joined.validate().unwrap(), golden, "listeners and limits are the first one's");
    let twice = first.join([contexts.clone(), users, contexts]).validate().unwrap_err();
    assert!(twice.iter().any(|violation| violation.path == "contexts[2].name"), "{twice:?}");
}
