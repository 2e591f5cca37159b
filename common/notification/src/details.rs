//! The details of an alarm, as varbinds.

use agentx::{Oid, Value, VarBind};

use crate::{
    AlarmId, EventType, MAX_TEXT, Severity,
    oids::{DETAILS, detail},
};

/// What has happened to an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// It is raised.
    Raised,
    /// It is still raised, and its severity has changed.
    Changed,
    /// It is cleared.
    Cleared,
    /// Something happened that is never cleared. It is not in the alarm table.
    Event,
}

/// The details of an alarm in a notification, from the module SNMP-OPERATOR-MIB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    /// The notification that raises the alarm. A clear has the type of the raise.
    pub alarm_type: Oid,
    /// Its id.
    pub id: AlarmId,
    /// Increases with each notification about the alarm: the Unix time, or one more than before.
    pub sequence: u32,
    /// What has happened.
    pub state: State,
    /// Its severity. A notification that clears an alarm shows the severity `cleared` instead.
    pub severity: Severity,
    /// When it happened, as a DateAndTime.
    pub time: Vec<u8>,
    /// What it is about: `namespace/subtree/pod`, and labels. At most [`MAX_TEXT`] octets.
    pub resource: String,
    /// Meaning of the notification. At most [`MAX_TEXT`] octets.
    pub text: String,
    /// Type of the event.
    pub event_type: Option<EventType>,
}

impl State {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Raised, Self::Changed, Self::Cleared, Self::Event];

    /// Returns the number of the state in SNMP-OPERATOR-MIB.
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::Raised => 1,
            Self::Changed => 2,
            Self::Cleared => 3,
            Self::Event => 4,
        }
    }

    /// Returns whether the alarm is raised after it.
    #[must_use]
    pub const fn is_raised(self) -> bool {
        matches!(self, Self::Raised | Self::Changed)
    }
}

impl Details {
    /// Arcs of the objects below [`DETAILS`], in the order of the varbinds.
    const ALARM_TYPE: u32 = 1;
    const ID: u32 = 2;
    const SEQUENCE: u32 = 3;
    const STATE: u32 = 4;
    const SEVERITY: u32 = 5;
    const TIME: u32 = 6;
    const RESOURCE: u32 = 7;
    const TEXT: u32 = 8;
    const EVENT_TYPE: u32 = 9;

    /// Returns whether the varbind is one of those that describe an alarm.
    #[must_use]
    pub fn is_detail(varbind: &VarBind) -> bool {
        varbind.name.starts_with(&DETAILS)
    }

    /// Returns the varbinds. Texts are cut to [`MAX_TEXT`] octets.
    #[must_use]
    pub fn varbinds(&self) -> Vec<VarBind> {
        let severity = if self.state == State::Cleared { Severity::CLEARED } else { self.severity.number() };
        let values = [
            (Self::ALARM_TYPE, Value::ObjectIdentifier(self.alarm_type.clone())),
            (Self::ID, Value::OctetString(self.id.0.to_vec())),
            (Self::SEQUENCE, Value::Gauge32(self.sequence)),
            (Self::STATE, Value::Integer(self.state.number())),
            (Self::SEVERITY, Value::Integer(severity)),
            (Self::TIME, Value::OctetString(self.time.clone())),
            (Self::RESOURCE, Value::OctetString(cut(&self.resource))),
            (Self::TEXT, Value::OctetString(cut(&self.text))),
        ];
        let event_type = self.event_type.map(|kind| (Self::EVENT_TYPE, Value::Integer(kind.number())));
        let varbind = |(arc, value)| VarBind { name: Oid::try_from(detail(arc).as_slice()).unwrap_or_default(), value };
        values.into_iter().chain(event_type).map(varbind).collect()
    }

    /// Reads the details from `varbinds`, which must be what [`Details::varbinds`] returns. The severity of an alarm that is
    /// cleared is indeterminate.
    pub(crate) fn parse(varbinds: &[VarBind]) -> Option<Self> {
        let mut values = varbinds.iter();
        let mut next = |arc| {
            let varbind = values.next()?;
            (*varbind.name == detail(arc)).then_some(&varbind.value)
        };
        let Value::ObjectIdentifier(alarm_type) = next(Self::ALARM_TYPE)? else { return None };
        let id = AlarmId(octets(next(Self::ID)?)?.try_into().ok()?);
        let Value::Gauge32(sequence) = next(Self::SEQUENCE)? else { return None };
        let state = integer(next(Self::STATE)?)?;
        let state = State::ALL.into_iter().find(|known| known.number() == state)?;
        let severity = match integer(next(Self::SEVERITY)?)? {
            Severity::CLEARED if state == State::Cleared => Severity::Indeterminate,
            number => Severity::from_number(number).filter(|_| state != State::Cleared)?,
        };
        let time = octets(next(Self::TIME)?).filter(|time| matches!(time.len(), 8 | 11))?.to_vec();
        let resource = text(next(Self::RESOURCE)?)?;
        let text = text(next(Self::TEXT)?)?;
        let event_type = match next(Self::EVENT_TYPE) {
            Some(value) => Some(EventType::from_number(integer(value)?)?),
            None => None,
        };
        let expected = 8 + usize::from(event_type.is_some());
        let (alarm_type, sequence) = (alarm_type.clone(), *sequence);
        let details = Self { alarm_type, id, sequence, state, severity, time, resource, text, event_type };
        (varbinds.len() == expected).then_some(details)
    }
}

/// Returns the octets of the text, cut between two characters.
fn cut(text: &str) -> Vec<u8> {
    text.get(..text.floor_char_boundary(MAX_TEXT)).unwrap_or_default().as_bytes().to_vec()
}

fn integer(value: &Value) -> Option<i32> {
    match value {
        Value::Integer(number) => Some(*number),
        _ => None,
    }
}

fn octets(value: &Value) -> Option<&[u8]> {
    match value {
        Value::OctetString(octets) => Some(octets),
        _ => None,
    }
}

fn text(value: &Value) -> Option<String> {
    let octets = octets(value).filter(|octets| octets.len() <= MAX_TEXT)?;
    String::from_utf8(octets.to_vec()).ok()
}
