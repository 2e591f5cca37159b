//! A target: what it hears, its queue, and what is sent to it when. Without I/O.

mod own_events;

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use master_config::{NotificationKind, Target, TargetScope, TargetSecurity, User};
use notification::Details;
use sha2::{Digest as _, Sha256};

pub(crate) use self::own_events::{Tallies, start_event};
use super::{
    counts::Counts,
    event::Event,
    inform::{Informs, Patience, Transmission},
    message::{self, Answer, Content, Omitted, ReportKind, Times, read_community_answer, read_user_answer},
    queue::{Dropped, Entry, Namespace, Queue, Serial},
    receiver::{DiscoveryStep, Security},
    status::{Readiness, TargetStatus},
};
use crate::snmp::{Authority, EngineIdentity, Keys, Sealer, pdu_tag};

/// Minimum time between two notifications about lost notifications to a target that does not acknowledge them.
const NOTICE_INTERVAL: Duration = Duration::from_mins(1);
/// How long a refusal of the port (ICMP) may take after a message.
const REFUSAL_WAIT: Duration = Duration::from_secs(1);

/// The state of the master that messages depend on.
pub(crate) struct Local {
    /// The master's own engine, the authority of traps.
    pub(crate) engine: EngineIdentity,
    /// When it started.
    pub(crate) started: Instant,
    /// Encrypts and authenticates messages of SNMPv3.
    pub(crate) sealer: Sealer,
    /// The address of the master as managers know it.
    pub(crate) address: Option<Ipv4Addr>,
    /// The numbers of alarms, for heartbeats.
    pub(crate) tallies: Tallies,
}

/// The connection to a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Link {
    /// It is being established.
    Connecting,
    /// A socket is connected to this address.
    Connected(SocketAddr),
    /// It cannot be established, for this reason.
    Failed(Readiness, String),
}

/// What the driver has to do.
#[derive(Debug)]
pub(crate) enum Output {
    /// Send a message, and call [`TargetMachine::sent`] or [`TargetMachine::not_sent`].
    Send(Message),
    /// Derive the keys of the user for the engine id, and call [`TargetMachine::derived`].
    Derive(Arc<User>, Vec<u8>),
}

/// A message to send.
#[derive(Debug)]
pub(crate) struct Message {
    /// The octets.
    pub(crate) datagram: Vec<u8>,
    purpose: Purpose,
    omitted: Omitted,
}

/// What a message is for.
#[derive(Debug, Clone, Copy)]
enum Purpose {
    Trap(Serial),
    Inform { is_retry: bool },
    Discovery,
}

/// Version and credentials.
#[derive(Debug)]
enum Credentials {
    V1(Vec<u8>),
    V2c(Vec<u8>),
    V3(Box<Security>),
}

/// A target.
#[derive(Debug)]
pub(crate) struct TargetMachine {
    config: Target,
    credentials: Credentials,
    queue: Queue,
    informs: Informs,
    link: Link,
    /// An inform to send again at once.
    correction: Option<Transmission>,
    bucket: Bucket,
    next_heartbeat: Option<Instant>,
    /// Own notifications that tell the number of lost ones.
    notices: BTreeMap<Serial, u64>,
    next_notice: Option<Instant>,
    /// The number of lost notifications that the receiver was told of.
    told: u64,
    /// Why the receiver refuses informs.
    refusal: Option<ReportKind>,
    /// When the port was last refused (ICMP).
    refused_at: Option<Instant>,
    last_sent: Option<Instant>,
    has_acknowledged: bool,
    counts: Counts,
}

/// A token bucket with the tokens of a second.
#[derive(Debug)]
struct Bucket {
    rate: f64,
    tokens: f64,
    at: Instant,
}

