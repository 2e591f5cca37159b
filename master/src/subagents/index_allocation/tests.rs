use agentx::Value;
use proptest::{collection::vec, prelude::*};
use rstest::rstest;

use super::*;

const IF_INDEX: &str = "1.3.6.1.2.1.2.2.1.1";

#[derive(Clone, Copy)]
enum Want {
    This,
    Any,
    New,
    AnyAndNew,
}
use Want::{Any, AnyAndNew, New, This};

fn varbind(name: &str, value: Value) -> VarBind {
    VarBind { name: if name.is_empty() { Oid::default() } else { name.parse().expect("a valid OID") }, value }
}

fn integer(value: i32) -> Value {
    Value::Integer(value)
}

impl IndexAllocations {
    fn request(
        &mut self,
        session: u32,
        want: Want,
        varbinds: Vec<VarBind>,
    ) -> Result<Vec<Value>, (ResponseError, u16)> {
        let (new, any) = (matches!(want, New | AnyAndNew), matches!(want, Any | AnyAndNew));
        self.allocate(b"", SessionId(session), &IndexAllocate { new, any, varbinds })
            .map(|varbinds| varbinds.into_iter().map(|varbind| varbind.value).collect())
            .map_err(|error| (error.reason.into(), error.index))
    }

    fn request_one(&mut self, session: u32, want: Want, value: Value) -> Result<Value, ResponseError> {
        let values = self.request(session, want, vec![varbind(IF_INDEX, value)]);
        values.map(|values| values[0].clone()).map_err(|(error, index)| {
            assert_eq!(index, 1);
            error
        })
    }

    fn deallocate_for(&mut self, session: u32, varbinds: &[VarBind]) -> Result<(), (ResponseError, u16)> {
        self.deallocate(b"", SessionId(session), varbinds).map_err(|error| (error.reason.into(), error.index))
    }

    fn sizes(&self) -> [usize; 4] {
        let held = self.sessions.values().map(HashSet::len).sum();
        [self.indexes.len(), self.sessions.len(), held, self.len]
    }
}

// RFC 2741 section 7.1.2: without flags exactly the given value, unless it is allocated already.
#[test]
fn a_value_is_allocated_once() {
    let mut allocations = IndexAllocations::default();
    assert_eq!(allocations.request_one(1, This, integer(7)), Ok(integer(7)));
    assert_eq!(allocations.request_one(2, This, integer(7)), Err(ResponseError::IndexAlreadyAllocated));
    assert_eq!(allocations.request_one(1, This, integer(7)), Err(ResponseError::IndexAlreadyAllocated));
    assert_eq!(allocations.request_one(2, This, integer(0)), Ok(integer(0)));
    allocations.release(SessionId(1));
    assert_eq!(allocations.request_one(2, This, integer(7)), Ok(integer(7)));
}

// Section 7.1.2: ANY_INDEX returns a value that is not in use, NEW_INDEX a value that was never in use.
#[test]
fn new_index_returns_unused_values_and_any_index_returns_free_values() {
    let mut allocations = IndexAllocations::default();
    assert_eq!(allocations.request_one(1, New, integer(0)), Ok(integer(1)));
    assert_eq!(allocations.request_one(2, This, integer(2)), Ok(integer(2)));
    assert_eq!(allocations.request_one(3, New, integer(0)), Ok(integer(3)));
    allocations.release(SessionId(1));
    allocations.deallocate_for(2, &[varbind(IF_INDEX, integer(2))]).expect("it is allocated");
    assert_eq!(allocations.request_one(4, New, integer(0)), Ok(integer(4)));
    assert_eq!(allocations.request_one(4, Any, integer(0)), Ok(integer(1)));
    assert_eq!(allocations.request_one(4, Any, integer(3)), Ok(integer(2)), "the given value does not matter");
    assert_eq!(allocations.request_one(4, Any, integer(0)), Ok(integer(5)));
    assert_eq!(allocations.request_one(4, AnyAndNew, integer(0)), Ok(integer(6)));
    allocations.release(SessionId(4));
    assert_eq!(allocations.request_one(5, AnyAndNew, integer(0)), Ok(integer(7)));
}

