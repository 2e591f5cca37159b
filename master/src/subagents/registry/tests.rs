mod cases;
mod model;
mod properties;
mod queues;

use std::sync::Arc;

use agentx::{Oid, Range, SubId};
use identity::Identity;

use super::{Limits, Owner, Registered, Registration, RegistrationError, Registry, Serving, SessionId};

const PLENTY: Limits =
    Limits { registrations: 200_000, registrations_per_session: 100_000, registrations_per_namespace: 100_000 };

fn oid(text: &str) -> Oid {
    if text.is_empty() { Oid::default() } else { text.parse().expect("a valid OID") }
}

/// Parses a region such as `1.3.{2-5}.7`.
fn region(text: &str) -> (Oid, Option<Range>) {
    let mut range = None;
    let arcs = text.split('.').enumerate().map(|(at, arc)| {
        let Some((first, last)) = arc.strip_prefix('{').and_then(|arc| arc.strip_suffix('}')?.split_once('-')) else {
            return arc.to_owned();
        };
        let upper_bound = last.parse().expect("a valid range");
        range = Some(Range { position: u8::try_from(at + 1).expect("a short OID"), upper_bound });
        first.to_owned()
    });
    let arcs: Vec<_> = arcs.collect();
    (oid(&arcs.join(".")), range)
}

fn registration(session: u32, text: &str, priority: u8) -> Registration {
    let (subtree, range) = region(text);
    Registration { session: SessionId(session), subtree, range, priority, timeout_s: 0, instance: false, member: None }
}

/// Parses an identity `namespace/pod`. The pod may be empty.
fn member(text: &str) -> Option<Arc<Identity>> {
    let (namespace, pod) = text.split_once('/')?;
    let (namespace, pod) = (namespace.into(), Arc::from(pod));
    Some(Arc::new(Identity { namespace, service_account: "default".into(), pod: Arc::clone(&pod), pod_uid: pod }))
}

fn registry(own: &[&str]) -> Registry {
    Registry::new(&own.iter().map(|own| oid(own)).collect::<Vec<_>>(), PLENTY)
}

impl Registry {
    fn add(&mut self, session: u32, text: &str, priority: u8) -> Result<(), RegistrationError> {
        self.register(b"", registration(session, text, priority))
    }

    fn delete(&mut self, session: u32, text: &str, priority: u8) -> Result<Registration, RegistrationError> {
        let (subtree, range) = region(text);
        self.unregister(b"", SessionId(session), priority, &subtree, range)
    }

    /// Returns the session that serves a name, or 0 for the master.
    fn server(&self, name: &str) -> Option<u32> {
        self.serving(b"", &oid(name)).map(number)
    }

    /// Walks all intervals. Returns each as `session start end`.
    fn walk(&self, context: &[u8]) -> Vec<String> {
        let mut stretches = Vec::new();
        let mut next = self.serving_next(context, &[], true);
        while let Some(serving) = next {
            let (start, end) = (agentx::DisplayArcs(serving.start), agentx::DisplayArcs(serving.end));
            stretches.push(format!("{} {start} {end}", number(serving)));
            next = if serving.end.is_empty() { None } else { self.serving_next(context, serving.end, true) };
        }
        stretches
    }

    /// Adds a registration of a session with an identity.
    fn add_of(&mut self, session: u32, of: &str, text: &str, priority: u8) -> Result<(), RegistrationError> {
        self.register(b"", Registration { member: member(of), ..registration(session, text, priority) })
    }

    /// Returns the numbers of contexts, sessions, registrations and segments, which take memory.
    fn sizes(&self) -> [usize; 4] {
        [
            self.contexts.len(),
            self.sessions.len(),
            self.sessions.values().map(|holdings| holdings.registered.len()).sum(),
            self.contexts.values().map(super::Levels::segments).sum(),
        ]
    }
}

fn number(serving: Serving<'_>) -> u32 {
    match serving.owner {
        Owner::Session(SessionId(number)) => number,
        Owner::Master => 0,
    }
}
