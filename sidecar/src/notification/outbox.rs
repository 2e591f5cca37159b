//! The outbox: what the sessions send to the masters.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use agentx::{Oid, VarBind};
use notification::AlarmId;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};

use super::{rules::Rules, transition::Transition};
use crate::{config::SubtreeName, state::StateDirectory};

/// The sequence of the last notification about each alarm that a master has acknowledged, by alarm id.
pub(crate) type Acknowledged = BTreeMap<String, u32>;

/// The transitions of all subtrees. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Outbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<OutboxState>,
    /// Locked for moments only, as the sessions wait for it.
    masters: Mutex<BTreeMap<String, Master>>,
    published: watch::Sender<Arc<Transitions>>,
    sent: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    acknowledged: Notify,
}

#[derive(Debug, Default)]
struct OutboxState {
    last_number: u64,
    subtrees: BTreeMap<SubtreeName, SubtreeEntries>,
}

#[derive(Debug, Default)]
struct SubtreeEntries {
    raised: usize,
    served: Vec<Served>,
    entries: BTreeMap<(AlarmId, u32), Arc<Entry>>,
}

/// What is remembered of a master that does not remember alarms itself.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
struct Master {
    acknowledged: Acknowledged,
    /// Whether a session sends to it. Only one of several may.
    #[serde(skip)]
    is_taken: bool,
}

/// Everything that a session sends, in the order of the transitions.
#[derive(Debug, Default)]
pub(crate) struct Transitions {
    pub(crate) entries: Vec<Arc<Entry>>,
    pub(crate) served: Vec<Served>,
}

/// A subtree in a context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Served {
    pub(crate) context: String,
    pub(crate) base: Oid,
    /// The raised alarms and the sequence of the last notification about each.
    pub(crate) raised: BTreeMap<AlarmId, u32>,
}

/// A notification in a context.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Increases from notification to notification.
    pub(crate) number: u64,
    pub(crate) context: String,
    pub(crate) base: Oid,
    pub(crate) id: AlarmId,
    pub(crate) sequence: u32,
    pub(crate) varbinds: Vec<VarBind>,
    /// Whether a master has it, or needs it no more.
    is_delivered: AtomicBool,
}

/// The permission to send to a master that does not remember alarms. Dropping it lets another session send.
#[derive(Debug)]
pub(crate) struct Sender {
    outbox: Outbox,
    url: String,
}

impl Entry {
    /// Records that a master has acknowledged it, or needs it no more.
    pub(crate) fn mark_delivered(&self) {
        self.is_delivered.store(true, Ordering::Relaxed);
    }
}

impl Outbox {
    /// Creates an empty outbox. It knows what masters acknowledged before the restart.
    pub(crate) fn new(state: &StateDirectory) -> Self {
        Self(Arc::new(Inner {
            state: Mutex::default(),
            masters: Mutex::new(state.load_acknowledged()),
            published: watch::Sender::new(Arc::default()),
            sent: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            acknowledged: Notify::new(),
        }))
    }

    /// Returns an outbox without transitions.
    #[cfg(test)]
    pub(crate) fn inactive() -> Self {
        Self::new(&StateDirectory::new(None))
    }

