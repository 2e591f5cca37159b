//! The master's own metrics, in OpenMetrics. Labels are fixed words: neither tenants nor managers make more of them.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::SystemTime,
};

use daemon::metrics::{Labels, Page};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder, registry::Unit};

use crate::{
    role::{Role, Trouble},
    standing::Standing,
    statistics::{Counter, PerVersion, Statistics},
    status::Status,
    traffic::Traffic,
};

/// All metrics.
#[derive(Debug)]
pub struct Metrics {
    status: Status,
    statistics: Arc<Statistics>,
    traffic: Arc<Traffic>,
    standing: Arc<Mutex<Standing>>,
}

impl Metrics {
    /// Of what each of these says.
    #[must_use]
    pub fn new(
        status: Status,
        statistics: Arc<Statistics>,
        traffic: Arc<Traffic>,
        standing: Arc<Mutex<Standing>>,
    ) -> Self {
        Self { status, statistics, traffic, standing }
    }
}

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut page = Page::new(encoder);
        let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
        page.gauges("build_info", "The master's version.", None, [(version, 1_i64)])?;
        self.configuration(&mut page)?;
        self.role(&mut page)?;
        self.snmp(&mut page)?;
        self.datagrams(&mut page)?;
        self.agentx(&mut page)?;
        self.tls(&mut page)
    }
}

impl Metrics {
    fn configuration(&self, page: &mut Page<'_>) -> Result<(), fmt::Error> {
        let configuration = self.status.configuration();
        let loaded = one(i64::from(configuration.loaded));
        page.gauges("config_loaded", "Whether there was a document that could be used.", None, loaded)?;
        page.counters("config_errors", "Documents that could not be used.", one(self.status.errors()))?;
        page.counters("config_reloads", "Documents that were put to use.", one(self.status.reloads()))?;
        let since_epoch = |(_, at): (_, SystemTime)| at.duration_since(SystemTime::UNIX_EPOCH).ok();
        let at = configuration.loaded_at.and_then(since_epoch).map(|at| (Labels::new(), at.as_secs_f64()));
        page.gauges("config_last_reload_timestamp", "When the last one was put to use.", Some(&Unit::Seconds), at)?;
        let stale = one(i64::from(configuration.error.is_some()));
        page.gauges("config_stale", "Whether the document as it is now cannot be used.", None, stale)?;
        let restart = one(i64::from(configuration.restart_needed));
        page.gauges("config_restart_needed", "Whether the document names other listeners.", None, restart)?;
        page.gauges("engine_boots", "snmpEngineBoots.", None, one(i64::from(self.status.engine_boots())))
    }

    fn role(&self, page: &mut Page<'_>) -> Result<(), fmt::Error> {
        let Role { active, activations, lease, troubles } = self.status.role();
        page.gauges("active", "Whether this replica answers managers.", None, one(i64::from(active)))?;
        page.counters("activations", "How often this replica became the active one.", one(activations))?;
        let transitions = lease.map(|lease| (Labels::new(), i64::from(lease.transitions)));
        page.gauges("lease_transitions", "How often the Lease went from one replica to another.", None, transitions)?;
        let troubles = Trouble::ALL
            .map(|trouble| (labels(&[("what", trouble.name())]), i64::from(troubles.contains_key(&trouble))));
        page.gauges("trouble", "Whether this fails now of what has to do with the cluster.", None, troubles)
    }

