//! URLs of masters: `unix:/path`, `tcp://host:port` and `tls://host:port`.

use std::{fmt, net::Ipv6Addr, path::PathBuf, str::FromStr};

/// AgentX's TCP port (RFC 2741 section 8.1.1).
const TCP_PORT: u16 = 705;
/// The default port of snmp-master's TLS listener.
const TLS_PORT: u16 = 7705;

/// The URL of a master.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum MasterUrl {
    /// The absolute path of a Unix stream socket.
    Unix(PathBuf),
    /// TCP.
    Tcp {
        /// A host name or IP address; IPv6 without brackets.
        host: String,
        /// The port; 705 by default.
        port: u16,
    },
    /// TLS with a token: the listener of snmp-master.
    Tls {
        /// The host name or IP address that the master's certificate must be valid for; IPv6 without brackets.
        host: String,
        /// The port; 7705 by default.
        port: u16,
    },
}

/// Why a text is not the URL of a master.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MasterUrlError {
    /// Another scheme.
    #[error("{0:?} is not the URL of a master, such as unix:/path, tcp://host:705 or tls://host:7705")]
    Scheme(String),
    /// A Unix socket without an absolute path.
    #[error("{0:?} needs an absolute path: unix:/var/agentx/master")]
    Path(String),
    /// No host, or a host with invalid characters.
    #[error("{0:?} has no host name or IP address: tcp://host:705, tls://host:7705, tcp://[::1]:705")]
    Host(String),
    /// An invalid port.
    #[error("{0:?} has a port that is not a number from 1 to 65535")]
    Port(String),
}

impl FromStr for MasterUrl {
    type Err = MasterUrlError;

    fn from_str(url: &str) -> Result<Self, MasterUrlError> {
        if let Some(path) = url.strip_prefix("unix:") {
            // Other programs write `unix:///path`.
            let path = path.strip_prefix("//").unwrap_or(path);
            if !path.starts_with('/') {
                return Err(MasterUrlError::Path(url.to_owned()));
            }
            return Ok(Self::Unix(path.into()));
        }
        let (authority, is_tls) = match (url.strip_prefix("tcp://"), url.strip_prefix("tls://")) {
            (Some(authority), _) => (authority, false),
            (None, Some(authority)) => (authority, true),
            (None, None) => return Err(MasterUrlError::Scheme(url.to_owned())),
        };
        let (host, port) = split(authority).ok_or_else(|| MasterUrlError::Host(url.to_owned()))?;
        let port = match port.map(str::parse) {
            None if is_tls => TLS_PORT,
            None => TCP_PORT,
            Some(Ok(port)) if port > 0 => port,
            Some(_) => return Err(MasterUrlError::Port(url.to_owned())),
        };
        let host = host.to_owned();
        Ok(if is_tls { Self::Tls { host, port } } else { Self::Tcp { host, port } })
    }
}

/// Splits `host`, `host:port`, `[v6]` or `[v6]:port` into the host and the text of the port, if any.
fn split(authority: &str) -> Option<(&str, Option<&str>)> {
    if let Some(bracketed) = authority.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']')?;
        host.parse::<Ipv6Addr>().ok()?;
        return if rest.is_empty() { Some((host, None)) } else { Some((host, Some(rest.strip_prefix(':')?))) };
    }
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.' || b == b'_';
    (!host.is_empty() && host.len() <= 253 && host.bytes().all(is_name)).then_some((host, port))
}

impl fmt::Display for MasterUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp { host, port } => write!(f, "tcp://{}", Authority { host, port: *port }),
            Self::Tls { host, port } => write!(f, "tls://{}", Authority { host, port: *port }),
        }
    }
}

/// A host and a port in the form of a URL's authority.
pub(super) struct Authority<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
}

impl fmt::Display for Authority<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn tcp(host: &str, port: u16) -> MasterUrl {
        MasterUrl::Tcp { host: host.to_owned(), port }
    }

    fn tls(host: &str, port: u16) -> MasterUrl {
        MasterUrl::Tls { host: host.to_owned(), port }
    }

    #[rstest]
    #[case("unix:/var/agentx/master", MasterUrl::Unix("/var/agentx/master".into()))]
    #[case("unix:///var/agentx/master", MasterUrl::Unix("/var/agentx/master".into()))]
    #[case("tcp://master.snmp.svc:7050", tcp("master.snmp.svc", 7050))]
    #[case("tcp://127.0.0.1", tcp("127.0.0.1", 705))]
    #[case("tcp://[::1]:705", tcp("::1", 705))]
    #[case("tcp://[fd00::5]", tcp("fd00::5", 705))]
    #[case("tls://snmp-master-agentx.snmp-system.svc", tls("snmp-master-agentx.snmp-system.svc", 7705))]
    #[case("tls://[::1]:705", tls("::1", 705))]
    fn url_is_parsed_and_displayed(#[case] text: &str, #[case] url: MasterUrl) {
        assert_eq!(text.parse(), Ok(url.clone()));
        assert_eq!(url.to_string().parse(), Ok(url));
    }

    #[rstest]
    #[case("", "is not the URL of a master")]
    #[case("localhost:705", "is not the URL of a master")]
    #[case("http://localhost", "is not the URL of a master")]
    #[case("unix:", "absolute path")]
    #[case("unix:run/master", "absolute path")]
    #[case("tcp://", "no host")]
    #[case("tcp://:705", "no host")]
    #[case("tcp://a b:705", "no host")]
    #[case("tcp://[zz]:705", "no host")]
    #[case("tcp://host:0", "not a number")]
    #[case("tcp://host:65536", "not a number")]
    #[case("tcp://host:", "not a number")]
    #[case("tcp://::1", "no host")]
    #[case("tcp://[::1]705", "no host")]
    #[case("tls://", "no host")]
    #[case("tls://host:0", "not a number")]
    fn invalid_url_is_named_in_the_error(#[case] text: &str, #[case] why: &str) {
        let error = text.parse::<MasterUrl>().unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        assert!(error.contains(&format!("{text:?}")), "{error}");
    }
}
