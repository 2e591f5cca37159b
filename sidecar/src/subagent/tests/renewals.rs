//! Tokens that expire, and connections that replace each other.

use agentx::{Body, CloseReason, ResponseError};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use tokio_rustls::server::TlsStream;

use super::{
    masters::{Running, eventually},
    peer::{A, Peer, oid, value, within},
    tls_master::{Master, accepted, token},
};
use crate::subagent::{MasterStatus, RegistrationState, SessionState};

type Session = Peer<TlsStream<TcpStream>>;

/// Returns a sidecar whose session serves [`A`]. Its token is due for renewal in 2 s and expires in `ends_in` seconds. The file
/// contains the next token already.
async fn served(ends_in: f64) -> (Master, Running, Session) {
    let mut master = Master::new().await;
    // 80 percent of the lifetime have passed in 2 s.
    let left = ends_in - 2.0;
    master.set_token(token("first", 4.0 * left - 2.0, ends_in));
    let running = master.sidecar();
    let mut old = master.peer().await;
    old.grant(A).await;
    master.set_token(token("second", 0.0, 3600.0));
    (master, running, old)
}

/// Answers the Open and returns the Register of [`A`].
async fn registering(new: &mut Session) -> agentx::Pdu {
    loop {
        let pdu = new.receive().await.unwrap();
        if matches!(&pdu.body, Body::Register(register) if register.subtree == oid(A)) {
            return pdu;
        }
        new.answer(&pdu, ResponseError::NoError).await;
    }
}

async fn taken_over(running: &Running) {
    let taken_over = |status: &MasterStatus| {
        let sessions = status.sessions();
        let [session] = &sessions[..] else { panic!("{sessions:?}") };
        assert_eq!(session.state, SessionState::Open, "the status shows no gap");
        session.registrations.iter().all(|r| r.state == RegistrationState::Registered)
            && session.counts.connects == 2
            && session.last_error.is_none()
    };
    eventually(&running.status, "the new session has not taken over", taken_over).await;
}

#[tokio::test]
async fn new_connection_takes_over_before_the_old_one_closes() {
    let (master, running, mut old) = served(200.0).await;
    // The new connection sends the new token.
    let mut new = master.peer().await;
    assert_eq!(old.get_next(A).await, value(A, b"xxx"));
    let register = registering(&mut new).await;
    assert_eq!(old.get_next(A).await, value(A, b"xxx"), "the new session has not registered yet");
    // A master that queues accepts the registration while it still uses the old session.
    new.answer(&register, ResponseError::NoError).await;
    assert_eq!(new.get_next(A).await, value(A, b"xxx"), "the new session answers");
    old.expect_close().await;
    assert_eq!(new.get_next(A).await, value(A, b"xxx"));
    taken_over(&running).await;
    tokio::join!(running.stop(), new.expect_close());
}

#[tokio::test]
async fn new_session_stays_if_the_master_closes_the_old_one() {
    let (master, running, mut old) = served(200.0).await;
    let mut new = master.peer().await;
    let register = registering(&mut new).await;
    new.answer(&register, ResponseError::DuplicateRegistration).await;
    assert_eq!(old.get_next(A).await, value(A, b"xxx"), "a master that does not queue uses the old session");
    let again = new.receive().await.unwrap();
    assert!(matches!(again.body, Body::Register(_)), "{again:?}");
    let close = old.request();
    old.send(close, Body::Close(CloseReason::Other)).await;
    assert_eq!(old.receive().await, None);
    new.answer(&again, ResponseError::NoError).await;
    taken_over(&running).await;
    assert_eq!(new.get_next(A).await, value(A, b"xxx"));
    running.stop().await;
}

#[tokio::test]
async fn old_session_closes_before_its_token_expires_although_the_new_one_stands_by() {
    let (master, running, mut old) = served(9.0).await;
    let mut new = master.peer().await;
    let master_of_new = async {
        // Denied until the old session ends.
        let register = registering(&mut new).await;
        new.answer(&register, ResponseError::DuplicateRegistration).await;
        loop {
            let pdu = new.receive().await.unwrap();
            new.answer(&pdu, ResponseError::DuplicateRegistration).await;
        }
    };
    tokio::select! {
        () = old.expect_close() => {}
        () = within("the old session to close", master_of_new) => {}
    }
    let again = new.receive().await.unwrap();
    new.answer(&again, ResponseError::NoError).await;
    taken_over(&running).await;
    running.stop().await;
}

#[tokio::test]
async fn refused_new_connection_is_retried_and_the_old_one_stays() {
    let (master, running, mut old) = served(200.0).await;
    let mut refused = master.request().await;
    refused.write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 3\r\n\r\nno\n").await.unwrap();
    let shows = |status: &MasterStatus| {
        status.sessions()[0].last_error.as_deref()
            == Some("failed to connect with a newer token: the master responded with 401 Unauthorized: no")
    };
    eventually(&running.status, "the refusal is not shown", shows).await;
    assert_eq!(running.status.sessions()[0].state, SessionState::Open);
    assert_eq!(old.get_next(A).await, value(A, b"xxx"));
    let pings = async {
        loop {
            let ping = old.receive().await.unwrap();
            if matches!(ping.body, Body::Close(_)) {
                old.answer(&ping, ResponseError::NoError).await;
                return;
            }
            old.answer(&ping, ResponseError::NoError).await;
        }
    };
    let again = async {
        let mut new = accepted(master.request().await).await;
        new.grant(A).await;
        new
    };
    let ((), mut new) = tokio::join!(within("the old session to close", pings), again);
    assert_eq!(new.get_next(A).await, value(A, b"xxx"));
    taken_over(&running).await;
    running.stop().await;
}

#[tokio::test]
async fn shutdown_closes_both_connections() {
    let (master, running, mut old) = served(200.0).await;
    let mut new = master.peer().await;
    let open = new.receive().await.unwrap();
    new.answer(&open, ResponseError::NoError).await;
    let register = new.receive().await.unwrap();
    let ends = async {
        let close = new.receive().await.unwrap();
        assert_eq!(close.body, Body::Close(CloseReason::Shutdown), "{register:?}");
        new.answer(&close, ResponseError::NoError).await;
    };
    tokio::join!(running.stop(), old.expect_close(), ends);
}

#[tokio::test]
async fn session_that_ends_reconnects_with_the_newer_token() {
    let mut master = Master::new().await;
    master.set_token(token("first", 1.0, 3600.0));
    let running = master.sidecar();
    let mut old = master.peer().await;
    old.grant(A).await;
    master.set_token(token("second", 0.0, 3600.0));
    let close = old.request();
    old.send(close, Body::Close(CloseReason::Other)).await;
    master.peer().await.grant(A).await;
    assert_eq!(running.status.sessions()[0].counts.connects, 2);
    running.stop().await;
}
