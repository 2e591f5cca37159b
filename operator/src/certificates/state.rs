//! Decision of the next step, from the content of the Secrets and the time. Pure.

use super::{
    Server, Settings,
    pem::{Certificate, Seconds},
    settling::Settling,
    stored::{Authorities, BACKDATED, Served, due},
};

/// The usable content of the Secrets.
#[derive(Debug, Clone, Default)]
pub(super) struct View {
    pub(super) authorities: Option<Authorities>,
    /// The CA certificates in all published bundles. They are kept if the CA itself is lost.
    pub(super) published: Vec<Certificate>,
    /// The text of the bundle in the CA's Secret.
    pub(super) bundle: String,
    pub(super) webhook: Option<Served>,
    pub(super) master: Option<Served>,
    /// The servers whose Secrets the operator does not manage.
    pub(super) foreign: Vec<Server>,
}

impl View {
    pub(super) fn served(&self, server: Server) -> Option<&Served> {
        match server {
            Server::Webhook => self.webhook.as_ref(),
            Server::Master => self.master.as_ref(),
        }
    }

    pub(super) fn all_served(&self) -> impl Iterator<Item = &Served> {
        self.webhook.iter().chain(&self.master)
    }
}

/// A step. After each step, the Secrets are read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Create a CA that signs immediately, because there is none. The `trusted` CAs stay in the bundle.
    Begin { trusted: Vec<Certificate> },
    /// Create the next CA, which does not sign yet.
    CreateNext,
    /// Make the next CA the one that signs.
    Promote,
    /// Reduce the bundle to these `previous` CAs, and drop the next CA if `next` is false.
    Trust { next: bool, previous: Vec<Certificate> },
    /// Sign a new certificate for a server.
    Sign(Server),
    /// Write the bundle to a server's Secret.
    Publish(Server),
}

/// Returns the next step. `None` if nothing has to be done.
pub(super) fn next(view: &View, now: Seconds, settling: &Settling, settings: &Settings) -> Option<Step> {
    let is_settled =
        |certificate: &Certificate| settling.trusted_for(certificate.id()).is_some_and(|time| time >= settings.settle);
    let Some(authorities) = &view.authorities else {
        return Some(begin(view.published.iter(), now));
    };
    let Authorities { signing, next, previous } = authorities;
    let holds = |certificate: &Certificate| certificate.holds(now);
    if !holds(&signing.certificate) {
        return match next {
            Some(next) if holds(&next.certificate) => Some(Step::Promote),
            _ => Some(begin(authorities.trusted().chain(&view.published), now)),
        };
    }
    let unexpired: Vec<_> = previous.iter().filter(|certificate| certificate.not_after > now).cloned().collect();
    let next_holds = next.as_ref().is_some_and(|next| holds(&next.certificate));
    if unexpired.len() != previous.len() || next.is_some() != next_holds {
        return Some(Step::Trust { next: next_holds, previous: unexpired });
    }
    match next {
        Some(next) if is_settled(&next.certificate) => return Some(Step::Promote),
        None if now >= due(&signing.certificate, settings.ca_lifetime) => return Some(Step::CreateNext),
        _ => {}
    }
    let bundle = authorities.bundle();
    if view.bundle != bundle {
        return Some(Step::Trust { next: true, previous: previous.clone() });
    }
    let mut all_are_new = true;
    for server in Server::ALL.into_iter().filter(|server| !view.foreign.contains(server)) {
        let names = settings.names(server);
        let Some(served) = view.served(server) else { return Some(Step::Sign(server)) };
        let is_new = served.is_accepted([&signing.certificate], &names, now);
        let must = !served.is_accepted(authorities.trusted(), &names, now);
        let is_due = now >= due(&served.leaf, settings.certificate_lifetime);
        // A certificate of another CA is replaced when all clients trust the signing CA; earlier only if it expires soon.
        let should = if is_new { is_due } else { is_settled(&signing.certificate) || expires_soon(&served.leaf, now) };
        if must || should {
            return Some(Step::Sign(server));
        }
        if served.bundle != bundle {
            return Some(Step::Publish(server));
        }
        all_are_new &= is_new && settling.served_for(served.leaf.id()).is_some_and(|time| time >= settings.settle);
    }
    (all_are_new && !previous.is_empty()).then_some(Step::Trust { next: true, previous: Vec::new() })
}

/// Returns whether at most a sixth of the lifetime is left.
fn expires_soon(certificate: &Certificate, now: Seconds) -> bool {
    let life = certificate.not_after.saturating_sub(certificate.not_before).saturating_sub(BACKDATED);
    certificate.not_after.saturating_sub(now) <= life / 6
}

fn begin<'a>(published: impl Iterator<Item = &'a Certificate>, now: Seconds) -> Step {
    let mut trusted = Vec::<Certificate>::new();
    for certificate in published.filter(|certificate| certificate.not_after > now) {
        if !trusted.contains(certificate) {
            trusted.push(certificate.clone());
        }
    }
    Step::Begin { trusted }
}
