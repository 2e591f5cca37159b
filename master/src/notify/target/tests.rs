//! Tests of a target with simulated receivers and simulated time.

mod receiver;

use agentx::SubId;
use notification::{
    Severity,
    oids::{HEARTBEAT, NOTIFICATIONS_LOST, own_notification},
};
use rstest::rstest;
use serde_json::{Value as Json, json};

use self::receiver::{CommunityReceiver, Receiver, UsmReceiver};
use super::*;
use crate::notify::queue::{MAX_ENTRIES_PER_NAMESPACE, tests::event};

const HOUR: Duration = Duration::from_hours(1);
const MINUTE: Duration = Duration::from_mins(1);
const RECEIVER_ENGINE: &[u8] = b"\x80\0\0\0\x05receiver";

fn address() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 162))
}

/// Returns a target of the namespace `acme` with these changes.
fn config(changes: &Json) -> Target {
    let mut target = json!({
        "namespace": "acme", "name": "noc", "address": "192.0.2.1:162", "contexts": ["acme"], "kind": "Inform",
        "security": {"v2c": {"community": "public"}}, "timeoutMs": 1000, "retries": 2, "maxAgeMs": 86_400_000_u64,
        "rateLimit": 10_000, "maxMessageOctets": 1472, "agentEvents": true, "alarmObjects": true,
    });
    for (field, value) in changes.as_object().unwrap() {
        target[field] = value.clone();
    }
    serde_json::from_value(target).unwrap()
}

fn user(level: &str, auth: &str, privacy: &str) -> Json {
    let passphrase = "a long passphrase";
    let mut user = json!({"name": "noc"});
    if level != "NoAuthNoPriv" {
        user["auth"] = json!({"protocol": auth, "passphrase": passphrase});
    }
    if level == "AuthPriv" {
        user["priv"] = json!({"protocol": privacy, "passphrase": "another passphrase"});
    }
    json!({"v3": {"user": user, "securityLevel": level}})
}

/// A target, a receiver, and the time.
struct Simulation {
    machine: TargetMachine,
    local: Local,
    now: Instant,
    /// The number of messages sent.
    messages: usize,
}

impl Simulation {
    fn new(config: Target) -> Self {
        let now = Instant::now();
        let mut machine = TargetMachine::new(config, now);
        machine.set_link(Link::Connected(address()));
        let engine = EngineIdentity { engine_id: b"\x80\0\0\0\x05our engine".to_vec(), boots: 7 };
        let sealer = Sealer::new(7).unwrap();
        let local = Local { engine, started: now, sealer, address: None, tallies: Tallies::new() };
        Self { machine, local, now, messages: 0 }
    }

    fn offer(&mut self, events: impl IntoIterator<Item = Arc<Event>>) {
        events.into_iter().for_each(|event| self.machine.offer(&event, self.now));
    }

    /// Sends what is due now. Without a receiver, nothing is answered.
    fn step(&mut self, receiver: &mut Option<&mut dyn Receiver>) {
        let mut steps = 0;
        while let Some(output) = self.machine.poll(&mut self.local, self.now) {
            steps += 1;
            assert!(steps < 100_000, "the target does not come to rest");
            match output {
                Output::Derive(user, engine_id) => {
                    let keys = Keys::derive_for(&user, &engine_id).unwrap();
                    self.machine.derived(&engine_id, keys.map(Arc::new));
                }
                Output::Send(message) => {
                    self.messages += 1;
                    self.machine.sent(&message, self.now);
                    if let Some(answer) = receiver.as_mut().and_then(|to| to.receive(&message.datagram, self.now)) {
                        self.machine.received(&answer, self.now);
                    }
                }
            }
        }
    }

    /// Lets this much time pass.
    fn run(&mut self, time: Duration, mut receiver: Option<&mut dyn Receiver>) {
        let end = self.now + time;
        loop {
            self.step(&mut receiver);
            match self.machine.deadline(self.now) {
                Some(deadline) if deadline <= end => {
                    assert!(deadline > self.now, "the target wants to be polled again at once");
                    self.now = deadline;
                }
                _ => break,
            }
        }
        self.now = end;
    }

    fn readiness(&self) -> Readiness {
        self.machine.status(self.now).readiness
    }
}

