//! A link over connections that the test makes, with a paused clock.

use std::{path::Path, sync::Arc, time::Duration};

use agentx::{Body, GetBulk, Oid, Pdu, ResponseError, SearchRange, encode};
use tokio::{
    io::{AsyncWriteExt, DuplexStream, duplex},
    sync::watch,
    time::Instant,
};

use super::peer::{A, Peer, export, oid, within};
use crate::{
    subagent::{
        MasterStatus,
        jitter::Jitter,
        link::{Address, Ended, Link},
        session::End,
    },
    view::exports::Exports,
};

/// Returns a link without a real address.
fn link(octets: usize) -> (Link, watch::Sender<()>, watch::Sender<Exports>, MasterStatus) {
    let (exports_sender, exports) = watch::channel(Arc::new(vec![export(A, octets)]));
    let (stop_sender, stop) = watch::channel(());
    let status = MasterStatus::new("unix:/nowhere".to_owned());
    let link = Link {
        sets: crate::set::SetCoordinator::inactive(),
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
async fn serve(link: &mut Link, mut near: DuplexStream) -> Ended {
    link.serve(&mut near, &[]).await
}

/// Returns the subagent's end of a connection, and the master at the other end.
fn connection() -> (DuplexStream, Peer<DuplexStream>) {
    let (near, far) = duplex(1 << 16);
    (near, Peer::new(far))
}

#[tokio::test(start_paused = true)]
async fn half_open_connection_ends_within_15_seconds() {
    let (mut link, _stop, _exports, status) = link(3);
    let (near, mut peer) = connection();
    let start = Instant::now();
    let (ended, ()) = tokio::join!(serve(&mut link, near), peer.grant(A));
    assert!(matches!(ended, Ended::Session(End::Silent)), "{ended}");
    let took = start.elapsed();
    assert!((Duration::from_secs(12)..Duration::from_secs(15)).contains(&took), "{took:?}");
    assert_eq!(status.sessions()[0].counts.dropped, 1);
}

#[tokio::test(start_paused = true)]
async fn idle_session_stays_open_for_hours() {
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
    let (ended, ()) = tokio::join!(serve(&mut link, near), master);
    assert!(matches!(ended, Ended::Session(End::Shutdown)), "{ended}");
}

#[tokio::test(start_paused = true)]
async fn session_ends_if_the_master_never_reads() {
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
        // Writing never blocks for long, because the other side reads until it ends the session.
        while within("the other side to read", peer.stream.write_all(&requests)).await.is_ok() {}
    };
    let (ended, ()) = tokio::join!(serve(&mut link, near), master);
    assert!(matches!(ended, Ended::Session(End::NotReading)), "{ended}");
    assert_eq!(status.sessions()[0].counts.dropped, 1);
}

#[tokio::test(start_paused = true)]
async fn slow_master_gets_all_responses() {
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
        // All requests are accepted before any response is read, so that a master that writes first does not block.
        peer.stream.write_all(&requests).await.unwrap();
        for packet_id in 101..=200 {
            assert_eq!(peer.receive().await.unwrap().header.packet_id, packet_id);
        }
        drop(stop);
        peer.expect_close().await;
    };
    let (ended, ()) = tokio::join!(serve(&mut link, near), master);
    assert!(matches!(ended, Ended::Session(End::Shutdown)), "{ended}");
}
