//! A master that the test plays, over any stream.

use std::{future::Future, sync::Arc, time::Duration};

use agentx::{
    Body, ByteOrder, CloseReason, Framer, Header, Limits, Oid, Pdu, Response, ResponseError, SearchRange, Value,
    ValueRef, VarBind, decode, encode,
};
use arc_swap::ArcSwap;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use crate::{
    mapping::Region,
    subagent::TlsFiles,
    view::{MibView, exports::Export},
};

pub(super) const A: &str = "1.3.6.1.4.1.9999.1";
pub(super) const B: &str = "1.3.6.1.4.1.9999.2";
const SESSION: u32 = 42;

/// Awaits `wait` and panics after 30 s.
pub(super) async fn within<T>(what: &str, wait: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(30), wait).await.unwrap_or_else(|_| panic!("waited for {what}"))
}

/// Returns the files for masters without TLS.
pub(super) fn no_files() -> TlsFiles {
    TlsFiles { ca: "/nowhere/ca.crt".into(), token: "/nowhere/token".into() }
}

pub(super) fn oid(text: &str) -> Oid {
    text.parse().unwrap()
}

/// Returns an export with one instance, `base`.1.0, of this many octets.
pub(super) fn export(base: &str, octets: usize) -> Export {
    let mut view = MibView::new(oid(base), Vec::new());
    view.push(&[1], &[0], ValueRef::OctetString(&vec![b'x'; octets])).unwrap();
    Export {
        context: String::new(),
        base: oid(base),
        regions: vec![Region { subtree: oid(base), range: None }],
        view: Arc::new(ArcSwap::from_pointee(view)),
        capabilities: None,
        writable: false,
    }
}

/// The master's end of a connection.
pub(super) struct Peer<S> {
    pub(super) stream: S,
    framer: Framer,
    packet_id: u32,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, framer: Framer::new(Limits::default()), packet_id: 100 }
    }

    /// Receives the next PDU; `None` at the end of the connection.
    pub(super) async fn receive(&mut self) -> Option<Pdu> {
        loop {
            if let Some(frame) = self.framer.next_frame().unwrap() {
                return Some(decode(frame, &Limits::default()).unwrap());
            }
            let read = within("a PDU", self.stream.read(self.framer.space())).await.ok().filter(|read| *read > 0)?;
            self.framer.filled(read);
        }
    }

    pub(super) async fn send(&mut self, header: Header, body: Body) {
        let mut octets = Vec::new();
        encode(&Pdu { header, context: "".into(), body }, &mut octets).unwrap();
        self.stream.write_all(&octets).await.unwrap();
    }

    pub(super) async fn answer(&mut self, pdu: &Pdu, error: ResponseError) {
        let header = Header { session_id: SESSION, ..pdu.header };
        let response = Response { sys_up_time: 0, error, index: 0, varbinds: Vec::new() };
        self.send(header, Body::Response(response)).await;
    }

    /// Accepts everything until this subtree has been registered.
    pub(super) async fn grant(&mut self, base: &str) {
        loop {
            let pdu = self.receive().await.unwrap();
            self.answer(&pdu, ResponseError::NoError).await;
            if matches!(&pdu.body, Body::Register(register) if register.subtree == oid(base)) {
                return;
            }
        }
    }

    pub(super) fn request(&mut self) -> Header {
        self.packet_id += 1;
        Header { byte_order: ByteOrder::Big, session_id: SESSION, transaction_id: 1, packet_id: self.packet_id }
    }

    pub(super) async fn get_next(&mut self, start: &str) -> Vec<VarBind> {
        let header = self.request();
        let range = SearchRange { start: oid(start), include: true, end: Oid::default() };
        self.send(header, Body::GetNext(vec![range])).await;
        let answer = self.receive().await.unwrap();
        assert_eq!(answer.header, header);
        let Body::Response(response) = answer.body else { panic!("{answer:?}") };
        response.varbinds
    }

    /// Expects a Close and then the end of the connection.
    pub(super) async fn expect_close(&mut self) {
        let close = self.receive().await.unwrap();
        assert_eq!(close.body, Body::Close(CloseReason::Shutdown));
        self.answer(&close, ResponseError::NoError).await;
        assert_eq!(self.receive().await, None);
    }
}

pub(super) fn value(base: &str, octets: &[u8]) -> Vec<VarBind> {
    vec![VarBind { name: oid(&format!("{base}.1.0")), value: Value::OctetString(octets.to_vec()) }]
}
