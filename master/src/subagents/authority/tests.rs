use agentx::Value;
use rstest::rstest;
use serde_json::json;

use super::*;

fn oid(text: &str) -> Oid {
    if text.is_empty() { Oid::default() } else { text.parse().expect("an OID") }
}

#[rstest]
#[case::elsewhere("1.3.6.1.4.1.99999", None, true)]
#[case::an_own_subtree("1.3.6.1.2.1.1", None, false)]
#[case::in_an_own_subtree("1.3.6.1.2.1.1.9.1", None, false)]
#[case::above_an_own_subtree("1.3.6.1.2.1", None, true)]
#[case::a_range_over_an_own_subtree("1.3.6.1.2.1.0", Some((7, 5)), false)]
#[case::a_range_beside_an_own_subtree("1.3.6.1.2.1.2", Some((7, 5)), true)]
#[case::a_range_below_an_own_subtree("1.3.6.1.2.1.1.3", Some((8, 5)), false)]
#[case::a_range_above_and_a_part_that_differs("1.3.6.1.1.1.2", Some((5, 5)), true)]
#[case::in_another_own_subtree("1.3.6.1.4.1.8072.9999.9999.2741.1", None, false)]
#[case::beside_it("1.3.6.1.4.1.8072.9999.9999.1", None, true)]
fn no_subagent_may_register_objects_of_the_master(
    #[case] subtree: &str,
    #[case] range: Option<(u8, SubId)>,
    #[case] allowed: bool,
) {
    let authority = Authority::new(&["1.3.6.1.2.1.1", "1.3.6.1.4.1.8072.9999.9999.2741"].map(oid));
    let range = range.map(|(position, upper_bound)| Range { position, upper_bound });
    for transport in [
        Transport::Unix { pid: Some(7), uid: None },
        Transport::Tcp { address: SocketAddr::from(([127, 0, 0, 1], 705)) },
    ] {
        let action = Action::Register { context: b"", subtree: &oid(subtree), range };
        let result = authority.authorize(&Peer { transport }, action);
        assert_eq!(result.is_ok(), allowed, "{result:?}");
    }
}

/// In the context `shared`, the namespace `acme` has 1.3.6.1.4.1.99999.{1,2,3}, and also .1.7 within .1. The namespace
/// `globex` has .4. In the context `acme`, the namespace `acme` has a column, and by mistake a reserved subtree.
fn granted() -> Authority {
    let document = json!({"version": 1, "contexts": [
        {"name": "shared", "grants": [
            {"namespace": "acme", "subtrees": ["1.3.6.1.4.1.99999.1", "1.3.6.1.4.1.99999.2", "1.3.6.1.4.1.99999.3", "1.3.6.1.4.1.99999.1.7"]},
            {"namespace": "globex", "subtrees": ["1.3.6.1.4.1.99999.4"]},
        ]},
        {"name": "acme", "grants": [{"namespace": "acme", "subtrees": ["1.3.6.1.4.1.99999.9.1.2", "1.3.6.1.2.1.1.9"]}]},
        {"name": "nobodys"},
    ]});
    let document = master_config::parse(document.to_string().as_bytes()).unwrap();
    let mut authority = Authority::new(&["1.3.6.1.2.1.1", "1.3.6.1.4.1.8072.9999.9999.2741"].map(oid));
    let mut changed = authority.grant(Grants::new(&document.contexts));
    changed.sort_unstable();
    assert_eq!(changed, ["acme".into(), "globex".into()]);
    authority
}

fn tenant(namespace: &str) -> Peer {
    let identity = Identity {
        namespace: namespace.into(),
        service_account: "default".into(),
        pod: "web-0".into(),
        pod_uid: "77".into(),
    };
    let address = SocketAddr::from(([10, 0, 0, 1], 40_000));
    Peer { transport: Transport::Tls { address, identity: Arc::new(identity), expires: Instant::now() } }
}

/// Returns `ok`, `context`, `outside` or `reserved`.
fn name_of(result: &Result<(), Denial>) -> &'static str {
    match result {
        Ok(()) => "ok",
        Err(Denial::Context) => "context",
        Err(Denial::Outside(_)) => "outside",
        Err(Denial::Reserved(_)) => "reserved",
    }
}

