//! The replacement of a connection before its token expires, without a gap.

use std::{
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::{Duration, SystemTime},
};

use tokio::{
    io::AsyncWrite as _,
    sync::watch,
    time::{Instant, sleep},
};
use tracing::{debug, info, warn};

use super::{
    jitter::Jitter,
    link::{Ended, Link, stopped},
    renewal::{Renewal, RenewalStep, takes_over},
    session::End,
    status::LinkStatus,
    tls::{Connection, TlsError, TlsMaster},
    token::Token,
};

/// During a handover, the interval at which the expiry of the old connection's token is checked.
const EXPIRY_CHECK: Duration = Duration::from_secs(1);

/// Why a connection ended, and when its session was opened.
type Outcome = (Ended, Option<Instant>);

/// A connection and the future that serves it.
struct ServedConnection {
    outcome: Pin<Box<dyn Future<Output = Outcome> + Send>>,
    /// Dropping it closes the session.
    stop: watch::Sender<()>,
    status: LinkStatus,
    token: Token,
    renewal: Renewal,
}

/// The outcome of a handover from one connection to the next.
enum Handover {
    /// The new connection has all registrations of the old one, or the old one's token is about to expire.
    Ready,
    /// The old connection ended by itself.
    OldEnded,
    /// The new connection ended by itself.
    NewEnded(Ended),
}

impl Link {
    /// Serves a connection and its successors, each of which takes over before the previous token expires. Returns when a
    /// connection ends without a successor.
    pub(super) async fn relay(&mut self, master: &TlsMaster, address: SocketAddr, first: Connection) -> Ended {
        let mut stop = self.stop.clone();
        let mut current = self.begin(first, self.status.clone());
        // The previous connection, until the master has responded to its Close.
        let mut closing: Option<ServedConnection> = None;
        loop {
            let successor = tokio::select! {
                biased;
                () = stopped(&mut stop) => return close(current, closing).await,
                (ended, opened) = &mut current.outcome => {
                    self.opened = opened;
                    return ended;
                }
                () = closed(&mut closing) => {
                    closing = None;
                    continue;
                }
                successor = self.successor(master, address, &current.token, &mut current.renewal) => successor,
            };
            drop(closing.take());
            let mut next = self.begin(successor, self.status.successor());
            let handover = tokio::select! {
                biased;
                () = stopped(&mut stop) => return close(current, Some(next)).await,
                handover = hand_over(&mut current, &mut next) => handover,
            };
            match handover {
                Handover::NewEnded(ended) => {
                    self.status.counters().failed_connects.one();
                    self.record_renewal_error(&ended);
                }
                Handover::Ready | Handover::OldEnded => {
                    info!(master = %self.address, "a connection with a newer token took over");
                    self.master.replace(&self.address.to_string(), &next.status);
                    self.status = next.status.clone();
                    let mut old = std::mem::replace(&mut current, next);
                    if matches!(handover, Handover::Ready) {
                        // Dropping the sender closes the session.
                        old.stop = watch::channel(()).0;
                        closing = Some(old);
                    }
                }
            }
        }
    }

    /// Starts serving a connection.
    fn begin(&mut self, connection: Connection, status: LinkStatus) -> ServedConnection {
        let Connection { mut stream, early, token } = connection;
        let (stop, stopped) = watch::channel(());
        let mut link = Self {
            address: self.address.clone(),
            description: Arc::clone(&self.description),
            exports: self.exports.clone(),
            sets: self.sets.clone(),
            stop: stopped,
            master: self.master.clone(),
            status: status.clone(),
            jitter: Jitter::new(self.jitter.number()),
            opened: None,
            tls: None,
        };
        let renewal = Renewal::new(token.lifetime(), Jitter::new(self.jitter.number()));
        let outcome = Box::pin(async move {
            let ended = link.serve(&mut stream, &early).await;
            // Sends TLS's close_notify if that is possible without waiting.
            poll_fn(|cx| {
                _ = Pin::new(&mut stream).poll_shutdown(cx);
                Poll::Ready(())
            })
            .await;
            (ended, link.opened)
        });
        ServedConnection { outcome, stop, status, token, renewal }
    }

    /// Waits until a newer token is due and available, and connects with it.
    async fn successor(
        &self,
        master: &TlsMaster,
        address: SocketAddr,
        used: &Token,
        renewal: &mut Renewal,
    ) -> Connection {
        loop {
            match renewal.step(SystemTime::now()) {
                RenewalStep::Never => std::future::pending().await,
                RenewalStep::Wait(wait) => sleep(wait).await,
                RenewalStep::Check => {
                    let connecting = async {
                        let token = master.token().await?;
                        if token == *used {
                            return Ok(None);
                        }
                        master.connect_with(address, token).await.map(Some)
                    };
                    match connecting.await {
                        Ok(Some(connection)) => return connection,
                        Ok(None) => debug!(master = %self.address, "the token file has no newer token yet"),
                        Err(error) => {
                            if !matches!(error, TlsError::File { .. }) {
                                self.status.counters().failed_connects.one();
                            }
                            self.record_renewal_error(&error);
                        }
                    }
                }
            }
        }
    }

    /// Records why there is no connection with a newer token. A repeated error is logged once.
    fn record_renewal_error(&self, error: &(dyn std::error::Error + Send + Sync)) {
        let text = format!("failed to connect with a newer token: {error}");
        if self.status.last_error().as_ref() == Some(&text) {
            debug!(master = %self.address, "{text}");
        } else {
            warn!(master = %self.address, "{text}; trying again until the current token expires");
        }
        self.status.set_last_error(text);
    }
}

/// Serves both connections until it is clear which one continues.
async fn hand_over(old: &mut ServedConnection, new: &mut ServedConnection) -> Handover {
    loop {
        let is_expiring = old.renewal.is_expiring(SystemTime::now());
        let takes_over = new.status.read(|new, state| {
            // Shortly before its token expires, the old connection has nothing to lose.
            old.status.read(|old, _| takes_over(if is_expiring { &[] } else { old }, state, new))
        });
        if takes_over {
            return Handover::Ready;
        }
        tokio::select! {
            biased;
            _ = &mut old.outcome => return Handover::OldEnded,
            (ended, _) = &mut new.outcome => return Handover::NewEnded(ended),
            () = new.status.changed() => {}
            () = sleep(EXPIRY_CHECK) => {}
        }
    }
}

async fn closed(closing: &mut Option<ServedConnection>) {
    match closing {
        Some(conversation) => _ = (&mut conversation.outcome).await,
        None => std::future::pending().await,
    }
}

/// Closes both connections.
async fn close(one: ServedConnection, other: Option<ServedConnection>) -> Ended {
    let end = async |conversation: ServedConnection| {
        drop(conversation.stop);
        conversation.outcome.await;
    };
    let other = async {
        if let Some(other) = other {
            end(other).await;
        }
    };
    tokio::join!(end(one), other);
    End::Shutdown.into()
}
