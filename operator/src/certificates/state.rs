//! What is to be done next, as a function of what there is and the time. Pure.

use super::{
    Server, Settings,
    pem::{Certificate, Seconds},
    settling::Settling,
    stored::{Authorities, BACKDATED, Served, due},
};

/// What the Secrets hold, as far as that can be used.
#[derive(Debug, Clone, Default)]
pub(super) struct View {
    pub(super) authorities: Option<Authorities>,
    /// Certificates of CAs that were published, wherever they were found: kept where the CA itself is lost.
    pub(super) published: Vec<Certificate>,
    /// The text of the bundle as it stands in the CA's Secret.
    pub(super) bundle: String,
    pub(super) webhook: Option<Served>,
    pub(super) master: Option<Served>,
    /// Servers whose Secrets are not ours to write.
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

/// One step. After each the Secrets are read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Make a CA that signs at once, because there is none; these are trusted further.
    Begin { trusted: Vec<Certificate> },
    /// Make a CA that will sign.
    MakeNext,
    /// Let the next CA sign.
    Promote,
    /// Trust these alone of the CAs before, and a next one only if it can sign.
    Trust { next: bool, previous: Vec<Certificate> },
    /// Sign a server's certificate.
    Sign(Server),
    /// Put the bundle beside a server's certificate.
    Publish(Server),
}

/// The next step; `None` when all is as it should be.
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
        None if now >= due(&signing.certificate, settings.ca_lifetime) => return Some(Step::MakeNext),
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
        // What another CA signed is replaced when everyone trusts this one; sooner only where it could end before that.
        let may = if is_new { is_due } else { is_settled(&signing.certificate) || is_ending(&served.leaf, now) };
        if must || may {
            return Some(Step::Sign(server));
        }
        if served.bundle != bundle {
            return Some(Step::Publish(server));
        }
        all_are_new &= is_new && settling.served_for(served.leaf.id()).is_some_and(|time| time >= settings.settle);
    }
    (all_are_new && !previous.is_empty()).then_some(Step::Trust { next: true, previous: Vec::new() })
}

/// A sixth of its life is left, or less.
fn is_ending(certificate: &Certificate, now: Seconds) -> bool {
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
