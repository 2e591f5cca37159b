//! Rules for sources and their endpoints.

use std::collections::HashSet;

use super::{Checks, is_dns_subdomain};
use crate::{Authorization, ConfigMap, Endpoint, Port, Prometheus, Scheme, Source, SourceKind, System, Tls};

/// Maximum number of sources of a subtree.
pub const MAX_SOURCES: usize = 16;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// The highest limit for bodies, in octets.
pub(super) const MAX_BODY: u64 = 1 << 30;
/// The highest limit for samples.
pub(super) const MAX_SAMPLES: u64 = 10_000_000;

impl Checks<'_> {
    pub(super) fn sources(&mut self, sources: &[Source]) {
        self.count("sources", sources.len(), 0, MAX_SOURCES);
        let mut seen = HashSet::new();
        for (i, source) in sources.iter().enumerate() {
            let path = format!("sources[{i}]");
            self.text(&format!("{path}.name"), &source.name, 63);
            self.unique(&mut seen, &format!("{path}.name"), source.name.as_str());
            self.times(&path, source);
            match &source.kind {
                SourceKind::Prometheus(prometheus) => self.prometheus(&format!("{path}.prometheus"), prometheus),
                SourceKind::Json(json) => self.json(&format!("{path}.json"), json),
                SourceKind::Sql(sql) => self.sql(&format!("{path}.sql"), sql),
                SourceKind::System(System {}) => {}
                SourceKind::ConfigMap(config_map) => self.config_map(&format!("{path}.configMap"), config_map),
            }
        }
    }

    fn times(&mut self, path: &str, source: &Source) {
        let Source { interval_ms, timeout_ms, stale_after_ms, .. } = *source;
        self.between(&format!("{path}.intervalMs"), interval_ms, DAY_MS);
        self.between(&format!("{path}.timeoutMs"), timeout_ms, DAY_MS);
        let holds = timeout_ms <= interval_ms;
        self.refuse_unless(holds, format!("{path}.timeoutMs"), "is longer than the interval");
        self.between(&format!("{path}.staleAfterMs"), stale_after_ms, 30 * DAY_MS);
        let holds = stale_after_ms >= interval_ms;
        self.refuse_unless(
            holds,
            format!("{path}.staleAfterMs"),
            "is shorter than the interval, so values would disappear between scrapes",
        );
    }

    pub(super) fn between(&mut self, path: &str, value: u64, max: u64) {
        self.refuse_unless((1..=max).contains(&value), path, format!("{value} is not between 1 and {max}"));
    }

    fn prometheus(&mut self, path: &str, prometheus: &Prometheus) {
        self.endpoint(path, &prometheus.endpoint);
        self.between(&format!("{path}.bodySizeLimit"), prometheus.body_size_limit, MAX_BODY);
        self.between(&format!("{path}.sampleLimit"), prometheus.sample_limit, MAX_SAMPLES);
    }

    fn config_map(&mut self, path: &str, config_map: &ConfigMap) {
        self.refuse_unless(is_dns_subdomain(&config_map.name), format!("{path}.name"), "is not a valid ConfigMap name");
        for (key, file) in &config_map.keys {
            self.refuse_unless(
                is_data_key(key),
                format!("{path}.keys"),
                format!("{key:?} is not a valid ConfigMap key"),
            );
            self.file(&format!("{path}.keys.{key}"), file);
        }
    }

    pub(super) fn endpoint(&mut self, path: &str, endpoint: &Endpoint) {
        self.refuse_unless(is_host(&endpoint.host), format!("{path}.host"), "is neither a host name nor an IP address");
        let holds = match &endpoint.port {
            Port::Number(number) => *number != 0,
            Port::Name(name) => is_port_name(name),
        };
        self.refuse_unless(
            holds,
            format!("{path}.port"),
            "is neither a port number from 1 to 65535 nor the name of a container port",
        );
        let visible = endpoint.path.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
        let holds = endpoint.path.starts_with('/') && visible && endpoint.path.len() <= 2048;
        self.refuse_unless(
            holds,
            format!("{path}.path"),
            "is not a valid path, for example /metrics; only visible ASCII without # is allowed",
        );
        let authorization = format!("{path}.authorization");
        match &endpoint.authorization {
            Some(Authorization::Bearer { credentials_file }) => {
                self.file(&format!("{authorization}.bearer.credentialsFile"), credentials_file);
            }
            Some(Authorization::Basic { username_file, password_file }) => {
                self.file(&format!("{authorization}.basic.usernameFile"), username_file);
                self.file(&format!("{authorization}.basic.passwordFile"), password_file);
            }
            None => {}
        }
        if let Some(tls) = &endpoint.tls {
            let holds = endpoint.scheme == Scheme::Https;
            self.refuse_unless(holds, format!("{path}.tls"), "is only allowed with the scheme https");
            self.tls(&format!("{path}.tls"), tls);
        }
    }

    pub(super) fn tls(&mut self, path: &str, tls: &Tls) {
        let files = [("caFile", &tls.ca_file), ("certFile", &tls.cert_file), ("keyFile", &tls.key_file)];
        for (field, file) in files {
            if let Some(file) = file {
                self.file(&format!("{path}.{field}"), file);
            }
        }
        let holds = tls.cert_file.is_some() == tls.key_file.is_some();
        self.refuse_unless(holds, path, "a client certificate and its key must be set together");
        if let Some(name) = &tls.server_name {
            self.refuse_unless(is_host(name), format!("{path}.serverName"), "is neither a host name nor an IP address");
        }
    }

    /// Checks the name of a file in the configuration folder. It is a key of a Secret or ConfigMap, never a path.
    pub(super) fn file(&mut self, path: &str, name: &str) {
        self.refuse_unless(
            is_data_key(name),
            path,
            "is not a valid file name; only letters, digits, - _ and . are allowed",
        );
    }
}

/// Returns whether this is a valid key of a Secret or ConfigMap, which is also the name of its file.
pub(super) fn is_data_key(key: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    !key.is_empty() && key.len() <= 253 && key != "." && !key.starts_with("..") && key.bytes().all(inner)
}

/// Returns whether this can be the host of a URL: a DNS name, an IPv4 address, or an IPv6 address with or without brackets.
fn is_host(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    bare.unwrap_or(host).parse::<std::net::Ipv6Addr>().is_ok()
        || (!host.is_empty() && host.len() <= 253 && host.bytes().all(name) && !host.starts_with(['.', '-']))
}

/// Returns whether this is a valid name of a container port (IANA_SVC_NAME in Kubernetes).
fn is_port_name(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=15).contains(&name.len())
        && name.bytes().all(inner)
        && name.bytes().any(|b| b.is_ascii_lowercase())
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--")
}
