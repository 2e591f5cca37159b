//! Connections that follow one another at one address, so that none outlives its token and there is no gap.

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
    link::{Ended, Link, stopped},
    renewal::{Renewal, Step, takes_over},
    status::LinkStatus,
    tls::{Connection, TlsError, TlsMaster},
    token::Token,
};
use crate::session::{End, Jitter};

/// While two connections stand, the clock is asked this often whether the old one's token ends.
const CHECK: Duration = Duration::from_secs(1);

/// A connection's end, and when its session had been opened.
type Outcome = (Ended, Option<Instant>);

/// A connection that is served.
struct Conversation {
    outcome: Pin<Box<dyn Future<Output = Outcome> + Send>>,
    /// Dropped, it closes the session.
    stop: watch::Sender<()>,
    status: LinkStatus,
    token: Token,
    renewal: Renewal,
}

/// What became of two connections, of which one was to take the place of the other.
enum Handover {
    /// The new one has all that the old one had, or has what it can have when the old one's token ends.
    Ready,
    /// The old one ended by itself.
    OldEnded,
    /// The new one did.
    NewEnded(Ended),
}

impl Link {
    /// Serves a connection, and those that take its place before its token ends, until one ends without another.
    pub(super) async fn relay(&mut self, master: &TlsMaster, address: SocketAddr, first: Connection) -> Ended {
        let mut stop = self.stop.clone();
        let mut current = self.begin(first, self.status.clone());
        // The one before, until the master has answered its Close.
        let mut closing: Option<Conversation> = None;
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
                    self.note_unrenewed(&ended);
                }
                Handover::Ready | Handover::OldEnded => {
                    info!(master = %self.address, "a connection with a newer token has taken over");
                    self.master.replace(&self.address.to_string(), &next.status);
                    self.status = next.status.clone();
                    let mut old = std::mem::replace(&mut current, next);
                    if matches!(handover, Handover::Ready) {
                        // To drop what it had is what tells it to close.
                        old.stop = watch::channel(()).0;
                        closing = Some(old);
                    }
                }
            }
        }
    }

    /// Begins to serve a connection.
    fn begin(&mut self, connection: Connection, status: LinkStatus) -> Conversation {
        let Connection { mut stream, early, token } = connection;
        let (stop, stopped) = watch::channel(());
        let mut link = Self {
            address: self.address.clone(),
            description: Arc::clone(&self.description),
            exports: self.exports.clone(),
            desk: self.desk.clone(),
            stop: stopped,
            master: self.master.clone(),
            status: status.clone(),
            jitter: Jitter::new(self.jitter.number()),
            opened: None,
            tls: None,
        };
        let renewal = Renewal::new(token.life(), Jitter::new(self.jitter.number()));
        let outcome = Box::pin(async move {
            let ended = link.converse(&mut stream, &early).await;
            // TLS has a word for the end as well. Nobody waits for it.
            poll_fn(|cx| {
                _ = Pin::new(&mut stream).poll_shutdown(cx);
                Poll::Ready(())
            })
            .await;
            (ended, link.opened)
        });
        Conversation { outcome, stop, status, token, renewal }
    }

    /// Waits until another token is due and there, and brings a connection with it.
    async fn successor(
        &self,
        master: &TlsMaster,
        address: SocketAddr,
        used: &Token,
        renewal: &mut Renewal,
    ) -> Connection {
        loop {
            match renewal.step(SystemTime::now()) {
                Step::Never => std::future::pending().await,
                Step::Wait(wait) => sleep(wait).await,
                Step::Look => {
                    let brought = async {
                        let token = master.token().await?;
                        if token == *used {
                            return Ok(None);
                        }
                        master.connect_with(address, token).await.map(Some)
                    };
                    match brought.await {
                        Ok(Some(connection)) => return connection,
                        Ok(None) => debug!(master = %self.address, "the token's file has no newer one yet"),
                        Err(error) => {
                            if !matches!(error, TlsError::File { .. }) {
                                self.status.counters().failed_connects.one();
                            }
                            self.note_unrenewed(&error);
                        }
                    }
                }
            }
        }
    }

    /// Notes why there is no connection with a newer token; what goes on being so is logged once.
    fn note_unrenewed(&self, error: &(dyn std::error::Error + Send + Sync)) {
        let text = format!("no connection with a newer token: {error}");
        if self.status.last_error().as_ref() == Some(&text) {
            debug!(master = %self.address, "still {text}");
        } else {
            warn!(master = %self.address, "{text}");
        }
        self.status.set_last_error(text);
    }
}

/// Serves both until it is clear which of them goes on.
async fn hand_over(old: &mut Conversation, new: &mut Conversation) -> Handover {
    loop {
        let is_over = old.renewal.is_over(SystemTime::now());
        let takes_over = new.status.read(|new, state| {
            // Near the end of its token the old one has nothing to lose.
            old.status.read(|old, _| takes_over(if is_over { &[] } else { old }, state, new))
        });
        if takes_over {
            return Handover::Ready;
        }
        tokio::select! {
            biased;
            _ = &mut old.outcome => return Handover::OldEnded,
            (ended, _) = &mut new.outcome => return Handover::NewEnded(ended),
            () = new.status.changed() => {}
            () = sleep(CHECK) => {}
        }
    }
}

async fn closed(closing: &mut Option<Conversation>) {
    match closing {
        Some(conversation) => _ = (&mut conversation.outcome).await,
        None => std::future::pending().await,
    }
}

/// Closes both.
async fn close(one: Conversation, other: Option<Conversation>) -> Ended {
    let end = async |conversation: Conversation| {
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
