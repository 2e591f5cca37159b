//! Severities and event types of alarms (X.733).

use serde::{Deserialize, Serialize};

/// Severity of an alarm (X.733), most severe first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "X.733 defines them")]
pub enum Severity {
    Critical,
    Major,
    Minor,
    #[default]
    Warning,
    Indeterminate,
}

/// Type of the event that raises an alarm (X.733, IANAItuEventType).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "X.733 defines them")]
pub enum EventType {
    Communications,
    QualityOfService,
    ProcessingError,
    Equipment,
    Environmental,
}

impl Severity {
    /// All severities, most severe first.
    pub const ALL: [Self; 5] = [Self::Critical, Self::Major, Self::Minor, Self::Warning, Self::Indeterminate];
    /// The number of ItuPerceivedSeverity that means that an alarm is cleared.
    pub const CLEARED: i32 = 1;

    /// Returns the number of ItuPerceivedSeverity (RFC 3877, ITU-ALARM-TC-MIB).
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::Indeterminate => 2,
            Self::Critical => 3,
            Self::Major => 4,
            Self::Minor => 5,
            Self::Warning => 6,
        }
    }

    /// Returns the severity with this number of ItuPerceivedSeverity.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.number() == number)
    }

    /// Returns whether a target with the minimum severity `least` receives an alarm of this severity. An indeterminate alarm
    /// could be of any severity, so each target receives it.
    #[must_use]
    pub fn is_at_least(self, least: Self) -> bool {
        self == Self::Indeterminate || self.number() <= least.number() || least == Self::Indeterminate
    }
}

impl EventType {
    /// All event types.
    pub const ALL: [Self; 5] =
        [Self::Communications, Self::QualityOfService, Self::ProcessingError, Self::Equipment, Self::Environmental];

    /// Returns the number of IANAItuEventType (RFC 3877).
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::Communications => 2,
            Self::QualityOfService => 3,
            Self::ProcessingError => 4,
            Self::Equipment => 5,
            Self::Environmental => 6,
        }
    }

    /// Returns the event type with this number of IANAItuEventType.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_name_severities_and_event_types() {
        assert_eq!(Severity::from_number(Severity::CLEARED), None);
        assert!(Severity::ALL.iter().all(|severity| Severity::from_number(severity.number()) == Some(*severity)));
        assert!(EventType::ALL.iter().all(|kind| EventType::from_number(kind.number()) == Some(*kind)));
    }

    #[test]
    fn a_minimum_severity_admits_what_is_as_severe() {
        assert!(Severity::Critical.is_at_least(Severity::Minor));
        assert!(Severity::Minor.is_at_least(Severity::Minor));
        assert!(!Severity::Warning.is_at_least(Severity::Minor));
        for severity in Severity::ALL {
            assert!(Severity::Indeterminate.is_at_least(severity));
            assert!(severity.is_at_least(Severity::Indeterminate), "{severity:?}");
        }
    }
}