#[rstest]
#[case::the_base("acme", "shared", "1.3.6.1.4.1.99999.1", None, "ok")]
#[case::in_it("acme", "shared", "1.3.6.1.4.1.99999.1.5.6", None, "ok")]
#[case::in_the_base_within("acme", "shared", "1.3.6.1.4.1.99999.1.7.1", None, "ok")]
#[case::above_it("acme", "shared", "1.3.6.1.4.1.99999", None, "outside")]
#[case::the_root("acme", "shared", "1", None, "outside")]
#[case::null("acme", "shared", "", None, "outside")]
#[case::of_another_namespace("acme", "shared", "1.3.6.1.4.1.99999.4", None, "outside")]
#[case::more_specific_than_another_namespace("acme", "shared", "1.3.6.1.4.1.99999.4.1.1.1", None, "outside")]
#[case::own_of_the_other_namespace("globex", "shared", "1.3.6.1.4.1.99999.4.1", None, "ok")]
#[case::another_digit("acme", "shared", "1.3.6.1.4.1.99999.11", None, "outside")]
#[case::another_context("acme", "acme", "1.3.6.1.4.1.99999.1", None, "outside")]
#[case::the_default_context("acme", "", "1.3.6.1.4.1.99999.1", None, "context")]
#[case::a_neighbours_context("globex", "acme", "1.3.6.1.4.1.99999.9.1.2", None, "context")]
#[case::a_context_of_nobody("acme", "nobodys", "1.3.6.1.4.1.99999.1", None, "context")]
#[case::no_context("acme", "not there", "1.3.6.1.4.1.99999.1", None, "context")]
#[case::no_tenant("initech", "shared", "1.3.6.1.4.1.99999.1", None, "context")]
#[case::a_namespace_is_not_its_beginning("acm", "shared", "1.3.6.1.4.1.99999.1", None, "context")]
#[case::rows("acme", "shared", "1.3.6.1.4.1.99999.1.1.1.5", Some((11, 9)), "ok")]
#[case::columns("acme", "shared", "1.3.6.1.4.1.99999.1.1.1.5", Some((10, 4_000)), "ok")]
#[case::all_there_is("acme", "shared", "1.3.6.1.4.1.99999.1.0", Some((9, SubId::MAX)), "ok")]
#[case::all_its_bases("acme", "shared", "1.3.6.1.4.1.99999.1", Some((8, 3)), "ok")]
#[case::the_same_below_all_its_bases("acme", "shared", "1.3.6.1.4.1.99999.1.5", Some((8, 3)), "ok")]
#[case::into_of_another_namespace("acme", "shared", "1.3.6.1.4.1.99999.1", Some((8, 4)), "outside")]
#[case::from_nothing("acme", "shared", "1.3.6.1.4.1.99999.0", Some((8, 3)), "outside")]
#[case::below_into_of_another_namespace("acme", "shared", "1.3.6.1.4.1.99999.3.1", Some((8, 4)), "outside")]
#[case::higher_up("acme", "shared", "1.3.6.1.4.1.99999.1", Some((7, 100_000)), "outside")]
#[case::at_the_root("acme", "shared", "1.3.6.1.4.1.99999.1", Some((1, 2)), "outside")]
#[case::of_one("acme", "shared", "1.3.6.1.4.1.99999.1", Some((8, 1)), "ok")]
#[case::backwards("acme", "shared", "1.3.6.1.4.1.99999.3", Some((8, 1)), "outside")]
#[case::backwards_in_it("acme", "shared", "1.3.6.1.4.1.99999.1.9", Some((9, 1)), "outside")]
#[case::granted_by_mistake("acme", "acme", "1.3.6.1.2.1.1.9", None, "reserved")]
fn a_tenant_may_only_register_what_it_is_granted(
    #[case] namespace: &str,
    #[case] context: &str,
    #[case] subtree: &str,
    #[case] range: Option<(u8, SubId)>,
    #[case] expected: &str,
) {
    let authority = granted();
    let range = range.map(|(position, upper_bound)| Range { position, upper_bound });
    let action = Action::Register { context: context.as_bytes(), subtree: &oid(subtree), range };
    let result = authority.authorize(&tenant(namespace), action);
    assert_eq!(name_of(&result), expected, "{result:?}");
    if range.is_none() && !subtree.is_empty() {
        let varbinds = [VarBind { name: oid(subtree), value: Value::Integer(1) }];
        let action = Action::AllocateIndexes { context: context.as_bytes(), varbinds: &varbinds };
        assert_eq!(name_of(&authority.authorize(&tenant(namespace), action)), expected);
    }
}

#[test]
fn denials_map_to_the_errors_of_rfc_2741() {
    let error = |denial| ResponseError::from(&denial);
    assert_eq!(error(Denial::Context), ResponseError::UnsupportedContext);
    assert_eq!(error(Denial::Outside(oid("1.3"))), ResponseError::RequestDenied);
    assert_eq!(error(Denial::Reserved(oid("1.3"))), ResponseError::RequestDenied);
}

