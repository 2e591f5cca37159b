//! Queries of the dispatcher's status.

use std::sync::Arc;

use super::{
    Dispatcher,
    session::Session,
    status::{Published, SessionStatus, Totals},
};
use crate::{pdu::own_objects::OwnObjects, subagents::registry::SessionId};

impl<O: OwnObjects> Dispatcher<O> {
    /// Returns all registrations over TLS, in no particular order.
    pub(crate) fn published(&self) -> impl Iterator<Item = Published> {
        let sessions = self.sessions.iter().filter_map(|(id, session)| Some((id, session.identity.as_ref()?)));
        sessions.flat_map(|(id, identity)| {
            self.registry.registered(id).map(|registered| Published {
                identity: Arc::clone(identity),
                context: Arc::clone(registered.context),
                subtree: registered.subtree,
                range: registered.range,
                serving: !registered.stands_by,
            })
        })
    }

    /// Returns a number that increases whenever registrations change.
    pub(crate) fn revision(&self) -> u64 {
        self.registry.revision()
    }

    /// Returns the approximate number of registrations that are queued behind others, see
    /// [`crate::subagents::registry::Registry::queued`].
    pub(crate) fn queued(&self) -> u64 {
        self.registry.queued()
    }

    /// Returns the number of namespaces with connections over TLS.
    pub(crate) fn namespace_count(&self) -> usize {
        self.namespaces.len()
    }

    /// Returns the counters over all sessions.
    pub(crate) fn totals(&self) -> Totals {
        self.totals
    }

    /// Returns the status of all sessions, in no particular order.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = SessionStatus> {
        self.sessions.iter().filter_map(|(id, session)| {
            Some(SessionStatus {
                id,
                connection: session.connection,
                peer: self.connections.get(session.connection)?.peer.clone(),
                description: String::from_utf8_lossy(&session.open.description).into_owned(),
                oid: session.open.id.clone(),
                opened: session.opened,
                registrations: self.registry.len_of(id),
                standing_by: self.standing_by(id, session),
                withdrawn: self.withdrawn.len_of(id),
                outstanding: session.packets.len(),
                counts: session.counts,
            })
        })
    }

    /// Returns how many registrations of the session are queued behind others. Registrations of sessions without an
    /// identity are never queued. They are not searched, because there can be very many of them.
    fn standing_by(&self, id: SessionId, session: &Session) -> usize {
        let has_identity = session.identity.is_some();
        self.registry.registered(id).take_while(|_| has_identity).filter(|registered| registered.stands_by).count()
    }

    /// Returns the number of open sessions.
    pub(crate) fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// Returns the number of connections.
    pub(crate) fn connection_count(&self) -> usize {
        self.connections.len()
    }

    /// Returns the number of registered subtrees.
    pub(crate) fn registration_count(&self) -> u64 {
        self.registry.len()
    }

    /// Returns the number of contexts with registrations.
    pub(crate) fn context_count(&self) -> usize {
        self.registry.contexts().len()
    }

    /// Returns the number of requests of NMSs that are being answered.
    pub(crate) fn request_count(&self) -> usize {
        self.transactions.len()
    }

    /// Returns the number of outstanding PDUs.
    pub(crate) fn outstanding(&self) -> usize {
        self.packets.len()
    }
}