impl TargetMachine {
    pub(crate) fn new(config: Target, now: Instant) -> Self {
        Self {
            credentials: Credentials::new(&config),
            bucket: Bucket::new(config.rate_limit, now),
            next_heartbeat: heartbeat(&config, now),
            config,
            queue: Queue::default(),
            informs: Informs::default(),
            link: Link::Connecting,
            correction: None,
            notices: BTreeMap::new(),
            next_notice: None,
            told: 0,
            refusal: None,
            refused_at: None,
            last_sent: None,
            has_acknowledged: false,
            counts: Counts::default(),
        }
    }

    /// Returns the target's configuration.
    pub(crate) fn config(&self) -> &Target {
        &self.config
    }

    /// Changes the configuration. The queue is kept.
    pub(crate) fn reconfigure(&mut self, config: Target, now: Instant) {
        if config.security != self.config.security || config.kind != self.config.kind {
            self.credentials = Credentials::new(&config);
        }
        if config.rate_limit != self.config.rate_limit {
            self.bucket = Bucket::new(config.rate_limit, now);
        }
        if config.heartbeat_interval_ms != self.config.heartbeat_interval_ms {
            self.next_heartbeat = heartbeat(&config, now);
        }
        self.config = config;
        self.restart();
    }

    /// Starts anew with the receiver, for example because the master's engine changed.
    pub(crate) fn reset_security(&mut self) {
        self.credentials = Credentials::new(&self.config);
        self.restart();
    }

    fn restart(&mut self) {
        self.informs.restart();
        (self.correction, self.refusal, self.refused_at) = (None, None, None);
        self.has_acknowledged = false;
    }

    /// Drops the queue, without counting: another master delivers.
    pub(crate) fn clear(&mut self) {
        self.queue.clear();
        self.notices.clear();
        self.informs.restart();
        self.correction = None;
    }

    /// Returns whether the target receives the event.
    pub(crate) fn hears(&self, event: &Event) -> bool {
        let Target { scope, namespace, contexts, min_severity, .. } = &self.config;
        let is_named = || contexts.iter().any(|context| *context.as_bytes() == *event.context);
        let is_in_scope = match scope {
            TargetScope::Namespace => event.namespace.as_deref() == Some(namespace.as_str()) && is_named(),
            TargetScope::Cluster => contexts.is_empty() || is_named(),
        };
        let is_severe = match (event.severity, min_severity) {
            (Some(severity), Some(least)) => severity.is_at_least(*least),
            _ => true,
        };
        is_in_scope && is_severe
    }

    /// Queues the event if the target receives it.
    pub(crate) fn offer(&mut self, event: &Arc<Event>, now: Instant) {
        if self.hears(event) {
            self.push(event, now);
        }
    }

    /// Queues an event of the agent itself if the target receives those.
    pub(crate) fn offer_agent_event(&mut self, event: &Arc<Event>, now: Instant) {
        if self.config.agent_events {
            self.push(event, now);
        }
    }

    fn push(&mut self, event: &Arc<Event>, now: Instant) -> Serial {
        let (serial, dropped) = self.queue.push(event, now);
        self.count(dropped);
        serial
    }

    fn count(&mut self, dropped: Dropped) {
        self.counts.superseded += dropped.superseded;
        self.counts.overflowed += dropped.others;
    }

    /// Drops a notification of the namespace. Returns whether there was one.
    pub(crate) fn evict(&mut self, namespace: &Namespace) -> bool {
        let mut dropped = Dropped::default();
        let is_dropped = self.queue.evict(namespace, &mut dropped);
        self.count(dropped);
        is_dropped
    }

    /// Returns the queue.
    pub(crate) fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Notes a change of the connection.
    pub(crate) fn set_link(&mut self, link: Link) {
        if matches!((&link, &self.link), (Link::Connected(new), old) if !matches!(old, Link::Connected(old) if old == new))
        {
            self.restart();
            if let Credentials::V3(security) = &mut self.credentials
                && self.config.kind == NotificationKind::Inform
            {
                security.rediscover();
            }
        }
        self.link = link;
    }

    /// Returns whether the receiver does not answer, so that its name should be resolved anew.
    pub(crate) fn is_down(&self) -> bool {
        self.informs.is_down()
    }

