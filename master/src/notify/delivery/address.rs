//! The addresses of targets: names and their lookups, and the networks that they must be in.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use hickory_resolver::TokioResolver;
use master_config::{Target, TargetScope};
use tokio::sync::OnceCell;

use super::AllowedTargets;
use crate::notify::status::Readiness;

/// Interval of lookups of a target that answers.
const REFRESH: Duration = Duration::from_mins(5);
/// Interval of lookups of a target that does not answer, and of attempts to connect.
const RETRY: Duration = Duration::from_secs(15);

/// Resolves host names by `/etc/hosts` and the name servers of `/etc/resolv.conf`.
#[derive(Clone, Default)]
pub(super) struct Resolver(Arc<OnceCell<TokioResolver>>);

/// The addresses of a target's host.
#[derive(Debug)]
pub(super) struct Lookup {
    host: Host,
    port: u16,
    state: State,
}

#[derive(Debug)]
enum Host {
    Ip(IpAddr),
    Name(String),
}

#[derive(Debug)]
enum State {
    /// It is known, or was looked up, at this time.
    At(Instant, Result<Vec<IpAddr>, String>),
    /// It is being looked up. These are the addresses until then.
    Running(Vec<IpAddr>),
    /// It has to be looked up, or connected again, at this time.
    Due(Instant, Vec<IpAddr>),
}

impl Resolver {
    /// Returns the addresses of a host, at least one.
    pub(super) async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        let build = async || TokioResolver::builder_tokio()?.build();
        let resolver = self.0.get_or_try_init(build).await.map_err(|error| error.to_string())?;
        let addresses: Vec<_> = resolver.lookup_ip(host).await.map_err(|error| error.to_string())?.iter().collect();
        if addresses.is_empty() { Err("the name has no address".to_owned()) } else { Ok(addresses) }
    }
}

impl Lookup {
    /// Reads a host and a port, which the document has checked.
    pub(super) fn new(address: &str, now: Instant) -> Self {
        let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let port = port.parse().unwrap_or(162);
        match bare.parse() {
            Ok(ip) => Self { host: Host::Ip(ip), port, state: State::At(now, Ok(vec![ip])) },
            Err(_) => Self { host: Host::Name(bare.to_owned()), port, state: State::Due(now, Vec::new()) },
        }
    }

    /// Returns when to look the name up, or to connect again. `is_down` is whether the target does not answer.
    pub(super) fn due(&self, is_down: bool) -> Option<Instant> {
        match (&self.host, &self.state) {
            (_, State::Running(_)) | (Host::Ip(_), State::At(..)) => None,
            (Host::Name(_), State::At(at, Ok(_))) => Some(*at + if is_down { RETRY } else { REFRESH }),
            (Host::Name(_), State::At(at, Err(_))) => Some(*at + RETRY),
            (_, State::Due(at, _)) => Some(*at),
        }
    }

    /// Starts a lookup, and returns the name. Returns `None` if there is nothing to look up: connect then.
    pub(super) fn start(&mut self) -> Option<&str> {
        let known = match &mut self.state {
            State::At(_, Ok(known)) | State::Running(known) | State::Due(_, known) => std::mem::take(known),
            State::At(_, Err(_)) => Vec::new(),
        };
        match &self.host {
            Host::Ip(ip) => {
                self.state = State::At(Instant::now(), Ok(vec![*ip]));
                None
            }
            Host::Name(name) => {
                self.state = State::Running(known);
                Some(name)
            }
        }
    }

    /// Takes the result of a lookup. After a failure, the addresses that are known stay in use.
    pub(super) fn resolved(&mut self, resolved: Result<Vec<IpAddr>, String>, now: Instant) {
        let known = match &mut self.state {
            State::Running(known) => std::mem::take(known),
            // The address of the target has changed meanwhile.
            State::At(..) | State::Due(..) => return,
        };
        self.state = match resolved {
            Err(_) if !known.is_empty() => State::At(now, Ok(known)),
            resolved => State::At(now, resolved),
        };
    }

    /// Makes the target connect again after a while.
    pub(super) fn retry(&mut self, now: Instant) {
        let known = match &mut self.state {
            State::At(_, Ok(known)) | State::Due(_, known) => std::mem::take(known),
            State::At(_, Err(_)) => Vec::new(),
            State::Running(_) => return,
        };
        self.state = State::Due(now + RETRY, known);
    }

    /// Returns the first address that the target may have. Returns `None` if none is known yet.
    ///
    /// # Errors
    /// Returns why the target cannot be connected.
    pub(super) fn choose(
        &self,
        target: &Target,
        allowed: &AllowedTargets,
    ) -> Option<Result<SocketAddr, (Readiness, String)>> {
        let addresses = match &self.state {
            State::At(_, Err(error)) => return Some(Err((Readiness::NameNotResolved, error.clone()))),
            State::At(_, Ok(addresses)) => addresses,
            State::Running(_) | State::Due(..) => return None,
        };
        let may_be = |ip: &&IpAddr| match target.scope {
            TargetScope::Cluster => true,
            TargetScope::Namespace => {
                let networks = |context: &String| allowed.get(context).map(Vec::as_slice).unwrap_or_default();
                !target.contexts.is_empty()
                    && target.contexts.iter().all(|context| networks(context).iter().any(|net| net.contains(*ip)))
            }
        };
        Some(match (addresses.iter().find(may_be), addresses.first()) {
            (Some(ip), _) => Ok(SocketAddr::new(*ip, self.port)),
            (None, first) => {
                let first = first.map(ToString::to_string).unwrap_or_default();
                Err((Readiness::AddressNotAllowed, format!("{first} is outside of these networks")))
            }
        })
    }
}
