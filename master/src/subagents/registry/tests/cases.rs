use agentx::ResponseError;
use rstest::rstest;

use super::*;

#[rstest]
// RFC 2741 section 7.1.4.1: the most specific r.subtree, regardless of priority and order.
#[case::the_longer(&[(1, "1.3", 1), (2, "1.3.5", 255)], "1.3.5.0", Some(2))]
#[case::the_longer_though_older(&[(2, "1.3.5", 255), (1, "1.3", 1)], "1.3.5.0", Some(2))]
#[case::at_the_subtree_itself(&[(1, "1.3", 1), (2, "1.3.5", 255)], "1.3.5", Some(2))]
#[case::beside_the_longer(&[(1, "1.3", 1), (2, "1.3.5", 255)], "1.3.6", Some(1))]
#[case::before_the_longer(&[(1, "1.3", 1), (2, "1.3.5", 255)], "1.3.4.9.9", Some(1))]
#[case::above_all(&[(1, "1.3", 1), (2, "1.3.5", 255)], "1", None)]
#[case::after_all(&[(1, "1.3", 1)], "1.4", None)]
// Section 7.1.4.1: then the smaller priority.
#[case::the_lower_priority(&[(1, "1.3.5", 127), (2, "1.3.5", 126)], "1.3.5.1", Some(2))]
#[case::the_lower_priority_though_older(&[(2, "1.3.5", 126), (1, "1.3.5", 127)], "1.3.5.1", Some(2))]
// Section 7.1.4.1: a range does not make a region more or less specific.
#[case::a_range_by_its_length(&[(1, "1.3.{1-9}.5", 1), (2, "1.3.4.5.6", 9)], "1.3.4.5.6.7", Some(2))]
#[case::a_range_by_its_priority(&[(1, "1.3.{1-9}.5", 2), (2, "1.3.4.5", 1)], "1.3.4.5.6", Some(2))]
#[case::a_range_where_the_other_is_not(&[(1, "1.3.{1-9}.5", 2), (2, "1.3.4.5", 1)], "1.3.3.5.6", Some(1))]
// Section 6.2.3: the union of the subtrees of the range.
#[case::an_inner_range_first(&[(1, "1.3.{2-4}.7", 9)], "1.3.2.7", Some(1))]
#[case::an_inner_range_last(&[(1, "1.3.{2-4}.7", 9)], "1.3.4.7.1", Some(1))]
#[case::an_inner_range_before(&[(1, "1.3.{2-4}.7", 9)], "1.3.1.7.1", None)]
#[case::an_inner_range_after(&[(1, "1.3.{2-4}.7", 9)], "1.3.5.7.1", None)]
#[case::an_inner_range_between(&[(1, "1.3.{2-4}.7", 9)], "1.3.3.8", None)]
#[case::a_last_range(&[(1, "1.3.{2-4}", 9)], "1.3.3.8", Some(1))]
#[case::a_last_range_after(&[(1, "1.3.{2-4}", 9)], "1.3.5", None)]
#[case::overlapping_ranges(&[(1, "1.3.{2-4}", 9), (2, "1.3.{3-6}", 8)], "1.3.3.1", Some(2))]
#[case::overlapping_ranges_aside(&[(1, "1.3.{2-4}", 9), (2, "1.3.{3-6}", 8)], "1.3.2.1", Some(1))]
#[case::the_last_arc(&[(1, "1.3.4294967295", 9)], "1.3.4294967295.4294967295", Some(1))]
#[case::after_the_last_arc(&[(1, "1.3.4294967295", 9)], "1.4", None)]
#[case::no_end(&[(1, "4294967295", 9)], "4294967295.4294967295.1", Some(1))]
fn the_authoritative_region_serves(
    #[case] registered: &[(u32, &str, u8)],
    #[case] name: &str,
    #[case] session: Option<u32>,
) {
    let mut registry = registry(&[]);
    for (session, text, priority) in registered {
        registry.add(*session, text, *priority).expect("a valid registration");
    }
    assert_eq!(registry.server(name), session);
}