    /// Notes that the port was refused (ICMP).
    pub(crate) fn refused(&mut self, now: Instant) {
        self.refused_at = Some(now);
    }

    /// Notes that a message was sent.
    pub(crate) fn sent(&mut self, message: &Message, now: Instant) {
        self.last_sent = Some(now);
        self.bucket.take(now);
        let counts = &mut self.counts;
        counts.details_omitted += u64::from(message.omitted.details);
        counts.objects_omitted += message.omitted.objects as u64;
        counts.untranslatable += message.omitted.untranslatable as u64;
        match message.purpose {
            Purpose::Trap(serial) => {
                counts.sent += 1;
                self.queue.remove(serial);
                self.told(serial);
            }
            Purpose::Inform { is_retry: true } => counts.retried += 1,
            Purpose::Inform { is_retry: false } => counts.sent += 1,
            Purpose::Discovery => counts.discoveries += 1,
        }
    }

    /// Notes that a message can never be sent, for example because it is too long. An inform expires in the queue.
    pub(crate) fn not_sent(&mut self, message: &Message, now: Instant) {
        self.bucket.take(now);
        if let Purpose::Trap(serial) = message.purpose {
            self.queue.remove(serial);
            self.notices.remove(&serial);
            self.counts.unsendable += 1;
        }
    }

    fn told(&mut self, serial: Serial) {
        if let Some(lost) = self.notices.remove(&serial) {
            self.told = self.told.max(lost);
        }
    }

    /// Sets the keys of the user for an engine.
    pub(crate) fn derived(&mut self, engine_id: &[u8], keys: Option<Arc<Keys>>) {
        if let Credentials::V3(security) = &mut self.credentials {
            security.derived(engine_id, keys);
        }
    }

    /// Returns what to do now. Call it until it returns `None`.
    pub(crate) fn poll(&mut self, local: &mut Local, now: Instant) -> Option<Output> {
        self.counts.expired += self.queue.expire(now, Duration::from_millis(self.config.max_age_ms));
        self.push_own_events(local, now);
        if !matches!(self.link, Link::Connected(_)) {
            return None;
        }
        if let Credentials::V3(security) = &mut self.credentials {
            if self.config.kind == NotificationKind::Trap && !security.has_engine() {
                let (boots, time) = local.engine.boots_and_time(local.started, now);
                security.set_engine(&local.engine.engine_id, Times { boots, time }, now);
            }
            if let Some((user, engine_id)) = security.start_derivation() {
                return Some(Output::Derive(user, engine_id));
            }
        }
        if self.queue.is_empty() || !self.bucket.has_token(now) {
            return None;
        }
        loop {
            match self.next_message(local, now) {
                Ok(message) => return message.map(Output::Send),
                // A message that cannot be encoded must not stop the others.
                Err(serial) => {
                    self.queue.remove(serial);
                    self.notices.remove(&serial);
                    self.counts.unsendable += 1;
                }
            }
        }
    }

    /// Returns the next message.
    ///
    /// # Errors
    /// Returns the position of a notification that cannot be encoded.
    fn next_message(&mut self, local: &mut Local, now: Instant) -> Result<Option<Message>, Serial> {
        if self.config.kind == NotificationKind::Trap {
            let Some((serial, entry)) = self.queue.first_from(0) else { return Ok(None) };
            let id = request_id(&self.config, serial, entry);
            let Some(encoded) = encode(&self.config, &mut self.credentials, local, entry, id, now) else {
                return if self.is_ready(now) { Err(serial) } else { Ok(None) };
            };
            let (datagram, omitted) = encoded;
            return Ok(Some(Message { datagram, purpose: Purpose::Trap(serial), omitted }));
        }
        let patience = self.patience();
        if let Credentials::V3(security) = &mut self.credentials {
            if self.informs.is_probe_due(now) {
                security.rediscover();
            }
            if !security.has_engine() {
                return Ok(self.discover(local, now));
            }
        }
        if !self.is_ready(now) {
            return Ok(None);
        }
        let Self { config, queue, .. } = self;
        let id_of = |serial| queue.get(serial).map_or(0, |entry| request_id(config, serial, entry));
        let corrected = self.correction.take().filter(|transmission| queue.get(transmission.serial).is_some());
        let transmission = corrected.or_else(|| self.informs.next(queue, patience, now, id_of));
        let Some(Transmission { serial, request_id, is_retry }) = transmission else { return Ok(None) };
        let entry = queue.get(serial).ok_or(serial)?;
        let encoded = encode(config, &mut self.credentials, local, entry, request_id, now);
        let (datagram, omitted) = encoded.ok_or(serial)?;
        // What is omitted is counted at the first transmission.
        let omitted = if is_retry { Omitted::default() } else { omitted };
        Ok(Some(Message { datagram, purpose: Purpose::Inform { is_retry }, omitted }))
    }

