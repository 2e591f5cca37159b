//! Time as SNMP has it.

use std::time::Instant;

/// TimeTicks (RFC 2578 section 7.1.8): hundredths of a second from one instant to another, which begin anew after 2³².
#[allow(clippy::cast_possible_truncation, reason = "TimeTicks wrap")]
pub(crate) fn time_ticks(from: Instant, to: Instant) -> u32 {
    (to.saturating_duration_since(from).as_millis() / 10) as u32
}
