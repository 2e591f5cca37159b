//! The master's own metrics in OpenMetrics. All label values are constants, so tenants and managers cannot add series.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::SystemTime,
};

use daemon::metrics::{Labels, Page};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder, registry::Unit};

use crate::{
    agent::snapshot::Snapshot,
    io::traffic::Traffic,
    observability::{
        role::{Role, Trouble},
        status::Status,
    },
    snmp::statistics::{Counter, PerVersion, Statistics},
};

/// The collector of all metrics.
#[derive(Debug)]
pub(crate) struct Metrics {
    status: Status,
    statistics: Arc<Statistics>,
    traffic: Arc<Traffic>,
    snapshot: Arc<Mutex<Snapshot>>,
}

impl Metrics {
    /// Creates a collector that reads the given sources at each scrape.
    pub(crate) fn new(
        status: Status,
        statistics: Arc<Statistics>,
        traffic: Arc<Traffic>,
        snapshot: Arc<Mutex<Snapshot>>,
    ) -> Self {
        Self { status, statistics, traffic, snapshot }
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
        page.gauges("config_loaded", "Whether a valid document was loaded.", None, loaded)?;
        page.counters("config_errors", "Invalid documents.", one(self.status.errors()))?;
        page.counters("config_reloads", "Documents loaded.", one(self.status.reloads()))?;
        let since_epoch = |(_, at): (_, SystemTime)| at.duration_since(SystemTime::UNIX_EPOCH).ok();
        let at = configuration.loaded_at.and_then(since_epoch).map(|at| (Labels::new(), at.as_secs_f64()));
        page.gauges("config_last_reload_timestamp", "When the last document was loaded.", Some(&Unit::Seconds), at)?;
        let stale = one(i64::from(configuration.error.is_some()));
        page.gauges("config_stale", "Whether the latest document is invalid and not in use.", None, stale)?;
        let restart = one(i64::from(configuration.restart_needed));
        page.gauges(
            "config_restart_needed",
            "Whether the document has other listeners than those in use.",
            None,
            restart,
        )?;
        page.gauges("engine_boots", "snmpEngineBoots.", None, one(i64::from(self.status.engine_boots())))
    }

    fn role(&self, page: &mut Page<'_>) -> Result<(), fmt::Error> {
        let Role { active, activations, lease, troubles } = self.status.role();
        page.gauges("active", "Whether this replica answers managers.", None, one(i64::from(active)))?;
        page.counters("activations", "How often this replica became the active one.", one(activations))?;
        let transitions = lease.map(|lease| (Labels::new(), i64::from(lease.transitions)));
        page.gauges("lease_transitions", "How often the holder of the Lease changed.", None, transitions)?;
        let troubles = Trouble::ALL
            .map(|trouble| (labels(&[("what", trouble.name())]), i64::from(troubles.contains_key(&trouble))));
        page.gauges("trouble", "Whether this function, which depends on the API server, fails now.", None, troubles)
    }

