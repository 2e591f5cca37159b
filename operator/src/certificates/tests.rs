//! A simulation of two years of rotations, with real keys and Secrets in memory. Clients and servers use any bundle or
//! certificate that was current within the settling time, and every client must accept every server.

use std::collections::{BTreeMap, VecDeque};

use k8s_openapi::{ByteString, api::core::v1::Secret};
use proptest::{collection, prelude::*};
use rustls::pki_types::CertificateDer;

use super::{
    carry_out::carry_out,
    pem::{Certificate, Seconds, accepts},
    read::{self, BUNDLE, CRT, KEY, MANAGED_BY, NEXT_CRT, NEXT_KEY, Secrets},
    settling::Settling,
    state::{self, Step},
    stored::{Authorities, BACKDATED},
    *,
};

const START: Seconds = 1_700_000_000;
const HOUR: Seconds = 3600;
const DAY: Seconds = 24 * HOUR;

/// The history of a written value. A program can use an old value until the next one has settled.
#[derive(Default)]
struct History<T>(VecDeque<(Seconds, T)>);

impl<T: Clone + PartialEq> History<T> {
    fn write(&mut self, now: Seconds, value: T) {
        if self.0.back().is_none_or(|(_, last)| *last != value) {
            self.0.push_back((now, value));
        }
    }

    /// Returns all values that a program can use now, if it reads new ones within `settle`.
    fn read(&mut self, now: Seconds, settle: Seconds) -> Vec<T> {
        while self.0.get(1).is_some_and(|(since, _)| since + settle <= now) {
            self.0.pop_front();
        }
        self.0.iter().map(|(_, value)| value.clone()).collect()
    }
}

/// A simulated cluster: its Secrets, the state of the operator, and the history of bundles and certificates.
struct Simulation {
    settings: Settings,
    secrets: Secrets,
    settling: Settling,
    now: Seconds,
    /// The monotonic time.
    uptime: Seconds,
    bundles: History<Vec<Certificate>>,
    served: BTreeMap<Server, History<Vec<CertificateDer<'static>>>>,
    /// A cache: whether a bundle accepts a chain, and until when this holds.
    accepted: BTreeMap<(Vec<u8>, Vec<u8>), (Seconds, bool)>,
    steps: Vec<Step>,
}

impl Simulation {
    fn new(settings: Settings) -> Self {
        Self {
            settings,
            secrets: Secrets::default(),
            settling: Settling::default(),
            now: START,
            uptime: 0,
            bundles: History::default(),
            served: BTreeMap::default(),
            accepted: BTreeMap::default(),
            steps: Vec::new(),
        }
    }

    fn settle(&self) -> Seconds {
        Seconds::try_from(self.settings.settle.as_secs()).unwrap()
    }

    fn pass(&mut self, time: Seconds) {
        self.now += time;
        self.uptime += time;
    }

    /// Makes another replica the leader, which has not observed any certificate yet.
    fn take_over(&mut self) {
        self.settling = Settling::default();
    }

    /// Reconciles as the driver does. Returns the number of steps.
    fn reconcile(&mut self) -> usize {
        for taken in 0..16 {
            let (view, _) = read::view(&self.secrets);
            if let Some(authorities) = &view.authorities {
                self.bundles.write(self.now, Certificate::authorities(authorities.bundle().as_bytes()));
            }
            for server in Server::ALL {
                if let Some(served) = view.served(server) {
                    self.served.entry(server).or_default().write(self.now, served.chain.clone());
                }
            }
            let uptime = Duration::from_secs(u64::try_from(self.uptime).unwrap());
            self.settling.observe(view.authorities.as_ref(), view.all_served(), uptime);
            let Some(step) = state::next(&view, self.now, &self.settling, &self.settings) else { return taken };
            self.steps.push(step.clone());
            let written = carry_out(step, &view, &self.secrets, self.now, &self.settings).unwrap();
            if let Some((name, secret)) = written {
                match name {
                    CA_SECRET => self.secrets.ca = Some(secret),
                    WEBHOOK_SECRET => self.secrets.webhook = Some(secret),
                    _ => self.secrets.master = Some(secret),
                }
            }
        }
        panic!("there are always more steps: {:?}", self.steps);
    }

