//! The effect of a step: the Secret to write.

use k8s_openapi::api::core::v1::Secret;

use super::{
    CA_SECRET, Settings,
    issue::{self, IssueError},
    pem::Seconds,
    read::Secrets,
    state::{Step, View},
    stored::Authorities,
    write,
};

/// Returns the name and the new content of the Secret that the step changes. `None` if there is nothing to change.
pub(super) fn carry_out(
    step: Step,
    view: &View,
    secrets: &Secrets,
    now: Seconds,
    settings: &Settings,
) -> Result<Option<(&'static str, Secret)>, IssueError> {
    let Settings { ca_lifetime, certificate_lifetime, .. } = settings;
    let changed = match (step, view.authorities.clone()) {
        (Step::Begin { trusted }, _) => {
            tracing::info!(still_trusted = trusted.len(), "creating a CA");
            let signing = issue::authority(now, *ca_lifetime)?;
            Authorities { signing, next: None, previous: trusted }
        }
        (Step::CreateNext, Some(mut authorities)) => {
            tracing::info!("creating the next CA");
            authorities.next = Some(issue::authority(now, *ca_lifetime)?);
            authorities
        }
        (Step::Promote, Some(Authorities { signing, next: Some(next), mut previous })) => {
            tracing::info!("the next CA now signs certificates");
            previous.insert(0, signing.certificate);
            Authorities { signing: next, next: None, previous }
        }
        (Step::Trust { next, previous }, Some(mut authorities)) => {
            tracing::info!(
                before = authorities.previous.len(),
                now = previous.len(),
                "changing the list of trusted previous CAs"
            );
            authorities.next = authorities.next.filter(|_| next);
            authorities.previous = previous;
            authorities
        }
        (Step::Sign(server), Some(authorities)) => {
            let name = server.secret();
            tracing::info!(secret = name, "signing a certificate");
            let names = settings.names(server);
            let made = issue::served(&authorities.signing, authorities.bundle(), &names, now, *certificate_lifetime)?;
            return Ok(Some((name, write::served(server, secrets.of(server), &made))));
        }
        (Step::Publish(server), Some(authorities)) => {
            let Some(mut again) = view.served(server).cloned() else { return Ok(None) };
            again.bundle = authorities.bundle();
            return Ok(Some((server.secret(), write::served(server, secrets.of(server), &again))));
        }
        (Step::CreateNext | Step::Promote | Step::Trust { .. } | Step::Sign(_) | Step::Publish(_), _) => {
            return Ok(None);
        }
    };
    Ok(Some((CA_SECRET, write::authorities(secrets.ca.as_ref(), &changed))))
}