#[rstest]
#[case::integer(integer(-1), vec![integer(1), integer(2)])]
#[case::unsigned(Value::Gauge32(0), vec![Value::Gauge32(1), Value::Gauge32(2)])]
#[case::string(Value::OctetString(vec![]), vec![Value::OctetString(b"1".to_vec()), Value::OctetString(b"2".to_vec())])]
#[case::address(Value::IpAddress([0; 4]), vec![Value::IpAddress([0, 0, 0, 1]), Value::IpAddress([0, 0, 0, 2])])]
#[case::oid(
    Value::ObjectIdentifier(Oid::default()),
    ["0.0.1", "0.0.2"].map(|oid| Value::ObjectIdentifier(oid.parse().unwrap())).to_vec()
)]
fn values_of_every_type_are_chosen(#[case] like: Value, #[case] expected: Vec<Value>) {
    for want in [Any, New, AnyAndNew] {
        let mut allocations = IndexAllocations::default();
        let two = vec![varbind(IF_INDEX, like.clone()), varbind(IF_INDEX, like.clone())];
        assert_eq!(allocations.request(1, want, two), Ok(expected.clone()));
        let varbinds: Vec<_> = expected.iter().map(|value| varbind(IF_INDEX, value.clone())).collect();
        assert_eq!(allocations.request_one(2, This, expected[1].clone()), Err(ResponseError::IndexAlreadyAllocated));
        assert_eq!(allocations.deallocate_for(1, &varbinds), Ok(()));
        assert!(allocations.len == 0);
        assert_eq!(allocations.request_one(2, This, expected[1].clone()), Ok(expected[1].clone()));
        assert_eq!(allocations.request_one(2, Any, like.clone()), Ok(expected[0].clone()));
        assert!(!expected.contains(&allocations.request_one(2, New, like.clone()).expect("there are more")));
    }
}

#[rstest]
// Strings and OIDs other than those that the master chooses are independent of them.
#[case(Value::OctetString(b"eth0".to_vec()), Value::OctetString(b"1".to_vec()))]
#[case(Value::OctetString(b"01".to_vec()), Value::OctetString(b"1".to_vec()))]
#[case(Value::OctetString(b"+1".to_vec()), Value::OctetString(b"1".to_vec()))]
#[case(Value::ObjectIdentifier("1.3.1".parse().unwrap()), Value::ObjectIdentifier("0.0.1".parse().unwrap()))]
#[case(integer(-1), integer(1))]
#[case(integer(i32::MAX), integer(1))]
fn values_without_a_number_do_not_affect_the_chosen_values(#[case] other: Value, #[case] first: Value) {
    let mut allocations = IndexAllocations::default();
    assert_eq!(allocations.request_one(1, This, other.clone()), Ok(other.clone()));
    assert_eq!(allocations.request_one(1, New, other.clone()), Ok(first));
    assert_eq!(allocations.request_one(1, This, other), Err(ResponseError::IndexAlreadyAllocated));
}

// Section 7.1.2: all values of an index have the same type.
#[rstest]
#[case::another(This, Value::OctetString(b"7".to_vec()))]
#[case::another_any(Any, Value::IpAddress([1; 4]))]
#[case::another_new(New, Value::Gauge32(1))]
#[case::of_no_index(This, Value::Counter64(1))]
#[case::nothing(New, Value::Null)]
fn a_value_of_another_type_is_refused(#[case] want: Want, #[case] value: Value) {
    let mut allocations = IndexAllocations::default();
    allocations.request_one(1, This, integer(7)).expect("valid varbinds");
    assert_eq!(allocations.request_one(1, want, value), Err(ResponseError::IndexWrongType));
    assert_eq!(allocations.sizes(), [1, 1, 1, 1]);
}

