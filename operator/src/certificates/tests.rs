//! Two years of certificates in a moment: Secrets in memory, the very decisions and keys, and everyone who verifies or
//! shows what was written at any time in the last of what settles.

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

/// What was written at some time: everyone may still have it, until what came after it has settled.
#[derive(Default)]
struct History<T>(VecDeque<(Seconds, T)>);

impl<T: Clone + PartialEq> History<T> {
    fn write(&mut self, now: Seconds, value: T) {
        if self.0.back().is_none_or(|(_, last)| *last != value) {
            self.0.push_back((now, value));
        }
    }

    /// All that someone may have now who reads within `settle`.
    fn read(&mut self, now: Seconds, settle: Seconds) -> Vec<T> {
        while self.0.get(1).is_some_and(|(since, _)| since + settle <= now) {
            self.0.pop_front();
        }
        self.0.iter().map(|(_, value)| value.clone()).collect()
    }
}

/// A cluster: its Secrets, the operator's memory, and what was published.
struct World {
    settings: Settings,
    secrets: Secrets,
    settling: Settling,
    now: Seconds,
    /// Time that does not jump.
    uptime: Seconds,
    bundles: History<Vec<Certificate>>,
    shown: BTreeMap<Server, History<Vec<CertificateDer<'static>>>>,
    /// Verdicts, which the same parties come to again and again.
    verdicts: BTreeMap<(Vec<u8>, Vec<u8>), (Seconds, bool)>,
    steps: Vec<Step>,
}