#[rstest]
// Section 7.1.4: two of the same subtree at the same priority are refused, also by the same session.
#[case::the_same(&[(1, "1.3.5", 127)], (2, "1.3.5", 127), Some(ResponseError::DuplicateRegistration))]
#[case::the_same_of_the_same_session(&[(1, "1.3.5", 127)], (1, "1.3.5", 127), Some(ResponseError::DuplicateRegistration))]
#[case::another_priority(&[(1, "1.3.5", 127)], (1, "1.3.5", 128), None)]
#[case::above(&[(1, "1.3.5", 127)], (2, "1.3", 127), None)]
#[case::below(&[(1, "1.3.5", 127)], (2, "1.3.5.1", 127), None)]
#[case::one_of_an_inner_range(&[(1, "1.{1-9}.5", 127)], (2, "1.9.5", 127), Some(ResponseError::DuplicateRegistration))]
#[case::one_of_a_last_range(&[(1, "1.3.{5-9}", 127)], (2, "1.3.{1-5}", 127), Some(ResponseError::DuplicateRegistration))]
#[case::around_another(&[(1, "1.3.5", 127)], (2, "1.3.{1-9}", 127), Some(ResponseError::DuplicateRegistration))]
#[case::beside_a_range(&[(1, "1.3.{5-9}", 127)], (2, "1.3.{1-4}", 127), None)]
#[case::crossing_ranges(&[(1, "1.{1-9}.5", 127)], (2, "1.3.{1-9}", 127), Some(ResponseError::DuplicateRegistration))]
// Section 6.2.3: invalid regions.
#[case::of_the_first_arc(&[], (1, "{1-2}", 127), None)]
#[case::reversed(&[], (1, "1.3.{5-4}", 127), Some(ResponseError::RequestDenied))]
#[case::one_arc(&[], (1, "1.{5-5}.1", 127), None)]
#[case::as_wide_as_allowed(&[], (1, "1.{1-4096}.1", 127), None)]
#[case::too_wide(&[], (1, "1.{1-4097}.1", 127), Some(ResponseError::RequestDenied))]
#[case::wide_at_the_end(&[], (1, "1.{1-4097}", 127), None)]
#[case::all_arcs(&[], (1, "1.{0-4294967295}", 127), Some(ResponseError::RequestDenied))]
// The subtree of the master itself, 1.9.9.
#[case::at_an_own(&[], (1, "1.9.9", 1), Some(ResponseError::RequestDenied))]
#[case::under_an_own(&[], (1, "1.9.9.1", 1), Some(ResponseError::RequestDenied))]
#[case::above_an_own(&[], (1, "1.9", 1), None)]
#[case::before_an_own(&[], (1, "1.9.8", 1), None)]
#[case::after_an_own(&[], (1, "1.9.10", 1), None)]
#[case::a_range_over_an_own(&[], (1, "1.9.{1-9}", 1), Some(ResponseError::RequestDenied))]
#[case::a_range_above_an_own(&[], (1, "1.{1-9}", 1), None)]
#[case::an_inner_range_under_an_own(&[], (1, "1.{1-9}.9.1", 1), Some(ResponseError::RequestDenied))]
#[case::an_inner_range_beside_an_own(&[], (1, "1.{1-9}.8.9", 1), None)]
fn regions_are_accepted_or_refused(
    #[case] registered: &[(u32, &str, u8)],
    #[case] (session, text, priority): (u32, &str, u8),
    #[case] error: Option<ResponseError>,
) {
    let mut registry = registry(&["1.9.9"]);
    for (session, text, priority) in registered {
        registry.add(*session, text, *priority).expect("a valid registration");
    }
    let (before, len) = (registry.walk(b""), registry.len());
    assert_eq!(registry.add(session, text, priority).err().map(ResponseError::from), error);
    if error.is_some() {
        assert_eq!((registry.walk(b""), registry.len()), (before, len), "nothing has changed");
    }
}