#[test]
fn an_index_without_values_may_change_its_type_and_keeps_its_record() {
    let mut allocations = IndexAllocations::default();
    allocations.request_one(1, New, integer(0)).expect("valid varbinds");
    allocations.release(SessionId(1));
    let string = |text: &str| Value::OctetString(text.as_bytes().to_vec());
    assert_eq!(allocations.request_one(1, New, string("")), Ok(string("2")));
    allocations.release(SessionId(1));
    assert_eq!(allocations.request_one(1, New, integer(0)), Ok(integer(3)));
}

// Section 7.1.2: all varbinds or none.
#[rstest]
#[case::the_same_twice(This, vec![integer(8), integer(8)], ResponseError::IndexAlreadyAllocated, 2)]
#[case::one_in_use(This, vec![integer(8), integer(9), integer(7)], ResponseError::IndexAlreadyAllocated, 3)]
#[case::one_of_another_type(New, vec![integer(0), Value::Gauge32(0)], ResponseError::IndexWrongType, 2)]
#[case::one_of_no_type(Any, vec![Value::Null, integer(0)], ResponseError::IndexWrongType, 1)]
fn all_values_are_allocated_or_none(
    #[case] want: Want,
    #[case] values: Vec<Value>,
    #[case] error: ResponseError,
    #[case] index: u16,
) {
    let mut allocations = IndexAllocations::default();
    allocations.request_one(1, This, integer(7)).expect("valid varbinds");
    let before = format!("{:?}", (allocations.sizes(), allocations.indexes.values().collect::<Vec<_>>()));
    let varbinds = values.into_iter().map(|value| varbind(IF_INDEX, value)).collect();
    assert_eq!(allocations.request(2, want, varbinds), Err((error, index)));
    let after = format!("{:?}", (allocations.sizes(), allocations.indexes.values().collect::<Vec<_>>()));
    assert_eq!(after, before);
    assert_eq!(allocations.request_one(2, New, integer(0)), Ok(integer(1)), "no value is used up");
    assert_eq!(allocations.request_one(2, This, integer(8)), Ok(integer(8)));
}

#[test]
fn a_failed_request_leaves_no_index() {
    let mut allocations = IndexAllocations::default();
    let varbinds = vec![varbind("1.1", integer(0)), varbind("1.2", integer(0)), varbind("1.3", Value::Null)];
    assert_eq!(allocations.request(1, New, varbinds), Err((ResponseError::IndexWrongType, 3)));
    assert_eq!(allocations.sizes(), [0; 4]);
}

#[test]
fn values_that_are_too_long_are_refused() {
    let mut allocations = IndexAllocations::default();
    let too_long = Value::OctetString(vec![b'a'; 129]);
    assert_eq!(allocations.request_one(1, This, too_long), Err(ResponseError::RequestDenied));
    assert_eq!(allocations.request(1, This, vec![varbind("", integer(1))]), Err((ResponseError::RequestDenied, 1)));
    let request = IndexAllocate { new: false, any: true, varbinds: vec![varbind(IF_INDEX, integer(1))] };
    let error = allocations.allocate(&[b'c'; 33], SessionId(1), &request).expect_err("the name is too long");
    assert_eq!((ResponseError::from(error.reason), error.index), (ResponseError::UnsupportedContext, 0));
    assert_eq!(allocations.sizes(), [0; 4]);
}