    /// Checks that every client accepts every server, with any combination of bundle and certificate that they can use.
    fn check(&mut self) -> Result<(), TestCaseError> {
        let (now, settle) = (self.now, self.settle());
        let bundles = self.bundles.read(now, settle);
        for server in Server::ALL {
            let names = self.settings.names(server);
            let chains = self.served.entry(server).or_default().read(now, settle);
            prop_assert!(!chains.is_empty() && !bundles.is_empty());
            for (bundle, chain) in bundles.iter().flat_map(|bundle| chains.iter().map(move |chain| (bundle, chain))) {
                let key = (bundle.iter().flat_map(|ca| ca.id().to_vec()).collect(), chain[0].to_vec());
                let is_cached = self.accepted.get(&key).is_some_and(|(until, _)| now < *until);
                if !is_cached {
                    let is_accepted = accepts(bundle, chain, &names, now);
                    let leaf = Certificate::read(chain[0].clone()).unwrap();
                    let ends = bundle.iter().map(|ca| ca.not_after).chain([leaf.not_after]).filter(|end| *end > now);
                    self.accepted.insert(key.clone(), (ends.min().unwrap_or(now), is_accepted));
                }
                prop_assert!(
                    self.accepted[&key].1,
                    "{server:?} is refused on day {}: {:?}",
                    (now - START) / DAY,
                    self.steps
                );
            }
        }
        Ok(())
    }

    fn count(&self, is: impl Fn(&Step) -> bool) -> usize {
        self.steps.iter().filter(|step| is(step)).count()
    }

    fn authorities(&self) -> Authorities {
        read::view(&self.secrets).0.authorities.unwrap()
    }
}

fn settings() -> Settings {
    Settings {
        mode: Mode::default(),
        namespace: "snmp-system".to_owned(),
        cluster_domain: "cluster.local".to_owned(),
        ca_lifetime: Duration::from_hours(365 * 24),
        certificate_lifetime: Duration::from_hours(90 * 24),
        settle: Duration::from_mins(10),
        webhook_names: Vec::new(),
    }
}

fn started() -> Simulation {
    let mut simulation = Simulation::new(settings());
    simulation.reconcile();
    simulation
}

#[test]
fn the_first_reconciliation_creates_a_ca_and_both_certificates() {
    let mut simulation = started();
    assert_eq!(
        simulation.steps,
        [Step::Begin { trusted: Vec::new() }, Step::Sign(Server::Webhook), Step::Sign(Server::Master)]
    );
    assert_eq!(simulation.reconcile(), 0);
    let master = simulation.secrets.master.clone().unwrap();
    assert_eq!(master.type_.as_deref(), Some("kubernetes.io/tls"));
    assert_eq!(master.metadata.labels.as_ref().unwrap()[MANAGED_BY], "snmp-operator");
    let bundle = String::from_utf8(master.data.unwrap()[BUNDLE].0.clone()).unwrap();
    assert_eq!(bundle, simulation.authorities().bundle());
    for name in ["snmp-master-agentx.snmp-system.svc", "snmp-master-0.snmp-master-agentx.snmp-system.svc.cluster.local"]
    {
        let view = read::view(&simulation.secrets).0;
        assert!(
            view.master.unwrap().is_accepted(simulation.authorities().trusted(), &[name.to_owned()], START),
            "{name}"
        );
    }
}

#[test]
fn debug_does_not_show_keys() {
    let simulation = started();
    let view = read::view(&simulation.secrets).0;
    let text = format!("{view:?}");
    let key = view.authorities.unwrap().signing.key;
    let secret = key.expose().lines().nth(1).unwrap();
    assert!(!text.contains(secret) && !text.contains("BEGIN PRIVATE"), "{text}");
}