#[rstest]
#[case::null(oid(""), None, RegistrationError::Null)]
#[case::position_0(oid("1.3"), Some(Range { position: 0, upper_bound: 9 }), RegistrationError::RangePosition { position: 0, len: 2 })]
#[case::position_past_the_end(oid("1.3"), Some(Range { position: 3, upper_bound: 9 }), RegistrationError::RangePosition { position: 3, len: 2 })]
fn an_invalid_region_is_refused(
    #[case] subtree: Oid,
    #[case] range: Option<Range>,
    #[case] refused: RegistrationError,
) {
    let mut registry = registry(&[]);
    let registration = Registration { subtree: subtree.clone(), range, ..registration(1, "1", 127) };
    assert_eq!(registry.register(b"", registration), Err(refused));
    assert_eq!(registry.unregister(b"", SessionId(1), 127, &subtree, range), Err(RegistrationError::Unknown));
    assert_eq!(registry.sizes(), [0; 4]);
}

#[test]
fn a_context_with_a_long_name_is_refused() {
    let mut registry = registry(&[]);
    assert_eq!(registry.register(&[b'c'; 32], registration(1, "1.3", 127)), Ok(()));
    let error = registry.register(&[b'c'; 33], registration(1, "1.3", 127)).expect_err("the name is too long");
    assert_eq!(ResponseError::from(error), ResponseError::UnsupportedContext);
}

#[rstest]
// Section 7.1.5: only a whole registration of the same session.
#[case::itself(1, "1.3.{2-4}.7", 127, true)]
#[case::of_another_session(2, "1.3.{2-4}.7", 127, false)]
#[case::of_another_priority(1, "1.3.{2-4}.7", 126, false)]
#[case::a_part(1, "1.3.3.7", 127, false)]
#[case::a_smaller_range(1, "1.3.{2-3}.7", 127, false)]
#[case::a_larger_range(1, "1.3.{2-5}.7", 127, false)]
#[case::above(1, "1.3", 127, false)]
#[case::below(1, "1.3.2.7.1", 127, false)]
fn only_a_registration_of_the_session_is_unregistered(
    #[case] session: u32,
    #[case] text: &str,
    #[case] priority: u8,
    #[case] known: bool,
) {
    let mut registry = registry(&[]);
    registry.add(1, "1.3.{2-4}.7", 127).expect("a valid registration");
    let error = registry.delete(session, text, priority).err().map(ResponseError::from);
    assert_eq!(error, (!known).then_some(ResponseError::UnknownRegistration));
    assert_eq!(registry.server("1.3.3.7"), (!known).then_some(1));
    let (subtree, range) = region(text);
    let elsewhere = registry.unregister(b"elsewhere", SessionId(session), priority, &subtree, range);
    assert_eq!(elsewhere, Err(RegistrationError::Unknown), "in another context");
}

#[test]
fn the_next_registration_serves_when_the_first_is_removed() {
    let mut registry = registry(&[]);
    for (session, text, priority) in [(1, "1.3", 5), (2, "1.3.5", 6), (3, "1.3.5", 5)] {
        registry.add(session, text, priority).expect("a valid registration");
    }
    assert_eq!(registry.server("1.3.5.0"), Some(3));
    registry.withdraw(SessionId(3));
    assert_eq!(registry.server("1.3.5.0"), Some(2));
    registry.delete(2, "1.3.5", 6).expect("a registration");
    assert_eq!(registry.server("1.3.5.0"), Some(1));
    registry.withdraw(SessionId(1));
    assert_eq!((registry.server("1.3.5.0"), registry.sizes()), (None, [0; 4]));
}