    fn snmp(&self, page: &mut Page<'_>) -> Result<(), fmt::Error> {
        let counts = &*self.statistics;
        let outcomes = [("request", &counts.requests), ("answer", &counts.answers), ("error", &counts.errors)];
        let samples = outcomes.into_iter().flat_map(|(outcome, counts)| {
            per_version(counts).map(|(version, count)| (labels(&[("version", version), ("outcome", outcome)]), count))
        });
        page.counters("requests", "SNMP requests taken on, and how they were answered.", samples)?;
        let dropped = [
            ("too_long", &counts.too_long),
            ("malformed", &counts.asn_parse_errors),
            ("bad_version", &counts.bad_versions),
            ("bad_community", &counts.bad_community_names),
            ("bad_community_use", &counts.bad_community_uses),
            ("unknown_security_model", &counts.unknown_security_models),
            ("invalid_message", &counts.invalid_messages),
            ("unexpected_pdu", &counts.unexpected_pdus),
            ("unknown_pdu_handler", &counts.unknown_pdu_handlers),
            ("unsupported_security_level", &counts.unsupported_security_levels),
            ("not_in_time_window", &counts.not_in_time_windows),
            ("unknown_user", &counts.unknown_user_names),
            ("unknown_engine_id", &counts.unknown_engine_ids),
            ("wrong_digest", &counts.wrong_digests),
            ("decryption", &counts.decryption_errors),
            ("unknown_context", &counts.unknown_contexts),
            ("duplicate", &counts.duplicates),
            ("over_limit", &counts.over_limit),
            ("no_room_for_an_error", &counts.silent_drops),
        ];
        page.counters("messages_refused", "SNMP messages that were not taken on, or not answered.", reasons(dropped))?;
        page.counters("reports", "SNMPv3 reports sent.", one(counts.reports.get()))?;
        let latency = &counts.latency;
        page.histogram(
            "request_latency",
            "Time from a manager's request to its answer.",
            Some(&Unit::Seconds),
            &latency.buckets(),
            latency.sum(),
        )
    }

    fn datagrams(&self, page: &mut Page<'_>) -> Result<(), fmt::Error> {
        let traffic = &*self.traffic;
        let ways = [("in", &traffic.datagrams_in), ("out", &traffic.datagrams_out)];
        let datagrams = ways.map(|(way, count)| (labels(&[("direction", way)]), count.get()));
        page.counters("datagrams", "SNMP datagrams.", datagrams)?;
        let standby = one(traffic.datagrams_standby.get());
        page.counters("datagrams_standby", "SNMP datagrams dropped because another replica is active.", standby)?;
        let failures = [("in", &traffic.receive_failures), ("out", &traffic.send_failures)];
        let failures = failures.map(|(way, count)| (labels(&[("direction", way)]), count.get()));
        page.counters("datagram_failures", "Datagrams that the system did not take or give.", failures)?;
        page.counters("agentx_connections_accepted", "Connections of subagents.", one(traffic.connections.get()))?;
        let refused = [("too_many", &traffic.connections_refused), ("accept_failed", &traffic.accept_failures)];
        page.counters("agentx_connections_refused", "Connections that were not taken on.", reasons(refused))
    }

    fn tls(&self, page: &mut Page<'_>) -> Result<(), fmt::Error> {
        let tls = &self.traffic.tls;
        page.counters("tls_connections", "Connections by TLS.", one(tls.connections.get()))?;
        page.counters("tls_upgrades", "Connections by TLS that became AgentX.", one(tls.upgrades.get()))?;
        let refused = [
            ("too_many", &tls.too_many),
            ("handshake", &tls.handshake_failures),
            ("no_request", &tls.http_failures),
            ("timeout", &tls.timeouts),
            ("unauthorized", &tls.unauthorized),
            ("forbidden", &tls.forbidden),
            ("too_many_requests", &tls.too_many_requests),
            ("unavailable", &tls.unavailable),
            ("other", &tls.other_errors),
        ];
        page.counters("tls_refused", "Connections by TLS that did not become AgentX.", reasons(refused))?;
        let reviews = [
            ("judged_bad", &tls.reviews.judged),
            ("accepted", &tls.reviews.accepted),
            ("remembered", &tls.reviews.remembered),
            ("refused", &tls.reviews.refused),
            ("unreachable", &tls.reviews.unreachable),
            ("too_many", &tls.reviews.too_many),
        ];
        let reviews = reviews.map(|(outcome, count)| (labels(&[("outcome", outcome)]), count.get()));
        page.counters("tokens", "Tokens of subagents, and what came of them.", reviews)?;
        page.counters("tls_certificate_reloads", "Certificates put to use.", one(tls.certificates.get()))?;
        page.counters("tls_certificate_errors", "Certificates of no use.", one(tls.certificate_errors.get()))?;
        let expires = tls.certificate_expires.load(Ordering::Relaxed);
        let expires = Some(number(expires)).filter(|expires| *expires > 0).map(|expires| (Labels::new(), expires));
        page.gauges("tls_certificate_expiry_timestamp", "When the one in use ends.", Some(&Unit::Seconds), expires)
    }

