//! What a step comes to: one Secret, to be written in place of what was read.

use k8s_openapi::api::core::v1::Secret;

use super::{
    CA_SECRET, Settings,
    maker::{self, MakeError},
    pem::Seconds,
    read::Secrets,
    state::{Step, View},
    stored::Authorities,
    write,
};

/// The Secret of that name as the step leaves it; `None` where there is nothing to do after all.
pub(super) fn carry_out(
    step: Step,
    view: &View,
    secrets: &Secrets,
    now: Seconds,
    settings: &Settings,
) -> Result<Option<(&'static str, Secret)>, MakeError> {
    let Settings { ca_lifetime, certificate_lifetime, .. } = settings;
    let changed = match (step, view.authorities.clone()) {
        (Step::Begin { trusted }, _) => {
            tracing::info!(trusted_further = trusted.len(), "making a CA");
            let signing = maker::authority(now, *ca_lifetime)?;
            Authorities { signing, next: None, previous: trusted }
        }
        (Step::MakeNext, Some(mut authorities)) => {
            tracing::info!("making the CA that will take the place of the one that signs");
            authorities.next = Some(maker::authority(now, *ca_lifetime)?);
            authorities
        }
        (Step::Promote, Some(Authorities { signing, next: Some(next), mut previous })) => {
            tracing::info!("the next CA signs from now on");
            previous.insert(0, signing.certificate);
            Authorities { signing: next, next: None, previous }
        }
        (Step::Trust { next, previous }, Some(mut authorities)) => {
            tracing::info!(before = authorities.previous.len(), now = previous.len(), "earlier CAs that are trusted");
            authorities.next = authorities.next.filter(|_| next);
            authorities.previous = previous;
            authorities
        }
        (Step::Sign(server), Some(authorities)) => {
            let name = server.secret();
            tracing::info!(secret = name, "signing a certificate");
            let names = settings.names(server);
            let made = maker::served(&authorities.signing, authorities.bundle(), &names, now, *certificate_lifetime)?;
            return Ok(Some((name, write::served(server, secrets.of(server), &made))));
        }
        (Step::Publish(server), Some(authorities)) => {
            let Some(mut again) = view.served(server).cloned() else { return Ok(None) };
            again.bundle = authorities.bundle();
            return Ok(Some((server.secret(), write::served(server, secrets.of(server), &again))));
        }
        (Step::MakeNext | Step::Promote | Step::Trust { .. } | Step::Sign(_) | Step::Publish(_), _) => return Ok(None),
    };
    Ok(Some((CA_SECRET, write::authorities(secrets.ca.as_ref(), &changed))))
}