#[test]
fn a_rotation_publishes_the_new_ca_then_signs_then_drops_the_old_ca() {
    let mut simulation = started();
    let first = simulation.authorities().signing.certificate;
    simulation.steps.clear();
    simulation.pass(244 * DAY);
    simulation.reconcile();
    assert!(simulation.steps.contains(&Step::CreateNext), "{:?}", simulation.steps);
    let authorities = simulation.authorities();
    assert_eq!(authorities.signing.certificate, first);
    let second = authorities.next.unwrap().certificate;
    simulation.steps.clear();
    simulation.pass(simulation.settle() - 1);
    assert_eq!(simulation.reconcile(), 0, "{:?}", simulation.steps);
    simulation.pass(1);
    simulation.reconcile();
    let promoted = [Step::Promote, Step::Sign(Server::Webhook), Step::Sign(Server::Master)];
    assert_eq!(simulation.steps, promoted);
    assert_eq!(simulation.authorities().trusted().cloned().collect::<Vec<_>>(), [second.clone(), first]);
    simulation.pass(simulation.settle() - 1);
    assert_eq!(simulation.reconcile(), 0, "{:?}", simulation.steps);
    simulation.pass(1);
    simulation.reconcile();
    assert_eq!(simulation.authorities().trusted().cloned().collect::<Vec<_>>(), [second]);
    assert!(!simulation.secrets.ca.unwrap().data.unwrap().contains_key(NEXT_KEY));
}

#[test]
fn a_new_leader_waits_for_the_full_settling_time() {
    let mut simulation = started();
    simulation.pass(244 * DAY);
    simulation.reconcile();
    simulation.pass(simulation.settle() - 1);
    simulation.take_over();
    simulation.reconcile();
    simulation.pass(simulation.settle() - 1);
    simulation.reconcile();
    assert_eq!(simulation.count(|step| *step == Step::Promote), 0);
    simulation.pass(1);
    simulation.reconcile();
    assert_eq!(simulation.count(|step| *step == Step::Promote), 1);
}

#[test]
fn a_certificate_is_replaced_after_two_thirds_of_its_lifetime() {
    let mut simulation = started();
    simulation.steps.clear();
    simulation.pass(60 * DAY - 1);
    assert_eq!(simulation.reconcile(), 0);
    simulation.pass(1);
    simulation.reconcile();
    assert_eq!(simulation.steps, [Step::Sign(Server::Webhook), Step::Sign(Server::Master)]);
}

#[test]
fn a_shorter_lifetime_applies_to_existing_certificates() {
    let mut simulation = started();
    simulation.pass(DAY);
    simulation.settings.certificate_lifetime = Duration::from_hours(24);
    assert_eq!(simulation.reconcile(), 2);
}

#[test]
fn a_change_of_names_needs_a_new_certificate() {
    let mut simulation = started();
    simulation.steps.clear();
    simulation.settings.webhook_names.push("127.0.0.1".to_owned());
    simulation.reconcile();
    assert_eq!(simulation.steps, [Step::Sign(Server::Webhook)]);
    assert_eq!(simulation.reconcile(), 0);
}

#[test]
fn a_lost_ca_stays_trusted_until_all_certificates_are_replaced() {
    let mut simulation = started();
    let lost = simulation.authorities().signing.certificate;
    simulation.secrets.ca = None;
    simulation.steps.clear();
    simulation.reconcile();
    let again =
        [Step::Begin { trusted: vec![lost.clone()] }, Step::Publish(Server::Webhook), Step::Publish(Server::Master)];
    assert_eq!(simulation.steps, again);
    simulation.check().unwrap();
    simulation.pass(simulation.settle());
    simulation.reconcile();
    assert_eq!(simulation.count(|step| matches!(step, Step::Sign(_))), 2);
    simulation.check().unwrap();
    simulation.pass(simulation.settle());
    simulation.reconcile();
    assert!(!simulation.authorities().trusted().any(|certificate| *certificate == lost));
    simulation.check().unwrap();
}