#[test]
fn a_walk_returns_intervals_in_order() {
    let mut registry = registry(&["1.3.8", "1.5"]);
    for (session, text) in [(1, "1.3"), (2, "1.3.5.{2-3}"), (3, "1.3.5.3.1"), (4, "1.7.4294967295"), (5, "2.{1-2}.6")] {
        registry.add(session, text, 127).expect("a valid registration");
    }
    let expected = [
        "1 1.3 1.3.5.2",
        "2 1.3.5.2 1.3.5.3.1",
        "3 1.3.5.3.1 1.3.5.3.2",
        "2 1.3.5.3.2 1.3.5.4",
        "1 1.3.5.4 1.3.8",
        "0 1.3.8 1.3.9",
        "1 1.3.9 1.4",
        "0 1.5 1.6",
        "4 1.7.4294967295 1.8",
        "5 2.1.6 2.1.7",
        "5 2.2.6 2.2.7",
    ];
    assert_eq!(registry.walk(b""), expected);
    assert_eq!(
        registry.walk(b"elsewhere"),
        ["0 1.3.8 1.3.9", "0 1.5 1.6"],
        "subtrees of the master are in every context"
    );
}

#[rstest]
#[case::at_the_start("1.3", true, Some("1 1.3 1.3.0"))]
// No name lies between a name and the same name with the arc 0 appended.
#[case::after_the_start("1.3", false, Some("2 1.3.0 1.3.1"))]
#[case::within("1.3.0", false, Some("2 1.3.0 1.3.1"))]
#[case::before("1", false, Some("1 1.3 1.3.0"))]
#[case::in_a_gap("1.4", false, Some("3 1.5 1.6"))]
#[case::at_the_end("1.6", true, None)]
fn the_next_interval_is_found(#[case] from: &str, #[case] include: bool, #[case] expected: Option<&str>) {
    let mut registry = registry(&[]);
    for (session, text) in [(1, "1.3"), (2, "1.3.0"), (3, "1.5")] {
        registry.add(session, text, 127).expect("a valid registration");
    }
    let next = registry.serving_next(b"", &oid(from), include).map(|serving| {
        let (start, end) = (agentx::DisplayArcs(serving.start), agentx::DisplayArcs(serving.end));
        format!("{} {start} {end}", number(serving))
    });
    assert_eq!(next.as_deref(), expected);
}

#[test]
fn timeout_and_row_flag_are_returned() {
    let mut registry = registry(&["1.9"]);
    let plain = Registration { timeout_s: 7, ..registration(1, "1.3", 127) };
    let instance = Registration { instance: true, ..registration(1, "1.4", 127) };
    for registration in [plain, instance, registration(1, "1.{5-6}.1", 127)] {
        registry.register(b"", registration).expect("a valid registration");
    }
    let flags = |name: &str| registry.serving(b"", &oid(name)).map(|serving| (serving.timeout_s, serving.row));
    assert_eq!(flags("1.3"), Some((7, false)));
    assert_eq!(flags("1.4"), Some((0, true)));
    assert_eq!(flags("1.6.1"), Some((0, true)));
    assert_eq!(flags("1.9.1"), Some((0, false)));
}

#[test]
fn adjacent_rows_of_a_session_are_one_interval() {
    let mut registry = registry(&[]);
    for row in [4, 2, 1, 3, 6] {
        registry.add(1, &format!("1.{{1-2}}.{row}"), 127).expect("a valid registration");
    }
    registry.add(2, "1.{1-2}.7", 127).expect("a valid registration");
    let stretches =
        ["1 1.1.1 1.1.5", "1 1.1.6 1.1.7", "2 1.1.7 1.1.8", "1 1.2.1 1.2.5", "1 1.2.6 1.2.7", "2 1.2.7 1.2.8"];
    assert_eq!(registry.walk(b""), stretches);
    registry.delete(1, "1.{1-2}.2", 127).expect("a registration");
    assert_eq!(registry.server("1.2.2"), None);
    assert_eq!((registry.server("1.2.1.9"), registry.server("1.2.3")), (Some(1), Some(1)));
}