#[rstest]
#[case::a_ping(Action::Refer { context: b"" }, "ok")]
#[case::a_ping_in_its_context(Action::Refer { context: b"shared" }, "ok")]
#[case::a_ping_in_anothers(Action::Refer { context: b"nobodys" }, "context")]
#[case::a_session(Action::Open, "ok")]
fn a_tenant_may_only_name_contexts_with_grants(#[case] action: Action<'_>, #[case] expected: &str) {
    assert_eq!(name_of(&granted().authorize(&tenant("acme"), action)), expected);
}

#[rstest]
#[case("shared", "1.3.6.1.4.1.99999.2", "ok")]
#[case("shared", "1.3.6.1.4.1.99999.4", "outside")]
#[case("shared", "1.3.6.1.6.3.1", "outside")]
#[case("", "1.3.6.1.4.1.99999.2", "context")]
fn a_tenant_may_only_announce_what_it_is_granted(#[case] context: &str, #[case] id: &str, #[case] expected: &str) {
    let action = Action::AddCapabilities { context: context.as_bytes(), id: &oid(id) };
    assert_eq!(name_of(&granted().authorize(&tenant("acme"), action)), expected);
}

const TIME: &str = "1.3.6.1.2.1.1.3.0";
const TRAP: &str = "1.3.6.1.6.3.1.1.4.1.0";

#[rstest]
#[case::its_own(&[(TIME, ""), (TRAP, "1.3.6.1.4.1.99999.1.0.1"), ("1.3.6.1.4.1.99999.2.1.0", "int")], "ok")]
#[case::of_this_product(&[(TRAP, "1.3.6.1.4.1.8072.9999.9999.2741.3.1"), ("1.3.6.1.4.1.8072.9999.9999.2741.2.1", "int")], "ok")]
#[case::with_enterprise_and_address(&[(TRAP, "1.3.6.1.4.1.99999.1.0.1"), ("1.3.6.1.6.3.1.1.4.3.0", "1.3.6.1.4.1.99999.1"), ("1.3.6.1.6.3.18.1.3.0", "ip")], "ok")]
#[case::a_neighbours_trap(&[(TRAP, "1.3.6.1.4.1.99999.4.0.1")], "outside")]
#[case::a_standard_trap(&[(TRAP, "1.3.6.1.6.3.1.1.5.3")], "outside")]
#[case::a_neighbours_object(&[(TRAP, "1.3.6.1.4.1.99999.1.0.1"), ("1.3.6.1.4.1.99999.4.1.0", "int")], "outside")]
#[case::a_neighbours_enterprise(&[(TRAP, "1.3.6.1.4.1.99999.1.0.1"), ("1.3.6.1.6.3.1.1.4.3.0", "1.3.6.1.4.1.99999.4")], "outside")]
#[case::a_community(&[(TRAP, "1.3.6.1.4.1.99999.1.0.1"), ("1.3.6.1.6.3.18.1.4.0", "int")], "outside")]
#[case::the_masters_name(&[(TRAP, "1.3.6.1.4.1.99999.1.0.1"), ("1.3.6.1.2.1.1.5.0", "int")], "outside")]
#[case::a_time_of_another_type(&[(TRAP, "1.3.6.1.4.1.99999.1.0.1"), (TIME, "int")], "outside")]
fn a_notification_may_only_contain_granted_objects(#[case] varbinds: &[(&str, &str)], #[case] expected: &str) {
    let value = |text: &str| match text {
        "" => Value::TimeTicks(1),
        "int" => Value::Integer(1),
        "ip" => Value::IpAddress([192, 0, 2, 1]),
        text => Value::ObjectIdentifier(oid(text)),
    };
    let varbinds: Vec<_> =
        varbinds.iter().map(|(name, text)| VarBind { name: oid(name), value: value(text) }).collect();
    let authorize =
        |context: &[u8]| granted().authorize(&tenant("acme"), Action::Notify { context, varbinds: &varbinds });
    assert_eq!(name_of(&authorize(b"shared")), expected);
    assert_eq!(name_of(&authorize(b"")), "context");
}

#[test]
fn namespaces_with_changed_grants_are_returned() {
    let mut authority = granted();
    let document = json!({"version": 1, "contexts": [
        {"name": "shared", "grants": [
            {"namespace": "globex", "subtrees": ["1.3.6.1.4.1.99999.4"]},
            {"namespace": "initech", "subtrees": ["1.3.6.1.4.1.99999.1"]},
        ]},
    ]});
    let document = master_config::parse(document.to_string().as_bytes()).unwrap();
    let mut changed = authority.grant(Grants::new(&document.contexts));
    changed.sort_unstable();
    assert_eq!(changed, ["acme".into(), "initech".into()]);
    assert_eq!(authority.grant(Grants::new(&document.contexts)), [] as [Arc<str>; 0]);
}