#[test]
fn the_last_value_can_be_allocated_and_none_after_it() {
    let mut allocations = IndexAllocations::default();
    for number in (0..=256).rev() {
        let value = i32::MAX - 2 * number;
        assert_eq!(allocations.request_one(1, This, integer(value)), Ok(integer(value)));
    }
    assert_eq!(allocations.request_one(1, New, integer(0)), Ok(integer(1)));
    // There are more gaps than are recorded: the two lowest count as used, from 2 to the third sparse value.
    let varbinds = |want: &[i32]| want.iter().map(|value| varbind(IF_INDEX, integer(*value))).collect::<Vec<_>>();
    for value in (0..255).rev() {
        assert_eq!(allocations.request_one(1, New, integer(0)), Ok(integer(i32::MAX - 2 * value - 1)));
    }
    assert_eq!(allocations.request_one(1, New, integer(0)), Err(ResponseError::IndexNoneAvailable));
    assert_eq!(allocations.request_one(1, Any, integer(0)), Ok(integer(2)));
    assert_eq!(allocations.deallocate_for(1, &varbinds(&[1, 2, i32::MAX])), Ok(()));
    assert_eq!(allocations.request_one(1, New, integer(0)), Err(ResponseError::IndexNoneAvailable));
    assert_eq!(allocations.request_one(1, Any, integer(0)), Ok(integer(1)));
}

// Section 7.1.3: only values of this session, and all or none.
#[rstest]
#[case::of_another_session(2, vec![integer(7)], 1)]
#[case::not_allocated(1, vec![integer(7), integer(9)], 2)]
#[case::twice(1, vec![integer(7), integer(8), integer(7)], 3)]
#[case::of_another_type(1, vec![Value::Gauge32(7)], 1)]
#[case::of_no_type(1, vec![integer(7), Value::Null], 2)]
fn only_allocated_values_are_released(#[case] session: u32, #[case] values: Vec<Value>, #[case] index: u16) {
    let mut allocations = IndexAllocations::default();
    let varbinds = |values: Vec<Value>| values.into_iter().map(|value| varbind(IF_INDEX, value)).collect::<Vec<_>>();
    allocations.request(1, This, varbinds(vec![integer(7), integer(8)])).expect("valid varbinds");
    let error = allocations.deallocate_for(session, &varbinds(values.clone()));
    assert_eq!(error, Err((ResponseError::IndexNotAllocated, index)));
    let elsewhere = allocations.deallocate(b"elsewhere", SessionId(1), &varbinds(vec![integer(7)]));
    assert_eq!(elsewhere.expect_err("another context").reason, Reason::NotAllocated);
    assert_eq!(allocations.deallocate_for(1, &varbinds(vec![integer(8), integer(7)])), Ok(()));
}

#[test]
fn contexts_and_indexes_are_separate() {
    let mut allocations = IndexAllocations::default();
    assert_eq!(allocations.request_one(1, New, integer(0)), Ok(integer(1)));
    let two = vec![varbind("1.3.1", integer(0)), varbind("1.3.2", Value::Gauge32(0))];
    assert_eq!(allocations.request(1, New, two), Ok(vec![integer(1), Value::Gauge32(1)]));
    let request = IndexAllocate { new: true, any: false, varbinds: vec![varbind(IF_INDEX, integer(0))] };
    let varbinds = allocations.allocate(b"acme", SessionId(1), &request).expect("another context");
    assert_eq!(varbinds, [varbind(IF_INDEX, integer(1))]);
}

#[test]
fn values_are_limited_per_session_and_in_total() {
    let mut allocations = IndexAllocations::default();
    let many = |count: usize| vec![varbind(IF_INDEX, integer(0)); count];
    let full = IndexAllocations::MAX_VALUES_PER_SESSION;
    let refused = Err((ResponseError::RequestDenied, u16::try_from(full + 1).unwrap()));
    assert_eq!(allocations.request(1, Any, many(full + 1)), refused);
    assert_eq!(allocations.sizes(), [0; 4]);
    for session in 0..u32::try_from(IndexAllocations::MAX_VALUES / full).unwrap() {
        assert_eq!(allocations.request(session, Any, many(full)).map(|values| values.len()), Ok(full));
        assert_eq!(allocations.request_one(session, Any, integer(0)), Err(ResponseError::RequestDenied));
    }
    assert_eq!(allocations.request_one(99, Any, integer(0)), Err(ResponseError::RequestDenied));
    allocations.release(SessionId(0));
    assert_eq!(allocations.request_one(99, Any, integer(0)), Ok(integer(1)));
}