#[test]
fn registrations_are_counted_by_subtree_and_limited() {
    let mut registry = Registry::new(&[], Limits { registrations: 10, registrations_per_session: 6, ..PLENTY });
    assert_eq!(registry.add(1, "1.{1-6}", 127), Ok(()));
    assert_eq!(registry.add(1, "1.7", 127), Err(RegistrationError::TooManyOfSession { limit: 6 }));
    assert_eq!(registry.add(1, "1.6", 127), Err(RegistrationError::Duplicate), "the more specific error");
    assert_eq!(registry.add(2, "2.{1-5}.1", 127), Err(RegistrationError::TooMany { limit: 10 }));
    assert_eq!(registry.add(2, "2.{1-4}.1", 127), Ok(()));
    assert_eq!((registry.len(), registry.len_of(SessionId(1)), registry.len_of(SessionId(2))), (10, 6, 4));
    registry.limit(Limits { registrations: 9, registrations_per_session: 4, ..PLENTY });
    assert_eq!(registry.len(), 10, "existing registrations stay");
    registry.delete(1, "1.{1-6}", 127).expect("a registration");
    assert_eq!((registry.len(), registry.len_of(SessionId(1))), (4, 0));
    assert_eq!(registry.add(1, "1.{1-4}", 127), Ok(()));
    assert_eq!(registry.add(3, "1.{5-6}", 127), Err(RegistrationError::TooMany { limit: 9 }));
}

#[test]
fn wide_regions_over_many_rows_take_constant_memory() {
    let mut registry = registry(&[]);
    for row in 0..1_000 {
        registry.add(row, &format!("1.3.6.1.{row}.1"), 127).expect("a valid registration");
    }
    for priority in 0..=255 {
        for above in ["1", "1.3", "1.3.6", "1.3.6.1"] {
            registry.add(5_000, above, priority).expect("a valid registration");
        }
    }
    assert_eq!(registry.sizes(), [1, 1_001, 1_000 + 4 * 256, 1_000 + 4]);
    assert_eq!(registry.server("1.3.6.1.500.1.0"), Some(500));
    assert_eq!(registry.server("1.3.6.1.500.2"), Some(5_000));
}

#[test]
fn ended_sessions_leave_nothing() {
    let mut registry = registry(&["1.9"]);
    registry.add(1, "1.3", 127).expect("a valid registration");
    registry.register(b"acme", registration(1, "1.{1-5}.3", 127)).expect("a valid registration");
    let before = (registry.sizes(), registry.len(), registry.walk(b""), registry.walk(b"acme"));
    for session in 2..10_002 {
        let own_context = format!("tenant-{session}");
        for (context, text) in [
            (own_context.as_str(), "1.3.6.1"),
            ("", "1.3.{1-20}.7"),
            ("", "1.3.{4-9}"),
            ("acme", "1.{2-3}"),
            ("acme", "1.{2-3}.3.1"),
        ] {
            registry.register(context.as_bytes(), registration(session, text, 127)).expect("a valid registration");
        }
        let (subtree, range) = region("1.3.{4-9}");
        registry.unregister(b"", SessionId(session), 127, &subtree, range).expect("a registration");
        registry.withdraw(SessionId(session));
        assert_eq!(registry.sizes(), before.0);
    }
    assert_eq!((registry.sizes(), registry.len(), registry.walk(b""), registry.walk(b"acme")), before);
    registry.withdraw(SessionId(1));
    assert_eq!((registry.sizes(), registry.len()), ([0; 4], 0));
    assert_eq!(registry.contexts().len(), 0);
}

#[test]
fn contexts_are_separate() {
    let mut registry = registry(&[]);
    registry.add(1, "1.3", 127).expect("a valid registration");
    registry.register(b"acme", registration(2, "1.3", 127)).expect("another context");
    assert_eq!(registry.serving(b"acme", &oid("1.3.1")).map(number), Some(2));
    assert_eq!(registry.serving(b"nobody", &oid("1.3.1")), None);
    let mut names: Vec<_> = registry.contexts().collect();
    names.sort_unstable();
    assert_eq!(names, [&b""[..], b"acme"]);
}
