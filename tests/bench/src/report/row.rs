//! The rows of the report: a measured number with those of peers, and its target.

use serde_json::{Map, Value, json};

/// The unit of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Varbinds per second.
    VarBindsPerSecond,
    /// Megabytes (10⁶ octets) per second.
    MegabytesPerSecond,
    /// Megabytes (10⁶ octets).
    Megabytes,
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Microseconds.
    Microseconds,
    /// Memory allocations.
    Allocations,
    /// Requests.
    Requests,
}

impl Unit {
    /// Returns its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::VarBindsPerSecond => "varbinds/s",
            Self::MegabytesPerSecond => "MB/s",
            Self::Megabytes => "MB",
            Self::Seconds => "s",
            Self::Milliseconds => "ms",
            Self::Microseconds => "µs",
            Self::Allocations => "allocations",
            Self::Requests => "requests",
        }
    }

    /// Returns the number of significant decimals.
    fn decimals(self) -> usize {
        match self {
            Self::VarBindsPerSecond | Self::MegabytesPerSecond | Self::Allocations => 0,
            Self::Megabytes | Self::Seconds | Self::Microseconds => 2,
            Self::Requests => 1,
            Self::Milliseconds => 3,
        }
    }

    /// Formats a number with this unit.
    #[must_use]
    pub fn show(self, number: f64) -> String {
        let mut text = format!("{number:.*}", self.decimals());
        let whole = text.find('.').unwrap_or(text.len());
        let mut at = whole;
        while at > 3 {
            at -= 3;
            text.insert(at, ',');
        }
        format!("{text} {}", self.name())
    }
}

/// The result of a peer.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// A number.
    Measured(f64),
    /// The reason why there is no number: the peer cannot do this, or does it wrong.
    Broken(String),
}