    fn snmp(&self, page: &mut Page<'_>) -> Result<(), fmt::Error> {
        let counts = &*self.statistics;
        let outcomes = [("request", &counts.requests), ("answer", &counts.answers), ("error", &counts.errors)];
        let samples = outcomes.into_iter().flat_map(|(outcome, counts)| {
            per_version(counts).map(|(version, count)| (labels(&[("version", version), ("outcome", outcome)]), count))
        });
        page.counters("requests", "SNMP requests accepted, and responses by outcome.", samples)?;
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
        page.counters(
            "messages_refused",
            "SNMP messages dropped, refused or left without a response, by reason.",
            reasons(dropped),
        )?;
        page.counters("reports", "SNMPv3 reports sent.", one(counts.reports.get()))?;
        let latency = &counts.latency;
        page.histogram(
            "request_latency",
            "Time from a manager's request to the response.",
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
        page.counters("datagram_failures", "Datagrams that could not be received or sent.", failures)?;
        page.counters(
            "agentx_connections_accepted",
            "Accepted connections of subagents.",
            one(traffic.connections.get()),
        )?;
        let refused = [("too_many", &traffic.connections_refused), ("accept_failed", &traffic.accept_failures)];
        page.counters("agentx_connections_refused", "Refused connections of subagents, by reason.", reasons(refused))
    }

    fn tls(&self, page: &mut Page<'_>) -> Result<(), fmt::Error> {
        let tls = &self.traffic.tls;
        page.counters("tls_connections", "Connections over TLS.", one(tls.connections.get()))?;
        page.counters("tls_upgrades", "Connections over TLS upgraded to AgentX.", one(tls.upgrades.get()))?;
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
        page.counters("tls_refused", "Connections over TLS refused, by reason.", reasons(refused))?;
        let reviews = [
            ("judged_bad", &tls.reviews.invalid),
            ("accepted", &tls.reviews.accepted),
            ("remembered", &tls.reviews.cached),
            ("refused", &tls.reviews.refused),
            ("unreachable", &tls.reviews.unreachable),
            ("too_many", &tls.reviews.too_many),
        ];
        let reviews = reviews.map(|(outcome, count)| (labels(&[("outcome", outcome)]), count.get()));
        page.counters("tokens", "Tokens of subagents, by outcome of their check.", reviews)?;
        page.counters("tls_certificate_reloads", "Certificates loaded.", one(tls.certificates.get()))?;
        page.counters(
            "tls_certificate_errors",
            "Certificates that could not be loaded.",
            one(tls.certificate_errors.get()),
        )?;
        let expires = tls.certificate_expires.load(Ordering::Relaxed);
        let expires = Some(number(expires)).filter(|expires| *expires > 0).map(|expires| (Labels::new(), expires));
        page.gauges(
            "tls_certificate_expiry_timestamp",
            "When the certificate in use expires.",
            Some(&Unit::Seconds),
            expires,
        )
    }

    fn agentx(&self, page: &mut Page<'_>) -> Result<(), fmt::Error> {
        let snapshot = *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        let Snapshot { connections, sessions, registrations, contexts, requests, outstanding, totals, .. } = snapshot;
        page.gauges("agentx_connections", "Open connections of subagents.", None, one(number(connections as u64)))?;
        page.gauges("agentx_sessions", "Open AgentX sessions.", None, one(number(sessions as u64)))?;
        page.gauges("agentx_registrations", "Registered regions.", None, one(number(registrations)))?;
        let standby = "Registrations that stand by behind others of the same region and namespace.";
        page.gauges("agentx_standing_by", standby, None, one(number(snapshot.standing_by)))?;
        let namespaces = "Namespaces with connections over TLS.";
        page.gauges("agentx_namespaces", namespaces, None, one(number(snapshot.namespaces as u64)))?;
        page.gauges("agentx_contexts", "Contexts with registrations.", None, one(number(contexts as u64)))?;
        page.gauges("requests_pending", "SNMP requests in progress.", None, one(number(requests as u64)))?;
        let unanswered = "Requests to subagents without a response yet.";
        page.gauges("agentx_outstanding", unanswered, None, one(number(outstanding as u64)))?;
        page.counters("agentx_sessions_opened", "Sessions opened.", one(totals.sessions_opened))?;
        let ended = [
            ("closed", totals.sessions_closed),
            ("disconnected", totals.sessions_disconnected),
            ("silent", totals.sessions_silent),
            ("stalled", totals.sessions_stalled),
            ("malformed", totals.sessions_malformed),
            ("expired", totals.sessions_expired),
            ("withdrawn", totals.sessions_withdrawn),
        ];
        page.counters("agentx_sessions_ended", "Sessions ended, by reason.", counted("reason", ended))?;
        let refused = [
            ("open", totals.opens_refused),
            ("denied", totals.denied_reserved + totals.denied_context + totals.denied_outside),
            ("registration", totals.registrations_refused),
            ("pdu", totals.pdus_refused),
            ("not_open", totals.not_open),
            ("notification", totals.notifications_refused),
        ];
        page.counters("agentx_refused", "PDUs and requests of subagents refused, by kind.", counted("what", refused))?;
        let denied = [
            ("reserved", totals.denied_reserved),
            ("context", totals.denied_context),
            ("outside_grant", totals.denied_outside),
        ];
        page.counters("agentx_denied", "Operations of peers denied, by reason.", counted("reason", denied))?;
        let withdrawn = "Registrations withdrawn because their grant was removed.";
        page.counters("agentx_registrations_withdrawn", withdrawn, one(totals.registrations_withdrawn))?;
        page.counters("agentx_timeouts", "Requests that subagents did not answer in time.", one(totals.timeouts))?;
        let dropped = [("wrong", totals.dropped), ("unexpected", totals.unexpected)];
        page.counters(
            "agentx_answers_dropped",
            "Responses of subagents dropped, by reason.",
            counted("reason", dropped),
        )?;
        page.counters("notifications", "Notifications accepted from subagents.", one(totals.notifications))
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