    fn discover(&mut self, local: &mut Local, now: Instant) -> Option<Message> {
        let Patience { timeout, retries } = self.patience();
        let first_id = hash31(&[self.config.namespace.as_bytes(), self.config.name.as_bytes(), b"discovery"]);
        let Credentials::V3(security) = &mut self.credentials else { return None };
        let id = match security.discover(first_id, timeout, retries, now) {
            DiscoveryStep::Send(id) => id,
            DiscoveryStep::NoAnswer(id) => {
                self.informs.fail(now);
                id
            }
            DiscoveryStep::Wait => return None,
        };
        let datagram = message::discovery(&mut local.sealer, &Security::discovery_envelope(id), id)?;
        Some(Message { datagram, purpose: Purpose::Discovery, omitted: Omitted::default() })
    }

    /// Returns whether notifications can be encoded: with SNMPv3, whether the engine and its keys are known.
    fn is_ready(&mut self, now: Instant) -> bool {
        match &mut self.credentials {
            Credentials::V3(security) => security.authority(now).is_some(),
            Credentials::V1(_) | Credentials::V2c(_) => true,
        }
    }

    fn patience(&self) -> Patience {
        Patience { timeout: Duration::from_millis(self.config.timeout_ms), retries: self.config.retries }
    }

    /// Reads what the receiver sent. What is no valid answer is ignored and counted.
    pub(crate) fn received(&mut self, datagram: &[u8], now: Instant) {
        let answer = match &self.credentials {
            _ if self.config.kind == NotificationKind::Trap => None,
            Credentials::V1(_) => None,
            Credentials::V2c(community) => read_community_answer(datagram, community),
            Credentials::V3(security) => {
                let (name, engine_id, keys) = security.expected();
                read_user_answer(datagram, name, security.level, engine_id, keys.as_deref())
            }
        };
        if answer.and_then(|answer| self.accept(answer, now)).is_none() {
            self.counts.ignored += 1;
        }
    }

    /// Acts upon an answer. Returns `None` if it belongs to no message.
    fn accept(&mut self, answer: Answer, now: Instant) -> Option<()> {
        match answer {
            Answer::Acknowledged { request_id, times } => {
                if let (Credentials::V3(security), Some(times)) = (&mut self.credentials, times)
                    && !security.synchronize(times, now)
                {
                    return None;
                }
                let serial = self.informs.acknowledged(request_id)?;
                self.queue.remove(serial)?;
                self.counts.acknowledged += 1;
                self.told(serial);
                (self.refusal, self.refused_at) = (None, None);
                self.has_acknowledged = true;
                Some(())
            }
            Answer::Report { id, kind, engine_id, times, is_authentic } => {
                let patience = self.patience();
                let Credentials::V3(security) = &mut self.credentials else { return None };
                if security.is_discovering(id) {
                    security.set_engine(&engine_id, times, now);
                    self.informs.probe_now(now);
                    return Some(());
                }
                if !self.informs.is_sent(id) {
                    return None;
                }
                match kind {
                    ReportKind::UnknownEngineId => security.set_engine(&engine_id, times, now),
                    ReportKind::NotInTimeWindow if is_authentic => {
                        security.synchronize(times, now);
                    }
                    ReportKind::NotInTimeWindow => return None,
                    refusal => {
                        self.refusal = Some(refusal);
                        self.informs.fail(now);
                        return Some(());
                    }
                }
                self.correction = self.informs.corrected(id, patience, now);
                Some(())
            }
        }
    }