    fn agentx(&self, page: &mut Page<'_>) -> Result<(), fmt::Error> {
        let standing = *self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let Standing { connections, sessions, registrations, contexts, requests, outstanding, totals, .. } = standing;
        page.gauges("agentx_connections", "Connections of subagents.", None, one(number(connections as u64)))?;
        page.gauges("agentx_sessions", "Open AgentX sessions.", None, one(number(sessions as u64)))?;
        page.gauges("agentx_registrations", "Subtrees that are registered.", None, one(number(registrations)))?;
        let standing_by = "Registrations that stand by behind others of the same region and namespace.";
        page.gauges("agentx_standing_by", standing_by, None, one(number(standing.standing_by)))?;
        let namespaces = "Namespaces with connections over TLS.";
        page.gauges("agentx_namespaces", namespaces, None, one(number(standing.namespaces as u64)))?;
        page.gauges("agentx_contexts", "Contexts with registrations.", None, one(number(contexts as u64)))?;
        page.gauges("requests_pending", "SNMP requests being answered.", None, one(number(requests as u64)))?;
        let asked = "PDUs that subagents have not answered yet.";
        page.gauges("agentx_outstanding", asked, None, one(number(outstanding as u64)))?;
        page.counters("agentx_sessions_opened", "Sessions that were opened.", one(totals.sessions_opened))?;
        let ended = [
            ("closed", totals.sessions_closed),
            ("disconnected", totals.sessions_disconnected),
            ("silent", totals.sessions_silent),
            ("stalled", totals.sessions_stalled),
            ("malformed", totals.sessions_malformed),
            ("expired", totals.sessions_expired),
            ("withdrawn", totals.sessions_withdrawn),
        ];
        page.counters("agentx_sessions_ended", "Sessions that ended, and why.", counted("reason", ended))?;
        let refused = [
            ("open", totals.opens_refused),
            ("denied", totals.denied_reserved + totals.denied_context + totals.denied_outside),
            ("registration", totals.registrations_refused),
            ("pdu", totals.pdus_refused),
            ("not_open", totals.not_open),
            ("notification", totals.notifications_refused),
            ("request", totals.requests_refused),
        ];
        page.counters("agentx_refused", "What was refused.", counted("what", refused))?;
        let denied = [
            ("reserved", totals.denied_reserved),
            ("context", totals.denied_context),
            ("outside_grant", totals.denied_outside),
        ];
        page.counters("agentx_denied", "What peers may not, and why.", counted("reason", denied))?;
        let withdrawn = "Registrations that were withdrawn because they are granted no more.";
        page.counters("agentx_registrations_withdrawn", withdrawn, one(totals.registrations_withdrawn))?;
        page.counters("agentx_timeouts", "PDUs that subagents did not answer in time.", one(totals.timeouts))?;
        let dropped = [("wrong", totals.dropped), ("unexpected", totals.unexpected)];
        page.counters("agentx_answers_dropped", "Answers of subagents not used.", counted("reason", dropped))?;
        page.counters("notifications", "Notifications accepted of subagents.", one(totals.notifications))
    }
}

fn one<V>(value: V) -> [(Labels, V); 1] {
    [(Labels::new(), value)]
}

fn labels(labels: &[(&'static str, &str)]) -> Labels {
    labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

fn reasons<const N: usize>(counts: [(&'static str, &Counter); N]) -> [(Labels, u64); N] {
    counted("reason", counts.map(|(reason, count)| (reason, count.get())))
}

fn counted<const N: usize>(name: &'static str, counts: [(&'static str, u64); N]) -> [(Labels, u64); N] {
    counts.map(|(value, count)| (labels(&[(name, value)]), count))
}

fn per_version(counts: &PerVersion) -> [(&'static str, u64); 3] {
    [("1", counts.v1.get()), ("2c", counts.v2c.get()), ("3", counts.v3.get())]
}

fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