#[test]
fn informs_of_an_hour_arrive_in_order_when_the_receiver_is_back() {
    for security in [json!({"v2c": {"community": "public"}}), user("AuthPriv", "SHA-256", "AES-128")] {
        let config = config(&json!({"security": security}));
        let mut receiver: Box<dyn Receiver> = match &config.security {
            TargetSecurity::V3 { user, .. } => Box::new(UsmReceiver::new(user, RECEIVER_ENGINE, 3)),
            _ => Box::new(CommunityReceiver::default()),
        };
        let mut simulation = Simulation::new(config);
        for sequence in 0..60 {
            simulation.offer([event("acme", sequence, sequence.into())]);
            simulation.run(MINUTE, None);
        }
        assert_eq!(simulation.readiness(), Readiness::NoAnswer);
        assert!((60..300).contains(&simulation.messages), "{} messages in an hour", simulation.messages);
        simulation.run(2 * MINUTE, Some(&mut *receiver));
        assert_eq!(receiver.sequences(), (0..60).collect::<Vec<_>>());
        assert_eq!(simulation.readiness(), Readiness::Acknowledged);
        let status = simulation.machine.status(simulation.now);
        assert_eq!((status.queued, status.delivered, status.lost, status.complete), (0, 60, 0, true));
    }
}

#[rstest]
#[case("NoAuthNoPriv", "MD5", "DES")]
#[case("AuthNoPriv", "MD5", "DES")]
#[case("AuthNoPriv", "SHA-1", "DES")]
#[case("AuthNoPriv", "SHA-512", "DES")]
#[case("AuthPriv", "MD5", "DES")]
#[case("AuthPriv", "SHA-1", "AES-128")]
#[case("AuthPriv", "SHA-224", "AES-192")]
#[case("AuthPriv", "SHA-256", "AES-256")]
#[case("AuthPriv", "SHA-384", "AES-192-C")]
#[case("AuthPriv", "SHA-512", "AES-256-C")]
fn all_protocols_carry_traps_and_informs(#[case] level: &str, #[case] auth: &str, #[case] privacy: &str) {
    for kind in ["Trap", "Inform"] {
        let config = config(&json!({"kind": kind, "security": user(level, auth, privacy)}));
        let TargetSecurity::V3 { user, .. } = &config.security else { panic!("not SNMPv3") };
        let mut simulation = Simulation::new(config.clone());
        let mut receiver = match kind {
            // The authority of a trap is its sender.
            "Trap" => UsmReceiver::new(user, &simulation.local.engine.engine_id, 7),
            _ => UsmReceiver::new(user, RECEIVER_ENGINE, 3),
        };
        simulation.offer((0..20).map(|sequence| event("acme", sequence, sequence.into())));
        simulation.run(MINUTE, Some(&mut receiver));
        assert_eq!(receiver.sequences(), (0..20).collect::<Vec<_>>(), "{kind}");
        assert_eq!(receiver.contexts().last().map(Vec::as_slice), Some(&b"acme"[..]));
        assert_eq!(simulation.machine.counts().retried, 0, "nothing is sent twice");
    }
}

#[rstest]
#[case::with_new_boots(RECEIVER_ENGINE, 4)]
#[case::with_a_new_engine_id(b"\x80\0\0\0\x05another", 1)]
#[case::with_lost_boots(RECEIVER_ENGINE, 1)]
fn a_receiver_that_restarts_gets_every_inform(#[case] engine_id: &[u8], #[case] boots: u32) {
    let config = config(&json!({"security": user("AuthPriv", "SHA-256", "AES-128")}));
    let TargetSecurity::V3 { user, .. } = &config.security else { panic!("not SNMPv3") };
    let mut before = UsmReceiver::new(user, RECEIVER_ENGINE, 3);
    let mut after = UsmReceiver::new(user, engine_id, boots);
    let mut simulation = Simulation::new(config.clone());
    simulation.offer((0..5).map(|sequence| event("acme", sequence, sequence.into())));
    simulation.run(2 * HOUR, Some(&mut before));
    after.start(simulation.now);
    simulation.offer((5..20).map(|sequence| event("acme", sequence, sequence.into())));
    simulation.run(5 * MINUTE, Some(&mut after));
    assert_eq!((before.sequences(), after.sequences()), ((0..5).collect(), (5..20).collect()));
    assert_eq!(simulation.readiness(), Readiness::Acknowledged);
}

#[test]
fn a_wrong_passphrase_is_reported_and_nothing_is_lost() {
    let config = config(&json!({"security": user("AuthPriv", "SHA-256", "AES-128")}));
    let TargetSecurity::V3 { user, .. } = &config.security else { panic!("not SNMPv3") };
    let mut stranger = user.clone();
    stranger.name = "stranger".to_owned();
    let mut wrong_auth = user.clone();
    wrong_auth.auth.as_mut().unwrap().passphrase = master_config::Secret::new("a wrong passphrase");
    let mut wrong_privacy = user.clone();
    wrong_privacy.privacy.as_mut().unwrap().passphrase = master_config::Secret::new("a wrong passphrase");
    let cases = [(stranger, "know the user"), (wrong_auth, "authentication"), (wrong_privacy, "privacy")];
    for (known, message) in cases {
        let mut simulation = Simulation::new(config.clone());
        let mut receiver = UsmReceiver::new(&known, RECEIVER_ENGINE, 3);
        simulation.offer((0..20).map(|sequence| event("acme", sequence, sequence.into())));
        simulation.run(10 * MINUTE, Some(&mut receiver));
        let status = simulation.machine.status(simulation.now);
        assert_eq!(status.readiness, Readiness::AuthenticationFailed);
        assert!(status.message.contains(message), "{}", status.message);
        assert!(simulation.messages < 100, "{} messages", simulation.messages);
        assert_eq!((status.queued, receiver.sequences().len()), (20, 0));
        let mut mended = UsmReceiver::new(user, RECEIVER_ENGINE, 4);
        simulation.run(5 * MINUTE, Some(&mut mended));
        assert_eq!(mended.sequences(), (0..20).collect::<Vec<_>>());
        assert_eq!(simulation.readiness(), Readiness::Acknowledged);
    }
}