    /// Returns when [`Self::poll`] has something to do, if nothing else happens.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        let max_age = Duration::from_millis(self.config.max_age_ms);
        let mut deadlines = vec![self.queue.expires_at(max_age), self.next_heartbeat];
        if self.counts.lost() > self.told_or_pending() && self.config.agent_events {
            deadlines.push(self.next_notice);
        }
        if matches!(self.link, Link::Connected(_)) && !self.queue.is_empty() {
            let at_token = self.bucket.next_token(now);
            let of_kind = match (&self.credentials, self.config.kind) {
                (_, NotificationKind::Trap) => Some(now),
                (Credentials::V3(security), _) if !security.has_engine() => {
                    Some(security.discovery_due().unwrap_or(now))
                }
                _ => self.informs.deadline(&self.queue),
            };
            // Without a token, whatever is due waits for it.
            deadlines.push(of_kind.map(|deadline| deadline.max(at_token)).filter(|_| self.can_encode()));
        }
        if self.refused_at.is_some() {
            deadlines.push(self.last_sent.map(|sent| sent + REFUSAL_WAIT).filter(|at| *at > now));
        }
        deadlines.into_iter().flatten().min()
    }

    fn can_encode(&self) -> bool {
        match &self.credentials {
            Credentials::V3(security) => !security.is_deriving(),
            Credentials::V1(_) | Credentials::V2c(_) => true,
        }
    }

    /// Returns the counters.
    pub(crate) fn counts(&self) -> Counts {
        Counts { queued: self.queue.len() as u64, ..self.counts }
    }

    /// Returns the status.
    pub(crate) fn status(&self, now: Instant) -> TargetStatus {
        let (readiness, message) = self.readiness(now);
        let address = match self.link {
            Link::Connected(address) => Some(address),
            _ => None,
        };
        TargetStatus {
            namespace: self.config.namespace.clone(),
            name: self.config.name.clone(),
            readiness,
            message,
            address,
            queued: self.queue.len() as u64,
            delivered: match self.config.kind {
                NotificationKind::Trap => self.counts.sent,
                NotificationKind::Inform => self.counts.acknowledged,
            },
            lost: self.counts.lost(),
            complete: self.counts.lost() == self.told,
        }
    }

    fn readiness(&self, now: Instant) -> (Readiness, String) {
        if let Link::Failed(readiness, message) = &self.link {
            return (*readiness, message.clone());
        }
        if let Some(refusal) = self.refusal {
            return (Readiness::AuthenticationFailed, refusal.explanation().to_owned());
        }
        let is_refused = self.refused_at.is_some_and(|refused| {
            self.last_sent.is_none_or(|sent| sent <= refused || now.saturating_duration_since(sent) < REFUSAL_WAIT)
        });
        if is_refused {
            let message = "no process listens at the address (ICMP port unreachable)";
            return (Readiness::PortUnreachable, message.to_owned());
        }
        if self.informs.is_down() {
            return (Readiness::NoAnswer, "the receiver does not acknowledge informs".to_owned());
        }
        let readiness = match self.config.kind {
            NotificationKind::Trap if self.last_sent.is_some() => Readiness::SentUnconfirmed,
            NotificationKind::Inform if self.has_acknowledged => Readiness::Acknowledged,
            _ => Readiness::Unknown,
        };
        (readiness, String::new())
    }
}

