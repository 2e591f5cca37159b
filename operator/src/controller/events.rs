//! Events, on their way to the API server one after the other: they are for people, and must hold up nothing.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::sync::mpsc;

use super::writer::Writer;
use crate::{conditions::Note, index::OPERATOR, metrics::Metrics};

/// How many may wait.
const QUEUE: usize = 1024;

/// Takes what is to be told.
#[derive(Debug, Clone)]
pub struct Events {
    sender: mpsc::Sender<(Note, ObjectReference)>,
    metrics: Metrics,
}

/// Publishes what was taken.
pub struct Publisher {
    receiver: mpsc::Receiver<(Note, ObjectReference)>,
    recorder: Recorder,
    writer: Writer,
}

/// Both ends.
#[must_use]
pub fn channel(client: Client, identity: &str, writer: Writer, metrics: Metrics) -> (Events, Publisher) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    (Events { sender, metrics }, Publisher { receiver, recorder: recorder(client, identity), writer })
}

/// Publishes Events of this replica.
#[must_use]
pub fn recorder(client: Client, identity: &str) -> Recorder {
    let reporter = Reporter { controller: OPERATOR.to_owned(), instance: Some(identity.to_owned()) };
    Recorder::new(client, reporter)
}

impl Events {
    /// Tells, if there is room.
    pub fn tell(&self, note: Note, about: ObjectReference) {
        if self.sender.try_send((note, about)).is_err() {
            self.metrics.event_dropped();
        }
    }
}

impl Publisher {
    /// Publishes for as long as someone may tell.
    pub async fn run(mut self) {
        while let Some((Note { condition, warning, reason, message }, about)) = self.receiver.recv().await {
            let event = Event {
                type_: if warning { EventType::Warning } else { EventType::Normal },
                reason,
                note: Some(message),
                action: condition,
                secondary: None,
            };
            if let Err(error) = self.writer.request("Event", "create", self.recorder.publish(&event, &about)).await {
                tracing::warn!(%error, object = about.name, reason = event.reason, "an event cannot be published");
            }
        }
    }
}