#[test]
fn indexes_are_limited() {
    let mut allocations = IndexAllocations::default();
    for arc in 0..IndexAllocations::MAX_INDEXES {
        let varbinds = vec![varbind(&format!("1.{arc}"), integer(0))];
        allocations.request(1, New, varbinds).expect("valid varbinds");
    }
    let one_more = vec![varbind("2.1", integer(0))];
    allocations.release(SessionId(1));
    assert_eq!(allocations.request(2, New, one_more), Err((ResponseError::RequestDenied, 1)), "released indexes count");
    assert_eq!(allocations.request(2, New, vec![varbind("1.7", integer(0))]), Ok(vec![integer(2)]));
}

#[test]
fn ended_sessions_leave_one_record_for_each_index() {
    let mut allocations = IndexAllocations::default();
    allocations.request_one(0, This, integer(1)).expect("valid varbinds");
    let name = |text: &str| Value::OctetString(text.as_bytes().to_vec());
    for session in 1..=10_000 {
        let number = i32::try_from(session).expect("it is small");
        let new = vec![varbind(IF_INDEX, integer(0)), varbind(IF_INDEX, integer(0))];
        assert_eq!(allocations.request(session, New, new), Ok(vec![integer(2 * number), integer(2 * number + 1)]));
        let sparse = vec![varbind("1.2", integer(number * 1_000))];
        allocations.request(session, This, sparse).expect("valid varbinds");
        let named = vec![varbind(&format!("1.3.{session}"), name("eth0"))];
        allocations.request(session, This, named).expect("valid varbinds");
        allocations.release(SessionId(session));
        assert_eq!(allocations.sizes(), [2, 1, 1, 1]);
    }
    let recorded: Vec<_> = allocations.indexes.values().map(Index::runs).collect();
    assert!(recorded.iter().all(|runs| *runs <= 256), "{recorded:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    // Compares with a model: the holder of each value, and all values that were ever allocated.
    #[test]
    fn allocations_agree_with_a_model(
        steps in vec((0..4_u32, 0..6_u8, vec((0..2_usize, -1..8_i32), 1..4)), 0..60),
    ) {
        let mut allocations = IndexAllocations::default();
        let (mut held, mut ever) = (HashMap::<(usize, i32), u32>::new(), HashSet::<(usize, i32)>::new());
        for (session, what, values) in steps {
            let varbinds: Vec<_> = values.iter().map(|(at, value)| varbind(["1.1", "1.2"][*at], integer(*value))).collect();
            let want = match what {
                0 => This,
                1 => Any,
                2 => New,
                3 => {
                    let distinct = values.iter().collect::<HashSet<_>>().len() == values.len();
                    let all = distinct && values.iter().all(|value| held.get(value) == Some(&session));
                    prop_assert_eq!(allocations.deallocate_for(session, &varbinds).is_ok(), all);
                    if all {
                        held.retain(|value, _| !values.contains(value));
                    }
                    continue;
                }
                _ => {
                    allocations.release(SessionId(session));
                    held.retain(|_, of| *of != session);
                    continue;
                }
            };
            let mut then = (held.clone(), ever.clone());
            let mut expected = Ok(Vec::new());
            for (position, (at, value)) in (1..).zip(&values) {
                let value = match want {
                    This => Some(*value),
                    Any => (1..=i32::MAX).find(|value| !then.0.contains_key(&(*at, *value))),
                    New | AnyAndNew => (1..=i32::MAX).find(|value| !then.1.contains(&(*at, *value))),
                };
                let value = value.expect("there are more");
                if then.0.insert((*at, value), session).is_some() {
                    expected = Err((ResponseError::IndexAlreadyAllocated, position));
                    break;
                }
                then.1.insert((*at, value));
                expected = expected.map(|values| [values, vec![integer(value)]].concat());
            }
            if expected.is_ok() {
                (held, ever) = then;
            }
            prop_assert_eq!(allocations.request(session, want, varbinds), expected);
            prop_assert_eq!(allocations.len, held.len());
        }
    }
}