#[test]
fn a_window_of_informs_is_open_and_one_of_each_alarm() {
    let mut simulation = Simulation::new(config(&json!({})));
    simulation.offer((0..20).map(|alarm| event("acme", alarm, 1)));
    simulation.step(&mut None);
    assert_eq!(simulation.messages, 8);
    // Two notifications about one alarm: the second waits for the first, and what follows stays behind it.
    let mut simulation = Simulation::new(config(&json!({})));
    simulation.offer([event("acme", 1, 1), event("acme", 1, 2), event("acme", 2, 3)]);
    simulation.step(&mut None);
    assert_eq!(simulation.messages, 1);
    let mut receiver = CommunityReceiver::default();
    simulation.run(MINUTE, Some(&mut receiver));
    assert_eq!(receiver.sequences(), [1, 2, 3]);
}

#[test]
fn an_inform_keeps_its_request_id_over_retries_and_masters() {
    let ids = || {
        let mut simulation = Simulation::new(config(&json!({})));
        let mut receiver = CommunityReceiver { is_silent: true, ..CommunityReceiver::default() };
        simulation.offer([event("acme", 1, 1)]);
        simulation.run(MINUTE, Some(&mut receiver));
        assert!(receiver.request_ids.len() > 3 && receiver.request_ids.iter().all(|id| *id >= 0));
        receiver.request_ids
    };
    let (mut one, other) = (ids(), ids());
    assert_eq!(one, other);
    one.dedup();
    assert_eq!(one.len(), 1);
}

#[rstest]
#[case::own_namespace("Namespace", json!(["acme"]), Some("acme"), "acme", true)]
#[case::another_namespace_in_a_shared_context("Namespace", json!(["acme"]), Some("globex"), "acme", false)]
#[case::another_context("Namespace", json!(["acme"]), Some("acme"), "", false)]
#[case::one_of_several_contexts("Namespace", json!(["acme", ""]), Some("acme"), "", true)]
#[case::no_namespace("Namespace", json!(["acme"]), None, "acme", false)]
#[case::cluster_with_all_contexts("Cluster", json!([]), Some("globex"), "any", true)]
#[case::cluster_without_a_namespace("Cluster", json!([]), None, "any", true)]
#[case::cluster_with_a_context("Cluster", json!(["acme"]), Some("globex"), "acme", true)]
#[case::cluster_with_another_context("Cluster", json!(["acme"]), Some("globex"), "any", false)]
fn a_target_hears_what_its_scope_allows(
    #[case] scope: &str,
    #[case] contexts: Json,
    #[case] namespace: Option<&str>,
    #[case] context: &str,
    #[case] hears: bool,
) {
    let machine = TargetMachine::new(config(&json!({"scope": scope, "contexts": contexts})), Instant::now());
    let event = Event {
        namespace: namespace.map(Arc::from),
        context: Arc::from(context.as_bytes()),
        ..Event::clone(&event("acme", 1, 1))
    };
    assert_eq!(machine.hears(&event), hears);
}

#[test]
fn a_minimum_severity_decides_and_events_without_one_pass() {
    let machine = TargetMachine::new(config(&json!({"minSeverity": "Major"})), Instant::now());
    let heard = |severity| machine.hears(&Event { severity, ..Event::clone(&event("acme", 1, 1)) });
    assert!(heard(Some(Severity::Critical)) && heard(Some(Severity::Major)) && heard(Some(Severity::Indeterminate)));
    assert!(!heard(Some(Severity::Minor)) && heard(None));
}

#[rstest]
#[case(json!({"v1": {"community": "public"}}))]
#[case(json!({"v2c": {"community": "public"}}))]
fn traps_are_paced(#[case] security: Json) {
    let config = config(&json!({"kind": "Trap", "rateLimit": 10, "security": security}));
    let mut simulation = Simulation::new(config);
    simulation.offer((0..35).map(|sequence| event("acme", sequence, sequence.into())));
    let mut receiver = CommunityReceiver::default();
    simulation.step(&mut Some(&mut receiver));
    assert_eq!(simulation.messages, 10);
    simulation.run(Duration::from_secs(1), Some(&mut receiver));
    assert!((19..=20).contains(&simulation.messages), "{}", simulation.messages);
    simulation.run(Duration::from_secs(2), Some(&mut receiver));
    assert_eq!((simulation.messages, simulation.readiness()), (35, Readiness::SentUnconfirmed));
}