#[test]
fn invalid_content_is_reported_and_issued_again() {
    for key in [CRT, KEY, BUNDLE] {
        for garbage in ["", "garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            for name in [CA_SECRET, WEBHOOK_SECRET, MASTER_SECRET] {
                let mut simulation = started();
                let secret = match name {
                    CA_SECRET => &mut simulation.secrets.ca,
                    WEBHOOK_SECRET => &mut simulation.secrets.webhook,
                    _ => &mut simulation.secrets.master,
                };
                let data = secret.as_mut().unwrap().data.as_mut().unwrap();
                data.insert(key.to_owned(), ByteString(garbage.as_bytes().to_vec()));
                if key != BUNDLE {
                    assert_eq!(read::view(&simulation.secrets).1[0].secret, name);
                }
                assert!(simulation.reconcile() > 0, "{name} {key}");
                assert_eq!(simulation.reconcile(), 0);
                assert_eq!(read::view(&simulation.secrets).1, []);
            }
        }
    }
}

#[test]
fn a_key_that_does_not_match_is_reported() {
    let mut simulation = started();
    let other = started();
    let key = |simulation: &Simulation| simulation.secrets.ca.clone().unwrap().data.unwrap()[KEY].clone();
    let mixed = simulation.secrets.ca.as_mut().unwrap().data.as_mut().unwrap();
    mixed.insert(KEY.to_owned(), key(&other));
    let problems = read::view(&simulation.secrets).1;
    assert_eq!(problems[0].message, "its private key does not belong to its certificate");
}

#[test]
fn a_foreign_secret_is_not_overwritten() {
    let theirs = started().secrets.master.map(|mut secret| {
        secret.metadata.labels = None;
        secret
    });
    let mut simulation = Simulation::new(settings());
    simulation.secrets.master.clone_from(&theirs);
    simulation.reconcile();
    assert_eq!(simulation.secrets.master, theirs);
    let problems = read::view(&simulation.secrets).1;
    assert!(problems.len() == 1 && problems[0].foreign, "{problems:?}");
    let mut empty = Simulation::new(settings());
    empty.secrets.master = Some(Secret::default());
    empty.reconcile();
    assert!(empty.secrets.master.unwrap().data.unwrap().contains_key(CRT), "a Secret without content is not filled");
}

#[test]
fn annotations_and_keys_of_others_are_kept() {
    let mut simulation = started();
    let secret = simulation.secrets.webhook.as_mut().unwrap();
    secret.metadata.annotations = Some([("a".to_owned(), "b".to_owned())].into());
    secret.data.as_mut().unwrap().insert("own".to_owned(), ByteString(vec![1]));
    simulation.pass(61 * DAY);
    simulation.reconcile();
    let secret = simulation.secrets.webhook.unwrap();
    assert_eq!(secret.metadata.annotations.unwrap()["a"], "b");
    assert_eq!(secret.data.unwrap()["own"].0, [1]);
}

#[test]
fn a_jumping_clock_causes_no_endless_steps() {
    let mut simulation = started();
    for jump in [-HOUR, HOUR, 400 * DAY, -800 * DAY, 10_000 * DAY, -9_000 * DAY, -20_000 * DAY, 2_000_000 * DAY] {
        simulation.now += jump;
        simulation.reconcile();
        assert_eq!(simulation.reconcile(), 0, "{jump}");
        let view = read::view(&simulation.secrets).0;
        let (trusted, now) = (view.authorities.unwrap(), simulation.now);
        for server in Server::ALL {
            let names = simulation.settings.names(server);
            let view = read::view(&simulation.secrets).0;
            assert!(view.served(server).unwrap().is_accepted(trusted.trusted(), &names, now), "{jump} {server:?}");
        }
    }
}

#[test]
fn a_slow_clock_accepts_new_certificates() {
    let mut simulation = started();
    simulation.now -= BACKDATED;
    assert_eq!(simulation.reconcile(), 0);
    simulation.check().unwrap();
}

#[test]
fn lifetimes_too_short_for_a_rotation_are_refused() {
    assert_eq!(settings().check(), Ok(()));
    let short = Settings { ca_lifetime: Duration::from_hours(1), ..settings() };
    assert!(
        short
            .check()
            .unwrap_err()
            .to_string()
            .contains("--ca-lifetime 3600s is too short: with --certificate-settle 600s it must be at least 5400s")
    );
    let short = Settings { certificate_lifetime: Duration::from_mins(59), ..settings() };
    assert!(short.check().unwrap_err().to_string().contains("--certificate-lifetime"));
}

