use proptest::{collection::vec, prelude::*, sample::select};

use super::{
    model::{Model, Served},
    *,
};

const CONTEXTS: [&[u8]; 2] = [b"", b"acme"];
/// Few arcs, so that regions overlap, including the smallest and the largest.
const ARCS: [SubId; 6] = [0, 1, 2, 3, SubId::MAX - 1, SubId::MAX];

#[derive(Debug, Clone)]
enum Step {
    Register(usize, Registration),
    /// Unregisters an existing registration, or one that differs in a field.
    Unregister(usize, Option<u8>),
    Withdraw(SessionId),
}

fn arcs_of_a_name() -> impl Strategy<Value = Vec<SubId>> {
    vec(select(&ARCS[..]), 0..5)
}

/// Returns the identity of a session: none, two of one pod, others of the same namespace, one of another.
fn member_of(session: u32) -> Option<Arc<Identity>> {
    member(["", "", "a/x", "a/x", "a/y", "b/z", "a/", ""][session as usize % 8])
}

prop_compose! {
    fn any_registration()(
        session in 1..7_u32,
        subtree in vec(select(&ARCS[..]), 1..5),
        range in prop::option::weighted(0.5, (0..4_usize, 0..4_u32)),
        priority in 126..129_u8,
        timeout_s in 0..2_u8,
        instance in prop::bool::weighted(0.2),
    ) -> Registration {
        let range = range.map(|(at, wide)| {
            let at = at.min(subtree.len() - 1);
            let position = u8::try_from(at + 1).expect("it is short");
            Range { position, upper_bound: subtree[at].saturating_add(wide) }
        });
        let subtree = Oid::new(subtree).expect("it is short");
        let member = member_of(session);
        Registration { session: SessionId(session), subtree, range, priority, timeout_s, instance, member }
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..2_usize, any_registration()).prop_map(|(context, registration)| Step::Register(context, registration)),
        2 => (any::<usize>(), prop::option::weighted(0.2, 0..3_u8)).prop_map(|(at, change)| Step::Unregister(at, change)),
        1 => (1..7_u32).prop_map(|session| Step::Withdraw(SessionId(session))),
    ]
}

fn run(registry: &mut Registry, model: &mut Model, steps: Vec<Step>) {
    for step in steps {
        match step {
            Step::Register(context, registration) => {
                let done = registry.register(CONTEXTS[context], registration.clone()).is_ok();
                assert_eq!(done, model.register(CONTEXTS[context], registration.clone()), "{registration:?}");
            }
            Step::Unregister(at, change) => {
                if model.registered.is_empty() {
                    continue;
                }
                let (context, mut registration) = model.registered[at % model.registered.len()].clone();
                match change {
                    Some(0) => registration.session.0 += 1,
                    Some(1) => registration.priority += 1,
                    Some(_) => registration.range = None,
                    None => {}
                }
                let Registration { session, priority, ref subtree, range, .. } = registration;
                let done = registry.unregister(&context, session, priority, subtree, range).is_ok();
                assert_eq!(done, model.unregister(&context, &registration), "{registration:?}");
            }
            Step::Withdraw(session) => {
                registry.withdraw(session);
                model.withdraw(session);
            }
        }
    }
}

fn served(serving: Serving<'_>) -> Served {
    (serving.owner, serving.timeout_s, serving.row)
}

fn holds(serving: &Serving<'_>, name: &[SubId]) -> bool {
    serving.start <= name && (serving.end.is_empty() || name < serving.end)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_registry_agrees_with_the_model(
        own in vec(vec(select(&ARCS[..]), 2..4), 0..3),
        steps in vec(step(), 0..40),
        names in vec(arcs_of_a_name(), 40),
    ) {
        let mut own: Vec<_> = own.into_iter().map(|own| Oid::new(own).expect("it is short")).collect();
        own.sort_unstable();
        own.dedup_by(|next, own| next.starts_with(own));
        let mut registry = Registry::new(&own, PLENTY);
        let mut model = Model { own, ..Model::default() };
        run(&mut registry, &mut model, steps);

        for context in CONTEXTS {
            let edges = model.edges(context);
            for name in names.iter().chain(&edges) {
                let found = registry.serving(context, name);
                prop_assert_eq!(found.map(served), model.serving(context, name), "at {:?}", name);
                prop_assert!(found.is_none_or(|serving| holds(&serving, name)));

                for include in [true, false] {
                    let first = if include { name.clone() } else { [name, &[0][..]].concat() };
                    let found = registry.serving_next(context, name, include);
                    let found = found.map(|serving| (serving.start.max(&first).to_vec(), served(serving)));
                    prop_assert_eq!(found, model.serving_next(context, &first), "after {:?}, {}", name, include);
                }
            }

            // All names of an interval have the same server, and names between intervals have none.
            let (mut at, mut walked) = (Vec::new(), 0);
            while let Some(serving) = registry.serving_next(context, &at, true) {
                prop_assert!(at.as_slice() <= serving.start);
                for name in names.iter().chain(&edges) {
                    if holds(&serving, name) {
                        prop_assert_eq!(model.serving(context, name), Some(served(serving)), "at {:?}", name);
                    } else if at <= *name && name.as_slice() < serving.start {
                        prop_assert_eq!(model.serving(context, name), None, "at {:?}", name);
                    }
                }
                walked += 1;
                prop_assert!(walked <= edges.len(), "the walk does not end");
                if serving.end.is_empty() {
                    break;
                }
                at = serving.end.to_vec();
            }
        }

        let counted: usize = model.registered.iter().map(|(_, registration)| model::subtrees(registration).len()).sum();
        prop_assert_eq!(registry.len(), counted as u64);
        for session in 1..8 {
            for registered in registry.registered(SessionId(session)) {
                let stands_by = model.stands_by(session, &registered);
                prop_assert_eq!(registered.stands_by, stands_by, "{:?}", registered);
            }
        }
        for session in 1..8 {
            registry.withdraw(SessionId(session));
        }
        prop_assert_eq!((registry.namespaces.len(), registry.queued.len()), (0, 0));
        prop_assert_eq!((registry.sizes(), registry.len()), ([0; 4], 0));
    }

    #[test]
    fn removed_registrations_leave_no_trace(kept in vec(step(), 0..20), gone in vec(any_registration(), 0..20)) {
        let (mut registry, mut model) = (Registry::new(&[], PLENTY), Model::default());
        run(&mut registry, &mut model, kept);
        let before = format!("{:?}", (&registry.contexts.get(CONTEXTS[0]), registry.sizes(), registry.len()));
        for registration in gone {
            // Some are refused because of registrations that stay, or of each other.
            let _ = registry.register(CONTEXTS[0], Registration { session: SessionId(9), member: None, ..registration });
        }
        registry.withdraw(SessionId(9));
        let after = format!("{:?}", (&registry.contexts.get(CONTEXTS[0]), registry.sizes(), registry.len()));
        prop_assert_eq!(before, after);
    }
}
