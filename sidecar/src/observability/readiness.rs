//! The conditions for readiness.

use daemon::readiness::{Block, Readiness};

use crate::{
    observability::status::Status,
    subagent::{MasterStatus, RegistrationState, SessionState, SessionStatus},
    view::exports::ExportTable,
};

/// The conditions for readiness. Configuration and sources count at the start only, the session always.
#[derive(Debug)]
pub(crate) struct ReadinessCheck {
    readiness: Readiness,
    configuration: Option<Block>,
    sources: Option<Block>,
    session: Option<Block>,
}

const SESSION: &str = "an open session that has registered all regions";

impl ReadinessCheck {
    /// Creates the check with all conditions unmet.
    pub(crate) fn new(readiness: Readiness) -> Self {
        Self {
            configuration: Some(readiness.block("the configuration")),
            sources: Some(readiness.block("the first collection of every source")),
            session: Some(readiness.block(SESSION)),
            readiness,
        }
    }

    /// Checks the conditions. Returns whether the sidecar is ready.
    pub(crate) fn update(&mut self, status: &Status, exports: &ExportTable) -> bool {
        if self.configuration.is_some() && status.configuration().loaded {
            self.configuration = None;
        }
        if self.sources.is_some() && self.configuration.is_none() && status.is_everything_collected() {
            self.sources = None;
        }
        let wanted = exports.regions();
        let registered = status.masters().iter().flat_map(MasterStatus::sessions).any(|s| has_all(&s, wanted));
        if registered {
            self.session = None;
        } else if self.session.is_none() {
            self.session = Some(self.readiness.block(SESSION));
        }
        self.configuration.is_none() && self.sources.is_none() && self.session.is_none()
    }
}

/// Returns whether the session is open and its master has answered at least `wanted` registrations.
fn has_all(session: &SessionStatus, wanted: usize) -> bool {
    let states = || session.registrations.iter().map(|registration| registration.state);
    session.state == SessionState::Open
        && states().all(|state| state != RegistrationState::Pending)
        && states().filter(|state| *state != RegistrationState::Unregistering).count() >= wanted
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::subagent::{RegistrationStatus, session::Counts};

    #[rstest]
    #[case::not_open(SessionState::Opening, &[], 0, false)]
    #[case::nothing_to_register(SessionState::Open, &[], 0, true)]
    #[case::nothing_registered(SessionState::Open, &[], 1, false)]
    #[case::all(SessionState::Open, &[RegistrationState::Registered], 1, true)]
    #[case::standing_by(SessionState::Open, &[RegistrationState::Registered, RegistrationState::StandingBy], 2, true)]
    #[case::pending(SessionState::Open, &[RegistrationState::Registered, RegistrationState::Pending], 1, false)]
    #[case::another_one_unregistering(SessionState::Open, &[RegistrationState::Unregistering], 1, false)]
    fn session_has_registered_everything(
        #[case] state: SessionState,
        #[case] registrations: &[RegistrationState],
        #[case] wanted: usize,
        #[case] expected: bool,
    ) {
        let registration = |state: &_| RegistrationStatus {
            context: String::new(),
            region: "1.3".to_owned(),
            state: *state,
            reason: None,
        };
        let session = SessionStatus {
            address: "/m".to_owned(),
            state,
            open_seconds: None,
            last_error: None,
            registrations: registrations.iter().map(registration).collect(),
            counts: Counts::default(),
        };
        assert_eq!(has_all(&session, wanted), expected);
    }
}