/// Returns how many notifications of a kind of the product were received.
fn own(receiver: &CommunityReceiver, arc: SubId) -> usize {
    receiver.oids.iter().filter(|oid| **oid == own_notification(arc)).count()
}

#[test]
fn lost_notifications_are_told_when_the_receiver_is_back() {
    let mut simulation = Simulation::new(config(&json!({})));
    let many = u32::try_from(MAX_ENTRIES_PER_NAMESPACE).unwrap() + 5;
    simulation.offer((0..many).map(|sequence| event("acme", 1, sequence)));
    simulation.run(MINUTE, None);
    let status = simulation.machine.status(simulation.now);
    assert_eq!((status.lost, status.complete), (5, false));
    let mut receiver = CommunityReceiver::default();
    simulation.run(2 * MINUTE, Some(&mut receiver));
    assert_eq!(own(&receiver, NOTIFICATIONS_LOST), 1);
    let status = simulation.machine.status(simulation.now);
    assert_eq!((status.lost, status.complete, status.queued), (5, true, 0));
    assert_eq!(simulation.machine.counts().superseded, 5);
}

#[test]
fn old_notifications_expire_and_are_counted() {
    let mut simulation = Simulation::new(config(&json!({"maxAgeMs": 60_000})));
    simulation.offer([event("acme", 1, 1), event("acme", 2, 2)]);
    simulation.run(2 * MINUTE, None);
    let status = simulation.machine.status(simulation.now);
    assert_eq!((status.queued, status.lost, simulation.machine.counts().expired), (0, 2, 2));
}

#[test]
fn only_the_newest_heartbeat_waits() {
    let mut simulation = Simulation::new(config(&json!({"heartbeatIntervalMs": 10_000})));
    simulation.run(HOUR, None);
    let status = simulation.machine.status(simulation.now);
    assert_eq!((status.queued, status.lost), (1, 0));
    let mut receiver = CommunityReceiver::default();
    simulation.run(2 * MINUTE, Some(&mut receiver));
    assert!((7..=13).contains(&own(&receiver, HEARTBEAT)), "{}", own(&receiver, HEARTBEAT));
}

#[test]
fn a_target_that_changes_keeps_its_queue() {
    let mut simulation = Simulation::new(config(&json!({})));
    simulation.offer((0..20).map(|sequence| event("acme", sequence, sequence.into())));
    simulation.run(MINUTE, None);
    let changed = config(&json!({"security": user("AuthNoPriv", "SHA-256", "")}));
    let TargetSecurity::V3 { user, .. } = &changed.security else { panic!("not SNMPv3") };
    let mut receiver = UsmReceiver::new(user, RECEIVER_ENGINE, 3);
    simulation.machine.reconfigure(changed.clone(), simulation.now);
    simulation.run(Duration::from_secs(1), Some(&mut receiver));
    assert_eq!(receiver.sequences(), (0..20).collect::<Vec<_>>());
}

#[test]
fn a_refused_port_is_shown_until_messages_arrive_again() {
    let mut simulation = Simulation::new(config(&json!({"kind": "Trap"})));
    let mut receiver = CommunityReceiver::default();
    simulation.offer([event("acme", 1, 1)]);
    simulation.step(&mut Some(&mut receiver));
    simulation.machine.refused(simulation.now);
    simulation.run(MINUTE, Some(&mut receiver));
    assert_eq!(simulation.readiness(), Readiness::PortUnreachable);
    simulation.offer([event("acme", 2, 2)]);
    simulation.step(&mut Some(&mut receiver));
    assert_eq!(simulation.readiness(), Readiness::PortUnreachable, "it may be refused again");
    simulation.run(MINUTE, Some(&mut receiver));
    assert_eq!(simulation.readiness(), Readiness::SentUnconfirmed);
}

#[test]
fn nothing_is_sent_without_a_connection() {
    let mut simulation = Simulation::new(config(&json!({})));
    simulation.machine.set_link(Link::Failed(Readiness::AddressNotAllowed, "the address is not allowed".to_owned()));
    simulation.offer([event("acme", 1, 1)]);
    simulation.run(HOUR, None);
    assert_eq!((simulation.messages, simulation.readiness()), (0, Readiness::AddressNotAllowed));
    let mut receiver = CommunityReceiver::default();
    simulation.machine.set_link(Link::Connected(address()));
    simulation.run(MINUTE, Some(&mut receiver));
    assert_eq!(receiver.sequences(), [1]);
}