    /// Returns a receiver of the latest transitions, for a session.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Transitions>> {
        self.0.published.subscribe()
    }

    /// Returns the number of alarms that subtrees other than `name` have raised.
    pub(crate) fn raised_by_others(&self, name: &SubtreeName) -> usize {
        self.lock().subtrees.iter().filter(|(other, _)| *other != name).map(|(_, subtree)| subtree.raised).sum()
    }

    /// Publishes the raised alarms and the latest transitions of a subtree.
    pub(crate) fn publish(&self, name: &SubtreeName, contexts: &[String], base: &Oid, resource: &str, rules: &Rules) {
        let mut state = self.lock();
        let state = &mut *state;
        let subtree = state.subtrees.entry(name.clone()).or_default();
        let before = std::mem::take(&mut subtree.entries);
        let mut transitions: Vec<&Transition> = rules.log().collect();
        let in_log: std::collections::BTreeSet<_> = transitions.iter().map(|t| (t.id(""), t.sequence)).collect();
        // Alarms that were raised before the log begins are older than everything in it.
        let older = rules.raised().filter(|raised| !in_log.contains(&(raised.id(""), raised.sequence)));
        transitions.splice(..0, older);
        let mut served = Vec::with_capacity(contexts.len());
        for context in contexts {
            let raised = rules.raised().map(|raised| (raised.id(context), raised.sequence)).collect();
            served.push(Served { context: context.clone(), base: base.clone(), raised });
        }
        for transition in transitions {
            for context in contexts {
                let key = (transition.id(context), transition.sequence);
                let known = before.get(&key).filter(|known| known.base == *base && known.context == *context);
                let entry = known.cloned().unwrap_or_else(|| {
                    state.last_number += 1;
                    Arc::new(Entry {
                        number: state.last_number,
                        context: context.clone(),
                        base: base.clone(),
                        id: key.0,
                        sequence: key.1,
                        varbinds: transition.notification(context, resource).varbinds(),
                        is_delivered: AtomicBool::new(false),
                    })
                });
                subtree.entries.insert(key, entry);
            }
        }
        let lost = before
            .iter()
            .filter(|(key, entry)| !subtree.entries.contains_key(key) && !entry.is_delivered.load(Ordering::Relaxed));
        self.0.dropped.fetch_add(lost.count() as u64, Ordering::Relaxed);
        for (id, _) in before.keys().filter(|key| !subtree.entries.contains_key(key)) {
            if !subtree.entries.keys().any(|(known, _)| known == id) {
                let id = id.to_string();
                self.masters().values_mut().for_each(|master| _ = master.acknowledged.remove(&id));
            }
        }
        subtree.raised = rules.status().raised;
        subtree.served = served;
        self.send(state);
    }

    /// Removes a subtree.
    pub(crate) fn withdraw(&self, name: &SubtreeName) {
        let mut state = self.lock();
        if state.subtrees.remove(name).is_some() {
            self.send(&state);
        }
    }

    fn send(&self, state: &OutboxState) {
        let entries = || state.subtrees.values().flat_map(|subtree| subtree.entries.values().cloned());
        let mut transitions = Transitions {
            entries: entries().collect(),
            served: state.subtrees.values().flat_map(|subtree| subtree.served.iter().cloned()).collect(),
        };
        transitions.entries.sort_by_key(|entry| entry.number);
        self.0.published.send_replace(Arc::new(transitions));
    }

    /// Lets the caller send to the master at `url`, unless another session does. Also returns what the master has
    /// acknowledged.
    pub(crate) fn sender(&self, url: &str) -> Option<(Sender, Acknowledged)> {
        let mut masters = self.masters();
        let master = masters.entry(url.to_owned()).or_default();
        if std::mem::replace(&mut master.is_taken, true) {
            return None;
        }
        Some((Sender { outbox: self.clone(), url: url.to_owned() }, master.acknowledged.clone()))
    }

    /// Counts a notification that a master has acknowledged.
    pub(crate) fn count_sent(&self) {
        self.0.sent.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a notification that a master has refused for good.
    pub(crate) fn count_failed(&self) {
        self.0.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of notifications by outcome. Each session counts.
    pub(crate) fn counts(&self) -> [(&'static str, u64); 3] {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [("sent", read(&self.0.sent)), ("failed", read(&self.0.failed)), ("dropped", read(&self.0.dropped))]
    }

    /// Returns the number of transitions that no master has acknowledged yet.
    pub(crate) fn waiting(&self) -> usize {
        let published = self.0.published.borrow();
        published.entries.iter().filter(|entry| !entry.is_delivered.load(Ordering::Relaxed)).count()
    }

    /// Saves what masters acknowledge. Never returns.
    pub(crate) async fn save_acknowledged(self, directory: StateDirectory) {
        loop {
            self.0.acknowledged.notified().await;
            let saved = serde_json::to_value(&*self.masters()).unwrap_or_default();
            directory.save_acknowledged(&saved).await;
        }
    }

    fn masters(&self) -> MutexGuard<'_, BTreeMap<String, Master>> {
        self.0.masters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, OutboxState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sender {
    /// Records that the master has acknowledged a notification.
    pub(crate) fn acknowledge(&self, entry: &Entry) {
        if let Some(master) = self.outbox.masters().get_mut(&self.url) {
            let last = master.acknowledged.entry(entry.id.to_string()).or_default();
            *last = entry.sequence.max(*last);
        }
        self.outbox.0.acknowledged.notify_one();
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        if let Some(master) = self.outbox.masters().get_mut(&self.url) {
            master.is_taken = false;
        }
        // Another session of the master may send now.
        self.outbox.0.published.send_modify(|_| {});
    }
}

#[cfg(test)]
impl Entry {
    /// Returns an entry for tests of sessions.
    pub(crate) fn new(number: u64, context: &str, base: &Oid, sequence: u32, varbinds: Vec<VarBind>) -> Self {
        let id = AlarmId([1; 8]);
        let (context, base, is_delivered) = (context.to_owned(), base.clone(), AtomicBool::new(false));
        Self { number, context, base, id, sequence, varbinds, is_delivered }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant, SystemTime};

    use agentx::ValueRef;
    use serde_json::json;

    use super::*;
    use crate::{
        notification::{Now, SavedAlarms},
        view::MibView,
    };

    const BASE: &str = "1.3.6.1.4.1.64500.1";

    fn name() -> SubtreeName {
        SubtreeName { namespace: "acme".to_owned(), name: "a".to_owned() }
    }

    /// Evaluates a rule on these values, one after the other, and publishes after each.
    fn publish(outbox: &Outbox, values: &[i32]) {
        let document = json!({
            "version": 1, "namespace": "acme", "name": "a", "oid": BASE, "contexts": ["", "x"],
            "sources": [{"name": "host", "intervalMs": 1000, "timeoutMs": 1000, "staleAfterMs": 5000, "system": {}}],
            "scalars": [{"name": "load", "oid": "1", "syntax": "Integer32", "value": {"source": "host", "metric": "load"}}],
            "notifications": [{
                "name": "high", "oid": format!("{BASE}.0.1"),
                "when": {"object": "load", "test": {"above": {"threshold": 90}}},
                "clear": {"name": "low", "oid": format!("{BASE}.0.2")},
            }],
        });
        let document = sidecar_config::parse(document.to_string().as_bytes()).unwrap();
        let wall = SystemTime::UNIX_EPOCH + Duration::from_hours(500_000);
        let now = Now { instant: Instant::now(), wall };
        let mut rules = Rules::new(&document, SavedAlarms::default(), now);
        for value in values {
            let mut view = MibView::new(document.oid.clone(), vec!["1".parse().unwrap()]);
            view.push(&[1], &[0], ValueRef::Integer(*value)).unwrap();
            rules.evaluate(&view, |_, _| true, 0, now);
            outbox.publish(&name(), &document.contexts, &document.oid, "acme/a/web-0", &rules);
        }
    }

    #[test]
    fn a_transition_is_one_entry_in_each_context_and_keeps_its_number() {
        let outbox = Outbox::inactive();
        let receiver = outbox.subscribe();
        publish(&outbox, &[95]);
        let first = Arc::clone(&receiver.borrow());
        let of = |transitions: &Transitions| -> Vec<(u64, String)> {
            transitions.entries.iter().map(|entry| (entry.number, entry.context.clone())).collect()
        };
        assert_eq!(of(&first), [(1, String::new()), (2, "x".to_owned())]);
        assert!(first.served.iter().all(|served| served.raised.len() == 1));
        publish(&outbox, &[95, 95, 10]);
        let later = Arc::clone(&receiver.borrow());
        assert_eq!(of(&later).get(..2), Some(&of(&first)[..]));
        assert_eq!((later.entries.len(), outbox.waiting()), (4, 4));
        assert!(later.served.iter().all(|served| served.raised.is_empty()));
        later.entries.iter().for_each(|entry| entry.mark_delivered());
        outbox.withdraw(&name());
        assert_eq!((receiver.borrow().entries.len(), outbox.waiting()), (0, 0));
    }

    #[test]
    fn only_one_session_sends_to_a_master_that_forwards() {
        let outbox = Outbox::inactive();
        let first = outbox.sender("unix:/a").unwrap();
        assert!(outbox.sender("unix:/a").is_none());
        assert!(outbox.sender("unix:/b").is_some());
        drop(first);
        assert!(outbox.sender("unix:/a").is_some());
    }

    #[tokio::test]
    async fn what_a_master_has_acknowledged_survives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let directory = StateDirectory::new(Some(dir.path().to_owned()));
        let outbox = Outbox::new(&directory);
        publish(&outbox, &[95]);
        let entry = Arc::clone(&outbox.subscribe().borrow().entries[0]);
        let (sender, before) = outbox.sender("unix:/a").unwrap();
        assert!(before.is_empty());
        sender.acknowledge(&entry);
        let saving = tokio::spawn(outbox.clone().save_acknowledged(directory.clone()));
        let after = async {
            loop {
                let (_, acknowledged) = Outbox::new(&directory).sender("unix:/a").unwrap();
                if !acknowledged.is_empty() {
                    return acknowledged;
                }
                tokio::task::yield_now().await;
            }
        };
        let after = tokio::time::timeout(Duration::from_secs(30), after).await.unwrap();
        assert_eq!(after, Acknowledged::from([(entry.id.to_string(), entry.sequence)]));
        saving.abort();
    }
}
