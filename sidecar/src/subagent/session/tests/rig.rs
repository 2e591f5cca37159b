//! A session with a master and a clock that the test controls.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use agentx::{
    Body, ByteOrder, Context, Framer, Header, Limits, Oid, Pdu, Register, Response, ResponseError, SearchRange, SubId,
    ValueRef, VarBind, decode, encode,
};
use arc_swap::ArcSwap;

use crate::{
    mapping::Region,
    subagent::{
        jitter::Jitter,
        session::{Counters, Counts, Input, Progress, Session},
    },
    view::{
        MibView,
        exports::{Export, Exports},
    },
};

pub(super) const SESSION: u32 = 7;

pub(super) fn oid(text: &str) -> Oid {
    if text.is_empty() { Oid::default() } else { text.parse().unwrap() }
}

/// Returns a view with these instances, whose OIDs are below the base and sorted. Every first arc is a declared object.
pub(super) fn view(base: &str, instances: &[(&str, ValueRef<'_>)]) -> MibView {
    let objects = instances.iter().map(|(suffix, _)| oid(suffix)[..1].try_into().unwrap());
    let mut view = MibView::new(oid(base), objects.collect());
    for (suffix, value) in instances {
        view.push(&[], &oid(suffix), *value).unwrap();
    }
    view
}

/// Returns an export of `view` with its base as the only region.
pub(super) fn export(context: &str, view: MibView) -> Export {
    let base = view.base().clone();
    Export {
        context: context.to_owned(),
        regions: vec![Region { subtree: base.clone(), range: None }],
        base,
        view: Arc::new(ArcSwap::from_pointee(view)),
        capabilities: None,
        writable: false,
    }
}

/// Returns an export with one instance, `base`.1.0.
pub(super) fn small(context: &str, base: &str) -> Export {
    export(context, view(base, &[("1.0", ValueRef::Integer(1))]))
}

pub(super) fn exports(all: impl IntoIterator<Item = Export>) -> Exports {
    Arc::new(all.into_iter().collect())
}

pub(super) fn range(start: &str, include: bool, end: &str) -> SearchRange {
    SearchRange { start: oid(start), include, end: oid(end) }
}

pub(super) struct Rig {
    pub(super) session: Session,
    pub(super) now: Instant,
    counters: Arc<Counters>,
    framer: Framer,
    next_packet: u32,
}

impl Rig {
    /// Returns a session whose Open is in the output.
    pub(super) fn new(exports: &Exports) -> Self {
        let (now, counters) = (Instant::now(), Arc::<Counters>::default());
        let session = Session::new("test", exports, Jitter::new(1), Arc::clone(&counters), now);
        Self { session, now, counters, framer: Framer::new(Limits::default()), next_packet: 1000 }
    }

    /// Returns an open session and the PDUs that it sent afterwards, which are not answered.
    pub(super) fn opened(exports: &Exports) -> (Self, Vec<Pdu>) {
        let mut rig = Self::new(exports);
        let open = rig.sent();
        assert!(matches!(open[..], [Pdu { body: Body::Open(_), .. }]), "{open:?}");
        rig.answer(&open[0], ResponseError::NoError);
        let sent = rig.sent();
        (rig, sent)
    }

    /// Returns an open session whose registrations have been accepted.
    pub(super) fn serving(exports: &Exports) -> Self {
        let (mut rig, mut sent) = Self::opened(exports);
        while !sent.is_empty() {
            rig.answer_all(&sent, ResponseError::NoError);
            sent = rig.sent();
        }
        rig
    }

    pub(super) fn counts(&self) -> Counts {
        self.counters.read()
    }

    /// Reads and returns all pending PDUs of the session.
    pub(super) fn sent(&mut self) -> Vec<Pdu> {
        let output = self.session.output();
        self.framer.feed(output.pending());
        output.advance(output.pending().len());
        let mut sent = Vec::new();
        while let Some(frame) = self.framer.next_frame().unwrap() {
            sent.push(decode(frame, &Limits::default()).unwrap());
        }
        sent
    }

    pub(super) fn give_octets(&mut self, octets: &[u8]) {
        self.session.handle(Input::Received(octets), self.now);
    }

    pub(super) fn give(&mut self, pdu: &Pdu) {
        let mut octets = Vec::new();
        encode(pdu, &mut octets).unwrap();
        self.give_octets(&octets);
    }

    /// Responds to a PDU of the session.
    pub(super) fn answer(&mut self, pdu: &Pdu, error: ResponseError) {
        let header = Header { session_id: SESSION, ..pdu.header };
        let body = Body::Response(Response { sys_up_time: 1, error, index: 0, varbinds: Vec::new() });
        self.give(&Pdu { header, context: Context::default(), body });
    }

    /// Responds to several PDUs of the session in the same way.
    pub(super) fn answer_all(&mut self, pdus: &[Pdu], error: ResponseError) {
        for pdu in pdus {
            self.answer(pdu, error);
        }
    }

    /// Advances the clock, and wakes the session at each `wakeup`.
    pub(super) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(wakeup) = self.session.wakeup().filter(|wakeup| *wakeup <= until) {
            assert!(wakeup > self.now, "the wakeup is not in the future");
            self.now = self.now.max(wakeup);
            self.session.handle(Input::Time, self.now);
            if !self.session.output().is_empty() {
                break;
            }
        }
        self.now = until;
        self.session.handle(Input::Time, until);
    }

    /// Returns a request in a new packet.
    pub(super) fn request(&mut self, context: &str, body: Body) -> Pdu {
        self.next_packet += 1;
        let header = Header {
            byte_order: ByteOrder::Little,
            session_id: SESSION,
            transaction_id: 5,
            packet_id: self.next_packet,
        };
        Pdu { header, context: context.into(), body }
    }

    /// Sends a request and returns its responses.
    pub(super) fn ask(&mut self, context: &str, body: Body) -> Vec<Response> {
        let request = self.request(context, body);
        self.give(&request);
        let answers = self.sent().into_iter().map(|pdu| {
            assert_eq!(pdu.header, request.header);
            let Body::Response(response) = pdu.body else { panic!("{pdu:?}") };
            response
        });
        answers.collect()
    }

    /// Sends a request and returns the varbinds of its only response, which must have no error.
    pub(super) fn varbinds(&mut self, context: &str, body: Body) -> Vec<VarBind> {
        let mut answers = self.ask(context, body);
        assert_eq!(answers.len(), 1);
        let answer = answers.remove(0);
        assert_eq!((answer.error, answer.index), (ResponseError::NoError, 0));
        answer.varbinds
    }

    /// Returns the context, region and progress of every registration.
    pub(super) fn registrations(&self) -> Vec<(String, String, Progress)> {
        let shown = self.session.registrations();
        shown.map(|(r, progress)| (r.context.clone(), r.region.to_string(), progress)).collect()
    }

    /// Returns the progress of the only registration of this region.
    pub(super) fn progress(&self, region: &str) -> Option<Progress> {
        self.registrations().into_iter().find(|(_, name, _)| name == region).map(|(_, _, progress)| progress)
    }
}

/// Returns the regions that these PDUs register, in order.
pub(super) fn registered(pdus: &[Pdu]) -> Vec<(String, Oid)> {
    let registers = pdus.iter().filter_map(|pdu| match &pdu.body {
        Body::Register(Register { priority, subtree, instance, .. }) => {
            assert_eq!((*priority, *instance), (127, false));
            Some((String::from_utf8(pdu.context.0.clone()).unwrap(), subtree.clone()))
        }
        _ => None,
    });
    registers.collect()
}

/// Returns the names of varbinds as text.
pub(super) fn names(varbinds: &[VarBind]) -> Vec<String> {
    varbinds.iter().map(|varbind| varbind.name.to_string()).collect()
}

/// The smallest and largest arcs and some between, so that OIDs collide.
pub(super) const ARCS: [SubId; 5] = [0, 1, 2, 3, SubId::MAX];