impl World {
    fn new(settings: Settings) -> Self {
        Self {
            settings,
            secrets: Secrets::default(),
            settling: Settling::default(),
            now: START,
            uptime: 0,
            bundles: History::default(),
            shown: BTreeMap::default(),
            verdicts: BTreeMap::default(),
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

    /// Another leader takes over, which knows nothing of what the one before saw.
    fn take_over(&mut self) {
        self.settling = Settling::default();
    }

    /// Looks as the driver does. How many steps it took.
    fn look(&mut self) -> usize {
        for taken in 0..16 {
            let (view, _) = read::view(&self.secrets);
            if let Some(authorities) = &view.authorities {
                self.bundles.write(self.now, Certificate::authorities(authorities.bundle().as_bytes()));
            }
            for server in Server::ALL {
                if let Some(served) = view.served(server) {
                    self.shown.entry(server).or_default().write(self.now, served.chain.clone());
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
        panic!("no rest after {:?}", self.steps);
    }

    /// Whether everyone takes everyone's certificate, whatever of the last moments they have read.
    fn check(&mut self) -> Result<(), TestCaseError> {
        let (now, settle) = (self.now, self.settle());
        let bundles = self.bundles.read(now, settle);
        for server in Server::ALL {
            let names = self.settings.names(server);
            let chains = self.shown.entry(server).or_default().read(now, settle);
            prop_assert!(!chains.is_empty() && !bundles.is_empty());
            for (bundle, chain) in bundles.iter().flat_map(|bundle| chains.iter().map(move |chain| (bundle, chain))) {
                let key = (bundle.iter().flat_map(|ca| ca.id().to_vec()).collect(), chain[0].to_vec());
                let known = self.verdicts.get(&key).is_some_and(|(until, _)| now < *until);
                if !known {
                    let taken = accepts(bundle, chain, &names, now);
                    let leaf = Certificate::read(chain[0].clone()).unwrap();
                    let ends = bundle.iter().map(|ca| ca.not_after).chain([leaf.not_after]).filter(|end| *end > now);
                    self.verdicts.insert(key.clone(), (ends.min().unwrap_or(now), taken));
                }
                prop_assert!(
                    self.verdicts[&key].1,
                    "{server:?} is refused at day {}: {:?}",
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
    Settings::new("snmp-system")
}

fn begun() -> World {
    let mut world = World::new(settings());
    world.look();
    world
}

#[test]
fn a_first_look_makes_a_ca_and_signs_for_both_and_a_second_does_nothing() {
    let mut world = begun();
    assert_eq!(
        world.steps,
        [Step::Begin { trusted: Vec::new() }, Step::Sign(Server::Webhook), Step::Sign(Server::Master)]
    );
    assert_eq!(world.look(), 0);
    let master = world.secrets.master.clone().unwrap();
    assert_eq!(master.type_.as_deref(), Some("kubernetes.io/tls"));
    assert_eq!(master.metadata.labels.as_ref().unwrap()[MANAGED_BY], "snmp-operator");
    let bundle = String::from_utf8(master.data.unwrap()[BUNDLE].0.clone()).unwrap();
    assert_eq!(bundle, world.authorities().bundle());
    for name in ["snmp-master-agentx.snmp-system.svc", "snmp-master-0.snmp-master-agentx.snmp-system.svc.cluster.local"]
    {
        let view = read::view(&world.secrets).0;
        assert!(view.master.unwrap().is_accepted(world.authorities().trusted(), &[name.to_owned()], START), "{name}");
    }
}

#[test]
fn no_debug_text_holds_a_key() {
    let world = begun();
    let view = read::view(&world.secrets).0;
    let text = format!("{view:?}");
    let key = view.authorities.unwrap().signing.key;
    let secret = key.expose().lines().nth(1).unwrap();
    assert!(!text.contains(secret) && !text.contains("BEGIN PRIVATE"), "{text}");
}

#[test]
fn a_rotation_publishes_then_signs_then_forgets() {
    let mut world = begun();
    let first = world.authorities().signing.certificate;
    world.steps.clear();
    world.pass(244 * DAY);
    world.look();
    assert!(world.steps.contains(&Step::MakeNext), "{:?}", world.steps);
    let authorities = world.authorities();
    assert_eq!(authorities.signing.certificate, first);
    let second = authorities.next.unwrap().certificate;
    world.steps.clear();
    world.pass(world.settle() - 1);
    assert_eq!(world.look(), 0, "{:?}", world.steps);
    world.pass(1);
    world.look();
    let promoted = [Step::Promote, Step::Sign(Server::Webhook), Step::Sign(Server::Master)];
    assert_eq!(world.steps, promoted);
    assert_eq!(world.authorities().trusted().cloned().collect::<Vec<_>>(), [second.clone(), first]);
    world.pass(world.settle() - 1);
    assert_eq!(world.look(), 0, "{:?}", world.steps);
    world.pass(1);
    world.look();
    assert_eq!(world.authorities().trusted().cloned().collect::<Vec<_>>(), [second]);
    assert!(!world.secrets.ca.unwrap().data.unwrap().contains_key(NEXT_KEY));
}

#[test]
fn a_leader_that_takes_over_lets_things_settle_anew() {
    let mut world = begun();
    world.pass(244 * DAY);
    world.look();
    world.pass(world.settle() - 1);
    world.take_over();
    world.look();
    world.pass(world.settle() - 1);
    world.look();
    assert_eq!(world.count(|step| *step == Step::Promote), 0);
    world.pass(1);
    world.look();
    assert_eq!(world.count(|step| *step == Step::Promote), 1);
}

#[test]
fn a_certificate_is_replaced_when_two_thirds_of_its_life_are_over() {
    let mut world = begun();
    world.steps.clear();
    world.pass(60 * DAY - 1);
    assert_eq!(world.look(), 0);
    world.pass(1);
    world.look();
    assert_eq!(world.steps, [Step::Sign(Server::Webhook), Step::Sign(Server::Master)]);
}

#[test]
fn a_lifetime_that_was_made_shorter_counts_from_now_on() {
    let mut world = begun();
    world.pass(DAY);
    world.settings.certificate_lifetime = Duration::from_hours(24);
    assert_eq!(world.look(), 2);
}

#[test]
fn other_names_are_signed_for() {
    let mut world = begun();
    world.steps.clear();
    world.settings.webhook_names.push("127.0.0.1".to_owned());
    world.look();
    assert_eq!(world.steps, [Step::Sign(Server::Webhook)]);
    assert_eq!(world.look(), 0);
}

#[test]
fn a_ca_that_is_lost_is_trusted_until_all_have_a_new_ones_certificate() {
    let mut world = begun();
    let lost = world.authorities().signing.certificate;
    world.secrets.ca = None;
    world.steps.clear();
    world.look();
    let again =
        [Step::Begin { trusted: vec![lost.clone()] }, Step::Publish(Server::Webhook), Step::Publish(Server::Master)];
    assert_eq!(world.steps, again);
    world.check().unwrap();
    world.pass(world.settle());
    world.look();
    assert_eq!(world.count(|step| matches!(step, Step::Sign(_))), 2);
    world.check().unwrap();
    world.pass(world.settle());
    world.look();
    assert!(!world.authorities().trusted().any(|certificate| *certificate == lost));
    world.check().unwrap();
}

#[test]
fn what_is_garbled_is_told_and_made_anew() {
    for key in [CRT, KEY, BUNDLE] {
        for garbage in ["", "garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            for name in [CA_SECRET, WEBHOOK_SECRET, MASTER_SECRET] {
                let mut world = begun();
                let secret = match name {
                    CA_SECRET => &mut world.secrets.ca,
                    WEBHOOK_SECRET => &mut world.secrets.webhook,
                    _ => &mut world.secrets.master,
                };
                let data = secret.as_mut().unwrap().data.as_mut().unwrap();
                data.insert(key.to_owned(), ByteString(garbage.as_bytes().to_vec()));
                if key != BUNDLE {
                    assert_eq!(read::view(&world.secrets).1[0].secret, name);
                }
                assert!(world.look() > 0, "{name} {key}");
                assert_eq!(world.look(), 0);
                assert_eq!(read::view(&world.secrets).1, []);
            }
        }
    }
}

#[test]
fn a_key_of_another_pair_is_no_key() {
    let mut world = begun();
    let other = begun();
    let key = |world: &World| world.secrets.ca.clone().unwrap().data.unwrap()[KEY].clone();
    let mixed = world.secrets.ca.as_mut().unwrap().data.as_mut().unwrap();
    mixed.insert(KEY.to_owned(), key(&other));
    let faults = read::view(&world.secrets).1;
    assert_eq!(faults[0].message, "its key does not belong to its certificate");
}

#[test]
fn what_another_made_is_left_alone() {
    let theirs = begun().secrets.master.map(|mut secret| {
        secret.metadata.labels = None;
        secret
    });
    let mut world = World::new(settings());
    world.secrets.master.clone_from(&theirs);
    world.look();
    assert_eq!(world.secrets.master, theirs);
    let faults = read::view(&world.secrets).1;
    assert!(faults.len() == 1 && faults[0].foreign, "{faults:?}");
    let mut empty = World::new(settings());
    empty.secrets.master = Some(Secret::default());
    empty.look();
    assert!(empty.secrets.master.unwrap().data.unwrap().contains_key(CRT), "one that holds nothing is filled");
}

#[test]
fn labels_and_data_of_others_stay() {
    let mut world = begun();
    let secret = world.secrets.webhook.as_mut().unwrap();
    secret.metadata.annotations = Some([("a".to_owned(), "b".to_owned())].into());
    secret.data.as_mut().unwrap().insert("own".to_owned(), ByteString(vec![1]));
    world.pass(61 * DAY);
    world.look();
    let secret = world.secrets.webhook.unwrap();
    assert_eq!(secret.metadata.annotations.unwrap()["a"], "b");
    assert_eq!(secret.data.unwrap()["own"].0, [1]);
}

#[test]
fn a_clock_that_jumps_comes_to_rest_again() {
    let mut world = begun();
    for jump in [-HOUR, HOUR, 400 * DAY, -800 * DAY, 10_000 * DAY, -9_000 * DAY, -20_000 * DAY, 2_000_000 * DAY] {
        world.now += jump;
        world.look();
        assert_eq!(world.look(), 0, "{jump}");
        let view = read::view(&world.secrets).0;
        let (trusted, now) = (view.authorities.unwrap(), world.now);
        for server in Server::ALL {
            let names = world.settings.names(server);
            let view = read::view(&world.secrets).0;
            assert!(view.served(server).unwrap().is_accepted(trusted.trusted(), &names, now), "{jump} {server:?}");
        }
    }
}

#[test]
fn a_clock_that_is_a_little_slow_takes_what_was_just_made() {
    let mut world = begun();
    world.now -= BACKDATED;
    assert_eq!(world.look(), 0);
    world.check().unwrap();
}

#[test]
fn settings_in_which_no_rotation_fits_are_refused() {
    assert_eq!(settings().check(), Ok(()));
    let short = Settings { ca_lifetime: Duration::from_hours(1), ..settings() };
    assert!(short.check().unwrap_err().to_string().contains("--ca-lifetime 3600s is too short: 5400s"));
    let short = Settings { certificate_lifetime: Duration::from_mins(59), ..settings() };
    assert!(short.check().unwrap_err().to_string().contains("--certificate-lifetime"));
}

/// What happens beside the passing of time.
#[derive(Debug, Clone, Copy)]
enum Happening {
    /// The operator looks.
    Look,
    /// Another leader takes over.
    TakeOver,
    /// There is no leader for some hours.
    Away(Seconds),
    /// Someone deletes the CA's Secret. Nobody could sign for those who know the old one alone, so this comes alone.
    LoseAuthority,
    /// Someone deletes a bundle's text.
    LoseBundle(bool),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        12 => Just(Happening::Look),
        2 => Just(Happening::TakeOver),
        2 => (1..72_i64).prop_map(|hours| Happening::Away(hours * HOUR)),
        1 => Just(Happening::LoseAuthority),
        1 => any::<bool>().prop_map(Happening::LoseBundle),
    ]
}

/// Two years in which the operator looks as often as it does while things settle, and now and then else.
fn live(mut world: World, happenings: &[Happening]) -> Result<World, TestCaseError> {
    world.look();
    let mut happenings = happenings.iter().cycle();
    let mut calm = 0_u32;
    while world.now < START + 2 * 365 * DAY {
        let happening = if calm > 0 { Happening::Look } else { *happenings.next().unwrap() };
        match happening {
            Happening::Look => {}
            Happening::TakeOver => world.take_over(),
            Happening::Away(time) => {
                world.pass(time);
                world.take_over();
            }
            Happening::LoseAuthority => world.secrets.ca = None,
            Happening::LoseBundle(master) => {
                let secret = if master { &mut world.secrets.master } else { &mut world.secrets.webhook };
                secret.as_mut().unwrap().data.as_mut().unwrap().remove(BUNDLE);
            }
        }
        let steps = world.look();
        world.check()?;
        let is_moving = steps > 0 || world.authorities().next.is_some() || !world.authorities().previous.is_empty();
        // Losing both texts that a CA's certificate is in, and the CA, leaves nothing to go by: not before all is mended.
        calm = if matches!(happening, Happening::Look) { calm.saturating_sub(1) } else { 4 };
        if is_moving {
            calm = calm.max(1);
        }
        world.pass(if is_moving { world.settle() / 3 } else { 31 * HOUR });
    }
    Ok(world)
}

#[test]
fn two_quiet_years_rotate_each_ca_twice_and_no_one_is_ever_refused() {
    let world = live(World::new(settings()), &[Happening::Look]).unwrap();
    let promoted = world.count(|step| *step == Step::Promote);
    assert!((2..=3).contains(&promoted), "{promoted}");
    let signed = world.count(|step| matches!(step, Step::Sign(_)));
    assert!((20..40).contains(&signed), "{signed}");
    assert_eq!(world.authorities().trusted().count(), 1, "nothing is left behind");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn whatever_happens_everyone_takes_everyones_certificate(
        happenings in collection::vec(happening(), 1..40),
        certificate_days in 14..200_u64,
        ca_days in 30..500_u64,
    ) {
        let settings = Settings {
            certificate_lifetime: Duration::from_hours(certificate_days * 24),
            ca_lifetime: Duration::from_hours(ca_days * 24),
            ..settings()
        };
        live(World::new(settings), &happenings)?;
    }

    #[test]
    fn whatever_the_secrets_hold_it_is_mended(
        key in proptest::sample::select(vec![CRT, KEY, BUNDLE, NEXT_CRT, NEXT_KEY]),
        octets in collection::vec(any::<u8>(), 0..64),
        cut in 0..2000_usize,
    ) {
        let mut world = begun();
        for secret in [&mut world.secrets.ca, &mut world.secrets.webhook, &mut world.secrets.master] {
            let data = secret.as_mut().unwrap().data.as_mut().unwrap();
            let mut value = data.get(key).map(|value| value.0.clone()).unwrap_or_default();
            value.truncate(cut);
            value.extend(&octets);
            data.insert(key.to_owned(), ByteString(value));
        }
        world.look();
        prop_assert_eq!(world.look(), 0);
        prop_assert_eq!(read::view(&world.secrets).1, vec![]);
    }
}
