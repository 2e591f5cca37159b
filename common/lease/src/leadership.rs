//! The leadership of this replica.

use tokio::{sync::watch, time::Instant};

/// A time during which this replica leads without a break. Another replica may lead between two terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// The number of the term, counted by this replica from 1.
    pub number: u64,
    /// When the term ends unless the Lease is renewed; `None` if it lasts until another holder is seen.
    pub until: Option<Instant>,
}

impl Term {
    fn is_current(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() < until)
    }
}

/// Whether this replica leads at the moment. Clones share the state.
#[derive(Debug, Clone)]
pub struct Leadership(pub(crate) watch::Receiver<Option<Term>>);

impl Leadership {
    /// Returns whether this replica leads at this moment.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.0.borrow().is_some_and(|term| term.is_current())
    }

    /// Waits until this replica starts to lead, renews its term or stops leading. Cancel safe.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            // The candidate has ended, so the leadership does not change any more.
            std::future::pending::<()>().await;
        }
    }

    /// Returns the current term, as it changes.
    #[must_use]
    pub fn term(&self) -> watch::Receiver<Option<Term>> {
        self.0.clone()
    }

    /// Returns whether this replica leads, as it changes. Needs a Tokio runtime.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<bool> {
        let mut leadership = self.clone();
        let (sender, receiver) = watch::channel(leadership.holds());
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = sender.closed() => return,
                    () = leadership.changed() => {}
                }
                let holds = leadership.holds();
                sender.send_if_modified(|before| std::mem::replace(before, holds) != holds);
            }
        });
        receiver
    }

    /// Returns a leadership that never ends, for tests of what only a leader does.
    #[must_use]
    pub fn always() -> Self {
        Self(watch::channel(Some(Term { number: 1, until: None })).1)
    }
}