/// An event of the simulation.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// The operator reconciles.
    Reconcile,
    /// Another replica becomes the leader.
    TakeOver,
    /// There is no leader for this time.
    Away(Seconds),
    /// Someone deletes the CA's Secret.
    LoseAuthority,
    /// Someone deletes the bundle of the masters' Secret (true) or the webhooks' Secret (false).
    LoseBundle(bool),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => Just(Event::Reconcile),
        2 => Just(Event::TakeOver),
        2 => (1..72_i64).prop_map(|hours| Event::Away(hours * HOUR)),
        1 => Just(Event::LoseAuthority),
        1 => any::<bool>().prop_map(Event::LoseBundle),
    ]
}

/// Simulates two years. The operator reconciles often during a rotation, and rarely otherwise.
fn simulate(mut simulation: Simulation, events: &[Event]) -> Result<Simulation, TestCaseError> {
    simulation.reconcile();
    let mut events = events.iter().cycle();
    let mut repairs = 0_u32;
    while simulation.now < START + 2 * 365 * DAY {
        let event = if repairs > 0 { Event::Reconcile } else { *events.next().unwrap() };
        match event {
            Event::Reconcile => {}
            Event::TakeOver => simulation.take_over(),
            Event::Away(time) => {
                simulation.pass(time);
                simulation.take_over();
            }
            Event::LoseAuthority => simulation.secrets.ca = None,
            Event::LoseBundle(master) => {
                let secret = if master { &mut simulation.secrets.master } else { &mut simulation.secrets.webhook };
                secret.as_mut().unwrap().data.as_mut().unwrap().remove(BUNDLE);
            }
        }
        let steps = simulation.reconcile();
        simulation.check()?;
        let is_moving =
            steps > 0 || simulation.authorities().next.is_some() || !simulation.authorities().previous.is_empty();
        // If the CA and all bundles with its certificate are lost at once, clients cannot be served. So after each event,
        // a few reconciliations repair everything before the next event.
        repairs = if matches!(event, Event::Reconcile) { repairs.saturating_sub(1) } else { 4 };
        if is_moving {
            repairs = repairs.max(1);
        }
        simulation.pass(if is_moving { simulation.settle() / 3 } else { 31 * HOUR });
    }
    Ok(simulation)
}

#[test]
fn two_years_without_events_rotate_the_ca_twice() {
    let simulation = simulate(Simulation::new(settings()), &[Event::Reconcile]).unwrap();
    let promoted = simulation.count(|step| *step == Step::Promote);
    assert!((2..=3).contains(&promoted), "{promoted}");
    let signed = simulation.count(|step| matches!(step, Step::Sign(_)));
    assert!((20..40).contains(&signed), "{signed}");
    assert_eq!(simulation.authorities().trusted().count(), 1, "old CAs are still trusted");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn every_client_accepts_every_server_after_any_events(
        events in collection::vec(event(), 1..40),
        certificate_days in 14..200_u64,
        ca_days in 30..500_u64,
    ) {
        let settings = Settings {
            certificate_lifetime: Duration::from_hours(certificate_days * 24),
            ca_lifetime: Duration::from_hours(ca_days * 24),
            ..settings()
        };
        simulate(Simulation::new(settings), &events)?;
    }

    #[test]
    fn any_content_of_the_secrets_is_repaired(
        key in proptest::sample::select(vec![CRT, KEY, BUNDLE, NEXT_CRT, NEXT_KEY]),
        octets in collection::vec(any::<u8>(), 0..64),
        cut in 0..2000_usize,
    ) {
        let mut simulation = started();
        for secret in [&mut simulation.secrets.ca, &mut simulation.secrets.webhook, &mut simulation.secrets.master] {
            let data = secret.as_mut().unwrap().data.as_mut().unwrap();
            let mut value = data.get(key).map(|value| value.0.clone()).unwrap_or_default();
            value.truncate(cut);
            value.extend(&octets);
            data.insert(key.to_owned(), ByteString(value));
        }
        simulation.reconcile();
        prop_assert_eq!(simulation.reconcile(), 0);
        prop_assert_eq!(read::view(&simulation.secrets).1, vec![]);
    }
}
