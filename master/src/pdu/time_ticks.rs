//! Time in the units of SNMP.

use std::time::Instant;

/// Returns the TimeTicks between two instants: hundredths of a second, modulo 2³² (RFC 2578 section 7.1.8).
#[allow(clippy::cast_possible_truncation, reason = "TimeTicks wrap")]
pub(crate) fn time_ticks(from: Instant, to: Instant) -> u32 {
    (to.saturating_duration_since(from).as_millis() / 10) as u32
}
