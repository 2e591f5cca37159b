//! The header of a received SNMPv3 message, and the Reports about it.

use std::sync::Arc;

use async_snmp::{
    message::{RawMsgData, RawV3Message, SecurityLevel as WireLevel},
    v3::UsmSecurityParams,
};
use bytes::Bytes;
use master_config::SecurityLevel;

use super::scoped::ScopedPdu;
use crate::snmp::{
    access::Access,
    datagram::Source,
    envelope::{Envelope, UserEnvelope},
    exchange::Exchange,
    keys::Keys,
    receive_error::ReceiveError,
    report::ReportReason,
    request::RawPdu,
};

/// The fields of a message header that responses and Reports depend on.
#[derive(Debug)]
pub(super) struct IncomingHeader {
    pub(super) from: Source,
    pub(super) msg_id: i32,
    pub(super) level: SecurityLevel,
    /// The longest message that may be sent back, in octets.
    pub(super) limit: usize,
    /// The longest message that this engine accepts, in octets.
    max_size: usize,
    reportable: bool,
    user_name: Bytes,
    /// The properties of the PDU; `None` while it is encrypted, or if it is malformed.
    pdu: Option<PduInfo>,
}

/// The properties of a PDU that a Report depends on.
#[derive(Debug, Clone, Copy)]
struct PduInfo {
    request_id: i32,
    /// Whether the PDU is of the Confirmed Class.
    is_confirmed: bool,
}

impl IncomingHeader {
    pub(super) fn new(access: &Access, from: Source, message: &RawV3Message, params: &UsmSecurityParams) -> Self {
        let header = message.global_data();
        let pdu = match message.msg_data() {
            RawMsgData::Plaintext { data, .. } => {
                ScopedPdu::parse(data, 0).and_then(|scoped| RawPdu::parse(&scoped.pdu).map(|pdu| PduInfo::of(&pdu)))
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
            pdu,
        }
    }

    /// Sets the properties of the PDU once it is decrypted.
    pub(super) fn with_pdu(self, pdu: &RawPdu<'_>) -> Self {
        Self { pdu: Some(PduInfo::of(pdu)), ..self }
    }

    /// Returns an error whose Report is neither authenticated nor encrypted.
    pub(super) fn error(&self, reason: ReportReason) -> ReceiveError {
        self.error_at(reason, SecurityLevel::NoAuthNoPriv, None)
    }

    /// Returns an error whose Report has this security level.
    ///
    /// The error has no Report if none may be sent: if the sender does not accept one, or if the message is itself a
    /// Response, Report or trap (RFC 3412 sections 6.4 and 7.1 step 3).
    pub(super) fn error_at(&self, reason: ReportReason, level: SecurityLevel, keys: Option<Arc<Keys>>) -> ReceiveError {
        let may_report = self.reportable && self.pdu.is_none_or(|pdu| pdu.is_confirmed);
        let report = may_report.then(|| {
            Box::new(Exchange {
                from: self.from,
                request_id: self.pdu.map_or(0, |pdu| pdu.request_id),
                varbinds: Bytes::new(),
                limit: self.limit,
                envelope: Envelope::User(self.envelope(level, keys, Bytes::new())),
            })
        });
        ReceiveError::Reported(reason, report)
    }

    /// Returns the envelope of a response or Report.
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

impl PduInfo {
    fn of(pdu: &RawPdu<'_>) -> Self {
        Self { request_id: pdu.request_id, is_confirmed: pdu.is_confirmed() }
    }
}
