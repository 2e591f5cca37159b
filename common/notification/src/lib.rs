//! Notifications on their way from a sidecar to the master.
//!
//! A notification is an AgentX Notify (RFC 2741 section 6.2.10): snmpTrapOID.0, the objects of the rule, and the details of
//! the alarm as [product varbinds](Details). Any AgentX master can forward it as it is.

mod alarm_id;
mod date_and_time;
mod details;
mod message;
pub mod oids;
mod severity;

pub use alarm_id::AlarmId;
pub use date_and_time::date_and_time;
pub use details::{Details, State};
pub use message::{Notification, NotificationError, Sync};
pub use severity::{EventType, Severity};

/// Maximum number of varbinds of a Notify, without sysUpTime.0.
pub const MAX_VARBINDS: usize = 64;
/// Maximum length of the encoded varbinds of a Notify, in octets.
pub const MAX_OCTETS: usize = 8 << 10;
/// Maximum length of the texts `resource` and `text`, in octets.
pub const MAX_TEXT: usize = 255;
