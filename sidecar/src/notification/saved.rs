//! The state of rules in the state directory.

use agentx::Oid;
use serde::{Deserialize, Serialize};

use super::transition::Transition;

/// The alarms of a subtree, as they are saved.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct SavedAlarms {
    /// The latest time that was seen, in seconds of Unix time. Sequences do not fall below it if the clock is set back.
    pub(super) latest: u32,
    /// The sequences of alarms that are ahead of the clock.
    pub(super) sequences: Vec<(Oid, Oid, u32)>,
    pub(super) pending: Vec<SavedPending>,
    pub(super) raised: Vec<SavedRaised>,
    /// The latest transitions.
    pub(super) log: Vec<Transition>,
}

/// A condition that holds, but not for long enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SavedPending {
    pub(super) alarm_type: Oid,
    pub(super) instance: Oid,
    /// Since when, in milliseconds of Unix time.
    pub(super) since_ms: u64,
}

/// A raised alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SavedRaised {
    /// The OID of the notification that clears it.
    pub(super) clear: Option<Oid>,
    /// The last notification about it, with the last known values.
    pub(super) transition: Transition,
}

/// Varbinds as JSON.
pub(super) mod varbinds {
    use agentx::{Oid, Value, VarBind};
    use data_encoding::BASE64;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    enum Saved {
        Integer(i32),
        OctetString(String),
        Null,
        ObjectIdentifier(Oid),
        IpAddress([u8; 4]),
        Counter32(u32),
        Gauge32(u32),
        TimeTicks(u32),
        Counter64(u64),
    }

    pub(crate) fn serialize<S: Serializer>(varbinds: &[VarBind], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(varbinds.iter().map(|varbind| {
            let value = match &varbind.value {
                Value::Integer(number) => Saved::Integer(*number),
                Value::OctetString(octets) => Saved::OctetString(BASE64.encode(octets)),
                Value::ObjectIdentifier(oid) => Saved::ObjectIdentifier(oid.clone()),
                Value::IpAddress(address) => Saved::IpAddress(*address),
                Value::Counter32(number) => Saved::Counter32(*number),
                Value::Gauge32(number) => Saved::Gauge32(*number),
                Value::TimeTicks(number) => Saved::TimeTicks(*number),
                Value::Counter64(number) => Saved::Counter64(*number),
                // No object of a subtree has these.
                Value::Opaque(_) | Value::Null | Value::NoSuchObject | Value::NoSuchInstance | Value::EndOfMibView => {
                    Saved::Null
                }
            };
            (&varbind.name, value)
        }))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<VarBind>, D::Error> {
        let saved = Vec::<(Oid, Saved)>::deserialize(deserializer)?;
        let read = |(name, value)| {
            let value = match value {
                Saved::Integer(number) => Value::Integer(number),
                Saved::OctetString(text) => {
                    Value::OctetString(BASE64.decode(text.as_bytes()).map_err(D::Error::custom)?)
                }
                Saved::Null => Value::Null,
                Saved::ObjectIdentifier(oid) => Value::ObjectIdentifier(oid),
                Saved::IpAddress(address) => Value::IpAddress(address),
                Saved::Counter32(number) => Value::Counter32(number),
                Saved::Gauge32(number) => Value::Gauge32(number),
                Saved::TimeTicks(number) => Value::TimeTicks(number),
                Saved::Counter64(number) => Value::Counter64(number),
            };
            Ok(VarBind { name, value })
        };
        saved.into_iter().map(read).collect()
    }
}

/// The state of an alarm as its number in SNMP-OPERATOR-MIB.
pub(super) mod state {
    use notification::State;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub(crate) fn serialize<S: Serializer>(state: &State, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i32(state.number())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<State, D::Error> {
        let number = i32::deserialize(deserializer)?;
        let known = State::ALL.into_iter().find(|state| state.number() == number);
        known.ok_or_else(|| D::Error::custom(format!("unknown state {number}")))
    }
}
