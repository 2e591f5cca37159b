//! The sidecar's own metrics, in OpenMetrics.
//!
//! Each request builds them from the status. So they contain nothing that was removed from the configuration, and their number is
//! bounded by it: labels are subtrees, sources, masters and constants.

use std::fmt;

use daemon::metrics::{Labels, Page};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder, registry::Unit};

use crate::{
    observability::status::{SourceStatus, Status},
    subagent::{RegistrationState, SessionState, SessionStatus},
};

/// All metrics.
#[derive(Debug)]
pub(crate) struct Metrics {
    status: Status,
}

impl Metrics {
    /// Creates the metrics of `status`.
    pub(crate) fn new(status: Status) -> Self {
        Self { status }
    }
}

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut page = Page::new(encoder);
        page.gauges(
            "build_info",
            "The sidecar's version.",
            None,
            [(vec![("version", env!("CARGO_PKG_VERSION").to_owned())], 1_i64)],
        )?;
        self.configuration(&mut page)?;
        self.subtrees(&mut page)?;
        self.sources(&mut page)?;
        self.sessions(&mut page)?;
        let sets = self.status.sets().map(|(result, n)| (vec![("result", result.to_owned())], n));
        page.counters("sets", "SETs by outcome; not_undone and recovered count objects.", sets)?;
        let failures = self.status.state().failures();
        page.counters("state_failures", "State that could not be saved or read.", [(Vec::new(), failures)])
    }
}

impl Metrics {
    fn configuration(&self, page: &mut Page<'_>) -> Result<(), fmt::Error> {
        let configuration = self.status.configuration();
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        page.gauges(
            "config_loaded",
            "Whether the configuration has been read.",
            None,
            [(Vec::new(), i64::from(configuration.loaded))],
        )?;
        let documents = [
            ("served", self.status.subtrees().len()),
            ("refused", configuration.faults.len()),
            ("not_selected", configuration.not_selected.len()),
        ];
        let documents = documents.map(|(state, n)| (vec![("state", state.to_owned())], number(n)));
        page.gauges("config_documents", "Documents in the configuration directory.", None, documents)?;
        let faults = self.status.configuration_error_count();
        page.counters("config_faults", "Errors found in the configuration.", [(Vec::new(), faults)])
    }

    fn subtrees(&self, page: &mut Page<'_>) -> Result<(), fmt::Error> {
        let subtrees = self.status.subtrees();
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let labels = |name: &crate::config::SubtreeName| vec![("subtree", name.to_string())];
        let instances = subtrees.iter().map(|(name, subtree)| (labels(name), number(subtree.instances)));
        page.gauges("subtree_instances", "Instances in the view of the subtree.", None, instances)?;
        let views = subtrees.iter().map(|(name, subtree)| (labels(name), subtree.views));
        page.counters("subtree_views", "Published views of the subtree.", views)?;
        let withheld = subtrees.iter().flat_map(|(name, subtree)| {
            let of = |reason: &str| [labels(name), vec![("reason", reason.to_owned())]].concat();
            subtree.withheld.iter().map(move |withheld| (of(withheld.name), withheld.total))
        });
        page.counters("values_withheld", "Values and rows that were withheld or changed.", withheld)?;
        let assigned = subtrees.iter().map(|(name, subtree)| (labels(name), number(subtree.assigned.values().sum())));
        page.gauges("assigned_numbers", "Numbers assigned to rows of Assigned indexes.", None, assigned)
    }

    fn sources(&self, page: &mut Page<'_>) -> Result<(), fmt::Error> {
        let subtrees = self.status.subtrees();
        let sources: Vec<(Labels, &SourceStatus)> = subtrees
            .iter()
            .flat_map(|(name, subtree)| {
                let labels =
                    |source: &SourceStatus| vec![("subtree", name.to_string()), ("source", source.name.clone())];
                subtree.sources.iter().map(move |source| (labels(source), source))
            })
            .collect();
        let each = || sources.iter().map(|(labels, source)| (labels.clone(), *source));
        let up = each().filter_map(|(labels, source)| Some((labels, i64::from(source.up?))));
        page.gauges("source_up", "Whether the last collection succeeded.", None, up)?;
        let durations = each().map(|(labels, source)| (labels, source.duration.as_secs_f64()));
        page.gauges("source_scrape_duration", "Duration of the last collection.", Some(&Unit::Seconds), durations)?;
        let ages = each().filter_map(|(labels, source)| Some((labels, source.succeeded_at?.elapsed().as_secs_f64())));
        page.gauges("source_age", "Time since the last successful collection.", Some(&Unit::Seconds), ages)?;
        let samples = each().map(|(labels, source)| (labels, i64::try_from(source.samples).unwrap_or(i64::MAX)));
        page.gauges("source_samples", "Samples kept by the last successful collection.", None, samples)?;
        let scrapes = each().map(|(labels, source)| (labels, source.scrapes));
        page.counters("source_scrapes", "Collections.", scrapes)?;
        let failures = each().map(|(labels, source)| (labels, source.failures));
        page.counters("source_scrape_failures", "Failed collections.", failures)
    }

    fn sessions(&self, page: &mut Page<'_>) -> Result<(), fmt::Error> {
        let masters: Vec<(&str, Vec<SessionStatus>)> =
            self.status.masters().iter().map(|master| (master.url(), master.sessions())).collect();
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let labels = |url: &str| vec![("master", url.to_owned())];
        let open = masters.iter().map(|(url, sessions)| {
            let open = sessions.iter().filter(|session| session.state == SessionState::Open);
            (labels(url), number(open.count()))
        });
        page.gauges("sessions_open", "Open AgentX sessions.", None, open)?;
        let states = [
            ("registered", RegistrationState::Registered),
            ("standing_by", RegistrationState::StandingBy),
            ("refused", RegistrationState::Refused),
            ("pending", RegistrationState::Pending),
        ];
        let registrations = masters.iter().flat_map(|(url, sessions)| {
            states.iter().map(move |(name, state)| {
                let all = sessions.iter().flat_map(|session| &session.registrations);
                let count = all.filter(|registration| registration.state == *state).count();
                ([labels(url), vec![("state", (*name).to_owned())]].concat(), number(count))
            })
        });
        page.gauges("registrations", "Regions by the state of their registration.", None, registrations)?;
        let counts = masters.iter().flat_map(|(url, sessions)| {
            sessions.iter().flat_map(move |session| {
                session.counts.iter().map(move |(what, count)| {
                    let of = vec![("address", session.address.clone()), ("what", what.to_owned())];
                    ([labels(url), of].concat(), count)
                })
            })
        });
        page.counters("session_events", "Events in AgentX sessions.", counts)
    }
}
