//! One link whose connections the test makes, with a clock that runs ahead.

use std::{path::Path, sync::Arc, time::Duration};

use agentx::{Body, GetBulk, Oid, Pdu, ResponseError, SearchRange, encode};
use tokio::{
    io::{AsyncWriteExt, DuplexStream, duplex},
    sync::watch,
    time::Instant,
};

use super::peer::{A, Peer, export, oid, within};
use crate::{
    session::{End, Exports, Jitter},
    subagent::{
        MasterStatus,
        link::{Address, Ended, Link},
    },
};

/// A link to nowhere, whose connections the test makes.
fn link(octets: usize) -> (Link, watch::Sender<()>, watch::Sender<Exports>, MasterStatus) {
    let (exports_sender, exports) = watch::channel(Arc::new(vec![export(A, octets)]));
    let (stop_sender, stop) = watch::channel(());
    let status = MasterStatus::new("unix:/nowhere".to_owned());
    let link = Link {
        desk: crate::write::Desk::closed(),
        address: Address::Unix(Path::new("/nowhere").into()),
        description: "test".into(),
        exports,
        stop,
        master: status.clone(),
        status: status.add("/nowhere".to_owned()),
        jitter: Jitter::new(1),
        opened: None,
        tls: None,
    };
    (link, stop_sender, exports_sender, status)
}

/// Serves a connection and then closes it.
async fn converse(link: &mut Link, mut near: DuplexStream) -> Ended {
    link.converse(&mut near, &[]).await
}

/// The subagent's end of a connection, and the master at the other.
fn connection() -> (DuplexStream, Peer<DuplexStream>) {
    let (near, far) = duplex(1 << 16);
    (near, Peer::new(far))
}

#[tokio::test(start_paused = true)]
async fn a_half_open_connection_is_left_within_15_seconds() {
    let (mut link, _stop, _exports, status) = link(3);
    let (near, mut peer) = connection();
    let start = Instant::now();
    let (ended, ()) = tokio::join!(converse(&mut link, near), peer.grant(A));
    assert!(matches!(ended, Ended::Session(End::Silent)), "{ended}");
    let took = start.elapsed();
    assert!((Duration::from_secs(12)..Duration::from_secs(15)).contains(&took), "{took:?}");
    assert_eq!(status.sessions()[0].counts.dropped, 1);
}

#[tokio::test(start_paused = true)]
async fn an_idle_session_stays_for_hours() {
    let (mut link, stop, _exports, _status) = link(3);
    let (near, mut peer) = connection();
    let master = async {
        peer.grant(A).await;
        let start = Instant::now();
        while start.elapsed() < Duration::from_hours(3) {
            let ping = peer.receive().await.unwrap();
            assert_eq!(ping.body, Body::Ping);
            peer.answer(&ping, ResponseError::NoError).await;
        }
        drop(stop);
        peer.expect_close().await;
    };
    let (ended, ()) = tokio::join!(converse(&mut link, near), master);
    assert!(matches!(ended, Ended::Session(End::Shutdown)), "{ended}");
}

#[tokio::test(start_paused = true)]
async fn a_master_that_writes_but_never_reads_is_left() {
    let (mut link, _stop, _exports, status) = link(60_000);
    let (near, mut peer) = connection();
    let master = async {
        peer.grant(A).await;
        let mut requests = Vec::new();
        for _ in 0..100 {
            let ranges = vec![SearchRange { start: oid(A), include: true, end: Oid::default() }];
            let body = Body::GetBulk(GetBulk { non_repeaters: 0, max_repetitions: 9, ranges });
            let header = peer.request();
            encode(&Pdu { header, context: "".into(), body }, &mut requests).unwrap();
        }
        // Writing never blocks for long: the other side reads on until it has had enough.
        while within("the other side to read", peer.stream.write_all(&requests)).await.is_ok() {}
    };
    let (ended, ()) = tokio::join!(converse(&mut link, near), master);
    assert!(matches!(ended, Ended::Session(End::NotReading)), "{ended}");
    assert_eq!(status.sessions()[0].counts.dropped, 1);
}

#[tokio::test(start_paused = true)]
async fn a_master_that_reads_late_gets_all_answers() {
    let (mut link, stop, _exports, _status) = link(60_000);
    let (near, mut peer) = connection();
    let master = async {
        peer.grant(A).await;
        let mut requests = Vec::new();
        for _ in 0..100 {
            let range = SearchRange { start: oid(A), include: true, end: Oid::default() };
            let header = peer.request();
            encode(&Pdu { header, context: "".into(), body: Body::GetNext(vec![range]) }, &mut requests).unwrap();
        }
        // All of it is taken before anything is read: a master that writes first does not wait for ever.
        peer.stream.write_all(&requests).await.unwrap();
        for packet_id in 101..=200 {
            assert_eq!(peer.receive().await.unwrap().header.packet_id, packet_id);
        }
        drop(stop);
        peer.expect_close().await;
    };
    let (ended, ()) = tokio::join!(converse(&mut link, near), master);
    assert!(matches!(ended, Ended::Session(End::Shutdown)), "{ended}");
}
