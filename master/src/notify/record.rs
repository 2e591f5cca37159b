//! The record of the book: what a master must know about the alarms after a restart.
//!
//! It is a compressed sequence of AgentX Notify PDUs, one for each alarm, as a sidecar would send them. The first varbind of
//! each says in JSON what the notification does not.

mod store;

use std::{
    io::{self, Read as _, Write as _},
    sync::Arc,
};

use agentx::{Body, ByteOrder, Framer, Header, Limits, Oid, Pdu, Value, VarBind, decode, encode};
use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};
use notification::{MAX_OCTETS, MAX_VARBINDS, Notification, Severity, oids::PRODUCT_OID};
use serde::{Deserialize, Serialize};

pub(crate) use self::store::RecordStore;

/// Longest record, in octets: less than a Secret can hold.
const MAX_RECORD: usize = 900 << 10;
/// Longest record after decompression: more than the book's limit of alarms needs.
const MAX_EXPANDED: u64 = 128 << 20;
/// Octets that the compression may hold back.
const RESERVE: usize = 64 << 10;
/// Longest context in octets (RFC 3415).
const MAX_CONTEXT: usize = 32;

/// An alarm in the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The namespace that owns it.
    pub(crate) namespace: Option<Arc<str>>,
    /// Whether a token proved the namespace.
    pub(crate) proven: bool,
    /// Its context.
    pub(crate) context: Arc<[u8]>,
    /// When it was raised, a DateAndTime.
    pub(crate) raised: Vec<u8>,
    /// Its highest severity since then.
    pub(crate) worst: Severity,
    /// The last notification about it.
    pub(crate) notification: Notification,
}

/// The first varbind of an alarm.
#[derive(Serialize, Deserialize)]
struct Preface {
    namespace: Option<String>,
    proven: bool,
    raised: Vec<u8>,
    worst: Severity,
}

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    /// It cannot be read or decompressed.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It contains something else than alarms.
    #[error("contains something else than alarms")]
    Malformed,
}

fn preface_name() -> Oid {
    Oid::try_from(PRODUCT_OID).unwrap_or_default()
}

/// Returns the record of these alarms, and how many of them did not fit.
///
/// # Errors
/// Returns an error if an alarm cannot be encoded.
pub(crate) fn write(entries: impl Iterator<Item = Entry>) -> Result<(Vec<u8>, usize), RecordError> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    let (mut frame, mut left_out) = (Vec::new(), 0);
    for entry in entries {
        if encoder.get_ref().len() > MAX_RECORD - RESERVE {
            left_out += 1;
            continue;
        }
        let Entry { namespace, proven, context, raised, worst, notification } = entry;
        let preface = Preface { namespace: namespace.map(|namespace| namespace.to_string()), proven, raised, worst };
        let json = serde_json::to_vec(&preface).map_err(io::Error::from)?;
        let preface = VarBind { name: preface_name(), value: Value::OctetString(json) };
        let varbinds = std::iter::once(preface).chain(notification.varbinds()).collect();
        let header = Header { byte_order: ByteOrder::Big, session_id: 0, transaction_id: 0, packet_id: 0 };
        let pdu = Pdu { header, context: agentx::Context(context.to_vec()), body: Body::Notify(varbinds) };
        frame.clear();
        encode(&pdu, &mut frame).map_err(|_| RecordError::Malformed)?;
        encoder.write_all(&frame)?;
    }
    Ok((encoder.finish()?, left_out))
}

/// Reads a record.
///
/// # Errors
/// Returns an error if it is not what [`write`] returns.
pub(crate) fn read(record: &[u8]) -> Result<Vec<Entry>, RecordError> {
    // The preface is longer than the details that a sidecar sends.
    let payload = u32::try_from(2 * MAX_OCTETS).unwrap_or(u32::MAX);
    let limits = Limits { payload, varbinds: MAX_VARBINDS + 2, ..Limits::default() };
    let mut framer = Framer::new(limits);
    let mut decoder = ZlibDecoder::new(record).take(MAX_EXPANDED);
    let (mut entries, mut buffer) = (Vec::new(), vec![0; 16 << 10]);
    loop {
        let len = decoder.read(&mut buffer)?;
        if len == 0 {
            return Ok(entries);
        }
        framer.feed(buffer.get(..len).unwrap_or_default());
        while let Some(frame) = framer.next_frame().map_err(|_| RecordError::Malformed)? {
            let pdu = decode(frame, &limits).map_err(|_| RecordError::Malformed)?;
            entries.push(entry(pdu).ok_or(RecordError::Malformed)?);
        }
    }
}

fn entry(pdu: Pdu) -> Option<Entry> {
    let Body::Notify(varbinds) = pdu.body else { return None };
    let (VarBind { name, value: Value::OctetString(json) }, varbinds) = varbinds.split_first()? else { return None };
    let Preface { namespace, proven, raised, worst } = serde_json::from_slice(json).ok()?;
    let notification = Notification::parse(varbinds).ok()?;
    let details = notification.details.as_ref()?;
    let is_valid = name.as_slice() == PRODUCT_OID
        && details.state.is_raised()
        && notification.has_own_id(&pdu.context.0)
        && matches!(raised.len(), 8 | 11)
        && pdu.context.0.len() <= MAX_CONTEXT;
    let (namespace, context) = (namespace.map(Arc::from), Arc::from(pdu.context.0));
    is_valid.then_some(Entry { namespace, proven, context, raised, worst, notification })
}

#[cfg(test)]
mod tests;
