//! What the header of a message says, and a Report about it has to know.

use std::sync::Arc;

use async_snmp::{
    message::{RawMsgData, RawV3Message, SecurityLevel as WireLevel},
    v3::UsmSecurityParams,
};
use bytes::Bytes;
use master_config::SecurityLevel;

use super::{UserEnvelope, scoped::Scoped};
use crate::snmp::{
    access::Access,
    engine::Source,
    exchange::{Envelope, Exchange, Refusal},
    fault::Fault,
    keys::Keys,
    request::Head,
};

/// The header of a message, as far as it matters here.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) from: Source,
    pub(super) msg_id: i32,
    pub(super) level: SecurityLevel,
    /// The longest message that may be sent back, in octets.
    pub(super) limit: usize,
    /// The longest that this engine takes.
    max_size: usize,
    reportable: bool,
    user_name: Bytes,
    /// Of the PDU, as far as it is known yet: request-id, and whether it is of the Confirmed Class.
    asking: Option<(i32, bool)>,
}

impl Incoming {
    pub(super) fn new(access: &Access, from: Source, message: &RawV3Message, params: &UsmSecurityParams) -> Self {
        let header = message.global_data();
        let asking = match message.msg_data() {
            RawMsgData::Plaintext { data, .. } => {
                Scoped::read(data, 0).and_then(|scoped| Head::read(&scoped.pdu).map(|head| asking(&head)))
            }
            RawMsgData::Encrypted(_) => None,
        };
        Self {
            from,
            msg_id: header.msg_id(),
            level: match header.msg_flags().security_level {
                WireLevel::NoAuthNoPriv => SecurityLevel::NoAuthNoPriv,
                WireLevel::AuthNoPriv => SecurityLevel::AuthNoPriv,
                WireLevel::AuthPriv => SecurityLevel::AuthPriv,
            },
            limit: access.message_octets().min(header.msg_max_size().as_usize()),
            max_size: access.message_octets(),
            reportable: header.msg_flags().reportable,
            user_name: params.username().clone(),
            asking,
        }
    }

    /// The same, now that its PDU is known.
    pub(super) fn asking(self, head: &Head<'_>) -> Self {
        Self { asking: Some(asking(head)), ..self }
    }

    /// It is refused, and a Report says so without any security.
    pub(super) fn fault(&self, fault: Fault) -> Refusal {
        self.fault_at(fault, SecurityLevel::NoAuthNoPriv, None)
    }

    /// It is refused, and a Report says so at this level, if one may be sent: where the sender wants one, and does not
    /// send a Response, Report or trap itself (RFC 3412 sections 6.4 and 7.1 step 3).
    pub(super) fn fault_at(&self, fault: Fault, level: SecurityLevel, keys: Option<Arc<Keys>>) -> Refusal {
        let may_report = self.reportable && self.asking.is_none_or(|(_, is_confirmed)| is_confirmed);
        let report = may_report.then(|| {
            Box::new(Exchange {
                from: self.from,
                request_id: self.asking.map_or(0, |(request_id, _)| request_id),
                varbinds: Bytes::new(),
                limit: self.limit,
                envelope: Envelope::User(self.envelope(level, keys, Bytes::new())),
            })
        });
        Refusal::Fault(fault, report)
    }

    /// What goes around what is sent back.
    pub(super) fn envelope(&self, level: SecurityLevel, keys: Option<Arc<Keys>>, context: Bytes) -> UserEnvelope {
        UserEnvelope {
            msg_id: self.msg_id,
            max_size: self.max_size,
            level,
            user_name: self.user_name.clone(),
            keys,
            context,
        }
    }
}

fn asking(head: &Head<'_>) -> (i32, bool) {
    (head.request_id, head.is_confirmed())
}
