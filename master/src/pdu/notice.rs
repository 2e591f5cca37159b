//! What the agent thread tells the book of alarms: notifications of subagents, and which sessions serve their objects.

use std::sync::Arc;

use agentx::{Oid, Value, VarBind};
use notification::{AlarmId, MAX_OCTETS, MAX_VARBINDS, Notification, NotificationError, Sync};

/// The content of a Notify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A notification.
    Notification(Notification),
    /// The raised alarms of a subtree.
    Sync(Sync),
}

/// Why a Notify is refused, whoever sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// It exceeds [`MAX_VARBINDS`] or [`MAX_OCTETS`].
    #[error("the notification has more than {MAX_VARBINDS} varbinds or {MAX_OCTETS} octets")]
    TooLong,
    /// Its varbinds are wrong.
    #[error(transparent)]
    Malformed(#[from] NotificationError),
}

/// A Notify that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The namespace of the peer.
    pub namespace: Option<Arc<str>>,
    /// Whether the peer has proven that it belongs to this namespace. If not, the namespace is what the notification says.
    pub proven: bool,
    /// h.sessionID.
    pub session: u32,
    /// The context.
    pub context: Arc<[u8]>,
    /// Whether the session serves the first object of the notification, or the subtree of a [`Sync`].
    pub serves: bool,
    /// The content.
    pub content: Content,
}

/// What a session serves or no longer serves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// The instance of an alarm that the session has raised.
    Alarm(AlarmId),
    /// A subtree that the session has sent a [`Sync`] for.
    Subtree(Oid),
}

/// Something that the book of alarms must know, in the order in which it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A Notify was accepted.
    Received(Box<Received>),
    /// Registrations changed: a session serves something now, or no longer does.
    Serving {
        /// h.sessionID.
        session: u32,
        /// The context.
        context: Arc<[u8]>,
        /// What it is about.
        subject: Subject,
        /// Whether the session serves it now.
        serves: bool,
    },
    /// A session ended.
    Closed {
        /// h.sessionID.
        session: u32,
    },
}

impl Content {
    /// Reads the varbinds of a Notify.
    ///
    /// # Errors
    /// Returns an error if there are too many varbinds, or if they are no notification.
    pub fn parse(varbinds: &[VarBind]) -> Result<Self, ContentError> {
        if varbinds.len() > MAX_VARBINDS + 1 || varbinds.iter().map(encoded_len).sum::<usize>() > MAX_OCTETS {
            return Err(ContentError::TooLong);
        }
        match Sync::parse(varbinds) {
            Some(sync) => Ok(Self::Sync(sync)),
            None => Ok(Self::Notification(Notification::parse(varbinds)?)),
        }
    }
}

/// Returns the length of a varbind in AgentX (RFC 2741 section 5.4), without compression of its OIDs.
fn encoded_len(varbind: &VarBind) -> usize {
    let value = match &varbind.value {
        Value::OctetString(octets) | Value::Opaque(octets) => 4 + octets.len().next_multiple_of(4),
        Value::ObjectIdentifier(oid) => 4 + 4 * oid.len(),
        Value::Counter64(_) | Value::IpAddress(_) => 8,
        _ => 4,
    };
    8 + 4 * varbind.name.len() + value
}