/// The target of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// At least this many times as much as this peer.
    TimesPeer(f64, &'static str),
    /// At least this many times as fast as this peer; the numbers are lengths of time.
    TimesFaster(f64, &'static str),
    /// At most this many times as much as this peer.
    AtMostTimes(f64, &'static str),
    /// At most this number, independent of peers.
    AtMost(f64),
    /// No target. The number is only reported.
    Nothing,
}

/// A row of the report.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The work that is measured.
    pub name: String,
    /// The unit of the numbers.
    pub unit: Unit,
    /// Our number.
    pub ours: f64,
    /// The results of peers in the same run.
    pub peers: Vec<(&'static str, Seen)>,
    /// The target.
    pub target: Target,
    /// Further observations, each a sentence.
    pub notes: Vec<String>,
}

impl Row {
    /// Returns the ratio of our number to that of the peer in the target, or else of the first peer. For durations with a
    /// ratio as target, it is the inverse. Returns `None` if that peer has no number.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        let number_of = |peer: Option<&str>| {
            let mut peers = self.peers.iter().filter(|(name, _)| peer.is_none_or(|peer| peer == *name));
            match peers.next() {
                Some((_, Seen::Measured(number))) => Some(*number),
                _ => None,
            }
        };
        match self.target {
            Target::TimesPeer(_, peer) | Target::AtMostTimes(_, peer) => {
                number_of(Some(peer)).map(|number| self.ours / number)
            }
            Target::TimesFaster(_, peer) => number_of(Some(peer)).map(|number| number / self.ours),
            Target::AtMost(_) | Target::Nothing => {
                number_of(None).filter(|number| *number > 0.0).map(|number| self.ours / number)
            }
        }
    }

    /// Returns whether the target is met.
    #[must_use]
    pub fn met(&self) -> bool {
        match self.target {
            Target::TimesPeer(least, _) | Target::TimesFaster(least, _) => {
                self.ratio().is_some_and(|ratio| ratio >= least)
            }
            Target::AtMostTimes(most, _) => self.ratio().is_some_and(|ratio| ratio <= most),
            Target::AtMost(most) => self.ours <= most,
            Target::Nothing => true,
        }
    }

    /// Returns the target in words.
    #[must_use]
    pub fn target_text(&self) -> String {
        match self.target {
            Target::TimesPeer(least, peer) | Target::TimesFaster(least, peer) => format!("≥ {least} × {peer}"),
            Target::AtMostTimes(most, peer) => format!("≤ {most} × {peer}"),
            Target::Nothing => "–".to_owned(),
            Target::AtMost(0.0) => "none".to_owned(),
            Target::AtMost(most) => format!("≤ {most} {}", self.unit.name()),
        }
    }

    /// Returns the number of a peer, or the reason why there is none.
    #[must_use]
    pub fn peer_text(&self, seen: &Seen) -> String {
        match seen {
            Seen::Measured(number) => self.unit.show(*number),
            Seen::Broken(how) => format!("broken: {how}"),
        }
    }

    /// Returns the row for `report.json`. Its name ends with the unit of its numbers.
    #[must_use]
    pub fn json(&self) -> Value {
        let peers: Map<String, Value> = self
            .peers
            .iter()
            .map(|(name, seen)| {
                let seen = match seen {
                    Seen::Measured(number) => json!(number),
                    Seen::Broken(_) => json!(self.peer_text(seen)),
                };
                ((*name).to_owned(), seen)
            })
            .collect();
        json!({
            "name": format!("{} ({})", self.name, self.unit.name()),
            "ours": self.ours,
            "peers": peers,
            "ratio": self.ratio(),
            "target": self.target_text(),
            "met": self.met(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ours: f64, unit: Unit, peer: Seen, target: Target) -> Row {
        Row { name: "work".to_owned(), unit, ours, peers: vec![("C", peer)], target, notes: Vec::new() }
    }

    #[test]
    fn a_speed_target_is_met_at_its_ratio_and_above() {
        let target = Target::TimesPeer(2.5, "C");
        assert!(row(25.0, Unit::VarBindsPerSecond, Seen::Measured(10.0), target).met());
        assert!(!row(24.9, Unit::VarBindsPerSecond, Seen::Measured(10.0), target).met());
        assert!(!row(25.0, Unit::VarBindsPerSecond, Seen::Broken("silent".to_owned()), target).met());
    }

    #[test]
    fn a_cost_target_is_met_up_to_its_multiple_of_a_peer() {
        let target = Target::AtMostTimes(1.1, "C");
        assert!(row(10.9, Unit::Microseconds, Seen::Measured(10.0), target).met());
        assert!(!row(11.1, Unit::Microseconds, Seen::Measured(10.0), target).met());
    }

    #[test]
    fn a_shorter_time_is_a_higher_ratio() {
        let faster = row(2.0, Unit::Microseconds, Seen::Measured(30.0), Target::TimesFaster(15.0, "C"));
        assert_eq!(faster.ratio(), Some(15.0));
        assert!(faster.met());
    }

    #[test]
    fn an_absolute_target_does_not_depend_on_the_peer() {
        assert!(row(6.0, Unit::Megabytes, Seen::Measured(1.0), Target::AtMost(6.0)).met());
        assert!(!row(6.01, Unit::Megabytes, Seen::Measured(100.0), Target::AtMost(6.0)).met());
    }

    #[test]
    fn a_row_without_target_is_always_met() {
        let row = row(6.0, Unit::Requests, Seen::Measured(3.0), Target::Nothing);
        assert!(row.met());
        assert_eq!((row.ratio(), row.target_text().as_str()), (Some(2.0), "–"));
        assert_eq!(row.unit.show(row.ours), "6.0 requests");
    }

    #[test]
    fn a_row_of_the_report_has_all_its_fields() {
        let seen = row(1234.0, Unit::VarBindsPerSecond, Seen::Broken("silent".to_owned()), Target::TimesPeer(2.5, "C"));
        let json = seen.json();
        assert_eq!(json["name"], "work (varbinds/s)");
        assert_eq!(json["peers"]["C"], "broken: silent");
        assert_eq!((&json["ratio"], &json["met"]), (&Value::Null, &json!(false)));
        assert_eq!(json["target"], "≥ 2.5 × C");
        assert_eq!(seen.unit.show(1_234_567.0), "1,234,567 varbinds/s");
    }
}