impl Credentials {
    fn new(config: &Target) -> Self {
        match &config.security {
            TargetSecurity::V1 { community } => Self::V1(community.expose().as_bytes().to_vec()),
            TargetSecurity::V2c { community } => Self::V2c(community.expose().as_bytes().to_vec()),
            TargetSecurity::V3 { user, security_level } => Self::V3(Box::new(Security::new(user, *security_level))),
        }
    }
}

/// Encodes a notification. Returns `None` if the engine or its keys are not known, or if it cannot be encrypted.
fn encode(
    config: &Target,
    credentials: &mut Credentials,
    local: &mut Local,
    entry: &Entry,
    request_id: i32,
    now: Instant,
) -> Option<(Vec<u8>, Omitted)> {
    let Event { notification, context, uptime, .. } = &*entry.event;
    let details = notification.details.as_ref().filter(|_| config.alarm_objects).map(Details::varbinds);
    let content = Content {
        oid: &notification.oid,
        uptime: *uptime,
        objects: &notification.objects,
        details: details.as_deref().unwrap_or_default(),
        address: local.address,
    };
    let limit = config.max_message_octets as usize;
    let is_inform = config.kind == NotificationKind::Inform;
    let tag = if is_inform { pdu_tag::INFORM } else { pdu_tag::TRAP };
    match credentials {
        Credentials::V1(community) => Some(message::v1_trap(community, &content, limit)),
        Credentials::V2c(community) => Some(message::v2c_message(community, tag, request_id, &content, limit)),
        Credentials::V3(security) => {
            let (engine_id, Times { boots, time }) = security.authority(now)?;
            let own = local.engine.engine_id.as_slice();
            let authority = Authority { engine_id: &engine_id, context_engine_id: own, boots, time };
            let envelope = security.envelope(request_id, is_inform, context);
            message::v3_message(&mut local.sealer, &envelope, authority, tag, request_id, &content, limit)
        }
    }
}

/// Returns the request-id of a notification to a target. It is the same for each transmission, and for each master.
fn request_id(config: &Target, serial: Serial, entry: &Entry) -> i32 {
    let target = [config.namespace.as_bytes(), config.name.as_bytes()];
    if let Some(details) = &entry.event.notification.details {
        return hash31(&[target[0], target[1], &details.id.0, &details.sequence.to_be_bytes()]);
    }
    let Event { uptime, at, .. } = &*entry.event;
    let nanos = at.duration_since(std::time::UNIX_EPOCH).map_or(0, |at| at.as_nanos());
    hash31(&[target[0], target[1], &uptime.to_be_bytes(), &nanos.to_be_bytes(), &serial.to_be_bytes()])
}

/// Returns 31 bits of SHA-256 over the parts, each after its length.
fn hash31(parts: &[&[u8]]) -> i32 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let octets = hash.finalize().first_chunk().copied().unwrap_or_default();
    i32::from_be_bytes(octets) & i32::MAX
}

fn heartbeat(config: &Target, now: Instant) -> Option<Instant> {
    config.heartbeat_interval_ms.map(|interval| now + Duration::from_millis(interval))
}

impl Bucket {
    fn new(rate: u32, now: Instant) -> Self {
        let rate = f64::from(rate);
        Self { rate, tokens: rate, at: now }
    }

    fn tokens(&self, now: Instant) -> f64 {
        let refill = now.saturating_duration_since(self.at).as_secs_f64() * self.rate;
        (self.tokens + refill).min(self.rate)
    }

    fn has_token(&self, now: Instant) -> bool {
        self.tokens(now) >= 1.0
    }

    fn take(&mut self, now: Instant) {
        self.tokens = self.tokens(now) - 1.0;
        self.at = now;
    }

    /// Returns when there is a token. Rounded up, so that there is one then.
    fn next_token(&self, now: Instant) -> Instant {
        let missing = (1.0 - self.tokens(now)).max(0.0) / self.rate;
        if missing == 0.0 { now } else { now + Duration::from_secs_f64(missing) + Duration::from_micros(1) }
    }
}

#[cfg(test)]
mod tests;
