//! Publication of Events, one after the other and in the background. Events are only for users, so they delay nothing else.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::sync::mpsc;

use super::writer::Writer;
use crate::{conditions::EventNote, index::OPERATOR, metrics::Metrics};

/// The maximum number of queued Events.
const QUEUE: usize = 1024;

/// The queue of Events.
#[derive(Debug, Clone)]
pub(crate) struct Events {
    sender: mpsc::Sender<(EventNote, ObjectReference)>,
    metrics: Metrics,
}

/// The task that publishes queued Events.
pub(crate) struct Publisher {
    receiver: mpsc::Receiver<(EventNote, ObjectReference)>,
    recorder: Recorder,
    writer: Writer,
}

/// Returns the queue and its publisher.
#[must_use]
pub(crate) fn channel(client: Client, identity: &str, writer: Writer, metrics: Metrics) -> (Events, Publisher) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    (Events { sender, metrics }, Publisher { receiver, recorder: recorder(client, identity), writer })
}

/// Returns a recorder of Events of this replica.
#[must_use]
pub(crate) fn recorder(client: Client, identity: &str) -> Recorder {
    let reporter = Reporter { controller: OPERATOR.to_owned(), instance: Some(identity.to_owned()) };
    Recorder::new(client, reporter)
}

impl Events {
    /// Queues an Event, or drops it if the queue is full.
    pub(crate) fn record(&self, note: EventNote, about: ObjectReference) {
        if self.sender.try_send((note, about)).is_err() {
            self.metrics.event_dropped();
        }
    }
}

impl Publisher {
    /// Publishes Events until the queue is closed.
    pub(crate) async fn run(mut self) {
        while let Some((EventNote { condition, warning, reason, message }, about)) = self.receiver.recv().await {
            let event = Event {
                type_: if warning { EventType::Warning } else { EventType::Normal },
                reason,
                note: Some(message),
                action: condition,
                secondary: None,
            };
            if let Err(error) = self.writer.request("Event", "create", self.recorder.publish(&event, &about)).await {
                tracing::warn!(%error, object = about.name, reason = event.reason, "failed to publish an Event");
            }
        }
    }
}
